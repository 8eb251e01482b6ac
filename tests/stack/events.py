"""What is on the bus, read as a stranger would: CloudEvents in Kafka's binary mode, held against schemas/events."""

import contextlib
import hashlib
import json
from dataclasses import dataclass
from functools import cache

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from stack import ROOT, StackError, wait_until

SCHEMAS = ROOT / "schemas/events"
REQUIRED_HEADERS = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type")


@dataclass
class Event:
    topic: str
    partition: int
    offset: int
    key: str | None
    headers: dict
    value: bytes | None

    @property
    def type(self):
        return self.headers.get("ce_type")

    @property
    def id(self):
        return self.headers.get("ce_id")

    @property
    def sequence(self):
        return int(self.headers["ce_sequence"])

    @property
    def data(self):
        return json.loads(self.value)

    def everything(self):
        """All its bytes, for a search."""
        parts = [self.key or "", *self.headers.keys(), *map(str, self.headers.values())]
        return "\n".join(parts).encode(errors="surrogateescape") + b"\n" + (self.value or b"")

    def __str__(self):
        return f"{self.topic}[{self.partition}]@{self.offset} {self.type} {self.id}"


class BadEvent(AssertionError):
    """An event that is not what the bus contract says."""


class Bus:
    """Reads whole topics, from their first record; each read goes on where the one before ended."""

    def __init__(self, brokers, prefix="docket"):
        self.prefix = prefix
        self._consumer = Consumer({"bootstrap.servers": brokers, "group.id": "tests", "log_level": 2,
                                   "enable.auto.commit": False, "auto.offset.reset": "earliest",
                                   "enable.partition.eof": True, "fetch.wait.max.ms": 20})
        self._read = {}  # topic -> events
        self._next = {}  # (topic, partition) -> offset

    def close(self):
        self._consumer.close()

    def topics(self):
        names = self._consumer.list_topics(timeout=10).topics
        return sorted(name for name in names if name.startswith(f"{self.prefix}."))

    def _name(self, topic):
        return topic if topic.startswith(f"{self.prefix}.") else f"{self.prefix}.{topic}"

    def skip(self, topic="lifecycle"):
        """What is there by now is not read, however much it is."""
        name = self._name(topic)
        for partition in self._partitions(name):
            self._next[name, partition] = self._bounds(name, partition)[1]

    def records(self, topic="lifecycle", key=None):
        """All events of `<prefix>.<topic>` up to now, each checked; in the order of each partition."""
        name = self._name(topic)
        seen = self._read.setdefault(name, [])
        fresh = list(self._fetch(name))
        seen += fresh
        for event in fresh:
            check(event)
        return [event for event in seen if key in (None, event.key)]

    def wait_types(self, key, *types, topic="lifecycle", timeout=15):
        """The request's events once all these types are among them."""
        def arrived():
            return set(types) <= {event.type for event in self.records(topic, key)}

        wait_until(arrived, timeout,
                   lambda: f"events {types} of {key}, there are {[e.type for e in self.records(topic, key)]}")
        return self.records(topic, key)

    def _partitions(self, name):
        return self._consumer.list_topics(name, timeout=10).topics[name].partitions

    def _bounds(self, name, partition):
        """Its first and its next offset; waits for a leader where there is none yet, or not again."""
        def ask():
            with contextlib.suppress(KafkaException):
                return self._consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=5)

        return wait_until(ask, 30, f"a leader of {name}, partition {partition}")

    def _fetch(self, name):
        ends = {}
        for partition in self._partitions(name):
            low, high = self._bounds(name, partition)
            start = self._next.get((name, partition), low)
            if start < high:
                ends[partition] = high
                self._next[name, partition] = start
        self._consumer.assign([TopicPartition(name, number, self._next[name, number]) for number in ends])
        while ends:
            for message in self._consumer.consume(1000, timeout=0.5):
                if message.error() and message.error().code() != KafkaError._PARTITION_EOF:
                    raise StackError(f"reading {name}: {message.error()}")
                # The end of a partition comes as an "error", with the offset that is next.
                place = message.offset() if message.error() else message.offset() + 1
                self._next[name, message.partition()] = place
                if place >= ends.get(message.partition(), 0):
                    ends.pop(message.partition(), None)
                if not message.error():
                    yield to_event(message)
        self._consumer.unassign()


