"""Workers die without a word, again and again, while checkpoints are made every second: no two of one number, none
missing, and together they cover the log."""

import time

import pytest

from auditing import python_verify, wait_covered
from load import Creator, Killer, log_problems
from stack import wait_until

REQUESTS = 600
LONGEST = 30  # seconds of killing
CHECKPOINTS = 8


@pytest.mark.timeout(240)
def test_checkpoints_go_on_over_workers_that_are_killed(stack, api, identity, bus, db, seed):
    stack.start(workers=3)
    stack.wait_assigned()
    first = db.execute("select coalesce(max(number), 0) from checkpoint").fetchone()[0]
    creator = Creator(api, identity, f"checkpoint-{seed}", REQUESTS, pause=0.4)
    killer = Killer(stack.workers, seed)
    creator.start()
    killer.start()
    began = time.monotonic()

    def made():
        return db.execute("select coalesce(max(number), 0) from checkpoint").fetchone()[0] - first

    wait_until(lambda: made() >= CHECKPOINTS and time.monotonic() - began > LONGEST / 2
               or time.monotonic() - began > LONGEST, LONGEST + 5, "the end of killing", every=0.2)
    killer.end()
    stack.start(3)
    creator.join(60)
    assert not creator.is_alive(), f"not all could be created: {creator.answers}"
    wait_until(lambda: not db.execute("select 1 from request_outbox").fetchone(), 60, "all to be published")
    line = wait_covered(bus, timeout=60)
    print(f"{len(killer.killed)} killed, {made()} checkpoints, {len(bus.records('checkpoints')) - len(line)} repeats")
    assert len(killer.killed) >= 5 and made() >= 2
    assert [one["number"] for one in line] == list(range(1, len(line) + 1))
    done = python_verify(stack)
    assert done.returncode == 0, f"seed {seed}\n{done.stdout}{done.stderr}"
    problems = log_problems(stack)
    assert not problems, problems
