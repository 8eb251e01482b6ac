"""Policy webhooks: the steps before and after a run, listed, replaced, changed, reordered, deleted.
Contract: rest.md 5."""

import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from configuring import KEY_RULE, assert_scope, clash, errors, refusal, same_session, sweeps  # noqa: F401
from utils import must, must_all

POLICY = "default_access_policy"
OTHER = "default_erasure_policy"
ROOTS = ["/dsr/policy", "/policy", "/v1/dsr/policy", "/v1/policy"]
WORDS = {"pre_execution": "pre", "pre-execution": "pre", "post_execution": "post", "post-execution": "post"}
MODELS = {"pre": "PolicyPreWebhook", "post": "PolicyPostWebhook"}
NAMES = {"pre": "Pre-Execution", "post": "Post-Execution"}
DUPLICATES = "Check request body: there are multiple webhooks whose keys or names resolve to the same value."


def webhook(key, name=None, connection="crm", direction="one_way", **more):
    return {"key": key, "name": name or f"Webhook {key}", "connection_config_key": connection,
            "direction": direction} | more


def path_of(side, policy=POLICY):
    return f"/dsr/policy/{policy}/webhook/{side}_execution"


@pytest.fixture(params=["pre", "post"])
def side(request):
    return request.param


@pytest.fixture
def path(side):
    return path_of(side)


@pytest.fixture
def crm(api):
    """Two connections, crm and desk, on which webhooks may stand."""
    api.make_connection("crm", "https://crm.example/hook")
    api.make_connection("desk", "https://desk.example/hook")


@pytest.fixture
def two(api, crm, path):
    must(api.put(path, [webhook("one"), webhook("two", connection="desk", direction="two_way")]))


BEFORE = [("one", "Webhook one", "crm", "one_way"), ("two", "Webhook two", "desk", "two_way")]


def stored(api, path):
    """(key, name, connection, direction) of all of a list, which is numbered from 0."""
    items = must(api.get(path, params={"size": 100}))["items"]
    assert [item["order"] for item in items] == list(range(len(items)))
    return [(item["key"], item["name"], item["connection_config"]["key"], item["direction"]) for item in items]


def keys(api, path):
    return [item[0] for item in stored(api, path)]


def rows(db):
    return db.execute("select id, policy_id, kind, place, key, name, direction, connection_id, created_at, updated_at "
                      "from policy_webhook order by id").fetchall()


def ids(db):
    return dict(db.execute("select key, id from policy_webhook").fetchall())


def revision(db, policy=POLICY):
    return db.execute("select webhooks_revision from policy where key = %s", [policy]).fetchone()[0]


# --- the list --------------------------------------------------------------------------------------------


