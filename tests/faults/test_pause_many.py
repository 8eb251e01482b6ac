"""Many requests are paused at once: they wait in PostgreSQL, whatever happens to the programs meanwhile."""

import os
import time

import pytest
import requests

from events import consumer_lag
from load import Creator, Killer, log_problems, wait_decided
from receiver import Answer
from runs import Course, Step, percentile, resident_bytes, resume_of, run_problems, topic_problems, types_of
from stack import wait_until

pytestmark = pytest.mark.workers(2)

REQUESTS = int(os.environ.get("DOCKET_TEST_PAUSED", 1000))
LIFE = 5 + REQUESTS // 250  # seconds: the first pauses end while the last begin
MIB = 1 << 20
GROWTH = 16 * MIB  # of a worker's memory: buffers that are full once; a paused request itself has nothing in it
LATE = 10  # seconds after its time at most, with a worker killed every two


class Halt:
    """The webhook that halts every run, and the replies that it has not sent yet."""

    def __init__(self, policy, replier):
        self.replier = replier
        self.held = []
        self.course = Course(policy, [Step("halt", lambda seen: Answer(json={"halt": True}), self.hold)])

    def hold(self, seen, call):
        self.held.append(resume_of(call))

    def resume_all(self):
        for reply in self.held:
            self.replier.send(reply)


def memory(stack):
    return [resident_bytes(worker) for worker in stack.workers]


def settled_memory(stack, fresh, growth):
    """Once the workers have given back what a burst took; else what they have then."""
    limit, deadline = max(fresh) + growth, time.monotonic() + 15
    while max(memory(stack)) >= limit and time.monotonic() < deadline:
        time.sleep(0.2)
    return memory(stack)


def mib(values):
    return " ".join(f"{value / MIB:.1f}" for value in values)


def wait_status(db, creator, status, timeout):
    def count():
        return db.execute("select count(*) from privacy_request where external_id like %s and status = %s",
                          (f"{creator.prefix}-%", status)).fetchone()[0]

    wait_until(lambda: count() == REQUESTS, timeout, lambda: f"{REQUESTS} to be {status}, {count()} are", every=0.2)


def wait_idle(stack):
    wait_until(lambda: consumer_lag(stack) == 0, 60, lambda: f"the lag to be 0, it is {consumer_lag(stack)}", every=0.5)


def restart_all(stack):
    """Without a word to any of them."""
    for program in stack.programs:
        program.kill()
    stack.start(len(stack.workers))
    stack.wait_assigned()


def begin(bus, api, receiver, halt):
    bus.skip()
    halt.course.install(api, receiver)


