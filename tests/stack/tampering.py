"""A log written anew with something done to it: all topics of a stack under another prefix, after an edit."""

import base64
import copy
import hashlib
import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, partial

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CHAINED = ("ce_id", "ce_type", "ce_time", "ce_source", "ce_causationid", "ce_traceparent")
TOPICS = ("lifecycle", "configuration", "checkpoints")
numbers = itertools.count(1)


@dataclass
class Raw:
    """A record as it lies there; headers may be there twice, and in any order."""

    key: bytes
    value: bytes
    headers: list  # of (name, bytes)

    def get(self, name):
        return dict(self.headers).get(name, b"").decode()

    def set(self, name, value):
        """Changes a header where it stands, or adds it."""
        value = value.encode() if isinstance(value, str) else value
        if name in dict(self.headers):
            self.headers = [(one, value if one == name else old) for one, old in self.headers]
        else:
            self.headers.append((name, value))

    def change(self):
        """Another value, which is JSON still."""
        self.value = self.value[:-1] + b',"by":"nobody"}'

    def copy(self):
        return Raw(self.key, self.value, list(self.headers))

    @property
    def id(self):
        return self.key.decode()

    @property
    def seq(self):
        return int(self.get("ce_sequence"))

    def chain_after(self, previous):
        """Makes its chain the one that follows from another, as who can compute would."""
        text = "".join(f"{self.get(name)}\n" for name in CHAINED)
        self.set("ce_chain", hashlib.sha256(previous + text.encode() + self.value).hexdigest())


@dataclass
class Log:
    """topic -> partition -> records, in their order. Edits are made in place."""

    topics: dict = field(default_factory=lambda: defaultdict(partial(defaultdict, list)))

    def places(self, id):
        """(partition's records, index) of each event of a request, in order."""
        return [(records, at) for partition in self.topics["lifecycle"].values() for records in [partition]
                for at, record in enumerate(records) if record.key == id.encode()]

    def events(self, id):
        return [records[at] for records, at in self.places(id)]

    def repeats(self, id):
        """How many of its events stand there more than once."""
        numbers = [record.seq for record in self.events(id)]
        return len(numbers) - len(set(numbers))

    def ids(self):
        return sorted({record.id for partition in self.topics["lifecycle"].values() for record in partition})

    @property
    def checkpoints(self):
        return self.topics["checkpoints"][0]

    def remove(self, record):
        for partition in self.topics["lifecycle"].values():
            partition[:] = [one for one in partition if one is not record]

    def insert_after(self, record, other):
        for partition in self.topics["lifecycle"].values():
            for at, one in enumerate(partition):
                if one is record:
                    partition.insert(at + 1, other)
                    return
        raise AssertionError("no such record")

    def forge_next(self, id):
        """One event more at a request's end, with the right hash."""
        last = self.events(id)[-1]
        more = last.copy()
        more.set("ce_id", f"{last.id}.{last.seq + 1}")
        more.set("ce_sequence", f"{last.seq + 1:020}")
        more.chain_after(bytes.fromhex(last.get("ce_chain")))
        self.insert_after(last, more)
        return more

    def forge_request(self, id):
        """A request that nobody made, of the first two events of another and beside them; its id."""
        made, chain = "pri_00000000-0000-4000-8000-000000000000", b""
        for record in self.events(id)[:2]:
            other = record.copy()
            other.key = made.encode()
            other.set("ce_subject", made)
            other.set("ce_id", f"{made}.{record.seq}")
            other.value = record.value.replace(record.id.encode(), made.encode())
            other.chain_after(chain)
            chain = bytes.fromhex(other.get("ce_chain"))
            self.insert_after(record, other)
        return made

    def chain_before(self, record):
        events = self.events(record.id)
        at = next(at for at, one in enumerate(events) if one is record)
        return bytes.fromhex(events[at - 1].get("ce_chain")) if at else b""


def read_log(brokers, prefix):
    log = Log()
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "tampering", "enable.auto.commit": False,
                         "enable.partition.eof": True, "fetch.wait.max.ms": 20})
    names = consumer.list_topics(timeout=20).topics
    for topic in TOPICS:
        name = f"{prefix}.{topic}"
        if name not in names:
            continue
        places = [TopicPartition(name, number, 0) for number in names[name].partitions]
        for place in places:
            log.topics[topic][place.partition] = []
        consumer.assign(places)
        left = len(places)
        while left:
            for message in consumer.consume(1000, timeout=0.1):
                if message.error():
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    left -= 1
                    continue
                log.topics[topic][message.partition()].append(
                    Raw(message.key(), message.value(), list(message.headers() or [])))
    consumer.close()
    return log


def write_log(stack, log):
    """Under a prefix of its own, which it returns; every record in its partition, in its order."""
    prefix = f"{stack.name}_edit{next(numbers)}"
    admin = AdminClient({"bootstrap.servers": stack.kafka.brokers})
    wanted = [NewTopic(f"{prefix}.{topic}", len(numbered), 1) for topic, numbered in log.topics.items()]
    for made in admin.create_topics(wanted).values():
        made.result(30)
    producer = Producer({"bootstrap.servers": stack.kafka.brokers, "enable.idempotence": True, "linger.ms": 5})
    failures = []
    for topic, numbered in log.topics.items():
        for number, records in numbered.items():
            for record in records:
                producer.produce(f"{prefix}.{topic}", value=record.value, key=record.key, headers=record.headers,
                                 partition=number, on_delivery=lambda error, _: error and failures.append(error))
                producer.poll(0)
    producer.flush(60)
    assert not failures, failures
    return prefix


@cache
def log_of(stack):
    """The log of a stack that has ended."""
    return read_log(stack.kafka.brokers, stack.name)


def edited(stack, edit):
    """The prefix of a copy of that log which `edit` has changed, and what it gave back."""
    log = copy.deepcopy(log_of(stack))
    told = edit(log)
    return write_log(stack, log), told


# --- checkpoints ----------------------------------------------------------------------------------------


class Forger:
    """Signs checkpoints with a key of its own."""

    def __init__(self):
        self.key = Ed25519PrivateKey.generate()
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = base64.b64encode(public).decode()

    def sign(self, record, key_id="forged", **changes):
        """Another value in a record, rightly signed by the forger."""
        value = json.loads(record.value) | {"key_id": key_id, "public_key": self.public} | changes
        record.value = json.dumps(value, separators=(",", ":")).encode()
        record.set("ce_keyid", key_id)
        record.set("ce_signature", base64.b64encode(self.key.sign(record.value)).decode())
