"""An endpoint's calls a second, over all workers together; and what the workers tell each other of endpoints."""

import bisect
import contextlib
import json
import time

import pytest
import redis

from utils import Answer, Proxy, Reply, change_worker, must, wait_until, worker_settings

# Beside the limit, in any span of time: a tenth of a second's worth, and what two workers hold (rate.h).
BURST, HELD = 2, 2
# The receiver's clock starts when a call has arrived: a call may be late, and come close to the next.
LATE = 0.1
PARTITIONS = 2 * 12  # of both topics


@pytest.fixture
def two_workers(stack):
    """Both with their part of the partitions."""
    stack.start(workers=2)
    for worker in stack.workers:
        worker.wait_log("intake.assigned", 40)
    wait_shared(stack.workers)
    return stack.workers


def wait_shared(workers):
    wait_until(lambda: all(worker.assigned == PARTITIONS // 2 for worker in workers), 40,
               lambda: f"an even assignment: {[worker.assigned for worker in workers]}")


def limit(api, key, calls):
    must(api.patch(f"/docket/endpoint/{key}", {"rate_limit": calls}))


def most_in(times, span):
    """The most that came within any such span."""
    times = sorted(times)
    return max(bisect.bisect_right(times, start + span) - index for index, start in enumerate(times))


def calls_of(receiver, path, count, timeout):
    return [call.time for call in receiver.wait_calls(count, path, timeout=timeout)]


def assert_kept(times, calls, extra=BURST + HELD):
    for span in (0.5, 1, 2):
        assert most_in(times, span) <= calls * (span + LATE) + extra, (span, times)


def assert_used(times, calls):
    """Most of what is allowed, in the best second."""
    assert most_in(times, 1) >= 0.7 * calls, times


def test_two_workers_keep_to_one_limit(two_workers, api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    limit(api, "crm", 20)
    for _ in range(100):
        api.create_request(identity())
    times = calls_of(receiver, "/crm", 100, 40)
    assert_kept(times, 20)
    assert_used(times, 20)
    assert len(times) == 100, "each once"


def test_a_limit_holds_up_no_other_endpoint(api, receiver, identity):
    """Every request owes a call to both: the last of one comes long before the other's."""
    api.make_webhooks(receiver, slow=Answer(), fast=Answer())
    limit(api, "slow", 4)
    api.create_requests(identity() for _ in range(40))
    fast = calls_of(receiver, "/fast", 40, 20)
    slow = calls_of(receiver, "/slow", 40, 20)
    assert max(fast) < sorted(slow)[20]
    assert_kept(slow, 4, extra=2)


def test_one_call_a_second_is_one_call_a_second(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    limit(api, "crm", 1)
    for _ in range(4):
        api.create_request(identity())
    times = sorted(calls_of(receiver, "/crm", 4, 20))
    assert all(later - earlier > 1 - LATE for earlier, later in zip(times, times[1:])), times


def test_a_limit_that_is_changed_counts_from_then_on(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    limit(api, "crm", 1)
    api.create_requests(identity() for _ in range(50))
    receiver.wait_calls(2, "/crm")
    limit(api, "crm", None)
    times = sorted(calls_of(receiver, "/crm", 50, 20))
    assert most_in(times, 2) > 10, "ten times what it was"


@pytest.mark.parametrize(("stop", "go"), [("pause", "resume"), ("disable", "enable")])
def test_what_waits_for_an_endpoint_that_is_stopped_is_not_called(api, receiver, identity, stop, go):
    """Calls stand in the worker's queue, as the limit keeps them there."""

    def switch(word):
        if word in ("pause", "resume"):
            must(api.post(f"/docket/endpoint/crm/{word}"))
        else:
            must(api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "read",
                                            "disabled": word == "disable"}]))

    api.make_webhooks(receiver, crm=Answer())
    limit(api, "crm", 5)
    for _ in range(20):
        api.create_request(identity())
    receiver.wait_calls(3, "/crm")
    switch(stop)
    stopped = time.time()
    quiet = 2.5  # seconds: time for ten more
    wait_until(lambda: time.time() > stopped + quiet, 5, "calls that must not come")
    assert not [call for call in receiver.calls("/crm") if call.time > stopped + 1]
    switch(go)
    assert len(calls_of(receiver, "/crm", 20, 30)) == 20


def without_redis(stack, workers, proxy):
    """Both workers on a Redis of which they can be deprived, one after the other so that each is a member again."""
    url = f"redis://127.0.0.1:{proxy.port}/{stack.redis_number}"
    for worker in workers:
        change_worker(worker, worker.settings | {"DOCKET_REDIS_URL": url})
    wait_shared(workers)


@contextlib.contextmanager
def proxied(stack, workers):
    before = [dict(worker.settings) for worker in workers]
    proxy = Proxy(stack.redis.port)
    try:
        without_redis(stack, workers, proxy)
        yield proxy
    finally:
        for worker, settings in zip(workers, before):
            worker.settings = settings
        workers[0].stop()
        proxy.close()


def test_without_redis_two_workers_share_the_limit(stack, two_workers, api, receiver, identity):
    with proxied(stack, two_workers) as proxy:
        api.make_webhooks(receiver, crm=Answer())
        limit(api, "crm", 20)
        proxy.refuse()
        for worker in two_workers:
            worker.wait_log("cache.without")
        for _ in range(60):
            api.create_request(identity())
        times = calls_of(receiver, "/crm", 60, 40)
        assert_kept(times, 20)
        assert_used(times, 20)


def test_one_worker_without_redis_has_all_of_it(stack, api, receiver, identity):
    proxy = Proxy(stack.redis.port)
    proxy.refuse()
    try:
        with worker_settings(stack, DOCKET_REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0") as worker:
            api.make_webhooks(receiver, crm=Answer())
            limit(api, "crm", 20)
            stack.wait_assigned()
            for _ in range(40):
                api.create_request(identity())
            times = calls_of(receiver, "/crm", 40, 20)
            assert_kept(times, 20)
            assert_used(times, 20)
            assert worker.log_contains("cache.without")
    finally:
        proxy.close()


# --- the board -----------------------------------------------------------------------------------------------


def board(stack, db, key):
    """Worker's name -> what it shows of the endpoint."""
    [connection_id] = db.execute("select id from connection where key = %s", (key,)).fetchone()
    with redis.Redis.from_url(stack.redis.url(stack.redis_number), decode_responses=True) as client:
        name = f"{stack.name}:endpoint:{connection_id}"
        return {worker: json.loads(row) for worker, row in client.hgetall(name).items()}, client.ttl(name)


def test_a_worker_shows_how_it_stands_with_an_endpoint(stack, api, receiver, identity, db):
    api.make_webhooks(receiver, crm=Answer(delay=3))
    for _ in range(3):
        api.create_request(identity())
    wait_until(lambda: any(row["underway"] == 3 for row in board(stack, db, "crm")[0].values()), 10, "three calls")
    rows, life = board(stack, db, "crm")
    assert 0 < life <= 10
    [(name, row)] = rows.items()
    assert name.endswith(f"/{stack.listen(stack.workers[0])}")
    assert set(row) == {"breaker", "open_until", "underway", "queued", "calls", "failures", "at"}
    assert (row["breaker"], row["open_until"], row["queued"]) == ("closed", None, 0)
    receiver.let_go()
    wait_until(lambda: all(row["calls"] == 3 and not row["underway"] for row in board(stack, db, "crm")[0].values()),
               10, "three calls made")
    shown = must(api.get("/docket/endpoint/crm"))
    assert shown["breaker"] == "closed" and [worker["calls"] for worker in shown["workers"]] == [3]
    wait_until(lambda: not board(stack, db, "crm")[0], 30, "the row to be gone, as nothing happens any more")


BREAKER = {"DOCKET_BREAKER_CALLS": "4", "DOCKET_BREAKER_OPEN": "4s", "DOCKET_WEBHOOK_RETRY_JITTER": "0",
           "DOCKET_WEBHOOK_RETRY_SCHEDULE": ",".join(["200ms"] * 40)}


@pytest.mark.settings(**BREAKER)
def test_a_breaker_that_opens_is_a_hint_to_the_other_worker(stack, two_workers, api, receiver, identity, db):
    """One of them would never open its own: what it has of its partner's is a hint."""
    patient = two_workers[1]
    change_worker(patient, patient.settings | {"DOCKET_BREAKER_CALLS": "1000000"})
    wait_shared(two_workers)
    api.make_webhooks(receiver, crm=Answer(500))
    ids = [api.create_request(identity())["id"] for _ in range(12)]
    patient.wait_log("breaker.hinted", 20)
    assert not patient.log_contains("breaker.opened")
    wait_until(lambda: {row["breaker"] for row in board(stack, db, "crm")[0].values()} == {"open"}, 10, "both shown")
    rows = board(stack, db, "crm")[0].values()
    assert all(row["open_until"] for row in rows)
    receiver.script("/crm", Reply("eligible"))
    for request_id in ids:
        api.wait_status(request_id, "complete", timeout=40)


@pytest.mark.settings(**BREAKER)
def test_a_worker_that_comes_back_knows_of_an_open_breaker(stack, api, receiver, identity):
    worker = stack.workers[0]
    worker.wait_log("intake.assigned", 40)
    api.make_webhooks(receiver, crm=Answer(500))
    request_id = api.create_request(identity())["id"]
    worker.wait_log("breaker.opened", 20)
    opened = time.time()
    worker.stop()
    worker.start()
    worker.wait_log("breaker.hinted", 20)
    known = [call.time for call in receiver.calls("/crm") if call.time > opened]
    assert len(known) <= 2, "one may go before Redis has answered"
    receiver.script("/crm", Reply("eligible"))
    api.wait_status(request_id, "complete", timeout=40)
