"""The way of a request through pre-approval: what is called, with what, and what its replies lead to."""

import json
import re
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
import requests
from jwcrypto import jwe, jwk

from utils import Answer, Hang, Reply, must, must_all, wait_until

ELIGIBLE_TO_COMPLETE = ["created", "pre_approval_requested", "pre_approval_eligible", "approved", "started",
                        "completed"]
WITH_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?")
NOT_WAITING = "Privacy request with id '{}' is not in pending or awaiting pre-approval status."


def short_types(bus, request_id):
    """Its events without what stands around their words; calls that went well left out."""
    types = [event.type.removeprefix("docket.request.").removesuffix(".v1")
             for event in bus.records(key=request_id)]
    return [word for word in types if word != "webhook_sent"]


def entries(api, request_id):
    """The timeline as (group, message, user), in order of time."""
    timeline = api.timeline(request_id)
    every = [(entry["updated_at"], group, entry["message"], entry["user_id"])
             for group, group_entries in timeline.items() for entry in group_entries]
    return [entry[1:] for entry in sorted(every, key=lambda entry: entry[0])]


def detail(answer):
    return answer.json()["detail"]


# --- replies and what they lead to -------------------------------------------------------------------


def test_all_eligible_is_approved_and_completed_by_itself(api, receiver, identity, bus):
    api.make_webhooks(receiver, crm=Reply("eligible"), tickets=Reply("eligible"))
    created = api.create_request(identity())
    assert created["status"] == "awaiting_pre_approval"
    done = api.wait_status(created["id"], "complete")
    assert done["reviewed_by"] is None and done["reviewer"] is None
    assert done["reviewed_at"] and done["started_processing_at"] and done["finished_processing_at"]
    wait_until(lambda: len(receiver.replies) == 2, 10, "both replies to be answered")
    assert [(reply.status, reply.body) for reply in receiver.replies] == [(200, "null")] * 2
    bus.wait_types(created["id"], "docket.request.completed.v1")
    assert short_types(bus, created["id"]) == (
        ELIGIBLE_TO_COMPLETE[:2] + ["pre_approval_eligible"] + ELIGIBLE_TO_COMPLETE[2:])


def test_the_timeline_tells_it_in_the_contract_s_words(api, receiver, identity):
    connections = [api.make_connection(key, receiver.script(f"/{key}", Reply("eligible"))) for key in "ab"]
    api.set_pre_approval({"key": "crm", "name": "CRM check", "connection_config_key": connections[0]},
                         {"key": "tickets", "name": "Open tickets", "connection_config_key": connections[1]})
    request_id = api.create_request(identity())["id"]
    api.wait_status(request_id, "complete")
    told = entries(api, request_id)
    eligible = "Request auto-approved by pre-approval webhooks"
    assert told[0][0] == "Triggered pre-approval webhooks"
    assert sorted(told[0][1].removeprefix("Triggered pre-approval webhooks: ").split(", ")) == [
        "CRM check", "Open tickets"]
    assert sorted(told[1:3]) == [
        (eligible, "Pre-approval webhook 'CRM check' responded: eligible", None),
        (eligible, "Pre-approval webhook 'Open tickets' responded: eligible", None)]
    assert told[3:] == [("Request approved", "Request auto-approved by pre-approval webhooks", None),
                        ("Request finished", "", None)]
    statuses = {entry["status"] for entry in api.timeline(request_id)[eligible]}
    assert statuses == {"pre_approval_eligible"}


