"""A company's own databases: a shop and a CRM, eight tables, people in all of them.

    company = Company(postgres, "faults")
    company.create()
    company.add([Person(1, "a@example.com"), ...])
    company.connect(api, "faults")         # connections, datasets
    company.collected(person)              # what an access must find, by SQL of our own

What is in a row follows from the person's number, so that the end can be told without remembering the beginning.
"""

import json
from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

SHOP = """
create table customer (id bigint primary key, email text not null, name varchar(60), phone text, vip boolean not null);
create table address (id bigint primary key, customer_id bigint not null references customer, street text, city text);
create table orders (id bigint primary key, customer_id bigint not null references customer, total numeric(10, 2) not null,
                     note text, ordered_at timestamptz not null);
create table order_item (id bigint primary key, order_id bigint not null references orders, product text not null,
                         gift_note text);
create table "Payment Card" (id bigint primary key, customer_id bigint not null references customer, holder varchar(40),
                             number text);
create index on address (customer_id);
create index on orders (customer_id);
create index on order_item (order_id);
create index on "Payment Card" (customer_id);
create index on customer (email);
"""

CRM = """
create table contact (id uuid primary key, email text, full_name text, born date);
create table ticket (id bigint primary key, contact_id uuid not null references contact, subject text, body text);
create table login (email text not null, ip text, agent text, at timestamptz not null, primary key (email, at));
create index on contact (email);
create index on ticket (contact_id);
"""


@dataclass(frozen=True)
class Person:
    number: int  # from 1
    email: str
    word: str = "value"  # in everything that is theirs alone


def field(name, category=None, reference=None, **meta):
    """A dataset's field; reference: "dataset.collection.field", which leads here."""
    made = {"name": name}
    if category:
        made["data_categories"] = [category]
    if reference:
        dataset, _, path = reference.partition(".")
        meta["references"] = [{"dataset": dataset, "field": path, "direction": "from"}]
    return made | ({"fides_meta": meta} if meta else {})


class Company:
    def __init__(self, postgres, name):
        self.postgres = postgres
        self.name = name
        self.databases = {"shop": f"{name}_shop", "crm": f"{name}_crm"}

    def open(self, which):
        return psycopg.connect(self.postgres.url(self.databases[which]), autocommit=True, row_factory=dict_row,
                               options="-c TimeZone=UTC")

    def create(self):
        for which, tables in (("shop", SHOP), ("crm", CRM)):
            self.postgres.create_database(self.databases[which])
            with self.open(which) as db:
                if not db.execute("select 1 from pg_tables where schemaname = 'public' limit 1").fetchone():
                    db.execute(tables)

    def add(self, people):
        with self.open("shop") as db:
            for table, rows in shop_rows(people).items():
                copy(db, table, rows)
        with self.open("crm") as db:
            for table, rows in crm_rows(people).items():
                copy(db, table, rows)

    def datasets(self):
        """As JSON documents; their keys are the databases' names."""
        shop, crm = self.databases["shop"], self.databases["crm"]
        key = field("id", primary_key=True)
        return {"shop": {"fides_key": shop, "name": "Shop", "collections": [
            {"name": "customer", "fields": [
                key, field("email", "user.contact.email", identity="email"), field("name", "user.name"),
                field("phone", "user.contact.phone_number"), field("vip", "system.operations")]},
            {"name": "address", "fields": [
                key, field("customer_id", reference=f"{shop}.customer.id"),
                field("street", "user.contact.address.street"), field("city", "user.contact.address.city")]},
            {"name": "orders", "fields": [
                key, field("customer_id", reference=f"{shop}.customer.id"), field("total", "user.financial"),
                field("note", "user.content"), field("ordered_at", "user.behavior.purchase_history")]},
            {"name": "order_item", "fields": [
                key, field("order_id", reference=f"{shop}.orders.id"),
                field("product", "user.behavior.purchase_history"), field("gift_note", "user.content.private")]},
            {"name": "Payment Card", "fields": [
                key, field("customer_id", reference=f"{shop}.customer.id"), field("holder", "user.name"),
                field("number", "user.financial.credit_card")]},
        ]}, "crm": {"fides_key": crm, "name": "CRM", "collections": [
            {"name": "contact", "fields": [
                key, field("email", "user.contact.email", reference=f"{shop}.customer.email"),
                field("full_name", "user.name"), field("born", "user.demographic.date_of_birth")]},
            {"name": "ticket", "fields": [
                key, field("contact_id", reference=f"{crm}.contact.id"), field("subject", "user.content"),
                field("body", "user.content.private")]},
            {"name": "login", "fields": [
                field("email", "user.contact.email", identity="email"), field("ip", "user.device.ip_address"),
                field("agent", "user.device"), field("at", "user.behavior")]},
        ]}}

    def secrets(self, which):
        return {"host": "127.0.0.1", "port": self.postgres.port, "dbname": self.databases[which],
                "username": self.postgres.ROLE, "password": self.postgres.password}

    def connect(self, api, must):
        """Connections and datasets, through docket's own API."""
        for which, dataset in self.datasets().items():
            key = self.databases[which]
            answer = must(api.patch("/connection", [
                {"key": key, "name": key, "connection_type": "postgres", "access": "write"}]))
            assert not answer["failed"], answer
            must(api.put(f"/connection/{key}/secret", self.secrets(which)))
            answer = must(api.patch(f"/connection/{key}/dataset", [dataset]))
            assert not answer["failed"], answer

    def collected(self, person):
        """What the person's package must have, by address: every row, by SQL of our own, as JSON shows it."""
        shop, crm = self.databases["shop"], self.databases["crm"]
        with self.open("shop") as db:
            found = {f"{shop}:{table}": rows(db, sql, person.email) for table, sql in SHOP_QUERIES.items()}
        with self.open("crm") as db:
            found |= {f"{crm}:{table}": rows(db, sql, person.email) for table, sql in CRM_QUERIES.items()}
        return {address: of_it for address, of_it in found.items() if of_it}

    def everything(self):
        """All rows of all tables, by table, in the order of their keys: for checksums and comparisons."""
        found = {}
        for which in self.databases:
            with self.open(which) as db:
                tables = [row["tablename"] for row in db.execute(
                    "select tablename from pg_tables where schemaname = 'public' order by 1")]
                for table in tables:
                    found[table] = db.execute(f'select * from "{table}" order by 1, 2').fetchall()
        return found


