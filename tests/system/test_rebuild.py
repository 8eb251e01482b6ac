"""The tables of requests are made anew from the topic alone, and are what docket has, column by column."""

import secrets

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from asking import make_manual, make_policy
from packing import packing  # noqa: F401
from stepping import cancel, disable, go_on, halt, make_steps, one_way, put_steps, start, two_way
from utils import Answer, Reply, must, wait_until, worker_settings

TABLES = ["privacy_request", "webhook_delivery", "webhook_attempt", "pre_approval_reply", "request_task",
          "request_timer", "manual_input", "request_package"]


@pytest.fixture
def into(ledger):
    """The URL of an empty database."""
    with ledger.empty_database() as url:
        yield url


def findings(lines, ledger):
    """What no test has done by hand."""
    return [line for line in lines
            if line["kind"] not in ("table", "summary") and not ledger.is_by_hand(line.get("request_id"))]


def published(db):
    wait_until(lambda: not db.execute("select 1 from request_outbox").fetchone(), 20, "all to be published")


# --- every kind of life ----------------------------------------------------------------------------------------


@pytest.fixture
def impatient(stack):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="200ms,200ms", DOCKET_WEBHOOK_RETRY_JITTER=0,
                         DOCKET_PRE_APPROVAL_REMINDER="500ms", DOCKET_PAUSE_LIFE="5s",
                         DOCKET_TASK_RETRY_SCHEDULE="200ms"):
        yield


def judged(api, receiver, identity):
    """Approved by webhooks, objected and approved, denied, canceled, deleted, reminded, called in vain, replied late."""
    api.make_webhooks(receiver, crm=[Answer(503), Answer()] + [Answer()] * 100, tickets=Answer())
    ids = [api.create_request(identity(), custom_privacy_request_fields={"a": {"label": "A", "value": identity()}},
                              requested_at="2026-01-02T03:04:05Z", source="Request Manager")["id"] for _ in range(7)]
    calls = [[receiver.wait_calls(1, path, request_id)[0] for path in ("/crm", "/tickets")] for request_id in ids]
    for call in calls[0]:
        receiver.reply(call, "eligible")
    receiver.reply(calls[1][0], "not-eligible")
    api.deny(ids[2], reason=identity())
    cancel(api, ids[3])
    must(api.post(f"/privacy-request/{ids[4]}/soft-delete"))
    receiver.wait_calls(2, "/tickets", ids[5])
    receiver.reply(calls[6][0], "eligible")
    api.wait_status(ids[0], "complete")
    api.wait_status(ids[1], "pre_approval_not_eligible")
    api.approve(ids[1], ids[6])
    for request_id in (ids[1], ids[6]):
        api.wait_status(request_id, "complete")
    receiver.reply(calls[6][1], "eligible")
    return ids


def resume(receiver, request_id):
    assert receiver.reply(receiver.wait_calls(1, "/ask", request_id)[-1], "resume").status == 200


def redeliver(api, db, request_id):
    delivery_id, = db.execute("select id from webhook_delivery where request_id = %s", (request_id,)).fetchone()
    must(api.post(f"/docket/delivery/{request_id}/{delivery_id}/redeliver"), 202)


def ran(api, receiver, identity, db):
    """Halted and resumed, expired, failed and retried, redelivered, passed over, an endpoint that is gone."""
    api.set_pre_approval()
    make_steps(api, receiver, "pre", ask=two_way(halt(email=identity())), note=one_way(Answer(503), Answer()))
    resumed, expired = start(api, identity), start(api, identity)
    api.wait_status(resumed, "paused")
    resume(receiver, resumed)
    api.wait_status(resumed, "complete")
    api.wait_status(expired, "error", timeout=30)
    make_steps(api, receiver, "pre", ask=two_way(Answer(400), Answer(body=b"<p>"), go_on()))
    failed = start(api, identity)
    for _ in range(2):
        api.wait_status(failed, "error")
        must(api.post(f"/privacy-request/{failed}/retry"))
    api.wait_status(failed, "complete")
    redeliver(api, db, failed)
    disable(api, "ask")
    skipped = start(api, identity)
    api.wait_status(skipped, "complete")
    disable(api, "ask", False)
    make_steps(api, receiver, "post", gone=one_way(Answer(410)))
    gone = start(api, identity)
    api.wait_status(gone, "complete")
    put_steps(api, "pre")
    put_steps(api, "post")
    return [resumed, expired, failed, skipped, gone]


