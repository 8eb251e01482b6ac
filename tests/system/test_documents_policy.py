"""Every example of the product's two pages on policy webhooks, in their order, with their paths and values.

The pages' hosts stay in the steps that configure; before anything is called the secret is pointed at the receiver.
Where the pages and the current release differ (the hyphen in a path, `/v1`, an underscore in `privacy_request`), what
is tested is that whoever writes as the page does gets along.
"""

import re

import pytest
import requests

from stepping import start
from utils import Answer, must, must_all, wait_until

POLICY = "default_erasure_policy"
KEY = "test_webhook_connection_config"
CONNECTION = {"name": "My Webhook Connection Configuration", "key": KEY, "connection_type": "https", "access": "read"}
WAKE_UP = {"connection_config_key": KEY, "direction": "one_way", "key": "wake_up_snowflake_db",
           "name": "Wake up Snowflake DB Webhook"}
PREPARE = {"connection_config_key": KEY, "direction": "two_way", "key": "prep_systems_webhook",
           "name": "Prep Systems Webhook"}
OAUTH = {"grant_type": "client_credentials", "token_url": "https://oauth.example.com/token", "scope": "read write",
         "client_id": "fides_webhook", "client_secret": "topsecretsecret"}
DERIVED = {"email": "customer-1@gmail.com", "phone_number": "+15555555555"}
PATH = "/page"


@pytest.fixture
def customer(identity):
    """The addresses of the pages; told to the suite, so that they are looked for where they must not be."""
    for value in DERIVED.values():
        identity.derived(value)
    return identity.derived("customer-1@example.com")


@pytest.fixture
def connection(api):
    """PATCH /v1/connection, as both pages begin."""
    made = must_all(api.patch("/v1/connection", [CONNECTION]))[0]
    assert {name: made[name] for name in CONNECTION} == CONNECTION
    return KEY


@pytest.fixture
def webhooks(api, connection):
    """PUT v1/policy/{policy_key}/webhook/pre_execution with the page's body."""
    made = must(api.put(f"/v1/policy/{POLICY}/webhook/pre_execution", [WAKE_UP, PREPARE]))
    assert [(hook["key"], hook["name"], hook["direction"], hook["order"], hook["connection_config"]["key"])
            for hook in made] == [
        (hook["key"], hook["name"], hook["direction"], order, KEY) for order, hook in enumerate([WAKE_UP, PREPARE])]
    return made


def point_at(api, receiver, *behaviours, authorization="test_authorization"):
    must(api.put(f"/v1/connection/{KEY}/secret",
                 {"url": receiver.script(PATH, *behaviours), "authorization": authorization}))


def reply(stack, prefix, call, body):
    request_id = call.request_id
    return requests.post(f"{stack.callback.url}{prefix}/{request_id}/resume", json=body, timeout=10,
                         headers={"Authorization": f"Bearer {call.headers['reply-to-token']}"})


# --- configuration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", ["test_authorization", "Bearer mysecrettoken"])
def test_connection_secrets(api, connection, authorization):
    told = must(api.put(f"/v1/connection/{KEY}/secret", {"url": "https://www.example.com",
                                                         "authorization": authorization}))
    assert told["msg"] == f"Secrets updated for ConnectionConfig with key: {KEY}."
    shown = must(api.get(f"/v1/connection/{KEY}"))["secrets"]
    assert shown["url"] == "https://www.example.com" and shown["authorization"] == "**********"


@pytest.mark.parametrize("authorization", ["test_authorization", "Bearer mysecrettoken"])
def test_the_authorization_header_is_the_value_as_it_was_given(api, receiver, webhooks, customer, authorization):
    point_at(api, receiver, Answer(json={"halt": False}), authorization=authorization)
    request_id = start(api, customer, POLICY)
    api.wait_status(request_id, "complete")
    assert {call.headers["Authorization"] for call in receiver.calls(PATH, request_id)} == {authorization}


def test_oauth_is_added_updated_and_removed(api, connection):
    path = f"/v1/connection/{KEY}/oauth"
    told = must(api.put(path, OAUTH))
    assert told["msg"] == f"OAuth2 configuration updated for ConnectionConfig with key: {KEY}."
    must(api.patch(path, {"client_secret": "another"}))
    must(api.patch(path, {"scope": "read"}))
    assert OAUTH["client_secret"] not in api.get(f"/v1/connection/{KEY}").text
    must(api.delete(path), 204)
    assert api.delete(path).status_code == 404
    refused = api.put(path, OAUTH | {"grant_type": "password"})
    assert refused.status_code == 422 and refused.json()["detail"][0]["loc"] == ["body", "grant_type"]


