"""What docket states, signed, of its own log: one statement after another, by whichever worker is at it."""

import json

import pytest
import requests

from auditing import audit, checkpoints, public_keys, python_verify, wait_covered
from utils import must, wait_until


def wait_made(db, number):
    wait_until(lambda: last_number(db) >= number, 30, lambda: f"checkpoint {number}, the last one is {last_number(db)}")


def last_number(db):
    return db.execute("select coalesce(max(number), 0) from checkpoint where published_at is not null").fetchone()[0]


@pytest.fixture
def made(api, identity, db):
    """Three requests whose first events are on the topic."""
    ids = [api.create_request(identity())["id"] for _ in range(3)]
    wait_until(lambda: not db.execute("select 1 from request_outbox").fetchone(), 20, "all to be published")
    return ids


def test_what_came_is_stated_and_a_stranger_finds_it_right(stack, made, bus, db):
    line = wait_covered(bus)
    assert [one["number"] for one in line] == list(range(1, len(line) + 1))
    assert [one["previous"] for one in line] == [None, *(one["sha256"] for one in line[:-1])]
    heads = {head["id"]: head for one in line for head in one["heads"]}
    for request_id, seq, chain in db.execute("select id, seq, chain from privacy_request where id = any(%s)", (made,)):
        assert (heads[request_id]["sequence"], heads[request_id]["chain"]) == (seq, chain.hex())
    for done in (python_verify(stack), audit(stack, "verify", "--topics-only")):  # all that the session's tests did, too
        assert done.returncode == 0, done.stdout + done.stderr


def test_windows_follow_each_other_without_a_gap(made, bus):
    places = {}
    for one in wait_covered(bus):
        for window in one["windows"]:
            place = window["topic"], window["partition"]
            assert window["from"] == places.get(place, 0)
            assert window["records"] == window["to"] - window["from"] > 0
            places[place] = window["to"]


def test_the_table_and_the_topic_hold_the_same(made, bus, db):
    wait_covered(bus)
    topic = {event.sequence: event for event in bus.records("checkpoints")}
    for number, value, signature, key_id in db.execute(
            "select number, value, signature, key_id from checkpoint where published_at is not null"):
        headers = topic[number].headers
        assert topic[number].value == value and headers["ce_keyid"] == key_id
        assert len(signature) == 64 and headers["ce_id"] == f"checkpoint.{number}"
        assert headers["ce_time"] == json.loads(value)["made_at"]


def test_nothing_is_stated_of_nothing(made, bus, db):
    wait_covered(bus)
    before = last_number(db)
    since = db.execute("select whole_at from checkpoint_turn").fetchone()[0]
    wait_until(lambda: db.execute("select whole_at > %s from checkpoint_turn", (since,)).fetchone()[0], 20,
               "another round")
    assert last_number(db) == before


def test_one_that_is_not_known_to_be_on_the_topic_comes_again(made, bus, db):
    """As after a worker that died between Kafka's answer and noting it: the same bytes, which harms nobody."""
    wait_covered(bus)
    number = last_number(db)
    before = len(bus.records("checkpoints"))
    db.execute("update checkpoint set published_at = null where number = %s", (number,))
    wait_until(lambda: len(bus.records("checkpoints")) > before, 20, "the checkpoint to come again")
    again = [event for event in bus.records("checkpoints") if event.sequence == number]
    assert len(again) == 2 and again[0].value == again[1].value and again[0].headers == again[1].headers
    wait_until(lambda: last_number(db) >= number, 10, "it to be noted")


def test_a_long_backlog_becomes_several_at_once(stack, programs_alive):
    """More records than one of them takes lie there: those of requests that are made up, on a topic of its own."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": stack.kafka.brokers, "linger.ms": 50})
    prefix = f"{stack.name}_backlog"
    stack.docketctl_with({"DOCKET_TOPIC_PREFIX": prefix, "DOCKET_TOPIC_PARTITIONS": "3"}, "topics")
    for number in range(9000):
        key = f"pri_{number:08x}-0000-4000-8000-000000000000"
        producer.produce(f"{prefix}.lifecycle", key=key, headers={
            "content-type": "application/json", "ce_specversion": "1.0", "ce_id": f"{key}.1", "ce_source": "/docket/test",
            "ce_type": "docket.request.completed.v1", "ce_subject": key, "ce_time": "2026-01-02T03:04:05.678901Z",
            "ce_sequence": f"{1:020}", "ce_chain": f"{number:064x}"},
            value=json.dumps({"request_id": key, "status": "complete"}))
        producer.poll(0)
    producer.flush(60)
    database = f"{stack.name}_backlog"
    stack.postgres.create_database(database)
    url = stack.postgres.url(database)
    stack.docketctl_with({"DOCKET_POSTGRES_URL": url}, "migrate")
    worker = stack.workers[0]
    before = dict(worker.settings)
    try:
        worker.stop()
        worker.settings = before | {"DOCKET_TOPIC_PREFIX": prefix, "DOCKET_POSTGRES_URL": url}
        worker.start()
        worker.wait_log('"checkpoint.published","number":3', 40)
    finally:
        worker.stop()
        worker.settings = before
        worker.start()
        stack.wait_assigned()
    from events import Bus

    other = Bus(stack.kafka.brokers, prefix)
    try:
        line = checkpoints(other)
    finally:
        other.close()
    assert [len(one["heads"]) for one in line] == [4000, 4000, 1000]
    assert sum(window["records"] for one in line for window in one["windows"]) == 9000


def test_anyone_may_have_the_public_keys(stack):
    keys = must(requests.get(f"{stack.api.url}/api/v1/docket/checkpoint-keys", timeout=10))["keys"]
    assert [f"{key['id']}:{key['public_key']}" for key in keys] == public_keys(stack)
    assert [(key["algorithm"], key["signs"]) for key in keys] == [("Ed25519", True)]


def test_how_far_it_is_stands_in_the_metrics(stack, made, bus, db):
    wait_covered(bus)

    def metrics():
        lines = (line.split(" ") for line in stack.workers[0].metrics().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines if name.startswith("docket_checkpoint_")}

    wait_until(lambda: metrics().get("docket_checkpoint_number") == last_number(db), 15, "the number in the metrics")
    wait_until(lambda: metrics().get("docket_checkpoint_age_seconds", 99) < 10, 15, "an age in the metrics")


def test_without_a_key_none_are_made_and_it_says_so_once(stack, api, identity, db):
    worker = stack.workers[0]
    before, number = dict(worker.settings), last_number(db)
    try:
        worker.stop()
        number = last_number(db)
        worker.settings = before | {"DOCKET_CHECKPOINT_KEYS": ""}
        worker.start()
        worker.wait_log("checkpoint.none_made", 20)
        request_id = api.create_request(identity(), "default_access_policy")["id"]
        api.approve(request_id)
        api.wait_status(request_id, "complete")
        assert worker.log_text().count("checkpoint.none_made") == 1
        assert last_number(db) == number
    finally:
        worker.stop()
        worker.settings = before
        worker.start()
        stack.wait_assigned()
    wait_made(db, number + 1)  # what came meanwhile


def test_keys_that_are_none_are_refused_and_not_told(stack):
    done = stack.docketctl_with({"DOCKET_CHECKPOINT_KEYS": "a:secret"}, "keys", "public", check=False)
    assert done.returncode == 1 and "DOCKET_CHECKPOINT_KEYS: key 1 is not base64 of 32 bytes" in done.stderr
    assert "secret" not in done.stderr
