"""Endpoints: how they fare, how fast and how often they are called, whether they are called at all."""

import json
import os
import re
import subprocess
import uuid
from datetime import datetime, timedelta, timezone

import pytest
import redis
from standardwebhooks import Webhook, WebhookVerificationError

from configuring import KEY_RULE, assert_scope, errors, refusal, sweeps  # noqa: F401
from utils import ROOT, Answer, Close, Hang, Proxy, must, promptly, redirect, wait_until, worker_settings

PATH = "/docket/endpoint"
MEMBERS = ["key", "name", "disabled", "paused_at", "paused_reason", "rate_limit", "retry_schedule",
           "statement_timeout", "row_limit", "disclose", "signing", "breaker", "waiting", "held", "given_up_24h",
           "delivered_24h", "counted_since", "workers"]
UNKNOWN = (404, "No connection configuration found with key 'nobody'.")
SINCE = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module", autouse=True)
def impatient_worker(stack):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="none"):
        yield


@pytest.fixture
def crm(api):
    return api.make_connection("crm", "https://crm.example/hook")


@pytest.fixture
def made(db, request):
    """made(key, state, count): deliveries of that endpoint whose requests are complete, a millisecond apart. Gone
    afterwards."""
    def make(key, state, count=1):
        name = f"pri_test_{uuid.uuid4().hex[:12]}_"
        db.execute("insert into privacy_request (id, status, policy_id, created_at, updated_at, requested_at) "
                   "select %s || n, 'complete', (select min(id) from policy), now(), now(), now() "
                   "from generate_series(1, %s) n", (name, count))
        db.execute("insert into request_key (request_id, key_id, wrapped) "
                   "select %s || n, 'none', '' from generate_series(1, %s) n", (name, count))
        db.execute("""
            insert into webhook_delivery (request_id, id, kind, webhook_id, connection_id, state, created_at,
                                          settled_at)
            select %s || n, 'dlv_' || md5(n::text), 'pre_approval',
                   coalesce((select min(w.id) from pre_approval_webhook w where w.connection_id = c.id), 'pre_none'),
                   c.id, %s, now() - interval '1 hour' + n * interval '1 ms',
                   case when %s in ('waiting', 'held') then null else now() end
            from generate_series(1, %s) n, connection c where c.key = %s""", (name, state, state, count, key))
        return name

    request.node.add_marker(pytest.mark.by_hand)
    yield make
    for table, column in (("webhook_delivery", "request_id"), ("request_key", "request_id"), ("privacy_request", "id")):
        db.execute(f"delete from {table} where {column} like 'pri\\_test\\_%'")


def show(api, key="crm"):
    return must(api.get(f"{PATH}/{key}"))


# --- how they fare ---------------------------------------------------------------------------------------


def test_an_endpoint_is_shown(api, crm):
    assert show(api) == {
        "key": "crm", "name": "crm", "disabled": False, "paused_at": None, "paused_reason": None, "rate_limit": None,
        "retry_schedule": None, "statement_timeout": None, "row_limit": None, "disclose": None, "signing": False,
        "breaker": None, "waiting": 0, "held": 0, "given_up_24h": 0, "delivered_24h": 0, "counted_since": None, "workers": []}
    assert list(show(api)) == MEMBERS
    assert refusal(api.get(f"{PATH}/nobody")) == UNKNOWN
    assert errors(api.get(f"{PATH}/no%20body")) == [("value_error", ["path", "key"], f"{KEY_RULE}no body")]


def test_endpoints_come_in_pages(api, crm):
    for key in "crn", "cro":
        api.make_connection(key, "https://crm.example/hook")
    page = must(api.get(PATH))
    assert [item["key"] for item in page["items"]] == ["crm", "crn", "cro"]
    assert page["items"][0] == show(api)
    page = must(api.get(PATH, params={"page": 2, "size": 2}))
    assert [item["key"] for item in page["items"]] == ["cro"] and (page["total"], page["pages"]) == (3, 2)
    assert must(api.get(PATH, params={"page": 9}))["items"] == []
    assert errors(api.get(PATH, params={"size": 101}))[0][1] == ["query", "size"]


