"""Connections: created, listed, changed, their secrets set and masked, deleted. Contract: rest.md 3."""

import base64
import datetime
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import standardwebhooks

from certificates import Authority
from configuring import KEY_RULE, assert_scope, clash, errors, failed, refusal, same_session, sweeps  # noqa: F401
from utils import must, must_all

ENUM = "'https', 'attentive_email'"
MEMBERS = ["name", "key", "description", "connection_type", "access", "created_at", "updated_at", "disabled",
           "last_test_timestamp", "last_test_succeeded", "secrets", "saas_config", "authorized",
           "enabled_actions", "linked_systems"]
SECRETS = {"url": "https://example.com/hook", "authorization": "Bearer first-secret",
           "headers": {"X-Team": "privacy"}}
MASKED = {"url": "https://example.com/hook", "authorization": "**********", "headers": "**********"}


def connection(**more):
    return {"name": "My Service", "key": "my_service", "connection_type": "https", "access": "read"} | more


# --- creating and changing -------------------------------------------------------------------------------


def test_a_new_connection_is_shown_whole(api):
    shown, = must_all(api.patch("/connection", [connection(description="what it is for")]))
    assert list(shown) == MEMBERS
    assert shown["name"] == "My Service"
    assert shown["key"] == "my_service"
    assert shown["description"] == "what it is for"
    assert shown["connection_type"] == "https"
    assert shown["access"] == "read"
    assert shown["disabled"] is False
    assert shown["authorized"] is False
    assert shown["linked_systems"] == []
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", shown["created_at"])
    for member in ("last_test_timestamp", "last_test_succeeded", "secrets", "saas_config", "enabled_actions"):
        assert shown[member] is None
    assert must(api.get("/connection/my_service")) == shown | {"system_key": "My Service"}


def test_post_creates_too(api):
    assert must_all(api.post("/connection", [connection()]))[0]["key"] == "my_service"


