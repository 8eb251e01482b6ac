"""What each answer of a policy webhook means for the run, before and after it, one_way and two_way.

One attempt only: what further ones do is in test_policy_retry.py.
"""

import re

import pytest

from stepping import (deliveries, free_port, go_on, halt, make_steps, nowhere, one_way, order, put_steps, start, told,
                      two_way, wait_told)
from utils import Answer, Close, Hang, must, must_all, redirect, worker_settings

BOTH = pytest.mark.parametrize("when", ["pre", "post"])
FAILED = "Webhook 'crm' returned an error: Client call failed with status code '{}'"
INVALID = "Webhook 'crm' returned an invalid response format: "


@pytest.fixture(scope="module", autouse=True)
def one_attempt(stack):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="none", DOCKET_WEBHOOK_TIMEOUT="1s",
                         DOCKET_WEBHOOK_CONNECT_TIMEOUT="1s"):
        yield


def run_between(api, receiver, identity, when, step):
    """The step in the middle of its list, between two that take everything."""
    make_steps(api, receiver, when, first=two_way(), crm=step, last=one_way())
    return start(api, identity)


def expect_complete(api, receiver, request_id):
    request = api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["first", "crm", "last"]
    assert request["finished_processing_at"] and request["action_required_details"] is None
    assert request["resume_endpoint"] is None
    return request


def expect_error(api, request_id, when, message):
    """As the contract has it: status, time, checkpoint and log entry."""
    request = api.wait_status(request_id, "error")
    assert request["finished_processing_at"]
    assert request["action_required_details"]["step"] == f"{when}_webhooks"
    assert request["resume_endpoint"] == f"/privacy-request/{request_id}/retry"
    entry = api.timeline(request_id)["Webhook: crm"][-1]
    assert (entry["message"][:len(message)], entry["status"]) == (message, "error")
    log = must(api.get(f"/privacy-request/{request_id}/log"))["items"]
    assert message in [line["message"][:len(message)] for line in log if line["dataset_name"] == "Webhook: crm"]


# --- webhooks-out.md 8, row by row ---------------------------------------------------------------------------

# Behaviours that let a run go on whatever the direction.
GOOD = {
    "2xx": Answer(json={"halt": False}),
    "2xx, another status": Answer(202, json={"halt": False}),
    "2xx, with keys nobody asked for": Answer(json={"halt": False, "ticket": 1}),
    "2xx, {}": Answer(json={}),
}

# two_way: the words that the timeline must have beside INVALID. one_way: not read.
UNREADABLE = {
    "2xx, an empty value but {}": (Answer(body=b"null"), "the body is not a JSON object"),
    "2xx, empty text": (Answer(body=b""), "the body is empty"),
    "2xx, not JSON": (Answer(body=b"<p>done</p>"), "JSON decode error"),
    "2xx, JSON but not an object": (Answer(json=[{"halt": False}]), "the body is not a JSON object"),
    "2xx, object failing 7": (Answer(json={"derived_identity": {}}), "halt: Field required"),
}
VARIANTS = {
    "2xx, []": (Answer(body=b"[]"), "the body is not a JSON object"),
    "2xx, 0": (Answer(body=b"0"), "the body is not a JSON object"),
    "2xx, empty string": (Answer(body=b'""'), "the body is not a JSON object"),
    "2xx, false": (Answer(body=b"false"), "the body is not a JSON object"),
    "2xx, no content": (Answer(204, body=b""), "the body is empty"),
    "2xx, half of it": (Answer(body=b'{"halt": tr'), "JSON decode error"),
    "2xx, more than is read": (Answer(body=b'{"halt":false,"x":"' + b"x" * 70000 + b'"}'),
                               "the body is longer than what is read of an answer"),
    "2xx, halt null": (Answer(json={"halt": None}), "halt: "),
    "2xx, halt is another word": (Answer(json={"halt": "maybe"}), "halt: "),
    "2xx, halt is another number": (Answer(json={"halt": 2}), "halt: "),
    "2xx, an address that is none": (go_on(email="nobody"), "derived_identity.email: "),
    "2xx, a phone number that is none": (go_on(phone_number="555-5555"), "derived_identity.phone_number: "),
    "2xx, a device id that is none": (go_on(fides_user_device_id="7"), "derived_identity.fides_user_device_id: "),
    "2xx, a custom key without a label": (go_on(loyalty_id="CH-1"), "derived_identity."),
    "2xx, derived identity a list": (Answer(json={"halt": False, "derived_identity": []}), "derived_identity: "),
}

