"""What of a person went to whom: told by each attempt in which something went out, by name; what an endpoint is not to be
told is not in its calls; and who was given what had been collected."""

import pytest

from configuring import errors, refusal
from packing import packing  # noqa: F401
from stepping import go_on, make_steps, nowhere, start, two_way
from utils import Answer, Api, Close, Hang, Receiver, Reply, must, must_all, wait_until, worker_settings

POLICY = "default_erasure_policy"
ENDPOINT = "/docket/endpoint/crm"
ATTEMPTS = {f"docket.request.{word}.v1" for word in ("webhook_sent", "webhook_failed", "webhook_given_up",
                                                     "webhook_answered", "webhook_reminded", "endpoint_paused")}
GIVEN = "docket.request.disclosed.v1"
DEFAULTS = ["phone_number", "email", "ga_client_id", "ljt_readerID", "fides_user_device_id", "external_id"]


@pytest.fixture
def attempts(bus):
    """attempts(request, count) are that many events of its attempts, once the topic has them."""
    def wait(request_id, count=1):
        def found():
            events = {event.id: event for event in bus.records("lifecycle", request_id) if event.type in ATTEMPTS}
            return list(events.values()) if len(events) >= count else None

        def all_of_it():
            return (f"{count} attempts of {request_id}: "
                    f"{[(event.id, event.type, event.data) for event in bus.records('lifecycle', request_id)]}")

        return wait_until(found, 20, all_of_it)
    return wait


def told(policy=POLICY, identity=("email",), parts=("*",)):
    return {"connection_key": "crm", "host": "127.0.0.1", "policy_key": policy, "identity": list(identity),
            "parts": list(parts)}


def short(event):
    return event.type.split(".")[2], event.data.get("disclosed")


# --- of each outcome -------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_attempt(stack):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="none", DOCKET_WEBHOOK_TIMEOUT="2s"):
        yield


def test_what_was_taken_is_told(api, receiver, identity, attempts):
    api.make_webhooks(receiver, crm=Reply("eligible"))
    request_id = api.create_request(identity())["id"]
    assert [short(event) for event in attempts(request_id)] == [("webhook_sent", told())]


def test_each_attempt_tells_for_itself(api, receiver, identity, stack, attempts):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="100ms,100ms"):
        api.make_webhooks(receiver, crm=[Answer(503), Answer(502), Reply("eligible")])
        request_id = api.create_request(identity())["id"]
        assert [short(event) for event in attempts(request_id, 3)] == [
            ("webhook_failed", told()), ("webhook_failed", told()), ("webhook_sent", told())]


@pytest.mark.parametrize("behaviour, outcome", [(Answer(400), "http_4xx"), (Hang(), "timeout"),
                                                (Close(), "connection_reset")])
def test_what_was_sent_and_refused_or_never_answered_is_told(api, receiver, identity, one_attempt, attempts, behaviour,
                                                             outcome):
    api.make_webhooks(receiver, crm=behaviour)
    event, = attempts(api.create_request(identity())["id"])
    assert short(event) == ("webhook_given_up", told()) and event.data["outcome"] == outcome


def test_a_policy_webhook_s_answer_and_a_gone_endpoint_tell(api, receiver, identity, one_attempt, attempts):
    make_steps(api, receiver, crm=two_way())
    assert [short(event) for event in attempts(start(api, identity))] == [("webhook_answered", told())]
    make_steps(api, receiver, crm=two_way(Answer(410)))
    assert [short(event) for event in attempts(start(api, identity))] == [("endpoint_paused", told())]


def test_a_reminder_tells(api, receiver, identity, stack, attempts):
    with worker_settings(stack, DOCKET_PRE_APPROVAL_REMINDER="1s"):
        api.make_webhooks(receiver, crm=[Answer(), Reply("eligible")])
        request_id = api.create_request(identity())["id"]
        assert [short(event) for event in attempts(request_id, 2)] == [("webhook_sent", told()),
                                                                       ("webhook_reminded", told())]


@pytest.mark.parametrize("outcome, url", [
    ("connection_refused", lambda receiver: "http://127.0.0.1:9/hook"), ("dns_error", lambda receiver: nowhere()),
    ("tls_error", lambda receiver: receiver.url("/crm").replace("http:", "https:")),
    ("address_blocked", lambda receiver: "http://169.254.169.254/")])
def test_where_nothing_went_out_nothing_is_told(api, receiver, identity, one_attempt, attempts, outcome, url):
    api.make_connection("crm", url(receiver))
    api.set_pre_approval(("crm", "crm"))
    event, = attempts(api.create_request(identity())["id"])
    assert short(event) == ("webhook_given_up", None) and event.data["outcome"] == outcome


def test_without_a_token_nothing_goes_out(api, receiver, identity, one_attempt, attempts):
    api.make_webhooks(receiver, crm=Reply("eligible"))
    tokens = Receiver()
    tokens.script("/token", Answer(401))
    must(api.put("/connection/crm/oauth", {"grant_type": "client_credentials", "token_url": tokens.url("/token"),
                                           "client_id": "c", "client_secret": "s"}))
    event, = attempts(api.create_request(identity())["id"])
    tokens.close()
    assert short(event) == ("webhook_given_up", None) and event.data["outcome"] == "token_http_4xx"
    assert not receiver.calls("/crm")


