"""A failed call is made again, as told, and what came of each attempt is on record."""

import contextlib
import socket
import threading
import time
from email.utils import formatdate

import pytest

from utils import Answer, Close, Hang, Reply, must, promptly, redirect, wait_until, worker_settings

SCHEDULE = "200ms,400ms"
ATTEMPTS = 3


@pytest.fixture(scope="module", autouse=True)
def impatient_worker(stack):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE=SCHEDULE, DOCKET_WEBHOOK_RETRY_JITTER=0,
                         DOCKET_WEBHOOK_TIMEOUT="1s", DOCKET_WEBHOOK_CONNECT_TIMEOUT="1s"):
        yield


def attempts(db, request_id):
    return db.execute("select attempt, status_code, outcome from webhook_attempt where request_id = %s "
                      "order by attempt", (request_id,)).fetchall()


def delivery(db, request_id):
    return db.execute("select state, attempts, outcome from webhook_delivery where request_id = %s",
                      (request_id,)).fetchone()


def wait_delivery(db, request_id, state, timeout=15):
    wait_until(lambda: delivery(db, request_id)[0] == state, timeout,
               lambda: f"the delivery to be {state}: {delivery(db, request_id)}, {attempts(db, request_id)}")
    return attempts(db, request_id)


def ask(api, receiver, identity, *script):
    """A request whose one webhook does as told."""
    api.make_webhooks(receiver, crm=list(script))
    return api.create_request(identity())["id"]


def ask_url(api, identity, url):
    api.make_connection("crm", url)
    api.set_pre_approval(("crm", "crm"))
    return api.create_request(identity())["id"]


# --- when --------------------------------------------------------------------------------------------------


def test_a_failed_call_is_made_again_by_the_schedule(api, receiver, identity, db, bus):
    request_id = ask(api, receiver, identity, Answer(503), Answer(500), Reply("eligible"))
    api.wait_status(request_id, "complete")
    assert attempts(db, request_id) == [(1, 503, "http_5xx"), (2, 500, "http_5xx"), (3, 200, "succeeded")]
    first, second, third = receiver.calls("/crm", request_id)
    assert 0.2 <= second.time - first.time < 3
    assert 0.4 <= third.time - second.time < 3
    bus.wait_types(request_id, "docket.request.completed.v1")
    failed = [event.data for event in bus.records(key=request_id)
              if event.type == "docket.request.webhook_failed.v1"]
    assert [(data["attempt"], data["outcome"]) for data in failed] == [(1, "http_5xx"), (2, "http_5xx")]
    assert all(data["next_attempt_at"] for data in failed)


def test_every_attempt_has_the_same_id_and_its_own_time(api, receiver, identity):
    request_id = ask(api, receiver, identity, Answer(503, headers={"Retry-After": "2"}), Reply("eligible"))
    api.wait_status(request_id, "complete")
    first, second = receiver.calls("/crm", request_id)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) >= int(first.headers["webhook-timestamp"]) + 2
    assert first.json["timestamp"] < second.json["timestamp"]
    for name in ("reply-to-eligible", "reply-to-not-eligible"):
        assert first.headers[name] == second.headers[name]


def test_after_the_schedule_it_is_given_up_and_a_person_decides(api, receiver, identity, db, bus):
    request_id = ask(api, receiver, identity, Answer(503))
    made = wait_delivery(db, request_id, "given_up")
    assert [attempt for attempt, _, _ in made] == [1, 2, 3]
    bus.wait_types(request_id, "docket.request.webhook_given_up.v1")
    assert api.status(request_id) == "awaiting_pre_approval"
    told = [entry["message"] for entry in api.timeline(request_id)["Webhook: crm"]]
    words = "Webhook 'crm' returned an error: Client call failed with status code '503'"
    assert len(told) == ATTEMPTS and all(message.startswith(words) for message in told)
    api.approve(request_id)
    api.wait_status(request_id, "complete")
    assert len(receiver.calls("/crm", request_id)) == ATTEMPTS


def test_a_token_of_a_call_that_failed_may_still_reply(api, receiver, identity, db):
    request_id = ask(api, receiver, identity, Answer(503))
    wait_delivery(db, request_id, "given_up")
    assert receiver.reply(receiver.calls("/crm", request_id)[0], "eligible").status == 200
    api.wait_status(request_id, "complete")


