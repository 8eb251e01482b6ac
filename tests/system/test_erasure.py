"""Erasing in customers' databases: what is written over a person's rows, what is refused, and that it is done once."""

import base64
import itertools
import re

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from stepping import start, wait_told
from utils import must, must_all, wait_until, worker_settings

KEY = {"name": "id", "fides_meta": {"primary_key": True}}
EMAIL = {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}}
BARE_EMAIL = {"name": "email", "fides_meta": {"identity": "email"}}
numbers = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
def impatient_worker(stack):
    with worker_settings(stack, DOCKET_TASK_RETRY_SCHEDULE="300ms,300ms,300ms,300ms,300ms,300ms,300ms,300ms,300ms,300ms"):
        yield


def field(name, category="user.name", **meta):
    return {"name": name, "data_categories": [category]} | ({"fides_meta": meta} if meta else {})


def overridden(name, strategy, **configuration):
    return field(name, masking_strategy_override={"strategy": strategy, "configuration": configuration})


class Shop:
    """A customer's database with a connection `shop`, and what is in it for docket."""

    def __init__(self, api, postgres, name):
        self.api = api
        self.name = name
        self.number = next(numbers)  # of the schema and the policy: requests stay
        self.schema = f"shop_{self.number}"
        self.collections = []
        self.postgres = postgres
        postgres.create_database(name)
        self.db = self.open()
        self.db.execute(f'create schema "{self.schema}"')
        self.connect()

    def open(self, autocommit=True):
        return psycopg.connect(self.postgres.url(self.name), autocommit=autocommit, row_factory=dict_row,
                               options=f"-c search_path={self.schema}" if hasattr(self, "schema") else None)

    def connect(self, **more):
        must_all(self.api.patch("/connection", [
            {"key": "shop", "name": "shop", "connection_type": "postgres", "access": "write"} | more]))
        must(self.api.put("/connection/shop/secret", {
            "host": "127.0.0.1", "port": self.postgres.port, "dbname": self.name, "username": self.postgres.ROLE,
            "password": self.postgres.password}))

    def table(self, name, columns, *rows):
        """columns: DDL of each. Rows: tuples of values."""
        self.db.execute(f'create table {self.schema}."{name}" ({columns})')
        self.insert(name, *rows)

    def insert(self, name, *rows):
        for row in rows:
            self.db.execute(f'insert into {self.schema}."{name}" values ({", ".join(["%s"] * len(row))})', row)

    def rows(self, name, order="1"):
        return self.db.execute(f'select * from {self.schema}."{name}" order by {order}').fetchall()

    def collection(self, name, *fields, **meta):
        self.collections.append({"name": name, "fields": list(fields)} | ({"fides_meta": meta} if meta else {}))
        return self

    def policy(self, *rules):
        """Each: (strategy, configuration, category...)."""
        key = f"erasure_{self.number}"
        must_all(self.api.patch("/dsr/policy", [{"key": key, "name": key}]))
        for i, (strategy, configuration, *categories) in enumerate(rules):
            rule = f"{key}_{i}"
            must_all(self.api.patch(f"/dsr/policy/{key}/rule", [{
                "key": rule, "name": rule, "action_type": "erasure",
                "masking_strategy": {"strategy": strategy, "configuration": configuration}}]))
            must_all(self.api.patch(f"/dsr/policy/{key}/rule/{rule}/target", [
                {"key": f"{rule}_{j}", "name": f"{rule}_{j}", "data_category": category}
                for j, category in enumerate(categories)]))
        return key

    def start(self, email, *rules):
        must_all(self.api.patch("/connection/shop/dataset", [{
            "fides_key": self.schema, "name": self.schema, "collections": self.collections,
            "fides_meta": {"namespace": {"schema": self.schema}}}]))
        return start(self.api, email, self.policy(*rules))

    def erase(self, email, *rules, status="complete"):
        request_id = self.start(email, *rules)
        self.api.wait_status(request_id, status)
        return request_id

    def erase_one(self, column, email, strategy, configuration=None, status="complete", **more):
        """A table of one further column `x`, of that type; returns its rows after, of two people, and the request."""
        other = "other-" + email
        self.table("person", f"id bigint primary key, email text, x {column}")
        self.insert("person", *((1, email, more["value"]), (2, other, more["value"])))
        self.collection("person", KEY, BARE_EMAIL, more.get("field", field("x")))
        request_id = self.erase(email, (strategy, configuration or {}, "user.name"), status=status)
        rows = self.rows("person")
        assert rows[1] == {"id": 2, "email": other, "x": more.get("kept", more["value"])}
        return rows[0]["x"], request_id

    def told(self, request_id, status):
        """The messages of its collections' entries with this status, of the erasure."""
        return [entry["message"] for entry in self.entries(request_id) if entry["status"] == status]

    def entries(self, request_id):
        return [entry for entry in self.api.timeline(request_id).get(self.schema, [])
                if entry["action_type"] == "erasure"]

    def close(self):
        self.db.close()