def test_rows_have_ids_of_the_contract_s_form(api, db):
    must_all(api.patch("/connection", [connection()]))
    (row_id,), = db.execute("select id from connection where key = 'my_service'")
    assert re.fullmatch(r"con_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row_id)


@pytest.mark.parametrize("name, key", [("My Service Config", "my_service_config"), ("  Élan -- 2 ", "elan_2"),
                                       ("a.b", "ab"), ("A_b-c", "a_b_c")])
def test_a_missing_key_is_made_of_the_name(api, name, key):
    assert must_all(api.patch("/connection", [connection(name=name, key=None)]))[0]["key"] == key


@pytest.mark.parametrize("key", ["a.b", "A-B_c.0", "-", "k" * 512])
def test_keys_with_dots_work_everywhere(api, key):
    must_all(api.patch("/connection", [connection(key=key)]))
    must(api.put(f"/connection/{key}/secret", SECRETS))
    assert must(api.get(f"/connection/{key}"))["key"] == key
    assert must(api.get(f"/connection/{key}/test"))["test_status"] == "skipped"
    must_all(api.patch("/connection", [connection(key=key, description="again")]))
    assert must(api.get(f"/connection/{key}/"))["description"] == "again"
    assert api.delete(f"/connection/{key}").status_code == 204


def test_a_made_key_that_is_taken_is_refused(api):
    must_all(api.patch("/connection", [connection()]))
    failure = failed(api.patch("/connection", [connection(key=None, access="write")]))
    assert failure["message"] == clash("my_service", "ConnectionConfig")
    assert must(api.get("/connection/my_service"))["access"] == "read"


@pytest.mark.parametrize("element", [{}, {"name": None, "key": None}, {"name": ""}, {"name": "!!!"}, {"name": "…"}])
def test_an_element_that_can_have_no_key_fails(api, element):
    failure = failed(api.patch("/connection", [{"connection_type": "https", "access": "read"} | element]))
    assert failure["message"] == "This connection configuration could not be added."


def test_an_update_keeps_what_is_absent_or_null_and_clears_what_is_empty(api):
    created, = must_all(api.patch("/connection", [connection(description="first", disabled=True)]))
    bare = {"key": "my_service", "connection_type": "https", "access": "write"}
    kept, = must_all(api.patch("/connection", [bare]))
    assert kept == created | {"access": "write", "updated_at": kept["updated_at"]}
    assert kept["updated_at"] > created["updated_at"]
    kept, = must_all(api.patch("/connection", [bare | {"name": None, "description": None, "disabled": None}]))
    assert (kept["name"], kept["description"], kept["disabled"]) == ("My Service", "first", True)
    cleared, = must_all(api.patch("/connection", [bare | {"name": "", "description": "", "disabled": False}]))
    assert (cleared["name"], cleared["description"], cleared["disabled"]) == (None, None, False)


def test_names_need_not_be_unique(api):
    assert len(must_all(api.patch("/connection", [connection(key="a"), connection(key="b")]))) == 2


@pytest.mark.parametrize("type_", ["saas", "mongodb", "test_website", "manual_task", "rds_postgres"])
def test_other_types_are_known_but_not_there_yet(api, type_):
    failure = failed(api.patch("/connection", [connection(connection_type=type_)]))
    assert failure["message"] == f"Connection type '{type_}' is not available in this version."
    assert api.get("/connection/my_service").status_code == 404


def test_a_failing_element_keeps_nobody_else_back_and_shows_no_secrets(api):
    answer = must(api.patch("/connection", [
        connection(key="first"),
        connection(key="second", connection_type="postgres", secrets={"password": "hidden-one"}),
        connection(key="third", secrets={"url": "gopher://x", "authorization": "hidden-two"}),
        connection(key="fourth", extra="ignored"),
        connection(key="first", access="write"),
    ]))
    assert [item["key"] for item in answer["succeeded"]] == ["first", "fourth", "first"]
    assert [failure["data"]["key"] for failure in answer["failed"]] == ["second", "third"]
    assert answer["failed"][0]["data"] == {
        "name": "My Service", "key": "second", "connection_type": "postgres", "access": "read", "disabled": None,
        "description": None, "enabled_actions": None, "saas_connector_type": None}
    assert "hidden" not in str(answer)
    assert must(api.get("/connection/first"))["access"] == "write"
    assert must(api.get("/connection"))["total"] == 2


def test_an_empty_list_is_nothing_to_do(api):
    assert must(api.patch("/connection", [])) == {"succeeded": [], "failed": []}


def test_fifty_are_taken_and_one_more_is_not(api):
    many = [connection(key=f"many_{number}") for number in range(51)]
    assert len(must_all(api.patch("/connection", many[:50]))) == 50
    assert errors(api.patch("/connection", many)) == [
        ("too_long", ["body"], "List should have at most 50 items after validation, not 51")]


BAD_BODIES = [
    ({}, "list_type", ["body"], "Input should be a valid list"),
    ("text", "list_type", ["body"], "Input should be a valid list"),
    ([1], "model_attributes_type", ["body", 0],
     "Input should be a valid dictionary or object to extract fields from"),
    ([None], "model_attributes_type", ["body", 0],
     "Input should be a valid dictionary or object to extract fields from"),
    ([{"access": "read"}], "missing", ["body", 0, "connection_type"], "Field required"),
    ([{"connection_type": "https"}], "missing", ["body", 0, "access"], "Field required"),
    ([connection(), connection(access="append")], "enum", ["body", 1, "access"],
     "Input should be 'read' or 'write'"),
    ([connection(access=None)], "enum", ["body", 0, "access"], "Input should be 'read' or 'write'"),
    ([connection(connection_type="HTTPS")], "enum", ["body", 0, "connection_type"], ENUM),
    ([connection(connection_type=7)], "enum", ["body", 0, "connection_type"], ENUM),
    ([connection(key="a b")], "value_error", ["body", 0, "key"], KEY_RULE + "a b"),
    ([connection(key="a<b>")], "value_error", ["body", 0, "key"], KEY_RULE + "a<b>"),
    ([connection(key="")], "value_error", ["body", 0, "key"], KEY_RULE),
    ([connection(key="é")], "value_error", ["body", 0, "key"], KEY_RULE + "é"),
    ([connection(key="a/../b")], "value_error", ["body", 0, "key"], KEY_RULE + "a/../b"),
    ([connection(key=5)], "string_type", ["body", 0, "key"], "Input should be a valid string"),
    ([connection(key="k" * 513)], "string_too_long", ["body", 0, "key"],
     "String should have at most 512 characters"),
    ([connection(name=5)], "string_type", ["body", 0, "name"], "Input should be a valid string"),
    ([connection(name="n" * 256)], "string_too_long", ["body", 0, "name"],
     "String should have at most 255 characters"),
    ([connection(description=[])], "string_type", ["body", 0, "description"], "Input should be a valid string"),
    ([connection(description="d" * 10001)], "string_too_long", ["body", 0, "description"],
     "String should have at most 10000 characters"),
    ([connection(disabled="perhaps")], "bool_parsing", ["body", 0, "disabled"],
     "Input should be a valid boolean, unable to interpret input"),
    ([connection(disabled=2)], "bool_parsing", ["body", 0, "disabled"],
     "Input should be a valid boolean, unable to interpret input"),
    ([connection(disabled={})], "bool_type", ["body", 0, "disabled"], "Input should be a valid boolean"),
    ([connection(secrets="x")], "dict_type", ["body", 0, "secrets"], "Input should be a valid dictionary"),
    ([connection(secrets=["x"])], "dict_type", ["body", 0, "secrets"], "Input should be a valid dictionary"),
    ([connection(saas_connector_type=1)], "string_type", ["body", 0, "saas_connector_type"],
     "Input should be a valid string"),
]


@pytest.mark.parametrize("body, kind, loc, text", BAD_BODIES)
def test_a_bad_element_rejects_the_whole_body(api, body, kind, loc, text):
    (found_kind, found_loc, found_text), *_ = errors(api.patch("/connection", body))
    assert (found_kind, found_loc) == (kind, loc)
    assert text in found_text
    assert must(api.get("/connection"))["total"] == 0


@pytest.mark.parametrize("raw", [b"{", b"", b"[1,]", b"nul", b'["\xff"]', b'["\\ud800"]', b"[NaN]", b'["\\u0000"]'])
def test_what_is_no_json_is_refused(api, raw):
    (kind, loc, _), *_ = errors(api.request("PATCH", "/connection", data=raw,
                                            headers={"Content-Type": "application/json"}))
    assert (kind, loc) == ("missing", ["body"]) if raw == b"" else (kind, loc[0]) == ("json_invalid", "body")


# --- listing ---------------------------------------------------------------------------------------------


def keys(answer):
    return [item["key"] for item in must(answer)["items"]]


def test_the_list_is_ordered_by_name_and_cut_into_pages(api):
    must_all(api.patch("/connection", [connection(key=key, name=name) for key, name in
                                       [("one", "c"), ("two", "a"), ("three", "b"), ("four", None)]]))
    assert keys(api.get("/connection")) == ["two", "three", "one", "four"]
    page = must(api.get("/connection", params={"page": 2, "size": 3}))
    assert [item["key"] for item in page["items"]] == ["four"]
    assert {name: page[name] for name in ("total", "page", "size", "pages")} == {
        "total": 4, "page": 2, "size": 3, "pages": 2}
    beyond = must(api.get("/connection", params={"page": 9, "size": 3}))
    assert (beyond["items"], beyond["total"], beyond["page"]) == ([], 4, 9)
    assert must(api.get("/connection", params={"page": 9223372036854775807, "size": 100}))["items"] == []


def test_the_list_is_filtered(api, db):
    must_all(api.patch("/connection", [
        connection(key="alpha", name="Crm", description="Customers of THE shop"),
        connection(key="beta", name="50%_off", disabled=True),
        connection(key="gamma", name=None),
    ]))
    db.execute("update connection set last_test_succeeded = key = 'alpha' where key in ('alpha', 'beta')")
    for params, found in [
        ({"search": "the shop"}, ["alpha"]), ({"search": "CRM"}, ["alpha"]), ({"search": "ALPH"}, ["alpha"]),
        ({"search": "%_o"}, ["beta"]), ({"search": "%"}, ["beta"]), ({"search": "nothing"}, []),
        ({"search": "'; drop table connection; --"}, []), ({"search": ""}, ["beta", "alpha", "gamma"]),
        ({"disabled": "true"}, ["beta"]), ({"disabled": "false"}, ["alpha", "gamma"]),
        ({"test_status": "passed"}, ["alpha"]), ({"test_status": "failed"}, ["beta"]),
        ({"test_status": "untested"}, ["gamma"]),
        ({"system_type": "saas"}, []), ({"system_type": "manual"}, []),
        ({"system_type": "database"}, ["beta", "alpha", "gamma"]),
        ({"system_type": "email"}, ["beta", "alpha", "gamma"]),
        ({"orphaned_from_system": "true"}, ["beta", "alpha", "gamma"]), ({"orphaned_from_system": "false"}, []),
        ({"connection_type": "https"}, ["beta", "alpha", "gamma"]), ({"connection_type": "postgres"}, []),
        ({"connection_type": ["postgres", "https"]}, ["beta", "alpha", "gamma"]),
        ({"connection_type": ["mailchimp"]}, []),
        ({"disabled": "false", "search": "a", "test_status": "passed"}, ["alpha"]),
    ]:
        page = must(api.get("/connection", params=params))
        assert ([item["key"] for item in page["items"]], page["total"]) == (found, len(found)), params


@pytest.mark.parametrize("query, name, kind", [
    ("page=0", "page", "greater_than_equal"), ("page=-1", "page", "greater_than_equal"),
    ("page=x", "page", "int_parsing"), ("size=0", "size", "greater_than_equal"),
    ("size=101", "size", "less_than_equal"), ("disabled=perhaps", "disabled", "bool_parsing"),
    ("test_status=maybe", "test_status", "enum"), ("test_status=", "test_status", "enum"),
    ("system_type=printer", "system_type", "enum"), ("orphaned_from_system=2", "orphaned_from_system", "bool_parsing"),
])
def test_bad_filters_are_refused(api, query, name, kind):
    (found_kind, loc, _), *_ = errors(api.get(f"/connection?{query}"))
    assert (found_kind, loc) == (kind, ["query", name])


def test_odd_values_of_a_filter_harm_nobody(api):
    assert keys(api.get("/connection?connection_type=&connection_type=%27&connection_type=%25&page=1&page=x")) == []
    for query in ("search=%FF", "search=%00", "connection_type=%FF", "search=%C0%80"):
        assert api.get(f"/connection?{query}").status_code in (400, 422), query


# --- one -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, path, text", [
    ("GET", "/connection/nobody", "No connection configuration found with key 'nobody'."),
    ("DELETE", "/connection/nobody", "No connection configuration found with key 'nobody'."),
    ("GET", "/connection/nobody/test", "No connection configuration found with key 'nobody'."),
    ("PUT", "/connection/nobody/secret", "No connection config found with key nobody"),
    ("PATCH", "/connection/nobody/secret", "No connection config found with key nobody"),
])
def test_an_unknown_connection_is_told_in_the_contract_s_words(api, method, path, text):
    assert refusal(api.request(method, path, json=SECRETS)) == (404, text)


