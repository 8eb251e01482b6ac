"""What each answer of a policy webhook means for the run, before and after it, one_way and two_way.

One attempt only: what further ones do is in test_policy_retry.py.
"""

import socket

import pytest

from stepping import (deliveries, free_port, go_on, halt, make_steps, one_way, order, start, told, two_way,
                      wait_told)
from utils import Answer, Close, Hang, must, redirect, worker_settings

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


def nowhere():
    try:
        socket.getaddrinfo("nowhere.invalid", 80)
    except socket.gaierror as error:
        if error.errno not in (socket.EAI_NONAME, socket.EAI_NODATA):
            pytest.skip("no resolver here says that a name is unknown")
    return "http://nowhere.invalid/hook"


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
