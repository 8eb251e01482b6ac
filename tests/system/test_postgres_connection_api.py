"""Connections of type postgres and manual_webhook: their secrets, tried and never shown; their limits; the catalog of
types. Contract: rest.md 3."""

import socket
import threading

import psycopg
import pytest

from configuring import assert_scope, errors, failed, refusal
from utils import must, must_all

PASSWORD = "a-password-nobody-else-has"
SHOWN = ["host", "port", "username", "password", "dbname", "db_schema", "ssl_mode", "ssh_required"]
PATH = "/connection/shop_db/secret"
OPERATIONAL = "Operational Error connecting to postgres db."


def connection(**more):
    return {"name": "Shop", "key": "shop_db", "connection_type": "postgres", "access": "write"} | more


@pytest.fixture
def shop(api):
    return must_all(api.patch("/connection", [connection()]))[0]


@pytest.fixture
def manual(api):
    return must_all(api.post("/connection", [connection(key="desk", connection_type="manual_webhook")]))[0]


@pytest.fixture(scope="module")
def login(stack):
    """A role of our own in the database of the tests, as secrets."""
    name = f"{stack.name}_reader"
    with psycopg.connect(stack.postgres.url(stack.name), autocommit=True) as session:
        session.execute(f"drop role if exists {name}")
        session.execute(f"create role {name} login password '{PASSWORD}'")
    yield {"host": "127.0.0.1", "port": stack.postgres.port, "dbname": stack.name, "username": name,
           "password": PASSWORD}
    with psycopg.connect(stack.postgres.url(stack.name), autocommit=True) as session:
        session.execute(f"drop role {name}")


def status(what, outcome, reason=None, key="shop_db"):
    return {"msg": f"{what} for ConnectionConfig with key: {key}.", "test_status": outcome, "failure_reason": reason}


def shown(api, key="shop_db"):
    return must(api.get(f"/connection/{key}"))


# --- creating and changing -------------------------------------------------------------------------------


def test_a_new_one_is_shown_whole(api, shop):
    assert shop["connection_type"] == "postgres" and shop["access"] == "write"
    assert shop["secrets"] is None and shop["enabled_actions"] is None
    assert must(api.get("/connection", params={"connection_type": "postgres"}))["items"][0]["key"] == "shop_db"


def test_enabled_actions_are_set_kept_and_cleared(api, shop):
    def change(**more):
        return must_all(api.patch("/connection", [connection(**more)]))[0]["enabled_actions"]

    assert change(enabled_actions=["access"]) == ["access"]
    assert change() == ["access"]
    assert change(enabled_actions=["erasure", "consent", "access"]) == ["erasure", "consent", "access"]
    assert change(enabled_actions=None) is None
    assert must_all(api.post("/connection", [connection(key="b", enabled_actions=["erasure"])]))[0][
        "enabled_actions"] == ["erasure"]


@pytest.mark.parametrize("type_", ["https", "manual_webhook"])
def test_a_type_cannot_be_changed(api, shop, type_):
    assert failed(api.patch("/connection", [connection(connection_type=type_)]))["message"] == (
        "Connection 'shop_db' is of type 'postgres': a connection's type cannot be changed.")
    assert shown(api)["connection_type"] == "postgres"


def test_inline_secrets_are_checked_and_never_shown(api, login):
    made, = must_all(api.patch("/connection", [connection(secrets=login)]))
    assert made["secrets"]["password"] == "**********"
    failure = failed(api.patch("/connection", [connection(secrets=login | {"host": "", "password": "other-one"})]))
    assert failure["message"] == "Value error, PostgreSQLSchema must be supplied all of: ['host']."
    assert "other-one" not in str(failure)


# --- secrets -----------------------------------------------------------------------------------------------


