"""Workers die without a word while people's data is read, packed and erased in two databases: every package is complete
and right, every row is masked as it would have been, and nobody else's rows are touched."""

import os
import time

import pytest
import requests

from client import must, must_all
from customers import Company, Person, sorted_rows
from events import consumer_lag
from load import Killer, log_problems
from stack import wait_until

EACH = int(os.environ.get("DOCKET_TEST_EACH", 80))  # accesses, and erasures
BYSTANDERS = 100
LONGEST = 60  # seconds of killing
ROUNDS = int(os.environ.get("DOCKET_TEST_ROUNDS", 1))
MASKED = "MASKED"

# What an erasure makes of each table, by column; what is not named stays.
ERASED = {
    "customer": {"email": MASKED, "name": MASKED, "phone": MASKED},
    "address": {"street": MASKED, "city": MASKED},
    "orders": {"note": MASKED},
    "order_item": {"gift_note": MASKED},
    "Payment Card": {"holder": MASKED},
    "contact": {"email": MASKED, "full_name": MASKED},
    "ticket": {"subject": MASKED, "body": MASKED},
    "login": {},  # its key is what it is found by, and holds what would be masked
}
TARGETS = ["user.contact", "user.name", "user.content"]

pytestmark = [pytest.mark.workers(2),
              pytest.mark.settings(DOCKET_TASK_RETRY_SCHEDULE="500ms,500ms,500ms,1s,1s,1s,1s,1s,1s,1s",
                                   DOCKET_RESULTS_DOWNLOAD="true", DOCKET_PACKAGE_LINK_LIFE="1h")]


@pytest.fixture
def company(stack, api):
    company = Company(stack.postgres, f"faults_{os.getpid()}_{time.monotonic_ns()}")
    company.create()
    return company


def make_policies(api, name):
    """One that reads everything, one that overwrites; the text strategies' constant also goes over what is null."""
    must(api.patch("/config", {"execution": {"require_manual_request_approval": False}}))
    keys = f"{name}_access", f"{name}_erasure"
    must_all(api.patch("/dsr/policy", [{"key": key, "name": key} for key in keys]))
    must_all(api.patch("/storage/config", [{"key": name, "name": name, "type": "local", "format": "json",
                                            "details": {"naming": "request_id"}}]))
    rules = [{"action_type": "access", "storage_destination_key": name},
             {"action_type": "erasure", "masking_strategy": {"strategy": "string_rewrite",
                                                             "configuration": {"rewrite_value": MASKED}}}]
    for key, rule in zip(keys, rules):
        must_all(api.patch(f"/dsr/policy/{key}/rule", [rule | {"key": f"{key}_rule", "name": f"{key}_rule"}]))
        targets = ["user"] if rule["action_type"] == "access" else TARGETS
        must_all(api.patch(f"/dsr/policy/{key}/rule/{key}_rule/target", [{"data_category": one} for one in targets]))
    return keys


def exempt_logins(api, company):
    """Logins are found by what an erasure would overwrite: their address is left as it is."""
    key = company.databases["crm"]
    dataset = company.datasets()["crm"]
    login = next(one for one in dataset["collections"] if one["name"] == "login")
    next(one for one in login["fields"] if one["name"] == "email")["fides_meta"]["read_only"] = True
    must_all(api.patch(f"/connection/{key}/dataset", [dataset]))


def create(api, policy, people, prefix):
    """The ids of one request each, by the person."""
    made = {}
    for first in range(0, len(people), 50):
        part = people[first:first + 50]
        answer = must(api.post("/privacy-request", [
            {"policy_key": policy, "identity": {"email": person.email}, "external_id": f"{prefix}-{person.number}"}
            for person in part]))
        assert not answer["failed"], answer["failed"]
        made |= {person: one["id"] for person, one in zip(part, answer["succeeded"])}
    return made


def package(api, request_id):
    url, = must(api.get(f"/privacy-request/{request_id}/access-results"))["access_result_urls"]
    return must(requests.get(url, timeout=30))