@pytest.mark.parametrize("key, text", [("a%20b", "a b"), ("%3Cx%3E", "<x>"), ("%C3%A9", "é"), ("%27", "'")])
@pytest.mark.parametrize("method, tail", [("GET", ""), ("DELETE", ""), ("GET", "/test"), ("PUT", "/secret")])
def test_a_path_s_key_must_be_one(api, method, tail, key, text):
    (kind, loc, found), = errors(api.request(method, f"/connection/{key}{tail}", json=SECRETS))
    assert (kind, loc, found) == ("value_error", ["path", "key"], KEY_RULE + text)


def test_testing_an_https_connection_is_skipped(api):
    must_all(api.patch("/connection", [connection()]))
    assert must(api.get("/connection/my_service/test")) == {
        "msg": "Test completed for ConnectionConfig with key: my_service.", "test_status": "skipped",
        "failure_reason": None}
    assert must(api.get("/connection/my_service"))["last_test_timestamp"] is None


# --- secrets ---------------------------------------------------------------------------------------------


@pytest.fixture
def service(api):
    must_all(api.patch("/connection", [connection()]))
    return "/connection/my_service/secret"


def shown_secrets(api):
    return must(api.get("/connection/my_service"))["secrets"]


def test_secrets_are_set_masked_and_replaced(api, service):
    assert must(api.put(service, SECRETS | {"more": "dropped"})) == {
        "msg": "Secrets updated for ConnectionConfig with key: my_service.", "test_status": "skipped",
        "failure_reason": None}
    assert shown_secrets(api) == MASKED
    assert must(api.get("/connection"))["items"][0]["secrets"] == MASKED
    assert must_all(api.patch("/connection", [connection()]))[0]["secrets"] == MASKED
    must(api.put(service, {"url": "https://other.example", "authorization": "x"}))
    assert shown_secrets(api) == {"url": "https://other.example", "authorization": "**********", "headers": None}


