"""docketctl audit verify: a log that is whole passes; what was done to a copy of it is found, named, and told once.

The log is one of its own (audited.py). Each test writes it anew under another prefix after an edit. The plain script of schemas/examples must see it too.
"""

import hashlib
import json
import re
import subprocess

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from auditing import audit, findings_of, python_verify
from tampering import Forger, edited, log_of, read_log


# --- which events -----------------------------------------------------------------------------------------


def some_ids(log):
    """Requests with some events, each of which stands there once, and behind which others lie in their partition. One that
    was honestly published twice is no less there when either is taken away."""
    last = {id(records[-1]) for records in log.topics["lifecycle"].values() if records}
    last_ids = {record.id for records in log.topics["lifecycle"].values() for record in records if id(record) in last}
    return [one for one in log.ids() if one not in last_ids and len(log.events(one)) >= 5 and not log.repeats(one)]


def some_id(log):
    return some_ids(log)[2]


def middle(log, back=3):
    """An event that is neither the first nor the last of its request, nor the head of a checkpoint."""
    events = log.events(some_id(log))
    return events[len(events) - back]


# --- what is asked of both -------------------------------------------------------------------------------


def found(stack, prefix, *arguments, code=1):
    """The findings of docketctl on a copy; the plain script agrees that there are some."""
    done = audit(stack, "verify", "--topics-only", "--json", *arguments, prefix=prefix)
    assert done.returncode == code, done.stdout + done.stderr
    script = python_verify(stack, prefix=prefix)
    assert script.returncode == code, script.stdout + script.stderr
    return findings_of(done)


def only(stack, prefix, kind, **members):
    """There is one finding, of that kind, and it says this."""
    findings = found(stack, prefix)
    assert [one["finding"] for one in findings] == [kind], findings
    assert findings[0].items() >= members.items(), findings
    return findings[0]


# --- a whole log -----------------------------------------------------------------------------------------


def test_a_whole_log_passes_and_a_copy_of_it_too(audited):
    done = audit(audited, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the log is whole" in done.stdout
    prefix, _ = edited(audited, lambda log: None)
    assert found(audited, prefix, code=0) == []


def test_it_says_what_it_has_looked_at(audited):
    log = log_of(audited)
    done = audit(audited, "verify", "--json")
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    assert summary["records"] == sum(len(records) for topic in ("lifecycle", "configuration")
                                     for records in log.topics[topic].values())
    assert summary["chains"] == len(log.ids()) + 1 and summary["checkpoints"] == len(log.checkpoints) >= 5
    assert summary["database"] is True and summary["findings"] == 0
    assert summary["rows"] == summary["records"] - summary["repeats"]


def test_it_needs_nothing_but_the_topics(audited):
    bare = {name: None for name in audited.environment()
            if name.startswith("DOCKET_") and name not in ("DOCKET_KAFKA_BROKERS", "DOCKET_TOPIC_PREFIX")}
    done = audited.docketctl_with(bare, "audit", "verify", check=False)
    assert done.returncode == 0, done.stderr
    assert "note: no public key was given" in done.stdout


def test_words_and_settings_that_are_wrong_end_with_two_and_what_cannot_be_done_with_three(audited):
    def code(*arguments, **settings):
        return audited.docketctl_with(settings, "audit", *arguments, check=False).returncode

    assert code() == code("prove") == code("verify", "--no-such") == code("verify", "--public-key", "x") == 2
    assert code("verify", DOCKET_KAFKA_BROKERS=None) == 2
    assert code("verify", DOCKET_TOPIC_PREFIX="nobodys") == 3
    assert code("verify", DOCKET_POSTGRES_URL="postgresql://nobody@127.0.0.1:1/none") == 3
    done = subprocess.run([audited.binary("docketctl"), "audit", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and re.search("Exit codes: 0 .* 1 .*2 .* 3 ", done.stdout, re.DOTALL)


def test_a_small_memory_changes_nothing(audited):
    done = audit(audited, "verify", "--memory", "1K")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_repeat_behind_the_last_checkpoint_is_honest(audited):
    def repeat(log):
        record = middle(log)
        next(records for records in log.topics["lifecycle"].values() if record in records).append(record.copy())

    prefix, _ = edited(audited, repeat)
    assert found(audited, prefix, code=0) == []


# --- events ----------------------------------------------------------------------------------------------


def test_an_event_that_was_changed(audited):
    def change(log):
        record = middle(log)
        record.change()
        return record.id, record.seq

    prefix, (request_id, seq) = edited(audited, change)
    told = only(audited, prefix, "changed", request=request_id, sequence=seq, topic="lifecycle")
    assert told["offset"] >= 0 and told["partition"] >= 0


@pytest.mark.parametrize("header", ["ce_time", "ce_source", "ce_traceparent", "ce_causationid"])
def test_a_header_that_the_chain_covers(audited, header):
    def change(log):
        record = middle(log)
        record.set(header, record.get(header)[:-1] + "x")
        return record.id, record.seq

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "changed", request=request_id, sequence=seq)


@pytest.mark.parametrize("back", [2, 3])  # before the one that a checkpoint speaks of, or farther from it
def test_an_event_that_was_changed_and_its_chain_computed_anew(audited, back):
    def change(log):
        record = middle(log, back)
        record.change()
        record.chain_after(log.chain_before(record))
        return record.id, record.seq

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "changed", request=request_id, sequence=seq)


@pytest.mark.parametrize("back", [1, 3, 1000])
def test_a_chain_that_was_computed_anew_to_its_end(audited, back):
    """From the last event, the third last or the first: within itself it is whole, and only the checkpoints know."""
    def change(log):
        events = log.events(some_id(log))
        first = max(len(events) - back, 0)
        events[first].change()
        for record in events[first:]:
            record.chain_after(log.chain_before(record))
        return events[0].id

    prefix, request_id = edited(audited, change)
    only(audited, prefix, "changed", request=request_id)


@pytest.mark.parametrize("back", [1, 2, 4])
def test_an_event_that_was_removed(audited, back):
    def change(log):
        record = middle(log, back)
        log.remove(record)
        return record.id, record.seq

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "removed", request=request_id, sequence=seq)


