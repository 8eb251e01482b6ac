#!/usr/bin/env python3
"""Checks docket's log, or a proof of one request, by what schemas/README.md says and nothing else.

    verify.py --brokers HOST:PORT [--prefix docket] [--public-key ID:BASE64]...
    verify.py --proof FILE [--public-key ID:BASE64]...

It needs the packages confluent-kafka and cryptography, and Kafka only for the first of the two. It keeps the whole
log in memory: it is here to be read. Exit code 0: all is as it should be; 1: it is not, and each line says what.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CHAINED = ("ce_id", "ce_type", "ce_time", "ce_source", "ce_causationid", "ce_traceparent")
KNOWN = {"content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_dataschema",
         "ce_traceparent", "ce_causationid", "ce_sequence", "ce_chain"}
TOPICS = ("lifecycle", "configuration")


@dataclass
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: list  # (name, text)
    value: bytes | None
    named: dict = field(default_factory=dict)  # name -> text

    def __post_init__(self):
        self.named = dict(self.headers)

    @property
    def place(self):
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def is_event(self):
        return (self.key is not None and re.fullmatch(rb"[!#-\[\]-~]{1,63}", self.key) is not None
                and re.fullmatch(r"0[0-9]{19}", self.named.get("ce_sequence", "")) is not None and self.sequence > 0
                and re.fullmatch(r"[0-9a-f]{64}", self.named.get("ce_chain", "")) is not None)

    @property
    def id(self):
        return self.key.decode()

    @property
    def sequence(self):
        return int(self.named["ce_sequence"])

    @property
    def chain(self):
        return bytes.fromhex(self.named["ce_chain"])

    @property
    def mark(self):
        """What it counts with in a digest."""
        return self.chain if self.is_event else hashlib.sha256(self.value or b"").digest()


def chain_after(previous, headers, value):
    text = "".join(headers.get(name, "") + "\n" for name in CHAINED)
    return hashlib.sha256(previous + text.encode() + value).digest()


# --- the tree -----------------------------------------------------------------------------------------


def leaf(head):
    return hashlib.sha256(b"\0" + f"{head['id']}.{head['sequence']}\n{head['chain']}\n".encode()).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(root(leaves[:split]), root(leaves[split:]))


def root_by_path(value, index, count, path):
    """RFC 9162, 2.1.3.2; None when the path does not fit the place."""
    last = count - 1
    if not 0 <= index < count:
        return None
    for other in path:
        if last == 0:
            return None
        if index % 2 or index == last:
            value = node(other, value)
            while index and not index % 2:
                index, last = index // 2, last // 2
        else:
            value = node(value, other)
        index, last = index // 2, last // 2
    return value if last == 0 else None


# --- keys ---------------------------------------------------------------------------------------------


class Keys:
    """Those that are known to be docket's; when none are given, those that the checkpoints name."""

    def __init__(self, given):
        self.known = dict(text.split(":", 1) for text in given)
        self.trusts_all = not given

    def signed(self, value, signature, key_id, stated):
        """None when the signature holds, else what is wrong."""
        key = self.known.get(key_id, stated if self.trusts_all else None)
        if key is None:
            return f"is signed by the key {key_id}, which is not known"
        if key != stated:
            return f"states another public key for {key_id} than the one that is known"
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(base64.b64decode(signature), value)
        except (InvalidSignature, ValueError):
            return "has a signature that is not right"
        return None


# --- the log ------------------------------------------------------------------------------------------