def test_secrets_are_stored_tried_and_masked(api, shop, login):
    assert must(api.put(PATH, login)) == status("Secrets updated", "succeeded")
    now = shown(api)
    assert list(now["secrets"]) == SHOWN
    assert now["secrets"] == login | {"password": "**********", "db_schema": None, "ssl_mode": None,
                                      "ssh_required": False}
    assert now["last_test_succeeded"] is True and now["last_test_timestamp"] > shop["created_at"]
    assert PASSWORD not in api.get("/connection").text


def test_without_verify_nothing_is_tried(api, shop, login):
    assert must(api.put(PATH, login, params={"verify": "false"})) == status("Secrets updated", None)
    assert shown(api)["last_test_timestamp"] is None


def test_a_test_tells_and_notes_what_came_of_it(api, shop, login):
    assert must(api.get("/connection/shop_db/test")) == status(
        "Test completed", "failed", "Connection error: the connection has no secrets.")
    assert must(api.put(PATH, login | {"password": "not-" + PASSWORD})) == status(
        "Secrets updated", "failed", OPERATIONAL)
    assert shown(api)["last_test_succeeded"] is False
    assert must(api.patch(PATH, {"password": PASSWORD})) == status("Secrets updated", "succeeded")
    assert must(api.get("/connection/shop_db/test")) == status("Test completed", "succeeded")
    assert must(api.get("/connection", params={"test_status": "passed"}))["total"] == 1


@pytest.mark.parametrize("wrong", [{"dbname": "no_such_database"}, {"username": "nobody"}, {"port": 1},
                                   {"host": "no-such-host.invalid"}, {"ssl_mode": "require"}, {"username": None}])
def test_what_cannot_be_reached_is_stored_and_told(api, shop, login, wrong):
    assert must(api.put(PATH, login | wrong)) == status("Secrets updated", "failed", OPERATIONAL)
    assert shown(api)["secrets"]["host"] == (login | wrong)["host"]


@pytest.mark.settings(DOCKET_SOURCE_CONNECT_TIMEOUT="1s", DOCKET_API_THREADS="2")
def test_a_database_that_hangs_is_given_up_and_keeps_nobody_else_waiting(stack, api, shop, login):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert must(api.put(PATH, login | {"port": silent.getsockname()[1]})) == status(
            "Secrets updated", "failed", OPERATIONAL)
        assert must(api.put(PATH, login | {"port": silent.getsockname()[1]}, params={"verify": "false"}))
        answers = []
        hanging = [threading.Thread(target=lambda: answers.append(must(api.get("/connection/shop_db/test"))))
                   for _ in range(2)]
        for thread in hanging:
            thread.start()
        for thread in hanging:
            thread.join()
    assert sorted(answer["test_status"] for answer in answers) == ["failed", "skipped"]
    assert "Not tested: too many tests of connections are under way." in [
        answer["failure_reason"] for answer in answers]


def test_patch_merges_and_the_mask_keeps(api, shop, login):
    must(api.put(PATH, login | {"db_schema": "public", "sslmode": "prefer"}))
    must(api.patch(PATH, {"password": "**********", "db_schema": None, "ssl_mode": "disable"}))
    assert shown(api)["secrets"] == login | {"password": "**********", "db_schema": None, "ssl_mode": "disable",
                                             "ssh_required": False}
    assert must(api.get("/connection/shop_db/test"))["test_status"] == "succeeded"
    must(api.patch(PATH, {"sslmode": "allow"}))
    assert shown(api)["secrets"]["ssl_mode"] == "allow"
    must(api.put(PATH, {"host": "db.example"}, params={"verify": "false"}))
    assert shown(api)["secrets"] == {"host": "db.example", "port": 5432, "username": None, "password": None,
                                     "dbname": None, "db_schema": None, "ssl_mode": None, "ssh_required": False}


def test_a_shown_one_can_be_put_back(api, shop, login):
    must(api.put(PATH, login))
    assert must(api.patch(PATH, shown(api)["secrets"]))["test_status"] == "succeeded"