@pytest.fixture
def shop(api, stack):
    shop = Shop(api, stack.postgres, f"{stack.name}_shop")
    yield shop
    shop.close()


# --- what is written -----------------------------------------------------------------------------------------------


def test_each_strategy_writes_what_it_says(shop, identity):
    email, value = identity(), "Ada Lovelace"
    columns = ["nothing", "constant", "chance", "hashed", "keyed", "keyed_too", "sealed", "kept", "suffixed", "short",
               "narrow", "untouched"]
    shop.table("person", "id bigint primary key, email text, narrow varchar(10), "
                         + ", ".join(f"{name} text" for name in columns if name != "narrow"))
    row = [1, email, value[:10]] + [value] * (len(columns) - 1)
    shop.insert("person", row, [2, identity()] + row[2:], [3, email] + [None] * (len(columns)))
    shop.collection(
        "person", KEY, BARE_EMAIL, overridden("nothing", "null_rewrite"),
        overridden("constant", "string_rewrite", rewrite_value="MASKED"), overridden("chance", "random_string_rewrite"),
        field("hashed", "user.contact"), field("keyed"), field("keyed_too"), field("sealed", "user.device"),
        overridden("kept", "preserve"),
        overridden("suffixed", "string_rewrite", rewrite_value="m", format_preservation={"suffix": "@example.com"}),
        field("short", length=12), field("narrow"), {"name": "untouched", "data_categories": ["system.operations"]})
    before = shop.rows("person")
    request_id = shop.erase(email, ("hmac", {}, "user.name"), ("hash", {"algorithm": "SHA-512"}, "user.contact"),
                            ("aes_encrypt", {}, "user.device"))
    mine, other, empty = shop.rows("person")
    assert other == before[1]
    assert mine["email"] == email and mine["untouched"] == mine["kept"] == value
    assert mine["nothing"] is None and mine["constant"] == "MASKED" and mine["suffixed"] == "m@example.com"
    assert re.fullmatch("[a-z0-9]{30}", mine["chance"])
    assert re.fullmatch("[0-9a-f]{128}", mine["hashed"])
    assert re.fullmatch("[0-9a-f]{64}", mine["keyed"]) and mine["keyed"] == mine["keyed_too"]
    assert mine["short"] == mine["keyed"][:12]
    assert len(mine["narrow"]) == 10 and mine["narrow"] != value[:10]
    assert len(base64.b64decode(mine["sealed"])) == len(value) + 16
    # Null stays null, but for what does not look at the value.
    assert re.fullmatch("[a-z0-9]{30}", empty["chance"]) and empty["chance"] != mine["chance"]
    assert {name for name in columns if empty[name] is not None} == {"constant", "chance", "suffixed"}
    assert shop.told(request_id, "complete") == ["success - masked 2 records"]


