"""A request that ended in error goes on from the step that failed, when somebody says so; no other one does."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from configuring import assert_scope, refusal
from pausing import COMPLETED, GO, gates  # noqa: F401
from utils import Answer, must, must_all

RETRIED = "docket.request.retried.v1"
REFUSES = Answer(status=400)


def cannot(request_id, status):
    return f"Cannot restart privacy request from failure: privacy request '{request_id}' status = {status}."


@pytest.fixture
def pending(api, identity):
    """pending(): the id of a request that a person has to approve."""
    return lambda: api.create_request(identity())["id"]


def test_it_goes_on_from_the_webhook_that_failed(api, gates, receiver, bus):
    gates.build(first=GO, second=[REFUSES, GO], third=GO)
    request_id = gates.request("error")
    shown = must(api.post(f"/privacy-request/{request_id}/retry"))
    assert shown["id"] == request_id and shown["status"] in ("in_processing", "complete")
    api.wait_status(request_id, "complete")
    assert [len(receiver.calls(path, request_id)) for path in ("/first", "/second", "/third")] == [1, 2, 1]
    events = bus.wait_types(request_id, RETRIED, COMPLETED)
    [retried] = {event.id: event for event in events if event.type == RETRIED}.values()
    assert retried.data["step"] == "pre_webhooks" and retried.data["by"] == "client"
    assert retried.data["status"] == "in_processing" and retried.data["user_id"] is None


def test_while_it_fails_again_it_can_be_retried_again(api, gates, receiver, db):
    gates.build(gate=[REFUSES, REFUSES, REFUSES, GO])
    request_id = gates.request("error")
    for run in range(1, 4):
        must(api.post(f"/privacy-request/{request_id}/retry"))
        api.wait_status(request_id, "error" if run < 3 else "complete")
        assert db.execute("select run from privacy_request where id = %s", (request_id,)).fetchone() == (run,)
    assert len(receiver.calls("/gate", request_id)) == 4


def test_only_an_error_is_retried_and_nothing_is_made_anew(api, pending, gates):
    request_id = pending()
    assert refusal(api.post(f"/privacy-request/{request_id}/retry")) == (400, cannot(request_id, "pending"))
    must_all(api.patch("/privacy-request/administrate/deny", [request_id]))
    before = gates.events(request_id)
    assert refusal(api.post(f"/privacy-request/{request_id}/retry")) == (400, cannot(request_id, "denied"))
    assert api.status(request_id) == "denied" and gates.events(request_id) == before


def test_one_that_is_unknown_or_deleted(api, pending):
    unknown = f"pri_{uuid.uuid4()}"
    assert refusal(api.post(f"/privacy-request/{unknown}/retry")) == (
        404, f"No privacy request found with id '{unknown}'.")
    request_id = pending()
    must(api.post(f"/privacy-request/{request_id}/soft-delete"))
    assert refusal(api.post(f"/privacy-request/{request_id}/retry")) == (
        422, f"Privacy request with id {request_id} has been deleted.")


def test_many_at_once_each_told_for_itself(api, gates, pending):
    gates.build(gate=[REFUSES] * 3 + [GO])
    failed = [gates.request("error") for _ in range(3)]
    waiting, deleted, unknown = pending(), pending(), f"pri_{uuid.uuid4()}"
    must(api.post(f"/privacy-request/{deleted}/soft-delete"))
    result = must(api.post("/privacy-request/bulk/retry", [failed[0], unknown, waiting, failed[1], deleted, failed[2],
                                                           failed[0]]))
    assert [request["id"] for request in result["succeeded"]] == failed
    assert [(entry["message"], entry["data"]) for entry in result["failed"]] == [
        (f"No privacy request found with id '{unknown}'", {"privacy_request_id": unknown}),
        (cannot(waiting, "pending"), {"privacy_request_id": waiting}),
        ("Cannot restart a deleted privacy request", {"privacy_request_id": deleted})]
    for request_id in failed:
        api.wait_status(request_id, "complete")
    assert api.status(waiting) == "pending"


def test_filters_select_too(api, gates):
    gates.build(gate=[REFUSES, REFUSES, GO])
    failed = [gates.request("error") for _ in range(2)]
    result = must(api.post("/privacy-request/bulk/retry", {
        "filters": {"status": "error", "request_id": failed[0]}, "exclude_ids": [failed[1]]}))
    assert [request["id"] for request in result["succeeded"]] == failed[:1]
    api.wait_status(failed[0], "complete")
    assert api.status(failed[1]) == "error"


@pytest.mark.parametrize("path", ["retry", "soft-delete"])
@pytest.mark.parametrize("body", [{}, [], {"request_ids": []}, {"exclude_ids": ["pri_1"]}, 7, None,
                                  {"request_ids": ["pri_1"], "filters": {}}, {"filters": {"no_such_filter": 1}}])
def test_what_is_no_selection_is_refused(api, path, body):
    answer = api.post(f"/privacy-request/bulk/{path}", body)
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"][0] == "body"


def test_of_many_at_once_one_takes_effect(api, gates):
    gates.build(gate=[REFUSES, GO])
    request_id = gates.request("error")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.post(f"/privacy-request/{request_id}/retry").status_code, range(6)))
    assert sorted(answers) == [200] + [400] * 5
    assert gates.events(request_id).count(RETRIED) == 1
    api.wait_status(request_id, "complete")


@pytest.mark.parametrize("path", ["/privacy-request/pri_1/retry", "/privacy-request/bulk/retry"])
def test_its_scope(api, path):
    assert_scope(api, "POST", path, "privacy-request:resume")
