"""What people fill in while a request waits for it, and that it goes on.
Contract: rest.md 12, lifecycle.md 7, dsr.md 5."""

import uuid

import pytest

from asking import (CONTINUED, GIVEN, POLICY, REQUIRED, definition, desk, input_path, make_policy,  # noqa: F401
                    manual_connection, resume_path)
from configuring import assert_scope, errors, refusal
from utils import must, must_all, wait_until

ACTIONS = ["access", "erasure"]
NONE_SET = {"first_name": None, "last_name": None}


@pytest.fixture
def archive(desk):
    """People who are asked for two values."""
    desk.ask("archive", "first_name", "last_name")


@pytest.fixture
def both(api):
    """A policy that reads and erases."""
    return make_policy(api, *ACTIONS)


def told(api, request_id):
    """The timeline's group of manual input, as (status, message)."""
    return [(entry["status"], entry["message"]) for entry in api.timeline(request_id)["Manual input"]]


def events(db, request_id, *types):
    rows = db.execute("select type, convert_from(payload, 'UTF8')::jsonb from request_event where request_id = %s "
                      "and type = any(%s) order by seq", (request_id, list(types)))
    return [payload for _, payload in rows]


def cannot_upload(request_id, status, action="access"):
    return 400, f"Invalid manual webhook {action} upload request: privacy request '{request_id}' status = {status}."


def cannot_resume(request_id, what, key="archive"):
    return 400, (f"Cannot resume privacy request. {what} for privacy_request_id '{request_id}' for connection config "
                 f"'{key}'")


# --- good paths --------------------------------------------------------------------------------------------


def test_a_request_waits_is_filled_in_and_goes_on(api, desk, archive, identity, db, bus):
    request_id = desk.start()
    assert events(db, request_id, REQUIRED) == [
        {"request_id": request_id, "status": "requires_input", "awaited": "access:archive"}]
    assert desk.shown(request_id, "archive") == {"checked": False, "fields": NONE_SET}
    values = {"first_name": identity.derived("Jane"), "last_name": identity.derived()}
    assert must(desk.fill(request_id, "archive", values)) is None
    assert desk.shown(request_id, "archive") == {"checked": True, "fields": values}
    assert api.status(request_id) == "requires_input"
    shown = must(desk.resume(request_id))
    assert shown["id"] == request_id and shown["status"] in ("in_processing", "complete")
    api.wait_status(request_id, "complete")
    assert told(api, request_id) == [
        ("awaiting_processing", "The request waits for manual input: archive (access)"),
        ("complete", "Manual input was given for connection 'archive' (access)"),
        ("complete", "All manual input is there. The request goes on")]
    [given] = [event for event in bus.wait_types(request_id, CONTINUED) if event.type == GIVEN]
    told_of = given.data
    assert told_of.pop("webhook_id").startswith("acc_")
    assert told_of == {"request_id": request_id, "connection_key": "archive", "action": "access", "by": "client",
                          "user_id": None, "labels": ["first_name", "last_name"], "client_id": "docket_root"}


def test_a_list_says_how_it_goes_on(api, desk, archive):
    request_id = desk.start()
    found = api.find(request_id)
    assert found["resume_endpoint"] == resume_path(request_id)
    assert found["action_required_details"] is None


def test_what_is_filled_in_replaces_what_was(desk, archive, db):
    request_id = desk.start()
    must(desk.fill(request_id, "archive", {"first_name": "Jane", "last_name": "Customer"}))
    must(desk.fill(request_id, "archive", {"last_name": "Other"}))
    assert desk.shown(request_id, "archive") == {"checked": True,
                                                 "fields": {"first_name": None, "last_name": "Other"}}
    assert db.execute("select labels from manual_input where request_id = %s", (request_id,)).fetchall() == [
        (["first_name", "last_name"],)]
    assert len(events(db, request_id, GIVEN)) == 2


def test_nothing_at_all_is_an_answer_too(api, desk, archive):
    request_id = desk.start()
    must(desk.fill(request_id, "archive", {}))
    assert desk.shown(request_id, "archive") == {"checked": True, "fields": NONE_SET}
    must(desk.resume(request_id))
    api.wait_status(request_id, "complete")


def test_what_is_filled_in_is_kept_sealed(desk, archive, identity, db):
    request_id = desk.start()
    value = identity.derived()
    must(desk.fill(request_id, "archive", {"first_name": value}))
    sealed, by = db.execute("select sealed, saved_by from manual_input where request_id = %s",
                            (request_id,)).fetchone()
    assert not identity.leaks_in("manual_input", bytes(sealed)) and by


@pytest.mark.parametrize("given, kept", [
    (True, True), (False, False), (None, None), (1, True), (0, False), ("yes", True), ("off", False), ("TRUE", True)])
