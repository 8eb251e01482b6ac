"""What cannot be understood goes to the dead topic with its reason, place and bytes, and everything else goes on."""

import json
import os
import re
from collections import Counter

import pytest
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource,
                                   ResourceType)

from poison import Record, approved, clean, kinds, reply, structured, unknown_id  # noqa: F401
from utils import PATIENCE, Answer, Bus, Reply, check, wait_until

POISON = 500
ROUNDS, LIVE = 12, 24  # of a wave: how often something is created, and how many requests in all


def wave(docket, identity, poison=()):
    """Requests that their webhook finds eligible, with poison put between them."""
    emails = [identity() for _ in range(LIVE)]
    for number in range(ROUNDS):
        docket.api.create_requests(emails[number::ROUNDS], "default_erasure_policy")
        docket.put(*poison[number::ROUNDS])


def times(docket, since):
    """Of all requests created after that one: from creation to completion."""
    rows = docket.query("select extract(epoch from finished_processing_at - created_at) from privacy_request "
                        f"where created_at > '{since}' and status = 'complete'")
    return [float(row) for row in rows.split()]


def now(docket):
    return docket.query("select clock_timestamp()")


def wait_complete(docket, since, count):
    wait_until(lambda: len(times(docket, since)) == count, 60,
               lambda: f"{count} complete requests, there are {len(times(docket, since))}", every=0.2)
    return times(docket, since)


@pytest.mark.timeout(600)
def test_500_records_that_are_none_among_live_ones_go_to_the_dead_topic(clean, identity):
    docket = clean
    docket.api.make_webhooks(docket.receiver, crm=[Answer(), Reply("eligible")])
    request_id, webhook_id = docket.waiting_request(identity)  # the one that stays without a reply
    every = kinds(request_id, webhook_id)
    assert len(every) >= 20 and {record.topic for record, _ in every.values()} == {"lifecycle", "callbacks"}
    poison = [list(every.values())[number % len(every)] for number in range(POISON)]
    letters, counts = len(docket.letters()), counted(docket)
    before = now(docket)
    wave(docket, identity)
    alone = wait_complete(docket, before, LIVE)
    before = now(docket)
    wave(docket, identity, [record for record, _ in poison])
    beside = wait_complete(docket, before, LIVE)  # no good event is lost
    docket.wait_read()  # the partitions go on past all of them
    found = docket.letters()[letters:]
    assert Counter(said["reason"] for _, said in found) == Counter(reason for _, reason in poison)
    assert_same_bytes([record for record, _ in found], [record for record, _ in poison])
    assert_told(docket, found)
    assert counted(docket) - counts == Counter(reason for _, reason in poison)
    assert max(beside) < max(alone) + 1 * PATIENCE, "nobody waits for what is dead"
    assert docket.api.status(request_id) == "awaiting_pre_approval", "none of it did anything"


def assert_same_bytes(found, sent):
    """As often as it was sent, on the topic that it was sent to, and not a byte else."""
    def words(records):
        return Counter((record.topic, record.key, tuple(record.headers), record.value) for record in records)

    assert words(found) == words(sent)