def test_a_name_that_the_requester_chose_is_told_as_custom(api, receiver, identity, attempts, bus):
    api.make_webhooks(receiver, crm=Reply("eligible"))
    name = identity.derived()  # may be about a person as well: looked for everywhere
    request_id = api.create_request(identity(), **{"identity": {"email": identity(), name: identity.custom(),
                                                                "phone_number": identity.phone()}})["id"]
    event, = attempts(request_id)
    assert event.data["disclosed"]["identity"] == ["phone_number", "email", "custom"]
    assert name in receiver.wait_calls(1, "/crm", request_id)[0].json["identity"]


# --- what an endpoint is told ----------------------------------------------------------------------------------------------


def disclose(api, value):
    return must(api.patch(ENDPOINT, {"disclose": value}))["disclose"]


def call_with(api, receiver, identity, value, **more):
    """A request's call to an endpoint that is told this, and the request's id."""
    disclose(api, value)
    who = {"identity": {"email": identity(), "loyalty_id": identity.custom()}} | more
    request_id = api.create_request(None, **who)["id"]
    return receiver.wait_calls(1, "/crm", request_id)[0].json, request_id


@pytest.fixture
def crm(api, receiver):
    api.make_webhooks(receiver, crm=Reply("eligible"))


def test_an_endpoint_that_nothing_is_said_of_gets_the_contract_s_body(api, receiver, identity, crm, attempts):
    assert must(api.get(ENDPOINT))["disclose"] is None
    body, request_id = call_with(api, receiver, identity, None)
    assert list(body) == ["privacy_request_id", "privacy_request_status", "direction", "callback_type", "identity",
                          "policy_action", "privacy_request", "timestamp"]
    assert list(body["identity"]) == DEFAULTS + ["loyalty_id"] and len(body["privacy_request"]) == 28
    assert attempts(request_id)[0].data["disclosed"]["parts"] == ["*"]


def test_keys_that_are_not_listed_are_not_in_the_call(api, receiver, identity, crm, attempts):
    whole, _ = call_with(api, receiver, identity, None)
    body, request_id = call_with(api, receiver, identity, {"identity": ["loyalty_id", "phone_number", "unknown_id"]})
    assert list(body["identity"]) == ["phone_number", "loyalty_id"]
    assert body["identity"]["phone_number"] is None and body["identity"]["loyalty_id"]["label"] == "Loyalty id"
    assert list(body) == list(whole) and list(body["privacy_request"]) == list(whole["privacy_request"])
    assert attempts(request_id)[0].data["disclosed"] == told(identity=["loyalty_id"])


def test_each_part_of_the_request_goes_only_where_it_is_listed(api, receiver, identity, crm, attempts):
    whole, _ = call_with(api, receiver, identity, None)
    always = {"id", "status"}
    for part in ("custom_fields", "due_date", "policy"):  # every one: unit tests of payload
        body, request_id = call_with(api, receiver, identity, {"parts": [part]},
                                     custom_privacy_request_fields={"shop": {"label": "Shop", "value": "s"}})
        assert set(body["privacy_request"]) == always | {part}
        assert {name: body[name] for name in body if name not in ("privacy_request", "identity", "timestamp",
                                                                  "privacy_request_id")} == {
            name: whole[name] for name in ("privacy_request_status", "direction", "callback_type", "policy_action")}
        assert body["privacy_request"]["id"] == request_id
        assert set(attempts(request_id)[0].data["disclosed"]["parts"]) == always | {part}


def test_nothing_of_the_person_goes_where_nothing_is_listed(api, receiver, identity, crm, attempts):
    body, request_id = call_with(api, receiver, identity, {"identity": [], "parts": []})
    assert body["identity"] == {} and set(body["privacy_request"]) == {"id", "status"}
    assert attempts(request_id)[0].data["disclosed"] == told(identity=[], parts=["id", "status"])


def test_what_a_webhook_derives_goes_to_the_next_one_only_where_it_is_listed(api, receiver, identity):
    phone = identity.phone()
    make_steps(api, receiver, finds=two_way(go_on(phone_number=phone)), crm=two_way(),
               last=two_way())
    disclose(api, {"identity": ["email"]})
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    assert list(receiver.wait_calls(1, "/crm", request_id)[0].json["identity"]) == ["email"]
    assert receiver.wait_calls(1, "/last", request_id)[0].json["identity"]["phone_number"] == phone


def test_a_test_call_tells_of_nobody_either_way(api, receiver, crm):
    disclose(api, {"identity": [], "parts": []})
    must(api.post(f"{ENDPOINT}/test"), 202)
    call = wait_until(lambda: [call for call in receiver.calls("/crm") if call.json["type"] == "docket.test"], 20,
                      "the test call")[0]
    assert set(call.json) == {"type", "timestamp"}


