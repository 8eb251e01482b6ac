"""Logs that nobody's programs wrote, in many shapes: requests side by side over a few partitions, honest repeats, and
checkpoints at any place between."""

import hashlib
import json
import uuid
import zlib

from tampering import Forger, Log, Raw

PARTITIONS = 3
REQUESTS = 14
MADE_AT = "2026-01-02T03:04:05.000000Z"
KEY = "shaped"


def shaped(rng):
    """A whole log, and the public key of its checkpoints as docketctl takes it."""
    shaper = Shaper(rng)
    shaper.live()
    return shaper.log, f"{KEY}:{shaper.forger.public}"


def headers_of(id, number, type, **more):
    names = {"content-type": "application/json", "ce_specversion": "1.0", "ce_id": f"{id}.{number}",
             "ce_source": "/docket/shaped/docket-worker", "ce_type": type, "ce_subject": id, "ce_time": MADE_AT,
             "ce_dataschema": f"docket:events/{type}.json", "ce_sequence": f"{number:020}"} | more
    return [(name, value.encode()) for name, value in names.items()]


def event_of(id, number, previous):
    record = Raw(id.encode(), json.dumps({"request_id": id, "n": number}).encode(),
                 headers_of(id, number, "docket.request.started.v1"))
    record.chain_after(previous)
    return record


def root_of(leaves):
    """RFC 9162, 2.1.1."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\1" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


class Shaper:
    def __init__(self, rng):
        self.rng = rng
        self.forger = Forger()
        self.log = Log()
        self.partitions = self.log.topics["lifecycle"]
        for number in range(PARTITIONS):
            self.partitions[number] = []
        self.log.topics["checkpoints"][0] = []
        self.covered = dict.fromkeys(range(PARTITIONS), 0)
        self.previous = None

    def live(self):
        """All requests from their first event to their last, a few at a time."""
        rng, alive = self.rng, []
        waiting = [f"pri_{uuid.UUID(int=rng.getrandbits(128), version=4)}" for _ in range(REQUESTS)]
        checkpoints = rng.choice([0.04, 0.1, 0.2, 0.5])
        repeats = rng.choice([0, 0, 0.05, 0.2])
        while waiting or alive:
            if waiting and (not alive or len(alive) < 4 or rng.random() < 0.1):
                alive.append((waiting.pop(), rng.randint(5, 12)))
            id, length = rng.choice(alive)
            events = self.event(id)
            if len(events) == length:
                alive.remove((id, length))
            if rng.random() < repeats:
                self.partition(id).append(rng.choice(events[-3:]).copy())
            if rng.random() < checkpoints:
                self.checkpoint()
        self.checkpoint()

    def partition(self, id):
        return self.partitions[zlib.crc32(id.encode()) % PARTITIONS]

    def event(self, id):
        """The next one; all of the request's, each once."""
        events = list({record.seq: record for record in self.log.events(id)}.values())
        previous = bytes.fromhex(events[-1].get("ce_chain")) if events else b""
        events.append(event_of(id, len(events) + 1, previous))
        self.partition(id).append(events[-1])
        return events

    def window(self, number):
        records = self.partitions[number][self.covered[number]:]
        window = {"topic": "lifecycle", "partition": number, "from": self.covered[number],
                  "to": len(self.partitions[number]), "records": len(records),
                  "digest": hashlib.sha256(b"".join(bytes.fromhex(one.get("ce_chain")) for one in records)).hexdigest()}
        self.covered[number] = window["to"]
        return window, records

    def checkpoint(self):
        """Over all that came since the last one; none when nothing did."""
        windows, heads = [], {}
        for number in range(PARTITIONS):
            window, records = self.window(number)
            windows += [window] if records else []
            for record in records:
                heads[record.id] = max(heads.get(record.id, (0, "")), (record.seq, record.get("ce_chain")))
        if not windows:
            return
        number = len(self.log.checkpoints) + 1
        leaves = [hashlib.sha256(f"\0{id}.{seq}\n{chain}\n".encode()).digest()
                  for id, (seq, chain) in sorted(heads.items())]
        record = Raw(b"checkpoint", b"{}", headers_of("checkpoint", number, "docket.checkpoint.v1", ce_keyid=KEY))
        self.forger.sign(record, key_id=KEY, number=number, previous=self.previous, made_at=MADE_AT, windows=windows,
                         root=root_of(leaves).hex(), heads=[{"id": id, "sequence": seq, "chain": chain}
                                                            for id, (seq, chain) in sorted(heads.items())])
        self.previous = hashlib.sha256(record.value).hexdigest()
        self.log.checkpoints.append(record)