@pytest.mark.timeout(120 + REQUESTS // 20)
def test_what_is_paused_goes_on_after_the_whole_fleet_was_killed(stack, api, receiver, identity, bus, db, replier,
                                                                 seed):
    halt = Halt("faults_pause", replier)
    begin(bus, api, receiver, halt)
    creator = Creator(api, identity, f"pause-{seed}", REQUESTS, policy=halt.course.policy)
    restart_all(stack)
    fresh = memory(stack)
    began = time.monotonic()
    creator.run()
    wait_status(db, creator, "paused", 30 + REQUESTS / 20)
    paused_after = time.monotonic() - began
    wait_idle(stack)
    paused = settled_memory(stack, fresh, GROWTH)
    restart_all(stack)
    wait_idle(stack)
    fresh_paused = memory(stack)
    began = time.monotonic()
    halt.resume_all()
    wait_decided(db, creator.prefix, REQUESTS, 30 + REQUESTS / 20, ["complete"])
    resumed_after = time.monotonic() - began
    wait_idle(stack)
    after = settled_memory(stack, fresh, GROWTH)
    print(f"{REQUESTS} paused after {paused_after:.1f} s, complete {resumed_after:.1f} s after they were resumed; a "
          f"worker has MiB: fresh {mib(fresh)}, all paused {mib(paused)}, fresh with all paused {mib(fresh_paused)}, "
          f"all complete {mib(after)}; resumes {dict(replier.answers)}")
    problems = run_problems(db, bus, halt.course, creator, replier) + log_problems(stack)
    assert not problems, f"seed {seed}: {len(problems)}\n" + "\n".join(map(str, problems[:30]))
    assert halt.course.count() == REQUESTS, "nothing was called again"
    assert max(paused + after) < max(fresh) + GROWTH
    assert max(fresh_paused) < max(fresh) + GROWTH / 4, "what is paused is not even read at the start"


def expiry_problems(db, bus, course, creator):
    rows = db.execute("select id, seq, status, failed_step from privacy_request where external_id like %s",
                      (f"{creator.prefix}-%",)).fetchall()
    problems = topic_problems(bus, course, {request_id: seq for request_id, seq, _, _ in rows}, expiring_problems)
    left = db.execute("select count(*) from request_timer t join privacy_request p on p.id = t.request_id "
                      "where p.external_id like %s", (f"{creator.prefix}-%",)).fetchone()[0]
    return problems + [f"{request_id} is {status} at {step}" for request_id, _, status, step in rows
                       if (status, step) != ("error", "pre_webhooks")] + ([f"{left} timers are left"] if left else [])


def expiring_problems(course, request_id, events):
    types = types_of(events)
    if (types["paused"], types["expired"], types["resumed"], types["completed"]) == (1, 1, 0, 0):
        return []
    return [f"the pause of {request_id} went {dict(types)}"]


def delays(db, creator):
    """By how many seconds each came after its time."""
    return [float(late) for late, in db.execute("""
        select extract(epoch from e.time - (convert_from(b.payload, 'UTF8')::jsonb ->> 'expires_at')::timestamptz)
        from privacy_request p
        join request_event e on e.request_id = p.id and e.type = 'docket.request.expired.v1'
        join request_event b on b.request_id = p.id and b.type = 'docket.request.paused.v1'
        where p.external_id like %s""", (f"{creator.prefix}-%",))]


@pytest.mark.settings(DOCKET_PAUSE_LIFE=f"{LIFE}s")
@pytest.mark.timeout(150 + REQUESTS // 20)
def test_every_pause_expires_once_and_on_time_while_workers_are_killed(stack, api, receiver, identity, bus, db,
                                                                       replier, seed):
    halt = Halt("faults_expire", replier)
    begin(bus, api, receiver, halt)
    creator = Creator(api, identity, f"expire-{seed}", REQUESTS, policy=halt.course.policy)
    creator.run()
    killer = Killer(stack.workers, seed, pause=2)
    killer.start()
    wait_status(db, creator, "error", LIFE + LATE + 30 + REQUESTS / 20)
    killer.end()
    stack.start(2)
    stack.wait_assigned()
    wait_decided(db, creator.prefix, REQUESTS, 30, ["error"])
    wait_idle(stack)
    late = delays(db, creator)
    print(f"{REQUESTS} expired, {len(killer.killed)} workers killed; after their time: median "
          f"{percentile(late, 0.5):.2f} s, p99 {percentile(late, 0.99):.2f} s, last {max(late):.2f} s")
    problems = expiry_problems(db, bus, halt.course, creator) + log_problems(stack)
    assert not problems, f"seed {seed}: {len(problems)}\n" + "\n".join(map(str, problems[:30]))
    assert len(late) == REQUESTS and min(late) >= 0, "none before its time"
    assert max(late) < LATE
    assert_too_late(stack, halt.held[0])


def assert_too_late(stack, reply):
    answer = requests.post(f"{stack.callback.url}/api/v1{reply.path}", json={}, timeout=30,
                           headers={"Authorization": f"Bearer {reply.token}"})
    assert answer.status_code == 400 and answer.json()["detail"].endswith("status = error.")