def test_deliveries_are_counted(api, crm, made, db):
    for state, count in {"held": 2, "given_up": 3, "delivered": 4, "skipped": 1, "waiting": 5}.items():
        made("crm", state, count)
    api.make_connection("desk", "https://desk.example/hook")
    made("desk", "held", 1)
    db.execute("update webhook_delivery set settled_at = now() - interval '25 hours' "
               "where (request_id, id) in (select request_id, id from webhook_delivery "
               "                           where state = 'given_up' and request_id like 'pri\\_test\\_%' limit 1)")
    shown = show(api)
    assert [shown[name] for name in ("waiting", "held", "given_up_24h", "delivered_24h", "counted_since")] == [
        5, 2, 2, 4, None]
    assert must(api.get(PATH))["items"][0] == shown


def test_only_the_latest_are_counted_and_it_says_since_when(api, crm, made):
    """1,000 of each endpoint of a list, 50,000 of one that is asked for."""
    made("crm", "delivered", 1100)
    (item,) = must(api.get(PATH))["items"]
    assert item["delivered_24h"] == 1000 and item["counted_since"]
    assert show(api)["delivered_24h"] == 1100
    assert show(api)["counted_since"] is None


@pytest.fixture
def board(stack, crm, db):
    """board(worker=members): what workers show of crm."""
    client = redis.Redis.from_url(stack.redis.url(stack.redis_number))
    (connection_id,) = db.execute("select id from connection where key = 'crm'").fetchone()
    key = f"{stack.name}:endpoint:{connection_id}"

    def put(**workers):
        for name, members in workers.items():
            client.hset(key, name, members if isinstance(members, str) else json.dumps(members))

    yield put
    client.delete(key)
    client.close()


def stamp(seconds=0):
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seen(breaker="closed", **more):
    return {"breaker": breaker, "open_until": None, "underway": 1, "queued": 2, "calls": 3, "failures": 4,
            "at": stamp()} | more


def test_what_workers_show_is_shown(api, board):
    one, two = seen(), seen("open", open_until=stamp(30))
    board(one=one, two=two)
    shown = show(api)
    assert shown["breaker"] == "open"
    assert sorted(shown["workers"], key=lambda item: item["worker"]) == [{"worker": "one"} | one,
                                                                         {"worker": "two"} | two]
    board(two=seen("half_open"))
    assert show(api)["breaker"] == "half_open"
    assert must(api.get(PATH))["items"][0]["breaker"] == "half_open"


def test_what_is_old_or_odd_is_not_shown(api, board):
    board(gone=seen("open", at=stamp(-60)), odd="{", other="[]", silent={"breaker": "open"}, timeless=seen(at="now"))
    assert show(api)["workers"] == [] and show(api)["breaker"] is None


def test_without_redis_the_rest_stands(stack, api, crm):
    """One that refuses, then one that takes the connection and is mute."""
    proxy = Proxy(stack.redis.port)
    try:
        stack.api.stop()
        stack.api.settings = {"DOCKET_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/{stack.redis_number}"}
        stack.api.start()
        wait_until(lambda: api.get(PATH).status_code == 200, 15, "docket-api")
        assert show(api)["workers"] == []
        for how in "refuse", "mute":
            getattr(proxy, how)()
            with promptly(5):
                assert show(api)["workers"] is None and show(api)["key"] == "crm"
                assert must(api.get(PATH))["items"][0]["workers"] is None
    finally:
        stack.api.stop()
        stack.api.settings = {}
        stack.api.start()
        proxy.close()


# --- changing --------------------------------------------------------------------------------------------


