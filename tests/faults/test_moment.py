"""The worker dies at a moment that the receiver's calls choose: before an answer, between an answer and its settling,
between settling and the next step, after that. DOCKET_TEST_KILLS times, at every step of a run."""

import os
import random
import signal
import threading
import time
from collections import Counter

import psycopg
import pytest

from events import consumer_lag
from load import Creator, log_problems, wait_decided
from runs import FAILURES, Person, failure_problems, identity_problems, make_course, run_problems
from stack import wait_until

KILLS = int(os.environ.get("DOCKET_TEST_KILLS", 40)) // 20 * 20  # each moment of each step equally often
FIND = 5  # seconds to see what is waited for, before the worker is killed all the same

RECORDED = "select exists (select from webhook_attempt where request_id = %s and delivery_id = %s)"
LAST = "select type from request_event where request_id = %s order by seq desc limit 1"
ATTEMPTS = ("docket.request.webhook_answered.v1", "docket.request.webhook_failed.v1")


class Trap:
    """Kills the worker at one moment of one step of one request."""

    MOMENTS = ("asked", "answered", "settled", "followed")

    def __init__(self, course, url):
        self.db = psycopg.connect(url, autocommit=True)
        self.lock = threading.Lock()
        self.target = None
        self.seen = None
        self.sprung = threading.Event()
        for step in course.steps:
            step.answer, step.after = self.answering(step.answer), self.following(step.after)

    def arm(self, pid, *target):
        """target: the request's external_id, the step, the number of its call, the moment."""
        self.pid, self.seen = pid, None
        self.sprung.clear()
        self.target = target

    def takes(self, seen):
        """The moment, if this is the call; once."""
        with self.lock:
            if not self.target or (seen.external_id, seen.step, seen.number) != self.target[:3]:
                return None
            return self.target[3]

    def spring(self, seen):
        os.kill(self.pid, signal.SIGKILL)
        self.target = None
        self.seen = seen
        self.sprung.set()

    def answering(self, answer):
        def answer_or_kill(seen):
            if self.takes(seen) == "asked":
                self.spring(seen)
            return answer(seen)

        return answer_or_kill

    def following(self, after):
        def kill_and_follow(seen, call):
            moment = self.takes(seen)
            if moment:
                self.wait(moment, seen)
                self.spring(seen)
            after(seen, call)

        return kill_and_follow

    def wait(self, moment, seen):
        deadline = time.monotonic() + FIND
        while moment != "answered" and not self.is_past(moment, seen) and time.monotonic() < deadline:
            time.sleep(0.0001)  # it is over within a few milliseconds

    def is_past(self, moment, seen):
        if moment == "settled":
            return self.db.execute(RECORDED, (seen.request_id, seen.webhook_id)).fetchone()[0]
        return self.hit(seen) == "followed"

    def hit(self, seen):
        """What of the call's consequences is on record."""
        if not self.db.execute(RECORDED, (seen.request_id, seen.webhook_id)).fetchone()[0]:
            return "unsettled"
        last = self.db.execute(LAST, (seen.request_id,)).fetchone()[0]
        return "settled" if last in ATTEMPTS else "followed"


def make_targets(course, chance):
    """(step, number of its call, moment), each step as often as each moment. Nothing follows from a failure at once."""
    pairs = [(step.key, moment) for step in course.steps for moment in Trap.MOMENTS] * (KILLS // 20)
    chance.shuffle(pairs)
    return [(step, 1 if step != "flaky" else FAILURES + 1 if moment == "followed" else chance.randint(1, FAILURES + 1),
             moment) for step, moment in pairs]


def wait_no_worker(db):
    """What the dead worker has sent to PostgreSQL is done or undone."""
    wait_until(lambda: not db.execute("select count(*) from pg_stat_activity where application_name like "
                                      "'docket-worker%'").fetchone()[0], 10, "the dead worker's transactions to end",
               every=0.005)


# The attempts that fail are made again at once; nobody waits for a worker that is dead: it comes back.
@pytest.mark.settings(DOCKET_WEBHOOK_TIMEOUT="2s", DOCKET_BREAKER_CALLS=1000000,
                      DOCKET_WEBHOOK_RETRY_SCHEDULE="50ms,50ms,50ms,50ms,50ms,50ms")
@pytest.mark.timeout(240)
def test_a_worker_killed_at_every_moment_of_a_call_loses_nothing(stack, api, receiver, identity, bus, db, replier,
                                                                 seed, ledger):
    stack.wait_assigned()
    bus.skip()
    person = Person(identity)
    course = make_course("faults_moment", replier, person)
    course.install(api, receiver)
    trap = Trap(course, stack.postgres.url(stack.name))
    creator = Creator(api, identity, f"moment-{seed}", KILLS, policy=course.policy)
    targets = make_targets(course, random.Random(seed))
    worker, hits = stack.workers[0], Counter()
    began = time.monotonic()
    for index, target in enumerate(targets):
        external_id = f"{creator.prefix}-{index}"
        trap.arm(worker.pid, external_id, *target)
        creator.create([external_id])
        creator.external_ids.append(external_id)
        wait_until(trap.sprung.is_set, 30, f"request {external_id} to come to {target}", every=0.002)
        worker.wait_stopped()
        wait_no_worker(db)
        hits[trap.hit(trap.seen)] += 1
        worker.start(wait=False)
    worker.wait_ready()
    wait_decided(db, creator.prefix, KILLS, 60, ["complete"])
    wait_until(lambda: not replier.unsettled, 30, lambda: f"{replier.unsettled} resumes to be answered")
    wait_until(lambda: consumer_lag(stack) == 0, 60, lambda: f"the lag to be 0, it is {consumer_lag(stack)}", every=1)
    attempts, = db.execute("select count(*) from webhook_attempt a join privacy_request p on p.id = a.request_id "
                           "where p.external_id like %s", (f"{creator.prefix}-%",)).fetchone()
    print(f"{KILLS} kills hit {dict(hits)}; {course.count()} calls, {attempts} attempts on record, "
          f"{time.monotonic() - began:.0f} s")
    problems = (run_problems(db, bus, course, creator, replier) + identity_problems(course, person)
                + failure_problems(db, creator.prefix) + log_problems(stack) + ledger.rebuild_problems())
    assert not problems, f"seed {seed}: {len(problems)}\n" + "\n".join(map(str, problems[:30]))
    assert min(hits[kind] for kind in ("unsettled", "settled", "followed")) >= KILLS // 20
    assert course.count() >= attempts + hits["unsettled"], "what was not on record was called again"