def test_an_erasure_is_confirmed_by_true_or_false(api, desk, both, given, kept):
    desk.ask("archive", "paper", "tape", enabled_actions=["erasure"])
    request_id = desk.start(POLICY)
    must(desk.fill(request_id, "archive", {"paper": given}, "erasure"))
    assert desk.shown(request_id, "archive", "erasure") == {"checked": True, "fields": {"paper": kept, "tape": None}}


def test_an_erasure_asks_only_for_texts(api, desk, both):
    desk.ask("archive", "paper", types=["string", "file"])
    must(api.patch("/connection/archive/access_manual_webhook", {"fields": [
        {"pii_field": "paper", "dsr_package_label": "paper", "types": ["string", "file"]},
        {"pii_field": "scan", "dsr_package_label": "scan", "types": ["file"]}]}))
    request_id = desk.start(POLICY)
    assert desk.shown(request_id, "archive") == {"checked": False, "fields": {"paper": None, "scan": None}}
    assert desk.shown(request_id, "archive", "erasure") == {"checked": False, "fields": {"paper": None}}
    assert errors(desk.fill(request_id, "archive", {"scan": True}, "erasure")) == [
        ("extra_forbidden", ["scan"], "Extra inputs are not permitted")]


def test_all_who_are_asked_must_answer_for_all_that_the_policy_does(api, desk, both, db):
    desk.ask("archive", "paper")
    desk.ask("cellar", "boxes", enabled_actions=["erasure"])
    desk.ask("attic", "boxes", disabled=True)
    request_id = desk.start(POLICY)
    [first] = events(db, request_id, REQUIRED)
    assert sorted(first["awaited"].split(",")) == ["access:archive", "erasure:archive", "erasure:cellar"]
    missing = [("archive", "access"), ("archive", "erasure"), ("cellar", "erasure")]
    while missing:
        status, text = refusal(desk.resume(request_id))
        assert (status, text) in [cannot_resume(request_id, "No data cached", key) for key, _ in missing]
        must(desk.fill(request_id, *missing[0][:1], {}, missing[0][1]))
        missing = missing[1:]
    must(desk.resume(request_id))
    api.wait_status(request_id, "complete")


def test_an_action_that_the_policy_has_not_is_not_asked_about(api, desk):
    desk.ask("archive", "paper")
    request_id = desk.start(make_policy(api, "erasure", key="erasing"))
    must(desk.fill(request_id, "archive", {}, "erasure"))
    must(desk.resume(request_id))
    api.wait_status(request_id, "complete")


def test_a_hundred_thousand_characters_are_taken_and_one_more_is_not(desk, archive):
    request_id = desk.start()
    must(desk.fill(request_id, "archive", {"first_name": "ü" * 100_000}))
    assert desk.shown(request_id, "archive")["fields"]["first_name"] == "ü" * 100_000
    assert errors(desk.fill(request_id, "archive", {"first_name": "ü" * 100_001})) == [
        ("string_too_long", ["first_name"], "String should have at most 100000 characters")]


# --- the definition changes while a request waits ----------------------------------------------------------


def test_a_label_that_comes_later_makes_it_incomplete(api, desk, archive):
    request_id = desk.start()
    must(desk.fill(request_id, "archive", {"first_name": "Jane"}))
    must(api.patch("/connection/archive/access_manual_webhook", definition("first_name", "last_name", "height")))
    assert desk.shown(request_id, "archive") == {
        "checked": False, "fields": {"first_name": "Jane", "last_name": None, "height": None}}
    assert refusal(desk.resume(request_id)) == cannot_resume(request_id, "Fields unset")
    must(desk.fill(request_id, "archive", {"height": "1.80"}))
    must(desk.resume(request_id))
    api.wait_status(request_id, "complete")


def test_a_label_that_goes_later_makes_it_invalid(api, desk, archive):
    request_id = desk.start()
    must(desk.fill(request_id, "archive", {"first_name": "Jane"}))
    must(api.patch("/connection/archive/access_manual_webhook", definition("first_name")))
    assert desk.shown(request_id, "archive") == {"checked": False, "fields": {"first_name": "Jane"}}
    assert refusal(desk.resume(request_id)) == cannot_resume(request_id, "Fields unset")


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("method", ["PATCH", "GET"])
def test_what_is_not_there_is_told_in_its_order(api, desk, archive, identity, method, action):
    def refused(request_id, key):
        return refusal(api.request(method, input_path(request_id, key, action), json={"unknown": 1}))

    unknown = f"pri_{uuid.uuid4()}"
    request_id = api.create_request(identity())["id"]
    must_all(api.patch("/connection", [manual_connection("bare")]))
    api.make_connection("crm", "https://crm.example/hook")
    assert refused(unknown, "nobody") == (404, "No connection config with key 'nobody'.")
    assert refused(unknown, "bare") == (404, f"No privacy request found with id '{unknown}'.")
    assert refused(request_id, "bare") == (
        404, "No access manual webhook exists for connection config with key 'bare'")
    assert refused(request_id, "crm") == (404, "Can't access manual webhooks for ConnectionConfigs of type 'https'")
    assert refused(request_id, "archive") == cannot_upload(request_id, "pending", action)


