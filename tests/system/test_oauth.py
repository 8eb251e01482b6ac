"""Calls that carry an OAuth2 token: where it comes from, how long it is used, and what happens without one."""

import base64
import json
import threading
import time
from urllib.parse import parse_qs

import pytest
import redis

from utils import Answer, Call, Close, Hang, Proxy, Receiver, must, wait_until, worker_settings

CLIENT = ("docket:app", "s3cret/with +")  # each character that its encoding changes
BASIC = "Basic " + base64.b64encode(b"docket%3Aapp:s3cret%2Fwith+%2B").decode()
SCHEDULE = ",".join(["1500ms"] * 4)
BEARER = "Bearer "


class Tokens:
    """A token endpoint: counts, and answers what it is told; each token is another one."""

    def __init__(self, identity):
        self.receiver = Receiver()
        self.identity = identity
        self.given = []
        self._lock = threading.Lock()
        self.serve()

    @property
    def url(self):
        return self.receiver.url("/token")

    @property
    def calls(self):
        return self.receiver.calls("/token")

    def answer(self, **members):
        """A behaviour: a fresh token; None takes a member out. The value must be found nowhere, like an identity."""

        def give(receiver, handler, call: Call):
            with self._lock:
                token = self.identity.derived()
                self.given.append(token)
            body = {"access_token": token, "token_type": "Bearer", "expires_in": 3600} | members
            receiver.idle(self.delay)
            Answer(json={name: value for name, value in body.items() if value is not None})(receiver, handler, call)

        return give

    def serve(self, *behaviours, delay=0.0, **members):
        self.delay = delay
        self.receiver.script("/token", *(behaviours or [self.answer(**members)]))


@pytest.fixture
def tokens(identity):
    tokens = Tokens(identity)
    yield tokens
    tokens.receiver.close()


@pytest.fixture(scope="module", autouse=True)
def impatient_worker(stack):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE=SCHEDULE, DOCKET_WEBHOOK_RETRY_JITTER=0,
                         DOCKET_WEBHOOK_TIMEOUT="1s", DOCKET_BREAKER_CALLS=1000):
        yield


@pytest.fixture
def connect(api, receiver, tokens):
    """connect(*behaviours) makes the one webhook, with a token endpoint."""

    def make(*behaviours, key="crm", headers=None, **oauth):
        api.make_connection(key, receiver.script(f"/{key}", *(behaviours or [Answer()])), headers=headers)
        settings = {"grant_type": "client_credentials", "token_url": tokens.url, "client_id": CLIENT[0],
                    "client_secret": CLIENT[1]}
        must(api.put(f"/connection/{key}/oauth", settings | oauth))
        api.set_pre_approval((key, key))

    return make


@pytest.fixture
def ask(api, identity):
    return lambda: api.create_request(identity())["id"]


def attempts(db, request_id):
    return db.execute("select status_code, outcome from webhook_attempt where request_id = %s order by attempt",
                      (request_id,)).fetchall()


def wait_attempts(db, request_id, count, timeout=15):
    wait_until(lambda: len(attempts(db, request_id)) >= count, timeout, lambda: f"attempts: {attempts(db, request_id)}")
    return attempts(db, request_id)


def bearers(receiver, path="/crm"):
    return [call.headers["Authorization"].removeprefix(BEARER) for call in receiver.calls(path)]


def called(receiver, ask, path="/crm"):
    """A request's call."""
    request_id = ask()
    return receiver.wait_calls(1, path, request_id)[0]


# --- the token and its call ----------------------------------------------------------------------------


def test_a_call_carries_the_token_of_its_endpoint(connect, ask, receiver, tokens):
    connect(headers={"Authorization": "configured", "X-Tenant": "seven"}, scope="requests:write profile")
    call = called(receiver, ask)
    assert call.headers.get_all("Authorization") == [BEARER + tokens.given[0]]
    assert call.headers["X-Tenant"] == "seven"
    [asked] = tokens.calls
    assert asked.method == "POST"
    assert asked.headers["Authorization"] == BASIC
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.headers["Accept"] == "application/json"
    assert parse_qs(asked.body.decode(), strict_parsing=True) == {"grant_type": ["client_credentials"],
                                                                 "scope": ["requests:write profile"]}