# Statuses that are an answer: one_way goes on, two_way ends.
REFUSING = (302, 307, 400, 401, 404, 429, 500, 503)

# No answer: both directions end, with the code 500.
SILENT = {
    "slow response": (Hang(), "timeout"),
    "hang-up": (Close(), "connection_reset"),
    "reset": (Close(reset=True), "connection_reset"),
    "half an answer": (Answer(headers={"Content-Length": "1000"}), "timeout"),
}


@BOTH
@pytest.mark.parametrize("step", [one_way, two_way])
@pytest.mark.parametrize("row", GOOD)
def test_a_good_answer_lets_the_run_go_on(api, receiver, identity, db, when, step, row):
    request_id = run_between(api, receiver, identity, when, step(GOOD[row]))
    expect_complete(api, receiver, request_id)
    assert set(deliveries(db, request_id).values()) == {("delivered", 1, "succeeded")}


@BOTH
@pytest.mark.parametrize("row", UNREADABLE)
def test_one_way_ignores_the_body_of(api, receiver, identity, when, row):
    expect_complete(api, receiver, run_between(api, receiver, identity, when, one_way(UNREADABLE[row][0])))


def test_one_way_ignores_whatever_a_body_says(api, receiver, identity, db):
    make_steps(api, receiver, crm=one_way(*(behaviour for behaviour, _ in VARIANTS.values())))
    for row in VARIANTS:
        request_id = start(api, identity)
        api.wait_status(request_id, "complete")
        assert deliveries(db, request_id) == {"crm": ("delivered", 1, "succeeded")}, row


@pytest.mark.parametrize("when, row", [*((when, row) for when in ("pre", "post") for row in UNREADABLE),
                                       *(("pre", row) for row in VARIANTS)])
def test_two_way_ends_in_error_at(api, receiver, identity, db, when, row):
    """The run never hangs on it, and the log says what was wrong, without the values."""
    behaviour, words = (UNREADABLE | VARIANTS)[row]
    request_id = run_between(api, receiver, identity, when, two_way(behaviour))
    expect_error(api, request_id, when, INVALID)
    message = told(api, request_id, "Webhook: crm")[-1]
    assert words in message
    assert all(value not in message for value in ("nobody", "555-5555", "CH-1", "maybe", "<p>"))
    assert order(receiver, request_id) == ["first", "crm"]
    assert deliveries(db, request_id)["crm"] == ("given_up", 1, "bad_answer")


@BOTH
@pytest.mark.parametrize("status", REFUSING)
def test_one_way_goes_on_past_the_status(api, receiver, identity, when, status):
    request_id = run_between(api, receiver, identity, when, one_way(refusal(receiver, status)))
    expect_complete(api, receiver, request_id)
    assert wait_told(api, request_id, "Webhook: crm", FAILED.format(status))
    assert receiver.calls("/elsewhere") == []


@BOTH
@pytest.mark.parametrize("status", REFUSING)
def test_two_way_ends_in_error_at_the_status(api, receiver, identity, when, status):
    request_id = run_between(api, receiver, identity, when, two_way(refusal(receiver, status)))
    expect_error(api, request_id, when, FAILED.format(status))
    assert order(receiver, request_id) == ["first", "crm"]
    assert receiver.calls("/elsewhere") == []


def refusal(receiver, status):
    """A 3xx leads somewhere; docket does not go there, unlike the reference."""
    elsewhere = receiver.script("/elsewhere", go_on())
    return redirect(elsewhere, status) if status < 400 else Answer(status, json={"halt": False})