def test_without_its_oauth_a_connection_has_its_authorization_again(api, receiver, webhooks, customer):
    must(api.put(f"/v1/connection/{KEY}/oauth", OAUTH))
    must(api.delete(f"/v1/connection/{KEY}/oauth"), 204)
    point_at(api, receiver, Answer(json={"halt": False}))
    request_id = start(api, customer, POLICY)
    api.wait_status(request_id, "complete")
    assert receiver.calls(PATH, request_id)[0].headers["Authorization"] == "test_authorization"


def test_the_policies_and_their_keys_are_listed(api):
    assert POLICY in [policy["key"] for policy in must(api.get("/v1/dsr/policy"))["items"]]


def test_what_a_put_does_not_list_is_removed(api, webhooks):
    listed = must(api.get(f"/v1/policy/{POLICY}/webhook/pre_execution"))
    assert [hook["key"] for hook in listed["items"]] == ["wake_up_snowflake_db", "prep_systems_webhook"]
    must(api.put(f"/v1/policy/{POLICY}/webhook/pre_execution", [PREPARE]))
    listed = must(api.get(f"/v1/policy/{POLICY}/webhook/pre_execution"))
    assert [hook["key"] for hook in listed["items"]] == ["prep_systems_webhook"]


def test_post_execution_has_a_list_of_its_own(api, webhooks):
    must(api.put(f"/v1/policy/{POLICY}/webhook/post_execution", [WAKE_UP | {"key": "clear_cache", "name": "Clear"}]))
    assert len(must(api.get(f"/v1/policy/{POLICY}/webhook/pre_execution"))["items"]) == 2
    changed = must(api.patch(f"/v1/policy/{POLICY}/webhook/post_execution/clear_cache", {"direction": "two_way"}))
    assert changed["resource"]["direction"] == "two_way" and changed["new_order"] == []


@pytest.mark.parametrize("path", ["/v1/policy/{}/webhook/pre-execution/{}", "/policy/{}/webhook/pre-execution/{}",
                                  "/policy/{}/webhook/pre_execution/{}", "/dsr/policy/{}/webhook/pre_execution/{}"])
def test_a_single_webhook_is_updated_and_the_others_move(api, webhooks, path):
    changed = must(api.patch(path.format(POLICY, "wake_up_snowflake_db"), {"direction": "two_way", "order": 1}))
    resource = changed["resource"]
    assert resource.pop("connection_config")["key"] == KEY
    assert resource == {"direction": "two_way", "key": "wake_up_snowflake_db",
                        "name": "Wake up Snowflake DB Webhook", "order": 1}
    assert changed["new_order"] == [{"key": "prep_systems_webhook", "order": 0},
                                    {"key": "wake_up_snowflake_db", "order": 1}]


# --- a run --------------------------------------------------------------------------------------------------


def test_the_request_format(api, receiver, webhooks, customer):
    point_at(api, receiver, Answer(json={"halt": False}))
    request_id = start(api, customer, POLICY, external_id="privacy_request_123", source="Privacy Center",
                       location="US")
    api.wait_status(request_id, "complete")
    first, second = receiver.calls(PATH, request_id)
    body = first.json
    assert body["privacy_request_id"] == request_id
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", body["timestamp"])
    assert (body["direction"], body["callback_type"]) == ("one_way", "pre")
    assert second.json["direction"] == "two_way"
    assert body["identity"]["email"] == customer
    request = body["privacy_request"]
    assert set(request) == {
        "id", "external_id", "status", "requested_at", "started_processing_at", "finished_processing_at",
        "reviewed_at", "reviewed_by", "finalized_at", "finalized_by", "submitted_by",
        "custom_privacy_request_fields_approved_by", "custom_privacy_request_fields_approved_at",
        "identity_verified_at", "client_id", "origin", "policy_id", "policy", "property_id", "cancel_reason",
        "canceled_at", "consent_preferences", "source", "paused_at", "due_date", "days_left", "custom_fields",
        "location"}
    assert (request["id"], request["external_id"], request["status"], request["source"], request["location"]) == (
        request_id, "privacy_request_123", "in_processing", "Privacy Center", "US")
    assert request["started_processing_at"] and request["finished_processing_at"] is None
    assert set(request["policy"]) == {"id", "name", "key", "drp_action", "execution_timeframe", "client_id", "rules"}
    assert request["policy"]["key"] == POLICY and request["policy"]["id"] == request["policy_id"]
    assert set(request["policy"]["rules"][0]) == {"id", "name", "key", "action_type", "masking_strategy",
                                                  "storage_destination_id"}


