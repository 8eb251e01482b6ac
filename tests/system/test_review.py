"""People decide: approve, deny and cancel, one or many, by ids or by filters, and only one decision wins."""

import html
from concurrent.futures import ThreadPoolExecutor

import pytest

from utils import Answer, must, must_all


def review(api, verb, body):
    return must(api.patch(f"/privacy-request/administrate/{verb}", body))


def messages(result):
    return [failed["message"] for failed in result["failed"]]


def make(api, identity, count, **more):
    elements = [{"policy_key": "default_access_policy", "identity": {"email": identity()}} | more
                for _ in range(count)]
    return [created["id"] for created in must_all(api.anonymous().post("/privacy-request", elements))]


def refused(api, body, verb="approve"):
    answer = api.patch(f"/privacy-request/administrate/{verb}", body)
    assert answer.status_code == 422, answer.text
    return [error["msg"] for error in answer.json()["detail"]]


@pytest.mark.parametrize("form", [lambda ids: ids, lambda ids: {"request_ids": ids}])
def test_ids_come_bare_or_named(api, identity, form):
    ids = make(api, identity, 3)
    result = review(api, "approve", form(ids))
    assert [request["id"] for request in result["succeeded"]] == ids and result["failed"] == []
    for request in result["succeeded"]:
        assert request["reviewed_at"] and request["reviewed_by"] is None
    for request_id in ids:
        api.wait_status(request_id, "complete")


def test_each_id_counts_once(api, identity):
    [one] = make(api, identity, 1)
    result = review(api, "deny", [one, one, one])
    assert [request["id"] for request in result["succeeded"]] == [one] and result["failed"] == []


def test_what_cannot_be_is_told_of_each(api, identity):
    good, denied = make(api, identity, 2)
    must_all(api.patch("/privacy-request/administrate/deny", [denied]))
    result = review(api, "approve", ["pri_unknown", denied, good])
    assert [request["id"] for request in result["succeeded"]] == [good]
    assert messages(result) == ["No privacy request found with id 'pri_unknown'", "Cannot transition status"]
    assert result["failed"][0]["data"] == {"privacy_request_id": "pri_unknown"}
    assert result["failed"][1]["data"]["id"] == denied
    assert result["failed"][1]["data"]["status"] == "denied"


@pytest.mark.by_hand
def test_a_deleted_request_stays_as_it_is(api, identity, db):
    [request_id] = make(api, identity, 1)
    db.execute("update privacy_request set deleted_at = now(), deleted_by = 'root' where id = %s", (request_id,))
    for verb in ("approve", "deny", "cancel"):
        assert messages(review(api, verb, [request_id])) == ["Cannot transition status for a deleted request"]


def test_a_reason_is_escaped_sealed_and_shown(api, identity, db):
    [request_id] = make(api, identity, 1)
    reason = f"<i>{identity.derived()}</i> & 'more'"
    review(api, "deny", {"request_ids": [request_id], "reason": reason})
    [entry] = api.timeline(request_id)["Request denied"]
    assert entry["message"] == html.escape(reason)
    assert entry["status"] == "denied" and entry["user_id"] is None
    text = db.execute("select p::text from privacy_request p where id = %s", (request_id,)).fetchone()[0]
    assert reason not in text and reason.encode().hex() not in text


def test_a_canceled_request_keeps_why(api, identity):
    [request_id] = make(api, identity, 1)
    review(api, "cancel", {"request_ids": [request_id], "reason": "asked by mistake"})
    assert api.find(request_id)["status"] == "canceled"
    assert api.timeline(request_id)["Request canceled"][0]["message"] == "asked by mistake"
    assert messages(review(api, "cancel", [request_id])) == ["Cannot cancel privacy request in canceled status"]


def test_a_reason_has_a_limit(api, identity):
    [request_id] = make(api, identity, 1)
    assert refused(api, {"request_ids": [request_id], "reason": "x" * 32001}, "deny") == [
        "String should have at most 32000 characters"]
    review(api, "deny", {"request_ids": [request_id], "reason": "\"" * 32000})
    assert api.timeline(request_id)["Request denied"][0]["message"] == "&quot;" * 32000


@pytest.mark.parametrize("body", [
    {}, [], {"request_ids": []}, {"exclude_ids": ["pri_1"]},
    {"request_ids": ["pri_1"], "filters": {}}, {"request_ids": ["pri_1"], "exclude_ids": ["pri_2"]},
    {"filters": {"no_such_filter": 1}}, {"filters": {"status": "new"}}, {"request_ids": "pri_1"}, 7, None,
])
def test_what_is_no_selection_is_refused(api, body):
    assert refused(api, body)


def test_filters_select_and_exclusions_are_left_out(api, identity):
    mine = identity.derived()
    ids = make(api, identity, 4, external_id=mine)
    others = make(api, identity, 1)
    result = review(api, "deny", {"filters": {"external_id": mine, "status": "pending"}, "exclude_ids": ids[:1],
                                  "reason": "all of them"})
    assert {request["id"] for request in result["succeeded"]} == set(ids[1:])
    assert api.status(ids[0]) == "pending" and api.status(others[0]) == "pending"


def test_many_are_decided_in_one_call(api, identity):
    ids = [request_id for _ in range(5) for request_id in make(api, identity, 50)]
    result = review(api, "cancel", {"request_ids": ids})
    assert [request["id"] for request in result["succeeded"]] == ids
    assert {request["status"] for request in result["succeeded"]} == {"canceled"}


def test_calls_that_are_no_longer_wanted_are_given_up(api, receiver, identity, db):
    api.make_webhooks(receiver, crm=Answer(status=503), tickets=Answer())
    must_all(api.patch("/connection", [{"key": "tickets", "name": "tickets", "connection_type": "https",
                                        "access": "read", "disabled": True}]))
    [request_id] = make(api, identity, 1)
    receiver.wait_calls(1, "/crm", request_id)
    review(api, "deny", [request_id])
    rows = db.execute("select state, settled_at is not null, due_at from webhook_delivery where request_id = %s",
                      (request_id,)).fetchall()
    assert rows == [("given_up", True, None)] * 2
    assert api.status(request_id) == "denied"


def test_only_one_decision_wins(api, identity, bus):
    ids = make(api, identity, 20)

    def decide(verb):
        return verb, {request["id"] for request in review(api, verb, ids)["succeeded"]}

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(decide, ["deny", "cancel"] * 3))
    winners = [request_id for _, won in results for request_id in won]
    assert sorted(winners) == sorted(ids)
    for verb, won in results:
        for request_id in won:
            assert api.status(request_id) == {"deny": "denied", "cancel": "canceled"}[verb]
            decided = f"docket.request.{'denied' if verb == 'deny' else 'canceled'}.v1"
            events = bus.wait_types(request_id, decided)
            assert [event.type for event in events] == ["docket.request.created.v1", decided]


def test_scopes_are_asked_for(api):
    assert api.anonymous().patch("/privacy-request/administrate/approve", ["pri_1"]).status_code == 401
    client = must(api.post("/oauth/client", {"scopes": ["privacy-request:read"]}))
    reader = type(api).login(api.url, client["client_id"], client["client_secret"])
    for verb in ("approve", "deny", "cancel"):
        answer = reader.patch(f"/privacy-request/administrate/{verb}", ["pri_1"])
        assert answer.status_code == 403 and "privacy-request:review" in answer.json()["detail"]