def assert_told(docket, found):
    standing = {f"{record.was[0]}/{record.was[1]}/{record.was[2]}": record
                for topic in ("lifecycle", "callbacks") for record in docket.records(topic)}
    assert len({said["place"] for _, said in found}) == len(found)
    for record, said in found:
        assert standing[said["place"]].same_as(record), said["place"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", said["time"])
        assert set(said) == {"reason", "place", "time", "detail"}
        assert said["detail"] and not re.search(r"cat|soon|yesterday|customer|pri_", said["detail"]), "no value is told"


def counted(docket):
    """Reasons, as often as the worker says."""
    found = re.findall(r'^docket_dead_letters_total\{reason="(\w+)"\} (\d+)$', docket.worker.metrics(), re.M)
    return Counter({reason: int(count) for reason, count in found})


# --- what is taken -----------------------------------------------------------------------------------------


def approves(docket, identity, change):
    """A reply, changed, does what a reply does."""
    docket.api.make_webhooks(docket.receiver, crm=Answer())
    request_id, webhook_id = docket.waiting_request(identity)
    dead = len(docket.letters())
    docket.put(change(reply(request_id, webhook_id)))
    docket.api.wait_status(request_id, "complete")
    assert len(docket.letters()) == dead
    return request_id


def test_a_reply_in_structured_mode_is_read(clean, identity):
    request_id = approves(clean, identity, structured)
    ignored = clean.query(f"select cause from request_event where request_id = '{request_id}' "
                          "and type = 'docket.request.pre_approval_eligible.v1'")
    assert ignored.startswith(f"{request_id}.pre_"), "its id is what caused the event"


@pytest.mark.parametrize("change", [
    lambda record: record.with_header("content-type", b"application/json; charset=utf-8"),
    lambda record: record.with_header("x-custom", b"\xff", b"\xfe").with_header("ce_extension", None),
    lambda record: record.with_header("ce_traceparent").with_header("ce_dataschema"),
    lambda record: record.with_data(more={"deeper": [1, None]}, note="\u00e9"),
    lambda record: record.with_header("ce_specversion", b"1.1"),
    lambda record: structured(record).with_header("content-type", b"application/cloudevents+json; charset=UTF-8"),
], ids=["charset", "headers", "fewer headers", "members", "version 1.1", "structured with charset"])
def test_what_is_not_known_does_no_harm(clean, identity, change):
    approves(clean, identity, change)


def test_a_repeat_of_an_event_is_no_poison(clean, identity):
    docket = clean
    docket.api.make_webhooks(docket.receiver, crm=Reply("eligible"))
    request_id = docket.api.create_request(identity())["id"]
    docket.api.wait_status(request_id, "complete")
    docket.wait_read()
    dead = len(docket.letters())
    docket.put(*[record for record in docket.records("lifecycle") if record.key == request_id.encode()])
    docket.wait_read()
    assert len(docket.letters()) == dead
    assert len(docket.receiver.calls("/crm", request_id)) == 1


# --- the dead topic away -----------------------------------------------------------------------------------


def configure_dead(docket, name, value):
    """A setting of the dead topic; None takes it back."""
    admin = AdminClient({"bootstrap.servers": docket.brokers})
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET if value else AlterConfigOpType.DELETE)
    resource = ConfigResource(ResourceType.TOPIC, docket.name("dead"), incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(timeout=20)

    def standing():
        [future] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, docket.name("dead"))]).values()
        return future.result(timeout=20)[name]

    wait_until(lambda: standing().value == value if value else standing().source != ConfigSource.DYNAMIC_TOPIC_CONFIG.value,
               20, f"the broker to know of {name}")


@pytest.fixture
def without_dead(clean):
    """There is no dead topic until docketctl makes it."""
    admin = AdminClient({"bootstrap.servers": clean.brokers})
    for future in admin.delete_topics([clean.name("dead")]).values():
        future.result(timeout=20)
    wait_until(lambda: clean.name("dead") not in admin.list_topics(timeout=10).topics, 20, "the dead topic to be gone")
    yield clean
    clean.stack.docketctl("topics")


def test_an_offset_is_committed_only_once_the_dead_topic_has_the_record(without_dead, identity):
    docket = without_dead
    docket.api.make_webhooks(docket.receiver, crm=Answer())
    request_id, webhook_id = docket.waiting_request(identity)
    docket.wait_read()
    good = reply(request_id, webhook_id)
    poison, behind = docket.put(good.with_data(eligible=False), good)
    assert poison[:2] == behind[:2], "one key, one partition"
    docket.api.wait_status(request_id, "complete")  # what comes after it does not wait for it
    assert docket.lag()["callbacks", poison[1]] == 2
    docket.worker.stop()  # which commits all that is settled
    docket.worker.start()
    wait_until(lambda: docket.worker.log_contains("intake.assigned"), 30, "the worker to have its partitions")
    docket.worker.wait_log("burial.refused", 60)
    assert docket.lag()["callbacks", poison[1]] == 2
    docket.stack.docketctl("topics")
    [(record, said)] = docket.wait_letters(poison, timeout=60)
    assert said["reason"] == "bad_data" and record.same_as(good.with_data(eligible=False))
    docket.wait_read()


def test_what_the_dead_topic_cannot_take_is_told_without_it(clean, identity):
    docket = clean
    docket.api.make_webhooks(docket.receiver, crm=Answer())
    request_id, webhook_id = docket.waiting_request(identity)
    configure_dead(docket, "max.message.bytes", "2000")
    try:
        noise = bytes(range(256)) * 20  # which does not compress below that
        good = reply(request_id, webhook_id)
        large = good.with_header("x", b"".join(bytes([a ^ b for a in noise[:200]]) for b in range(40)))
        places = docket.put(large.with_data(eligible=False), good.with_data(eligible=None))
        [(first, said), (second, _)] = docket.wait_letters(*places)
    finally:
        configure_dead(docket, "max.message.bytes", None)
    assert said["lacks"] == "key, headers and value" and said["reason"] == "bad_data"
    assert (first.key, first.headers, first.value) == (None, [], b"")
    assert second.same_as(good.with_data(eligible=None))
    docket.wait_read()
    number = number_of(first)
    assert "lacks" in docket.dead("show", number)
    done = docket.dead("retry", number, "--header", "x", check=False)
    assert done.returncode == 1 and "eligible is none of its words" in done.stdout  # it was read where it stands
    file = docket.stack.run.path / "mended.json"
    file.write_bytes(good.value)
    docket.dead("retry", number, "--value", str(file))
    docket.api.wait_status(request_id, "complete")


