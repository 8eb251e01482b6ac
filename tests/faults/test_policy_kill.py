"""Programs die without a word, one a second, while runs go through five webhooks, of which one halts and replies, one
brings an identity, and one fails twice: every run goes on where it was."""

import os
import time

import pytest

from events import consumer_lag
from load import Creator, Killer, log_problems, wait_decided
from runs import Person, failure_problems, identity_problems, make_course, run_problems
from stack import wait_until

REQUESTS = 500
LONGEST = 40  # seconds of killing
ROUNDS = int(os.environ.get("DOCKET_TEST_ROUNDS", 1))

# No breaker: of the endpoint that fails, more calls do than any is patient with. A worker that does not come back
# leaves its calls for twice the timeout and 15 s.
unhurried = pytest.mark.settings(DOCKET_WEBHOOK_TIMEOUT="2s", DOCKET_BREAKER_CALLS=1000000)


@pytest.mark.workers(2)
@unhurried
@pytest.mark.timeout(240)
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_runs_go_on_where_they_were_when_programs_are_killed(stack, api, receiver, identity, bus, db, replier, seed,
                                                             ledger, turn):
    bus.skip()
    person = Person(identity)
    course = make_course("faults_kill", replier, person)
    course.install(api, receiver)
    creator = Creator(api, identity, f"policy-{seed}-{turn}", REQUESTS, pause=0.6, policy=course.policy)
    killer = Killer(stack.programs, f"{seed}-{turn}")
    began = time.monotonic()
    creator.start()
    killer.start()
    wait_until(lambda: course.count("archive") >= REQUESTS or time.monotonic() - began > LONGEST, LONGEST + 5,
               "the end of killing", every=0.5)
    killer.end()
    assert len(killer.killed) >= 10
    stack.start(2)
    for program in stack.programs:
        program.wait_ready()
    creator.join(60)
    assert not creator.is_alive(), f"not all could be created: {creator.answers}"
    wait_decided(db, creator.prefix, REQUESTS, 90, ["complete"])
    wait_until(lambda: not replier.unsettled, 30, lambda: f"{replier.unsettled} resumes to be answered")
    wait_until(lambda: consumer_lag(stack) == 0, 60, lambda: f"the lag to be 0, it is {consumer_lag(stack)}", every=1)
    took = time.monotonic() - began
    problems = (run_problems(db, bus, course, creator, replier) + identity_problems(course, person)
                + failure_problems(db, creator.prefix) + log_problems(stack) + ledger.rebuild_problems())
    attempts, = db.execute("select count(*) from webhook_attempt a join privacy_request p on p.id = a.request_id "
                           "where p.external_id like %s", (f"{creator.prefix}-%",)).fetchone()
    print(f"{len(killer.killed)} killed, creates {dict(creator.answers)}, resumes {dict(replier.answers)}, "
          f"{course.count()} calls, {attempts} attempts on record, {took:.0f} s")
    assert not problems, f"seed {seed}: {len(problems)}\n" + "\n".join(map(str, problems[:30]))
