"""Cases by chance: a person's data in tables nobody would have thought of, the datasets that describe them, policies,
and what must come of an access and an erasure, by SQL of our own.

A case knows nothing of docket but its contract (dsr.md 1 to 6, and 9 in place of what it calls weak). Where that leaves
the order of collections at an equal distance open, it is theirs by name (common/graph.h).
"""

import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import date, datetime

ROW = "the test's own row"  # a column that no dataset names: tells rows apart

# --- what there is to choose from ------------------------------------------------------------------------------------

UUIDS = [f"{n:08x}-0000-4000-8000-00000000000{n}" for n in range(6)]
NUMBERS = ["0", "1", "2", "-1", "7", "42"]
TEXTS = ["a", "A", "", "0", "7", "-1", "x", " b", "b ", "é", "O'Hara", 'say "hi"', "back\\slash", "{a,b}", "NULL",
         "null", "two\nlines", "tab\t", "😀", ",", "%s", "_", "true", "2020-02-29", UUIDS[0], UUIDS[1].upper()]
LONG = ["An address of some length, with a comma", "ünï" * 25, "'; drop table customer; --", "\\x00", "</script>",
        "\x7f"]
JSONS = [{}, [], {"a": 1}, {"b": ["x", None, True]}, "text", 5, 1.5, None, {"ü \"": {"deep": [1, [2]]}}, [{"a": "😀"}],
         False]


@dataclass(frozen=True, eq=False)
class Kind:
    """A column type: as SQL has it, and the texts of its values; `keys` are few, so that people share some."""
    sql: str
    keys: list
    others: list = field(default_factory=list)
    declared: str = None  # data_type
    group: str = None     # whose values are equal without a cast

    @property
    def room(self):
        """Characters that a text may have."""
        bound = re.search(r"varchar\((\d+)\)", self.sql)
        return int(bound[1]) if bound else 1000

    @property
    def is_text(self):
        return self.group == "text"


KINDS = {
    "text": Kind("text", TEXTS, LONG, "string", "text"),
    "varchar": Kind("varchar(40)", TEXTS, LONG[:1], "string", "text"),
    "varchar_short": Kind("varchar(3)", ["a", "A", "", "0", "7", "-1", "é", "😀", " b", "b "], ["xyz"], "string",
                          "text"),
    "bigint": Kind("bigint", [*NUMBERS, "9007199254740993", "9223372036854775807"], ["-9223372036854775808"], "integer",
                   "number"),
    "integer": Kind("integer", [*NUMBERS, "2147483647"], ["-2147483648"], "integer", "number"),
    "numeric": Kind("numeric", ["0", "0.00", "1", "1.50", "1.5", "-1", "7.0", "42", "0.1"],
                    ["NaN", "123456789012345678901234567890.123456789", "0.00000000"], "float", "number"),
    "uuid": Kind("uuid", UUIDS, [], None, "uuid"),
    "boolean": Kind("boolean", ["t", "f"], [], "boolean", "boolean"),
    "date": Kind("date", ["2020-02-29", "1999-12-31", "0001-01-01", "9999-12-31"], ["1582-10-10"], None, "date"),
    "timestamptz": Kind("timestamptz", ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000001Z",
                                        "2038-01-19T03:14:08-11:30", "1969-12-31T23:59:59.5+02"],
                        ["0001-01-02T00:00:00Z"], None, "timestamptz"),
    "jsonb": Kind("jsonb", [], [json.dumps(one) for one in JSONS], "object", None),
}
KEYS = [name for name, kind in KINDS.items() if kind.keys]
IDENTITIES = ["text", "varchar", "bigint", "integer", "uuid", "numeric", "date"]
UNIQUE = ["text", "varchar", "bigint", "integer", "uuid", "date", "timestamptz"]

NAMES = ["id", "Id", "ID", "user", "User", "order", "select", "from", "where", "table", "null", "Full Name", 'say "hi"',
         "a'b", '"', "x;--", "100%", "%s", "$1", ":key", "back\\slash", "größe", "列", "e-mail", "customer_id", "email",
         "1st", " ", "_", "UPPER", "camelCase", "a b  c", "k0", "c0", "v", "t", "value", "😀", "constructor", "rows",
         "(", "{}", "#"]