def test_events_that_were_removed_at_their_request_s_beginning(audited):
    def change(log):
        events = log.events(some_id(log))
        for record in events[:2]:
            log.remove(record)
        return events[0].id

    prefix, request_id = edited(audited, change)
    only(audited, prefix, "removed", request=request_id, sequence=1, until=2)


def test_an_event_that_was_doubled(audited):
    def change(log):
        record = middle(log)
        log.insert_after(log.events(record.id)[-1], record.copy())
        return record.id, record.seq

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "doubled", request=request_id, sequence=seq)


def test_events_of_a_request_that_changed_their_places(audited):
    def change(log):
        (records, one), (_, other) = log.places(some_id(log))[-3:-1]
        records[one], records[other] = records[other], records[one]
        return records[one].id, min(records[one].seq, records[other].seq)

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "reordered", request=request_id, sequence=seq)


def test_an_event_that_was_moved_behind_the_window_that_it_lay_in(audited):
    def change(log):
        record = log.events(some_id(log))[-1]
        partition = next(records for records in log.topics["lifecycle"].values() if record in records)
        log.remove(record)
        partition.append(record)
        return record.id, record.seq

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "reordered", request=request_id, sequence=seq)


def test_events_of_two_requests_that_changed_their_places(audited):
    """Within a window. Each request's own order is as it was; that of the partition is not."""
    def change(log):
        ends = {(window["partition"], window["to"]) for record in log.checkpoints
                for window in json.loads(record.value)["windows"] if window["topic"] == "lifecycle"}
        for number, records in log.topics["lifecycle"].items():
            for at in range(len(records) - 1):
                if records[at].key != records[at + 1].key and (number, at + 1) not in ends:
                    records[at], records[at + 1] = records[at + 1], records[at]
                    return number
        return None

    prefix, number = edited(audited, change)
    findings = found(audited, prefix)
    assert {one["finding"] for one in findings} <= {"reordered"} and len(findings) in (1, 2), findings
    assert findings[0]["partition"] == number


def test_an_event_that_was_put_at_its_request_s_end_with_the_right_hash(audited):
    prefix, more = edited(audited, lambda log: log.forge_next(some_id(log)))
    only(audited, prefix, "inserted", request=more.id, sequence=more.seq)