def test_one_not_eligible_waits_for_a_person_who_approves(api, receiver, identity, bus):
    api.make_webhooks(receiver, crm=Hang(), tickets=Reply("not-eligible"))
    request_id = api.create_request(identity())["id"]
    api.wait_status(request_id, "pre_approval_not_eligible")
    late = receiver.reply(receiver.wait_calls(1, "/crm")[0], "eligible")
    assert (late.status, json.loads(late.body)) == (400, {"detail": NOT_WAITING.format(request_id)})
    assert api.approve(request_id)[0]["status"] == "approved"
    api.wait_status(request_id, "complete")
    group = "Request flagged for manual review by pre-approval webhooks"
    told = [entry for entry in entries(api, request_id) if not entry[0].startswith("Webhook: ")]
    assert told[1:] == [
        (group, f"{group}. Webhook 'tickets' responded: not eligible", None),
        ("Request approved", "", None), ("Request finished", "", None)]
    bus.wait_types(request_id, "docket.request.completed.v1")
    assert short_types(bus, request_id) == ["created", "pre_approval_requested", "pre_approval_not_eligible",
                                            "approved", "started", "completed"]


def test_eligible_first_and_not_eligible_later_waits_for_a_person(api, receiver, identity):
    api.make_webhooks(receiver, crm=Reply("eligible"), tickets=Answer())
    request_id = api.create_request(identity())["id"]
    wait_until(lambda: receiver.replies, 10, "the first reply")
    assert api.status(request_id) == "awaiting_pre_approval"
    assert receiver.reply(receiver.wait_calls(1, "/tickets")[0], "not-eligible").status == 200
    api.wait_status(request_id, "pre_approval_not_eligible")
    api.deny(request_id, reason="has an open case")
    assert api.status(request_id) == "denied"


@pytest.mark.parametrize("program", ["docket-callback", "docket-api"])
@pytest.mark.parametrize("prefix", ["/api/v1", ""])
def test_replies_are_taken_by_both_programs_with_and_without_prefix(stack, api, receiver, identity, program,
                                                                    prefix):
    api.make_webhooks(receiver, crm=Answer())
    request_id = api.create_request(identity())["id"]
    call = receiver.wait_calls(1, "/crm", request_id)[0]
    url = {"docket-callback": stack.callback.url, "docket-api": stack.api.url}[program]
    reply = receiver.reply(call, "eligible", url=f"{url}{prefix}{call.headers['reply-to-eligible']}")
    assert (reply.status, reply.body) == (200, "null")
    api.wait_status(request_id, "complete")


def test_a_reply_may_come_before_the_call_is_answered(api, receiver, identity):
    api.make_webhooks(receiver, crm=Reply("eligible", first=True), tickets=Reply("eligible", first=True))
    request_id = api.create_request(identity())["id"]
    api.wait_status(request_id, "complete")
    assert [reply.status for reply in receiver.replies] == [200, 200]


def test_the_older_reply_headers_mean_the_same(api, receiver, identity):
    api.make_webhooks(receiver, crm=[Reply("approve"), Reply("deny")])
    first = api.create_request(identity())["id"]
    api.wait_status(first, "complete")
    second = api.create_request(identity())["id"]
    api.wait_status(second, "pre_approval_not_eligible")


def test_replies_that_come_together_approve_once(api, receiver, identity, bus):
    together = threading.Barrier(2, timeout=20)

    def reply_together(receiver, handler, call):
        Answer()(receiver, handler, call)
        threading.Thread(target=meet_and_reply, args=(call,), daemon=True).start()  # the next call needs this one

    def meet_and_reply(call):
        together.wait()
        receiver.reply(call, "eligible")

    api.make_webhooks(receiver, crm=reply_together, tickets=reply_together)
    for _ in range(10):
        request_id = api.create_request(identity())["id"]
        api.wait_status(request_id, "complete")
        bus.wait_types(request_id, "docket.request.completed.v1")
        assert short_types(bus, request_id).count("approved") == 1
    assert {reply.status for reply in receiver.replies} == {200}


