"""What further attempts at a policy webhook mean for the run, and what a retried run makes anew."""

import time
from datetime import datetime

import pytest

from stepping import (cancel, deliveries, element, go_on, halt, make_steps, one_way, order, put_steps, start, told,
                      two_way, wait_delivery, wait_told)
from utils import Answer, Close, Hang, must, must_all, wait_until, worker_settings

SCHEDULE = "500ms,700ms"
ATTEMPTS = 3
BOTH = pytest.mark.parametrize("when", ["pre", "post"])
FAILED = "Webhook 'crm' returned an error: Client call failed with status code '{}'"


@pytest.fixture(scope="module", autouse=True)
def impatient_worker(stack):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE=SCHEDULE, DOCKET_WEBHOOK_RETRY_JITTER=0,
                         DOCKET_WEBHOOK_TIMEOUT="1s", DOCKET_WEBHOOK_CONNECT_TIMEOUT="1s"):
        yield


def schedule(api, key, words):
    """Its own, instead of the worker's."""
    must(api.patch(f"/docket/endpoint/{key}", {"retry_schedule": words}))


def ids(receiver, path, request_id):
    return {call.headers["webhook-id"] for call in receiver.calls(path, request_id)}


# --- one_way: an answer is an answer -----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_one_way_goes_on_at_once_and_is_tried_again_beside(api, receiver, identity, db, when, status):
    make_steps(api, receiver, when, crm=one_way(Answer(status), Answer()), last=two_way())
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    last = receiver.calls("/last", request_id)[0]
    assert wait_delivery(db, request_id, "crm", "delivered")[1:] == (2, "succeeded")
    first, second = receiver.calls("/crm", request_id)
    assert first.time < last.time < second.time and second.time - first.time >= 0.5
    assert len(ids(receiver, "/crm", request_id)) == 1
    assert told(api, request_id, "Webhook: crm") == [
        FAILED.format(status), "Webhook 'crm' was called successfully at attempt 2"]
    assert api.status(request_id) == "complete"


@BOTH
def test_one_way_that_is_given_up_beside_leaves_the_request_complete(api, receiver, identity, db, bus, when):
    make_steps(api, receiver, when, crm=one_way(Answer(503)))
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    assert wait_delivery(db, request_id, "crm", "given_up")[1:] == (ATTEMPTS, "http_5xx")
    assert api.status(request_id) == "complete"
    bus.wait_types(request_id, "docket.request.webhook_given_up.v1")
    assert order(receiver, request_id) == ["crm"] * ATTEMPTS


def test_one_way_without_an_answer_holds_the_run_while_attempts_remain(api, receiver, identity, db):
    make_steps(api, receiver, crm=one_way(Close(reset=True), Answer(503), Answer()), last=two_way())
    request_id = start(api, identity)
    wait_told(api, request_id, "Webhook: crm", "connection_reset")
    assert api.status(request_id) == "in_processing" and receiver.calls("/last", request_id) == []
    api.wait_status(request_id, "complete")  # past the 503: that is an answer
    assert order(receiver, request_id)[:3] == ["crm", "crm", "last"]
    wait_delivery(db, request_id, "crm", "delivered")


@BOTH
def test_one_way_without_an_answer_ends_after_the_last_attempt(api, receiver, identity, db, when):
    make_steps(api, receiver, when, crm=one_way(Close(reset=True)), last=two_way())
    request_id = start(api, identity)
    request = api.wait_status(request_id, "error")
    assert deliveries(db, request_id) == {"crm": ("given_up", ATTEMPTS, "connection_reset")}
    assert request["action_required_details"]["step"] == f"{when}_webhooks"
    messages = told(api, request_id, "Webhook: crm")
    assert messages[-1] == FAILED.format(500)
    assert all(message.startswith(FAILED.format(500) + " (connection_reset). Next attempt at ")
               for message in messages[:-1]) and len(messages) == ATTEMPTS