@pytest.mark.parametrize("before", [False, True])
def test_a_second_event_with_a_number_that_is_taken(audited, before):
    """With the right hash, behind the one that was recorded or before it: what follows tells which it was."""
    def change(log):
        record = middle(log)
        other = record.copy()
        other.change()
        other.chain_after(log.chain_before(record))
        log.insert_after(log.events(record.id)[record.seq - 2] if before else record, other)
        return record.id, record.seq

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "inserted", request=request_id, sequence=seq)


def test_a_request_that_nobody_made(audited):
    prefix, request_id = edited(audited, lambda log: log.forge_request(some_id(log)))
    only(audited, prefix, "inserted", request=request_id, sequence=1, until=2)


def test_a_request_that_was_removed(audited):
    def change(log):
        request_id = some_id(log)
        for record in log.events(request_id):
            log.remove(record)
        return request_id

    prefix, request_id = edited(audited, change)
    only(audited, prefix, "request_removed", request=request_id)


def test_a_record_of_somebody_else(audited):
    def change(log):
        record = middle(log)
        other = record.copy()
        other.headers = []
        log.insert_after(record, other)

    prefix, _ = edited(audited, change)
    only(audited, prefix, "foreign", topic="lifecycle")


# --- headers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header, value, back", [
    ("ce_subject", "pri_somebody", 3), ("ce_sequence", f"{7777:020}", 1), ("ce_sequence", f"{7777:020}", 3),
    ("ce_sequence", "x", 3), ("ce_dataschema", "docket:events/docket.request.denied.v1.json", 1),
    ("ce_dataschema", "x", 3), ("content-type", "text/plain", 3), ("ce_specversion", "0.3", 1),
    ("ce_id", "pri_somebody.3", 1), ("ce_id", "pri_somebody.3", 3), ("ce_type", "docket.request.denied.v1", 1),
    ("ce_type", "docket.request.denied.v1", 3), ("ce_chain", "0" * 64, 1), ("ce_chain", "0" * 64, 3),
    ("ce_chain", "x", 1), ("ce_chain", "x", 3), ("ce_priority", "1", 3), ("ce_signature", "AAAA", 1),
])
def test_a_header_that_was_changed(audited, header, value, back):
    def change(log):
        record = middle(log, back)
        told = record.id, record.seq
        record.set(header, value)
        return told

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "header", request=request_id, sequence=seq, field=header)


@pytest.mark.parametrize("header", ["ce_subject", "ce_dataschema", "content-type", "ce_chain", "ce_id", "ce_sequence"])
def test_a_header_that_was_taken_away(audited, header):
    def change(log):
        record = middle(log)
        told = record.id, record.seq
        record.headers = [(name, value) for name, value in record.headers if name != header]
        return told

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "header", request=request_id, sequence=seq, field=header)


def test_a_key_that_was_changed(audited):
    def change(log):
        record = middle(log)
        request_id, seq = record.id, record.seq
        record.key = b"pri_somebody"
        return request_id, seq

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "header", request=request_id, sequence=seq, field="key")


def test_a_header_that_is_there_twice(audited):
    def change(log):
        record = middle(log)
        record.headers.append(("ce_time", record.get("ce_time").encode()))
        return record.id, record.seq

    prefix, (request_id, seq) = edited(audited, change)
    only(audited, prefix, "header", request=request_id, sequence=seq, field="ce_time")


# --- the whole log ---------------------------------------------------------------------------------------


def test_a_log_that_was_cut_at_its_end(audited):
    def change(log):
        number, records = max(log.topics["lifecycle"].items(), key=lambda item: len({one.key for one in item[1]}))
        kept = next(at for at, one in enumerate(records) if one.id != records[0].id)
        assert len({one.key for one in records[kept - 1:]}) > 1
        del records[max(kept - 1, 1):]
        return number

    prefix, number = edited(audited, change)
    findings = found(audited, prefix)
    assert {one["finding"] for one in findings} == {"log_cut"} and len(findings) == 1, findings
    assert findings[0]["partition"] == number