def test_what_is_given_is_kept_and_null_takes_it_back(api, crm):
    lists = {"identity": ["email", "loyalty_id"], "parts": ["policy", "due_date"]}
    assert disclose(api, lists) == lists == must(api.get(ENDPOINT))["disclose"]
    assert must(api.patch(ENDPOINT, {"rate_limit": 9}))["disclose"] == lists
    assert disclose(api, {"parts": []}) == {"parts": []}
    assert disclose(api, None) is None


@pytest.mark.parametrize("value, place", [
    ({"parts": ["policy", "name"]}, ["parts", 1]), ({"parts": "policy"}, ["parts"]), ({"parts": [None]}, ["parts", 0]),
    ({"identity": [""]}, ["identity", 0]), ({"identity": [7]}, ["identity", 0]), ({"identity": ["x" * 513]}, ["identity", 0]),
    ({"identity": ["email"] * 41}, ["identity"]), ({"parts": ["id"] * 29}, ["parts"]), ({"fields": []}, ["fields"]),
    ({}, []), ({"identity": None}, ["identity"]), (["email"], []), ("email", [])])
def test_what_can_not_be_told_is_refused_in_its_place(api, crm, value, place):
    assert [loc for _, loc, _ in errors(api.patch(ENDPOINT, {"disclose": value}))][0] == ["body", "disclose", *place]
    assert must(api.get(ENDPOINT))["disclose"] is None


def test_only_who_is_called_is_told_something(api):
    must_all(api.patch("/connection", [{"key": "db", "connection_type": "postgres", "access": "write"}]))
    refused, = errors(api.patch("/docket/endpoint/db", {"disclose": {"identity": []}}))
    assert refused == ("value_error", ["body", "disclose"],
                       "Value error, Only connections of type 'https' are told something.")


# --- what was collected ------------------------------------------------------------------------------------------------------


@pytest.fixture
def given(bus, db):
    """given(request) is what was told of it since it was asked last, as (what, to, rule keys, client)."""
    seen = {}

    def fresh(request_id):
        last = db.execute("select seq from privacy_request where id = %s", (request_id,)).fetchone()[0]

        def arrived():
            events = {event.sequence: event for event in bus.records("lifecycle", request_id)}
            return events if last in events else None

        events = wait_until(arrived, 20, f"event {last} of {request_id}")
        found = [events[number].data for number in sorted(events)
                 if number > seen.get(request_id, 0) and events[number].type == GIVEN]
        seen[request_id] = last
        return [(data["what"], data["to"], data["rule_keys"], data.get("client_id")) for data in found]
    return fresh


def test_who_was_given_what_is_told_before_it_goes_out(api, stack, packing, given):  # noqa: F811
    root = stack.environment()["DOCKET_ROOT_CLIENT_ID"]
    policy = packing.policy("given", ("given_a", packing.storage("given"), ["user"]),
                            ("given_b", packing.storage("given"), ["user.contact"]))
    request_id = packing.run(packing.person(), policy)
    assert given(request_id) == []
    urls = must(api.get(f"/privacy-request/{request_id}/access-results"))["access_result_urls"]
    assert given(request_id) == [("links", "client", ["given_a", "given_b"], root)]
    paths = [url.removeprefix(api.url) for url in urls]
    assert api.anonymous().request("HEAD", paths[0]).status_code == 200
    assert given(request_id) == []
    assert api.anonymous().get(paths[1]).status_code == 200
    assert given(request_id) == [("package", "link", ["given_b"], None)]
    assert api.get(f"/privacy-request/transfer/{request_id}/given_a").status_code == 200
    assert given(request_id) == [("transfer", "client", ["given_a"], root)]
    told_in = api.timeline(request_id)["Access results given out"]
    assert [entry["message"] for entry in told_in] == [
        "Links to packages were given out: given_a, given_b", "A package was fetched by its link: given_b",
        "What was collected was given out: given_a"]
    assert api.status(request_id) == "complete"


def test_what_is_refused_is_not_told(api, packing, given, identity):  # noqa: F811
    policy = packing.policy("kept", ("kept", packing.storage("kept"), ["user"]))
    request_id = packing.run(packing.person(), policy)
    urls = must(api.get(f"/privacy-request/{request_id}/access-results"))["access_result_urls"]
    assert len(given(request_id)) == 1
    path = urls[0].removeprefix(api.url)
    assert api.anonymous().get(path[:-3] + "AAA").status_code == 403
    assert api.get(f"/privacy-request/transfer/{request_id}/nobody").status_code == 404
    client = must(api.post("/oauth/client", {"scopes": ["storage:read"]}))
    stranger = Api.login(api.url, client["client_id"], client["client_secret"])
    assert stranger.get(f"/privacy-request/{request_id}/access-results").status_code == 403
    for file in [file for file in packing.stack.packages.rglob("*") if request_id in str(file) and file.is_file()]:
        file.unlink()
    assert api.anonymous().get(path).status_code == 404
    waiting = api.create_request(identity())["id"]
    assert refusal(api.get(f"/privacy-request/{waiting}/access-results"))[0] == 400
    assert given(request_id) == [] and given(waiting) == []