# --- two_way: only a good answer will do ----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("failure, outcome", [(Answer(503), "http_5xx"), (Answer(429), "http_4xx"),
                                              (Close(reset=True), "connection_reset"), (Hang(), "timeout")],
                         ids=["503", "429", "reset", "no answer"])
def test_two_way_holds_the_run_until_it_is_answered_well(api, receiver, identity, db, when, failure, outcome):
    make_steps(api, receiver, when, crm=two_way(failure, go_on()), last=one_way())
    request_id = start(api, identity)
    message = wait_told(api, request_id, "Webhook: crm", outcome)
    assert api.status(request_id) == "in_processing" and receiver.calls("/last", request_id) == []
    assert ". Next attempt at " in message
    api.wait_status(request_id, "complete")
    assert deliveries(db, request_id)["crm"] == ("delivered", 2, "succeeded")
    assert len(ids(receiver, "/crm", request_id)) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_two_way_that_is_refused_for_good_ends_at_once(api, receiver, identity, db, status):
    make_steps(api, receiver, crm=two_way(Answer(status)), last=one_way())
    request_id = start(api, identity)
    api.wait_status(request_id, "error")
    assert order(receiver, request_id) == ["crm"]
    assert told(api, request_id, "Webhook: crm") == [FAILED.format(status)]


def test_two_way_with_an_answer_that_is_not_valid_is_not_asked_again(api, receiver, identity):
    """The same would come again; the endpoint has done its work."""
    make_steps(api, receiver, crm=two_way(Answer(body=b"[]")))
    request_id = start(api, identity)
    api.wait_status(request_id, "error")
    assert order(receiver, request_id) == ["crm"]


@BOTH
def test_two_way_ends_after_the_last_attempt(api, receiver, identity, db, when):
    make_steps(api, receiver, when, crm=two_way(Answer(503)), last=one_way())
    request_id = start(api, identity)
    request = api.wait_status(request_id, "error")
    assert request["action_required_details"]["step"] == f"{when}_webhooks"
    assert order(receiver, request_id) == ["crm"] * ATTEMPTS
    assert told(api, request_id, "Webhook: crm")[-1] == FAILED.format(503)


def test_while_attempts_remain_the_timeline_shows_the_next_one_s_time(api, receiver, identity):
    make_steps(api, receiver, crm=two_way(Answer(503)))
    schedule(api, "crm", "1h")
    began = time.time()
    request_id = start(api, identity)
    message = wait_told(api, request_id, "Webhook: crm", "Next attempt at ")
    assert message.startswith(FAILED.format(503) + " (http_5xx). Next attempt at ")
    at = datetime.fromisoformat(message.rpartition(" ")[2]).timestamp()
    assert began + 3600 <= at <= time.time() + 3600
    entry = api.timeline(request_id)["Webhook: crm"][0]
    assert entry["status"] == "retrying"
    assert api.status(request_id) == "in_processing"
    cancel(api, request_id)


def test_a_halt_at_a_later_attempt_pauses_too(api, receiver, identity):
    make_steps(api, receiver, crm=two_way(Answer(503), halt()), last=one_way())
    request_id = start(api, identity)
    api.wait_status(request_id, "paused")
    assert receiver.reply(receiver.calls("/crm", request_id)[0], "resume").status == 200, "any attempt's token does"
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["crm", "crm", "last"]


# --- a retried run -----------------------------------------------------------------------------------------------


@BOTH
def test_a_retry_goes_on_from_the_webhook_that_failed(api, receiver, identity, db, when):
    make_steps(api, receiver, when, a=two_way(), crm=two_way(Answer(404), go_on()), c=one_way())
    request_id = start(api, identity)
    api.wait_status(request_id, "error")
    shown = must(api.post(f"/privacy-request/{request_id}/retry"))
    assert shown["id"] == request_id and shown["status"] in ("in_processing", "complete")
    request = api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "crm", "crm", "c"]
    assert request["action_required_details"] is None
    assert set(deliveries(db, request_id).values()) <= {("delivered", 1, "succeeded"), ("delivered", 2, "succeeded")}
    assert told(api, request_id, "Request retried") == [f"From {when}_webhooks"]