def test_a_record_as_large_as_a_broker_takes_is_kept_whole(clean):
    docket = clean
    record = Record("callbacks", b"none", [("content-type", b"text/plain")], os.urandom(1_048_000))
    [(letter, said)] = docket.wait_letters(*docket.put(record))
    assert said["reason"] == "bad_key" and letter.same_as(record)


# --- docketctl dead ----------------------------------------------------------------------------------------


def number_of(letter):
    """As docketctl calls it: its offset."""
    return str(letter.was[2])


@pytest.fixture
def dead(clean, identity):
    """A request that waits for its webhook, whose reply was not understood, and two letters more:
    docket, the request's id, the right reply, the numbers of the letters."""
    docket = clean
    docket.dead("drop", "--all")
    docket.api.make_webhooks(docket.receiver, crm=Answer())
    request_id, webhook_id = docket.waiting_request(identity)
    good = reply(request_id, webhook_id)
    letters = []
    for record in (good.with_data(received_at="soon"), good.with_header("ce_time", b"\x1b[31mred\n"),
                   approved(request_id, 9000).with_header("ce_type", b"docket.request.to_come.v1")):
        letters += docket.wait_letters(*docket.put(record))  # one after another, so that their numbers rise
    return docket, request_id, good, [number_of(letter) for letter, _ in letters]


def letters_in(docket, state):
    """number -> letter"""
    return {str(letter["number"]): letter
            for letter in json.loads(docket.dead("list", "--json", "--state", state))["letters"]}


def test_they_are_listed_by_reason_topic_and_time(dead):
    docket, _, _, numbers = dead
    told = docket.dead("list")
    assert [line.split()[0] for line in told.splitlines()[1:4]] == numbers
    assert told.splitlines()[1].split()[1:3] == ["open", "bad_data"]
    assert told.splitlines()[-1] == "3 open: 1 bad_data, 1 bad_header, 1 unknown_type"
    assert "received_at is not of its pattern" in told
    for options, expected in ((["--reason", "bad_header"], numbers[1:2]), (["--topic", "lifecycle"], numbers[2:]),
                              (["--topic", docket.name("callbacks")], numbers[:2]), (["--since", "1h"], numbers),
                              (["--since", "2999-01-01T00:00:00Z"], []), (["--state", "retried", "--since", "0s"], [])):
        listed = json.loads(docket.dead("list", "--json", *options))
        assert [str(letter["number"]) for letter in listed["letters"]] == expected, options
        assert sum(count["open"] for count in listed["counts"].values()) == len(expected)
    assert "no dead letter" in docket.dead("list", "--reason", "no_such")


def test_one_is_shown_so_that_no_terminal_minds(dead):
    docket, request_id, good, numbers = dead
    told = docket.dead("show", numbers[0])
    for line in (f"number     {numbers[0]}", "state      open",
                 "reason     bad_data: its data is not as the schema of its type says", f"key        {request_id}",
                 "           ce_specversion: 1.0", f"  {good.with_data(received_at='soon').value.decode()}"):
        assert line in told.splitlines(), told
    assert r"ce_time: \x1b[31mred\x0a" in docket.dead("show", numbers[1])
    shown = json.loads(docket.dead("show", numbers[1], "--json"))
    assert {"name": "ce_time", "value": "\x1b[31mred\n"} in shown["headers"]
    assert json.loads(shown["value"])["request_id"] == request_id
    [place] = docket.put(Record("callbacks", b"\xff\x00", [("\u00e9", b"\x80"), ("none", None)], b"\x00\x1b]0;x\x07" * 5))
    [(letter, _)] = docket.wait_letters(place)
    number = number_of(letter)
    told = docket.dead("show", number)
    assert r"key        \xff\x00" in told and "\x1b" not in told and "\x07" not in told
    assert "  00000000   00 1b 5d 30 3b 78 07 00  1b 5d 30 3b 78 07 00 1b  |..]0;x...]0;x...|" in told
    shown = json.loads(docket.dead("show", number, "--json"))
    assert shown["key_base64"] == "/wA=" and shown["value_base64"].startswith("ABtdMDt4")
    assert shown["headers"] == [{"name": "\u00e9", "value_base64": "gA=="}, {"name": "none", "value": None}]