MISSING = ("value_error", [], "Value error, PostgreSQLSchema must be supplied all of: ['host'].")
EXTRA = "Extra inputs are not permitted"
TEXT = "Input should be a valid string"
HOST = "Value error, The host must be one name or address."
DBNAME = "Value error, The dbname must be a name, not a connection string."
CONTROL = "Value error, This must be without control characters."
MODES = "Input should be 'disable', 'allow', 'prefer', 'require', 'verify-ca' or 'verify-full'"
INTEGER = "Input should be a valid integer, unable to parse string as an integer"


def limit(count):
    return f"String should have at most {count} characters"


BAD_SECRETS = [
    ({}, [MISSING]),
    ({"host": None}, [MISSING]),
    ({"host": ""}, [MISSING]),
    ({"port": 5432, "dbname": "shop"}, [MISSING]),
    ({"host": 5}, [("string_type", ["host"], TEXT)]),
    ({"host": ["a"]}, [("string_type", ["host"], TEXT)]),
    ({"host": "a b"}, [("value_error", ["host"], HOST)]),
    ({"host": "a,b"}, [("value_error", ["host"], HOST)]),
    ({"host": "/var/run/postgresql"}, [("value_error", ["host"], HOST)]),
    ({"host": "@abstract"}, [("value_error", ["host"], HOST)]),
    ({"host": "-x"}, [("value_error", ["host"], HOST)]),
    ({"host": "postgresql://db.example/shop"}, [("value_error", ["host"], HOST)]),
    ({"host": "[::1]"}, [("value_error", ["host"], HOST)]),
    ({"host": "a\nb"}, [("value_error", ["host"], CONTROL)]),
    ({"host": "h" * 254}, [("string_too_long", ["host"], limit(253))]),
    ({"host": "h", "port": 0}, [("greater_than_equal", ["port"], "Input should be greater than or equal to 1")]),
    ({"host": "h", "port": 65536}, [("less_than_equal", ["port"], "Input should be less than or equal to 65535")]),
    ({"host": "h", "port": "x"}, [("int_parsing", ["port"], INTEGER)]),
    ({"host": "h", "dbname": 1}, [("string_type", ["dbname"], TEXT)]),
    ({"host": "h", "dbname": "host=evil dbname=x"}, [("value_error", ["dbname"], DBNAME)]),
    ({"host": "h", "dbname": "postgres://evil/x"}, [("value_error", ["dbname"], DBNAME)]),
    ({"host": "h", "dbname": "d" * 64}, [("string_too_long", ["dbname"], limit(63))]),
    ({"host": "h", "username": "u" * 64}, [("string_too_long", ["username"], limit(63))]),
    ({"host": "h", "username": "u\u0001"}, [("value_error", ["username"], CONTROL)]),
    ({"host": "h", "password": {}}, [("string_type", ["password"], TEXT)]),
    ({"host": "h", "password": "p" * 1025}, [("string_too_long", ["password"], limit(1024))]),
    ({"host": "h", "password": "**********"},
     [("value_error", ["password"], "Value error, The password is only the mask that hides the stored one.")]),
    ({"host": "h", "db_schema": "s" * 64}, [("string_too_long", ["db_schema"], limit(63))]),
    ({"host": "h", "ssl_mode": "maybe"}, [("enum", ["ssl_mode"], MODES)]),
    ({"host": "h", "sslmode": "on"}, [("enum", ["sslmode"], MODES)]),
    ({"host": "h", "ssl_mode": "disable", "sslmode": "require"}, [("value_error", ["sslmode"],
     "Value error, This is another mode than ssl_mode, which is the same setting.")]),
    ({"host": "h", "ssh_required": True}, [("value_error", ["ssh_required"],
     "Value error, Connections through SSH are not available in this version.")]),
    ({"host": "h", "ssh_required": "maybe"}, [("bool_parsing", ["ssh_required"],
     "Input should be a valid boolean, unable to interpret input")]),
    ({"host": "h", "url": "postgresql://db.example"}, [("extra_forbidden", ["url"], EXTRA)]),
    ({"host": "h", "user": "u"}, [("extra_forbidden", ["user"], EXTRA)]),
    ({"host": "h", "port": "x", "dbname": 1}, [("int_parsing", ["port"], INTEGER),
                                               ("string_type", ["dbname"], TEXT)]),
]