def test_the_log_has_the_fields_and_their_categories(shop, identity):
    email = identity()
    shop.table("person", "id bigint primary key, email text, x text", (1, email, "Ada"))
    shop.collection("person", KEY, EMAIL, field("x"))
    request_id = shop.erase(email, ("hmac", {}, "user"))
    entry = next(entry for entry in shop.entries(request_id) if entry["status"] == "complete")
    assert entry["fields_affected"] == [
        {"path": f"{shop.schema}:person:email", "field_name": "email", "data_categories": ["user.contact.email"]},
        {"path": f"{shop.schema}:person:x", "field_name": "x", "data_categories": ["user.name"]}]
    assert entry["collection_name"] == "person" and entry["connection_key"] == "shop"


def test_equal_values_become_equal_within_a_request_only(shop, identity):
    email, other = identity(), identity()
    shop.table("person", "id bigint primary key, email text, x text", (1, email, "Ada"), (2, email, "Ada"),
               (3, email, "Bob"), (4, other, "Ada"))
    shop.collection("person", KEY, BARE_EMAIL, field("x"))
    shop.erase(email, ("hmac", {}, "user.name"))
    start(shop.api, other, f"erasure_{shop.number}")
    wait_until(lambda: shop.rows("person")[3]["x"] != "Ada", 20, "the other's erasure")
    masked = [row["x"] for row in shop.rows("person")]
    assert masked[0] == masked[1] and len(set(masked)) == 3


def test_later_rules_are_over_earlier_ones_and_read_only_is_left(shop, identity):
    email = identity()
    shop.table("person", "id bigint primary key, email text, x text, y text", (1, email, "Ada", "Ada"))
    both = field("x") | {"data_categories": ["user.name", "user.device"]}
    shop.collection("person", KEY, BARE_EMAIL, both, field("y", read_only=True))
    shop.erase(email, ("hmac", {}, "user.name"), ("string_rewrite", {"rewrite_value": "later"}, "user.device"))
    assert shop.rows("person") == [{"id": 1, "email": email, "x": "later", "y": "Ada"}]


@pytest.mark.parametrize("column", ["text", "varchar(80)", "char(80)", "name", "words"])
def test_all_kinds_of_text_are_masked_without_a_declared_type(shop, identity, column):
    shop.db.execute(f"create domain {shop.schema}.words as varchar(70) check (value <> 'forbidden')")
    column = f"{shop.schema}.words" if column == "words" else column
    masked, _ = shop.erase_one(column, identity(), "hmac", value="Ada", kept="Ada".ljust(80) if "char(" in column
                               and "var" not in column else "Ada")
    assert re.fullmatch("[0-9a-f]{63,64}", masked.strip())


@pytest.mark.parametrize("column", ["integer", "date", "jsonb", "bytea", "text[]", "boolean"])
def test_null_is_written_over_any_type(shop, identity, column):
    value = {"integer": 0, "date": "2020-01-01", "jsonb": Jsonb({"a": 1}), "bytea": b"\0", "text[]": ["a"],
             "boolean": False}[column]
    shop.table("person", f"id bigint primary key, email text, x {column}", (1, email := identity(), value),
               (2, identity(), value))
    shop.collection("person", KEY, BARE_EMAIL, field("x"))
    before = shop.rows("person")
    shop.erase(email, ("null_rewrite", {}, "user.name"))
    assert shop.rows("person") == [before[0] | {"x": None}, before[1]]


def test_elements_of_an_array_are_masked(shop, identity):
    masked, _ = shop.erase_one("varchar(20)[]", identity(), "string_rewrite", {"rewrite_value": "M"},
                               value=["a", None, 'b"', "é"])
    assert masked == ["M", None, "M", "M"]


@pytest.mark.parametrize(("column", "strategy", "configuration", "masked"), [
    ("text[]", "string_rewrite", {"rewrite_value": "M"}, "M"), ("text[]", "null_rewrite", {}, None)])
