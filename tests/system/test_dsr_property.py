"""Access and erasure of cases by chance, held against SQL of our own (generating.py).

DOCKET_TEST_CASES=500 does more; DOCKET_TEST_SEED=..., printed by a failure, makes the same cases again.
"""

import os
import secrets
from random import Random

import psycopg
import pytest
import requests

from customers import sorted_rows
from generating import Case, Masking, make_policies
from utils import must, must_all, wait_until

CASES = int(os.environ.get("DOCKET_TEST_CASES", 60))
AT_ONCE = 50  # that are configured together, each skipping the others' collections
POLICIES = 8  # that they share
STORAGE = "property"
PATIENCE = 120

pytestmark = pytest.mark.settings(DOCKET_RESULTS_DOWNLOAD="true", DOCKET_TASK_RETRY_SCHEDULE="none")


class Customer:
    """One database with two connections to it, one of which says where tables of no namespace are."""

    SCHEMAS = {"a": "public", "b": "Elsewhere of \"b\""}

    def __init__(self, postgres, name, api):
        self.postgres, self.name, self.api = postgres, name, api
        postgres.create_database(name)

    def open(self):
        return psycopg.connect(self.postgres.url(self.name), autocommit=True, options="-c TimeZone=UTC")

    def fill(self, cases):
        with self.open() as db, db.transaction():
            self.clear(db)
            for case in cases:
                case.create(db, self.SCHEMAS)

    @staticmethod
    def clear(db):
        schemas = db.execute("select quote_ident(nspname) from pg_namespace where nspname !~ '^pg_' "
                             "and nspname <> 'information_schema'").fetchall()
        for schema, in schemas:
            db.execute(f"drop schema {schema} cascade")

    def connect(self, cases):
        for letter, schema in self.SCHEMAS.items():
            key = f"{self.name}_{letter}"
            must_all(self.api.patch("/connection", [
                {"key": key, "name": key, "connection_type": "postgres", "access": "write"}]))
            login = {"host": "127.0.0.1", "port": self.postgres.port, "dbname": self.name,
                        "username": self.postgres.ROLE, "password": self.postgres.password}
            must(self.api.put(f"/connection/{key}/secret", login | ({"db_schema": schema} if letter == "b" else {})))
            documents = [document for case in cases for name, document in case.documents().items()
                         if name.endswith(letter)]
            must_all(self.api.patch(f"/connection/{key}/dataset", documents))


@pytest.fixture
def customer(stack, api):
    return Customer(stack.postgres, f"{stack.name}_property", api)


@pytest.fixture
def seed():
    """Of what is left to chance."""
    seed = os.environ.get("DOCKET_TEST_SEED") or secrets.token_hex(4)
    print(f"DOCKET_TEST_SEED={seed}")
    return seed


# --- telling docket --------------------------------------------------------------------------------------------------


def tell_rules(api, key, rules):
    elements = []
    for number, rule in enumerate(rules):
        name = f"{key}_{number}"
        more = ({"storage_destination_key": STORAGE} if rule.action == "access" else
                {"masking_strategy": {"strategy": rule.strategy, "configuration": rule.configuration}})
        elements.append({"key": name, "name": name, "action_type": rule.action} | more)
    must_all(api.patch(f"/dsr/policy/{key}/rule", elements))
    for element, rule in zip(elements, rules):
        must_all(api.patch(f"/dsr/policy/{key}/rule/{element['key']}/target",
                           [{"data_category": category} for category in rule.targets]))


def tell_policies(api, policies):
    must(api.patch("/config", {"execution": {"require_manual_request_approval": False}}))
    must_all(api.patch("/storage/config", [{"key": STORAGE, "name": STORAGE, "type": "local", "format": "json",
                                            "details": {"naming": "request_id"}}]))
    keys = [f"{one.name}_{action}" for one in policies for action in ("access", "erasure")]
    must_all(api.patch("/dsr/policy", [{"key": key, "name": key} for key in keys]))
    for one in policies:
        tell_rules(api, f"{one.name}_access", one.access)
        tell_rules(api, f"{one.name}_erasure", one.erasure)


# --- asking it -------------------------------------------------------------------------------------------------------


def run(api, db, cases, action):
    """One request a case, all at once; their ids once they have ended."""
    made = must_all(api.post("/privacy-request", [
        {"policy_key": f"{case.policies.name}_{action}", "identity": case.identity()} for case in cases]))
    ids = [one["id"] for one in made]

    def left():
        return db.execute("select count(*) from privacy_request "
                          "where id = any(%s) and status not in ('complete', 'error')", (ids,)).fetchone()[0]

    wait_until(lambda: not left(), PATIENCE, lambda: f"{left()} of {len(ids)} requests of {action} to end", every=0.1)
    return dict(zip(cases, ids))


def packages(api, request_id):
    urls = must(api.get(f"/privacy-request/{request_id}/access-results"))["access_result_urls"]
    return [sorted_rows(must(requests.get(url, timeout=30))) for url in urls]


def log(api, request_id):
    """(action, address) -> its entries as (status, message)."""
    told, page = {}, 1
    while True:
        answer = must(api.get(f"/privacy-request/{request_id}/log", params={"size": 100, "page": page}))
        for entry in answer["items"]:
            address = f"{entry['dataset_name']}:{entry['collection_name']}"
            told.setdefault((entry["action_type"], address), []).append((entry["status"], entry["message"]))
        if page >= answer["pages"]:
            return told
        page += 1