def test_it_is_what_docket_has_of_every_kind_of_life(stack, api, receiver, identity, db, packing, ledger, into,
                                                     impatient):
    ids = judged(api, receiver, identity) + ran(api, receiver, identity, db)
    policy = packing.policy("rebuilt", ("rebuilt", packing.storage("rebuilt"), ["user"]))
    ids.append(packing.run(packing.person(), policy))
    make_manual(api, "archive", "first_name")
    asked = start(api, identity, make_policy(api, "access"))
    api.wait_status(asked, "requires_input")
    must(api.patch(f"/privacy-request/{asked}/access_manual_webhook/archive", {"first_name": identity.derived()}))
    ids.append(asked)
    assert "forgotten" in stack.docketctl("forget", ids[2]).stdout
    published(db)
    lines, code = ledger.rebuild(into, "--compare")
    assert not findings(lines, ledger) and code in (0, 1)
    tables = {line["table"]: line for line in lines if line["kind"] == "table"}
    assert set(tables) == set(TABLES) and all(line["columns"] >= 2 for line in tables.values())
    assert all(tables[table]["rows"] for table in TABLES if table != "request_timer")  # a pause's, while it lasts
    with psycopg.connect(into) as rebuilt:
        kinds = {kind for kind, in rebuilt.execute("select distinct type from request_event where request_id = any(%s)",
                                                   (ids,))}
        statuses = dict(rebuilt.execute("select id, status from privacy_request where id = any(%s)", (ids,)).fetchall())
        assert rebuilt.execute("select count(*) from request_event").fetchone()[0] == lines[-1]["events"]
    assert statuses == {request_id: api.find(request_id, include_deleted_requests=True)["status"] for request_id in ids}
    assert len(kinds) >= 24, sorted(kinds)


# --- what is different is named --------------------------------------------------------------------------------


@pytest.fixture
def lived(stack, api, receiver, identity, db, packing):
    """A request that has a row in every table, once all is on the topic."""
    rule = f"lived_{secrets.token_hex(4)}"
    policy = packing.policy(rule, (rule, packing.storage("lived"), ["user"]))
    make_manual(api, "lived", "first_name")
    api.make_connection("ask", receiver.script("/ask", halt()))
    api.make_webhooks(receiver, crm=Reply("eligible"))
    put_steps(api, "pre", {"key": "ask", "name": "ask", "direction": "two_way", "connection_config_key": "ask"},
              policy=policy)
    request_id = api.create_request(packing.person().email, policy)["id"]
    api.wait_status(request_id, "requires_input")
    must(api.patch(f"/privacy-request/{request_id}/access_manual_webhook/lived", {"first_name": identity.derived()}))
    must(api.post(f"/privacy-request/{request_id}/resume_from_requires_input"))
    api.wait_status(request_id, "paused")
    resume(receiver, request_id)
    api.wait_status(request_id, "complete")
    # One more that waits, as a timer is gone with its pause.
    paused = api.create_request(packing.person().email, policy)["id"]
    api.wait_status(paused, "requires_input")
    must(api.patch(f"/privacy-request/{paused}/access_manual_webhook/lived", {"first_name": identity.derived()}))
    must(api.post(f"/privacy-request/{paused}/resume_from_requires_input"))
    api.wait_status(paused, "paused")
    published(db)
    return request_id, paused


CHANGES = {
    "privacy_request": ("status", "'denied'"), "webhook_delivery": ("outcome", "'timeout'"),
    "webhook_attempt": ("status_code", "500"), "pre_approval_reply": ("eligible", "false"),
    "request_task": ("row_count", "4711"), "request_timer": ("due_at", "'2030-01-01'"),
    "manual_input": ("saved_by", "'nobody'"), "request_package": ("bytes", "1"),
}