def test_of_a_list_by_which_rows_are_found_the_person_s_elements_are_masked(shop, identity, column, strategy,
                                                                            configuration, masked):
    email, other = identity(), identity()
    shop.table("thread", f"id bigint primary key, email {column}, x text")
    shop.insert("thread", (1, [other, email, None], "a"), (2, [other], "b"), (3, None, "c"))
    shop.collection("thread", KEY, EMAIL, {"name": "x"})
    request_id = shop.erase(email, (strategy, configuration, "user.contact.email"))
    assert [row["email"] for row in shop.rows("thread")] == [[other, masked, None], [other], None]
    assert shop.told(request_id, "complete") == ["success - masked 1 records"]


def test_elements_that_can_t_be_told_apart_are_refused(shop, identity):
    shop.table("person", "id bigint primary key, email text, n numeric", (1, email := identity(), 1.5))
    shop.table("thread", "id bigint primary key, ns numeric[]", (1, [1.5, 2.5]))
    shop.collection("person", KEY, BARE_EMAIL, {"name": "n"})
    shop.collection("thread", KEY, field("ns", references=[{"dataset": shop.schema, "field": "person.n",
                                                            "direction": "from"}]))
    before = shop.rows("thread")
    request_id = shop.erase(email, ("null_rewrite", {}, "user.name"), status="error")
    (message,) = shop.told(request_id, "error")
    assert message.endswith("ns: only some of its elements are the person's, and those of type numeric can't be told apart")
    assert shop.rows("thread") == before


def test_elements_are_cut_to_what_their_column_has_room_for(shop, identity):
    masked, _ = shop.erase_one("varchar(20)[]", identity(), "hmac", value=["Ada"])
    assert re.fullmatch("[0-9a-f]{20}", masked[0])


def test_members_of_json_are_masked_and_the_rest_stays(shop, identity):
    document = {"name": {"first": "Ada", "nick": ["a", "b"]}, "size": 1.5,
                "homes": [{"who": "x", "no": 1}, {"no": 2}, {"who": None}]}
    email = identity()
    shop.table("person", "id bigint primary key, email text, x jsonb, y json")
    shop.insert("person", (1, email, Jsonb(document), Jsonb({"who": "Ada"})), (2, email, None, None),
                (3, identity(), Jsonb(document), Jsonb({"who": "Bob"})))
    shop.collection("person", KEY, BARE_EMAIL, {"name": "x", "fields": [
        {"name": "name", "fields": [field("first"), field("nick")]}, {"name": "size"},
        {"name": "homes", "fields": [field("who"), {"name": "no"}]}]}, {"name": "y", "fields": [field("who")]})
    before = shop.rows("person")
    shop.erase(email, ("string_rewrite", {"rewrite_value": "M"}, "user.name"))
    mine, empty, other = shop.rows("person")
    assert mine["x"] == {"name": {"first": "M", "nick": ["M", "M"]}, "size": document["size"],
                         "homes": [{"who": "M", "no": 1}, {"no": 2}, {"who": "M"}]}
    assert mine["y"] == {"who": "M"}
    assert [empty, other] == before[1:]


def test_what_others_change_meanwhile_stays(shop, identity, receiver, api):
    """Between reading and erasing: other columns, other members, other elements."""
    email = identity()
    shop.table("first", "id bigint primary key, email text, x text", (1, email, "Ada"))
    shop.table("person", "id bigint primary key, email text, x jsonb, y text[], z text",
               (1, email, Jsonb({"who": "Ada", "seen": 1}), ["a"], "old"))
    shop.collection("first", KEY, BARE_EMAIL, field("x"))
    shop.collection("person", KEY, BARE_EMAIL, {"name": "x", "fields": [field("who"), {"name": "seen"}]}, field("y"),
                    {"name": "z"}, erase_after=[f"{shop.schema}.first"])
    with held(shop, "first"):
        request_id = shop.start(email, ("string_rewrite", {"rewrite_value": "M"}, "user.name"))
        wait_blocked(shop)
        shop.db.execute(f"update {shop.schema}.person set x = x || '{{\"seen\": 2}}', y = array_append(y, 'new'), z = 'new'")
    api.wait_status(request_id, "complete")
    assert shop.rows("person") == [{"id": 1, "email": email, "x": {"who": "M", "seen": 2}, "y": ["M", "new"], "z": "new"}]