def test_a_test_call_carries_one_too(api, connect, receiver, tokens):
    connect()
    must(api.post("/docket/endpoint/crm/test"), 202)
    call = receiver.wait_calls(1, "/crm")[0]
    assert call.json["type"] == "docket.test"
    assert call.headers.get_all("Authorization") == [BEARER + tokens.given[0]]


def test_a_test_call_tells_what_became_of_the_token(api, connect, receiver, tokens):
    connect()
    tokens.serve(Answer(503))
    test_id = must(api.post("/docket/endpoint/crm/test"), 202)["id"]
    shown = wait_until(lambda: (found := must(api.get(f"/docket/endpoint/crm/test/{test_id}")))["state"] != "waiting"
                       and found, 15, "the test call")
    assert (shown["state"], shown["outcome"], shown["status_code"]) == ("failed", "token_http_5xx", None)
    assert receiver.calls("/crm") == []


def test_without_a_scope_none_is_sent(connect, ask, receiver, tokens):
    connect()
    called(receiver, ask)
    assert tokens.calls[0].body == b"grant_type=client_credentials"


@pytest.mark.parametrize("members", [{"token_type": None}, {"token_type": "bearer"}, {"expires_in": None},
                                     {"expires_in": "3600"}, {"refresh_token": "ignored", "other": [1, {}]}],
                         ids=["no type", "lower case", "no life", "life as text", "more members"])
def test_what_may_be_missing_may_be_missing(connect, ask, receiver, tokens, members):
    tokens.serve(**members)
    connect()
    called(receiver, ask)
    called(receiver, ask)
    assert bearers(receiver) == tokens.given * 2


@pytest.mark.parametrize(("granted", "told"), [("a b", False), ("b a", False), (None, False), ("a", True),
                                               ("a b c", True)])
def test_another_scope_than_was_asked_for_is_taken_and_told(stack, connect, ask, receiver, tokens, granted, told):
    log = stack.workers[0].log_text()
    tokens.serve(scope=granted)
    connect(scope="a b")
    called(receiver, ask)
    assert bearers(receiver) == tokens.given
    news = stack.workers[0].log_text()[len(log):]
    assert ("oauth.scope_differs" in news) is told


def test_many_calls_at_once_wait_for_one_token(connect, ask, receiver, tokens):
    tokens.serve(delay=0.7)
    connect()
    ids = [ask() for _ in range(50)]
    receiver.wait_calls(len(ids), "/crm", timeout=30)
    assert len(tokens.calls) == 1
    assert set(bearers(receiver)) == set(tokens.given)


def test_a_token_is_used_until_shortly_before_its_end(connect, ask, receiver, tokens):
    tokens.serve(expires_in=3)
    connect()
    first = called(receiver, ask)
    called(receiver, ask)
    assert len(tokens.calls) == 1
    wait_until(lambda: time.time() > first.time + 2.9, 5, "nine tenths of its life")
    called(receiver, ask)
    assert bearers(receiver) == [tokens.given[0]] * 2 + [tokens.given[1]]


def test_a_token_that_is_over_at_once_serves_those_who_wait(connect, ask, receiver, tokens):
    tokens.serve(expires_in=0)
    connect()
    called(receiver, ask)
    called(receiver, ask)
    assert bearers(receiver) == tokens.given and len(tokens.given) == 2


def test_each_endpoint_has_its_own(api, connect, ask, receiver, tokens):
    connect(key="crm")
    connect(key="desk", client_id="another")
    api.set_pre_approval(("crm", "crm"), ("desk", "desk"))
    request_id = ask()
    for path in ("/crm", "/desk"):
        receiver.wait_calls(1, path, request_id)
    assert len(tokens.calls) == 2
    assert bearers(receiver, "/crm") != bearers(receiver, "/desk")