# What an access for categories below "user" finds; keys without a category are read, and not given.
SHOP_QUERIES = {
    "customer": "select email, name, phone from customer where email = %s order by id",
    "address": "select a.street, a.city from address a join customer c on c.id = a.customer_id where c.email = %s "
               "order by a.id",
    "orders": "select o.total::text as total, o.note, o.ordered_at from orders o join customer c on c.id = o.customer_id "
              "where c.email = %s order by o.id",
    "order_item": "select i.product, i.gift_note from order_item i join orders o on o.id = i.order_id "
                  "join customer c on c.id = o.customer_id where c.email = %s order by i.id",
    "Payment Card": 'select p.holder, p.number from "Payment Card" p join customer c on c.id = p.customer_id '
                    "where c.email = %s order by p.id",
}
CRM_QUERIES = {
    "contact": "select email, full_name, born from contact where email = %s order by id",
    "ticket": "select t.subject, t.body from ticket t join contact c on c.id = t.contact_id where c.email = %s "
              "order by t.id",
    "login": "select email, ip, agent, at from login where email = %s order by at",
}


def rows(db, sql, email):
    return [{name: shown(value) for name, value in row.items()} for row in db.execute(sql, (email,))]


def shown(value):
    """A value as JSON has it: times in UTC, ISO 8601."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def sorted_rows(found):
    """A package's rows in an order of their own, as SQL promises none."""
    return {address: sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)) for address, rows in found.items()}


def copy(db, table, rows):
    if not rows:
        return
    with db.cursor() as cursor, cursor.copy(f'copy "{table}" from stdin') as out:
        for row in rows:
            out.write_row(row)


def shop_rows(people):
    """Two addresses each, three orders of two items, one card."""
    tables = {"customer": [], "address": [], "orders": [], "order_item": [], "Payment Card": []}
    for person in people:
        number, word = person.number, person.word
        tables["customer"].append((number, person.email, f"Name {word} {number}", f"+1555{number:07}", number % 2 == 0))
        tables["address"] += [(2 * number + i, number, f"{word} street {i}", f"City {number % 7}") for i in range(2)]
        tables["Payment Card"].append((number, number, f"Holder {word} {number}", f"4{number:015}"))
        for i in range(3):
            order = 3 * number + i
            tables["orders"].append((order, number, f"{number}.{i}5", None if i == 1 else f"note {word} {order}",
                                     f"2026-0{1 + i}-01T10:00:0{i}+02"))
            tables["order_item"] += [(2 * order + j, order, f"product {j}", f"for {word} {order}-{j}") for j in range(2)]
    return tables


def crm_rows(people):
    """One contact with two tickets, two logins."""
    tables = {"contact": [], "ticket": [], "login": []}
    for person in people:
        number, word = person.number, person.word
        contact = f"00000000-0000-4000-8000-{number:012}"
        tables["contact"].append((contact, person.email, f"Full {word} {number}", f"19{60 + number % 40}-02-03"))
        tables["ticket"] += [(2 * number + i, contact, f"subject {word} {i}", f'said "{word}"\n{i}') for i in range(2)]
        tables["login"] += [(person.email, f"10.0.{number % 250}.{i}", f"agent {word}", f"2026-03-0{1 + i}T00:00:00Z")
                            for i in range(2)]
    return tables