def test_limits_are_set_and_cleared(api, crm):
    assert must(api.patch(f"{PATH}/crm", {"rate_limit": 5, "retry_schedule": "1s,5m"}))["rate_limit"] == 5
    assert (show(api)["rate_limit"], show(api)["retry_schedule"]) == (5, "1s,5m")
    shown = must(api.patch(f"{PATH}/crm", {"retry_schedule": "none"}))
    assert (shown["rate_limit"], shown["retry_schedule"]) == (5, "none")
    shown = must(api.patch(f"{PATH}/crm", {"rate_limit": None}))
    assert (shown["rate_limit"], shown["retry_schedule"]) == (None, "none")
    shown = must(api.patch(f"{PATH}/crm", {"rate_limit": 100_000, "retry_schedule": None}))
    assert (shown["rate_limit"], shown["retry_schedule"]) == (100_000, None)
    assert must(api.patch(f"{PATH}/crm", {})) == shown
    assert refusal(api.patch(f"{PATH}/nobody", {})) == UNKNOWN


@pytest.mark.parametrize("body, name, kind", [
    ({"rate_limit": 0}, "rate_limit", "greater_than_equal"), ({"rate_limit": 100_001}, "rate_limit", "less_than_equal"),
    ({"rate_limit": "fast"}, "rate_limit", "int_parsing"), ({"rate_limit": 1.5}, "rate_limit", None),
    ({"retry_schedule": "soon"}, "retry_schedule", "value_error"), ({"retry_schedule": ""}, "retry_schedule", None),
    ({"retry_schedule": "1s,"}, "retry_schedule", "value_error"),
    ({"retry_schedule": ",".join(["1s"] * 65)}, "retry_schedule", "value_error"),
    ({"retry_schedule": "366d"}, "retry_schedule", "value_error"), ({"retry_schedule": 5}, "retry_schedule", None),
    ({"paused_at": None}, "paused_at", "extra_forbidden")])
def test_what_does_not_fit_is_named(api, crm, body, name, kind):
    (found,) = errors(api.patch(f"{PATH}/crm", body))
    assert found[1] == ["body", name] and kind in (None, found[0])
    assert (show(api)["rate_limit"], show(api)["retry_schedule"]) == (None, None)


def test_an_endpoint_is_paused_and_goes_on(api, crm, sweeps):
    shown = must(api.post(f"{PATH}/crm/pause"))
    assert shown["paused_reason"] == "operator" and shown["paused_at"]
    assert sweeps() == ["endpoint_paused"]
    assert must(api.post(f"{PATH}/crm/pause")) == shown
    assert sweeps() == []
    shown = must(api.post(f"{PATH}/crm/resume"))
    assert shown["paused_at"] is None and shown["paused_reason"] is None
    assert sweeps() == ["endpoint_resumed"]
    assert must(api.post(f"{PATH}/crm/resume")) == shown
    assert sweeps() == []
    for verb in "pause", "resume":
        assert refusal(api.post(f"{PATH}/nobody/{verb}")) == UNKNOWN


def test_why_it_was_paused_first_stays(api, crm, db):
    db.execute("update connection set paused_at = '2026-01-01', paused_reason = 'gone' where key = 'crm'")
    assert must(api.post(f"{PATH}/crm/pause"))["paused_reason"] == "gone"
    assert must(api.post(f"{PATH}/crm/resume"))["paused_reason"] is None


@pytest.mark.parametrize("method, path, scope", [
    ("GET", "", "webhook:read"), ("GET", "/crm", "webhook:read"), ("PATCH", "/crm", "webhook:create_or_update"),
    ("POST", "/crm/pause", "webhook:create_or_update"), ("POST", "/crm/resume", "webhook:create_or_update"),
    ("POST", "/crm/redeliver", "privacy-request:resume"),
    ("POST", "/crm/signing-secret", "webhook:create_or_update"),
    ("DELETE", "/crm/signing-secret", "webhook:create_or_update"), ("POST", "/crm/test", "webhook:create_or_update"),
    ("GET", "/crm/test/trl_1", "webhook:read")])
def test_who_may(api, method, path, scope):
    assert_scope(api, method, PATH + path, scope)


# --- calling anew ----------------------------------------------------------------------------------------


@pytest.fixture
def idle(stack, api, receiver):
    """crm with a webhook, and no worker that would make its calls."""
    api.make_webhooks(receiver, crm=Answer())
    stack.workers[0].stop()