# --- what is wrong with the answer -----------------------------------------------------------------------------------


def package_problems(found, expected):
    expected = [sorted_rows(one) for one in expected]
    left = list(expected)
    for package in found:
        if package in left:
            left.remove(package)
    if not left and len(found) == len(expected):
        return []
    return [f"packages are\n  {found}\nnot\n  {expected}"]


def told_problems(told, action, wanted):
    """`wanted`: by address, the records that may be told of."""
    problems = []
    for address, (word, counts) in wanted.items():
        messages = [("complete", f"success - {word} {count} records") for count in counts]
        entries = told.get((action, address), [])
        if not any(entry in messages for entry in entries):
            problems.append(f"the log says {entries} of {action} of {address}, not {messages[0]}")
    return problems


def retrieved(reached):
    return {table.address: ("retrieved", [len(numbers)]) for table, numbers in reached.items()}


def masked(case, reached):
    """Where rows are found by several columns that need not have a value, one may be written more than once."""
    def counts(table, count):
        if not case.masks(table):
            return [0]
        if case.finds_rows_exactly(table) or len(case.entries(table)) == 1:
            return [count]
        return range(count, count * 2 ** len(case.entries(table)) + 1)

    return {table.address: ("masked", counts(table, len(numbers))) for table, numbers in reached.items()}


def table_problems(case, table, before, after, reached, masking):
    problems = []
    if before.keys() != after.keys():
        return [f"{table.address} has other rows"]
    masks = case.masks(table)
    exact = case.finds_rows_exactly(table)
    for number, was in before.items():
        for column, old, new in zip(table.columns, was, after[number], strict=True):
            mask = masks.get(column) if number in reached else None
            if mask:
                olds = [old] if exact else [before[other][table.columns.index(column)] for other in reached]
                problem = masking.problem(mask, column, olds, new)
            else:
                problem = None if old == new else "it was to stay"
            if problem:
                problems.append(f"{table.address} row {number} {column.name!r}: {old!r} became {new!r}: {problem} "
                                f"({mask})")
    return problems


def access_problems(api, db, case, request_id):
    reached = case.reached(db)
    expected = [case.package(db, reached, rule) for rule in case.policies.access]
    told = log(api, request_id)
    return (package_problems(packages(api, request_id), expected)
            + told_problems(told, "access", retrieved(reached)))


def erasure_problems(api, case, request_id, wanted, before, after):
    reached, expected = wanted
    told = log(api, request_id)
    problems = (told_problems(told, "access", retrieved(reached))
                + told_problems(told, "erasure", masked(case, reached)))
    if expected:
        problems += package_problems(packages(api, request_id), expected)
    masking = Masking()
    for table in case.order:
        problems += table_problems(case, table, before[table], after[table], set(reached[table]), masking)
    return problems


# --- the test --------------------------------------------------------------------------------------------------------


def failures(db, ids):
    """By case, what of its request did not come to a good end."""
    found, cases = {}, {request_id: case for case, request_id in ids.items()}
    rows = db.execute("select p.id, p.status, t.id, t.message from privacy_request p left join request_task t "
                      "on t.request_id = p.id and t.state = 'failed' "
                      "where p.id = any(%s) and (p.status <> 'complete' or t.id is not null)", (list(cases),))
    for request_id, *failure in rows:
        found.setdefault(cases[request_id], []).append(" ".join(map(str, [request_id, *failure])))
    return found


def read(api, db, data, cases):
    """The problems of all access requests, by case."""
    ids = run(api, db, cases, "access")
    failed = failures(db, ids)
    return [(case, failed.get(case) or access_problems(api, data, case, ids[case])) for case in cases]


def erase(api, db, data, cases):
    wanted = {}
    for case in cases:
        reached = case.reached(data)
        wanted[case] = reached, [case.package(data, reached, rule) for rule in case.policies.erasure
                                 if rule.action == "access"]
    before = {case: case.snapshot(data) for case in cases}
    ids = run(api, db, cases, "erasure")
    failed = failures(db, ids)
    return [(case, failed.get(case) or erasure_problems(api, case, ids[case], wanted[case], before[case],
                                                        case.snapshot(data))) for case in cases]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("part", range(-(-CASES // AT_ONCE)))
def test_access_and_erasure_are_what_the_tables_say(api, db, customer, seed, part):
    random = Random(f"{seed}-{part}")
    policies = [make_policies(random, f"policies_{part}_{number}") for number in range(POLICIES)]
    cases = [Case(random, f"case_{number}", random.choice(policies))
             for number in range(part * AT_ONCE, min((part + 1) * AT_ONCE, CASES))]
    customer.fill(cases)
    customer.connect(cases)
    tell_policies(api, policies)
    with customer.open() as data:
        problems = read(api, db, data, cases) + erase(api, db, data, cases)
    wrong = {case: found for case, found in problems if found}
    shown = "\n".join(f"{case.name} {text}" for case, found in problems for text in found)
    assert not wrong, "\n\n".join([f"DOCKET_TEST_SEED={seed}, {len(wrong)} of {len(cases)} cases:\n{shown}",
                                   *map(str, list(wrong)[:2])])
