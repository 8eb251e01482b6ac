"""Pre-approval webhooks: listed, replaced, changed, deleted, and what that means for waiting requests.
Contract: rest.md 6."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from configuring import KEY_RULE, assert_scope, clash, errors, refusal, same_session, sweeps  # noqa: F401
from utils import must, must_all

PATH = "/dsr/webhook/pre_approval"
PATHS = [PATH, "/dsr/webhook/pre-approval", "/webhook/pre_approval", "/webhook/pre-approval"]
DUPLICATES = ("Check request body: there are multiple webhooks whose keys or names resolve to the same value.")


def webhook(key, name=None, connection="crm", **more):
    return {"key": key, "name": name or f"Webhook {key}", "connection_config_key": connection} | more


@pytest.fixture
def crm(api):
    """Two connections, crm and desk, on which webhooks may stand."""
    api.make_connection("crm", "https://crm.example/hook")
    api.make_connection("desk", "https://desk.example/hook")


def stored(api):
    """key -> (name, connection) of all webhooks."""
    return {item["key"]: (item["name"], item["connection_config"]["key"])
            for item in must(api.get(PATH))["items"]}


def ids(db):
    return dict(db.execute("select key, id from pre_approval_webhook").fetchall())


# --- the list --------------------------------------------------------------------------------------------


def test_webhooks_are_put_and_shown_with_their_connection(api, crm, db):
    answer = must(api.put(PATH, [webhook("one"), webhook("two", connection="desk")]))
    assert [(item["key"], item["name"]) for item in answer] == [("one", "Webhook one"), ("two", "Webhook two")]
    assert list(answer[0]) == ["key", "name", "connection_config"]
    assert answer[0]["connection_config"] == {
        name: value for name, value in must(api.get("/connection/crm")).items() if name != "system_key"}
    assert answer[0]["connection_config"]["secrets"] == {
        "url": "https://crm.example/hook", "authorization": "**********", "headers": None}
    page = must(api.get(PATH))
    assert page == {"items": answer[::-1], "total": 2, "page": 1, "size": 50, "pages": 1}
    assert must(api.get(f"{PATH}/two")) == answer[1]
    assert all(re.fullmatch(r"pre_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row_id) for row_id in ids(db).values())


def test_the_list_comes_in_pages(api, crm):
    must(api.put(PATH, [webhook(f"w{number}") for number in range(5)]))
    page = must(api.get(PATH, params={"page": 2, "size": 2}))
    assert [item["key"] for item in page["items"]] == ["w2", "w1"]
    assert (page["total"], page["pages"]) == (5, 3)
    assert must(api.get(PATH, params={"page": 4, "size": 2}))["items"] == []
    assert errors(api.get(PATH, params={"size": 101}))[0][:2] == ("less_than_equal", ["query", "size"])


@pytest.mark.parametrize("path", PATHS)
def test_every_spelling_of_the_path_works(api, crm, path):
    must(api.put(path, [webhook("one")]))
    assert must(api.get(f"{path}/"))["total"] == 1
    assert must(api.get(f"{path}/one"))["key"] == "one"
    assert must(api.patch(f"{path}/one", {"name": "Other"}))["name"] == "Other"
    assert must(api.delete(f"{path}/one")) is None
    assert stored(api) == {}


def test_a_put_replaces_the_whole_list_and_keeps_the_ids_of_what_stays(api, crm, db):
    must(api.put(PATH, [webhook("one"), webhook("two"), webhook("three")]))
    before = ids(db)
    must(api.put(PATH, [webhook("three", "Renamed"), webhook("one", connection="desk"), webhook("four")]))
    after = ids(db)
    assert stored(api) == {"one": ("Webhook one", "desk"), "three": ("Renamed", "crm"), "four": ("Webhook four", "crm")}
    assert (after["one"], after["three"]) == (before["one"], before["three"])
    assert must(api.put(PATH, [])) == []
    assert stored(api) == {}


def test_the_same_list_again_changes_nothing(api, crm, db, sweeps):
    must(api.put(PATH, [webhook("one"), webhook("two")]))
    sweeps()
    (before,), = db.execute("select version from catalog")
    rows = db.execute("select * from pre_approval_webhook order by id").fetchall()
    must(api.put(PATH, [webhook("two"), webhook("one")]))
    must(api.patch(f"{PATH}/one", {"name": "Webhook one", "connection_config_key": "crm"}))
    must(api.patch(f"{PATH}/one", {}))
    must(api.patch(f"{PATH}/one", {"name": None, "connection_config_key": None}))
    assert db.execute("select version from catalog").fetchone() == (before,)
    assert db.execute("select * from pre_approval_webhook order by id").fetchall() == rows
    assert sweeps() == []


@pytest.mark.parametrize("name, key", [("My Test Webhook", "my_test_webhook"), ("Über-Prüfung", "uber_prufung")])
def test_a_missing_key_is_made_of_the_name(api, crm, name, key):
    assert must(api.put(PATH, [webhook(None, name)]))[0]["key"] == key
    assert must(api.get(f"{PATH}/{key}"))["name"] == name


@pytest.mark.parametrize("key", ["a.b", "-._", "k" * 512])
def test_keys_with_dots_work_everywhere(api, crm, key):
    must(api.put(PATH, [webhook(key, "Dotted")]))
    assert must(api.patch(f"{PATH}/{key}", {"name": "Again"}))["key"] == key
    must(api.put(PATH, [webhook(key, "And again")]))
    assert must(api.get(f"{PATH}/{key}"))["name"] == "And again"
    must(api.delete(f"{PATH}/{key}"))


def test_fifty_are_taken_and_one_more_is_not(api, crm):
    many = [webhook(f"w{number}") for number in range(51)]
    assert len(must(api.put(PATH, many[:50]))) == 50
    assert errors(api.put(PATH, many)) == [
        ("too_long", ["body"], "List should have at most 50 items after validation, not 51")]
    assert len(stored(api)) == 50


# --- refusals: each leaves everything as it was ------------------------------------------------------------

BEFORE = {"one": ("Webhook one", "crm"), "two": ("Webhook two", "desk")}

REFUSED = {
    "the same key twice": ([webhook("a", "x"), webhook("a", "y")], 400, DUPLICATES),
    "the same name twice": ([webhook("a", "x"), webhook("b", "x")], 400, DUPLICATES),
    "a key that another's name makes": ([webhook("new_one", "x"), webhook(None, "New One")], 400, DUPLICATES),
    "names that make the same key": ([webhook(None, "New One"), webhook(None, "new-one")], 400, DUPLICATES),
    "by its name, without its key": ([webhook(None, "One", "crm")], 400, clash("one", "PreApprovalWebhook")),
    "the name of another": ([webhook("three", "Webhook two")], 400,
                            "Name Webhook two already exists in PreApprovalWebhook."),
    "renamed to another": ([webhook("one", "Webhook two"), webhook("two", "Webhook one")], 400,
                           "Name Webhook two already exists in PreApprovalWebhook."),
    "no connection": ([webhook("one"), webhook("three", connection="nobody")], 404,
                      "No connection configuration found with key 'nobody'."),
    "no key": ([webhook(None, "!!!")], 400, "PreApprovalWebhook requires a key: none can be made of its name."),
    "the last of many": ([webhook(f"n{number}") for number in range(9)] + [webhook("last", connection="nobody")], 404,
                         "No connection configuration found with key 'nobody'."),
}


@pytest.fixture
def two(api, crm):
    must(api.put(PATH, [webhook("one"), webhook("two", connection="desk")]))


@pytest.mark.parametrize("case", REFUSED)
def test_a_list_is_put_whole_or_not_at_all(api, two, sweeps, case):
    body, status, text = REFUSED[case]
    assert refusal(api.put(PATH, body)) == (status, text)
    assert stored(api) == BEFORE
    assert sweeps() == []


def test_a_webhook_needs_an_https_connection(api, two, db):
    db.execute("update connection set connection_type = 'postgres' where key = 'desk'")
    text = "A pre-approval webhook needs a connection of type 'https': 'desk' is of type 'postgres'."
    assert refusal(api.put(PATH, [webhook("one", connection="desk")])) == (400, text)
    assert refusal(api.patch(f"{PATH}/one", {"connection_config_key": "desk"})) == (400, text)
    assert stored(api) == BEFORE


BAD_LISTS = [
    ({}, "list_type", ["body"]), ("x", "list_type", ["body"]), ([1], "model_attributes_type", ["body", 0]),
    ([[]], "model_attributes_type", ["body", 0]),
    ([{"key": "a", "name": "x"}], "missing", ["body", 0, "connection_config_key"]),
    ([{"key": "a", "connection_config_key": "crm"}], "missing", ["body", 0, "name"]),
    ([webhook("a"), webhook("b") | {"name": None}], "string_type", ["body", 1, "name"]),
    ([webhook("a") | {"name": ""}], "string_too_short", ["body", 0, "name"]),
    ([webhook("a") | {"name": 5}], "string_type", ["body", 0, "name"]),
    ([webhook("a", "n" * 256)], "string_too_long", ["body", 0, "name"]),
    ([webhook("a", connection=None)], "string_type", ["body", 0, "connection_config_key"]),
    ([webhook("a", connection="a b")], "value_error", ["body", 0, "connection_config_key"]),
    ([webhook("a<b>")], "value_error", ["body", 0, "key"]), ([webhook("")], "value_error", ["body", 0, "key"]),
    ([webhook(7)], "string_type", ["body", 0, "key"]), ([webhook("k" * 513, "x")], "string_too_long", ["body", 0, "key"]),
]


@pytest.mark.parametrize("body, kind, loc", BAD_LISTS)
def test_an_ill_formed_list_is_refused(api, two, body, kind, loc):
    assert errors(api.put(PATH, body))[0][:2] == (kind, loc)
    assert stored(api) == BEFORE


def test_what_a_list_does_not_know_is_ignored(api, crm):
    must(api.put(PATH, [webhook("one", order=3, direction="two_way")]))


def test_a_put_needs_a_body(api, two):
    assert errors(api.put(PATH)) == [("missing", ["body"], "Field required")]
    assert stored(api) == BEFORE


# --- one -------------------------------------------------------------------------------------------------


def test_one_is_changed(api, two):
    changed = must(api.patch(f"{PATH}/one", {"name": "Some other name"}))
    assert (changed["key"], changed["name"], changed["connection_config"]["key"]) == ("one", "Some other name", "crm")
    moved = must(api.patch(f"{PATH}/one", {"connection_config_key": "desk"}))
    assert (moved["name"], moved["connection_config"]["key"]) == ("Some other name", "desk")


@pytest.mark.parametrize("body, status, text", [
    ({"name": "Webhook two"}, 400, "Name Webhook two already exists in PreApprovalWebhook."),
    ({"connection_config_key": "nobody"}, 404, "No connection configuration found with key 'nobody'."),
])
def test_a_change_that_cannot_be_is_refused(api, two, sweeps, body, status, text):
    assert refusal(api.patch(f"{PATH}/one", body)) == (status, text)
    assert stored(api) == BEFORE
    assert sweeps() == []


@pytest.mark.parametrize("body, kind, loc", [
    ({"key": "other"}, "extra_forbidden", ["body", "key"]), ({"order": 1}, "extra_forbidden", ["body", "order"]),
    ({"name": ""}, "string_too_short", ["body", "name"]), ({"name": 5}, "string_type", ["body", "name"]),
    ({"name": "n" * 256}, "string_too_long", ["body", "name"]),
    ({"connection_config_key": "a b"}, "value_error", ["body", "connection_config_key"]),
    ({"connection_config_key": {}}, "string_type", ["body", "connection_config_key"]),
    ([], "model_attributes_type", ["body"]), ("x", "model_attributes_type", ["body"]),
])
def test_an_ill_formed_change_is_refused(api, two, body, kind, loc):
    assert errors(api.patch(f"{PATH}/one", body))[0][:2] == (kind, loc)
    assert stored(api) == BEFORE


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_one_is_told_in_the_contract_s_words(api, crm, method):
    assert refusal(api.request(method, f"{PATH}/nobody", json={"name": "x"})) == (
        404, "No PreApprovalWebhook found for key nobody.")
    assert errors(api.request(method, f"{PATH}/a%20b", json={"name": "x"}))[0][1:] == (
        ["path", "key"], KEY_RULE + "a b")


def test_a_deleted_one_is_gone(api, two):
    assert must(api.delete(f"{PATH}/one")) is None
    assert stored(api) == {"two": BEFORE["two"]}
    assert refusal(api.delete(f"{PATH}/one")) == (404, "No PreApprovalWebhook found for key one.")


def test_replies_outlive_their_webhook(api, two, db):
    (webhook_id,), = db.execute("select id from pre_approval_webhook where key = 'one'")
    db.execute("insert into pre_approval_reply values ('pri_of_this_test', %s, true, now())", [webhook_id])
    must(api.delete(f"{PATH}/one"))
    assert db.execute("delete from pre_approval_reply where request_id = 'pri_of_this_test'").rowcount == 1


# --- what waits --------------------------------------------------------------------------------------------


def test_waiting_requests_are_looked_at_when_it_matters_to_them(api, crm, sweeps):
    must(api.put(PATH, []))
    assert sweeps() == []
    must(api.put(PATH, [webhook("one"), webhook("two")]))
    assert sweeps() == ["webhook_added"]
    must(api.patch(f"{PATH}/one", {"name": "Only a name"}))
    must(api.put(PATH, [webhook("one", "Another name"), webhook("two")]))
    assert sweeps() == []
    must(api.patch(f"{PATH}/one", {"connection_config_key": "desk"}))
    assert sweeps() == ["webhook_changed"]
    must(api.put(PATH, [webhook("one", "Another name"), webhook("two", connection="desk")]))
    assert sweeps() == ["webhook_changed"]
    must(api.put(PATH, [webhook("one", "Another name", "desk")]))
    assert sweeps() == ["webhook_deleted"]
    must(api.put(PATH, [webhook("three")]))
    assert sweeps() == ["webhook_added"]
    must(api.delete(f"{PATH}/three"))
    assert sweeps() == ["webhook_deleted"]


def test_lists_that_are_put_at_once_do_not_mix(api, crm):
    lists = [[webhook(f"list{number}_{place}") for place in range(6)] for number in range(8)]

    with ThreadPoolExecutor(len(lists)) as pool:
        answers = list(pool.map(lambda body: same_session(api).put(PATH, body), lists))
    for body, answer in zip(lists, answers, strict=True):
        assert [item["key"] for item in must(answer)] == [item["key"] for item in body]
    assert set(stored(api)) in [{item["key"] for item in body} for body in lists]


def test_connections_and_webhooks_that_change_at_once_do_no_harm(api, crm):
    """A connection goes while webhooks are put on it: a 404 for them or webhooks that go along, never a 500."""
    def put(_):
        return same_session(api).put(PATH, [webhook("one", connection="desk")]).status_code

    def make(_):
        return same_session(api).patch("/connection", [
            {"key": "desk", "name": "desk", "connection_type": "https", "access": "read"}]).status_code

    def delete(_):
        return same_session(api).delete("/connection/desk").status_code

    with ThreadPoolExecutor(9) as pool:
        statuses = [future.result() for round in range(6)
                    for future in [pool.submit(do, round) for do in (put, delete, make, put, delete)]]
    assert set(statuses) <= {200, 204, 404}
    must_all(api.patch("/connection", [{"key": "desk", "connection_type": "https", "access": "read"}]))


# --- scopes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, tail, scope", [
    ("GET", "", "webhook:read"), ("PUT", "", "webhook:create_or_update"), ("GET", "/x", "webhook:read"),
    ("PATCH", "/x", "webhook:create_or_update"), ("DELETE", "/x", "webhook:delete"),
])
@pytest.mark.parametrize("path", PATHS)
def test_each_way_needs_its_scope(api, path, method, tail, scope):
    assert_scope(api, method, path + tail, scope)