def test_a_log_whose_beginning_was_deleted(audited):
    prefix, _ = edited(audited, lambda log: None)
    log = read_log(audited.kafka.brokers, prefix)
    number = max(log.topics["lifecycle"], key=lambda one: len(log.topics["lifecycle"][one]))
    admin = AdminClient({"bootstrap.servers": audited.kafka.brokers})
    deleted = admin.delete_records([TopicPartition(f"{prefix}.lifecycle", number, 5)])
    for future in deleted.values():
        future.result(30)
    findings = found(audited, prefix)
    assert [one["finding"] for one in findings] == ["log_cut"], findings
    assert (findings[0]["partition"], findings[0]["offset"]) == (number, 5)


def test_two_changes_are_two_findings(audited):
    def change(log):
        first, second = log.events(some_ids(log)[1])[2], log.events(some_ids(log)[4])[3]
        first.change()
        log.remove(second)
        return {("changed", first.id), ("removed", second.id)}

    prefix, expected = edited(audited, change)
    findings = found(audited, prefix)
    assert {(one["finding"], one["request"]) for one in findings} == expected and len(findings) == 2, findings


# --- checkpoints -----------------------------------------------------------------------------------------


def number_of(record):
    return json.loads(record.value)["number"]


def test_a_checkpoint_that_was_changed(audited):
    def change(log):
        record = log.checkpoints[2]
        record.value = record.value.replace(b'"records":', b'"records": ', 1)
        return number_of(record)

    prefix, number = edited(audited, change)
    only(audited, prefix, "checkpoint_changed", checkpoint=number)


def test_a_checkpoint_that_was_changed_beyond_reading(audited):
    def change(log):
        number = number_of(log.checkpoints[2])
        log.checkpoints[2].value = b"{"
        return number

    prefix, number = edited(audited, change)
    only(audited, prefix, "checkpoint_changed", checkpoint=number)


def test_a_signature_that_was_changed(audited):
    def change(log):
        log.checkpoints[1].set("ce_signature", log.checkpoints[2].get("ce_signature"))
        return number_of(log.checkpoints[1])

    prefix, number = edited(audited, change)
    told = only(audited, prefix, "checkpoint_changed", checkpoint=number)
    assert "signature" in told["text"]


def test_a_header_of_a_checkpoint(audited):
    def change(log):
        log.checkpoints[1].set("ce_time", "2026-01-02T03:04:05.000000Z")
        return number_of(log.checkpoints[1])

    prefix, number = edited(audited, change)
    only(audited, prefix, "checkpoint_changed", checkpoint=number, field="ce_time")


@pytest.mark.parametrize("at", [0, 2, -1])
def test_a_checkpoint_that_was_forged(audited, at):
    """Rightly signed, by a key that is not docket's: over other heads than there were."""
    def change(log):
        Forger().sign(log.checkpoints[at])
        return number_of(log.checkpoints[at])

    prefix, number = edited(audited, change)
    only(audited, prefix, "checkpoint_key", checkpoint=number)


def test_a_checkpoint_that_was_forged_under_a_key_s_name(audited):
    def change(log):
        Forger().sign(log.checkpoints[2], key_id=log.checkpoints[2].get("ce_keyid"))
        return number_of(log.checkpoints[2])

    prefix, number = edited(audited, change)
    only(audited, prefix, "checkpoint_changed", checkpoint=number)


def test_all_checkpoints_forged_are_told_once(audited):
    def change(log):
        forger, previous = Forger(), None
        for record in log.checkpoints:
            forger.sign(record, previous=previous)
            previous = hashlib.sha256(record.value).hexdigest()

    prefix, _ = edited(audited, change)
    only(audited, prefix, "checkpoint_key", checkpoint=1, field="forged")


def test_a_checkpoint_that_was_removed(audited):
    def change(log):
        return number_of(log.checkpoints.pop(2))

    prefix, number = edited(audited, change)
    only(audited, prefix, "checkpoint_removed", checkpoint=number)


def test_checkpoints_that_changed_their_places(audited):
    def change(log):
        points = log.checkpoints
        points[2], points[3] = points[3], points[2]
        return number_of(points[3])

    prefix, number = edited(audited, change)
    only(audited, prefix, "checkpoint_reordered", checkpoint=number)


