"""Every example of the product's two pages on pre-approval webhooks, in their order and with their values.

Where the pages and the current release differ (a phone number that is no E.164 number, `pending`, reply paths
without /api/v1), what is tested is that both kinds of readers get along.
"""

import pytest
import requests

from utils import Answer, Close, Hang, must, must_all, wait_until

CONNECTION = {"name": "My Service Config", "key": "my_service_config", "connection_type": "https", "access": "read"}
OTHER_CONNECTION = CONNECTION | {"name": "My Other Service Config", "key": "my_other_service_config"}
WEBHOOKS = [
    {"connection_config_key": "my_service_config", "name": "My test webhook", "key": "my_test_webhook"},
    {"connection_config_key": "my_other_service_config", "name": "My test webhook 2", "key": "my_test_webhook_2"},
]
HANDLER = "/pre-approval-handler"
OTHER_HANDLER = "/other-pre-approval-handler"


@pytest.fixture
def customer(identity):
    """The address of the pages; told to the suite, so that it is looked for where it must not be."""
    return identity.derived("customer-1@example.com")


def make_connection(api, connection):
    made = must_all(api.patch("/connection", [connection]))[0]
    assert {name: made[name] for name in connection} == connection
    assert made["disabled"] is False and made["secrets"] is None


def put_secrets(api, key, secrets):
    assert must(api.put(f"/connection/{key}/secret", secrets)) == {
        "msg": f"Secrets updated for ConnectionConfig with key: {key}.", "test_status": "skipped",
        "failure_reason": None}
    shown = must(api.get(f"/connection/{key}"))["secrets"]
    assert shown["url"] == secrets["url"]
    assert shown["authorization"] == "**********"


def define_webhooks(api):
    made = must(api.put("/dsr/webhook/pre_approval", WEBHOOKS))
    assert [(webhook["key"], webhook["name"], webhook["connection_config"]["key"]) for webhook in made] == [
        (webhook["key"], webhook["name"], webhook["connection_config_key"]) for webhook in WEBHOOKS]


def rename(api):
    renamed = must(api.patch("/dsr/webhook/pre_approval/my_test_webhook", {"name": "Some other name"}))
    assert (renamed["key"], renamed["name"]) == ("my_test_webhook", "Some other name")
    assert renamed["connection_config"]["key"] == "my_service_config"


@pytest.fixture
def configured(api, receiver):
    """All that the current page configures: connection, secrets, webhooks, a new name."""
    for connection, path in ((CONNECTION, HANDLER), (OTHER_CONNECTION, OTHER_HANDLER)):
        make_connection(api, connection)
        put_secrets(api, connection["key"], {"url": receiver.script(path, Answer()),
                                             "authorization": "test_authorization",
                                             "headers": {"User-Agent": "Example"}})
    define_webhooks(api)
    rename(api)
    return api


def make_request(api, customer, policy="default_access_policy"):
    request = api.create_request(customer, policy)
    assert request["status"] == "awaiting_pre_approval"
    return request["id"]


def both_calls(receiver, request_id):
    return (receiver.wait_calls(1, HANDLER, request_id)[0], receiver.wait_calls(1, OTHER_HANDLER, request_id)[0])


def expect_format(call, request_id, customer):
    """The page's "Webhook request format"."""
    body = call.json
    shown = {name: body[name] for name in ("privacy_request_id", "privacy_request_status", "direction",
                                           "callback_type", "policy_action")}
    assert shown == {"privacy_request_id": request_id, "privacy_request_status": "awaiting_pre_approval",
                     "direction": "two_way", "callback_type": "pre_approval", "policy_action": "access"}
    assert body["identity"]["email"] == customer


# --- the current page ---------------------------------------------------------------------------------------


def test_current_page_all_eligible(stack, configured, receiver, customer):
    api = configured
    request_id = make_request(api, customer)
    for call in both_calls(receiver, request_id):
        expect_format(call, request_id, customer)
        assert call.headers["User-Agent"] == "Example"
        assert call.headers["Authorization"] == "test_authorization"
        assert call.headers["reply-to-eligible"] == f"/privacy-request/{request_id}/pre-approve/eligible"
        assert call.headers["reply-to-not-eligible"] == f"/privacy-request/{request_id}/pre-approve/not-eligible"
        answer = requests.post(f"{stack.callback.url}/api/v1/privacy-request/{request_id}/pre-approve/eligible",
                               json={}, timeout=10,
                               headers={"Authorization": f"Bearer {call.headers['reply-to-token']}"})
        assert (answer.status_code, answer.json()) == (200, None)
    assert api.wait_status(request_id, "complete")["reviewed_by"] is None