def test_a_mended_reply_approves_its_request(dead, tmp_path):
    docket, request_id, good, numbers = dead
    done = docket.dead("retry", numbers[0], check=False)
    assert done.returncode == 1 and "would be refused again, as bad_data" in done.stdout
    file = tmp_path / "value.json"
    file.write_bytes(good.value)
    told = docket.dead("retry", numbers[0], "--value", str(file), "--by", "ann")
    place = re.fullmatch(rf"{numbers[0]}: retried, it is (\S+)\n", told)[1]
    docket.api.wait_status(request_id, "complete")
    sent = next(record for record in docket.records("callbacks") if "/".join(map(str, record.was)) == place)
    assert sent.value == good.value and sent.headers == good.headers and sent.key == good.key
    letter = letters_in(docket, "retried")[numbers[0]]
    assert (letter["by"], letter["to"], letter["mended"]) == ("ann", place, "value")
    again = docket.dead("retry", numbers[0], "--value", str(file), check=False)
    assert again.returncode == 1 and "it was retried before" in again.stdout


def test_a_header_may_be_mended_and_what_is_dropped_stays_where_it_is(dead):
    docket, request_id, good, numbers = dead
    docket.dead("retry", numbers[1], "--header", "ce_time=2026-01-02T03:04:05Z", "--header", "x-mended=yes")
    docket.api.wait_status(request_id, "complete")
    sent = docket.records("callbacks")
    assert any(record.header("x-mended") == b"yes" and record.value == good.value for record in sent)
    assert docket.dead("drop", numbers[0], numbers[2], "--by", "ann") == f"{numbers[0]}: dropped\n{numbers[2]}: dropped\n"
    assert "no dead letter" in docket.dead("list")
    dropped = letters_in(docket, "dropped")
    assert [dropped[number]["by"] for number in (numbers[0], numbers[2])] == ["ann", "ann"]
    assert "by       ann" in docket.dead("show", numbers[2])


def test_all_of_a_reason_are_put_back_byte_for_byte(clean, identity):
    """As after a database was restored to a state that it is behind no more."""
    docket = clean
    docket.api.make_webhooks(docket.receiver, crm=Answer())
    request_id, webhook_id = docket.waiting_request(identity)
    docket.dead("drop", "--all")
    docket.query(f"create table away as select * from privacy_request where id = '{request_id}'; "
                 f"delete from privacy_request where id = '{request_id}'")
    letters = docket.wait_letters(*docket.put(reply(request_id, webhook_id), reply(unknown_id(), webhook_id)))
    docket.query("insert into privacy_request select * from away; drop table away")
    assert {said["reason"] for _, said in letters} == {"unknown_request"}
    told = docket.dead("retry", "--reason", "unknown_request")
    assert len(re.findall(r"(?m)^\d+: retried, it is ", told)) == 2
    docket.api.wait_status(request_id, "complete")
    again = [record for record in docket.records("callbacks") if record.key == request_id.encode()]
    assert len(again) == 2 and again[0].same_as(again[1])
    wait_until(lambda: len(json.loads(docket.dead("list", "--json"))["letters"]) == 1, 20,
               "the one about nobody to be dead again", every=0.5)


@pytest.mark.parametrize("arguments, words", [
    ([], "usage: docketctl dead list"), (["bury"], "usage: docketctl dead list"), (["show"], "usage: docketctl dead show"),
    (["show", "x"], "x is no number"), (["show", "99999999"], "there is no dead letter 99999999"),
    (["retry"], "usage: docketctl dead retry"), (["drop"], "usage: docketctl dead drop"),
    (["retry", "--all", "--value", "f"], "mend one letter"), (["retry", "1", "--header", "=x"], "has no name"),
    (["list", "--state", "lost"], "--state is open"), (["list", "--since", "noon"], "--since takes a time"),
    (["list", "--by", "x"], "there is no option --by"), (["list", "7"], "what is 7?"), (["list", "--reason"], "takes a value"),
])
def test_what_docketctl_is_told_wrongly_it_says(clean, arguments, words):
    done = clean.dead(*arguments, check=False)
    assert done.returncode in (1, 2) and words in done.stderr, done.stderr


def test_every_record_on_the_dead_topic_is_as_promised(clean, dead):
    """By the same eyes as those that look at all topics at the end of all tests."""
    bus = Bus(clean.brokers, clean.stack.name)
    try:
        events = bus.records("dead")
        assert events
        for event in events:
            check(event)
    finally:
        bus.close()