@pytest.mark.parametrize("change", [{"scope": "more"}, {"client_secret": "another"}, {"client_id": "another"}])
def test_a_configuration_that_changed_is_another_token(api, connect, ask, receiver, tokens, change):
    connect()
    called(receiver, ask)
    must(api.patch("/connection/crm/oauth", change))
    called(receiver, ask)
    assert bearers(receiver) == tokens.given and len(tokens.given) == 2


# --- a token that is refused -------------------------------------------------------------------------------


def refuse(*refused):
    """A behaviour: 401 for these tokens."""

    def judge(receiver, handler, call):
        is_refused = call.headers["Authorization"].removeprefix(BEARER) in refused
        Answer(401 if is_refused else 200)(receiver, handler, call)

    return judge


def test_a_cached_token_that_is_refused_gets_a_fresh_one_and_one_more_call(connect, ask, receiver, tokens, db):
    connect()
    called(receiver, ask)
    receiver.script("/crm", refuse(*tokens.given))
    request_id = ask()
    assert wait_attempts(db, request_id, 2) == [(401, "http_4xx"), (200, "succeeded")]
    first, second = receiver.calls("/crm", request_id)
    assert second.time - first.time < 1.4, "at once, not by the schedule"
    assert bearers(receiver) == [tokens.given[0]] * 2 + [tokens.given[1]]
    called(receiver, ask)
    assert len(tokens.calls) == 2


def test_a_fresh_token_that_is_refused_is_the_endpoint_s_word(connect, ask, receiver, tokens, db):
    connect(Answer(401))
    request_id = ask()
    wait_until(lambda: delivery_state(db, request_id) == "given_up", 15, "the delivery to be given up")
    assert attempts(db, request_id) == [(401, "http_4xx")]
    assert len(tokens.calls) == 1


def delivery_state(db, request_id):
    return db.execute("select state from webhook_delivery where request_id = %s", (request_id,)).fetchone()[0]


def test_many_calls_that_are_refused_together_get_one_fresh_token(connect, ask, receiver, tokens, db):
    connect()
    called(receiver, ask)
    old = tokens.given[0]
    receiver.script("/crm", lambda receiver, handler, call: Answer(
        401 if call.headers["Authorization"] == BEARER + old else 200, delay=0.3)(receiver, handler, call))
    ids = [ask() for _ in range(20)]
    for request_id in ids:
        assert wait_attempts(db, request_id, 1)[-1][0] in (200, 401)
        wait_until(lambda: delivery_state(db, request_id) == "delivered", 20, "the delivery")
    assert len(tokens.calls) == 2


# --- no token ----------------------------------------------------------------------------------------------

FAULTS = {
    "token_http_5xx": Answer(503),
    "token_http_4xx": Answer(401, json={"error": "invalid_client"}),
    "token_redirect": Answer(302, headers={"Location": "http://127.0.0.1:1/token"}),
    "token_timeout": Hang(),
    "token_connection_reset": Close(),
}


@pytest.mark.parametrize("outcome", FAULTS)
def test_a_token_endpoint_that_fails_is_an_attempt_that_failed(connect, ask, receiver, tokens, db, outcome):
    tokens.serve(FAULTS[outcome])
    connect()
    request_id = ask()
    assert wait_attempts(db, request_id, 1)[0] == (None, outcome)
    assert receiver.calls("/crm") == []
    tokens.receiver.let_go()
    tokens.serve()
    receiver.wait_calls(1, "/crm", request_id)
    assert bearers(receiver)[0] == tokens.given[-1]


@pytest.mark.parametrize("body", [
    b"", b"null", b"[]", b"<html>", b'{"access_token": ""}', b'{"access_token": 1}', b'{"token": "t"}',
    b'{"access_token": "a\\r\\nX-Evil: 1"}', b'{"access_token": "t", "token_type": "mac"}', b'{"access_token": "t"',
    b'{"access_token": "t"} {}', json.dumps({"access_token": "t", "padding": "x" * 70000}).encode(),
], ids=lambda body: body[:24].decode())
def test_an_answer_without_a_token_is_named(connect, ask, receiver, tokens, db, body):
    tokens.serve(Answer(body=body))
    connect()
    assert wait_attempts(db, ask(), 1)[0] == (None, "token_bad_answer")
    assert receiver.calls("/crm") == []