def redeliver(api, **body):
    return must(api.post(f"{PATH}/crm/redeliver", {"since": SINCE} | body))


def states(db, name):
    return dict(db.execute("select state, count(*) from webhook_delivery where starts_with(request_id, %s) "
                           "group by state", (name,)).fetchall())


OVER = {"more": False, "next_cursor": None}


def test_all_that_failed_since_a_time_is_called_anew(api, idle, made, db):
    names = {state: made("crm", state, 3) for state in ("given_up", "skipped", "delivered", "held")}
    (second,) = db.execute("select created_at from webhook_delivery where request_id = %s",
                           (names["given_up"] + "2",)).fetchone()
    assert redeliver(api, since=second.isoformat()) == {"redelivered": 2, "refused": 0} | OVER
    assert states(db, names["given_up"]) == {"waiting": 2, "given_up": 1}
    assert redeliver(api) == {"redelivered": 1, "refused": 0} | OVER
    assert redeliver(api) == {"redelivered": 0, "refused": 0} | OVER
    assert states(db, names["skipped"]) == {"skipped": 3} and states(db, names["held"]) == {"held": 3}
    assert redeliver(api, states=["skipped", "delivered"]) == {"redelivered": 6, "refused": 0} | OVER
    assert states(db, names["skipped"]) == {"waiting": 3} and states(db, names["held"]) == {"held": 3}


def test_what_can_not_be_called_anew_is_counted(api, idle, made, db):
    name = made("crm", "given_up", 3)
    db.execute("update privacy_request set status = 'canceled' where id = %s", (name + "1",))
    db.execute("delete from request_key where request_id = %s", (name + "2",))
    assert redeliver(api) == {"redelivered": 1, "refused": 2} | OVER
    assert states(db, name) == {"waiting": 1, "given_up": 2}


def test_a_call_takes_ten_thousand_and_says_where_to_go_on(api, idle, made, db):
    name = made("crm", "given_up", 10_003)
    first = redeliver(api)
    assert (first["redelivered"], first["refused"], first["more"]) == (10_000, 0, True)
    assert states(db, name) == {"waiting": 10_000, "given_up": 3}
    assert redeliver(api, cursor=first["next_cursor"]) == {"redelivered": 3, "refused": 0} | OVER


def test_a_few_among_many_are_found(api, idle, made, db):
    """More than one look has."""
    made("crm", "delivered", 20_001)
    name = made("crm", "given_up", 2)
    db.execute("update webhook_delivery set created_at = now() where starts_with(request_id, %s)", (name,))
    assert redeliver(api) == {"redelivered": 2, "refused": 0} | OVER


@pytest.mark.parametrize("body, name", [
    ({}, ["since"]), ({"since": "now"}, ["since"]), ({"since": None}, ["since"]),
    ({"since": SINCE, "states": ["waiting"]}, ["states", 0]), ({"since": SINCE, "states": []}, ["states"]),
    ({"since": SINCE, "cursor": "x"}, ["cursor"]), ({"since": SINCE, "limit": 1}, ["limit"])])
def test_a_redelivery_that_does_not_fit_is_named(api, crm, body, name):
    assert [error[1] for error in errors(api.post(f"{PATH}/crm/redeliver", body))] == [["body", *name]]


def test_nothing_is_called_anew_while_the_endpoint_is_not_called(api, crm):
    must(api.post(f"{PATH}/crm/pause"))
    assert refusal(api.post(f"{PATH}/crm/redeliver", {"since": SINCE})) == (409, "Endpoint 'crm' is paused.")
    must(api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "read", "disabled": True}]))
    assert refusal(api.post(f"{PATH}/crm/redeliver", {"since": SINCE})) == (409, "Connection 'crm' is disabled.")
    assert refusal(api.post(f"{PATH}/nobody/redeliver", {"since": SINCE})) == UNKNOWN


# --- signing ---------------------------------------------------------------------------------------------


def rotate(api):
    return must(api.post(f"{PATH}/crm/signing-secret"))["signing_secret"]