CATEGORIES = ["user", "user.contact", "user.contact.email", "user.contact.address", "user.contact.address.city",
              "user.content", "user.content.private", "user.name", "user.name.first", "user.device.cookie",
              "user.device.cookie_id", "user.sensor", "user.user_sensor", "user.financial",
              "user.financial.credit_card", "user.job_title", "system", "system.operations"]
MASKS = ["null_rewrite", "string_rewrite", "hash", "hmac", "random_string_rewrite"]
REWRITES = ["MASKED", "", "Ünï \"quoted\" \\ 'x'", "😀" * 5, "a longer text that is cut where there is no room"]


def is_in(category, target):
    return category == target or category.startswith(f"{target}.")


def are_in(categories, targets):
    return any(is_in(category, target) for category in categories for target in targets)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


# --- tables ----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Column:
    name: str
    kind: Kind
    nullable: bool = True
    categories: list = field(default_factory=list)
    meta: dict = field(default_factory=dict)
    is_key: bool = False  # of its table, of a reference, or an identity
    is_described: bool = True  # by the dataset


@dataclass(eq=False)
class Table:
    dataset: str
    schema: str  # None: found by search_path
    name: str
    columns: list
    primary: list  # columns
    declares_primary: bool
    categories: list
    rows: list = field(default_factory=list)  # texts, in the order of the columns

    @property
    def address(self):
        return f"{self.dataset}:{self.name}"

    @property
    def place(self):
        """In the order of the graph, at an equal distance."""
        return self.dataset.encode(), self.name.encode()

    def sql(self, default):
        return f"{quoted(self.schema or default)}.{quoted(self.name)}"


@dataclass(frozen=True)
class Link:
    """Values of one column lead to rows that have them in another."""
    table: Table
    column: Column
    to: Table
    target: Column


@dataclass
class Rule:
    action: str
    targets: list
    strategy: str = None
    configuration: dict = None


@dataclass
class Policies:
    """An access policy and an erasure policy, which may give access too."""
    name: str
    access: list
    erasure: list


def make_policies(random, name):
    access = [Rule("access", some_targets(random)) for _ in range(random.choice([1, 1, 1, 2]))]
    erasure = make_erasure_rules(random)
    if random.random() < 0.3:
        erasure.append(Rule("access", some_targets(random)))
    return Policies(name, access, erasure)


def some_targets(random):
    broad = ["user"] if random.random() < 0.3 else []
    return broad + random.sample(CATEGORIES[1:], random.choice([1, 1, 2, 3]))


def make_erasure_rules(random):
    """No two targets of which one is in the other."""
    rules, taken = [], []
    for strategy in random.sample(MASKS, random.choice([1, 2, 3, 3])):
        targets = []
        for category in random.sample(CATEGORIES, random.randint(2, 6)):
            if not any(is_in(category, one) or is_in(one, category) for one in taken):
                targets.append(category)
                taken.append(category)
        if targets:
            rules.append(Rule("erasure", targets, strategy, make_configuration(random, strategy)))
    return rules


def make_configuration(random, strategy):
    suffix = {"format_preservation": {"suffix": "@masked"}} if random.random() < 0.2 else {}
    return {"null_rewrite": {}, "string_rewrite": {"rewrite_value": random.choice(REWRITES)} | suffix,
            "random_string_rewrite": {"length": 12} | suffix}.get(strategy, {"algorithm": "SHA-256"} | suffix)


# --- a case ----------------------------------------------------------------------------------------------------------