@pytest.mark.by_hand
def test_a_row_changed_in_any_table_is_found_and_named(stack, lived, db, ledger, into):
    assert sorted(CHANGES) == sorted(TABLES)
    wanted = {}
    for table, (column, value) in CHANGES.items():
        request_id = lived[table == "request_timer"]
        key = "id" if table == "privacy_request" else "request_id"
        before = db.execute(f"select {column}, ctid from {table} where {key} = %s limit 1", (request_id,)).fetchone()
        db.execute(f"update {table} set {column} = {value} where ctid = %s", (before[1],))
        wanted[table] = (request_id, column)
    lines, code = ledger.rebuild(into, "--compare")
    found = {line["table"]: (line["request_id"], line["column"]) for line in findings(lines, ledger)}
    assert code == 1 and found == wanted
    told = {line["table"]: line for line in findings(lines, ledger)}
    assert (told["privacy_request"]["derived"], told["privacy_request"]["found"]) == ("complete", "denied")
    assert (told["request_task"]["found"], told["request_package"]["found"]) == ("4711", "1")
    in_tables = {line["table"]: line["differences"] for line in lines if line["kind"] == "table"}
    assert all(in_tables[table] >= 1 for table in TABLES)
    # In the database itself it is found as well, without the topic.
    rows = db.execute('select name, "column" from audit_problems(%s)', (list(lived),)).fetchall()
    assert sorted(rows) == sorted((table, column) for table, (column, _) in CHANGES.items())


@pytest.mark.by_hand
def test_a_row_that_is_missing_or_too_many_is_found_and_named(lived, db, ledger, into):
    db.execute("delete from webhook_attempt where request_id = %s", (lived[0],))
    db.execute("delete from privacy_request where id = %s", (lived[1],))
    db.execute("insert into pre_approval_reply values (%s, 'pre_none', true, now())", (lived[0],))
    lines, code = ledger.rebuild(into, "--compare")
    found = {(line["table"], line["request_id"], line["column"], line["derived"] is None, line["found"] is None)
             for line in findings(lines, ledger)}
    assert code == 1
    assert ("privacy_request", lived[1], None, False, True) in found
    assert ("pre_approval_reply", lived[0], None, True, False) in found
    assert ("webhook_attempt", lived[0], None, False, True) in found
    assert {request_id for _, request_id, *_ in found} == set(lived)


def test_columns_that_the_log_does_not_cover_may_be_anything(lived, db, ledger, into):
    before = db.execute("select due_at from webhook_delivery where request_id = %s", (lived[0],)).fetchall()
    db.execute("update webhook_delivery set worker = 'w' where request_id = %s", (lived[0],))
    lines, _ = ledger.rebuild(into, "--compare")
    assert not findings(lines, ledger) and before


# --- topics that are not whole ---------------------------------------------------------------------------------


@pytest.fixture
def copied(stack, bus):
    """copied(keys, edit): the prefix of a copy of the lifecycle topic, those requests' events alone, with what `edit` makes
    of each: a list of events. Gone with the servers."""
    def make(keys, edit=lambda event: [event]):
        prefix = f"copy_{secrets.token_hex(6)}"
        admin = AdminClient({"bootstrap.servers": stack.kafka.brokers})
        for future in admin.create_topics([NewTopic(f"{prefix}.lifecycle", 3, 1)]).values():
            future.result(30)
        producer = Producer({"bootstrap.servers": stack.kafka.brokers})
        for event in bus.records("lifecycle"):
            for copy in edit(event) if event.key in keys else []:
                producer.produce(f"{prefix}.lifecycle", copy.value, copy.key, headers=list(copy.headers.items()))
        assert producer.flush(30) == 0
        return prefix
    return make


@pytest.fixture
def done(api, receiver, identity, db):
    """Two requests that are complete."""
    api.make_webhooks(receiver, crm=Reply("eligible"))
    ids = [api.create_request(identity())["id"] for _ in range(2)]
    for request_id in ids:
        api.wait_status(request_id, "complete")
    published(db)
    return ids


def about(lines, *kinds):
    return [line for line in lines if line["kind"] in kinds]


def test_repeats_are_dropped_and_gaps_are_told(done, copied, ledger, into):
    def edit(event):
        if event.key == done[0]:
            return [event, event]
        return [] if event.sequence in (2, 3) else [event]

    lines, code = ledger.rebuild(into, DOCKET_TOPIC_PREFIX=copied(done, edit))
    assert code == 1
    assert findings(lines, ledger) == [{"kind": "gap", "request_id": done[1], "from": "2", "to": "3"}]
    with psycopg.connect(into) as rebuilt:
        counts = dict(rebuilt.execute("select request_id, count(*) from request_event group by 1").fetchall())
        statuses = {status for status, in rebuilt.execute("select status from privacy_request")}
    assert lines[-1]["repeats"] == counts[done[0]] and statuses == {"complete"}


