"""Programs die without a word, one a second, while requests come, are judged and run: nothing is lost by it."""

import time

import pytest

from events import consumer_lag
from load import WEBHOOKS, Creator, Killer, log_problems, make_webhooks, problems_of, wait_decided
from stack import wait_until

REQUESTS = 1000
LONGEST = 40  # seconds of killing


@pytest.mark.workers(2)
@pytest.mark.timeout(240)
def test_programs_killed_under_load_lose_nothing(stack, api, receiver, identity, bus, db, replier, seed,
                                                    ledger):
    bus.skip()
    make_webhooks(api, receiver, replier)
    creator = Creator(api, identity, f"kill-{seed}", REQUESTS, pause=0.5)
    killer = Killer(stack.programs, seed)
    creator.start()
    killer.start()
    began = time.monotonic()

    def all_replied():
        return not creator.is_alive() and len(replier.settled) >= len(WEBHOOKS) * REQUESTS and not replier.unsettled

    wait_until(lambda: all_replied() or time.monotonic() - began > LONGEST, LONGEST + 5, "the end of killing",
               every=0.2)
    killer.end()
    assert len(killer.killed) >= 10
    stack.start(2)
    for program in stack.programs:
        program.wait_ready()
    creator.join(60)
    assert not creator.is_alive(), f"not all could be created: {creator.answers}"
    wait_decided(db, creator.prefix, REQUESTS, 120)
    wait_until(lambda: not replier.unsettled, 30, lambda: f"{replier.unsettled} replies to be answered")
    wait_until(lambda: consumer_lag(stack) == 0, 60, lambda: f"the lag to be 0, it is {consumer_lag(stack)}", every=1)
    problems = problems_of(db, bus, replier, [creator]) + log_problems(stack) + ledger.rebuild_problems()
    print(f"{len(killer.killed)} killed, creates {dict(creator.answers)}, replies {dict(replier.answers)}, "
          f"{len(receiver.calls())} calls, {time.monotonic() - began:.0f} s")
    assert not problems, f"seed {seed}: {len(problems)}\n" + "\n".join(map(str, problems[:30]))