# --- which rows ----------------------------------------------------------------------------------------------------


def test_rows_are_found_by_keys_of_any_kind(shop, identity):
    email = identity()
    tables = {"whole": ("bigint", [0, 1]), "uuids": ("uuid", ["00000000-0000-4000-8000-000000000001",
                                                              "00000000-0000-4000-8000-000000000002"]),
              "texts": ("text", ["", 'a "quoted\\" key']), "chars": ("char(5)", ["a", "b"]),
              "dates": ("date", ["2020-02-29", "0044-03-15 BC"]),
              "times": ("timestamptz", ["2020-01-01 00:00:00.000001+02", "infinity"]),
              "decimals": ("numeric", ["1.50", "12345678901234567890.123"]), "floats": ("double precision", [0.1, 1e300]),
              "flags": ("boolean", [True, False]), "raw": ("bytea", [b"\0\xff", b""]),
              "addresses": ("inet", ["10.0.0.1", "::1"]), "intervals": ("interval", ["1 mon 2 days", "-1 hour"])}
    for table, (column, keys) in tables.items():
        shop.table(table, f"id {column} primary key, email text, x text")
        shop.insert(table, (keys[0], email, "Ada"), (keys[1], identity(), "Bob"))
        shop.collection(table, KEY, BARE_EMAIL, field("x"))
    request_id = shop.erase(email, ("string_rewrite", {"rewrite_value": "M"}, "user.name"))
    for table in tables:
        found = shop.db.execute(f"select x from {shop.schema}.{table} order by x").fetchall()
        assert [row["x"] for row in found] == ["Bob", "M"], table
    assert shop.told(request_id, "complete") == ["success - masked 1 records"] * len(tables)


def test_a_key_of_several_columns_and_the_table_s_own_are_used(shop, identity):
    """Of the dataset's key both columns; where the dataset has none, the table's."""
    email, words = identity(), ("string_rewrite", {"rewrite_value": "M"}, "user.name")
    shop.table("Order Items", 'a bigint, "B c" text, email text, x text, primary key (a, "B c")', (1, "x", email, "1"),
               (1, "y", email, "2"), (1, "z", identity(), "3"))
    shop.table("own", "id bigint primary key, email text, x text", (1, email, "1"), (2, email, "2"))
    primary = {"fides_meta": {"primary_key": True}}
    shop.collection("Order Items", {"name": "a"} | primary, {"name": "B c"} | primary, BARE_EMAIL, field("x"))
    shop.collection("own", field("id", "user.unique_id"), BARE_EMAIL, field("x"))
    shop.erase(email, words)
    assert [row["x"] for row in shop.rows("Order Items", "1, 2")] == ["M", "M", "3"]
    assert [row["x"] for row in shop.rows("own")] == ["M", "M"]


def test_without_a_key_rows_are_found_by_what_led_to_them_and_counted_once(shop, identity):
    email = identity()
    shop.table("visit", "email text, x text", (email, "1"), (email, "2"), (email, "2"), (identity(), "3"))
    shop.collection("visit", EMAIL, field("x"))
    request_id = shop.erase(email, ("string_rewrite", {"rewrite_value": "M"}, "user"))
    assert [row["x"] for row in shop.rows("visit", "2")] == ["3", "M", "M", "M"]
    assert sum(row["email"] == "M" for row in shop.rows("visit")) == 3
    assert shop.told(request_id, "complete") == ["success - masked 3 records"]


