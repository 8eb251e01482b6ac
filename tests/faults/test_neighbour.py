"""An endpoint that takes five seconds for an answer holds up nobody else."""

import time

import pytest

from events import consumer_lag
from receiver import Answer, Reply
from stack import wait_until

REQUESTS = 200
SLOW = 5.0  # seconds


@pytest.fixture(autouse=True)
def reading(stack, programs_alive):
    stack.wait_assigned()


def make_requests(api, identity, count):
    ids = []
    elements = [{"policy_key": "default_erasure_policy", "identity": {"email": identity()}}] * 50
    for _ in range(0, count, 50):
        ids += [made["id"] for made in api.anonymous().post("/privacy-request", elements).json()["succeeded"]]
    return ids


def test_fast_calls_are_made_while_slow_ones_are_out(stack, api, receiver, identity):
    """Every request owes a call to both; the fast endpoint has had all of its before the slow one has answered."""
    api.make_webhooks(receiver, slow=Answer(delay=SLOW), fast=Answer())
    began = time.time()
    ids = make_requests(api, identity, REQUESTS)
    assert len(ids) == REQUESTS
    receiver.wait_calls(REQUESTS, "/fast", timeout=SLOW)
    assert {call.request_id for call in receiver.calls("/fast")} == set(ids)
    took = receiver.calls("/fast")[-1].time - began
    print(f"{REQUESTS} fast calls in {took:.2f} s beside slow ones")
    assert took < SLOW
    assert receiver.most_under_way("/slow") > 0
    wait_until(lambda: len(receiver.calls("/slow")) >= REQUESTS, 90, "the slow ones to be made too", every=0.5)
    assert {call.request_id for call in receiver.calls("/slow")} == set(ids)


def test_requests_that_need_only_the_fast_one_run_beside_a_slow_backlog(stack, api, receiver, identity):
    api.make_webhooks(receiver, slow=Answer(delay=SLOW))
    make_requests(api, identity, REQUESTS)
    receiver.wait_calls(64, "/slow")
    api.set_pre_approval()  # no more of those
    api.make_webhooks(receiver, fast=Reply("eligible"))
    fast = make_requests(api, identity, 50)
    began = time.monotonic()
    for request_id in fast:
        api.wait_status(request_id, "complete", timeout=20)
    assert time.monotonic() - began < 15


def test_offsets_are_not_held_back_by_a_slow_endpoint(stack, api, receiver, identity):
    """What waits for an endpoint waits in PostgreSQL; the topic is read on."""
    api.make_webhooks(receiver, slow=Answer(delay=SLOW))
    make_requests(api, identity, REQUESTS)
    receiver.wait_calls(64, "/slow")
    wait_until(lambda: consumer_lag(stack) < REQUESTS, 3 * SLOW, "the worker to read on", every=0.5)
    receiver.let_go()