def test_verify_false_tests_nothing(api, service):
    assert must(api.put(service, SECRETS, params={"verify": "false"}))["test_status"] is None
    assert must(api.patch(service, {}, params={"verify": "no"}))["test_status"] is None
    assert errors(api.put(service, SECRETS, params={"verify": "maybe"}))[0][:2] == (
        "bool_parsing", ["query", "verify"])


def test_patch_lays_its_parts_over_what_is_stored(api, service, receiver):
    must(api.put(service, SECRETS))
    must(api.patch(service, {"url": "https://second.example/x"}))
    assert shown_secrets(api) == MASKED | {"url": "https://second.example/x"}
    must(api.patch(service, {"headers": None, "authorization": "**********"}))
    assert shown_secrets(api) == {"url": "https://second.example/x", "authorization": "**********", "headers": None}


def test_what_is_patched_and_kept_reaches_the_receiver(api, service, receiver, identity):
    must(api.put(service, {"url": "https://example.com", "authorization": "kept", "headers": {"X-Kept": "yes"}}))
    must(api.patch(service, {"url": receiver.url("/patched"), "authorization": "**********"}))
    api.set_pre_approval(("patched", "my_service"))
    api.create_request(identity())
    call, = receiver.wait_calls(1, "/patched")
    assert (call.headers["Authorization"], call.headers["X-Kept"]) == ("kept", "yes")