def test_thousands_of_rows_are_masked_in_one_transaction(shop, identity):
    email = identity()
    shop.table("visit", "id bigint primary key, email text, x text")
    shop.db.execute(f"insert into {shop.schema}.visit select i, case when i %% 2 = 0 then %s else 'other' end, "
                    f"'x' || i from generate_series(1, 5000) i", (email,))
    shop.collection("visit", KEY, BARE_EMAIL, field("x"))
    request_id = shop.erase(email, ("hmac", {}, "user.name"))
    changed = shop.db.execute(f"select count(*) filter (where length(x) = 64 and id %% 2 = 0) as mine, "
                              f"count(*) filter (where x = 'x' || id and id %% 2 = 1) as others, "
                              f"count(distinct xmin::text) filter (where id %% 2 = 0) as transactions "
                              f"from {shop.schema}.visit", ()).fetchone()
    assert changed == {"mine": 2500, "others": 2500, "transactions": 1}
    assert shop.told(request_id, "complete") == ["success - masked 2500 records"]


def test_who_has_no_rows_or_no_fields_is_no_failure(shop, identity):
    shop.table("person", "id bigint primary key, email text, x integer", (1, "other", 1))
    shop.collection("person", KEY, BARE_EMAIL, field("x"))
    request_id = shop.erase(identity(), ("hmac", {}, "user.name"))
    assert shop.told(request_id, "complete") == ["success - masked 0 records"]


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column, strategy, value, more, why", [
    ("integer", "hmac", 7, {}, "hmac masks text only, and the column is of type integer"),
    ("jsonb", "hmac", Jsonb({"a": 1}), {"kept": {"a": 1}}, "hmac masks text only, and the column is of type jsonb"),
    ("date[]", "hash", [], {}, "hash masks text only, and the column is of type date[]"),
    ("text not null", "null_rewrite", "Ada", {}, "null_rewrite, and the column may not be null"),
    ("text", "hmac", "7", {"field": field("x", data_type="integer")}, "hmac masks text only, and its data_type is another"),
], ids=["integer", "jsonb", "dates", "not_null", "declared"])
def test_a_field_that_can_t_be_masked_fails_its_collection(shop, identity, column, strategy, value, more, why):
    masked, request_id = shop.erase_one(column, identity(), strategy, status="error", value=value, **more)
    assert masked == more.get("kept", value)
    assert shop.told(request_id, "error") == [
        f"No values of {shop.schema}:person were erased, as fields of it can't be masked: x: {why}"]


def test_nothing_of_a_collection_is_erased_when_a_field_can_t_be(shop, identity):
    email = identity()
    shop.table("person", "id bigint primary key, email text, x text, y text generated always as (upper(x)) stored, "
                         "z bigint generated always as identity")
    shop.db.execute(f"insert into {shop.schema}.person (id, email, x) values (1, %s, 'Ada')", (email,))
    shop.collection("person", KEY, BARE_EMAIL, field("x"), field("y"), field("z"))
    before = shop.rows("person")
    request_id = shop.erase(email, ("null_rewrite", {}, "user.name"), status="error")
    assert shop.rows("person") == before
    assert shop.told(request_id, "error") == [
        f"No values of {shop.schema}:person were erased, as fields of it can't be masked: "
        "y: the column is generated; z: the column is generated"]


def test_an_unknown_strategy_fails_the_run(shop, identity):
    masked, request_id = shop.erase_one("text", identity(), "nullify", status="error", value="Ada")
    assert masked == "Ada"
    assert shop.told(request_id, "error") == [
        "Strategy 'nullify' does not exist. Valid strategies are [null_rewrite, string_rewrite, random_string_rewrite, "
        "hash, hmac, aes_encrypt, preserve]"]


def test_a_connection_that_may_only_be_read_fails_it(shop, identity):
    shop.connect(access="read")
    masked, request_id = shop.erase_one("text", identity(), "hmac", status="error", value="Ada")
    assert masked == "Ada"
    assert shop.told(request_id, "error") == [
        "No values were erased since this connection shop has not been given write access"]


def test_a_connection_without_the_erasure_action_is_passed_over(shop, identity):
    shop.connect(enabled_actions=["access"])
    masked, request_id = shop.erase_one("text", identity(), "hmac", value="Ada")
    assert masked == "Ada"
    assert shop.told(request_id, "skipped") == [
        f"Skipping collection {shop.schema}:person. The erasure action is disabled for connection config with key 'shop'."]


