"""Calls owed to webhooks, as operators see them: listed, shown with their attempts, made anew."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from configuring import assert_scope, errors, refusal, same_session
from stepping import go_on, make_steps, one_way, order, start, two_way
from utils import Answer, Api, Reply, must, promptly, wait_until, worker_settings

PATH = "/docket/delivery"
MEMBERS = ["id", "request_id", "kind", "webhook", "endpoint", "state", "attempt_count", "outcome", "problem", "due_at",
           "created_at", "settled_at", "run", "redelivery", "worker"]


@pytest.fixture(scope="module", autouse=True)
def impatient_worker(stack):
    """One attempt, so that what fails is given up at once."""
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="none", DOCKET_WEBHOOK_TIMEOUT="2s"):
        yield


@pytest.fixture
def client(api):
    """A client with these scopes, logged in; it is gone after the test."""
    made = []

    def make(*scopes):
        client = must(api.post("/oauth/client", {"scopes": list(scopes)}))
        made.append(client["client_id"])
        return Api.login(api.url, client["client_id"], client["client_secret"])

    yield make
    for client_id in made:
        api.delete(f"/oauth/client/{client_id}")


def listed(api, **query):
    return must(api.get(PATH, params=query))["items"]


def only(api, request_id):
    (delivery,) = listed(api, request_id=request_id)
    return delivery


def wait_settled(api, request_id, state, count=1):
    def settled():
        found = listed(api, request_id=request_id)
        return len(found) == count and all(item["state"] == state for item in found) and found

    return wait_until(settled, 15, lambda: f"{state} deliveries: {listed(api, request_id=request_id)}")


def one_of(api, delivery):
    return must(api.get(f"{PATH}/{delivery['request_id']}/{delivery['id']}"))


def redeliver(api, delivery):
    return api.post(f"{PATH}/{delivery['request_id']}/{delivery['id']}/redeliver")


@pytest.fixture
def failed(api, receiver, identity):
    """failed(*script): the delivery of a request whose one webhook does as told, once it was given up."""
    def make(*script, key="crm"):
        api.make_webhooks(receiver, **{key: list(script) or [Answer(503)]})
        return wait_settled(api, api.create_request(identity())["id"], "given_up")[0]

    return make


# --- the list --------------------------------------------------------------------------------------------


def test_a_delivery_is_shown_with_its_webhook_and_endpoint(failed):
    delivery = failed()
    assert list(delivery) == MEMBERS
    assert delivery["kind"] == "pre_approval" and delivery["webhook"] == delivery["endpoint"] == "crm"
    assert (delivery["state"], delivery["attempt_count"], delivery["outcome"]) == ("given_up", 1, "http_5xx")
    assert delivery["due_at"] is None and delivery["worker"] is None
    assert delivery["created_at"] <= delivery["settled_at"]
    assert delivery["run"] == 0 and delivery["redelivery"] is False


def test_the_list_is_filtered(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer(503), desk=Answer())
    ids = [api.create_request(identity())["id"] for _ in range(2)]
    for request_id in ids:
        wait_until(lambda: {item["state"] for item in listed(api, request_id=request_id)} == {"given_up", "delivered"},
                   15, "both calls to be settled")

    def found(**query):
        items = listed(api, created_gt=first["created_at"], **query)
        return {(item["request_id"], item["webhook"]) for item in items}

    first = {"created_at": "2020-01-01"}
    one, two = ids
    assert found(request_id=one) == {(one, "crm"), (one, "desk")}
    assert found(request_id=one, endpoint="desk") == {(one, "desk")}
    assert found(request_id=[one], webhook="crm") == {(one, "crm")}
    assert found(request_id=one, state="given_up") == {(one, "crm")}
    assert found(request_id=one, state=["given_up", "delivered"], kind=["pre_approval", "pre"]) == {
        (one, "crm"), (one, "desk")}
    assert found(request_id=one, kind="post") == set()
    first = listed(api, request_id=one)[-1] | {"created_at": listed(api, request_id=one)[0]["created_at"]}
    assert found(endpoint="crm") == {(two, "crm")}
    assert found(state="delivered") == {(two, "desk")}
    assert found(webhook="desk", state=["held", "waiting"]) == set()
    assert found(created_lt="2020-01-01") == set()
    assert found() == {(two, "crm"), (two, "desk")}
    assert found(created_lt=listed(api, request_id=two)[0]["created_at"]) == set()


def walk(api, **query):
    """All pages: the items, and how many pages they were."""
    items, pages, cursor = [], 0, None
    while True:
        page = must(api.get(PATH, params=query | ({"cursor": cursor} if cursor else {})))
        items += page["items"]
        pages += 1
        cursor = page["next_cursor"]
        if not cursor:
            return items, pages


def test_pages_follow_each_other_without_a_gap(api, receiver, identity):
    """Both calls of a request are owed at the same moment."""
    api.make_webhooks(receiver, crm=Answer(503), desk=Answer(503))
    since = must(api.get(PATH, params={"size": 1}))["items"]
    query = {"created_gt": since[0]["created_at"]} if since else {}
    ids = [api.create_request(identity())["id"] for _ in range(4)]
    for request_id in ids:
        wait_settled(api, request_id, "given_up", count=2)
    for more in {}, {"endpoint": "crm"}, {"state": "given_up"}, {"request_id": ids[0]}:
        whole, pages = walk(api, **query, **more)
        assert pages == 1
        assert len(whole) == (2 if "request_id" in more else 4 if "endpoint" in more else 8)
        assert whole == sorted(whole, reverse=True,
                               key=lambda item: (item["created_at"], item["request_id"], item["id"]))
        for size in 1, 3:
            assert walk(api, **query, **more, size=size)[0] == whole
    assert [item["request_id"] for item in whole] == [ids[0]] * 2


@pytest.fixture
def many(api, db):
    """many(count): so many delivered calls of two endpoints, by turns; the oldest was given up. Gone afterwards."""
    def make(count):
        api.make_connection("one", "https://one.example/hook")
        api.make_connection("two", "https://two.example/hook")
        db.execute("""
            insert into webhook_delivery (request_id, id, kind, webhook_id, connection_id, state, created_at,
                                          settled_at)
            select 'test_' || n, 'dlv_' || n, 'pre_approval', 'pre_none', c.id,
                   case n when 1 then 'given_up' else 'delivered' end, '2030-01-01'::timestamptz + n * interval '1 ms',
                   '2030-01-02'
            from generate_series(1, %s) n join connection c on c.key = case n %% 2 when 1 then 'one' else 'two' end""",
                   (count,))
        db.execute("analyze webhook_delivery")

    yield make
    db.execute("delete from webhook_delivery where request_id like 'test\\_%'")


def test_a_rare_state_among_many_is_found_in_steps(api, many, db):
    """A page looks at 20,000 deliveries, divided among the endpoints, and says where to go on."""
    many(50_000)
    rare = {"state": "given_up", "created_gt": "2029-12-31T00:00:00Z"}
    items, pages = walk(api, **rare)
    assert [item["id"] for item in items] == ["dlv_1"] and items[0]["webhook"] is None
    assert pages == 3
    items, pages = walk(api, endpoint="one", **rare)
    assert [item["id"] for item in items] == ["dlv_1"] and pages == 2
    first = must(api.get(PATH, params=rare))
    assert first["items"] == [] and first["next_cursor"]
    with promptly(2):
        newest = must(api.get(PATH, params={"size": 2}))["items"]
    assert [item["id"] for item in newest] == ["dlv_50000", "dlv_49999"]


def test_what_was_called_at_an_endpoint_that_is_gone_stays_listed(api, failed):
    delivery = failed()
    api.set_pre_approval()
    assert api.delete("/connection/crm").status_code == 204
    found = only(api, delivery["request_id"])
    assert (found["endpoint"], found["webhook"], found["state"]) == (None, None, "given_up")
    assert found["id"] in [item["id"] for item in listed(api, state="given_up", created_lt="2029-01-01")]
    assert refusal(api.get(PATH, params={"endpoint": "crm"})) == (
        404, "No connection configuration found with key 'crm'.")


@pytest.mark.parametrize("query, name, kind", [
    ({"state": "lost"}, ["state", 0], "enum"), ({"state": ["held", "lost"]}, ["state", 1], "enum"),
    ({"kind": "during"}, ["kind", 0], "enum"), ({"size": 0}, ["size"], "greater_than_equal"),
    ({"size": 101}, ["size"], "less_than_equal"), ({"size": "many"}, ["size"], "int_parsing"),
    ({"created_gt": "yesterday"}, ["created_gt"], None), ({"created_lt": ""}, ["created_lt"], None),
    ({"cursor": "x"}, ["cursor"], "value_error"), ({"cursor": ""}, ["cursor"], "value_error"),
    ({"endpoint": "no key"}, ["endpoint"], "value_error"), ({"webhook": "no/key"}, ["webhook"], "value_error"),
    ({"request_id": ""}, ["request_id"], "string_too_short"), ({"state": ["held"] * 17}, ["state"], "too_long")])
def test_what_does_not_fit_is_named(api, query, name, kind):
    (found,) = errors(api.get(PATH, params=query))
    assert found[1] == ["query", *name]
    assert kind in (None, found[0])


def test_a_webhook_that_nobody_knows_is_told(api):
    assert refusal(api.get(PATH, params={"webhook": "nobody"})) == (404, "No webhook found with key 'nobody'.")


@pytest.mark.parametrize("method, path, scope", [
    ("GET", "", "webhook:read"), ("GET", "/pri_1/dlv_1", "webhook:read"),
    ("POST", "/pri_1/dlv_1/redeliver", "privacy-request:resume")])
def test_who_may(api, method, path, scope):
    assert_scope(api, method, PATH + path, scope)


# --- one -------------------------------------------------------------------------------------------------


def test_one_is_shown_with_its_attempts(api, receiver, failed):
    delivery = failed(Answer(503, json={"sorry": "grün"}))
    shown = one_of(api, delivery)
    assert list(shown) == [*MEMBERS, "attempts"]
    assert {name: shown[name] for name in MEMBERS} == delivery
    (attempt,) = shown["attempts"]
    assert list(attempt) == ["number", "started_at", "duration_ms", "address", "status_code", "outcome", "headers",
                             "answer"]
    assert (attempt["number"], attempt["status_code"], attempt["outcome"]) == (1, 503, "http_5xx")
    assert attempt["address"] == f"127.0.0.1:{receiver.port}" and 0 < attempt["duration_ms"] < 2000
    (call,) = receiver.calls("/crm", delivery["request_id"])
    for name in "content-type", "webhook-id", "webhook-timestamp":
        assert attempt["headers"][name] == call.headers[name]
    assert attempt["answer"] == '{"sorry": "gr\\u00fcn"}'


def test_headers_of_the_configuration_are_named_and_hidden(api, failed, db):
    delivery = failed()
    db.execute("update webhook_attempt set headers = 'Authorization,x-tenant' where request_id = %s",
               (delivery["request_id"],))
    headers = one_of(api, delivery)["attempts"][0]["headers"]
    assert headers.pop("Authorization") == headers.pop("x-tenant") == "**********"
    assert sorted(headers) == ["content-type", "webhook-id", "webhook-timestamp"]


def test_an_answer_is_for_who_may_see_the_data(api, client, failed, db):
    delivery = failed(Answer(400, body=b"\xffno"))
    assert one_of(api, delivery)["attempts"][0]["answer"] == "\ufffdno"
    assert one_of(client("webhook:read"), delivery)["attempts"][0]["answer"] is None
    seeing = client("webhook:read", "privacy-request:view_data")
    assert one_of(seeing, delivery)["attempts"][0]["answer"] == "\ufffdno"
    db.execute("delete from request_key where request_id = %s", (delivery["request_id"],))
    assert one_of(seeing, delivery)["attempts"][0]["answer"] is None


def test_a_long_answer_is_cut(api, failed):
    delivery = failed(Answer(400, body=b"x" * 5000))
    assert one_of(api, delivery)["attempts"][0]["answer"] == "x" * 4096


@pytest.mark.by_hand
def test_of_very_many_attempts_the_last_are_shown(api, failed, db):
    delivery = failed()
    db.execute("insert into webhook_attempt (request_id, delivery_id, attempt, started_at, duration_us, outcome) "
               "select %s, %s, n, now(), 1, 'timeout' from generate_series(2, 1002) n",
               (delivery["request_id"], delivery["id"]))
    assert [attempt["number"] for attempt in one_of(api, delivery)["attempts"]] == list(range(3, 1003))


def test_one_that_nobody_knows_is_told(api, failed):
    delivery = failed()
    other = {"request_id": delivery["request_id"], "id": "dlv_none"}
    words = (404, f"No delivery found with id 'dlv_none' of privacy request '{delivery['request_id']}'.")
    assert refusal(api.get(f"{PATH}/{other['request_id']}/dlv_none")) == words
    assert refusal(redeliver(api, other)) == words


# --- anew ------------------------------------------------------------------------------------------------


def test_what_was_given_up_is_called_anew(api, receiver, failed, bus, db):
    delivery = failed(Answer(503), Reply("eligible"))
    answer = must(redeliver(api, delivery), 202)
    assert (answer["state"], answer["redelivery"], answer["outcome"]) == ("waiting", True, "http_5xx")
    assert answer["due_at"] and answer["settled_at"] is None
    api.wait_status(delivery["request_id"], "complete")
    shown = one_of(api, delivery)
    assert (shown["state"], shown["attempt_count"]) == ("delivered", 2)
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["http_5xx", "succeeded"]
    first, second = receiver.calls("/crm", delivery["request_id"])
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery["id"]
    assert db.execute("select base from webhook_delivery where request_id = %s", (delivery["request_id"],)
                      ).fetchone() == (1,)
    events = bus.wait_types(delivery["request_id"], "docket.request.webhook_redelivered.v1")
    (told,) = [event.data for event in events if event.type == "docket.request.webhook_redelivered.v1"]
    assert told == {"request_id": delivery["request_id"], "webhook_id": told["webhook_id"], "webhook_key": "crm",
                    "delivery_id": delivery["id"], "kind": "pre_approval"}


def test_several_of_a_request_are_called_anew_at_once(api, receiver, identity, bus, db):
    """Two webhooks of one endpoint: each has its event, in the request's order."""
    api.make_connection("crm", receiver.script("/crm", Answer(503), Answer(503), Answer()))
    api.set_pre_approval(("first", "crm"), ("second", "crm"))
    request_id = api.create_request(identity())["id"]
    since = min(item["created_at"] for item in wait_settled(api, request_id, "given_up", count=2))
    answer = must(api.post("/docket/endpoint/crm/redeliver", {"since": since}))
    assert answer == {"redelivered": 2, "refused": 0, "more": False, "next_cursor": None}
    wait_settled(api, request_id, "delivered", count=2)
    wait_until(lambda: len([event for event in bus.records(key=request_id)
                            if event.type == "docket.request.webhook_redelivered.v1"]) == 2, 15, "both events")