def test_secrets_lie_sealed(api, service, db):
    must(api.put(service, SECRETS))
    (sealed,), = db.execute("select secrets from connection where key = 'my_service'")
    for part in (b"example.com", b"first-secret", b"X-Team"):
        assert part not in bytes(sealed)


def test_a_refused_change_leaves_the_secrets_as_they_were(api, service):
    must(api.put(service, SECRETS))
    assert api.put(service, {"url": "nonsense", "authorization": "x"}).status_code == 422
    assert api.patch(service, {"authorization": ""}).status_code == 422
    assert shown_secrets(api) == MASKED


def test_inline_secrets_are_checked_like_others(api):
    must_all(api.patch("/connection", [connection(secrets=SECRETS)]))
    assert shown_secrets(api) == MASKED
    for secrets, message in [
        ({}, "Value error, HttpsSchema must be supplied all of: ['url', 'authorization']."),
        ({"url": "ftp://x", "authorization": "hidden"},
         "url: Value error, The url must begin with https:// or http://."),
        ({"url": "https://x.example", "authorization": "hidden", "headers": {"Host": "y"}},
         "headers.Host: Value error, This header is docket's own and cannot be configured."),
    ]:
        failure = failed(api.patch("/connection", [connection(access="write", secrets=secrets)]))
        assert failure["message"] == message
        assert "secrets" not in failure["data"]
    assert must(api.get("/connection/my_service"))["access"] == "read"
    assert shown_secrets(api) == MASKED


SUPPLIED = ("value_error", [], "Value error, HttpsSchema must be supplied all of: ['url', 'authorization'].")


@pytest.mark.parametrize("secrets", [
    {}, {"url": "https://example.com"}, {"authorization": "x"}, {"url": None, "authorization": None},
    {"url": "", "authorization": "x"}, {"url": "https://example.com", "authorization": ""},
    {"url": [], "authorization": {}}, {"host": "localhost"},
])
def test_what_is_missing_is_one_error(api, service, secrets):
    assert errors(api.put(service, secrets)) == [SUPPLIED]
    assert errors(api.patch(service, secrets)) == [SUPPLIED]
    assert shown_secrets(api) is None


BAD_SECRETS = [
    ({"url": 1}, ["url"]), ({"url": {"a": 1}}, ["url"]), ({"authorization": 1}, ["authorization"]),
    ({"authorization": ["x"]}, ["authorization"]), ({"authorization": "a\r\nX-Evil: b"}, ["authorization"]),
    ({"authorization": "a\nb"}, ["authorization"]), ({"authorization": " x"}, ["authorization"]),
    ({"authorization": "a" * 8193}, ["authorization"]), ({"authorization": "**********"}, ["authorization"]),
    ({"url": "example.com"}, ["url"]), ({"url": "ftp://example.com"}, ["url"]), ({"url": "file:///etc/passwd"}, ["url"]),
    ({"url": "gopher://x"}, ["url"]), ({"url": "javascript:alert(1)"}, ["url"]), ({"url": "https://"}, ["url"]),
    ({"url": "https:///x"}, ["url"]), ({"url": "https://a b/"}, ["url"]), ({"url": "https://a/\r\nHost: b"}, ["url"]),
    ({"url": "https://a/\x7f"}, ["url"]), ({"url": "https://a/\x01"}, ["url"]), ({"url": "https://bücher.de"}, ["url"]),
    ({"url": "https://a\\@b"}, ["url"]), ({"url": "https://u:p@example.com"}, ["url"]),
    ({"url": "https://a:0"}, ["url"]), ({"url": "https://a:70000"}, ["url"]), ({"url": "https://a:b"}, ["url"]),
    ({"url": "https://[::1"}, ["url"]), ({"url": "https://[x]"}, ["url"]), ({"url": "{service-url}/x"}, ["url"]),
    ({"url": "https://a/" + "x" * 2040}, ["url"]),
    ({"headers": "X: y"}, ["headers"]), ({"headers": []}, ["headers"]), ({"headers": 1}, ["headers"]),
    ({"headers": {"X": 1}}, ["headers", "X"]), ({"headers": {"X": None}}, ["headers", "X"]),
    ({"headers": {"X": ["y"]}}, ["headers", "X"]), ({"headers": {"": "y"}}, ["headers", ""]),
    ({"headers": {"X Y": "z"}}, ["headers", "X Y"]), ({"headers": {"X:": "y"}}, ["headers", "X:"]),
    ({"headers": {"X\r\nY": "z"}}, ["headers", "X\r\nY"]), ({"headers": {"X": "a\r\nY: z"}}, ["headers", "X"]),
    ({"headers": {"X": "a\tb\x00"}}, None), ({"headers": {"é": "y"}}, ["headers", "é"]),
    ({"headers": {"Host": "y"}}, ["headers", "Host"]), ({"headers": {"content-LENGTH": "1"}}, ["headers", "content-LENGTH"]),
    ({"headers": {"Content-Type": "y"}}, ["headers", "Content-Type"]),
    ({"headers": {"transfer-encoding": "chunked"}}, ["headers", "transfer-encoding"]),
    ({"headers": {"Connection": "close"}}, ["headers", "Connection"]),
    ({"headers": {"Reply-To": "y"}}, ["headers", "Reply-To"]),
    ({"headers": {"reply-to-token": "y"}}, ["headers", "reply-to-token"]),
    ({"headers": {"Webhook-Signature": "y"}}, ["headers", "Webhook-Signature"]),
    ({"headers": {"traceparent": "y"}}, ["headers", "traceparent"]),
    ({"headers": {f"X-{number}": "y" for number in range(33)}}, ["headers"]),
    ({"headers": {"X": "y" * 4097}}, ["headers", "X"]), ({"headers": {"X" * 129: "y"}}, ["headers", "X" * 129]),
    ({"headers": {"X-A": "1", "x-a": "2"}}, ["headers", "x-a"]),
]