def test_webhooks_are_put_and_shown_with_their_connection(api, crm, db, path):
    answer = must(api.put(path, [webhook("one"), webhook("two", connection="desk", direction="two_way")]))
    assert [{**item, "connection_config": item["connection_config"]["key"]} for item in answer] == [
        {"direction": "one_way", "key": "one", "name": "Webhook one", "connection_config": "crm", "order": 0},
        {"direction": "two_way", "key": "two", "name": "Webhook two", "connection_config": "desk", "order": 1}]
    assert list(answer[0]) == ["direction", "key", "name", "connection_config", "order"]
    assert answer[0]["connection_config"] == {
        name: value for name, value in must(api.get("/connection/crm")).items() if name != "system_key"}
    assert answer[0]["connection_config"]["linked_systems"] == []
    assert answer[0]["connection_config"]["secrets"] == {
        "url": "https://crm.example/hook", "authorization": "**********", "headers": None}
    assert must(api.get(path)) == {"items": answer, "total": 2, "page": 1, "size": 50, "pages": 1}
    assert must(api.get(f"{path}/two")) == answer[1]
    assert all(re.fullmatch(r"pol_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row_id) for row_id in ids(db).values())


def test_a_list_that_was_never_put_is_empty(api, path):
    assert must(api.get(path)) == {"items": [], "total": 0, "page": 1, "size": 50, "pages": 0}


def test_the_list_comes_in_pages_in_its_order(api, crm, path):
    must(api.put(path, [webhook(f"w{number}") for number in (3, 0, 4, 1, 2)]))
    page = must(api.get(path, params={"page": 2, "size": 2}))
    assert [(item["key"], item["order"]) for item in page["items"]] == [("w4", 2), ("w1", 3)]
    assert (page["total"], page["pages"]) == (5, 3)
    assert must(api.get(path, params={"page": 4, "size": 2}))["items"] == []
    assert errors(api.get(path, params={"size": 101}))[0][:2] == ("less_than_equal", ["query", "size"])
    assert errors(api.get(path, params={"page": 0}))[0][:2] == ("greater_than_equal", ["query", "page"])


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("word", WORDS)
def test_every_spelling_of_the_path_means_the_same_list(api, crm, root, word):
    spelled = f"{root}/{POLICY}/webhook/{word}"
    must(api.put(spelled, [webhook("one"), webhook("two")]))
    assert keys(api, path_of(WORDS[word])) == ["one", "two"]
    assert must(api.get(f"{spelled}/"))["total"] == 2
    assert must(api.get(f"{spelled}/one/"))["key"] == "one"
    assert must(api.patch(f"{spelled}/one", {"order": 1}))["new_order"][0] == {"key": "two", "order": 0}
    assert must(api.delete(f"{spelled}/two"))["new_order"] == [{"key": "one", "order": 0}]
    assert keys(api, path_of(WORDS[word])) == ["one"]


def test_each_policy_and_each_side_has_a_list_of_its_own(api, crm):
    """Keys and names are one world a side."""
    must(api.put(path_of("pre"), [webhook("one")]))
    must(api.put(path_of("post"), [webhook("one"), webhook("two")]))
    must(api.put(path_of("pre", OTHER), [webhook("three")]))
    must(api.put(path_of("post"), [webhook("two")]))
    assert keys(api, path_of("pre")) == ["one"]
    assert keys(api, path_of("post")) == ["two"]
    assert keys(api, path_of("pre", OTHER)) == ["three"]
    assert keys(api, path_of("post", OTHER)) == []
    must(api.put(path_of("pre"), []))
    assert keys(api, path_of("pre", OTHER)) == ["three"]


def test_a_put_replaces_the_whole_list_and_keeps_the_ids_of_what_stays(api, crm, db, path):
    must(api.put(path, [webhook("one"), webhook("two"), webhook("three")]))
    before = ids(db)
    must(api.put(path, [webhook("three", "Renamed"), webhook("four"),
                        webhook("one", connection="desk", direction="two_way")]))
    after = ids(db)
    assert stored(api, path) == [("three", "Renamed", "crm", "one_way"), ("four", "Webhook four", "crm", "one_way"),
                                 ("one", "Webhook one", "desk", "two_way")]
    assert (after["one"], after["three"]) == (before["one"], before["three"])
    assert must(api.put(path, [])) == []
    assert rows(db) == []


def test_the_same_list_again_changes_nothing(api, two, db, path, sweeps):
    sweeps()
    before = rows(db), revision(db), db.execute("select version from catalog").fetchone()
    must(api.put(path, [webhook("one"), webhook("two", connection="desk", direction="two_way")]))
    for body in ({}, {"name": "Webhook one", "connection_config_key": "crm", "direction": "one_way", "order": 0},
                 {"name": None, "connection_config_key": None, "direction": None, "order": None}):
        answer = must(api.patch(f"{path}/one", body))
        assert (answer["resource"]["key"], answer["new_order"]) == ("one", [])
    assert (rows(db), revision(db), db.execute("select version from catalog").fetchone()) == before
    assert sweeps() == []


@pytest.mark.parametrize("name, key", [("My Test Webhook", "my_test_webhook"), ("Über-Prüfung", "uber_prufung")])
def test_a_missing_key_is_made_of_the_name(api, crm, path, name, key):
    assert must(api.put(path, [webhook(None, name)]))[0]["key"] == key
    assert must(api.get(f"{path}/{key}"))["name"] == name


@pytest.mark.parametrize("key", ["a.b", "-._", "k" * 512])
def test_keys_with_dots_work_everywhere(api, crm, path, key):
    must(api.put(path, [webhook(key, "Dotted")]))
    assert must(api.patch(f"{path}/{key}", {"name": "Again"}))["resource"]["key"] == key
    must(api.put(path, [webhook(key, "And again")]))
    assert must(api.get(f"{path}/{key}"))["name"] == "And again"
    must(api.delete(f"{path}/{key}"))


def test_fifty_are_taken_and_one_more_is_not(api, crm, path):
    many = [webhook(f"w{number}") for number in range(51)]
    assert len(must(api.put(path, many[:50]))) == 50
    assert errors(api.put(path, many)) == [
        ("too_long", ["body"], "List should have at most 50 items after validation, not 51")]
    assert keys(api, path) == [f"w{number}" for number in range(50)]


def test_what_a_list_does_not_know_is_ignored(api, crm, path):
    assert must(api.put(path, [webhook("one", order=3, id="x")]))[0]["order"] == 0


# --- refusals: each leaves everything as it was ------------------------------------------------------------

REFUSED = {
    "the same key twice": ([webhook("a", "x"), webhook("a", "y")], 400, DUPLICATES),
    "the same name twice": ([webhook("a", "x"), webhook("b", "x")], 400, DUPLICATES),
    "a key that another's name makes": ([webhook("new_one", "x"), webhook(None, "New One")], 400, DUPLICATES),
    "names that make the same key": ([webhook(None, "New One"), webhook(None, "new-one")], 400, DUPLICATES),
    "duplicates before connections": ([webhook("a", "x", "nobody"), webhook("a", "y")], 400, DUPLICATES),
    "by its name, without its key": ([webhook(None, "One")], 400, ("key", "one")),
    "the name of another": ([webhook("three", "Webhook two")], 400, ("name", "Webhook two")),
    "renamed to another": ([webhook("one", "Webhook two"), webhook("two", "Webhook one")], 400,
                           ("name", "Webhook two")),
    "another policy's key": ([webhook("one"), webhook("foreign")], 400, ("key", "foreign")),
    "another policy's key, made": ([webhook(None, "Foreign")], 400, ("key", "foreign")),
    "another policy's name": ([webhook("three", "Webhook foreign")], 400, ("name", "Webhook foreign")),
    "no connection": ([webhook("one"), webhook("three", connection="nobody")], 404,
                      "No connection configuration found with key 'nobody'."),
    "no key": ([webhook(None, "!!!")], 400, "{} requires a key: none can be made of its name."),
    "the last of many": ([webhook(f"n{number}") for number in range(9)] + [webhook("last", connection="nobody")], 404,
                         "No connection configuration found with key 'nobody'."),
}


def told(expected, side):
    if isinstance(expected, str):
        return expected.format(MODELS[side])
    what, value = expected
    return clash(value, MODELS[side]) if what == "key" else f"Name {value} already exists in {MODELS[side]}."


@pytest.mark.parametrize("case", REFUSED)
def test_a_list_is_put_whole_or_not_at_all(api, two, db, side, path, sweeps, case):
    must(api.put(path_of(side, OTHER), [webhook("foreign")]))
    sweeps()
    before = rows(db), revision(db), revision(db, OTHER)
    body, status, text = REFUSED[case]
    assert refusal(api.put(path, body)) == (status, told(text, side))
    assert (rows(db), revision(db), revision(db, OTHER)) == before
    assert sweeps() == []


def test_a_webhook_needs_an_https_connection(api, two, db, path):
    db.execute("update connection set connection_type = 'postgres' where key = 'desk'")
    text = "A policy webhook needs a connection of type 'https': 'desk' is of type 'postgres'."
    assert refusal(api.put(path, [webhook("one", connection="desk")])) == (400, text)
    assert refusal(api.patch(f"{path}/one", {"connection_config_key": "desk"})) == (400, text)
    assert stored(api, path) == BEFORE


BAD_LISTS = [
    ({}, "list_type", ["body"]), ("x", "list_type", ["body"]), ([1], "model_attributes_type", ["body", 0]),
    ([[]], "model_attributes_type", ["body", 0]),
    ([{"key": "a", "name": "x", "direction": "one_way"}], "missing", ["body", 0, "connection_config_key"]),
    ([{"key": "a", "connection_config_key": "crm", "direction": "one_way"}], "missing", ["body", 0, "name"]),
    ([{"key": "a", "connection_config_key": "crm", "name": "x"}], "missing", ["body", 0, "direction"]),
    ([webhook("a") | {"direction": "both_ways"}], "enum", ["body", 0, "direction"]),
    ([webhook("a") | {"direction": None}], "enum", ["body", 0, "direction"]),
    ([webhook("a") | {"direction": 1}], "enum", ["body", 0, "direction"]),
    ([webhook("a"), webhook("b") | {"name": None}], "string_type", ["body", 1, "name"]),
    ([webhook("a") | {"name": ""}], "string_too_short", ["body", 0, "name"]),
    ([webhook("a") | {"name": 5}], "string_type", ["body", 0, "name"]),
    ([webhook("a", "n" * 256)], "string_too_long", ["body", 0, "name"]),
    ([webhook("a", connection=None)], "string_type", ["body", 0, "connection_config_key"]),
    ([webhook("a", connection="a b")], "value_error", ["body", 0, "connection_config_key"]),
    ([webhook("a<b>")], "value_error", ["body", 0, "key"]), ([webhook("")], "value_error", ["body", 0, "key"]),
    ([webhook(7)], "string_type", ["body", 0, "key"]),
    ([webhook("k" * 513, "x")], "string_too_long", ["body", 0, "key"]),
]


@pytest.mark.parametrize("body, kind, loc", BAD_LISTS)
def test_an_ill_formed_list_is_refused(api, two, path, body, kind, loc):
    assert errors(api.put(path, body))[0][:2] == (kind, loc)
    assert stored(api, path) == BEFORE


def test_a_put_needs_a_body(api, two, path):
    assert errors(api.put(path)) == [("missing", ["body"], "Field required")]
    assert stored(api, path) == BEFORE


@pytest.mark.parametrize("method, tail", [("GET", ""), ("PUT", ""), ("GET", "/one"), ("PATCH", "/one"),
                                          ("DELETE", "/one")])
def test_an_unknown_policy_is_told_in_the_contract_s_words(api, side, method, tail):
    body = [] if method == "PUT" else {}
    assert refusal(api.request(method, path_of(side, "nobody") + tail, json=body)) == (
        404, "No Policy found for key nobody.")
    assert errors(api.request(method, path_of(side, "a%20b") + tail, json=body))[0][1:] == (
        ["path", "policy_key"], KEY_RULE + "a b")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_webhook_is_told_in_the_contract_s_words(api, two, side, path, method):
    """One of another policy or of the other side is none of this list."""
    other_side = "post" if side == "pre" else "pre"
    must(api.put(path_of(side, OTHER), [webhook("foreign")]))
    must(api.put(path_of(other_side), [webhook("other_side")]))
    for key in ("nobody", "foreign", "other_side"):
        assert refusal(api.request(method, f"{path}/{key}", json={"name": "x", "order": 0})) == (
            404, f"No {NAMES[side]} Webhook found for key '{key}' on Policy '{POLICY}'.")
    assert errors(api.request(method, f"{path}/a%20b", json={}))[0][1:] == (
        ["path", "webhook_key"], KEY_RULE + "a b")
    assert keys(api, path_of(side, OTHER)) == ["foreign"]
    assert keys(api, path_of(other_side)) == ["other_side"]


# --- one -------------------------------------------------------------------------------------------------


def test_one_is_changed(api, two, path):
    answer = must(api.patch(f"{path}/one", {"name": "Some other name"}))
    assert list(answer) == ["resource", "new_order"]
    assert answer["resource"] == must(api.get(f"{path}/one"))
    assert answer["new_order"] == []
    must(api.patch(f"{path}/one", {"connection_config_key": "desk"}))
    must(api.patch(f"{path}/one", {"direction": "two_way"}))
    assert stored(api, path) == [("one", "Some other name", "desk", "two_way"), BEFORE[1]]


def test_all_of_one_is_changed_at_once(api, two, path):
    answer = must(api.patch(f"{path}/two", {"name": "First", "direction": "one_way", "connection_config_key": "crm",
                                            "order": 0}))
    assert (answer["resource"]["name"], answer["resource"]["order"]) == ("First", 0)
    assert answer["new_order"] == [{"key": "two", "order": 0}, {"key": "one", "order": 1}]
    assert stored(api, path) == [("two", "First", "crm", "one_way"), BEFORE[0]]


@pytest.mark.parametrize("body, status, text", [
    ({"name": "Webhook two"}, 400, ("name", "Webhook two")),
    ({"name": "Webhook foreign"}, 400, ("name", "Webhook foreign")),
    ({"connection_config_key": "nobody"}, 404, "No connection configuration found with key 'nobody'."),
    ({"order": 2}, 400, "Cannot set order to 2: there are only 2 {}(s) defined on this Policy."),
    ({"order": -1}, 400, "Cannot set order to -1: there are only 2 {}(s) defined on this Policy."),
    ({"order": 2**31}, 400, "Cannot set order to 2147483648: there are only 2 {}(s) defined on this Policy."),
    ({"name": "Fine", "direction": "two_way", "order": 5}, 400,
     "Cannot set order to 5: there are only 2 {}(s) defined on this Policy."),
])
def test_a_change_that_cannot_be_is_refused(api, two, db, side, path, sweeps, body, status, text):
    must(api.put(path_of(side, OTHER), [webhook("foreign")]))
    sweeps()
    before = rows(db), revision(db)
    assert refusal(api.patch(f"{path}/one", body)) == (status, told(text, side))
    assert (rows(db), revision(db)) == before
    assert sweeps() == []


@pytest.mark.parametrize("body, kind, loc", [
    ({"key": "other"}, "extra_forbidden", ["body", "key"]), ({"id": "x"}, "extra_forbidden", ["body", "id"]),
    ({"name": ""}, "string_too_short", ["body", "name"]), ({"name": 5}, "string_type", ["body", "name"]),
    ({"name": "n" * 256}, "string_too_long", ["body", "name"]),
    ({"direction": "up"}, "enum", ["body", "direction"]),
    ({"order": "first"}, "int_parsing", ["body", "order"]), ({"order": 1.5}, "int_from_float", ["body", "order"]),
    ({"order": []}, "int_type", ["body", "order"]),
    ({"connection_config_key": "a b"}, "value_error", ["body", "connection_config_key"]),
    ({"connection_config_key": {}}, "string_type", ["body", "connection_config_key"]),
    ([], "model_attributes_type", ["body"]), ("x", "model_attributes_type", ["body"]),
])
def test_an_ill_formed_change_is_refused(api, two, path, body, kind, loc):
    assert errors(api.patch(f"{path}/one", body))[0][:2] == (kind, loc)
    assert stored(api, path) == BEFORE


def test_an_order_beyond_all_numbers_is_no_500(api, two, path):
    for order in (10**18, 10**30, -10**30):
        assert api.patch(f"{path}/one", {"order": order}).status_code in (400, 422)
    assert stored(api, path) == BEFORE


def test_a_deleted_one_is_gone_and_the_gap_closes(api, crm, side, path):
    must(api.put(path, [webhook(key) for key in "abcd"]))
    assert must(api.delete(f"{path}/b")) == {"new_order": [
        {"key": "a", "order": 0}, {"key": "c", "order": 1}, {"key": "d", "order": 2}]}
    assert keys(api, path) == ["a", "c", "d"]
    assert must(api.delete(f"{path}/d")) == {"new_order": []}
    assert keys(api, path) == ["a", "c"]
    must(api.delete(f"{path}/a"))
    assert must(api.delete(f"{path}/c")) == {"new_order": []}
    assert keys(api, path) == []
    assert refusal(api.delete(f"{path}/c")) == (
        404, f"No {NAMES[side]} Webhook found for key 'c' on Policy '{POLICY}'.")


# --- the order, held against a list --------------------------------------------------------------------------


def listed(model):
    return [{"key": key, "order": place} for place, key in enumerate(model)]


def put_step(api, path, model, chance):
    model[:] = chance.sample("abcdefgh", chance.randint(1, 7))
    assert [item["key"] for item in must(api.put(path, [webhook(key) for key in model]))] == model


def move_step(api, path, model, chance):
    key, to = chance.choice(model), chance.randrange(len(model))
    moves = model.index(key) != to
    model.remove(key)
    model.insert(to, key)
    answer = must(api.patch(f"{path}/{key}", {"order": to}))
    assert answer["resource"]["order"] == to
    assert answer["new_order"] == (listed(model) if moves else [])


def delete_step(api, path, model, chance):
    key = chance.choice(model)
    was_last = model[-1] == key
    model.remove(key)
    assert must(api.delete(f"{path}/{key}"))["new_order"] == ([] if was_last else listed(model))


@pytest.mark.parametrize("seed", range(4))
def test_the_order_is_that_of_a_list(api, crm, db, side, path, seed):
    """Whatever is put, moved and deleted, in whatever order; a neighbour's list stays as it is."""
    chance = random.Random(f"{side} {seed}")
    must(api.put(path_of(side, OTHER), [webhook("x"), webhook("y"), webhook("z")]))
    model = []
    for _ in range(40):
        step = chance.choice([put_step] + 6 * [move_step] + 2 * [delete_step]) if model else put_step
        step(api, path, model, chance)
        assert keys(api, path) == model
    assert keys(api, path_of(side, OTHER)) == ["x", "y", "z"]


# --- what runs and waits -------------------------------------------------------------------------------------


def test_every_write_moves_the_revision_and_has_requests_looked_at(api, crm, db, path, sweeps):
    def change(write, where, body=None):
        before = revision(db)
        must(write(where, json=body))
        assert sweeps() == ["policy_webhooks_changed"]
        assert revision(db) == before + 1

    other = revision(db, OTHER)
    sweeps()
    change(api.put, path, [webhook("one"), webhook("two"), webhook("three")])
    change(api.patch, f"{path}/one", {"name": "Another name"})
    change(api.patch, f"{path}/one", {"direction": "two_way"})
    change(api.patch, f"{path}/one", {"connection_config_key": "desk"})
    change(api.patch, f"{path}/one", {"order": 2})
    change(api.put, path, [webhook("three"), webhook("two")])
    change(api.put, path, [webhook("two"), webhook("three")])
    change(api.delete, f"{path}/two")
    change(api.put, path, [])
    assert revision(db, OTHER) == other


def test_disabling_a_step_s_connection_has_requests_looked_at(api, two, sweeps):
    disabled = {"key": "crm", "connection_type": "https", "access": "read", "disabled": True}
    sweeps()
    must_all(api.patch("/connection", [disabled]))
    assert sweeps() == ["connection_disabled"]
    must_all(api.patch("/connection", [disabled | {"disabled": False}]))
    assert sweeps() == ["connection_enabled"]


def test_lists_that_are_put_at_once_do_not_mix(api, crm, path):
    lists = [[webhook(f"list{number}_{place}") for place in range(6)] for number in range(8)]

    with ThreadPoolExecutor(len(lists)) as pool:
        answers = list(pool.map(lambda body: same_session(api).put(path, body), lists))
    for body, answer in zip(lists, answers, strict=True):
        assert [item["key"] for item in must(answer)] == [item["key"] for item in body]
    assert keys(api, path) in [[item["key"] for item in body] for body in lists]


def test_moves_that_meet_leave_a_list_without_gaps(api, crm, path):
    must(api.put(path, [webhook(key) for key in "abcdef"]))

    def move(number):
        key = "abcdef"[number % 6]
        return same_session(api).patch(f"{path}/{key}", {"order": number * 5 % 6}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(move, range(24))) == {200}
    assert sorted(keys(api, path)) == list("abcdef")


# --- what they stand on, and what they belong to ---------------------------------------------------------------


def test_a_connection_that_a_policy_webhook_uses_stays_and_names_it(api, crm, path, side):
    must(api.put(path, [webhook("one")]))
    text = (f"Cannot delete connection crm: it is used by policy webhooks one ({side}-execution of policy {POLICY}).")
    assert refusal(api.delete("/connection/crm")) == (409, text)
    assert keys(api, path) == ["one"]
    assert must(api.get("/connection/crm"))["key"] == "crm"
    must(api.put(path, []))
    assert api.delete("/connection/crm").status_code == 204


def test_of_many_users_of_a_connection_five_are_named(api, crm):
    must(api.put(path_of("post"), [webhook(f"after{number}") for number in range(3)]))
    must(api.put(path_of("pre"), [webhook(f"before{number}") for number in range(4)]))
    names = [f"before{number} (pre-execution of policy {POLICY})" for number in range(4)]
    names += [f"after0 (post-execution of policy {POLICY})"]
    assert refusal(api.delete("/connection/crm")) == (
        409, f"Cannot delete connection crm: it is used by policy webhooks {', '.join(names)} and 2 more.")


def test_a_refused_deletion_leaves_pre_approval_webhooks_too(api, two, path, sweeps):
    api.set_pre_approval(("asked", "crm"))
    sweeps()
    assert api.delete("/connection/crm").status_code == 409
    assert must(api.get("/dsr/webhook/pre_approval"))["total"] == 1
    assert sweeps() == []


def test_a_deleted_policy_takes_its_webhooks_along(api, crm, db, side):
    must_all(api.patch("/dsr/policy", [{"name": "Short lived", "key": "short_lived", "action_type": "access"}]))
    must(api.put(path_of(side, "short_lived"), [webhook("one"), webhook("two")]))
    assert api.delete("/dsr/policy/short_lived").status_code == 204
    assert rows(db) == []
    must(api.put(path_of(side), [webhook("one"), webhook("two")]))


def test_connections_and_webhooks_that_change_at_once_do_no_harm(api, crm, path):
    """A connection goes while webhooks are put on it: 404 for them or 409 for it, never a 500."""
    def put(_):
        return same_session(api).put(path, [webhook("one", connection="desk")]).status_code

    def empty(_):
        return same_session(api).put(path, []).status_code

    def make(_):
        return same_session(api).patch("/connection", [
            {"key": "desk", "name": "desk", "connection_type": "https", "access": "read"}]).status_code

    def delete(_):
        return same_session(api).delete("/connection/desk").status_code

    with ThreadPoolExecutor(9) as pool:
        statuses = [future.result() for future in [
            pool.submit(do, round) for round in range(6) for do in (put, delete, make, empty, delete)]]
    assert set(statuses) <= {200, 204, 404, 409}
    must_all(api.patch("/connection", [{"key": "desk", "connection_type": "https", "access": "read"}]))


# --- scopes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, tail, scope", [
    ("GET", "", "webhook:read"), ("PUT", "", "webhook:create_or_update"), ("GET", "/x", "webhook:read"),
    ("PATCH", "/x", "webhook:create_or_update"), ("DELETE", "/x", "webhook:delete"),
])
@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("root", ROOTS[:2])
def test_each_way_needs_its_scope(api, root, word, method, tail, scope):
    assert_scope(api, method, f"{root}/{POLICY}/webhook/{word}{tail}", scope)