def package_problems(api, made, expected):
    problems = []
    for person, request_id in made.items():
        found = sorted_rows(package(api, request_id))
        if found != sorted_rows(expected[person]):
            problems.append(f"the package of {request_id} (person {person.number}) is not what is in the tables: "
                            f"{sorted(found)}")
    return problems


def masked(table, row):
    """The row as an erasure leaves it; found by its person's number, it is theirs."""
    return row | ERASED[table]


def owner(table, row, emails):
    """Whose row it is: what is in it follows from the person's number."""
    number = {"customer": lambda: row["id"], "address": lambda: row["id"] // 2, "orders": lambda: row["id"] // 3,
              "order_item": lambda: row["id"] // 2 // 3, "Payment Card": lambda: row["id"],
              "contact": lambda: int(str(row["id"])[-12:]), "ticket": lambda: row["id"] // 2,
              "login": lambda: emails.get(row["email"])}
    return number[table]()


def table_problems(before, after, erased, emails):
    """Every row is there; masked where its person was erased, as it was where not."""
    problems = []
    for table, rows in before.items():
        wanted = [masked(table, row) if owner(table, row, emails) in erased else row for row in rows]
        key = lambda row: str(row.get("id", (row.get("email"), row.get("at"))))
        for was, is_now in zip(sorted(wanted, key=key), sorted(after[table], key=key), strict=True):
            if was != is_now:
                problems.append(f"{table}: wanted {was}, found {is_now}")
    return problems


def task_problems(db, prefix):
    """Each task is complete, and says how many rows it found or masked as the tables do."""
    return [f"{request_id}: {task} is {state}: {message}" for request_id, task, state, message in db.execute(
        "select t.request_id, t.id, t.state, t.message from request_task t join privacy_request p on p.id = t.request_id "
        "where p.external_id like %s and t.state <> 'complete'", (f"{prefix}%",))]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_reading_and_erasing_survive_workers_that_are_killed(stack, api, identity, bus, db, seed, company,
                                                               ledger, turn):
    bus.skip()
    people = [Person(number, identity(), f"w{seed}") for number in range(1, 2 * EACH + BYSTANDERS + 1)]
    readers, erased = people[:EACH], people[EACH:2 * EACH]
    company.add(people)
    company.connect(api, must)
    exempt_logins(api, company)
    access, erasure = make_policies(api, company.name)
    expected = {person: company.collected(person) for person in readers}
    before, prefix = company.everything(), f"execution-{seed}-{turn}"
    killer = Killer([program for program in stack.programs if program.name.startswith("docket-worker")],
                    f"{seed}-{turn}")
    began = time.monotonic()
    killer.start()
    made = create(api, access, readers, f"{prefix}-access")
    erasures = create(api, erasure, erased, f"{prefix}-erasure")
    total = len(made) + len(erasures)

    def complete():
        return db.execute("select count(*) from privacy_request where external_id like %s and status = 'complete'",
                          (f"{prefix}%",)).fetchone()[0]

    wait_until(lambda: complete() == total or time.monotonic() - began > LONGEST, LONGEST + 5, "the end of killing",
               every=0.5)
    killer.end()
    stack.start(2)
    for program in stack.programs:
        program.wait_ready()
    wait_until(lambda: complete() == total, 180, lambda: f"all {total} to be complete, {complete()} are", every=0.5)
    wait_until(lambda: consumer_lag(stack) == 0, 60, lambda: f"the lag to be 0, it is {consumer_lag(stack)}", every=1)
    print(f"{len(killer.killed)} killed, {time.monotonic() - began:.0f} s")
    emails = {person.email: person.number for person in people}
    problems = (task_problems(db, prefix) + package_problems(api, made, expected)
                + table_problems(before, company.everything(), {person.number for person in erased}, emails)
                + log_problems(stack) + ledger.rebuild_problems())
    assert not problems, f"seed {seed}: {len(problems)}\n" + "\n".join(map(str, problems[:30]))