class Case:
    def __init__(self, random, name, policies):
        self.random = random
        self.name = name
        self.policies = policies
        self.identity_key = f"{name}_id"
        self.default_schema = {}  # by dataset, where its tables are when it names none
        self.tables, self.links = [], set()
        self.pools = {kind: random.sample(kind.keys, min(len(kind.keys), 4)) for kind in KINDS.values()}
        self.datasets = [self.make_dataset(n) for n in range(random.choice([1, 1, 2]))]
        for _ in range(random.randint(2, 6)):
            self.add_table()
        self.seed()
        for table in self.tables[1:]:
            self.lead_to(table)
        for table in self.tables:
            self.make_erasable(table)
            self.fill(table)
        self.walk()

    def chance(self, share):
        return self.random.random() < share

    # --- tables ---

    def make_dataset(self, number):
        key = self.name + self.random.choice(["", "_x", ".x", "-X"]) + "ab"[number]
        namespace = None if self.chance(0.3) else f"{self.name} {self.random.choice(['', 'Odd ', 'é'])}{number}"
        self.default_schema[key] = namespace
        return key

    def fresh_name(self, table_columns):
        taken = {column.name for column in table_columns}
        return self.random.choice([name for name in NAMES if name not in taken])

    def add_column(self, columns, kind, **more):
        kind = KINDS[kind] if isinstance(kind, str) else kind
        columns.append(Column(self.fresh_name(columns), kind, **more))
        return columns[-1]

    def some_categories(self, share):
        count = self.random.choice([1, 1, 2]) if self.chance(share) else 0
        return self.random.sample(CATEGORIES, count)

    def add_table(self):
        random = self.random
        dataset = random.choice(self.datasets)
        columns = []
        primary = [self.add_column(columns, random.choice(UNIQUE), nullable=False, is_key=True,
                                   categories=self.some_categories(0.3)) for _ in range(random.choice([0, 1, 1, 1, 2]))]
        for _ in range(random.randint(1, 5)):
            column = self.add_column(columns, random.choice([*KINDS, "text", "text", "varchar"]),
                                     nullable=self.chance(0.85), categories=self.some_categories(0.8))
            column.is_described = self.chance(0.9)
        for column in columns:
            self.declare(column)
        table = Table(dataset, self.default_schema[dataset], self.table_name(dataset), columns, primary,
                      self.chance(0.7), self.some_categories(0.12))
        random.shuffle(table.columns)
        self.tables.append(table)

    def table_name(self, dataset):
        """Without dots, which would end it in a reference; of its own where cases share a schema."""
        taken = {table.name for table in self.tables if table.dataset == dataset}
        lead = "" if self.default_schema[dataset] else f"{self.name} "
        return lead + self.random.choice([name for name in NAMES if lead + name not in taken and name.strip()])

    def declare(self, column):
        if column.kind.declared and self.chance(0.6):
            column.meta["data_type"] = column.kind.declared
        if column.kind.is_text and self.chance(0.15):
            column.meta["length"] = self.random.choice([1, 5, 30])

    # --- references ---

    def seed(self):
        """The first table has the identity, another one maybe too."""
        first = self.tables[0]
        fitting = [column for column in first.columns if column.kind in [KINDS[name] for name in IDENTITIES]]
        column = (self.random.choice(fitting) if fitting and self.chance(0.5) else
                  self.new_key(first, KINDS[self.random.choice(IDENTITIES)]))
        self.mark_identity(column)
        pool = [value for value in self.pools[column.kind] if value]
        self.identities = self.random.sample(pool, 2 if self.chance(0.15) else 1)
        if self.chance(0.15):
            self.mark_identity(self.new_key(self.random.choice(self.tables[1:]), column.kind))

    def mark_identity(self, column):
        column.is_key = column.is_described = True
        column.meta["identity"] = self.identity_key

    def new_key(self, table, kind):
        column = self.add_column(table.columns, kind, is_key=True, categories=self.some_categories(0.3))
        self.declare(column)
        return column

    def lead_to(self, table):
        """By one or two of the tables before it."""
        before = self.tables[:self.tables.index(table)]
        for parent in self.random.sample(before, min(len(before), self.random.choice([1, 1, 2]))):
            fitting = [column for column in parent.columns if column.kind.keys]
            source = self.random.choice(fitting) if fitting else self.new_key(parent, KINDS["text"])
            self.connect(parent, source, table, self.target(table, source.kind))

    def target(self, table, kind):
        fitting = [column for column in table.columns if can_match(kind, column.kind)]
        if fitting and self.chance(0.35):
            return self.random.choice(fitting)
        return self.new_key(table, KINDS[self.random.choice([name for name in KEYS if can_match(kind, KINDS[name])])])

    def connect(self, parent, source, child, target):
        """Written on the child's side, the parent's, or both; as a direction, or none."""
        source.is_key = target.is_key = source.is_described = target.is_described = True
        for side in self.random.choice([["child"], ["parent"], ["child", "parent"]]):
            here, there = (target, (parent, source)) if side == "child" else (source, (child, target))
            reference = {"dataset": there[0].dataset, "field": f"{there[0].name}.{there[1].name}"}
            if self.chance(0.6):
                reference["direction"] = "from" if side == "child" else "to"
            else:
                self.links.add(Link(child, target, parent, source))
            here.meta.setdefault("references", []).append(reference)
        self.links.add(Link(parent, source, child, target))

    # --- what is masked ---

    def mask_of(self, column):
        """(strategy, configuration) that masks it; None: it stays."""
        found = None
        for rule in self.policies.erasure:
            if rule.action == "erasure" and are_in(column.categories, rule.targets):
                found = rule.strategy, rule.configuration
        override = column.meta.get("masking_strategy_override")
        if not found or column.meta.get("read_only") or not column.is_described:
            return None
        if override:
            found = override["strategy"], override.get("configuration", {})
        return None if found[0] == "preserve" else found

    def make_erasable(self, table):
        """Keys stay, and what can't be masked as the rules say is masked in another way, or stays."""
        for column in table.columns:
            if self.chance(0.05):
                column.meta["masking_strategy_override"] = self.random.choice([
                    {"strategy": "preserve"},
                    {"strategy": "string_rewrite", "configuration": {"rewrite_value": "own"}}])
            mask = self.mask_of(column)
            if not mask:
                continue
            if column.is_key:
                column.meta |= self.random.choice([{"read_only": True},
                                                   {"masking_strategy_override": {"strategy": "preserve"}}])
            elif mask[0] != "null_rewrite" and not column.kind.is_text and column.nullable:
                column.meta["masking_strategy_override"] = {"strategy": "null_rewrite"}
            elif not column.nullable and (mask[0] == "null_rewrite" or not column.kind.is_text):
                column.meta["read_only"] = True

    # --- rows ---

    def fill(self, table):
        count = self.random.choice([0, 1, 3, 6, 12, 12, 12] if table is not self.tables[0] else [0, 6, 12, 12, 12, 12])
        keys = list(itertools.product(*(self.pools[column.kind] for column in table.primary)))
        for key in self.random.sample(keys, min(count, len(keys))) if table.primary else [()] * count:
            primary = dict(zip(table.primary, key))
            table.rows.append([primary[column] if column in primary else self.value(column)
                               for column in table.columns])

    def value(self, column):
        if column.nullable and self.chance(0.15):
            return None
        if self.is_identity(column) and self.chance(0.4):
            return self.random.choice(self.identities)
        leading = [value for value in self.leading(column) if self.takes(column.kind, value)]
        if leading and self.chance(0.6):
            return self.random.choice(leading)
        if column.is_key or not column.kind.others:
            return self.random.choice(self.pools[column.kind])
        return self.random.choice(column.kind.keys + column.kind.others)

    def leading(self, column):
        """Values that lead there, of tables that are filled."""
        return sorted({row[link.table.columns.index(link.column)] or "" for link in self.links if link.target is column
                       for row in link.table.rows})

    @staticmethod
    def takes(kind, text):
        if kind.group == "text":
            return len(text) <= kind.room
        if kind.sql in ("integer", "bigint"):
            return bool(re.fullmatch(INTEGER, text)) and abs(int(text)) < 2 ** (31 if kind.sql == "integer" else 63)
        return bool(text) if kind.group != "uuid" else bool(re.fullmatch(UUID, text))

    def create(self, db, default):
        """`default`: the schema of those that are found by search_path, by dataset."""
        self.default_schema = {key: schema or default[key[-1]] for key, schema in self.default_schema.items()}
        for schema in sorted(set(self.default_schema.values())):
            db.execute(f"create schema if not exists {quoted(schema)}")
        for table in self.tables:
            db.execute(self.table_sql(table))
            if not table.rows:
                continue
            with db.cursor() as cursor, cursor.copy(f"copy {self.sql(table)} from stdin") as out:
                for number, row in enumerate(table.rows):
                    out.write_row([number, *row])

    def sql(self, table):
        return table.sql(self.default_schema[table.dataset])

    def table_sql(self, table):
        parts = [f"{quoted(ROW)} integer"]
        parts += [f"{quoted(column.name)} {column.kind.sql}{'' if column.nullable else ' not null'}"
                  for column in table.columns]
        if table.primary:
            parts.append(f"primary key ({', '.join(quoted(column.name) for column in table.primary)})")
        return f"create table {self.sql(table)} ({', '.join(parts)})"

    # --- as docket is told ---

    def documents(self):
        """By dataset."""
        return {key: self.document(key) for key in self.datasets if any(table.dataset == key for table in self.tables)}

    def document(self, key):
        made = {"fides_key": key, "name": key, "collections": [self.collection(table) for table in self.tables
                                                               if table.dataset == key]}
        schema = next(table.schema for table in self.tables if table.dataset == key)
        return made | ({"fides_meta": {"namespace": {"schema": schema}}} if schema else {})

    def collection(self, table):
        fields = [self.field(table, column) for column in table.columns if column.is_described]
        return {"name": table.name, "fields": fields} | (
            {"data_categories": table.categories} if table.categories else {})

    @staticmethod
    def field(table, column):
        meta = column.meta | ({"primary_key": True} if table.declares_primary and column in table.primary else {})
        return {"name": column.name} | ({"data_categories": column.categories} if column.categories else {}) | (
            {"fides_meta": meta} if meta else {})

    def identity(self):
        values = [int(value) if re.fullmatch("0|-?[1-9][0-9]{0,9}", value) and self.chance(0.5) else value
                  for value in self.identities]
        return {self.identity_key: {"label": "A case", "value": values if len(values) > 1 else values[0]}}

    # --- what must come of it ---

    def walk(self):
        """Breadth-first from the identity; a link counts from the end that is reached first."""
        self.order = []
        level = [table for table in self.tables if any(self.is_identity(column) for column in table.columns)]
        while level:
            self.order += sorted(level, key=lambda table: table.place)
            level = list({link.to for link in self.links if link.table in self.order and link.to not in self.order})
        place = {table: number for number, table in enumerate(self.order)}
        self.edges = [link for link in self.links if place[link.table] < place[link.to]]

    def is_identity(self, column):
        return column.meta.get("identity") == self.identity_key

    def conditions(self, table):
        values = ", ".join(literal(value) for value in self.identities)
        found = [f"{quoted(column.name)} = any(array[{values}]::{bare(column)}[])"
                 for column in table.columns if self.is_identity(column)]
        for edge in self.edges:
            if edge.to is table:
                found.append(f"{quoted(edge.target.name)} in (select {cast(edge.column, edge.target)} from "
                             f"r{self.order.index(edge.table)})")
        return " or ".join(found)

    def reached(self, db):
        """The numbers of the rows that are this person's, by table: one statement for all of them."""
        parts = [f"r{number} as materialized (select * from {self.sql(table)} where {self.conditions(table)})"
                 for number, table in enumerate(self.order)]
        asked = [f"(select coalesce(array_agg({quoted(ROW)} order by {quoted(ROW)}), '{{}}') from r{number})"
                 for number in range(len(self.order))]
        row = db.execute(f"with {', '.join(parts)} select {', '.join(asked)}").fetchone()
        return dict(zip(self.order, row))

    def is_read(self, table, column):
        """Whether its values are collected at all."""
        ends = {edge.column for edge in self.edges} | {edge.target for edge in self.edges}
        return column.is_described and bool(
            column.categories or column in ends or self.is_identity(column) or column.meta.get("references")
            or (table.declares_primary and column in table.primary))

    def package(self, db, reached, rule):
        """By address, what the rule lets out."""
        found = {table.address: self.packed_rows(db, table, reached[table], rule) for table in self.order
                 if reached[table]}
        return {address: rows for address, rows in found.items() if rows}

    def packed_rows(self, db, table, numbers, rule):
        whole = are_in(table.categories, rule.targets)
        columns = [column for column in table.columns if self.is_read(table, column)
                   and (whole or are_in(column.categories, rule.targets))]
        if not columns:
            return []
        selected = ", ".join(shown_as(column) for column in columns)
        rows = db.execute(f"select {selected} from {self.sql(table)} "
                          f"where {quoted(ROW)} = any(array{numbers}::int[])").fetchall()
        return [{column.name: shown(value) for column, value in zip(columns, row) if whole or value not in ({}, [])}
                for row in rows]

    def snapshot(self, db):
        """Every value of every row as text: table -> number -> values in the order of the columns."""
        return {table: self.table_snapshot(db, table) for table in self.tables}

    def table_snapshot(self, db, table):
        selected = ", ".join(f"{quoted(name)}::text" for name in [ROW, *(column.name for column in table.columns)])
        rows = db.execute(f"select {selected} from {self.sql(table)}").fetchall()
        return {int(number): list(values) for number, *values in rows}

    def masks(self, table):
        """What is masked in it: column -> mask."""
        found = {column: self.mask_of(column) for column in table.columns}
        return {column: mask for column, mask in found.items() if mask}

    def finds_rows_exactly(self, table):
        """By a primary key, the dataset's or the table's; else rows with equal keys become equal."""
        return bool(table.primary) and (table.declares_primary or all(
            self.is_read(table, column) for column in table.primary))

    def entries(self, table):
        """The columns that its rows are found by."""
        return {edge.target for edge in self.edges if edge.to is table} | {
            column for column in table.columns if self.is_identity(column)}

    def __str__(self):
        rows = "\n".join(f"{table.address}: {table.rows}" for table in self.tables)
        rules = "\n".join(map(str, [*self.policies.access, *self.policies.erasure]))
        documents = json.dumps(list(self.documents().values()), ensure_ascii=False)
        return (f"{self.name}, identity {self.identities}\n{documents}\n{rows}\n{rules}\n"
                f"order: {[table.address for table in self.order]}")