# --- persons ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["eligible", "not-eligible"])
@pytest.mark.parametrize("decide, status", [("approve", "complete"), ("deny", "denied"), ("cancel", "canceled")])
def test_replies_after_a_person_decided_are_refused(api, receiver, identity, decide, status, verdict):
    api.make_webhooks(receiver, crm=Answer())
    request_id = api.create_request(identity())["id"]
    call = receiver.wait_calls(1, "/crm", request_id)[0]
    must_all(api.patch(f"/privacy-request/administrate/{decide}", {"request_ids": [request_id]}))
    late = receiver.reply(call, verdict)
    assert (late.status, json.loads(late.body)) == (400, {"detail": NOT_WAITING.format(request_id)})
    api.wait_status(request_id, status)


def test_without_webhooks_a_request_waits_for_a_person(api, receiver, identity, bus):
    created = api.create_request(identity())
    assert created["status"] == "pending"
    assert api.approve(created["id"])[0]["id"] == created["id"]
    api.wait_status(created["id"], "complete")
    assert entries(api, created["id"]) == [("Request approved", "", None), ("Request finished", "", None)]
    bus.wait_types(created["id"], "docket.request.completed.v1")
    assert short_types(bus, created["id"]) == ["created", "approved", "started", "completed"]


def test_a_denied_request_says_why(api, identity):
    request_id = api.create_request(identity())["id"]
    denied = api.deny(request_id, reason="Not a customer of <ours>")[0]
    assert denied["status"] == "denied" and denied["reviewed_at"]
    assert entries(api, request_id) == [("Request denied", "Not a customer of &lt;ours&gt;", None)]
    again = must(api.patch("/privacy-request/administrate/approve", {"request_ids": [request_id]}))
    assert [failed["message"] for failed in again["failed"]] == ["Cannot transition status"]