def test_the_response_format(api, receiver, webhooks, customer):
    """The page writes halt as a text."""
    must(api.put(f"/v1/policy/{POLICY}/webhook/post_execution", [PREPARE | {"key": "after", "name": "After"}]))
    point_at(api, receiver, Answer(), Answer(json={"derived_identity": DERIVED, "halt": "false"}),
             Answer(json={"halt": "false"}))
    request_id = start(api, customer, POLICY)
    api.wait_status(request_id, "complete")
    before, during, after = receiver.calls(PATH, request_id)
    assert before.json["identity"]["email"] == during.json["identity"]["email"] == customer
    assert {name: after.json["identity"][name] for name in DERIVED} == DERIVED
    assert (after.json["callback_type"], after.json["direction"]) == ("post", "two_way")


@pytest.mark.parametrize("prefix", ["/v1/privacy_request", "/privacy-request", "/api/v1/privacy-request",
                                    "/v1/privacy-request"])
@pytest.mark.parametrize("derived", [DERIVED, None])
def test_a_halted_request_is_resumed(stack, api, receiver, webhooks, customer, prefix, derived):
    must(api.put(f"/v1/policy/{POLICY}/webhook/post_execution", [PREPARE | {"key": "after", "name": "After"}]))
    point_at(api, receiver, Answer(), Answer(json={"halt": "true"}), Answer(json={"halt": "false"}))
    request_id = start(api, customer, POLICY)
    api.wait_status(request_id, "paused")
    halted = receiver.calls(PATH, request_id)[1]
    assert halted.headers["reply-to"] == f"/privacy-request/{request_id}/resume"
    answer = reply(stack, prefix, halted, {"derived_identity": derived} if derived else {})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["id"], answer.json()["status"]) == (request_id, "in_processing")
    api.wait_status(request_id, "complete")
    known = receiver.calls(PATH, request_id)[-1].json["identity"]
    assert known["email"] == (derived["email"] if derived else customer)


def test_a_one_way_webhook_has_no_reply_headers(api, receiver, webhooks, customer):
    point_at(api, receiver, Answer(json={"halt": False}))
    request_id = start(api, customer, POLICY)
    api.wait_status(request_id, "complete")
    one_way, two_way = receiver.calls(PATH, request_id)
    assert one_way.headers["reply-to"] is None and one_way.headers["reply-to-token"] is None
    assert two_way.headers["reply-to-token"].count(".") == 4


@pytest.mark.settings(DOCKET_PAUSE_LIFE="1s")
def test_a_request_that_is_not_resumed_in_time_is_an_error(stack, api, receiver, webhooks, customer):
    point_at(api, receiver, Answer(), Answer(json={"halt": True}))
    request_id = start(api, customer, POLICY)
    api.wait_status(request_id, "error")
    assert api.timeline(request_id)["Privacy request processing"][-1]["message"] == (
        "Privacy request has expired. Please resubmit information.")
    late = reply(stack, "/api/v1/privacy-request", receiver.calls(PATH, request_id)[1], {})
    assert late.status_code == 400
    assert late.json()["detail"] == f"Invalid resume request: privacy request '{request_id}' status = error."


# --- the older page -------------------------------------------------------------------------------------------


def test_the_older_page_puts_secrets_where_no_release_took_them(api, connection):
    """`PUT /v1/connection/{key}` without /secret: refused as any method that a path does not have."""
    assert api.put(f"/v1/connection/{KEY}", {"url": "https://www.example.com",
                                             "authorization": "test_authorization"}).status_code == 405


def test_the_older_page_logs_a_user_out_after_the_run(api, receiver, connection, customer):
    """Its use case: a one_way webhook after the run."""
    must(api.put(f"/policy/{POLICY}/webhook/post_execution", [WAKE_UP | {"key": "log_out", "name": "Log out"}]))
    point_at(api, receiver, Answer())
    request_id = start(api, customer, POLICY)
    api.wait_status(request_id, "complete")
    wait_until(lambda: receiver.calls(PATH, request_id), 10, "the call after the run")
    assert receiver.calls(PATH, request_id)[0].json["callback_type"] == "post"