def verifies(secret, call):
    """Standard Webhooks' own library takes the call as one of ours."""
    try:
        Webhook(secret).verify(call.body, {name.lower(): value for name, value in call.headers.items()})
    except WebhookVerificationError:
        return False
    return True


def test_a_signing_secret_is_made_and_shown_once(api, crm):
    secret = rotate(api)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]+=*", secret)
    assert show(api)["signing"] is True
    assert secret not in api.get("/connection/crm").text + api.get(f"{PATH}/crm").text
    assert rotate(api) != secret
    assert api.delete(f"{PATH}/crm/signing-secret").status_code == 204
    assert show(api)["signing"] is False
    assert api.delete(f"{PATH}/crm/signing-secret").status_code == 204
    for method in api.post, api.delete:
        assert refusal(method(f"{PATH}/nobody/signing-secret")) == UNKNOWN


def test_what_has_no_url_has_no_signing_secret(api):
    must(api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "read"}]))
    assert refusal(api.post(f"{PATH}/crm/signing-secret")) == (
        409, "Connection 'crm' has no secrets yet: set its url first.")
    assert api.delete(f"{PATH}/crm/signing-secret").status_code == 204


# --- test calls ------------------------------------------------------------------------------------------


def ask_test(api):
    return must(api.post(f"{PATH}/crm/test"), 202)["id"]


def test_of(api, test_id):
    return must(api.get(f"{PATH}/crm/test/{test_id}"))


test_of.__test__ = False


def wait_test(api, test_id):
    return wait_until(lambda: (found := test_of(api, test_id))["state"] != "waiting" and found, 15, "the test call")


def test_an_endpoint_is_tried_as_it_would_be_called(api, receiver):
    api.make_connection("crm", receiver.script("/crm", Answer(json={"well": "done"})), headers={"x-tenant": "7"})
    secret = rotate(api)
    test_id = ask_test(api)
    shown = wait_test(api, test_id)
    (call,) = receiver.calls("/crm")
    assert list(shown) == ["id", "endpoint", "state", "created_at", "started_at", "duration_ms", "address",
                           "status_code", "outcome", "answer"]
    assert (shown["id"], shown["endpoint"], shown["state"]) == (test_id, "crm", "succeeded")
    assert (shown["status_code"], shown["outcome"], shown["answer"]) == (200, "succeeded", '{"well": "done"}')
    assert shown["address"] == f"127.0.0.1:{receiver.port}" and 0 < shown["duration_ms"] < 10_000
    assert shown["created_at"] <= shown["started_at"]
    assert call.json.keys() == {"type", "timestamp"} and call.json["type"] == "docket.test"
    assert call.headers["webhook-id"] == test_id
    assert call.headers["x-tenant"] == "7" and call.headers["authorization"] == "test_authorization"
    assert call.headers["content-type"] == "application/json"
    assert not any(name.lower().startswith("reply-to") for name in call.headers)
    assert verifies(secret, call)


def test_while_a_secret_is_rotated_both_verify(api, receiver):
    api.make_connection("crm", receiver.script("/crm", Answer()))
    former, fresh = rotate(api), rotate(api)
    wait_test(api, ask_test(api))
    api.delete(f"{PATH}/crm/signing-secret")
    wait_test(api, ask_test(api))
    signed, unsigned = receiver.calls("/crm")
    assert verifies(former, signed) and verifies(fresh, signed)
    assert "webhook-signature" not in unsigned.headers


@pytest.mark.parametrize("behaviour, outcome, status", [
    (Answer(503), "http_5xx", 503), (Answer(401), "http_4xx", 401), (Close(), "connection_reset", None),
    (redirect("http://elsewhere.example/"), "redirect", 302)], ids=["503", "401", "hang-up", "redirect"])
def test_what_goes_wrong_is_told_and_not_tried_again(api, receiver, behaviour, outcome, status):
    api.make_connection("crm", receiver.script("/crm", behaviour))
    shown = wait_test(api, ask_test(api))
    assert (shown["state"], shown["outcome"], shown["status_code"]) == ("failed", outcome, status)
    wait_test(api, ask_test(api))
    assert len(receiver.calls("/crm")) == 2