def test_an_event_that_is_there_twice_with_another_content_is_told(done, copied, ledger, into):
    def edit(event):
        other = type(event)(**vars(event) | {"value": event.value.replace(b"true", b"false")})
        return [event, other] if other.value != event.value else [event]

    lines, code = ledger.rebuild(into, DOCKET_TOPIC_PREFIX=copied(done, edit))
    assert code == 1 and {line["kind"] for line in findings(lines, ledger)} == {"other"}
    assert {line["request_id"] for line in findings(lines, ledger)} == set(done)


def test_records_that_are_no_events_are_told_and_left_out(done, copied, ledger, into):
    def edit(event):
        if event.sequence > 1:
            return [event]
        return [event, type(event)(**vars(event) | {"headers": {}}), type(event)(**vars(event) | {"key": None})]

    lines, code = ledger.rebuild(into, DOCKET_TOPIC_PREFIX=copied(done, edit))
    assert code == 1 and len(about(lines, "record")) == len(findings(lines, ledger)) == 4


def test_what_the_topic_lacks_of_the_end_is_told(done, copied, ledger, into, db):
    """The other database stands where this one was rebuilt before: it has what the cut topic has not."""
    whole = copied(done)
    assert ledger.rebuild(into, DOCKET_TOPIC_PREFIX=whole)[1] == 0
    last = db.execute("select seq from privacy_request where id = %s", (done[0],)).fetchone()[0]

    def edit(event):
        return [] if event.key == done[0] and event.sequence > last - 2 else [event]

    with ledger.empty_database() as second:
        lines, code = ledger.rebuild(second, "--compare", DOCKET_TOPIC_PREFIX=copied(done, edit), DOCKET_POSTGRES_URL=into)
    assert code == 1
    assert findings(lines, ledger) == [
        {"kind": "not_on_topic", "request_id": done[0], "from": str(last - 1), "to": str(last)}]


def test_what_has_gone_on_since_is_compared_as_it_was(done, copied, ledger, into):
    """The other database stands where the topic was before: what came later is not held against it."""
    def edit(event):
        return [] if event.sequence > 3 else [event]

    assert ledger.rebuild(into, DOCKET_TOPIC_PREFIX=copied(done, edit))[1] == 0
    with ledger.empty_database() as second:
        lines, code = ledger.rebuild(second, "--compare", DOCKET_TOPIC_PREFIX=copied(done), DOCKET_POSTGRES_URL=into)
        assert (code, findings(lines, ledger)) == (0, []) and lines[-1]["compared"] == 2
        with psycopg.connect(second) as rebuilt:
            assert rebuilt.execute("select min(status) from privacy_request").fetchone() == ("complete",)
    with psycopg.connect(into, autocommit=True) as first:
        first.execute("update webhook_delivery set attempts = 7 where request_id = %s", (done[0],))
    with ledger.empty_database() as second:
        lines, code = ledger.rebuild(second, "--compare", DOCKET_TOPIC_PREFIX=copied(done), DOCKET_POSTGRES_URL=into)
    assert code == 1 and [(line["request_id"], line["column"]) for line in findings(lines, ledger)] == [
        (done[0], "attempts")]


# --- as a tool -------------------------------------------------------------------------------------------------


def test_a_database_that_is_not_empty_is_refused(stack, ledger, db):
    before = db.execute("select count(*) from request_event").fetchone()
    done = stack.docketctl("audit", "rebuild", "--into", stack.postgres.url(stack.name), check=False)
    assert done.returncode == 2 and "not empty" in done.stderr
    assert db.execute("select count(*) from request_event").fetchone() == before


def test_words_and_settings_that_are_missing_are_told(stack, into):
    def code(*words, **settings):
        return stack.docketctl_with(settings, "audit", "rebuild", *words, check=False).returncode

    assert code() == code("--into") == code("--into", into, "more") == 2
    assert code("--into", into, "--compare", DOCKET_POSTGRES_URL=None) == 2
    assert code("--into", "postgresql://docket@127.0.0.1:1/none") == 3
    assert code("--into", into, DOCKET_TOPIC_PREFIX="none_of_this_name") == 3


def test_it_does_without_docket_s_own_database(stack, done, copied, into):
    said = stack.docketctl_with({"DOCKET_POSTGRES_URL": None, "DOCKET_TOPIC_PREFIX": copied(done)}, "audit", "rebuild",
                                "--into", into)
    lines = said.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:1 + len(TABLES)]] == TABLES
    assert "of 2 requests" in lines[-1]
