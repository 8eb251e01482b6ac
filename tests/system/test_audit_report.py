"""docketctl audit report: on a topic that was made up, with answers that are known; then on docket's own."""

import csv
import io
import json
import subprocess
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from confluent_kafka import Producer

from stack import own_environment, wait_until
from utils import Answer, must

NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SINCE, UNTIL = "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"


def text_of(time):
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Log:
    """A lifecycle topic under a prefix of the test's own, and what docketctl says of it."""

    def __init__(self, stack, name, partitions=3):
        self.stack = stack
        self.prefix = f"{stack.name}_{name}"
        self.environment = own_environment() | stack.environment() | {
            "DOCKET_TOPIC_PREFIX": self.prefix, "DOCKET_TOPIC_PARTITIONS": str(partitions)}
        for unneeded in ("DOCKET_POSTGRES_URL", "DOCKET_SEALING_KEYS"):
            self.environment.pop(unneeded)
        self.run("topics")
        self.producer = Producer({"bootstrap.servers": stack.kafka.brokers, "linger.ms": 5})
        self.sequences = Counter()
        self.kept = []

    def run(self, *arguments, check=True):
        done = subprocess.run([self.stack.binary("docketctl"), *arguments], env=self.environment, capture_output=True,
                              text=True, check=False, timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == 0 or not check, done.stderr
        return done

    def report(self, *options):
        return json.loads(self.run("audit", "report", "--json", *options).stdout)

    def tell(self, request_id, word, time, **data):
        self.sequences[request_id] += 1
        number = self.sequences[request_id]
        headers = {"content-type": "application/json", "ce_specversion": "1.0", "ce_id": f"{request_id}.{number}",
                   "ce_type": f"docket.request.{word}.v1", "ce_subject": request_id, "ce_time": text_of(time),
                   "ce_sequence": f"{number:020}"}
        self.kept.append((request_id, json.dumps({"request_id": request_id} | data), list(headers.items())))
        self.send(self.kept[-1])

    def send(self, record):
        key, value, headers = record
        self.producer.produce(f"{self.prefix}.lifecycle", value, key, headers=headers)

    def flush(self):
        assert self.producer.flush(60) == 0

    def create(self, time, policy="erase", action="erasure", due=None):
        request_id = f"pri_{uuid.uuid4()}"
        self.tell(request_id, "created", time, status="pending", policy_key=policy, action_type=action, source=None,
                  due_date=due and text_of(due))
        return request_id

    def approve(self, request_id, time, by="user"):
        self.tell(request_id, "approved", time, status="approved", by=by, user_id=None)

    def complete(self, request_id, time):
        self.tell(request_id, "started", time, status="in_processing")
        self.tell(request_id, "completed", time, status="complete")

    def call(self, request_id, word, time, outcome, attempt=1, webhook="crm", duration=20, **more):
        self.tell(request_id, word, time, webhook_id="pre_1", webhook_key=webhook, delivery_id="dlv_1", attempt=attempt,
                  outcome=outcome, duration_ms=duration, **more)


def row(report, table, **names):
    found = [line for line in report["tables"][table] if names.items() <= line.items()]
    assert len(found) == 1, f"{names} in {report['tables'][table]}"
    return found[0]


@pytest.fixture(scope="module")
def log(stack):
    """A month with one of everything; and each record twice, as repeats are."""
    log = Log(stack, "report")
    # Ten that take one to ten days from receipt to decision, and two hours more each.
    for days in range(1, 11):
        request = log.create(NOON, due=NOON + 45 * DAY)
        log.approve(request, NOON + days * DAY, by="webhooks" if days > 4 else "user")
        log.complete(request, NOON + days * DAY + 2 * HOUR)
    # Received before the period, denied within it; received within, canceled after it.
    request = log.create(NOON - 10 * DAY, policy="read", action="access")
    log.tell(request, "denied", NOON + DAY, status="denied", by="client", user_id=None)
    request = log.create(NOON, policy="read", action="access")
    log.tell(request, "canceled", NOON + 60 * DAY, status="canceled", by="user", user_id=None)
    # Late, overdue, deleted.
    request = log.create(NOON - 2 * DAY, policy="read", action="access", due=NOON)
    log.approve(request, NOON - 2 * DAY, by="system")
    log.complete(request, NOON + HOUR)
    log.overdue = [log.create(NOON - 2 * DAY + number * HOUR, policy="read", action="access", due=NOON + number * DAY)
                   for number in range(3)]
    request = log.create(NOON, due=NOON + DAY)
    log.tell(request, "deleted", NOON + HOUR, by="user", user_id=None)
    # Fails twice, is retried, is still in error.
    request = log.create(NOON, policy="=SUM(A1)", action=None)
    log.approve(request, NOON)
    log.tell(request, "task_retried", NOON, task_id="t", action="access")
    log.tell(request, "task_failed", NOON, task_id="t", action="access")
    log.tell(request, "failed", NOON, status="error", step="access", message="no")
    log.tell(request, "retried", NOON + HOUR, status="in_processing", by="user", user_id=None)
    log.tell(request, "task_completed", NOON + HOUR, task_id="t", action="access")
    log.tell(request, "failed", NOON + HOUR, status="error", step="post_webhooks", message="no")
    # Calls.
    request = log.create(NOON, policy="read", action="access")
    log.call(request, "webhook_failed", NOON, "timeout", duration=15000)
    log.call(request, "webhook_sent", NOON, "succeeded", 2, status_code=200,
             disclosed={"connection_key": "crm_connection", "identity": ["email"], "parts": ["*"]})
    log.call(request, "webhook_given_up", NOON, "http_4xx", webhook="<b>", kind="post")
    log.call(request, "webhook_sent", NOON + 90 * DAY, "succeeded")
    for record in log.kept[:]:
        log.send(record)
    log.flush()
    return log


@pytest.fixture(scope="module")
def march(log):
    return log.report("--since", SINCE, "--until", UNTIL)


def test_the_figures_of_a_month(march):
    assert march["figures"] == {"received": 14, "approved": 11, "denied": 1, "canceled": 0, "completed": 11, "failed": 2,
                                "open": 6, "overdue": 3, "late": 1, "deleted": 1}
    assert (march["since"], march["until"]) == ("2026-03-01T00:00:00.000000Z", "2026-04-01T00:00:00.000000Z")


def test_repeats_count_once_and_are_told(log, march):
    assert march["notes"][0] == f"{2 * len(log.kept)} records were read, {len(log.kept) - 2} of them repeats, which count once."


def test_how_requests_stand_at_the_end_of_it(march):
    assert {line["status"]: (line["received"], line["all"]) for line in march["tables"]["statuses"]} == {
        "complete": (10, 11), "denied": (0, 1), "pending": (2, 5), "error": (1, 1), "deleted": (1, 1)}


def test_by_action_and_by_policy(march):
    assert {line["action"]: (line["received"], line["completed"], line["denied"], line["open"])
            for line in march["tables"]["actions"]} == {
        "erasure": (11, 10, 0, 0), "access": (2, 1, 1, 5), "none": (1, 0, 0, 1)}
    assert {line["policy"]: (line["received"], line["approved"], line["failed"], line["retried"])
            for line in march["tables"]["policies"]} == {
        "erase": (11, 10, 0, 0), "read": (2, 0, 0, 0), "=SUM(A1)": (1, 1, 2, 1)}


def test_times_are_those_of_the_requests_of_the_month(march):
    decided = row(march, "times", from_to="received to decided", action="erasure")
    days = [decided[mark] / 86400 for mark in ("p50", "p90", "p99", "max")]
    assert decided["requests"] == 10 and days == pytest.approx([5, 9, 10, 10], rel=0.032)
    assert decided["max"] == 10 * 86400
    completed = row(march, "times", from_to="approved to completed", action="erasure")
    assert completed["requests"] == 10 and completed["p50"] == completed["max"] == 2 * 3600
    everything = row(march, "times", from_to="received to over", action="all")
    assert everything["requests"] == 12 and everything["max"] == 11 * 86400
    assert row(march, "times", from_to="received to decided", action="access")["max"] == 11 * 86400


def test_what_is_overdue_is_listed_the_longest_first(log, march):
    assert [(line["request"], line["due"], line["status"], line["for"]) for line in march["tables"]["overdue"]] == [
        (request, text_of(NOON + number * DAY), "pending", (29 - number) * 86400 + 43200)
        for number, request in enumerate(log.overdue)]


def test_who_decided(march):
    assert {line["by"]: (line["approved"], line["denied"], line["canceled"]) for line in march["tables"]["deciders"]} == {
        "user": (5, 0, 0), "webhooks": (6, 0, 0), "client": (0, 1, 0)}


def test_what_failed_and_was_tried_again(march):
    assert {line["step"]: line["failures"] for line in march["tables"]["failures"]} == {"access": 1, "post_webhooks": 1}
    assert march["tables"]["tasks"] == [
        {"action": "access", "completed": 1, "skipped": 0, "retried": 1, "failed": 1}]


def test_calls_by_endpoint_and_what_came_of_them(march):
    crm = row(march, "calls", webhook="crm", kind="pre_approval")
    assert (crm["endpoint"], crm["attempts"], crm["succeeded"], crm["retries"], crm["given_up"]) == (
        "crm_connection", 2, 1, 1, 0)
    assert crm["max"] == 15 and crm["p50"] == pytest.approx(0.02, rel=0.032)
    assert row(march, "calls", webhook="<b>", kind="post")["given_up"] == 1
    assert {(line["webhook"], line["outcome"]): line["attempts"] for line in march["tables"]["outcomes"]} == {
        ("crm", "timeout"): 1, ("crm", "succeeded"): 1, ("<b>", "http_4xx"): 1}


def test_without_a_period_it_is_all_that_there_is(log):
    report = log.report("--until", "2027-01-01T00:00:00Z")
    assert report["since"] is None
    assert (report["figures"]["received"], report["figures"]["canceled"]) == (19, 1)
    assert row(report, "calls", webhook="crm", kind="pre_approval")["attempts"] == 3


def test_the_csv_says_the_same_and_no_formula(log, march):
    text = log.run("audit", "report", "--since", SINCE, "--until", UNTIL, "--csv", "-").stdout
    lines = list(csv.DictReader(io.StringIO(text)))
    assert lines[0].keys() == {"table", "name", "measure", "value"}
    figures = {line["measure"]: int(line["value"]) for line in lines if line["table"] == "figures"}
    assert figures == march["figures"]
    policies = {(line["name"], line["measure"]): int(line["value"]) for line in lines if line["table"] == "policies"}
    assert policies["'=SUM(A1)", "failed"] == 2 and policies["erase", "completed"] == 10
    decided = {line["measure"]: line["value"] for line in lines
               if (line["table"], line["name"]) == ("times", "received to decided / erasure")}
    assert float(decided["max"]) == 10 * 86400
    assert not [line for line in lines if line["name"][:1] in "=+-@"]


class Page(HTMLParser):
    """What a person reads: each table's cells by its section, and whatever the page would fetch or run."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.open, self.section, self.cells, self.alien = {}, [], None, None, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.alien += [tag] if tag in ("script", "img", "link", "iframe", "b") else []
        self.alien += [name for name in attributes if name in ("src", "href") or name.startswith("on")]
        if tag not in ("meta",):
            self.open.append(tag)
        if tag == "section":
            self.section = self.tables.setdefault(attributes["id"], [])
        if tag == "tr":
            self.section.append([])
        if tag in ("td", "th"):
            self.section[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.section[-1][-1] += data


def test_the_page_has_every_table_and_nothing_from_elsewhere(log, march, tmp_path):
    file = tmp_path / "report.html"
    done = log.run("audit", "report", "--since", SINCE, "--until", UNTIL, "--html", str(file))
    assert done.stdout == ""
    page = Page(file.read_text())
    assert not page.open and not page.alien
    assert page.tables.keys() == march["tables"].keys()
    for name, lines in march["tables"].items():
        assert len(page.tables[name]) == (len(lines) + 1 if lines else 0), name
    assert ["=SUM(A1)", "1", "1", "0", "0", "0", "2", "1", "1"] in page.tables["policies"]
    assert any(line[:3] == ["", "post", "<b>"] for line in page.tables["calls"])
    assert ["received to decided", "erasure", "10"] in [line[:3] for line in page.tables["times"]]


def test_on_a_terminal_it_is_text(log):
    text = log.run("audit", "report", "--since", SINCE, "--until", UNTIL).stdout
    assert "          14  requests received\n" in text and "\nWho decided\n" in text
    assert "docketctl audit verify" in text


def test_little_memory_gives_the_same_report(stack):
    """The requests of a partition are more than fit: it is read again in slices."""
    log = Log(stack, "report_many", partitions=2)
    for number in range(3000):
        request = log.create(NOON + number * HOUR / 100, policy=f"p{number % 7}", due=NOON + DAY)
        if number % 2:
            log.approve(request, NOON + 2 * DAY + number * HOUR)
        if number % 3 == 0:
            log.complete(request, NOON + 3 * DAY + number * HOUR)
    log.flush()
    options = ("--since", SINCE, "--until", "2027-01-01T00:00:00Z")
    much = log.report(*options)
    little = log.report(*options, "--memory", "64K")
    assert much["figures"]["received"] == 3000 and len(much["tables"]["overdue"]) == 100
    del much["made_at"], little["made_at"]
    assert little == much


@pytest.mark.parametrize("options", [["--since", "yesterday"], ["--since", UNTIL, "--until", SINCE], ["--html"],
                                     ["now"], ["--memory", "1"], ["--xml", "x"]])
def test_other_words_are_refused(log, options):
    assert log.run("audit", "report", *options, check=False).returncode == 2


def test_a_topic_that_is_not_there_is_told(stack, log):
    environment = log.environment | {"DOCKET_TOPIC_PREFIX": "nowhere"}
    done = subprocess.run([stack.binary("docketctl"), "audit", "report"], env=environment, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 3 and "there is no topic" in done.stderr


def test_of_docket_s_own_log_it_says_what_the_database_says(stack, api, receiver, identity, db):
    api.make_webhooks(receiver, crm=Answer())
    ids = [request["id"] for request in api.create_requests([identity() for _ in range(8)], "default_erasure_policy")]
    for request_id in ids:
        receiver.wait_calls(1, "/crm", request_id)
    api.approve(*ids[:3])
    api.deny(*ids[3:5])
    must(api.patch("/privacy-request/administrate/cancel", {"request_ids": ids[5:6]}))
    for request_id in ids[:3]:
        api.wait_status(request_id, "complete")
    wait_until(lambda: not db.execute("select 1 from request_outbox").fetchone(), 20, "all to be published")
    since = db.execute("select min(created_at) from privacy_request where id = any(%s)", (ids,)).fetchone()[0]
    report = json.loads(stack.docketctl("audit", "report", "--json", "--since", since.isoformat()).stdout)
    assert {line["status"]: line["received"] for line in report["tables"]["statuses"] if line["received"]} == dict(
        db.execute("select status, count(*) from privacy_request where created_at >= %s and deleted_at is null "
                   "group by status", (since,)).fetchall())
    assert report["figures"]["received"] == len(ids)
    crm = row(report, "calls", webhook="crm", kind="pre_approval")
    assert crm["attempts"] == crm["succeeded"] == len(ids)