def test_what_replied_although_its_call_failed_is_not_called_again(api, receiver, identity, db):
    """The endpoint replied and then broke down before it answered."""

    def reply_and_fail(receiver, handler, call):
        receiver.reply(call, "eligible")
        Answer(503)(receiver, handler, call)

    api.make_webhooks(receiver, crm=reply_and_fail, tickets=Answer())
    request_id = api.create_request(identity())["id"]
    state = "select d.state from webhook_delivery d join pre_approval_webhook w on w.id = d.webhook_id " \
            "where d.request_id = %s and w.key = 'crm'"
    wait_until(lambda: db.execute(state, (request_id,)).fetchone()[0] != "waiting", 10, "its call to be settled")
    assert db.execute(state, (request_id,)).fetchone() == ("delivered",)
    assert len(receiver.calls("/crm", request_id)) == 1


def test_with_the_schedule_none_there_is_one_attempt(stack, api, receiver, identity, db):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="none"):
        request_id = ask(api, receiver, identity, Answer(503))
        assert wait_delivery(db, request_id, "given_up") == [(1, 503, "http_5xx")]
    assert len(receiver.calls("/crm", request_id)) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(api, receiver, identity, status, form):
    def answer_later(receiver, handler, call):
        wait = "2" if form == "seconds" else formatdate(time.time() + 3, usegmt=True)
        Answer(status, headers={"Retry-After": wait})(receiver, handler, call)

    request_id = ask(api, receiver, identity, answer_later, Reply("eligible"))
    api.wait_status(request_id, "complete")
    first, second = receiver.calls("/crm", request_id)
    assert 1.9 < second.time - first.time < 8


def test_a_retry_after_beyond_the_bound_counts_as_the_bound(stack, api, receiver, identity):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_AFTER_MAX="1s"):
        request_id = ask(api, receiver, identity, Answer(503, headers={"Retry-After": "86400"}), Reply("eligible"))
        api.wait_status(request_id, "complete")
    first, second = receiver.calls("/crm", request_id)
    assert 0.9 < second.time - first.time < 6


def test_a_restarted_worker_makes_the_attempts_that_are_due(stack, api, receiver, identity):
    request_id = ask(api, receiver, identity, Answer(503), Reply("eligible"))
    receiver.wait_calls(1, "/crm", request_id)
    stack.workers[0].kill()
    stack.workers[0].start()
    api.wait_status(request_id, "complete", timeout=60)
    ids = {call.headers["webhook-id"] for call in receiver.calls("/crm", request_id)}
    assert len(ids) == 1


# --- what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500, 502])
def test_what_is_made_again_and_what_is_not(api, receiver, identity, db, status):
    request_id = ask(api, receiver, identity, Answer(status))
    made = wait_delivery(db, request_id, "given_up")
    if status >= 500:
        assert made == [(number, status, "http_5xx") for number in range(1, ATTEMPTS + 1)]
    else:
        assert made == [(1, status, "http_4xx")]


def test_an_endpoint_that_is_gone_is_paused_and_its_calls_are_held(api, receiver, identity, db, stack):
    request_id = ask(api, receiver, identity, Answer(410), Reply("eligible"))
    assert wait_delivery(db, request_id, "held") == [(1, 410, "http_4xx")]
    shown = must(api.get("/docket/endpoint/crm"))
    assert shown["paused_reason"] == "gone" and shown["paused_at"]
    told = api.timeline(request_id)["Webhook: crm"]
    assert "410" in told[-1]["message"]
    assert 'docket_endpoints_paused_total{endpoint="crm"} 1' in stack.workers[0].metrics()
    other = api.create_request(identity())["id"]  # it is not called again, not even for another request
    wait_delivery(db, other, "held")
    assert len(receiver.calls("/crm")) == 1
    must(api.post("/docket/endpoint/crm/resume"))
    for waiting in (request_id, other):
        api.wait_status(waiting, "complete")