@pytest.mark.parametrize("change, loc", BAD_SECRETS)
def test_bad_secrets_are_refused_without_telling_them(api, service, change, loc):
    answer = api.put(service, SECRETS | change)
    found = errors(answer)
    if loc is None:
        assert found[0][0] == "json_invalid"
    else:
        assert [error[1] for error in found] == [loc]
    assert "first-secret" not in answer.text
    assert shown_secrets(api) is None


@pytest.mark.parametrize("url", ["https://example.com", "HTTPS://Example.com:443/a?b=c&d=%20#e", "http://127.0.0.1:81/x",
                                 "https://[::1]:8443/", "https://a_b.example/?mail=a@b"])
def test_good_urls_are_taken_verbatim(api, service, url):
    must(api.put(service, SECRETS | {"url": url}))
    assert shown_secrets(api)["url"] == url


@pytest.mark.parametrize("body", [[], "text", 1, [SECRETS]])
def test_secrets_must_be_an_object(api, service, body):
    assert errors(api.put(service, body)) == [("dict_type", ["body"], "Input should be a valid dictionary")]


@pytest.mark.settings(DOCKET_WEBHOOK_ALLOW_HTTP="false")
def test_plain_http_is_refused_unless_it_is_allowed(api):
    must_all(api.patch("/connection", [connection()]))
    plain = SECRETS | {"url": "http://example.com"}
    text = "Value error, The url must begin with https://: plain http endpoints are not allowed here."
    assert errors(api.put("/connection/my_service/secret", plain)) == [("value_error", ["url"], text)]
    assert failed(api.patch("/connection", [connection(secrets=plain)]))["message"] == f"url: {text}"
    must(api.put("/connection/my_service/secret", SECRETS))


# --- docket's own parts ----------------------------------------------------------------------------------------

SIGNING = "The signing_secret must be whsec_ and the base64 of 24 to 64 bytes."
CERTIFICATE = "This must be one or more certificates in PEM form."
KEY = "This must be a private key in PEM form, without a passphrase."


def signing_secret(byte, count=32):
    return "whsec_" + base64.b64encode(bytes([byte]) * count).decode()


def pair():
    """A certificate and its key, as PEM."""
    return Authority("docket test").issue("client")


def own_parts():
    certificate, key = pair()
    return {"signing_secret": signing_secret(1), "ca_certificate": certificate, "client_certificate": certificate,
            "client_key": key}