def test_what_was_delivered_is_called_anew_when_the_request_is_over(api, receiver, identity, bus):
    """And changes nothing of it: the request stays complete, its second reply comes too late."""
    api.make_webhooks(receiver, crm=[Reply("eligible"), Answer(503), Reply("eligible")])
    request_id = api.create_request(identity())["id"]
    api.wait_status(request_id, "complete")
    delivery = wait_settled(api, request_id, "delivered")[0]
    must(redeliver(api, delivery), 202)
    assert wait_settled(api, request_id, "given_up")[0]["attempt_count"] == 2
    must(redeliver(api, delivery), 202)
    assert wait_settled(api, request_id, "delivered")[0]["attempt_count"] == 3
    calls = receiver.calls("/crm", request_id)
    assert len(calls) == 3 and calls[2].json["privacy_request_status"] == "complete"
    assert api.status(request_id) == "complete"
    assert [attempt["outcome"] for attempt in one_of(api, delivery)["attempts"]] == [
        "succeeded", "http_5xx", "succeeded"]


@pytest.mark.parametrize("when", ["pre", "post"])
def test_a_policy_webhook_s_call_is_made_anew_beside_its_run(api, receiver, identity, db, when):
    """The run ended with it in error; the call alone is made again, and a retry of the request calls it in its turn."""
    make_steps(api, receiver, when, a=two_way(), b=two_way(Answer(503), Answer(), go_on()), c=one_way())
    request_id = start(api, identity)
    api.wait_status(request_id, "error")
    (delivery,) = listed(api, request_id=request_id, state="given_up")
    assert (delivery["webhook"], delivery["kind"]) == ("b", when)
    must(redeliver(api, delivery), 202)
    anew = wait_until(lambda: (found := one_of(api, delivery))["state"] == "delivered" and found, 15, "the call")
    assert (anew["attempt_count"], anew["redelivery"]) == (2, True)
    assert order(receiver, request_id) == ["a", "b", "b"]
    assert {call.headers["webhook-id"] for call in receiver.calls("/b", request_id)} == {delivery["id"]}
    assert api.status(request_id) == "error", "it changes nothing of the request"
    must(api.post(f"/privacy-request/{request_id}/retry"))
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "b", "b", "b", "c"]


