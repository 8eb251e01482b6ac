"""OAuth2 client credentials of a connection: set, laid over, removed, and shown by nothing. Contract: rest.md 3."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from configuring import KEY_RULE, assert_scope, errors, refusal, same_session
from utils import must, must_all

PATH = "/connection/crm/oauth"
OAUTH = {"grant_type": "client_credentials", "token_url": "https://id.example/token", "scope": "privacy:read",
         "client_id": "visible-client", "client_secret": "hidden-secret"}
UPDATED = {"msg": "OAuth2 configuration updated for ConnectionConfig with key: crm.", "test_status": "skipped",
           "failure_reason": None}
INVALID = (422, "Invalid OAuth2 configuration.")
NONE_TO_DELETE = (404, "No OAuth2 configuration found to delete.")


@pytest.fixture
def crm(api):
    api.make_connection("crm", "https://crm.example/hook")


def sealed(db):
    value, = db.execute("select oauth from connection where key = 'crm'").fetchone()
    return value and bytes(value)


def without(*members):
    return {name: value for name, value in OAUTH.items() if name not in members}


def test_a_configuration_is_set_replaced_and_removed(api, crm, db):
    assert must(api.put(PATH, OAUTH)) == UPDATED
    first = sealed(db)
    assert must(api.put(PATH, OAUTH | {"client_secret": "another"})) == UPDATED
    assert sealed(db) != first
    answer = api.delete(PATH)
    assert (answer.status_code, answer.content) == (204, b"")
    assert sealed(db) is None
    assert refusal(api.delete(PATH)) == NONE_TO_DELETE


def test_it_lies_sealed_and_is_shown_by_nothing(api, crm, db):
    before = must(api.get("/connection/crm"))
    must(api.put(PATH, OAUTH))
    for value in OAUTH.values():
        assert value.encode() not in sealed(db)
    after = must(api.get("/connection/crm"))
    assert after == before | {"updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    api.set_pre_approval(("one", "crm"))
    for path in ("/connection", "/connection/crm", "/dsr/webhook/pre_approval", "/connection/crm/test"):
        text = api.get(path).text
        assert not any(value in text for value in (OAUTH["token_url"], "visible-client", "hidden-secret"))
    assert api.get(PATH).status_code == 405


def test_other_writes_to_the_connection_leave_it(api, crm, db):
    must(api.put(PATH, OAUTH))
    before = sealed(db)
    must_all(api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "write"}]))
    must(api.put("/connection/crm/secret", {"url": "https://other.example", "authorization": "x"}))
    assert sealed(db) == before


@pytest.mark.parametrize("scope", [{}, {"scope": None}, {"scope": ""}])
def test_a_scope_need_not_be(api, crm, scope):
    assert must(api.put(PATH, without("scope") | scope)) == UPDATED


def test_verify_false_tests_nothing(api, crm):
    assert must(api.put(PATH, OAUTH, params={"verify": "false"})) == UPDATED | {"test_status": None}
    assert must(api.patch(PATH, {"client_secret": "x"}, params={"verify": "0"}))["test_status"] is None
    assert errors(api.put(PATH, OAUTH, params={"verify": "maybe"}))[0][:2] == ("bool_parsing", ["query", "verify"])


# --- PUT: all of it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["grant_type", "token_url", "client_id", "client_secret"])
def test_what_a_put_lacks_is_named(api, crm, db, member):
    must(api.put(PATH, OAUTH))
    before = sealed(db)
    assert errors(api.put(PATH, without(member))) == [("missing", ["body", member], "Field required")]
    (_, loc, _), = errors(api.put(PATH, OAUTH | {member: None}))
    assert loc == ["body", member]
    assert sealed(db) == before


BAD_MEMBERS = [
    ({"grant_type": "authorization_code"}, "enum", "grant_type"), ({"grant_type": 1}, "enum", "grant_type"),
    ({"token_url": ""}, "string_too_short", "token_url"), ({"token_url": 5}, "string_type", "token_url"),
    ({"token_url": "id.example/token"}, "value_error", "token_url"),
    ({"token_url": "ftp://id.example"}, "value_error", "token_url"),
    ({"token_url": "https://"}, "value_error", "token_url"),
    ({"token_url": "https://u:p@id.example/"}, "value_error", "token_url"),
    ({"token_url": "https://id.example/\r\nX: y"}, "value_error", "token_url"),
    ({"token_url": "https://id.example/" + "x" * 2040}, "string_too_long", "token_url"),
    ({"scope": ["a"]}, "string_type", "scope"), ({"scope": "a\nb"}, "value_error", "scope"),
    ({"scope": "s" * 2049}, "string_too_long", "scope"),
    ({"client_id": ""}, "string_too_short", "client_id"), ({"client_id": {}}, "string_type", "client_id"),
    ({"client_id": "é"}, "value_error", "client_id"), ({"client_id": "c" * 1025}, "string_too_long", "client_id"),
    ({"client_secret": ""}, "string_too_short", "client_secret"),
    ({"client_secret": 1}, "string_type", "client_secret"), ({"client_secret": "a\tb"}, "value_error", "client_secret"),
    ({"client_secret": "s" * 4097}, "string_too_long", "client_secret"),
    ({"more": 1}, "extra_forbidden", "more"),
]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("change, kind, member", BAD_MEMBERS)
def test_a_bad_member_is_named_and_not_told(api, crm, db, method, change, kind, member):
    must(api.put(PATH, OAUTH))
    before = sealed(db)
    answer = api.request(method, PATH, json=OAUTH | change)
    assert [error[:2] for error in errors(answer)] == [(kind, ["body", member])]
    assert "hidden-secret" not in answer.text
    assert sealed(db) == before


@pytest.mark.parametrize("member, size", [("token_url", 2048), ("scope", 2048), ("client_id", 1024),
                                          ("client_secret", 4096)])
def test_what_just_fits_is_taken(api, crm, member, size):
    assert must(api.put(PATH, OAUTH | {member: "https://id.example/".ljust(size, "x")})) == UPDATED


@pytest.mark.settings(DOCKET_WEBHOOK_ALLOW_HTTP="false")
def test_a_plain_http_token_url_is_refused_unless_it_is_allowed(api, crm):
    plain = OAUTH | {"token_url": "http://id.example/token"}
    text = "Value error, The url must begin with https://: plain http endpoints are not allowed here."
    for method in ("PUT", "PATCH"):
        assert errors(api.request(method, PATH, json=plain)) == [("value_error", ["body", "token_url"], text)]
    must(api.put(PATH, OAUTH))


def test_a_plain_http_token_url_is_taken_where_it_is_allowed(api, crm):
    must(api.put(PATH, OAUTH | {"token_url": "http://id.example/token"}))


@pytest.mark.parametrize("body", [[], "text", 1, [OAUTH]])
def test_it_must_be_an_object(api, crm, body):
    for method in ("PUT", "PATCH"):
        assert errors(api.request(method, PATH, json=body))[0][:2] == ("model_attributes_type", ["body"])


def test_a_body_is_needed(api, crm):
    for method in ("PUT", "PATCH"):
        assert errors(api.request(method, PATH)) == [("missing", ["body"], "Field required")]


# --- PATCH: laid over what is stored ---------------------------------------------------------------------------


@pytest.mark.parametrize("change", [
    {"token_url": "https://other.example"}, {"client_secret": "x"}, {"scope": "y", "client_secret": None},
    {"client_id": "z", "grant_type": None}, {},
])
def test_a_part_is_enough_when_the_rest_is_stored(api, crm, db, change):
    must(api.put(PATH, OAUTH))
    before = sealed(db)
    assert must(api.patch(PATH, change)) == UPDATED
    assert (sealed(db) == before) == (not change)  # sealed anew, where it is another


@pytest.mark.parametrize("member", ["grant_type", "token_url", "client_id", "client_secret"])
def test_what_is_incomplete_in_the_end_is_refused(api, crm, db, member):
    assert refusal(api.patch(PATH, without(member))) == INVALID
    assert refusal(api.patch(PATH, OAUTH | {member: None})) == INVALID
    assert refusal(api.patch(PATH, {})) == INVALID
    assert sealed(db) is None


def test_a_patch_that_says_it_all_creates(api, crm):
    assert must(api.patch(PATH, without("scope"))) == UPDATED
    assert api.delete(PATH).status_code == 204


# --- which connection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, body", [("PUT", OAUTH), ("PATCH", OAUTH), ("DELETE", None)])
def test_an_unknown_connection_is_told(api, method, body):
    assert refusal(api.request(method, "/connection/nobody/oauth", json=body)) == (
        404, "No connection configuration found with key 'nobody'.")
    assert errors(api.request(method, "/connection/a%20b/oauth", json=body)) == [
        ("value_error", ["path", "key"], KEY_RULE + "a b")]


def test_only_https_connections_have_one(api, crm, db):
    db.execute("update connection set connection_type = 'postgres' where key = 'crm'")
    for method in ("PUT", "PATCH"):
        assert refusal(api.request(method, PATH, json=OAUTH)) == (
            422, "OAuth2 configuration can only be set for HTTPS connections.")
    assert refusal(api.delete(PATH)) == (422, "OAuth2 configuration can only be deleted for HTTPS connections")
    assert sealed(db) is None


def test_what_cannot_be_opened_is_replaced_or_removed_but_not_laid_over(api, crm, db):
    must(api.put(PATH, OAUTH))
    db.execute("update connection set oauth = set_byte(oauth, 40, 255 - get_byte(oauth, 40)) where key = 'crm'")
    assert refusal(api.patch(PATH, {"scope": "x"})) == INVALID
    assert must(api.put(PATH, OAUTH)) == UPDATED
    db.execute("update connection set oauth = set_byte(oauth, 40, 255 - get_byte(oauth, 40)) where key = 'crm'")
    assert api.delete(PATH).status_code == 204
    assert sealed(db) is None


def test_parts_that_are_laid_over_at_once_all_stay(api, crm):
    """Each PATCH reads what the one before it wrote; a part that was lost would leave it incomplete."""
    parts = [{"token_url": f"https://{number}.example"} for number in range(4)] + [
        {"client_id": str(number)} for number in range(4)]
    must(api.put(PATH, OAUTH))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda part: same_session(api).patch(PATH, part), parts))
    assert [must(answer) for answer in answers] == [UPDATED] * 8


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_each_way_needs_its_scope(api, method):
    assert_scope(api, method, PATH, "connection:create_or_update")
