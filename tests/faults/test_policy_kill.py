"""Programs die without a word, one a second, while runs go through five webhooks, of which one halts and replies, one
brings an identity, and one fails twice: every run goes on where it was."""

import os
import time
from functools import partial

import pytest

from load import Creator, Killer, consumer_lag, log_problems, wait_assigned, wait_decided
from receiver import Answer
from runs import Course, Step, resume_of, run_problems
from stack import wait_until

REQUESTS = 500
LONGEST = 40  # seconds of killing
FAILURES = 2  # of the webhook that fails, about each request
ROUNDS = int(os.environ.get("DOCKET_TEST_ROUNDS", 1))

# No breaker: of the endpoint that fails, more calls do than any is patient with. A worker that does not come back
# leaves its calls for twice the timeout and 15 s.
unhurried = pytest.mark.settings(DOCKET_WEBHOOK_TIMEOUT="2s", DOCKET_BREAKER_CALLS=1000000)


class Person:
    """What the webhooks find out about whoever a request is about; looked for on the bus and in the logs."""

    def __init__(self, identity):
        self.phone = identity.derived(f"+1555{int.from_bytes(os.urandom(2), 'big'):05}")
        self.client = identity.derived()
        self.loyalty = identity.derived()

    def resumed(self, external_id):
        return {"ga_client_id": f"{self.client}-{external_id}"}

    def answered(self, external_id):
        number = int(external_id.rpartition("-")[2])
        return {"phone_number": f"{self.phone}{number:05}",
                "loyalty": {"label": "Loyalty id", "value": f"{self.loyalty}-{external_id}"}}


def failing_twice(seen):
    return Answer(503) if seen.number <= FAILURES else Answer(json={"halt": False})


def enriching(person, seen):
    return Answer(json={"halt": False, "derived_identity": person.answered(seen.external_id)})


def make_course(replier, person):
    def resume(seen, call):
        replier.send(resume_of(call, person.resumed(seen.external_id)))

    return Course("faults_kill", [
        Step("ask", lambda seen: Answer(json={"halt": True}), resume),
        Step("enrich", partial(enriching, person)),
        Step("flaky", failing_twice),
        Step("notify", lambda seen: Answer(), direction="one_way", kind="post"),
        Step("archive", lambda seen: Answer(json={"halt": True}), kind="post"),
    ])


def identity_problems(course, person):
    """What a step brings is seen by every later one, and by no earlier."""
    problems = []
    for seen in (seen for calls in course.calls.values() for seen in calls):
        wanted = {}
        if seen.step != "ask":
            wanted |= person.resumed(seen.external_id)
        if seen.step not in ("ask", "enrich"):
            wanted |= person.answered(seen.external_id)
        known = {name: seen.identity.get(name) for name in ("ga_client_id", "phone_number", "loyalty")}
        if known != dict.fromkeys(known) | wanted:
            problems.append(f"call {seen.number} of {seen.step} about {seen.request_id} knew {known}")
    return problems


def failure_problems(db, prefix):
    """No failure is on record that was none, and no success before all of them."""
    return [f"{request_id} has {failures} failures on record, after {attempts} attempts" for
            request_id, failures, attempts in db.execute("""
                select p.id, count(a.*) filter (where a.status_code = 503), max(d.attempts)
                from privacy_request p join webhook_delivery d on d.request_id = p.id
                join policy_webhook w on w.id = d.webhook_id and w.key = 'flaky'
                left join webhook_attempt a on a.request_id = d.request_id and a.delivery_id = d.id
                where p.external_id like %s group by p.id""", (f"{prefix}-%",))
            if failures > FAILURES or attempts != failures + 1]


@unhurried
@pytest.mark.timeout(240)
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_runs_go_on_where_they_were_when_programs_are_killed(stack, api, receiver, identity, bus, db, replier, seed,
                                                             turn):
    stack.start(workers=2)
    wait_assigned(stack)
    bus.skip()
    person = Person(identity)
    course = make_course(replier, person)
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
                + failure_problems(db, creator.prefix) + log_problems(stack))
    attempts, = db.execute("select count(*) from webhook_attempt a join privacy_request p on p.id = a.request_id "
                           "where p.external_id like %s", (f"{creator.prefix}-%",)).fetchone()
    print(f"{len(killer.killed)} killed, creates {dict(creator.answers)}, resumes {dict(replier.answers)}, "
          f"{course.count()} calls, {attempts} attempts on record, {took:.0f} s")
    assert not problems, f"seed {seed}: {len(problems)}\n" + "\n".join(map(str, problems[:30]))
