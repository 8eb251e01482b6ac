"""A person's rows are read from a customer's database: which, in which form, within limits. Contract: dsr.md 3."""

import psycopg
import pytest

from utils import must, must_all, wait_until

POLICY = "collecting"
RULE = "collecting_rule"
CATEGORY = "user.content"


def field(name, *, category=CATEGORY, **meta):
    made = {"name": name} | ({"data_categories": [category]} if category else {})
    return made | ({"fides_meta": meta} if meta else {})


def refers(name, to, **meta):
    """A field that `to` ("dataset.collection.field") leads to."""
    dataset, _, path = to.partition(".")
    return field(name, category=None, references=[{"dataset": dataset, "field": path, "direction": "from"}], **meta)


EMAIL = field("email", identity="email")


class Source:
    """A database of a customer's, empty for each test; its connection and dataset are called `source`."""

    def __init__(self, api, stack, name, identity):
        self.api, self.postgres, self.name = api, stack.postgres, name
        self.email = identity()

    def connect(self, key="source", **secrets):
        must_all(self.api.patch("/connection", [
            {"key": key, "name": key, "connection_type": "postgres", "access": "write"}]))
        must(self.api.put(f"/connection/{key}/secret", {
            "host": "127.0.0.1", "port": self.postgres.port, "dbname": self.name, "username": self.postgres.ROLE,
            "password": self.postgres.password} | secrets, params={"verify": False}))
        return key

    def has(self, sql, *values):
        with psycopg.connect(self.postgres.url(self.name), autocommit=True) as db:
            for statement in sql.split(";\n"):
                db.execute(statement, values or None)

    def dataset(self, key="source", connection="source", **collections):
        document = {"fides_key": key, "name": key, "collections": [
            {"name": name, "fields": fields} for name, fields in collections.items()]}
        must_all(self.api.patch(f"/connection/{connection}/dataset", [document]))

    def limit(self, **limits):
        must(self.api.patch("/docket/endpoint/source", limits))

    def make_policy(self):
        must_all(self.api.patch("/dsr/policy", [{"name": POLICY, "key": POLICY}]))
        must_all(self.api.patch(f"/dsr/policy/{POLICY}/rule", [{"name": RULE, "key": RULE, "action_type": "access"}]))
        must_all(self.api.patch(f"/dsr/policy/{POLICY}/rule/{RULE}/target", [
            {"name": "user", "key": "collecting_user", "data_category": "user"}]))

    def create(self):
        request_id = self.api.create_request(self.email, POLICY)["id"]
        self.api.approve(request_id)
        return request_id

    def run(self, *statuses):
        """An access of the person's data, once it has come to its end."""
        request_id = self.create()
        self.api.wait_status(request_id, *(statuses or ("complete",)), timeout=60)
        return request_id

    def told(self, request_id, collection, dataset="source"):
        """Status and message of what the timeline says last of a collection."""
        entry = [entry for entry in self.api.timeline(request_id)[dataset]
                 if entry["collection_name"] == collection][-1]
        return entry["status"], entry["message"]

    def rows(self, request_id):
        return must(self.api.get(f"/privacy-request/transfer/{request_id}/{RULE}"))

    def collected(self):
        return {address.partition(":")[2]: rows for address, rows in self.rows(self.run()).items()}

    def refused(self, collection):
        return self.told(self.run("error"), collection)


def make_database(postgres, name, options=""):
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as db:
        db.execute(f"drop database if exists {name} with (force)")
        db.execute(f"create database {name} {options}")
    return name


@pytest.fixture
def source(api, stack, identity):
    name = make_database(stack.postgres, f"{stack.name}_source")
    source = Source(api, stack, name, identity)
    source.connect()
    source.make_policy()
    return source


# --- values ----------------------------------------------------------------------------------------------