def test_a_connection_that_is_disabled_meanwhile_is_passed_over(shop, identity, api):
    email = identity()
    for name in ("first", "second"):
        shop.table(name, "id bigint primary key, email text, x text", (1, email, "Ada"))
    shop.collection("first", KEY, BARE_EMAIL, field("x"))
    shop.collection("second", KEY, BARE_EMAIL, field("x"), erase_after=[f"{shop.schema}.first"])
    with held(shop, "first"):
        request_id = shop.start(email, ("hmac", {}, "user.name"))
        wait_blocked(shop)
        shop.connect(disabled=True)
    api.wait_status(request_id, "complete")
    assert shop.rows("second")[0]["x"] == "Ada"
    assert shop.told(request_id, "skipped") == [
        f"Skipping collection {shop.schema}:second. ConnectionConfig shop is disabled."]


def test_a_user_without_rights_and_a_constraint_are_told_by_their_kind(shop, identity):
    masked, request_id = shop.erase_one("text check (x = 'Ada')", identity(), "hmac", status="error", value="Ada")
    assert masked == "Ada"
    assert shop.told(request_id, "error") == [
        "Connection 'shop': a check constraint does not allow a value (SQLSTATE 23514)."]


def test_a_failure_in_the_middle_leaves_all_as_it_was(shop, identity):
    email = identity()
    shop.table("visit", "id bigint primary key, email text, x text, check (id <> 2500 or x = 'x')")
    shop.db.execute(f"insert into {shop.schema}.visit select i, %s, 'x' from generate_series(1, 3000) i", (email,))
    shop.collection("visit", KEY, BARE_EMAIL, field("x"))
    shop.erase(email, ("hmac", {}, "user.name"), status="error")
    assert {row["x"] for row in shop.rows("visit")} == {"x"}


def test_a_statement_that_takes_too_long_fails(shop, identity, api):
    email = identity()
    must(api.patch("/docket/endpoint/shop", {"statement_timeout": "300ms"}))
    shop.table("person", "id bigint primary key, email text, x text", (1, email, "Ada"))
    shop.collection("person", KEY, BARE_EMAIL, field("x"))
    with held(shop, "person"):
        request_id = shop.erase(email, ("hmac", {}, "user.name"), status="error")
    assert "a statement took longer than is allowed" in shop.told(request_id, "error")[0]
    assert shop.rows("person")[0]["x"] == "Ada"


# --- once ----------------------------------------------------------------------------------------------------------


class held:
    """The table's rows locked by somebody else, meanwhile."""

    def __init__(self, shop, table):
        self.shop, self.table = shop, table

    def __enter__(self):
        self.db = self.shop.open(autocommit=False)
        self.db.execute(f'select * from {self.shop.schema}."{self.table}" for update')
        return self

    def __exit__(self, *unused):
        self.db.rollback()
        self.db.close()


def blocked(shop):
    return shop.db.execute("select pid from pg_stat_activity where application_name = 'docket' and datname = %s "
                           "and wait_event_type = 'Lock'", (shop.name,)).fetchone()


def wait_blocked(shop):
    return wait_until(lambda: blocked(shop), 20, "an erasure that waits for a lock")["pid"]


def task(db, request_id):
    return db.execute("select state, erase_xid, erase_count, message from request_task "
                      "where request_id = %s and action = 'erasure'", (request_id,)).fetchone()


@pytest.fixture
def failing(shop, identity, api):
    """A request whose erasure failed over there, and what makes it succeed."""
    email = identity()
    shop.table("person", "id bigint primary key, email text, x text, constraint no check (x = 'Ada')",
               (1, email, "Ada"))
    shop.collection("person", KEY, BARE_EMAIL, field("x"))
    request_id = shop.erase(email, ("string_rewrite", {"rewrite_value": "M"}, "user.name"), status="error")
    shop.db.execute(f"alter table {shop.schema}.person drop constraint no")
    return request_id