def test_a_test_call_passes_the_guard(stack, api, receiver):
    api.make_connection("crm", receiver.script("/crm", Answer()))
    with worker_settings(stack, DOCKET_WEBHOOK_ALLOWED_NETWORKS=""):
        assert wait_test(api, ask_test(api))["outcome"] == "address_blocked"
    assert receiver.calls() == []


def test_a_paused_endpoint_may_be_tried_a_disabled_one_not(api, receiver):
    api.make_connection("crm", receiver.script("/crm", Answer()))
    must(api.post(f"{PATH}/crm/pause"))
    assert wait_test(api, ask_test(api))["state"] == "succeeded"
    must(api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "read", "disabled": True}]))
    assert refusal(api.post(f"{PATH}/crm/test")) == (409, "Connection 'crm' is disabled.")


def test_what_can_not_be_tried_is_refused(stack, api):
    assert refusal(api.post(f"{PATH}/nobody/test")) == UNKNOWN
    must(api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "read"}]))
    assert refusal(api.post(f"{PATH}/crm/test")) == (409, "Connection 'crm' has no secrets, so no URL to call.")
    assert refusal(api.get(f"{PATH}/crm/test/trl_none")) == (
        404, "No test with id 'trl_none' found of endpoint 'crm'.")
    must(api.put("/connection/crm/secret", {"url": "https://crm.example/hook", "authorization": "x"}))
    stack.workers[0].stop()
    ids = {ask_test(api) for _ in range(10)}
    assert len(ids) == 10 and {test_of(api, test_id)["state"] for test_id in ids} == {"waiting"}
    assert refusal(api.post(f"{PATH}/crm/test")) == (409, "10 test calls to 'crm' wait already.")


def test_a_call_that_was_lost_with_its_worker_is_not_made_again(stack, api, receiver, db):
    api.make_connection("crm", receiver.script("/crm", Hang()))
    test_id = ask_test(api)
    receiver.wait_calls(1, "/crm")
    stack.workers[0].kill()
    db.execute("update endpoint_trial set due_at = now() where id = %s", (test_id,))
    stack.workers[0].start()
    shown = wait_test(api, test_id)
    assert (shown["state"], shown["outcome"], shown["status_code"]) == ("failed", "worker_lost", None)
    assert len(receiver.calls("/crm")) == 1


def test_test_calls_are_forgotten_after_a_week(stack, api, crm, db):
    for age in 6, 8:
        db.execute("insert into endpoint_trial (id, connection_id, created_at, outcome) select %s, id, "
                   "now() - %s * interval '1 day', 'succeeded' from connection where key = 'crm'", (f"trl_{age}", age))
    stack.workers[0].stop()
    stack.workers[0].start()
    wait_until(lambda: api.get(f"{PATH}/crm/test/trl_8").status_code == 404, 15, "the old one to be forgotten")
    assert test_of(api, "trl_6")["state"] == "succeeded"


# --- in the documentation ----------------------------------------------------------------------------------


def test_the_documentation_s_examples_work(stack, api, receiver, identity):
    api.make_webhooks(receiver, crm=[Answer(503), Answer(), Answer()])
    request_id = api.create_request(identity())["id"]
    wait_until(lambda: show(api)["given_up_24h"] == 1, 15, "the call to be given up")
    environment = os.environ | {"DOCKET_API_URL": api.url,
                                "TOKEN": api.session.headers["Authorization"].removeprefix("Bearer ")}

    def run(example):
        return json.loads(subprocess.run(["bash", "-euo", "pipefail", "-c", example], env=environment, check=True,
                                         capture_output=True, timeout=60).stdout)

    text = (ROOT / "docs/deliveries.md").read_text()
    listing, redelivering, trying, telling = map(run, re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    assert request_id in [item["request_id"] for item in listing["items"]]
    assert redelivering == {"redelivered": 1, "refused": 0} | OVER
    assert trying["endpoint"] == "crm" and trying["state"] == "succeeded"
    assert telling["disclose"] == {"identity": ["email", "loyalty_id"], "parts": ["policy", "due_date"]}
