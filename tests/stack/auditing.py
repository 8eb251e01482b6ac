"""The log of a stack as an auditor comes to it: checkpoints, docketctl audit, and schemas/examples/verify.py."""

import base64
import hashlib
import json
import subprocess
import sys
from functools import cache

from stack import ROOT, own_environment, wait_until

SCRIPT = ROOT / "schemas/examples/verify.py"


@cache
def public_keys(stack):
    """As `docketctl keys public` prints them: ID:BASE64, the one that signs first. A stack's stay the same."""
    return stack.docketctl("keys", "public").stdout.split()


def python_verify(stack, *arguments, prefix=None, keys=None):
    """The plain script, on the topics of `prefix`; the finished process."""
    keys = public_keys(stack) if keys is None else keys
    where = arguments or ("--brokers", stack.kafka.brokers, "--prefix", prefix or stack.name)
    options = [part for key in keys for part in ("--public-key", key)]
    return subprocess.run([sys.executable, SCRIPT, *where, *options], env=own_environment(), capture_output=True,
                          text=True, check=False, timeout=280)


def audit(stack, *arguments, prefix=None):
    """docketctl audit, on the topics of `prefix`; the finished process, whatever it found."""
    settings = {"DOCKET_TOPIC_PREFIX": prefix} if prefix else {}
    return stack.docketctl_with(settings, "audit", *arguments, check=False, timeout=280)


def findings_of(done):
    """What docketctl audit verify --json has found."""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line for line in lines if "finding" in line]


def checkpoints(bus):
    """Those on the topic, as objects in the order of their numbers; each once, and no two of one number differ."""
    found = {}
    for event in bus.records("checkpoints"):
        number = json.loads(event.value)["number"]
        assert found.setdefault(number, event).value == event.value, f"two checkpoints {number}"
    return [json.loads(found[number].value) | {"sha256": hashlib.sha256(found[number].value).hexdigest()}
            for number in sorted(found)]


def covered(bus):
    """(topic, partition) -> how far checkpoints go."""
    places = {}
    for checkpoint in checkpoints(bus):
        for window in checkpoint["windows"]:
            places[window["topic"], window["partition"]] = window["to"]
    return places


def wait_covered(bus, timeout=30):
    """Until a checkpoint covers every record that is on the topics now; the checkpoints."""
    wanted = {}
    for event in bus.records("lifecycle"):
        wanted[event.topic.rpartition(".")[2], event.partition] = event.offset + 1

    def is_covered():
        places = covered(bus)
        return all(places.get(place, 0) >= to for place, to in wanted.items())

    wait_until(is_covered, timeout, lambda: f"checkpoints to reach {wanted}, they are at {covered(bus)}", every=0.2)
    return checkpoints(bus)


def key_bytes(key):
    """(id, the 32 bytes) of ID:BASE64."""
    name, _, text = key.partition(":")
    return name, base64.b64decode(text)