@BOTH
@pytest.mark.parametrize("step", [one_way, two_way])
@pytest.mark.parametrize("row", SILENT)
def test_no_answer_ends_in_error_with_the_code_500(api, receiver, identity, db, when, step, row):
    behaviour, outcome = SILENT[row]
    request_id = run_between(api, receiver, identity, when, step(behaviour))
    expect_error(api, request_id, when, FAILED.format(500))
    # What a kept connection ends on without a byte, libcurl sends once more: the endpoint may have closed it before.
    assert list(dict.fromkeys(order(receiver, request_id))) == ["first", "crm"]
    assert len({call.headers["webhook-id"] for call in receiver.calls("/crm", request_id)}) == 1
    assert deliveries(db, request_id)["crm"] == ("given_up", 1, outcome)


UNREACHABLE = {
    "connection refused": ("connection_refused", lambda receiver: f"http://127.0.0.1:{free_port()}/hook"),
    "DNS": ("dns_error", lambda receiver: nowhere()),
    "TLS": ("tls_error", lambda receiver: receiver.url("/crm").replace("http:", "https:")),
}


@BOTH
@pytest.mark.parametrize("step", [one_way, two_way])
@pytest.mark.parametrize("row", UNREACHABLE)
def test_no_connection_ends_in_error_with_the_code_500(api, receiver, identity, db, when, step, row):
    outcome, url = UNREACHABLE[row]
    make_steps(api, receiver, when, first=two_way(), crm=step(), last=one_way())
    must(api.patch("/connection/crm/secret", {"url": url(receiver)}))
    request_id = start(api, identity)
    expect_error(api, request_id, when, FAILED.format(500))
    assert order(receiver, request_id) == ["first"]
    assert deliveries(db, request_id)["crm"] == ("given_up", 1, outcome)


@BOTH
@pytest.mark.parametrize("step", [one_way, two_way])
def test_no_token_ends_in_error_with_the_code_500(api, receiver, identity, db, when, step):
    """"OAuth token failure": the token service refuses, and the webhook itself is not called."""
    make_steps(api, receiver, when, first=two_way(), crm=step(), last=one_way())
    must(api.put("/connection/crm/oauth", {"grant_type": "client_credentials", "client_id": "fides_webhook",
                                           "client_secret": "topsecretsecret",
                                           "token_url": receiver.script("/token", Answer(401))}))
    request_id = start(api, identity)
    expect_error(api, request_id, when, FAILED.format(500))
    assert [call.path for call in receiver.calls("/crm")] == []
    assert deliveries(db, request_id)["crm"][:2] == ("given_up", 1)


@BOTH
@pytest.mark.parametrize("step", [one_way, two_way])
def test_a_410_is_one_more_status_that_pauses_the_endpoint(api, receiver, identity, when, step):
    request_id = run_between(api, receiver, identity, when, step(Answer(410)))
    if step is one_way:
        expect_complete(api, receiver, request_id)
    else:
        expect_error(api, request_id, when, FAILED.format(410))
    assert wait_told(api, request_id, "Webhook: crm", "its endpoint is paused")


# --- halt --------------------------------------------------------------------------------------------------------

TRUE = [True, 1, "true", "True", "1", "yes", "ON", "t", "Y"]
FALSE = [False, 0, "false", "FALSE", "0", "no", "Off", "f", "n"]


def test_halt_is_read_leniently(api, receiver, identity):
    make_steps(api, receiver, crm=two_way(*(Answer(json={"halt": word}) for word in TRUE + FALSE)))
    for word in TRUE:
        request_id = start(api, identity)
        assert api.wait_status(request_id, "paused")["paused_at"], word
    for word in FALSE:
        api.wait_status(start(api, identity), "complete")


def test_halt_before_a_run_pauses_it(api, receiver, identity):
    request_id = run_between(api, receiver, identity, "pre", two_way(halt()))
    request = api.wait_status(request_id, "paused")
    assert request["paused_at"] and request["finished_processing_at"] is None
    assert request["resume_endpoint"] == f"/privacy-request/{request_id}/resume"
    assert order(receiver, request_id) == ["first", "crm"]
    assert told(api, request_id, "Webhook: crm")[0].startswith("Webhook 'crm' halted the request.")
    assert receiver.reply(receiver.calls("/crm", request_id)[0], "resume").status == 200
    expect_complete(api, receiver, request_id)