def test_a_retry_has_the_whole_schedule_again(api, receiver, identity):
    make_steps(api, receiver, crm=two_way(*[Answer(503)] * (2 * ATTEMPTS - 1), go_on()))
    request_id = start(api, identity)
    api.wait_status(request_id, "error")
    must(api.post(f"/privacy-request/{request_id}/retry"))
    api.wait_status(request_id, "complete")
    assert len(receiver.calls("/crm", request_id)) == 2 * ATTEMPTS


def test_a_bulk_retry_goes_on_from_where_each_one_failed(api, receiver, identity):
    make_steps(api, receiver, "pre", a=two_way(), b=two_way())
    make_steps(api, receiver, "post", c=two_way())
    expected = {}
    for name in ("a", "b", "c"):
        receiver.script(f"/{name}", Answer(404), go_on())
        request_id = start(api, identity)
        api.wait_status(request_id, "error")
        expected[request_id] = [*"abc"["abc".index(name):]]
    before = {request_id: len(receiver.calls(request_id=request_id)) for request_id in expected}
    answer = must_all(api.post("/privacy-request/bulk/retry", {"request_ids": list(expected)}))
    assert {item["id"] for item in answer} == set(expected)
    for request_id, names in expected.items():
        api.wait_status(request_id, "complete")
        assert order(receiver, request_id)[before[request_id]:] == names


def test_a_retry_by_the_list_that_stands_now(api, receiver, identity):
    """What failed is off the list: the run goes on with the rest; what was called is not called again."""
    make_steps(api, receiver, a=two_way(), bad=two_way(Answer(404)), c=one_way())
    request_id = start(api, identity)
    api.wait_status(request_id, "error")
    put_steps(api, "pre", element("c"), element("a", "two_way"))
    must(api.post(f"/privacy-request/{request_id}/retry"))
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "bad", "c"]


# --- 410 -----------------------------------------------------------------------------------------------------------


def endpoint(api, key):
    return must(api.get(f"/docket/endpoint/{key}"))


@BOTH
def test_a_410_pauses_the_endpoint_and_holds_the_run(api, receiver, identity, db, when):
    make_steps(api, receiver, when, crm=two_way(Answer(410), go_on()), last=one_way())
    request_id = start(api, identity)
    wait_delivery(db, request_id, "crm", "held")
    assert endpoint(api, "crm")["paused_reason"] == "gone"
    assert api.status(request_id) == "in_processing"
    assert wait_told(api, request_id, "Webhook: crm", "its endpoint is paused. Its calls are held")
    later = start(api, identity)
    wait_delivery(db, later, "crm", "held")
    assert receiver.calls("/crm", later) == [] and api.status(later) == "in_processing"
    assert wait_told(api, later, "Webhook: crm", "was not called: its endpoint is paused")
    must(api.post("/docket/endpoint/crm/resume"))
    for held in (request_id, later):
        api.wait_status(held, "complete")
        assert wait_told(api, held, "Webhook: crm", "is called: its endpoint is resumed")
    assert order(receiver, request_id) == ["crm", "crm", "last"]


def test_a_410_of_one_way_lets_that_run_go_on_and_holds_the_next(api, receiver, identity, db):
    make_steps(api, receiver, crm=one_way(Answer(410), Answer()), last=two_way())
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    wait_until(lambda: endpoint(api, "crm")["paused_at"], 10, "the endpoint to be paused")
    later = start(api, identity)
    wait_delivery(db, later, "crm", "held")
    assert order(receiver, later) == []
    must(api.post("/docket/endpoint/crm/resume"))
    api.wait_status(later, "complete")
    assert order(receiver, request_id) == ["crm", "last"], "what was passed is not called again"