@pytest.mark.parametrize("before", [False, True])
def test_a_second_checkpoint_with_another_content(audited, before):
    def change(log):
        other = log.checkpoints[2].copy()
        Forger().sign(other)
        log.checkpoints.insert(2 if before else 3, other)
        return number_of(other)

    prefix, number = edited(audited, change)
    only(audited, prefix, "checkpoint_doubled", checkpoint=number)


def test_a_checkpoint_that_comes_again_is_honest(audited):
    def change(log):
        log.checkpoints.insert(3, log.checkpoints[2].copy())
        log.checkpoints.append(log.checkpoints[0].copy())

    prefix, _ = edited(audited, change)
    assert found(audited, prefix, code=0) == []


def test_what_was_changed_under_a_checkpoint_that_was_forged_for_it_shows_too(audited):
    """Who removes a request and forges the checkpoint that speaks of it is found by the checkpoint."""
    def change(log):
        request_id = some_id(log)
        for record in log.events(request_id):
            log.remove(record)
        for record in log.checkpoints:
            heads = json.loads(record.value)["heads"]
            if any(head["id"] == request_id for head in heads):
                Forger().sign(record, heads=[head for head in heads if head["id"] != request_id])

    prefix, _ = edited(audited, change)
    assert {one["finding"] for one in found(audited, prefix)} & {"checkpoint_key", "checkpoint_changed"}


def test_an_older_key_is_attested_by_the_newer_one(audited):
    """Who knows only the key of the last checkpoint believes those before it, as they follow from each other."""
    def with_older_key(log):
        forger, previous = Forger(), None
        for record in log.checkpoints[:-1]:
            forger.sign(record, key_id="older", previous=previous)
            previous = hashlib.sha256(record.value).hexdigest()
        newer.sign(log.checkpoints[-1], key_id="newer", previous=previous)

    newer = Forger()
    prefix, _ = edited(audited, with_older_key)
    done = audit(audited, "verify", "--topics-only", "--public-key", f"newer:{newer.public}", prefix=prefix)
    assert done.returncode == 0, done.stdout
    assert "are signed by other keys, and attested by later ones" in done.stdout


# --- PostgreSQL ------------------------------------------------------------------------------------------


def held_against(audited, statements, *values):
    """The findings when PostgreSQL is as these make it; then it is as before."""
    name = f"{audited.name}_copy"
    audited.postgres.query(f'drop database if exists "{name}" with (force)')
    audited.postgres.query(f'create database "{name}" template "{audited.name}"')
    try:
        with psycopg.connect(audited.postgres.url(name), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement, values)
        done = audited.docketctl_with({"DOCKET_POSTGRES_URL": audited.postgres.url(name)}, "audit", "verify", "--json",
                                      check=False)
        assert done.returncode in (0, 1), done.stderr
        return findings_of(done)
    finally:
        audited.postgres.query(f'drop database "{name}" with (force)')


@pytest.fixture
def request_id(audited):
    return some_id(log_of(audited))


def test_a_row_that_says_another_status(audited, request_id):
    findings = held_against(audited, ["update privacy_request set status = 'denied' where id = %s"], request_id)
    assert [(one["finding"], one["request"], one["field"]) for one in findings] == [
        ("row_changed", request_id, "privacy_request.status")], findings
    assert "complete" in findings[0]["text"] and "denied" in findings[0]["text"]


def test_rows_changed_in_other_tables(audited, request_id):
    """What calls, their attempts and replies have, column by column; what the log does not cover may be anything."""
    findings = held_against(audited, [
        "update webhook_delivery set outcome = 'timeout', worker = 'w' where request_id = %s",
        "update webhook_attempt set status_code = 418, headers = null where request_id = %s",
        "update pre_approval_reply set eligible = false where request_id = %s",
        "update privacy_request set due_date = due_date + interval '1 day', external_id = 'x' where id = %s"], request_id)
    assert {(one["finding"], one["request"], one["field"]) for one in findings} == {
        ("row_changed", request_id, field) for field in ("webhook_delivery.outcome", "webhook_attempt.status_code",
                                                         "pre_approval_reply.eligible", "privacy_request.due_date")}
    text = next(one["text"] for one in findings if one["field"] == "webhook_attempt.status_code")
    assert "200" in text and "418" in text and "dlv_" in text