@pytest.mark.parametrize("when, step", [("pre", one_way), ("post", one_way), ("post", two_way)])
def test_halt_is_ignored_otherwise(api, receiver, identity, when, step):
    request = expect_complete(api, receiver, run_between(api, receiver, identity, when, step(halt())))
    assert request["paused_at"] is None


# --- what is sent ------------------------------------------------------------------------------------------------

BODY = {"privacy_request_id", "privacy_request_status", "direction", "callback_type", "identity", "policy_action",
        "privacy_request", "timestamp"}
REQUEST = {"id", "external_id", "status", "requested_at", "started_processing_at", "finished_processing_at",
           "reviewed_at", "reviewed_by", "finalized_at", "finalized_by", "submitted_by",
           "custom_privacy_request_fields_approved_by", "identity_verified_at",
           "custom_privacy_request_fields_approved_at", "client_id", "origin", "policy_id", "policy", "property_id",
           "cancel_reason", "canceled_at", "consent_preferences", "source", "paused_at", "due_date", "days_left",
           "custom_fields", "location"}
REPLY_HEADERS = ["reply-to", "reply-to-token", "reply-to-eligible", "reply-to-not-eligible", "reply-to-approve",
                 "reply-to-deny"]


@BOTH
@pytest.mark.parametrize("step", [one_way, two_way])
@pytest.mark.parametrize("policy, action", [("default_access_policy", "access"), ("default_erasure_policy", "erasure")])
def test_the_body_of(api, receiver, identity, when, step, policy, action):
    """webhooks-out.md 2 and 3: every key is there, with what is so at this moment."""
    make_steps(api, receiver, when, policy, crm=step())
    email = identity()
    request_id = start(api, email, policy, external_id="ours-1", location="us_ca")
    api.wait_status(request_id, "complete")
    body = receiver.calls("/crm", request_id)[0].json
    assert set(body) == BODY and set(body["privacy_request"]) == REQUEST
    assert {name: body[name] for name in BODY - {"privacy_request", "timestamp"}} == {
        "privacy_request_id": request_id, "privacy_request_status": "in_processing",
        "direction": step().direction, "callback_type": when, "policy_action": action,
        "identity": {"email": email, "phone_number": None, "ga_client_id": None, "ljt_readerID": None,
                     "fides_user_device_id": None, "external_id": None}}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", body["timestamp"])
    request = body["privacy_request"]
    assert (request["id"], request["status"], request["external_id"], request["location"]) == (
        request_id, "in_processing", "ours-1", "US-CA")
    assert request["started_processing_at"] and request["reviewed_at"] and request["finished_processing_at"] is None
    assert (request["policy"]["key"], request["policy"]["rules"][0]["action_type"]) == (policy, action)


@BOTH
@pytest.mark.parametrize("step", [one_way, two_way])
def test_reply_headers_of(api, receiver, identity, when, step):
    """Only who may halt a run is told where to reply."""
    make_steps(api, receiver, when, crm=step())
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    headers = receiver.calls("/crm", request_id)[0].headers
    if (when, step) == ("pre", two_way):
        assert headers["reply-to"] == f"/privacy-request/{request_id}/resume"
        assert headers["reply-to-token"].count(".") == 4
        assert [name for name in REPLY_HEADERS if headers[name]] == ["reply-to", "reply-to-token"]
    else:
        assert [name for name in REPLY_HEADERS if headers[name]] == []
    assert headers["Authorization"] == "test_authorization"
    assert headers["Content-Type"] == "application/json"


def test_one_after_another_in_their_order(api, receiver, identity):
    """The next call starts after the answer to the one before."""
    slow = Answer(json={"halt": False}, delay=0.2)
    make_steps(api, receiver, "pre", a=two_way(slow), b=one_way(slow), c=two_way(slow))
    make_steps(api, receiver, "post", d=one_way(slow), e=two_way(slow))
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    calls = receiver.calls(request_id=request_id)
    assert [call.path for call in calls] == ["/a", "/b", "/c", "/d", "/e"]
    assert all(later.time - earlier.time >= 0.2 for earlier, later in zip(calls, calls[1:]))