def test_own_parts_are_stored_masked_and_shown_only_when_they_are_there(api, service, db):
    parts = own_parts()
    must(api.put(service, SECRETS | parts))
    assert shown_secrets(api) == MASKED | dict.fromkeys(parts, "**********")
    answer = api.get("/connection/my_service").text
    (sealed,), = db.execute("select secrets from connection where key = 'my_service'")
    for value in parts.values():
        assert value[:40] not in answer
        assert value[:40].encode() not in bytes(sealed)
    must(api.patch(service, {"signing_secret": None, "client_certificate": None, "client_key": None}))
    assert shown_secrets(api) == MASKED | {"ca_certificate": "**********"}
    must(api.put(service, SECRETS))
    assert shown_secrets(api) == MASKED


def test_own_parts_may_come_with_the_connection(api):
    parts = own_parts()
    shown, = must_all(api.patch("/connection", [connection(secrets=SECRETS | parts)]))
    assert shown["secrets"] == MASKED | dict.fromkeys(parts, "**********")
    failure = failed(api.patch("/connection", [connection(secrets=SECRETS | {"signing_secret": "hidden"})]))
    assert failure["message"] == f"signing_secret: Value error, {SIGNING}"


def test_a_patch_leaves_own_parts_that_it_does_not_name_or_masks(api, service):
    parts = own_parts()
    must(api.put(service, SECRETS | parts))
    must(api.patch(service, {"authorization": "new"}))
    must(api.patch(service, dict.fromkeys(parts, "**********")))
    assert shown_secrets(api) == MASKED | dict.fromkeys(parts, "**********")


def test_what_is_docket_s_own_beside_them_is_never_taken(api, service):
    must(api.put(service, SECRETS | {"signing_previous": signing_secret(1), "signing_until": 2**53}))
    assert shown_secrets(api) == MASKED
    must(api.put(service, SECRETS | {"signing_secret": signing_secret(1)}))
    must(api.patch(service, {"signing_secret": signing_secret(2), "signing_until": 0}))
    assert shown_secrets(api) == MASKED | {"signing_secret": "**********"}


@pytest.mark.parametrize("part, value, text", [
    ("signing_secret", "secret", SIGNING), ("signing_secret", "", SIGNING), ("signing_secret", "**********", SIGNING),
    ("signing_secret", "whsec_!!!!", SIGNING), ("signing_secret", signing_secret(1, 23), SIGNING),
    ("signing_secret", signing_secret(1, 65), SIGNING), ("signing_secret", "whsec_" + "A" * 90_000, SIGNING),
    ("ca_certificate", "garbage", CERTIFICATE), ("ca_certificate", "", CERTIFICATE),
    ("ca_certificate", "c" * 65_537, "This should have at most 65536 bytes."),
    ("client_certificate", "garbage", CERTIFICATE), ("client_key", "garbage", KEY),
    ("client_key", "k" * 65_537, "This should have at most 65536 bytes."),
])
def test_a_bad_own_part_is_named(api, service, part, value, text):
    assert errors(api.put(service, SECRETS | own_parts() | {part: value})) == [
        ("value_error", [part], f"Value error, {text}")]
    assert shown_secrets(api) is None


@pytest.mark.parametrize("part", ["signing_secret", "ca_certificate", "client_certificate", "client_key"])
def test_an_own_part_is_a_text(api, service, part):
    for value in (1, [], {}, True):
        assert errors(api.put(service, SECRETS | own_parts() | {part: value})) == [
            ("string_type", [part], "Input should be a valid string")]


def test_a_certificate_and_its_key_come_together(api, service):
    (certificate, key), (_, other_key) = pair(), pair()
    for parts, loc, text in [
        ({"client_certificate": certificate}, "client_key", "A client_certificate needs its client_key."),
        ({"client_key": key}, "client_certificate", "A client_key needs its client_certificate."),
        ({"client_certificate": certificate, "client_key": other_key}, "client_key",
         "This key is not the certificate's."),
    ]:
        assert errors(api.put(service, SECRETS | parts)) == [("value_error", [loc], f"Value error, {text}")]
    must(api.put(service, SECRETS | {"client_certificate": certificate, "client_key": key}))
    assert errors(api.patch(service, {"client_key": None}))[0][1] == ["client_key"]
    assert errors(api.patch(service, {"client_key": other_key}))[0][1] == ["client_key"]
    assert shown_secrets(api)["client_key"] == "**********"


def signers(call, *secrets):
    """How many signatures the call has, and which of the secrets made one of them."""
    given = call.headers.get("webhook-signature", "").split()
    at = datetime.datetime.fromtimestamp(int(call.headers["webhook-timestamp"]), datetime.timezone.utc)
    made = {secret: standardwebhooks.Webhook(secret).sign(call.headers["webhook-id"], at, call.body.decode())
            for secret in secrets}
    return len(given), [secret for secret in secrets if made[secret] in given]


