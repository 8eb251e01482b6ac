"""The part of ./dev demo about a person's data: the example of the product's page on manual webhooks, whose package is
the page's own, and an erasure."""

import json
from urllib.parse import urlsplit

import psycopg
import requests

from client import must, must_all
from stack import StackError
from telling import bold, chapter, faint, said, tell

DATABASE = "postgres_example"
CONNECTION = "postgres_example_config"
MANUAL = "manual_webhook_key"
EMAIL = "customer-3@example.com"
READ, ERASE = "example_access_policy", "example_erasure_policy"

TABLE = """
drop table if exists customer;
create table customer (id bigint primary key, name text, email text);
insert into customer values (1, 'Jane Customer', 'customer-3@example.com'), (2, 'John Customer', 'customer-1@example.com');
"""
DATASET = {"fides_key": DATABASE, "name": "Postgres Example", "collections": [{"name": "customer", "fields": [
    {"name": "id", "data_categories": ["user.unique_id"], "fides_meta": {"primary_key": True}},
    {"name": "name", "data_categories": ["user.name"]},
    {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}}]}]}
FIELDS = [{"pii_field": "First Name", "dsr_package_label": "first_name"},
          {"pii_field": "Last Name", "dsr_package_label": "last_name"},
          {"pii_field": "Phone Number", "dsr_package_label": None},
          {"pii_field": "Height", "dsr_package_label": "height"}]
PACKAGE = {
    "postgres_example:customer": [{"name": "Jane Customer", "email": EMAIL, "id": 1}],
    "manual_webhook_key": [{"first_name": "Jane", "last_name": "Customer"}],
}


def make_database(url):
    with psycopg.connect(url, autocommit=True) as db:
        if not db.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
            db.execute(f"create database {DATABASE}")
    with psycopg.connect(example_url(url), autocommit=True) as db:
        db.execute(TABLE)


def example_url(url):
    return urlsplit(url)._replace(path=f"/{DATABASE}").geturl()


def configure(api, url):
    chapter("A database of yours is connected, and a dataset says what is in it.")
    make_database(url)
    place = urlsplit(url)
    must_all(api.patch("/connection", [{"name": "Postgres Example", "key": CONNECTION, "connection_type": "postgres",
                                        "access": "write"}]))
    said("PATCH", "/connection", CONNECTION)
    must(api.put(f"/connection/{CONNECTION}/secret", {
        "host": place.hostname, "port": place.port, "dbname": DATABASE, "username": place.username,
        "password": place.password}))
    said("PUT", f"/connection/{CONNECTION}/secret", DATABASE)
    must_all(api.patch(f"/connection/{CONNECTION}/dataset", [DATASET]))
    said("PATCH", f"/connection/{CONNECTION}/dataset", "customer: id, name, email")
    make_policy(api, READ, {"action_type": "access", "storage_destination_key": make_storage(api)})
    make_policy(api, ERASE, {"action_type": "erasure", "masking_strategy": {
        "strategy": "string_rewrite", "configuration": {"rewrite_value": "MASKED"}}}, "user.name")


def make_storage(api):
    must_all(api.patch("/storage/config", [{"name": "Example storage", "key": "example_storage", "type": "local",
                                            "format": "json", "details": {"naming": "request_id"}}]))
    return "example_storage"


def make_policy(api, key, rule, category="user"):
    must_all(api.patch("/dsr/policy", [{"name": key.replace("_", " ").title(), "key": key}]))
    must_all(api.patch(f"/dsr/policy/{key}/rule", [rule | {"name": f"{key} rule", "key": f"{key}_rule"}]))
    must_all(api.patch(f"/dsr/policy/{key}/rule/{key}_rule/target", [{
        "data_category": category, "name": f"{key} target", "key": f"{key}_target"}]))
    said("PATCH", f"/dsr/policy/{key}/rule", f"{rule['action_type']}, {category}")


def configure_manual(api):
    chapter("What no connector reaches is filled in by a person.")
    must_all(api.post("/connection", [{"name": "Manual Webhook ConnectionConfig", "key": MANUAL,
                                       "connection_type": "manual_webhook", "access": "read"}]))
    said("POST", "/connection", MANUAL)
    must(api.patch(f"/connection/{MANUAL}/access_manual_webhook", {"fields": FIELDS}))
    said("PATCH", f"/connection/{MANUAL}/access_manual_webhook", "First Name, Last Name, Phone Number, Height")


def package_of(api, request_id):
    urls = must(api.get(f"/privacy-request/{request_id}/access-results"))["access_result_urls"]
    said("GET", f"/privacy-request/{request_id}/access-results", f"{len(urls)} package")
    return must(requests.get(urls[0], timeout=30))


def access_story(api, step):
    chapter("customer-3 asks for their data. An operator looks into the paper files, and adds what is there.")
    request_id, status = step(None, EMAIL, READ)
    step("requires_input", request_id, status)
    answer = {"first_name": "Jane", "last_name": "Customer"}
    must(api.patch(f"/privacy-request/{request_id}/access_manual_webhook/{MANUAL}", answer))
    said("PATCH", f"/privacy-request/…/access_manual_webhook/{MANUAL}", "Jane, Customer")
    must(api.post(f"/privacy-request/{request_id}/resume_from_requires_input"))
    said("POST", "/privacy-request/…/resume_from_requires_input")
    step("complete", request_id, "requires_input")
    package = package_of(api, request_id)
    if package != PACKAGE:
        raise StackError(f"the package is not the one that the page shows: {package}")
    tell("\n  The package that the person gets:\n")
    for line in json.dumps(package, indent=2).splitlines():
        tell(f"    {line}")
    return request_id


def show_rows(url, when):
    with psycopg.connect(example_url(url)) as db:
        for row in db.execute("select id, name, email from customer order by id").fetchall():
            tell(f"    {when:<8}{bold(row[0])}  {row[1]:<16}{faint(row[2])}")
            yield row


def erasure_story(api, url, step):
    chapter("customer-3 asks to be erased: their name goes, nobody else's row is touched.")
    before = list(show_rows(url, "before"))
    request_id, status = step(None, EMAIL, ERASE)
    step("requires_input", request_id, status)
    must(api.patch(f"/privacy-request/{request_id}/erasure_manual_webhook/{MANUAL}",
                   {"first_name": True, "last_name": True}))
    said("PATCH", f"/privacy-request/…/erasure_manual_webhook/{MANUAL}", "the operator has erased the paper, too")
    must(api.post(f"/privacy-request/{request_id}/resume_from_requires_input"))
    step("complete", request_id, "requires_input")
    after = list(show_rows(url, "after"))
    if after != [(1, "MASKED", EMAIL), before[1]]:
        raise StackError(f"the rows are {after}")


def tell_stories(api, environment, step):
    url = environment["DOCKET_POSTGRES_URL"]
    configure(api, url)
    configure_manual(api)
    try:
        access_story(api, step)
        erasure_story(api, url, step)
    finally:
        api.delete(f"/connection/{MANUAL}")  # or every later request would wait for a person