def to_event(message):
    """Bytes that are no UTF-8 are kept as surrogates: on the dead topic there may be any."""
    headers = {name: text_of(value or b"") for name, value in message.headers() or []}
    key = message.key()
    return Event(message.topic(), message.partition(), message.offset(),
                 text_of(key) if key is not None else None, headers, message.value())


def text_of(value):
    return value.decode(errors="surrogateescape")


def first_seen(events):
    """A request's events without the repeats, which may come late."""
    seen = {}
    for event in events:
        seen.setdefault(event.sequence, event)
    return list(seen.values())


def chain_after(previous, event):
    """The hash chain's next link (schemas/sql, event_chain), as anyone can compute it from the topic alone."""
    lines = (event.id, event.type, event.headers["ce_time"], event.headers["ce_source"],
             event.headers.get("ce_causationid", ""), event.headers.get("ce_traceparent", ""))
    return hashlib.sha256(previous + "".join(f"{line}\n" for line in lines).encode() + event.value).digest()


def sequence_problems(events):
    """What is wrong with all events of one request, in the order of the topic: order, gaps, chain."""
    events = first_seen(events)
    numbers = [event.sequence for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        return [f"the events of {events[0].key} have the numbers {numbers}"]
    problems, chain = [], b""
    for event in events:
        chain = chain_after(chain, event)
        if event.headers["ce_chain"] != chain.hex():
            problems.append(f"{event}: its chain is {event.headers['ce_chain']}, not {chain.hex()}")
    return problems


@cache
def registry():
    """Every schema under its file name and its $id, so that they may refer to each other."""
    resources = []
    for path in SCHEMAS.glob("**/*.json"):
        resource = DRAFT202012.create_resource(json.loads(path.read_text()))
        resources += [(path.name, resource)] + ([(resource.id(), resource)] if resource.id() else [])
    return Registry().with_resources(resources)


@cache
def validator(event_type):
    path = SCHEMAS / f"{event_type}.json"
    if not path.exists():
        raise BadEvent(f"{event_type} is on the bus and has no schema {path.relative_to(ROOT)}")
    return Draft202012Validator(json.loads(path.read_text()), registry=registry())


def check_dead(event):
    """Whatever it was, docket says why it is there, and where it was."""
    if "docket_dead_note" in event.headers and "docket_dead_reason" not in event.headers:
        missing = {"of", "state", "time", "by"} - set(event.data)
    else:
        missing = {f"docket_dead_{word}" for word in ("reason", "place", "time")} - set(event.headers)
    if missing:
        raise BadEvent(f"{event}: {sorted(missing)} are missing")


def check(event):
    """Raises BadEvent when the event is not what schemas/ promises."""
    if event.topic.endswith(".dead"):
        check_dead(event)
        return
    if event.value is None:
        raise BadEvent(f"{event}: a record without data is a tombstone")
    missing = [name for name in REQUIRED_HEADERS if not event.headers.get(name)]
    if missing:
        raise BadEvent(f"{event}: headers {missing} are missing, there are {sorted(event.headers)}")
    problems = [f"{'/'.join(map(str, problem.path)) or 'data'}: {problem.message}"
                for problem in validator(event.type).iter_errors(event.data)]
    if problems:
        raise BadEvent(f"{event}: {'; '.join(problems)}\n{event.value.decode(errors='replace')}")


def consumer_lag(stack):
    """What the workers' group has not committed yet, over both topics."""
    consumer = Consumer({"bootstrap.servers": stack.kafka.brokers, "group.id": f"{stack.name}.worker"})
    try:
        lag = 0
        for topic in (f"{stack.name}.lifecycle", f"{stack.name}.callbacks"):
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            for place in consumer.committed([TopicPartition(topic, number) for number in partitions], timeout=10):
                low, high = consumer.get_watermark_offsets(place, timeout=10)
                lag += high - (place.offset if place.offset >= 0 else low)
        return lag
    finally:
        consumer.close()