def test_current_page_any_not_eligible_is_flagged_and_not_denied(configured, receiver, customer):
    request_id = make_request(configured, customer)
    first, second = both_calls(receiver, request_id)
    assert receiver.reply(first, "eligible").status == 200
    assert receiver.reply(second, "not-eligible").status == 200
    configured.wait_status(request_id, "pre_approval_not_eligible")
    timeline = configured.timeline(request_id)
    assert timeline["Request auto-approved by pre-approval webhooks"][0]["message"] == (
        "Pre-approval webhook 'Some other name' responded: eligible")
    assert timeline["Request flagged for manual review by pre-approval webhooks"][0]["message"] == (
        "Request flagged for manual review by pre-approval webhooks. "
        "Webhook 'My test webhook 2' responded: not eligible")
    configured.approve(request_id)
    configured.wait_status(request_id, "complete")


def test_current_page_a_person_may_decide_at_any_time(configured, receiver, customer):
    approved, denied = (make_request(configured, customer) for _ in range(2))
    both_calls(receiver, approved)
    configured.approve(approved)
    configured.deny(denied, reason="A double")
    configured.wait_status(approved, "complete")
    assert configured.status(denied) == "denied"


@pytest.mark.parametrize("failure", [Answer(500), Answer(404), Hang(), Close()],
                         ids=["error", "refusal", "no answer", "hang-up"])
def test_current_page_error_handling(stack, configured, receiver, customer, failure):
    """It stays waiting, the failure is told, the others are called and may reply, a person may approve."""
    api = configured
    receiver.script(HANDLER, failure)
    request_id = make_request(api, customer)
    _, working = both_calls(receiver, request_id)
    assert receiver.reply(working, "eligible").status == 200
    if not isinstance(failure, Hang):  # that one is told after its time-out, see test_retry.py
        wait_until(lambda: "Webhook: my_test_webhook" in api.timeline(request_id), 10, "the failure to be told")
        entry = api.timeline(request_id)["Webhook: my_test_webhook"][0]
        assert entry["message"].startswith(
            "Webhook 'my_test_webhook' returned an error: Client call failed with status code '")
    assert api.status(request_id) == "awaiting_pre_approval"
    api.approve(request_id)
    api.wait_status(request_id, "complete")


def test_current_page_blank_authorization_keeps_the_stored_one(configured, receiver, customer):
    """The page on the Admin UI: it edits the endpoint by a PATCH that leaves out what is to stay."""
    must(configured.patch("/connection/my_service_config/secret", {"url": receiver.url("/moved")}))
    request_id = make_request(configured, customer)
    call = receiver.wait_calls(1, "/moved", request_id)[0]
    assert (call.headers["Authorization"], call.headers["User-Agent"]) == ("test_authorization", "Example")


def test_current_page_a_webhook_is_deleted(configured, receiver, customer):
    assert must(configured.delete("/dsr/webhook/pre_approval/my_test_webhook_2")) is None
    page = must(configured.get("/dsr/webhook/pre_approval"))
    assert [webhook["key"] for webhook in page["items"]] == ["my_test_webhook"]
    request_id = make_request(configured, customer)
    receiver.reply(receiver.wait_calls(1, HANDLER, request_id)[0], "eligible")
    configured.wait_status(request_id, "complete")


def test_the_phone_number_of_both_pages_is_not_taken_by_the_current_release(configured, customer):
    answer = configured.anonymous().post("/privacy-request", [{
        "policy_key": "default_access_policy", "identity": {"email": customer, "phone_number": "555-5555"}}])
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", 0, "identity", "phone_number"]


# --- the older page --------------------------------------------------------------------------------------------


@pytest.fixture
def configured_as_before(api, receiver):
    """The older page: no further headers."""
    for connection, path in ((CONNECTION, "/fides-webhook"), (OTHER_CONNECTION, OTHER_HANDLER)):
        make_connection(api, connection)
        put_secrets(api, connection["key"], {"url": receiver.script(path, Answer()),
                                             "authorization": "test_authorization"})
    define_webhooks(api)
    rename(api)
    return api


@pytest.mark.parametrize("word, status", [("approve", "complete"), ("deny", "pre_approval_not_eligible")])
def test_older_page_approve_and_deny(stack, configured_as_before, receiver, customer, word, status):
    """Its header names, and its URL: the reply path straight after the domain."""
    api = configured_as_before
    request_id = make_request(api, customer)
    calls = [receiver.wait_calls(1, path, request_id)[0] for path in ("/fides-webhook", OTHER_HANDLER)]
    for call, verdict in zip(calls, ("approve", word)):
        expect_format(call, request_id, customer)
        path = call.headers[f"reply-to-{verdict}"]
        assert path == {"approve": f"/privacy-request/{request_id}/pre-approve/eligible",
                        "deny": f"/privacy-request/{request_id}/pre-approve/not-eligible"}[verdict]
        answer = requests.post(f"{stack.callback.url}{path}", json={}, timeout=10,
                               headers={"Authorization": f"Bearer {call.headers['reply-to-token']}"})
        assert answer.status_code == 200
    api.wait_status(request_id, status)


def test_older_page_without_required_approval_requests_run_at_once(configured_as_before, receiver, customer):
    must(configured_as_before.patch("/config", {"execution": {"require_manual_request_approval": False}}))
    request = configured_as_before.create_request(customer)
    configured_as_before.wait_status(request["id"], "complete")
    assert receiver.calls(request_id=request["id"]) == []