@pytest.mark.parametrize("secrets, expected", BAD_SECRETS)
def test_secrets_that_do_not_fit_are_refused_with_their_place(api, shop, secrets, expected):
    assert errors(api.put(PATH, secrets)) == expected
    assert shown(api)["secrets"] is None


def test_patch_checks_the_whole(api, shop, login):
    assert errors(api.patch(PATH, {"port": 5433})) == [MISSING]
    must(api.put(PATH, login))
    assert errors(api.patch(PATH, {"host": None})) == [MISSING]
    assert errors(api.patch(PATH, {"surprise": 1})) == [("extra_forbidden", ["surprise"], EXTRA)]
    assert must(api.get("/connection/shop_db/test"))["test_status"] == "succeeded"


@pytest.mark.parametrize("actions, kind, place", [
    ([], "too_short", ["enabled_actions"]), (["reading"], "enum", ["enabled_actions", 0]),
    ("access", "list_type", ["enabled_actions"]), (["access"] * 4, "too_long", ["enabled_actions"]),
    ([None], "enum", ["enabled_actions", 0]),
])
def test_enabled_actions_that_do_not_fit(api, actions, kind, place):
    assert [error[:2] for error in errors(api.patch("/connection", [connection(enabled_actions=actions)]))] == [
        (kind, ["body", 0] + place)]


def test_unknown_connections_have_their_own_words(api):
    assert refusal(api.put("/connection/nowhere/secret", {"host": "h"})) == (
        404, "No connection config found with key nowhere")
    assert refusal(api.get("/connection/nowhere/test")) == (
        404, "No connection configuration found with key 'nowhere'.")
    assert_scope(api, "PUT", PATH, "connection:create_or_update")


# --- manual_webhook ------------------------------------------------------------------------------------------


def test_a_manual_webhook_has_no_secrets_and_is_there_once_its_fields_are(api, manual, db):
    assert manual["connection_type"] == "manual_webhook" and manual["secrets"] is None
    assert must(api.put("/connection/desk/secret", {})) == status("Secrets updated", "failed", key="desk")
    assert errors(api.put("/connection/desk/secret", {"url": "x"})) == [("extra_forbidden", ["url"], EXTRA)]
    db.execute("insert into manual_webhook (id, connection_id, fields) select 'acc_1', id, '[{\"pii_field\": \"a\"}]' "
               "from connection where key = 'desk'")
    assert must(api.get("/connection/desk/test")) == status("Test completed", "succeeded", key="desk")
    assert shown(api, "desk")["last_test_succeeded"] is True
    assert api.delete("/connection/desk").status_code == 204


# --- what is not for them ------------------------------------------------------------------------------------


def test_no_calls_are_made_to_them(api, shop, login):
    must(api.put(PATH, login))
    text = "Connection 'shop_db' is of type 'postgres': no calls are made to it."
    assert refusal(api.post("/docket/endpoint/shop_db/signing-secret")) == (409, text)
    assert refusal(api.delete("/docket/endpoint/shop_db/signing-secret")) == (409, text)
    assert api.post("/docket/endpoint/shop_db/test").status_code == 409
    assert must(api.get("/connection/shop_db/test"))["test_status"] == "succeeded"


# --- limits ----------------------------------------------------------------------------------------------------


def limits(api):
    endpoint = must(api.get("/docket/endpoint/shop_db"))
    return endpoint["statement_timeout"], endpoint["row_limit"]