@pytest.mark.parametrize("status", [408, 425, 429])
def test_a_4xx_that_asks_for_it_is_made_again(api, receiver, identity, db, status):
    request_id = ask(api, receiver, identity, Answer(status), Reply("eligible"))
    api.wait_status(request_id, "complete")
    assert attempts(db, request_id) == [(1, status, "http_4xx"), (2, 200, "succeeded")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_not_followed(api, receiver, identity, db, status):
    elsewhere = receiver.script("/elsewhere", Answer())
    request_id = ask(api, receiver, identity, redirect(elsewhere, status))
    assert wait_delivery(db, request_id, "given_up") == [(1, status, "redirect")]
    assert receiver.calls("/elsewhere") == []
    told = api.timeline(request_id)["Webhook: crm"][0]["message"]
    assert told.startswith(f"Webhook 'crm' returned an error: Client call failed with status code '{status}'")


@pytest.mark.parametrize("failure, outcome", [(Hang(), "timeout"), (Close(), "connection_reset"),
                                              (Close(reset=True), "connection_reset"),
                                              (Answer(headers={"Content-Length": "1000"}), "timeout")],
                         ids=["no answer", "hang-up", "reset", "half an answer"])
def test_no_answer_is_made_again_and_named(api, receiver, identity, db, failure, outcome):
    request_id = ask(api, receiver, identity, failure, Reply("eligible"))
    api.wait_status(request_id, "complete")
    assert [made[1:] for made in attempts(db, request_id)] == [(None, outcome), (200, "succeeded")]
    told = api.timeline(request_id)["Webhook: crm"][0]["message"]
    assert told.startswith("Webhook 'crm' returned an error: Client call failed with status code '500'")
    assert outcome in told


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_refused_connection_is_named(api, identity, db):
    request_id = ask_url(api, identity, f"http://127.0.0.1:{free_port()}/hook")
    assert wait_delivery(db, request_id, "given_up") == [
        (number, None, "connection_refused") for number in range(1, ATTEMPTS + 1)]


def test_a_name_that_nobody_knows_is_named(api, identity, db):
    try:
        socket.getaddrinfo("nowhere.invalid", 80)
    except socket.gaierror as error:
        if error.errno not in (socket.EAI_NONAME, socket.EAI_NODATA):
            pytest.skip("no resolver here says that a name is unknown")
    request_id = ask_url(api, identity, "http://nowhere.invalid/hook")
    assert {outcome for _, _, outcome in wait_delivery(db, request_id, "given_up")} == {"dns_error"}


def test_https_where_plain_http_is_spoken_is_named(api, receiver, identity, db):
    request_id = ask_url(api, identity, receiver.url("/hook").replace("http:", "https:"))
    assert {outcome for _, _, outcome in wait_delivery(db, request_id, "given_up")} == {"tls_error"}


@contextlib.contextmanager
def speaks(*lines):
    """A server that answers every connection with these bytes, whatever it is asked. Yields its URL."""
    server = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve():
        while not stopped.is_set():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    for line in lines:
                        connection.sendall(line)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hook"
    finally:
        stopped.set()
        server.close()


@pytest.mark.parametrize("words", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"\0\1\2\3" * 100, b"HTTP/1.1 abc\r\n\r\n"],
                         ids=["another protocol", "noise", "no status"])
def test_an_answer_that_is_no_http_is_made_again_and_named(api, identity, db, words):
    with speaks(words) as url:
        request_id = ask_url(api, identity, url)
        made = wait_delivery(db, request_id, "given_up")
    assert {outcome for _, _, outcome in made} <= {"bad_answer", "connection_reset"}, made
    assert len(made) == ATTEMPTS


def test_an_endless_answer_is_cut_and_counts(api, receiver, identity, db):
    request_id = ask(api, receiver, identity, Answer(body=b"x" * (8 << 20)))
    assert wait_delivery(db, request_id, "delivered") == [(1, 200, "succeeded")]


def test_an_answer_that_drips_is_given_up_in_time(stack, api, receiver, identity, db):
    def drip(receiver, handler, call):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(1000):
            handler.wfile.write(b"x")
            receiver.idle(0.05)

    request_id = ask(api, receiver, identity, drip)
    with promptly(10):
        assert {outcome for _, _, outcome in wait_delivery(db, request_id, "given_up")} == {"timeout"}


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/hook", "file:///etc/passwd", "http://", "not a url"])
def test_a_url_that_can_not_be_called_is_refused_or_named(api, identity, db, url):
    must(api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "read"}]))
    answer = api.put("/connection/crm/secret", {"url": url, "authorization": "x"})
    if answer.status_code == 422:
        return
    api.set_pre_approval(("crm", "crm"))
    request_id = api.create_request(identity())["id"]
    made = wait_delivery(db, request_id, "given_up")
    assert made[0][1] is None and made[0][2] in ("bad_url", "not_sendable"), made


def test_answers_are_kept_sealed(api, receiver, identity, db):
    secret = identity.derived("what the endpoint said about a person")
    request_id = ask(api, receiver, identity, Answer(400, body=secret.encode()))
    wait_delivery(db, request_id, "given_up")
    row = db.execute("select address, duration_us, answer from webhook_attempt where request_id = %s",
                     (request_id,)).fetchone()
    assert row[0] == f"127.0.0.1:{receiver.port}" and row[1] > 0
    assert row[2] and secret.encode() not in row[2]


# --- addresses that must not be called -----------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433"])
def test_private_addresses_are_not_called_unless_allowed(stack, api, receiver, identity, db, host):
    receiver.script("/hook", Answer())
    url = f"http://{host}:{receiver.port}/hook"
    with worker_settings(stack, DOCKET_WEBHOOK_ALLOWED_NETWORKS=""):
        api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "read"}])
        if api.put("/connection/crm/secret", {"url": url, "authorization": "x"}).status_code == 422:
            return
        api.set_pre_approval(("crm", "crm"))
        request_id = api.create_request(identity())["id"]
        assert {outcome for _, _, outcome in wait_delivery(db, request_id, "given_up")} == {"address_blocked"}
    assert receiver.calls() == []


