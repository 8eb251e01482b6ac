"""A deleted request is out of the lists, and nothing goes on with it; what it was stays on record."""

import uuid

import pytest

from configuring import assert_scope, refusal
from pausing import GO, HALT, gates  # noqa: F401
from utils import Answer, Hang, must, must_all, wait_until

DELETED = "docket.request.deleted.v1"


@pytest.fixture
def pending(api, identity):
    """pending(): the id of a request that a person has to approve."""
    return lambda: api.create_request(identity())["id"]


def remove(api, request_id):
    answer = api.post(f"/privacy-request/{request_id}/soft-delete")
    assert must(answer) is None and answer.text == "null"


def test_it_is_hidden_and_its_status_stays(api, pending, bus):
    request_id = pending()
    remove(api, request_id)
    assert api.find(request_id) is None
    shown = api.find(request_id, include_deleted_requests=True)
    assert shown["status"] == "pending" and shown["deleted_by"] == "root" and shown["deleted_at"]
    [deleted] = {event.id: event for event in bus.wait_types(request_id, DELETED) if event.type == DELETED}.values()
    assert "status" not in deleted.data and deleted.data["by"] == "client" and deleted.data["user_id"] is None


def test_one_that_is_unknown_or_deleted_already(api, pending):
    unknown = f"pri_{uuid.uuid4()}"
    assert refusal(api.post(f"/privacy-request/{unknown}/soft-delete")) == (
        404, f"No privacy request found with id '{unknown}'.")
    request_id = pending()
    remove(api, request_id)
    assert refusal(api.post(f"/privacy-request/{request_id}/soft-delete")) == (
        422, f"Privacy request with id {request_id} has been deleted.")


def test_many_at_once_each_told_for_itself(api, pending):
    ids = [pending() for _ in range(3)]
    remove(api, ids[1])
    unknown = f"pri_{uuid.uuid4()}"
    result = must(api.post("/privacy-request/bulk/soft-delete", {"request_ids": [*ids, unknown]}))
    assert result["succeeded"] == [ids[0], ids[2]]
    assert [(entry["message"], entry["data"]) for entry in result["failed"]] == [
        (f"Privacy request '{ids[1]}' has already been deleted.", {"privacy_request_id": ids[1]}),
        (f"No privacy request found with id '{unknown}'", {"privacy_request_id": unknown})]


def test_any_status_may_be_deleted(api, pending):
    denied, canceled = pending(), pending()
    must_all(api.patch("/privacy-request/administrate/deny", [denied]))
    must_all(api.patch("/privacy-request/administrate/cancel", [canceled]))
    for request_id, status in ((denied, "denied"), (canceled, "canceled")):
        remove(api, request_id)
        assert api.find(request_id, include_deleted_requests=True)["status"] == status


def test_calls_that_wait_are_given_up(api, receiver, identity, db):
    api.make_webhooks(receiver, crm=Answer(status=503), tickets=Answer())
    must_all(api.patch("/connection", [{"key": "tickets", "name": "tickets", "connection_type": "https",
                                        "access": "read", "disabled": True}]))
    request_id = api.create_request(identity())["id"]
    receiver.wait_calls(1, "/crm", request_id)
    remove(api, request_id)
    rows = db.execute("select state, outcome, settled_at is not null, due_at from webhook_delivery "
                      "where request_id = %s", (request_id,)).fetchall()
    assert rows == [("given_up", "request_decided", True, None)] * 2


def test_a_paused_one_does_not_go_on(api, gates, db):
    gates.build(gate=HALT, after=GO)
    request_id = gates.request()
    remove(api, request_id)
    assert gates.resume("gate", request_id).status_code == 422
    assert db.execute("select count(*) from request_timer where request_id = %s", (request_id,)).fetchone() == (0,)


def test_a_run_under_way_ends_with_the_call_that_it_makes(api, gates, receiver):
    gates.build(gate=Answer(json={"halt": False}, delay=1), after=GO)
    request_id = gates.request("in_processing")
    receiver.wait_calls(1, "/gate", request_id)
    remove(api, request_id)
    other = gates.request("complete")  # whatever comes later is through
    assert receiver.calls("/after", other) and not receiver.calls("/after", request_id)
    assert api.find(request_id, include_deleted_requests=True)["status"] == "in_processing"


@pytest.mark.parametrize("status, script", [("paused", HALT), ("in_processing", Hang())])
def test_canceling_a_run_gives_its_calls_up(api, gates, receiver, db, status, script):
    gates.build(gate=script, after=GO)
    request_id = gates.request(status)
    receiver.wait_calls(1, "/gate", request_id)
    [shown] = must_all(api.patch("/privacy-request/administrate/cancel", [request_id]))
    assert shown["status"] == "canceled"
    wait_until(lambda: db.execute("select count(*) from webhook_delivery where request_id = %s and state in "
                                  "('waiting', 'held')", (request_id,)).fetchone() == (0,), 10, "no call to wait")
    assert gates.resume("gate", request_id).status_code == 400
    assert not receiver.calls("/after", request_id)


@pytest.mark.parametrize("path", ["/privacy-request/pri_1/soft-delete", "/privacy-request/bulk/soft-delete"])
def test_its_scope(api, path):
    assert_scope(api, "POST", path, "privacy-request:delete")
