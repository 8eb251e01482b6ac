"""What every call has in common: paths, methods, answers, health. Contract: rest.md 1, 18."""

import gzip
import socket
import urllib.request
from urllib.parse import urlsplit

import pytest

from configuring import refusal
from utils import must, promptly, wait_until


def raw(api, data, until=b"}"):
    """Sends bytes as they are; what comes back until the connection ends or `until` was seen."""
    address = urlsplit(api.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(data)
        answer = b""
        while until not in answer and (part := connection.recv(65536)):
            answer += part
        return answer


def test_prefixes_and_trailing_slashes(api):
    pages = [api.get(path) for path in ("/api/v1/dsr/policy", "/api/v1/dsr/policy/", "/v1/dsr/policy",
                                        "/v1/dsr/policy/")]
    assert [page.status_code for page in pages] == [200] * 4
    assert len({page.text for page in pages}) == 1


def test_unknown_paths_and_methods(api):
    assert refusal(api.get("/nothing")) == (404, "Item not found")
    assert refusal(api.post("/nothing")) == (405, "Method Not Allowed")
    answer = api.patch("/oauth/scope", [])
    assert refusal(answer) == (405, "Method Not Allowed")
    assert answer.headers["Allow"] == "GET"


def test_head_and_options(api):
    head = api.request("HEAD", "/dsr/policy")
    assert head.status_code == 200 and head.content == b"" and int(head.headers["Content-Length"]) > 100
    options = api.request("OPTIONS", "/config")
    assert options.status_code == 204
    assert set(options.headers["Allow"].split(", ")) == {"GET", "PATCH", "PUT", "DELETE"}


def test_what_is_not_there_yet_says_so_to_who_may_call_it(api):
    for method, path in (("POST", "/privacy-request/pri_1/requeue"), ("GET", "/user"), ("GET", "/messaging/config"),
                         ("POST", "/drp/exercise")):
        status, text = refusal(api.request(method, path))
        assert status == 501 and text.endswith(" is not available in this version.")
    assert api.anonymous().get("/user").status_code == 401


@pytest.mark.parametrize("path", ["/api/v1/%ff", "/api/v1/a%00", "/api/v1/%zz", "/health?a=%c3%28", "/%"])
def test_paths_that_are_no_text(api, path):
    answer = raw(api, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ") and b'{"detail":"The ' in answer


def test_a_body_is_bounded(api):
    answer = api.patch("/connection", data=b"[" + b" " * (5 << 20))
    assert refusal(answer) == (413, "Request body is larger than 4194304 bytes.")
    assert answer.headers["Connection"] == "close"
    assert api.get("/health").status_code == 200


def test_long_answers_are_compressed(api):
    def fetch(**headers):
        call = urllib.request.Request(f"{api.url}/api/v1/oauth/scope", headers=headers | {
            "Authorization": api.session.headers["Authorization"]})
        with urllib.request.urlopen(call) as answer:
            return answer.headers, answer.read()

    plain_headers, plain = fetch()
    headers, packed = fetch(**{"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain_headers
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 2


def test_calls_of_one_connection_are_answered_in_order(api):
    authorization = api.session.headers["Authorization"]
    calls = [f"GET /{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n".encode()
             for path in ("api/v1/oauth/client", "health", "api/v1/nothing", "health/workers")]
    answer = raw(api, b"".join(calls), until=b"queue_counts")
    places = [answer.find(word) for word in (b'"items"', b'"webserver"', b"Item not found", b"queue_counts")]
    assert -1 not in places and places == sorted(places)


def test_health(api, db):
    assert must(api.anonymous().get("/health"))["cache"] == "skipped"
    assert must(api.anonymous().get("/health", params={"include_cache": "true"}))["cache"] == "healthy"
    (latest,), = db.execute("select max(version) from schema_migration")
    database = must(api.anonymous().get("/health/database"))
    assert database["database"] == "healthy" and int(database["database_revision"]) == latest


def test_health_names_the_workers(api):
    def workers():
        return must(api.anonymous().get("/health/workers"))

    wait_until(lambda: workers()["workers"], 20, "the worker to be a member")
    assert workers()["workers_enabled"] is True
    assert set(workers()["queue_counts"]) == {"outbox", "deliveries"}


def test_ready_tells_each_dependency(api):
    answer = api.session.get(f"{api.url}/ready")
    body = must(answer)
    assert body["ready"] is True
    assert {name: seen["state"] for name, seen in body["dependencies"].items()} == {
        "kafka": "up", "postgresql": "up", "redis": "up"}
    assert all(seen["latency_ms"] >= 0 for seen in body["dependencies"].values())


def test_metrics_count_calls(api):
    def counted():
        text = api.anonymous().get("/metrics").text
        return sum(float(line.split()[-1]) for line in text.splitlines()
                   if line.startswith("docket_http_requests_total{program="))

    before = counted()
    for _ in range(5):
        api.get("/health")
    assert counted() >= before + 5


def test_a_half_sent_call_holds_nobody_up(api):
    address = urlsplit(api.url)
    halves = [socket.create_connection((address.hostname, address.port)) for _ in range(20)]
    for half in halves:
        half.sendall(b"POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    with promptly(5):
        assert must(api.get("/dsr/policy"))["total"] >= 3
    for half in halves:
        half.close()