def test_all_of_them_run_after_the_approval(api, receiver, identity):
    api.make_webhooks(receiver, ask=Answer())
    make_steps(api, receiver, "pre", before=two_way())
    make_steps(api, receiver, "post", after=one_way())
    request_id = api.create_request(identity())["id"]
    call = receiver.wait_calls(1, "/ask", request_id)[0]
    assert order(receiver, request_id) == ["ask"]
    assert receiver.reply(call, "eligible").status == 200
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["ask", "before", "after"]


# --- derived identity ------------------------------------------------------------------------------------------


def identities(receiver, request_id):
    """What each webhook was told about the person, the values that are known."""
    return {call.path[1:]: {name: value for name, value in call.json["identity"].items() if value is not None}
            for call in receiver.calls(request_id=request_id)}


def test_what_a_webhook_derives_is_known_after_it_and_not_before(api, receiver, identity):
    email, phone = identity(), identity.phone()
    found, other = identity.derived("Found.Later@EXAMPLE.com"), identity.derived("another@example.com")
    loyalty = identity.custom()
    make_steps(api, receiver, "pre", a=one_way(go_on(email=identity.derived("not-read@example.com"))),
               b=two_way(go_on(email=found, phone_number=None, loyalty_id=loyalty)), c=one_way())
    make_steps(api, receiver, "post", d=two_way(go_on(email=other)), e=one_way())
    request_id = start(api, email, identity={"email": email, "phone_number": phone})
    api.wait_status(request_id, "complete")
    before = {"email": email, "phone_number": phone}
    after = before | {"email": "Found.Later@example.com", "loyalty_id": loyalty}
    assert identities(receiver, request_id) == {"a": before, "b": before, "c": after, "d": after,
                                                "e": after | {"email": other}}
    shown = api.find(request_id, include_identities=True)["identity"]
    assert shown["email"]["value"] == email and "loyalty_id" not in shown  # what was given stays what it was


def test_what_a_reply_to_a_halt_derives_is_known_after_it(api, receiver, identity):
    email, answered, replied = identity(), identity.email("answered"), identity.email("replied")
    phone = identity.phone()
    make_steps(api, receiver, a=two_way(halt(email=answered, phone_number=phone)), b=two_way())
    request_id = start(api, email)
    api.wait_status(request_id, "paused")
    reply = receiver.reply(receiver.calls("/a", request_id)[0], "resume", {"derived_identity": {"email": replied}})
    assert reply.status == 200
    api.wait_status(request_id, "complete")
    assert identities(receiver, request_id) == {"a": {"email": email}, "b": {"email": replied, "phone_number": phone}}


def test_an_answer_that_is_not_valid_derives_nothing(api, receiver, identity):
    email = identity()
    make_steps(api, receiver, "pre", a=two_way(go_on(email=identity.derived("half@example.com"), phone_number="1"),
                                               go_on()), b=one_way())
    request_id = start(api, email)
    api.wait_status(request_id, "error")
    must(api.post(f"/privacy-request/{request_id}/retry"))
    api.wait_status(request_id, "complete")
    assert identities(receiver, request_id)["b"] == {"email": email}


# --- a policy without rules ------------------------------------------------------------------------------------


def test_a_policy_without_rules_is_told_after_the_webhooks_before(api, receiver, identity):
    """lifecycle.md 7: step 4 comes after step 3."""
    name = f"empty_{identity.derived()[-8:]}"
    must_all(api.patch("/dsr/policy", [{"name": name, "key": name}]))
    make_steps(api, receiver, "pre", name, before=two_way())
    make_steps(api, receiver, "post", name, after=one_way())
    request_id = start(api, identity, name)
    request = api.wait_status(request_id, "error")
    assert told(api, request_id, "Policy validation") == [f"Policy with key {name} must contain at least one Rule."]
    assert receiver.calls("/before", request_id)[0].json["policy_action"] is None
    assert request["resume_endpoint"] == f"/privacy-request/{request_id}/retry"
    must_all(api.patch(f"/dsr/policy/{name}/rule", [{
        "name": f"{name} rule", "action_type": "erasure",
        "masking_strategy": {"strategy": "null_rewrite", "configuration": {}}}]))
    must(api.post(f"/privacy-request/{request_id}/retry"))
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["before", "after"]
    put_steps(api, "pre", policy=name)
    put_steps(api, "post", policy=name)