def test_rows_that_are_missing_or_nobody_s(audited, request_id):
    findings = held_against(audited, [
        "delete from webhook_attempt where request_id = %s",
        "insert into pre_approval_reply values (%s, 'pre_none', true, now())"], request_id)
    assert {(one["request"], one["field"], "and it is null" in one["text"]) for one in findings} == {
        (request_id, "webhook_attempt.row", True), (request_id, "pre_approval_reply.row", False)}, findings


def test_an_event_of_the_configuration_changed_in_postgresql(audited):
    change = "update request_event set payload = payload || ' ' where request_id = 'configuration' and seq = 2"
    findings = held_against(audited, [change])
    assert [(one["finding"], one["request"], one["sequence"]) for one in findings] == [
        ("row_event", "configuration", 2)], findings
    findings = held_against(audited, ["update configuration_head set chain = sha256(chain)"])
    assert [(one["finding"], one["request"]) for one in findings] == [("row_differs", "configuration")], findings


def test_a_row_with_another_chain(audited, request_id):
    findings = held_against(audited, ["update privacy_request set chain = sha256(chain) where id = %s"], request_id)
    assert {(one["finding"], one["request"]) for one in findings} == {
        ("row_differs", request_id), ("row_changed", request_id)}, findings


def test_an_event_changed_in_postgresql(audited, request_id):
    findings = held_against(
        audited, ["update request_event set payload = payload || ' ' where request_id = %s and seq = 3"], request_id)
    assert [(one["finding"], one["request"], one["sequence"]) for one in findings] == [
        ("row_event", request_id, 3)], findings


def test_an_event_removed_in_postgresql(audited, request_id):
    findings = held_against(audited, ["delete from request_event where request_id = %s and seq = 3"], request_id)
    assert {(one["finding"], one["request"], one.get("sequence")) for one in findings} >= {
        ("row_event", request_id, 4)}, findings


def test_a_request_that_postgresql_has_not(audited, request_id):
    findings = held_against(audited, ["delete from privacy_request where id = %s"], request_id)
    assert ("row_missing", request_id) in {(one["finding"], one["request"]) for one in findings}, findings


def test_a_request_that_the_topic_has_not(audited):
    insert = ("insert into privacy_request (id, policy_id, created_at, updated_at, requested_at, status, seq, "
              "status_seq, chain) select 'pri_alone', policy_id, now(), now(), now(), status, seq, status_seq, chain "
              "from privacy_request limit 1")
    findings = held_against(audited, [insert])
    assert ("row_alone", "pri_alone") in {(one["finding"], one["request"]) for one in findings}, findings


def test_what_waits_in_the_outbox_is_no_finding(audited, request_id):
    """An event that is committed and not published yet."""
    append = ("select request_append(array[%s], array[null::bigint], array[null], array[null], "
              "array['docket.request.deleted.v1'], array[now()], array[null], array[null], "
              "array[convert_to('{\"request_id\":\"x\"}', 'UTF8')], '/docket/local/docket-api')")
    findings = held_against(audited, [append], request_id)
    assert [one for one in findings if one["finding"] != "row_changed"] == [], findings


def test_a_checkpoint_changed_in_postgresql(audited):
    findings = held_against(audited, ["update checkpoint set value = value || ' ' where number = 3"])
    assert [(one["finding"], one["checkpoint"]) for one in findings] == [("row_checkpoint", 3)], findings


def test_a_checkpoint_removed_in_postgresql(audited):
    findings = held_against(audited, ["delete from checkpoint where number = 3"])
    assert [(one["finding"], one["checkpoint"]) for one in findings] == [("row_checkpoint", 3)], findings


def test_a_checkpoint_that_the_topic_has_not(audited):
    prefix, number = edited(audited, lambda log: number_of(log.checkpoints.pop()))
    done = audit(audited, "verify", "--json", prefix=prefix)
    assert [(one["finding"], one.get("checkpoint")) for one in findings_of(done)] == [("row_checkpoint", number)]