def test_an_endpoint_s_calls_of_runs_are_made_anew(api, receiver, identity):
    make_steps(api, receiver, "post", log=one_way(Answer(400), Answer(400), Answer()))
    requests = [start(api, identity), start(api, identity)]
    for request_id in requests:
        api.wait_status(request_id, "complete")
    since = min(wait_settled(api, request_id, "given_up")[0]["created_at"] for request_id in requests)
    assert must(api.post("/docket/endpoint/log/redeliver", {"since": since}))["redelivered"] == 2
    for request_id in requests:
        assert wait_settled(api, request_id, "delivered")[0]["attempt_count"] == 2
        assert api.status(request_id) == "complete"


@pytest.mark.by_hand
@pytest.mark.parametrize("state", ["delivered", "skipped", "held"])
def test_what_was_settled_otherwise_may_be_called_anew(stack, api, failed, db, state):
    delivery = failed()
    stack.workers[0].stop()
    db.execute("update webhook_delivery set state = %s where request_id = %s", (state, delivery["request_id"]))
    assert must(redeliver(api, delivery), 202)["state"] == "waiting"


@pytest.mark.by_hand
@pytest.mark.parametrize("change, words", [
    ("update webhook_delivery set state = 'waiting' where request_id = %(id)s",
     "Delivery '{delivery}' is waiting already: it is called when it is due."),
    ("update privacy_request set deleted_at = now() where id = %(id)s", "Privacy request '{id}' was deleted."),
    ("update privacy_request set status = 'canceled' where id = %(id)s", "Privacy request '{id}' was canceled."),
    ("delete from request_key where request_id = %(id)s",
     "Privacy request '{id}' was forgotten: there is nothing left to send."),
    ("delete from pre_approval_webhook", "Its webhook was deleted."),
    ("delete from connection where key = 'crm'", "Its webhook was deleted."),
    ("update connection set disabled = true where key = 'crm'", "Connection 'crm' is disabled."),
    ("update connection set paused_at = now(), paused_reason = 'gone' where key = 'crm'", "Endpoint 'crm' is paused."),
], ids=["waiting", "deleted", "canceled", "forgotten", "no webhook", "no connection", "disabled", "paused"])
def test_what_can_not_be_called_anew_is_refused_and_says_why(api, failed, db, change, words):
    delivery = failed()
    request_id = delivery["request_id"]
    before = db.execute("select seq from privacy_request where id = %s", (request_id,)).fetchone()
    db.execute(change, {"id": request_id})
    try:
        assert refusal(redeliver(api, delivery)) == (409, words.format(id=request_id, delivery=delivery["id"]))
        assert db.execute("select seq from privacy_request where id = %s", (request_id,)).fetchone() == before
        assert only(api, request_id)["redelivery"] is False
    finally:
        db.execute("update privacy_request set status = 'canceled' where id = %s", (request_id,))
        db.execute("update webhook_delivery set state = 'given_up' where request_id = %s", (request_id,))


def test_of_two_who_ask_at_once_one_is_heard(api, failed, stack):
    delivery = failed(Answer(503), Answer())
    stack.workers[0].stop()
    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(lambda _: redeliver(same_session(api), delivery).status_code, range(4)))
    assert answers == [202, 409, 409, 409]