def mark(db, request_id, xid, count=7):
    db.execute("update request_task set erase_xid = %s, erase_count = %s where request_id = %s and action = 'erasure'",
               (str(xid), count, request_id))


def retry(api, request_id):
    must(api.post(f"/privacy-request/{request_id}/retry"))


def test_what_is_done_is_on_record_before_it_is_committed(shop, identity, api, db):
    email = identity()
    shop.table("person", "id bigint primary key, email text, x text", (1, email, "Ada"))
    shop.collection("person", KEY, BARE_EMAIL, field("x"))
    request_id = shop.erase(email, ("string_rewrite", {"rewrite_value": "M"}, "user.name"))
    state, xid, count, _ = task(db, request_id)
    assert (state, count) == ("complete", 1)
    row = shop.db.execute(f"select xmin::text, pg_xact_status('{xid}'::xid8) as status from {shop.schema}.person").fetchone()
    assert row == {"xmin": xid, "status": "committed"}


def test_what_was_committed_is_not_done_again(shop, failing, api, db):
    xid = shop.db.execute("select pg_current_xact_id()::text as xid").fetchone()["xid"]  # committed by itself
    mark(db, failing, xid)
    retry(api, failing)
    api.wait_status(failing, "complete")
    assert shop.rows("person")[0]["x"] == "Ada"
    assert shop.told(failing, "complete") == ["success - masked 7 records"]


@pytest.mark.parametrize("known", ["aborted", "future"])
def test_what_was_not_committed_is_done_anew(shop, failing, api, db, known):
    with shop.open(autocommit=False) as other:
        xid = int(other.execute("select pg_current_xact_id()::text as xid").fetchone()["xid"])
        other.rollback()
    mark(db, failing, xid if known == "aborted" else xid + 1_000_000)
    retry(api, failing)
    api.wait_status(failing, "complete")
    assert shop.rows("person")[0]["x"] == "M"
    assert shop.told(failing, "complete") == ["success - masked 1 records"]


def test_what_is_still_under_way_is_waited_for(shop, failing, api, db):
    with shop.open(autocommit=False) as other:
        mark(db, failing, other.execute("select pg_current_xact_id()::text as xid").fetchone()["xid"])
        retry(api, failing)
        wait_told(api, failing, shop.schema, "an earlier transaction of this erasure has not ended yet")
        assert shop.rows("person")[0]["x"] == "Ada"
        other.commit()
    api.wait_status(failing, "complete")
    assert shop.rows("person")[0]["x"] == "Ada"
    assert shop.told(failing, "complete") == ["success - masked 7 records"]


def test_a_worker_killed_within_an_erasure_leaves_it_to_be_done_once(shop, identity, api, db, stack):
    email = identity()
    shop.table("person", "id bigint primary key, email text, x text", (1, email, "Ada"), (2, email, "Bob"))
    shop.collection("person", KEY, BARE_EMAIL, field("x"))
    with held(shop, "person"):
        request_id = shop.start(email, ("string_rewrite", {"rewrite_value": "M"}, "user.name"))
        wait_blocked(shop)
        stack.workers[0].kill()
    stack.start()
    api.wait_status(request_id, "complete", timeout=60)
    assert [row["x"] for row in shop.rows("person")] == ["M", "M"]
    assert shop.told(request_id, "complete") == ["success - masked 2 records"]


def test_a_database_that_ends_the_connection_is_tried_again(shop, identity, api):
    email = identity()
    shop.table("person", "id bigint primary key, email text, x text", (1, email, "Ada"))
    shop.collection("person", KEY, BARE_EMAIL, field("x"))
    with held(shop, "person"):
        request_id = shop.start(email, ("string_rewrite", {"rewrite_value": "M"}, "user.name"))
        shop.db.execute("select pg_terminate_backend(%s)", (wait_blocked(shop),))
        wait_told(api, request_id, shop.schema, "the database ended the connection")
    api.wait_status(request_id, "complete")
    assert shop.rows("person")[0]["x"] == "M"
    assert shop.told(request_id, "complete") == ["success - masked 1 records"]