def test_a_deleted_request(api, desk, archive):
    request_id = desk.start()
    must(api.post(f"/privacy-request/{request_id}/soft-delete"))
    deleted = 422, f"Privacy request with id {request_id} has been deleted."
    assert refusal(desk.fill(request_id, "archive", {})) == deleted
    assert refusal(desk.resume(request_id)) == deleted
    assert desk.shown(request_id, "archive") == {"checked": False, "fields": NONE_SET}


BAD = {
    "an unknown label": ({"first_name": "Jane", "height": "2"}, "access", [
        ("extra_forbidden", ["height"], "Extra inputs are not permitted")]),
    "two of them": ({"a": None, "b": None}, "access", [
        ("extra_forbidden", ["a"], "Extra inputs are not permitted"),
        ("extra_forbidden", ["b"], "Extra inputs are not permitted")]),
    "a number": ({"first_name": 5}, "access", [("string_type", ["first_name"], "Input should be a valid string")]),
    "a list": ({"first_name": []}, "access", [("string_type", ["first_name"], "Input should be a valid string")]),
    "a confirmation that is none": ({"first_name": "maybe"}, "erasure", [
        ("bool_parsing", ["first_name"], "Input should be a valid boolean, unable to interpret input")]),
    "an object to confirm": ({"first_name": {}}, "erasure", [
        ("bool_type", ["first_name"], "Input should be a valid boolean")]),
    "no object": (["first_name"], "access", [("dict_type", ["body"], "Input should be a valid dictionary")]),
}


@pytest.mark.parametrize("case", BAD)
def test_input_that_does_not_fit(desk, archive, both, db, case):
    body, action, expected = BAD[case]
    request_id = desk.start(POLICY)
    assert errors(desk.fill(request_id, "archive", body, action)) == expected
    assert db.execute("select count(*) from manual_input where request_id = %s", (request_id,)).fetchone() == (0,)
    assert events(db, request_id, GIVEN) == []


def test_a_refusal_does_not_repeat_what_was_filled_in(desk, archive, identity):
    request_id = desk.start()
    answer = desk.fill(request_id, "archive", {"height": identity.derived(), "first_name": [identity.derived()]})
    assert answer.status_code == 422 and not identity.leaks_in("the answer", answer.content)


def test_only_a_request_that_waits_for_input_goes_on(api, desk, identity):
    unknown = f"pri_{uuid.uuid4()}"
    assert refusal(desk.resume(unknown)) == (404, f"No privacy request found with id '{unknown}'.")
    request_id = api.create_request(identity())["id"]
    assert refusal(desk.resume(request_id)) == (
        400, f"Cannot resume privacy request from 'requires_input': privacy request '{request_id}' status = pending.")


def test_without_input_it_does_not_go_on(api, desk, archive):
    request_id = desk.start()
    assert refusal(desk.resume(request_id)) == cannot_resume(request_id, "No data cached")
    assert api.status(request_id) == "requires_input"


def test_one_that_is_canceled_takes_no_input(api, desk, archive):
    request_id = desk.start()
    must_all(api.patch("/privacy-request/administrate/cancel", {"request_ids": [request_id]}))
    assert refusal(desk.fill(request_id, "archive", {})) == cannot_upload(request_id, "canceled")
    assert refusal(desk.resume(request_id))[0] == 400


@pytest.mark.parametrize("method, path, scope", [
    ("PATCH", input_path("x", "archive"), "privacy-request:upload_data"),
    ("GET", input_path("x", "archive"), "privacy-request:view_data"),
    ("PATCH", input_path("x", "archive", "erasure"), "privacy-request:upload_data"),
    ("GET", input_path("x", "archive", "erasure"), "privacy-request:view_data"),
    ("POST", resume_path("x"), "privacy-request:resume")])
def test_each_call_needs_its_scope(api, method, path, scope):
    assert_scope(api, method, path, scope)


# --- who is asked changes ----------------------------------------------------------------------------------


def test_one_whose_asker_goes_away_goes_on_by_itself(api, desk, archive, db):
    request_id = desk.start()
    must(api.delete("/connection/archive"), 204)
    api.wait_status(request_id, "complete")
    assert events(db, request_id, CONTINUED)[0]["by"] == "system"
    assert told(api, request_id)[-1] == ("complete", "No manual input is waited for any more. The request goes on")


def test_others_who_are_asked_are_told_anew(api, desk, archive, db):
    request_id = desk.start()
    desk.ask("cellar", "boxes")
    wait_until(lambda: len(events(db, request_id, REQUIRED)) > 1, 15, "others to be waited for")
    last = events(db, request_id, REQUIRED)[-1]
    assert "status" not in last and sorted(last["awaited"].split(",")) == ["access:archive", "access:cellar"]
    assert api.status(request_id) == "requires_input"