def test_nobody_at_the_token_endpoint_is_told_so(connect, ask, receiver, db):
    connect(token_url="http://127.0.0.1:1/token")
    assert wait_attempts(db, ask(), 1)[0] == (None, "token_connection_refused")


def test_a_plain_token_endpoint_is_not_asked_unless_allowed(stack, connect, ask, receiver, tokens, db):
    connect()
    with worker_settings(stack, DOCKET_WEBHOOK_ALLOW_HTTP="false", DOCKET_WEBHOOK_RETRY_SCHEDULE="none"):
        assert wait_attempts(db, ask(), 1)[0] == (None, "token_bad_url")
    assert tokens.calls == []


def test_a_token_endpoint_in_trouble_is_not_hammered(connect, ask, receiver, tokens, db):
    tokens.serve(Answer(503))
    connect()
    began = time.time()
    for request_id in [ask() for _ in range(30)]:
        wait_attempts(db, request_id, 1)
    lasted = tokens.calls[-1].time - began
    assert len(tokens.calls) <= lasted + 2
    times = [call.time for call in tokens.calls]
    assert all(later - earlier > 0.9 for earlier, later in zip(times, times[1:])), times
    tokens.serve()
    receiver.wait_calls(30, "/crm", timeout=30)


# --- Redis -------------------------------------------------------------------------------------------------


def test_another_worker_uses_the_same_token_and_redis_can_not_read_it(stack, connect, ask, receiver, tokens):
    connect()
    called(receiver, ask)
    with worker_settings(stack):  # another process, which has nothing in memory
        called(receiver, ask)
    assert bearers(receiver) == tokens.given * 2
    with redis.Redis.from_url(stack.redis.url(stack.redis_number)) as client:
        keys = list(client.scan_iter(f"{stack.name}:oauth_token:*"))
        assert keys and all(0 < client.pttl(key) <= 3600_000 for key in keys)
        assert not any(tokens.given[0].encode() in client.get(key) for key in keys)
        assert not any(word.encode() in key for key in keys for word in (*CLIENT, tokens.given[0]))


def test_a_refused_token_is_gone_from_redis_too(stack, connect, ask, receiver, tokens, db):
    connect()
    called(receiver, ask)
    receiver.script("/crm", refuse(*tokens.given))
    wait_attempts(db, ask(), 2)
    with worker_settings(stack):
        called(receiver, ask)
    assert bearers(receiver)[-1] == tokens.given[1]
    assert len(tokens.calls) == 2


@pytest.mark.parametrize("how", ["refuse", "mute"])
def test_without_redis_each_worker_has_its_own(stack, connect, ask, receiver, tokens, how):
    proxy = Proxy(stack.redis.port)
    url = f"redis://127.0.0.1:{proxy.port}/{stack.redis_number}"
    try:
        with worker_settings(stack, DOCKET_REDIS_URL=url) as worker:
            getattr(proxy, how)()
            connect()
            called(receiver, ask)
            called(receiver, ask)
            worker.wait_log("cache.without")
            assert len(tokens.calls) == 1
            proxy.open()
            worker.wait_log("cache.with_again")
            called(receiver, ask)
        assert bearers(receiver) == tokens.given * 3
    finally:
        proxy.close()


def test_a_secret_of_another_ring_in_redis_is_no_token(stack, connect, ask, receiver, tokens):
    connect()
    called(receiver, ask)
    with redis.Redis.from_url(stack.redis.url(stack.redis_number)) as client:
        for key in client.scan_iter(f"{stack.name}:oauth_token:*"):
            client.set(key, b"\x04dev1" + b"noise" * 20, px=60000)
    with worker_settings(stack):
        called(receiver, ask)
    assert bearers(receiver) == tokens.given and len(tokens.given) == 2