# --- values ----------------------------------------------------------------------------------------------------------


def can_match(kind, other):
    """Whether values of one can be keys to the other."""
    if not kind.keys or not other.keys:
        return False
    crossing = {kind.group, other.group} in ({"text", "number"}, {"text", "uuid"})
    return kind.group == other.group or (crossing and KINDS["numeric"] not in (kind, other))


INTEGER = "^-?[0-9]+$"
UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


def cast(column, target):
    """The value as one that the target's type can be compared with; null where it can't be."""
    name = quoted(column.name)
    if column.kind.group == target.kind.group:
        return name
    if target.kind.is_text:
        return f"{name}::text"
    pattern, type_ = (INTEGER, "numeric") if target.kind.group == "number" else (UUID, "uuid")
    return f"case when {name} ~ '{pattern}' then {name}::{type_} end"


def bare(column):
    """Its type without a length, which would cut what is compared."""
    return "text" if column.kind.is_text else column.kind.sql


def shown_as(column):
    name = quoted(column.name)
    return f"{name}::text" if column.kind.sql in ("numeric", "uuid") else name


def shown(value):
    """As JSON has it: times in UTC, ISO 8601."""
    return value.isoformat() if isinstance(value, (date, datetime)) else value


class Masking:
    """Holds values before and after against masks. Equal values have equal hashes, others have others."""

    def __init__(self):
        self.hashes = {}  # strategy -> old value -> what became of it

    def problem(self, mask, column, olds, new):
        """None: `new` is what becomes of one of `olds`."""
        strategy, configuration = mask
        suffix = configuration.get("format_preservation", {}).get("suffix", "")
        length = self.room(column)
        if strategy == "null_rewrite":
            return None if new is None else "not null"
        if strategy == "string_rewrite":
            wanted = (configuration["rewrite_value"] + suffix)[:length]
            return None if new == wanted else f"not {wanted!r}"
        if strategy == "random_string_rewrite":
            return None if new is not None and self.fits("[a-z0-9]", 12, suffix, new, length) else "not random"
        if new is None:
            return None if None in olds else "a value became null"
        if not self.fits("[0-9a-f]", 64, suffix, new, length):
            return "no hash"
        return self.hash_problem(strategy, olds, new[:64])

    @staticmethod
    def room(column):
        """Characters that a text may have there."""
        return min(column.kind.room, column.meta.get("length", column.kind.room))

    @staticmethod
    def fits(characters, count, suffix, new, length):
        wanted = re.compile(f"({characters}{{{min(count, length)}}})(.*)", re.DOTALL).fullmatch(new)
        return bool(wanted) and wanted[2] == suffix[:max(0, length - count)]

    def hash_problem(self, strategy, olds, new):
        known = self.hashes.setdefault(strategy, {})
        if len(olds) > 1:
            return None if any(old is not None for old in olds) else "null became a value"
        old, = olds
        if old is None:
            return "null became a value"
        before = known.get(old, "")
        if not (before.startswith(new) or new.startswith(before)):
            return "another hash than of an equal value"
        known[old] = max(before, new, key=len)
        if len(new) == 64 and sum(value == new for value in known.values()) > 1:
            return "the same hash as of another value"
        return None