@pytest.fixture
def signed_call(api, service, receiver, identity):
    """signed_call(): the pre-approval call that a new request makes."""
    must(api.put(service, {"url": receiver.url("/signed"), "authorization": "x"}))
    api.set_pre_approval(("signed", "my_service"))

    def make():
        request_id = api.create_request(identity())["id"]
        return receiver.wait_calls(1, "/signed", request_id)[0]

    return make


FIRST, SECOND, THIRD = map(signing_secret, (1, 2, 3))


def test_a_replaced_signing_secret_signs_beside_the_new_one(api, service, signed_call):
    assert signers(signed_call()) == (0, [])
    must(api.patch(service, {"signing_secret": FIRST}))
    assert signers(signed_call(), FIRST) == (1, [FIRST])
    must(api.patch(service, {"signing_secret": SECOND}))
    must(api.patch(service, {"authorization": "new", "signing_secret": "**********"}))
    assert signers(signed_call(), FIRST, SECOND) == (2, [FIRST, SECOND])
    must(api.patch(service, {"signing_secret": THIRD}))
    assert signers(signed_call(), FIRST, SECOND, THIRD) == (2, [SECOND, THIRD])
    must(api.patch(service, {"signing_secret": None}))
    must(api.patch(service, {"signing_secret": FIRST}))
    assert signers(signed_call(), FIRST, SECOND, THIRD) == (1, [FIRST])


@pytest.mark.settings(DOCKET_SIGNING_OVERLAP="0s")
def test_without_an_overlap_only_the_new_one_signs(api, service, signed_call):
    must(api.patch(service, {"signing_secret": FIRST}))
    must(api.patch(service, {"signing_secret": SECOND}))
    assert signers(signed_call(), FIRST, SECOND) == (1, [SECOND])


# --- deleting, and what waits ----------------------------------------------------------------------------


def test_a_deleted_connection_takes_its_webhooks_along(api, sweeps):
    api.make_connection("a", "https://a.example")
    api.make_connection("b", "https://b.example")
    api.set_pre_approval(("one", "a"), ("two", "b"))
    sweeps()
    answer = api.delete("/connection/a")
    assert (answer.status_code, answer.content) == (204, b"")
    assert [item["key"] for item in must(api.get("/dsr/webhook/pre_approval"))["items"]] == ["two"]
    assert sweeps() == ["connection_deleted"]
    assert api.delete("/connection/a").status_code == 404


def test_only_what_webhooks_use_makes_requests_be_looked_at(api, sweeps):
    api.make_connection("a", "https://a.example")
    disabled = {"key": "a", "connection_type": "https", "access": "read", "disabled": True}
    must_all(api.patch("/connection", [disabled]))
    must_all(api.patch("/connection", [disabled | {"disabled": False}]))
    assert sweeps() == []
    api.set_pre_approval(("one", "a"))
    assert sweeps() == ["webhook_added"]
    must_all(api.patch("/connection", [disabled]))
    assert sweeps() == ["connection_disabled"]
    must_all(api.patch("/connection", [disabled, disabled | {"disabled": None}, disabled | {"access": "write"}]))
    must(api.put("/connection/a/secret", SECRETS))
    assert sweeps() == []
    must_all(api.patch("/connection", [disabled | {"disabled": False}]))
    assert sweeps() == ["connection_enabled"]
    failed(api.patch("/connection", [disabled | {"secrets": {}}]))
    assert sweeps() == []


def test_changes_that_meet_come_one_after_the_other(api):
    """Each element is a change of its own key and of one that all share: no deadlock, and nothing is lost."""
    def change(number):
        return same_session(api).patch("/connection", [
            connection(key=f"own_{number}"), connection(key="shared"), connection(key=f"own_{number}", access="write")])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(change, range(8)))
    assert [must(answer)["failed"] for answer in answers] == [[]] * 8
    assert must(api.get("/connection"))["total"] == 9


# --- scopes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, path, scope", [
    ("GET", "/connection", "connection:read"), ("PATCH", "/connection", "connection:create_or_update"),
    ("POST", "/connection", "connection:create_or_update"), ("GET", "/connection/x", "connection:read"),
    ("DELETE", "/connection/x", "connection:delete"),
    ("PUT", "/connection/x/secret", "connection:create_or_update"),
    ("PATCH", "/connection/x/secret", "connection:create_or_update"), ("GET", "/connection/x/test", "connection:read"),
])
def test_each_way_needs_its_scope(api, method, path, scope):
    assert_scope(api, method, path, scope)