VALUES = [
    # type, as SQL has it, as the package has it
    ("smallint", "-3", -3),
    ("bigint", "9007199254740993", 9007199254740993),
    ("numeric(10,2)", "12.5", "12.50"),
    ("real", "1.1", 1.1),
    ("double precision", "'NaN'", "NaN"),
    ("boolean", "true", True),
    ("text", "'say \"é\"\n\\'", 'say "é"\n\\'),
    ("char(5)", "'ab'", "ab   "),
    ("uuid", "'00010203-0405-0607-0809-0A0B0C0D0E0F'", "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    ("date", "'2026-01-02'", "2026-01-02"),
    ("timestamp", "'2026-01-02 03:04:05'", "2026-01-02T03:04:05"),
    ("timestamptz", "'2026-01-02 03:04:05.123456+02'", "2026-01-02T01:04:05.123456+00:00"),
    ("timestamptz", "'infinity'", "infinity"),
    ("time", "'10:00'", "10:00:00"),
    ("interval", "'1 day 2 hours'", "P1DT2H"),
    ("bytea", r"'\x00ff'", "AP8="),
    ("json", "'{\"a\":  [1, null]}'", {"a": [1, None]}),
    ("jsonb", "'\"text\"'", "text"),
    ("text[]", "array['a', null, 'b c']", ["a", None, "b c"]),
    ("int[][]", "'{{1,2},{3,4}}'", [[1, 2], [3, 4]]),
    ("date[]", "'{2026-01-02}'", ["2026-01-02"]),
    ("inet", "'10.0.0.1'", "10.0.0.1"),
    ("int4range", "'[1,5)'", "[1,5)"),
    ("mood", "'happy'", "happy"),
    ("short", "'ab'", "ab"),
    ("pair", "'(1,x)'", {"a": 1, "b": "x"}),
    ("text", "null", None),
]


def test_each_type_has_its_form(source):
    source.has("create type mood as enum ('sad', 'happy');\ncreate domain short as varchar(3) not null;\n"
               "create type pair as (a int, b text)")
    source.has("create table t (email text, " + ", ".join(f"c{i} {of}" for i, (of, _, _) in enumerate(VALUES)) + ")")
    source.has("insert into t select %s, " + ", ".join(sql for _, sql, _ in VALUES), source.email)
    source.dataset(t=[EMAIL] + [field(f"c{i}") for i in range(len(VALUES))])
    row, = source.collected()["t"]
    assert row.pop("email") == source.email
    assert row == {f"c{i}": expected for i, (_, _, expected) in enumerate(VALUES)}


def test_names_are_taken_as_they_are(source):
    source.has('create table "My ""Orders""" (email text, "select" int, "né" text, "Mixed Case" text)')
    source.has('insert into "My ""Orders""" values (%s, 1, \'a\', \'b\')', source.email)
    source.dataset(**{'My "Orders"': [EMAIL, field("select"), field("né"), field("Mixed Case")]})
    assert source.collected() == {'My "Orders"': [
        {"email": source.email, "select": 1, "né": "a", "Mixed Case": "b"}]}


def test_a_database_without_an_encoding(source, stack):
    make_database(stack.postgres, source.name, "encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'")
    source.has("create table t (email text, name text)")
    source.has(r"insert into t values (%s, E'J\351r\364me')", source.email)
    source.dataset(t=[EMAIL, field("name")])
    assert source.collected()["t"][0]["name"] == "J\ufffdr\ufffdme"


def test_a_large_value(source):
    source.has("create table t (email text, body text)")
    source.has("insert into t select %s, repeat('x', 3000000) from generate_series(1, 3)", source.email)
    source.dataset(t=[EMAIL, field("body")])
    assert [len(row["body"]) for row in source.collected()["t"]] == [3000000] * 3


# --- what leads to what ----------------------------------------------------------------------------------


def test_keys_of_many_types_lead_on(source):
    """0, "" and false lead on; null does not; a list leads to each of its elements; what can't be a key is left out."""
    source.has("create table person (email text, n int, u uuid, list int[], words jsonb, flag bool, empty text);\n"
               "create table by_n (n bigint, v text);\ncreate table by_u (u text, v text);\n"
               "create table by_list (n smallint, v text);\ncreate table by_word (n int, v text);\n"
               "create table by_flag (b bool, v text);\ncreate table by_empty (e text, v text);\n"
               "insert into by_n values (0, 'zero'), (1, 'one'), (null, 'none');\n"
               "insert into by_u values ('00010203-0405-0607-0809-0a0b0c0d0e0f', 'u'), ('x', 'x');\n"
               "insert into by_list values (1, 'a'), (2, 'b'), (3, 'c');\n"
               "insert into by_word values (7, 'seven'), (8, 'eight');\n"
               "insert into by_flag values (true, 't'), (false, 'f');\n"
               "insert into by_empty values ('', 'e'), ('f', 'f')")
    source.has("insert into person values (%s, 0, '00010203-0405-0607-0809-0a0b0c0d0e0f', '{1,3,null,99999999}', "
               """'{"a": ["x", "7", 8.0, 2.5]}', false, ''), (%s, null, null, null, null, null, null)""",
               source.email, source.email)
    source.dataset(
        person=[EMAIL, field("n"), field("u"), field("list"), field("flag"), field("empty"),
                {"name": "words", "fields": [field("a")]}],
        by_n=[refers("n", "source.person.n"), field("v")], by_u=[refers("u", "source.person.u"), field("v")],
        by_list=[refers("n", "source.person.list"), field("v")],
        by_word=[refers("n", "source.person.words.a"), field("v")],
        by_flag=[refers("b", "source.person.flag"), field("v")],
        by_empty=[refers("e", "source.person.empty"), field("v")])
    found = source.collected()
    assert len(found.pop("person")) == 2
    assert {name: sorted(row["v"] for row in rows) for name, rows in found.items()} == {
        "by_n": ["zero"], "by_u": ["u"], "by_list": ["a", "c"], "by_word": ["eight", "seven"], "by_flag": ["f"],
        "by_empty": ["e"]}


def test_several_fields_lead_to_a_row_once(source):
    source.has("create table a (email text, id int);\ncreate table b (a_id int, email text, v text)")
    source.has("insert into a values (%s, 1), (%s, 2)", source.email, source.email)
    source.has("insert into b values (1, %s, 'both'), (2, null, 'id'), (9, %s, 'email'), (9, null, 'none')",
               source.email, source.email)
    source.dataset(a=[EMAIL, field("id")], b=[refers("a_id", "source.a.id"), EMAIL, field("v")])
    assert sorted(row["v"] for row in source.collected()["b"]) == ["both", "email", "id"]


def test_by_a_domain_an_enum_and_within_json(source):
    source.has("create domain mail as text check (value like '%@%');\ncreate type mood as enum ('sad', 'happy');\n"
               "create table a (email mail, word text, city text);\ncreate table b (m mood, v text);\n"
               "create table c (at jsonb, v text);\ninsert into b values ('sad', 's'), ('happy', 'h');\n"
               """insert into c values ('{"city": "Rome"}', 'r'), ('{"city": "Bonn"}', 'b')""")
    source.has("insert into a values (%s, 'happy', 'Bonn'), (%s, 'angry', null)", source.email, source.email)
    source.dataset(a=[EMAIL, field("word"), field("city")], b=[refers("m", "source.a.word"), field("v")],
                   c=[{"name": "at", "fields": [refers("city", "source.a.city")]}, field("v")])
    found = source.collected()
    assert [row["v"] for row in found["b"]] == ["h"]
    assert [row["v"] for row in found["c"]] == ["b"]


def test_rows_are_found_by_elements_of_arrays_and_the_others_are_left_out(source):
    """A list may name other people, too."""
    source.has("create table a (mails text[], ids int[], v text);\ncreate table b (refs bigint[], tags text[], v text);\n"
               "create table c (refs int[], v text)")
    source.has("insert into a values (array['x', %s, null, 'y', %s], '{1,2}', 'mine'), (array['x'], '{3}', 'not'), "
               "(null, '{4}', 'nor')", source.email, source.email)
    source.has("insert into b values ('{9,2,1}', '{p,q}', 'both'), ('{2}', null, 'one'), ('{3}', null, 'none'), "
               "(null, null, 'nor')")
    source.has("insert into c values ('{8,1,2}', 'whole')")
    source.dataset(a=[field("mails", identity="email"), field("ids"), field("v")],
                   b=[refers("refs", "source.a.ids") | {"data_categories": ["user"]}, field("tags"), field("v")],
                   c=[refers("refs", "source.a.ids", data_type="integer[]", return_all_elements=True)
                      | {"data_categories": ["user"]}, field("v")])
    found = source.collected()
    assert found["a"] == [{"ids": [1, 2], "mails": [source.email] * 2, "v": "mine"}]
    assert sorted(found["b"], key=lambda row: row["v"]) == [
        {"refs": [2, 1], "tags": ["p", "q"], "v": "both"}, {"refs": [2], "tags": None, "v": "one"}]
    assert found["c"] == [{"refs": [8, 1, 2], "v": "whole"}]


def test_more_keys_than_a_statement_takes(source):
    source.has("create table a (email text, id int);\ncreate table b (a_id int primary key, v text);\n"
               "insert into b select g, 'v' from generate_series(1, 250000) g")
    source.has("insert into a select %s, g from generate_series(1, 210000) g", source.email)
    source.dataset(a=[EMAIL, field("id")], b=[refers("a_id", "source.a.id"), field("v")])
    assert source.told(source.run(), "b") == ("complete", "success - retrieved 210000 records")


def test_more_keys_than_a_statement_takes_of_two_fields(source):
    source.has("create table a (email text, id int, other int);\ncreate table b (x int, y int, v text)")
    source.has("insert into a select %s, g, -g from generate_series(1, 100001) g", source.email)
    source.dataset(a=[EMAIL, field("id"), field("other")],
                   b=[refers("x", "source.a.id"), refers("y", "source.a.other"), field("v")])
    status, message = source.refused("b")
    assert status == "error" and message.startswith("Collection source:b is to be found by 100001 values")


def test_nothing_leads_there(source):
    source.has("create table a (email text, id int);\ncreate table b (a_id int, v text);\n"
               "insert into b values (1, 'v')")
    source.dataset(a=[EMAIL, field("id")], b=[refers("a_id", "source.a.id"), field("v")])
    request_id = source.run()
    assert source.rows(request_id) == {}
    assert source.told(request_id, "b") == ("complete", "success - retrieved 0 records")


# --- what is told ----------------------------------------------------------------------------------------


def test_what_was_read_is_told_by_its_categories(source):
    source.has("create table t (email text, born date, note text)")
    source.has("insert into t values (%s, '2000-01-01', 'n')", source.email)
    source.dataset(t=[field("email", category="user.contact.email", identity="email"), field("note", category=None),
                      field("born", category="user.demographic.date_of_birth")])
    request_id = source.run()
    entry = [entry for entry in source.api.timeline(request_id)["source"] if entry["status"] == "complete"][-1]
    assert entry["message"] == "success - retrieved 1 records"
    assert entry["fields_affected"] == [
        {"path": "source:t:born", "field_name": "born", "data_categories": ["user.demographic.date_of_birth"]},
        {"path": "source:t:email", "field_name": "email", "data_categories": ["user.contact.email"]}]


def test_a_table_that_is_not_there_is_skipped(source):
    source.dataset(t=[EMAIL])
    assert source.told(source.run(), "t") == ("skipped", "Table 't' did not exist during data retrieval.")


def test_a_table_that_others_depend_on_must_be_there(source):
    source.dataset(t=[EMAIL, field("id")], u=[refers("t_id", "source.t.id"), field("v")])
    assert source.refused("t") == (
        "error", "Table 't' did not exist during data retrieval, and other collections depend on it.")


def test_a_field_that_is_no_column(source):
    source.has("create table t (email text)")
    source.dataset(t=[EMAIL, field("phone")])
    assert source.refused("t") == (
        "error", "Field 'phone' of collection 't' of dataset 'source' is no column of its table.")


def test_a_column_that_rows_cannot_be_found_by(source):
    source.has("create table t (email json)")
    source.dataset(t=[EMAIL])
    assert source.refused("t") == ("error", "Field 'email' is of type json: rows can't be found by it.")


# --- limits ----------------------------------------------------------------------------------------------


def test_more_rows_than_the_limit(source):
    source.has("create table t (email text, n int)")
    source.has("insert into t select %s, g from generate_series(1, 11) g", source.email)
    source.dataset(t=[EMAIL, field("n")])
    source.limit(row_limit=10)
    assert source.refused("t") == ("error", "More than 10 rows: the limit of connection 'source' (row_limit).")
    source.limit(row_limit=11)
    assert len(source.collected()["t"]) == 11


def test_a_statement_that_takes_too_long(source):
    source.has("create table person (email text);\n"
               "create view t as select email from person where pg_sleep(30) is not null")
    source.has("insert into person values (%s)", source.email)
    source.dataset(t=[EMAIL])
    source.limit(statement_timeout="300ms")
    status, message = source.refused("t")
    assert status == "error" and "a statement took longer than is allowed" in message and "57014" in message


def test_nothing_is_written(source):
    """Not even by a function that a view calls."""
    source.has("create table seen (email text);\n"
               "create function look() returns text language sql as "
               "$$insert into seen values ('x') returning email$$;\n"
               "create view t as select look() as email")
    source.dataset(t=[EMAIL])
    status, message = source.refused("t")
    assert status == "error" and "the connection is read-only (SQLSTATE 25006)" in message


def test_what_their_server_says_goes_nowhere(source, stack):
    """Notices and errors with values in them: none reaches a log or the timeline."""
    source.has("create table t (email text);\n"
               "create function tell(x text) returns int language plpgsql as $$begin raise notice 'of %', x; "
               "return x::int; end$$;\ncreate view v as select email, tell(email) as n from t")
    source.has("insert into t values (%s)", source.email)
    source.dataset(v=[EMAIL, field("n")])
    status, message = source.refused("v")
    assert (status, message) == ("error", "Connection 'source': the database refused a statement (SQLSTATE 22P02).")
    assert source.email not in "".join(path.read_text() for path in stack.run.path.glob("log/*.log"))


def test_a_password_that_is_wrong(source):
    source.connect(password="not-this-one")
    source.dataset(t=[EMAIL])
    status, message = source.refused("t")
    assert status == "error"
    assert message == "Connection 'source': the database does not let this user in (SQLSTATE 28P01)."


def test_a_database_that_is_away_is_tried_again(source, stack):
    source.has("create table t (email text)")
    source.has("insert into t values (%s)", source.email)
    source.connect(port=1)
    source.dataset(t=[EMAIL])
    request_id = source.create()
    wait_until(lambda: "source" in source.api.timeline(request_id)
               and source.told(request_id, "t")[0] == "retrying", 20, "another try to be told")
    source.connect()
    source.api.wait_status(request_id, "complete", timeout=60)
    assert len(source.rows(request_id)["source:t"]) == 1


def test_a_schema_of_the_connection_and_of_the_dataset(source):
    source.has('create schema "Mine";\ncreate schema other;\ncreate table "Mine".t (email text, v text);\n'
               "create table other.t (email text, v text)")
    source.has("""insert into "Mine".t values (%s, 'mine')""", source.email)
    source.has("insert into other.t values (%s, 'other')", source.email)
    source.connect(db_schema="Mine")
    source.dataset(t=[EMAIL, field("v")])
    assert [row["v"] for row in source.collected()["t"]] == ["mine"]
    must_all(source.api.patch("/connection/source/dataset", [
        {"fides_key": "source", "name": "source", "fides_meta": {"namespace": {"schema": "other"}},
         "collections": [{"name": "t", "fields": [EMAIL, field("v")]}]}]))
    assert [row["v"] for row in source.collected()["t"]] == ["other"]