def test_limits_are_set_shown_kept_and_cleared(api, shop):
    def change(**more):
        must(api.patch("/docket/endpoint/shop_db", more))
        return limits(api)

    assert limits(api) == (None, None)
    assert change(statement_timeout="30s") == ("30s", None)
    assert change(row_limit=1000) == ("30s", 1000)
    assert change(statement_timeout="1500ms") == ("1500ms", 1000)
    assert change(statement_timeout="2m", rate_limit=None) == ("120s", 1000)
    assert change(statement_timeout=None, row_limit=None) == (None, None)
    assert change(statement_timeout="24h", row_limit=1000000000) == ("86400s", 1000000000)


@pytest.mark.parametrize("body, place", [
    ({"statement_timeout": "0s"}, "statement_timeout"), ({"statement_timeout": "25h"}, "statement_timeout"),
    ({"statement_timeout": "30"}, "statement_timeout"), ({"statement_timeout": "-1s"}, "statement_timeout"),
    ({"statement_timeout": 30}, "statement_timeout"), ({"row_limit": 0}, "row_limit"),
    ({"row_limit": 1000000001}, "row_limit"), ({"row_limit": "many"}, "row_limit"), ({"rows": 1}, "rows"),
])
def test_limits_that_do_not_fit(api, shop, body, place):
    assert [error[1] for error in errors(api.patch("/docket/endpoint/shop_db", body))] == [["body", place]]
    assert limits(api) == (None, None)


@pytest.mark.parametrize("body", [{"statement_timeout": "30s"}, {"row_limit": 5}, {"row_limit": None}])
def test_only_databases_have_these_limits(api, manual, body):
    assert errors(api.patch("/docket/endpoint/desk", body)) == [
        ("value_error", ["body", *body], "Value error, Only connections of type 'postgres' have this limit.")]


# --- the catalog of types ----------------------------------------------------------------------------------------


def test_the_catalog_lists_what_holds_data(api):
    page = must(api.get("/connection_type"))
    assert (page["total"], page["size"]) == (1, 100)
    assert page["items"] == [{
        "identifier": "postgres", "type": "database", "human_readable": "PostgreSQL", "encoded_icon": None,
        "authorization_required": False, "user_guide": None, "supported_actions": ["access", "erasure"],
        "category": None, "tags": None, "enabled_features": None, "custom": False,
        "default_connector_available": False}]
    assert_scope(api, "GET", "/connection_type", "connection_type:read")


@pytest.mark.parametrize("query, count", [
    ({"search": "POSTGRES"}, 1), ({"search": "mysql"}, 0), ({"system_type": "database"}, 1),
    ({"system_type": "saas"}, 0), ({"erasure": "true"}, 1), ({"consent": "true"}, 0),
    ({"consent": "true", "access": "true"}, 1), ({"page": 2}, 0),
])
def test_the_catalog_is_filtered(api, query, count):
    assert len(must(api.get("/connection_type", params=query))["items"]) == count


@pytest.mark.parametrize("query, place", [({"size": 101}, "size"), ({"system_type": "x"}, "system_type"),
                                          ({"access": "x"}, "access")])
def test_queries_that_do_not_fit(api, query, place):
    assert [error[1] for error in errors(api.get("/connection_type", params=query))] == [["query", place]]


def test_secrets_have_a_schema(api):
    schema = must(api.get("/connection_type/postgres/secret"))
    assert schema["title"] == "PostgreSQLSchema" and schema["required"] == ["host"]
    assert list(schema["properties"]) == SHOWN
    assert schema["properties"]["password"]["sensitive"] is True
    assert must(api.get("/connection_type/https/secret"))["required"] == ["url", "authorization"]
    assert must(api.get("/connection_type/manual_webhook/secret"))["properties"] == {}
    assert refusal(api.get("/connection_type/mysql/secret")) == (404, "No connection type found with name 'mysql'.")
    assert_scope(api, "GET", "/connection_type/postgres/secret", "connection_type:read")