# --- many ----------------------------------------------------------------------------------------------------


def test_an_endpoint_has_no_more_calls_at_once_than_allowed(stack, api, receiver, identity):
    with worker_settings(stack, DOCKET_ENDPOINT_CALLS=2):
        api.make_webhooks(receiver, crm=Answer(delay=0.1))
        ids = [api.create_request(identity())["id"] for _ in range(20)]
        receiver.wait_calls(len(ids), "/crm", timeout=30)
    assert receiver.most_under_way("/crm") <= 2


def test_many_endpoints_that_fail_are_all_tried_again(api, receiver, identity):
    """More than what one look at the parked calls takes up, were each given its full room."""
    names = [f"hook_{number}" for number in range(20)]
    api.make_webhooks(receiver, **{name: [Answer(503), Reply("eligible")] for name in names})
    api.wait_status(api.create_request(identity())["id"], "complete", timeout=30)
    assert all(len(receiver.calls(f"/{name}")) == 2 for name in names)


def breaker_state(worker):
    lines = [line for line in worker.metrics().splitlines() if line.startswith("docket_breaker_state{")]
    return [line.rpartition(" ")[2] for line in lines if 'endpoint="crm"' in line]


def test_a_breaker_opens_keeps_what_waits_and_heals(stack, api, receiver, identity, db):
    with worker_settings(stack, DOCKET_BREAKER_CALLS=5, DOCKET_BREAKER_FAILURES=70, DOCKET_BREAKER_OPEN="2s",
                         DOCKET_WEBHOOK_RETRY_SCHEDULE=",".join(["300ms"] * 20)) as worker:
        api.make_webhooks(receiver, crm=Answer(500))
        ids = [api.create_request(identity())["id"] for _ in range(12)]
        worker.wait_log("breaker.opened", 20)
        assert breaker_state(worker) == ["2"]
        later = api.create_request(identity())["id"]  # while it is open
        opened = len(receiver.calls("/crm"))
        assert opened < 5 + len(ids) + 2
        receiver.script("/crm", Reply("eligible"))
        for request_id in [*ids, later]:
            api.wait_status(request_id, "complete", timeout=40)
        worker.wait_log("breaker.closed", 5)
        assert breaker_state(worker) == ["0"]
    for request_id in [*ids, later]:
        assert delivery(db, request_id)[0] == "delivered"


def test_an_open_breaker_tries_one_call_at_a_time(stack, api, receiver, identity):
    with worker_settings(stack, DOCKET_BREAKER_CALLS=4, DOCKET_BREAKER_OPEN="1s", DOCKET_ENDPOINT_CALLS=8,
                         DOCKET_WEBHOOK_RETRY_SCHEDULE=",".join(["100ms"] * 30)) as worker:
        api.make_webhooks(receiver, crm=Answer(500))
        ids = [api.create_request(identity())["id"] for _ in range(12)]
        worker.wait_log("breaker.opened", 20)
        wait_until(lambda: "\ndocket_webhook_inflight 0\n" in worker.metrics(), 10, "the calls under way to come back")
        before = len(receiver.calls("/crm"))
        times = [call.time for call in receiver.wait_calls(before + 3, "/crm", timeout=30)[before:before + 3]]
        assert all(later - earlier > 0.8 for earlier, later in zip(times, times[1:])), times
        receiver.script("/crm", Reply("eligible"))
        for request_id in ids:
            api.wait_status(request_id, "complete", timeout=40)


def test_one_endpoint_s_breaker_does_not_stop_another(stack, api, receiver, identity):
    with worker_settings(stack, DOCKET_BREAKER_CALLS=4, DOCKET_BREAKER_OPEN="1m") as worker:
        api.make_webhooks(receiver, bad=Answer(500), good=Answer())
        ids = [api.create_request(identity())["id"] for _ in range(8)]
        worker.wait_log("breaker.opened", 20)
        ids += [api.create_request(identity())["id"] for _ in range(4)]
        for request_id in ids:
            receiver.wait_calls(1, "/good", request_id)


def test_an_endpoint_that_refuses_what_it_gets_is_up(stack, api, receiver, identity, db):
    with worker_settings(stack, DOCKET_BREAKER_CALLS=4, DOCKET_BREAKER_OPEN="1m") as worker:
        api.make_webhooks(receiver, crm=Answer(400))
        ids = [api.create_request(identity())["id"] for _ in range(8)]
        for request_id in ids:
            wait_delivery(db, request_id, "given_up")
        assert not worker.log_contains("breaker.opened")