def test_a_canceled_request_is_over(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    request_id = api.create_request(identity())["id"]
    must_all(api.patch("/privacy-request/administrate/cancel", {"request_ids": [request_id]}))
    assert api.status(request_id) == "canceled"
    for verb, message in (("approve", "Cannot transition status"),
                          ("deny", "Cannot transition status"),
                          ("cancel", "Cannot cancel privacy request in canceled status")):
        result = must(api.patch(f"/privacy-request/administrate/{verb}", {"request_ids": [request_id]}))
        assert [failed["message"] for failed in result["failed"]] == [message]
    assert api.status(request_id) == "canceled"


def test_where_no_approval_is_required_nobody_is_asked(api, receiver, identity):
    api.make_webhooks(receiver, crm=Reply("not-eligible"))
    must(api.patch("/config", {"execution": {"require_manual_request_approval": False}}))
    created = api.create_request(identity())
    assert created["status"] in ("pending", "approved")
    done = api.wait_status(created["id"], "complete")
    assert done["reviewed_by"] is None
    assert entries(api, created["id"]) == [("Request approved", "", "system"), ("Request finished", "", None)]
    assert receiver.calls() == []


def test_consent_needs_no_approval(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    request_id = api.create_request(identity(), policy="default_consent_policy")["id"]
    api.wait_status(request_id, "complete")
    assert receiver.calls(request_id=request_id) == []


def test_a_policy_without_a_rule_ends_in_an_error_that_says_so(api, receiver, identity):
    must_all(api.patch("/dsr/policy", [{"name": "No rules", "key": "no_rules"}]))
    api.make_webhooks(receiver, crm=Reply("eligible"))
    request_id = api.create_request(identity(), policy="no_rules")["id"]
    failed = api.wait_status(request_id, "error")
    assert failed["finished_processing_at"]
    assert failed["resume_endpoint"] == f"/privacy-request/{request_id}/retry"
    assert receiver.wait_calls(1, "/crm", request_id)[0].json["policy_action"] is None
    entry = api.timeline(request_id)["Policy validation"][0]
    assert (entry["message"], entry["status"]) == (
        "Policy with key no_rules must contain at least one Rule.", "error")


# --- what is called ----------------------------------------------------------------------------------------


def test_webhooks_are_called_side_by_side(api, receiver, identity):
    meeting = threading.Barrier(3, timeout=15)

    def meet(receiver, handler, call):
        meeting.wait()  # nobody is answered before all have been called
        Reply("eligible")(receiver, handler, call)

    api.make_webhooks(receiver, crm=meet, tickets=meet, billing=meet)
    api.wait_status(api.create_request(identity())["id"], "complete")


def test_the_body_is_the_contract_s(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    email, phone, loyalty = identity.email(), identity.phone(), identity.custom("Loyalty id")
    field = {"label": "Which shop", "value": ["Rome", "Oslo"]}
    requested_at = datetime(2026, 10, 1, 21, 31, 14, 931000, timezone.utc)
    request_id = api.create_request(
        policy="default_erasure_policy", external_id="order-77", source="Privacy Center", location="us_ca",
        requested_at=requested_at.isoformat(),
        identity={"email": email, "phone_number": phone, "loyalty_id": loyalty},
        custom_privacy_request_fields={"shop": field})["id"]
    call = receiver.wait_calls(1, "/crm", request_id)[0]
    body = call.json
    due = requested_at + timedelta(days=45)
    timestamp = body.pop("timestamp")
    assert WITHOUT_ZONE.fullmatch(timestamp)
    sent_at = datetime.fromisoformat(timestamp).replace(tzinfo=timezone.utc)
    assert abs(sent_at.timestamp() - call.time) < 5
    about = body.pop("privacy_request")
    assert body == {
        "privacy_request_id": request_id, "privacy_request_status": "awaiting_pre_approval",
        "direction": "two_way", "callback_type": "pre_approval",
        "identity": {"phone_number": phone, "email": email, "ga_client_id": None, "ljt_readerID": None,
                     "fides_user_device_id": None, "external_id": None, "loyalty_id": loyalty},
        "policy_action": "erasure",
    }
    nothing = ("started_processing_at", "finished_processing_at", "reviewed_at", "reviewed_by", "finalized_at",
               "finalized_by", "submitted_by", "custom_privacy_request_fields_approved_by",
               "identity_verified_at", "custom_privacy_request_fields_approved_at", "client_id", "origin",
               "property_id", "cancel_reason", "canceled_at", "consent_preferences", "paused_at")
    policy_id = about["policy_id"]
    assert about == dict.fromkeys(nothing) | {
        "id": request_id, "external_id": "order-77", "status": "awaiting_pre_approval",
        "requested_at": "2026-10-01T21:31:14.931000+00:00", "policy_id": policy_id,
        "policy": {"id": policy_id, "name": "Default Erasure Policy", "key": "default_erasure_policy",
                   "drp_action": "deletion", "execution_timeframe": 45, "client_id": None,
                   "rules": [{"id": about["policy"]["rules"][0]["id"], "name": "Default Erasure Rule",
                              "key": "default_erasure_policy_rule", "action_type": "erasure",
                              "masking_strategy": {"strategy": "hmac", "configuration": {}},
                              "storage_destination_id": None}]},
        "source": "Privacy Center", "due_date": due.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00"),
        "days_left": (due.date() - sent_at.date()).days, "custom_fields": {"shop": field}, "location": "US-CA",
    }
    assert len(about) == 28
    assert policy_id.startswith("pol_") and about["policy"]["rules"][0]["id"].startswith("rul_")
    assert WITH_OFFSET.fullmatch(about["due_date"])


def test_a_bare_request_s_body_has_every_member_too(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    request_id = api.create_request(identity())["id"]
    body = receiver.wait_calls(1, "/crm", request_id)[0].json
    assert set(body) == {"privacy_request_id", "privacy_request_status", "direction", "callback_type",
                         "identity", "policy_action", "privacy_request", "timestamp"}
    assert body["policy_action"] == "erasure"
    about = body["privacy_request"]
    assert len(about) == 28
    assert about["days_left"] == 45 and WITH_OFFSET.fullmatch(about["requested_at"])
    unknown = ("external_id", "source", "custom_fields", "location")
    assert {name: about[name] for name in unknown} == dict.fromkeys(unknown)


def test_the_headers_are_the_contract_s(stack, api, receiver, identity):
    path = "/hook?shop=7&x=%20y"
    receiver.script("/hook", Answer())
    api.make_connection("crm", receiver.url(path), authorization="Basic abc==",
                        headers={"User-Agent": "Example", "X-Shop": "7"})
    api.set_pre_approval(("crm", "crm"))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = api.anonymous().post(
        "/privacy-request", [{"policy_key": "default_erasure_policy", "identity": {"email": identity()}}],
        headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    request_id = must_all(answer)[0]["id"]
    call = receiver.wait_calls(1, "/hook", request_id)[0]
    assert (call.method, call.path) == ("POST", path)
    headers = call.headers
    assert len(headers.keys()) == len({name.lower() for name in headers.keys()}), "a header is there twice"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Basic abc=="
    assert (headers["User-Agent"], headers["X-Shop"]) == ("Example", "7")
    reply = f"/privacy-request/{request_id}/pre-approve"
    assert {name: headers[name] for name in headers if name.startswith("reply-to") and name != "reply-to-token"} == {
        "reply-to-eligible": f"{reply}/eligible", "reply-to-not-eligible": f"{reply}/not-eligible",
        "reply-to-approve": f"{reply}/eligible", "reply-to-deny": f"{reply}/not-eligible"}
    assert re.fullmatch(r"[^.]{8,64}", headers["webhook-id"])
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 15
    assert re.fullmatch(rf"00-{trace}-[0-9a-f]{{16}}-01", headers["traceparent"])
    assert "00f067aa0ba902b7" not in headers["traceparent"]
    claims = open_token(stack, headers["reply-to-token"])
    assert claims["scopes"] == ["privacy-request:review"] and claims["webhook_id"].startswith("pre_")


def open_token(stack, token):
    """As any JOSE library opens it: `dir`, A256GCM, the application's key."""
    jws = jwe.JWE()
    key = stack.environment()["DOCKET_APP_ENCRYPTION_KEY"].encode()
    jws.deserialize(token, jwk.JWK.from_password(key.decode()))
    assert jws.jose_header == {"alg": "dir", "enc": "A256GCM"}
    return json.loads(jws.payload)


def test_a_connection_without_headers_has_docket_s_user_agent(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    call = receiver.wait_calls(1, "/crm", api.create_request(identity())["id"])[0]
    assert re.fullmatch(r"docket/\d\S*", call.headers["User-Agent"])
    assert call.headers["Authorization"] == "test_authorization"


def test_a_connection_s_headers_go_over_its_authorization_but_not_over_replies(api, receiver, identity):
    url = receiver.script("/hook", Reply("eligible"))
    api.make_connection("crm", url, headers={"authorization": "Bearer other", "X-Empty": ""})
    api.set_pre_approval(("crm", "crm"))
    request_id = api.create_request(identity())["id"]
    api.wait_status(request_id, "complete")
    call = receiver.calls("/hook", request_id)[0]
    assert call.headers.get_all("Authorization") == ["Bearer other"]
    assert call.headers.get_all("X-Empty") == [""]


def test_headers_that_docket_sets_are_there_once_whatever_the_connection_says(api, receiver, identity):
    url = receiver.script("/hook", Reply("eligible"))
    api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "read"}])
    answer = api.put("/connection/crm/secret", {
        "url": url, "authorization": "x",
        "headers": {"Reply-To-Token": "mine", "reply-to-eligible": "/mine", "Webhook-Id": "mine",
                    "Webhook-Timestamp": "1", "Content-Type": "text/plain"}})
    if answer.status_code == 422:
        return  # refused with a reason, which is as good
    api.set_pre_approval(("crm", "crm"))
    request_id = api.create_request(identity())["id"]
    api.wait_status(request_id, "complete")
    call = receiver.calls("/hook", request_id)[0]
    for name in ("reply-to-token", "reply-to-eligible", "webhook-id", "webhook-timestamp", "content-type"):
        values = call.headers.get_all(name)
        assert len(values) == 1 and values[0] not in ("mine", "/mine", "1", "text/plain"), (name, values)


def test_each_call_has_an_id_and_a_token_of_its_own(stack, api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer(), tickets=Answer())
    ids = [api.create_request(identity())["id"] for _ in range(2)]
    calls = [call for request_id in ids for call in receiver.wait_calls(2, None, request_id)]
    assert len({call.headers["webhook-id"] for call in calls}) == 4
    assert len({call.headers["reply-to-token"] for call in calls}) == 4
    assert len({open_token(stack, call.headers["reply-to-token"])["webhook_id"] for call in calls}) == 2


# --- tokens and bodies of replies -----------------------------------------------------------------------


@pytest.mark.parametrize("program", ["docket-callback", "docket-api"])
def test_a_reply_needs_its_own_token(stack, api, root_api, receiver, identity, program):
    api.make_webhooks(receiver, crm=Answer())
    request_id, other_id = (api.create_request(identity())["id"] for _ in range(2))
    call = receiver.wait_calls(1, "/crm", request_id)[0]
    url = {"docket-callback": stack.callback.url, "docket-api": stack.api.url}[program]
    eligible = f"{url}/api/v1/privacy-request/{request_id}/pre-approve/eligible"

    def post(authorization, to=eligible):
        return requests.post(to, json={}, headers={"Authorization": authorization}, timeout=10)

    missing = requests.post(eligible, json={}, timeout=10)
    assert (missing.status_code, detail(missing)) == (401, "Failed to authenticate")
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    basic = post("Basic eDp5")
    assert (basic.status_code, detail(basic)) == (401, "Failed to authenticate")
    token = call.headers["reply-to-token"]
    access_token = root_api.session.headers["Authorization"].removeprefix("Bearer ")
    others = {"no token": "x", "an access token": access_token, "a cut token": token[:-5],
              "a changed token": token[:60] + ("A" if token[60] != "A" else "B") + token[61:]}
    for what, other in others.items():
        refused = post(f"Bearer {other}")
        assert (refused.status_code, detail(refused)) == (403, "Not Authorized for this action"), what
    foreign = post(f"Bearer {token}", eligible.replace(request_id, other_id))
    assert foreign.status_code == 403, "a token is good for its own request only"
    assert api.status(request_id) == api.status(other_id) == "awaiting_pre_approval"
    elsewhere = requests.get(f"{stack.api.url}/api/v1/connection", timeout=10,
                             headers={"Authorization": f"Bearer {token}"})
    assert elsewhere.status_code == 403


def test_a_reply_s_body_may_be_anything_but_wrong(stack, api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())

    def post(body):
        request_id = api.create_request(identity())["id"]
        call = receiver.wait_calls(1, "/crm", request_id)[0]
        return requests.post(f"{stack.callback.url}/api/v1{call.headers['reply-to-eligible']}", data=body,
                             headers={"Authorization": f"Bearer {call.headers['reply-to-token']}"}, timeout=10)

    assert post(b"").status_code == 200
    assert post(b'{"note": "whatever"}').status_code == 200
    broken = post(b"{")
    assert broken.status_code == 422 and detail(broken)[0]["type"] == "json_invalid"
    assert post(b"[1]").status_code == 422


def test_a_reply_of_a_deleted_webhook_is_unknown(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer(), tickets=Answer())
    request_id = api.create_request(identity())["id"]
    call = receiver.wait_calls(1, "/crm", request_id)[0]
    must(api.delete("/dsr/webhook/pre_approval/crm"))
    reply = receiver.reply(call, "eligible")
    assert reply.status == 404
    assert re.fullmatch(r"No Pre-Approval Webhook found with id 'pre_[0-9a-f-]{36}'\.",
                        json.loads(reply.body)["detail"])