def read(brokers, topic):
    """All records up to now, by partition, in order of offset."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "verify", "enable.auto.commit": False,
                         "enable.partition.eof": True})
    metadata = consumer.list_topics(topic, timeout=30).topics[topic]
    if metadata.error:
        return {}
    ends = {}
    for number in metadata.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
        if low < high:
            ends[number] = (low, high)
    consumer.assign([TopicPartition(topic, number, low) for number, (low, _) in ends.items()])
    records = {number: [] for number in metadata.partitions}
    open_ends = set(ends)
    while open_ends:
        for message in consumer.consume(1000, timeout=0.1):
            number = message.partition()
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise SystemExit(f"{topic}: {message.error()}")
                open_ends.discard(number)
                continue
            if message.offset() < ends[number][1]:
                headers = [(name, (value or b"").decode(errors="replace")) for name, value in message.headers() or []]
                records[number].append(Record(topic.rpartition(".")[2], number, message.offset(), message.key(),
                                              headers, message.value()))
            if message.offset() + 1 >= ends[number][1]:
                open_ends.discard(number)
    consumer.close()
    return records


def header_problems(record):
    """What the chain does not cover follows from what it does."""
    headers, wanted = record.named, {
        "ce_id": f"{record.id}.{record.sequence}",
        "ce_subject": record.id,
        "ce_dataschema": f"docket:events/{record.named.get('ce_type')}.json",
        "content-type": "application/json",
        "ce_specversion": "1.0",
    }
    problems = [f"{name} is {headers.get(name)!r}" for name, text in wanted.items() if headers.get(name) != text]
    problems += [f"{name} is a header of nobody" for name in headers if name not in KNOWN]
    if len(headers) != len(record.headers):
        problems.append("a header is there twice")
    return problems


def chains_checked(records):
    """Problems of all events, each chain from its first event; what repeats, repeats byte by byte."""
    problems, seen = [], defaultdict(dict)
    for record in records:
        if not record.is_event:
            problems.append(f"{record.place}: no event of docket's")
            continue
        problems += [f"{record.place}: {record.id}.{record.sequence}: {text}" for text in header_problems(record)]
        before = seen[record.id].get(record.sequence)
        if before and (before.headers, before.value) != (record.headers, record.value):
            problems.append(f"{record.place}: {record.id}.{record.sequence} is there twice, and not the same")
        if not before:
            expected = max(seen[record.id], default=0) + 1
            if record.sequence != expected:
                problems.append(f"{record.place}: {record.id}.{record.sequence} comes where {expected} should")
            seen[record.id][record.sequence] = record
    for id, events in seen.items():
        for sequence, record in sorted(events.items()):
            before = events.get(sequence - 1)
            if sequence > 1 and before is None:
                problems.append(f"{id}.{sequence - 1} is missing")
            elif chain_after(before.chain if before else b"", record.named, record.value or b"") != record.chain:
                problems.append(f"{record.place}: {id}.{sequence}: its chain is not the one that follows")
    return problems


def checkpoint_numbered(record):
    """Its value as an object; None when it has no right form."""
    try:
        value = json.loads(record.value)
        named = record.named
        right = (record.key == b"checkpoint" == named["ce_subject"].encode()
                 and named["ce_type"] == "docket.checkpoint.v1"
                 and named["ce_id"] == f"checkpoint.{value['number']}" and named["ce_keyid"] == value["key_id"]
                 and named["ce_sequence"] == f"{value['number']:020}" and named["ce_time"] == value["made_at"])
        return value if right else None
    except (ValueError, KeyError, TypeError):
        return None


def checkpoints_in_line(records, keys):
    """(problems, the checkpoints that follow each other and are signed)."""
    problems, line, values = [], [], {}
    for record in records:
        value = checkpoint_numbered(record)
        if value is None:
            problems.append(f"{record.place}: no checkpoint")
            continue
        number = value["number"]
        wrong = keys.signed(record.value, record.named["ce_signature"], value["key_id"], value["public_key"])
        if wrong:
            problems.append(f"{record.place}: checkpoint {number} {wrong}")
        elif values.setdefault(number, record.value) != record.value:
            problems.append(f"{record.place}: checkpoint {number} is there twice, and not the same")
        elif line and number <= line[-1]["number"]:
            continue  # a repeat
        else:
            expected = line[-1]["number"] + 1 if line else 1
            before = hashlib.sha256(values[number - 1]).hexdigest() if number - 1 in values else None
            if number != expected:
                problems.append(f"{record.place}: checkpoint {number} comes where {expected} should")
            elif value["previous"] != before:
                problems.append(f"{record.place}: checkpoint {number} does not follow the one before")
            line.append(value)
    return problems, line


def windows_checked(line, partitions):
    """Every checkpoint against the records that it speaks of."""
    problems, covered = [], {}
    for value in line:
        name, highest = f"checkpoint {value['number']}", {}
        for window in value["windows"]:
            place = (window["topic"], window["partition"])
            records = partitions.get(place, [])
            begin = covered.get(place, records[0].offset if records else 0)
            if window["from"] != begin and place in covered:
                problems.append(f"{name}: {place} begins at {window['from']}, not at {begin}")
            inside = [record for record in records if window["from"] <= record.offset < window["to"]]
            digest = hashlib.sha256(b"".join(record.mark for record in inside)).hexdigest()
            if (len(inside), digest) != (window["records"], window["digest"]):
                problems.append(f"{name}: {place}, offsets {window['from']} to {window['to']}: not the records that "
                                f"lay there")
            for record in inside:
                if record.is_event and record.sequence >= highest.get(record.id, (0,))[0]:
                    highest[record.id] = (record.sequence, record.chain.hex())
            covered[place] = window["to"]
        heads = {head["id"]: (head["sequence"], head["chain"]) for head in value["heads"]}
        problems += [f"{name}: {id} stands at {highest.get(id)}, not at {heads.get(id)}"
                     for id in sorted(heads.keys() | highest.keys()) if heads.get(id) != highest.get(id)]
        if list(heads) != sorted(heads) or root([leaf(head) for head in value["heads"]]).hex() != value["root"]:
            problems.append(f"{name}: its root is not that of its heads")
    return problems


def log_problems(brokers, prefix, keys):
    topics = {topic: read(brokers, f"{prefix}.{topic}") for topic in TOPICS}
    partitions = {(topic, number): records for topic, numbers in topics.items() for number, records in numbers.items()}
    everything = [record for records in partitions.values() for record in records]
    problems = chains_checked(everything)
    wrong, line = checkpoints_in_line(
        [record for records in read(brokers, f"{prefix}.checkpoints").values() for record in records], keys)
    problems += wrong + windows_checked(line, partitions)
    print(f"{len(everything)} records, {len({r.key for r in everything})} chains, {len(line)} checkpoints",
          file=sys.stderr)
    return problems


# --- a proof ------------------------------------------------------------------------------------------


def proof_problems(proof, keys):
    checkpoint, head = proof["checkpoint"], proof["head"] | {"id": proof["request_id"]}
    value = base64.b64decode(checkpoint["value"])
    stated = json.loads(value)
    wrong = keys.signed(value, checkpoint["signature"], checkpoint["key_id"], proof["public_key"])
    problems = [f"the checkpoint {wrong}"] if wrong else []
    chain = b""
    for number, event in enumerate(proof["events"], start=1):
        headers = event["headers"]
        if headers.get("ce_id") != f"{proof['request_id']}.{number}":
            problems.append(f"event {number} says that it is {headers.get('ce_id')}")
        chain = chain_after(chain, headers, event["value"].encode())
    if (len(proof["events"]), chain.hex()) != (head["sequence"], head["chain"]):
        problems.append("the events do not lead to the head")
    if stated["number"] != checkpoint["number"]:
        problems.append(f"the checkpoint is number {stated['number']}")
    found = root_by_path(leaf(head), proof["index"], proof["count"], [bytes.fromhex(text) for text in proof["path"]])
    if found is None or found.hex() != stated["root"]:
        problems.append("the path does not lead from the head to the checkpoint's root")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brokers")
    parser.add_argument("--prefix", default="docket")
    parser.add_argument("--proof", metavar="FILE")
    parser.add_argument("--public-key", action="append", default=[], metavar="ID:BASE64")
    options = parser.parse_args()
    if bool(options.brokers) == bool(options.proof):
        parser.error("--brokers or --proof")
    keys = Keys(options.public_key)
    if keys.trusts_all:
        print("no --public-key: checkpoints are believed by the keys that they bring, which proves nothing",
              file=sys.stderr)
    if options.proof:
        with open(options.proof, encoding="utf-8") as file:
            problems = proof_problems(json.load(file), keys)
    else:
        problems = log_problems(options.brokers, options.prefix, keys)
    print("\n".join(problems or ["all is as it should be"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
