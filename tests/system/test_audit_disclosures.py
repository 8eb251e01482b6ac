"""docketctl audit disclosures: to whom a request's person's data went, by the topic alone, and signed so that a stranger
can check it."""

import base64
import json
import re
import subprocess
from dataclasses import replace

import pytest
from confluent_kafka import Producer
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from events import first_seen
from stack import own_environment
from utils import ROOT, Answer, Reply, must, worker_settings

SEED = bytes(range(32))
KEYS = f"auditor:{base64.b64encode(SEED).decode()},older:{base64.b64encode(bytes(32)).decode()}"
POLICY = "default_erasure_policy"


@pytest.fixture
def told(api, receiver, identity, stack, bus):
    """A request whose first call was refused, its second failed, its third taken by an endpoint that is told little."""
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="100ms"):
        api.make_webhooks(receiver, crm=[Answer(503), Reply("eligible")])
        must(api.patch("/docket/endpoint/crm", {"disclose": {"identity": ["email"], "parts": ["policy"]}}))
        request_id = api.create_request(identity())["id"]
        api.wait_status(request_id, "complete")
    bus.wait_types(request_id, "docket.request.completed.v1")
    return request_id


def statement_of(stack, request_id):
    return json.loads(stack.docketctl("audit", "disclosures", request_id, "--json").stdout)


def test_an_account_is_by_the_topic_alone(stack, told, db, api):
    events = db.execute("select seq, chain from request_event where request_id = %s order by seq", (told,)).fetchall()
    statement = statement_of(stack, told)
    disclosures = statement.pop("disclosures")
    assert statement.pop("made_at").endswith("Z")
    assert statement == {"statement": "docket.disclosures.v1", "request_id": told, "policy_key": POLICY,
                         "action_type": "erasure", "status": "complete", "topic": f"{stack.name}.lifecycle",
                         "event_count": len(events), "chain": events[-1][1].hex(), "nothing_disclosed": 0, "untold": 0}
    assert [(one["what"], one["to"], one["identity"], one["parts"], one["attempt"], one["outcome"], one["status_code"])
            for one in disclosures] == [
        ("call", {"connection_key": "crm", "host": "127.0.0.1"}, ["email"], ["id", "status", "policy"], attempt, outcome,
         status) for attempt, outcome, status in ((1, "http_5xx", 503), (2, "succeeded", 200))]
    for one in disclosures:
        assert (one["why"]["webhook_key"], one["why"]["kind"], one["why"]["policy_key"], one["why"]["action_type"]) == (
            "crm", "pre_approval", POLICY, "erasure")


def test_it_is_told_in_words(stack, told):
    said = stack.docketctl("audit", "disclosures", told).stdout.splitlines()
    assert said[0].endswith("Z  crm (127.0.0.1)")
    assert said[1:3] == ["    identity: email; of the request: id, status, policy",
                         f"    webhook crm (pre_approval), policy {POLICY}, erasure; attempt 1: http_5xx, status 503"]
    assert said[-1].startswith("2 disclosures in ") and said[-1].endswith(f" events of {told}, whose chain is unbroken")


def test_what_disclosed_nothing_is_counted(api, identity, stack, bus):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="none"):
        api.make_connection("crm", "http://127.0.0.1:9/hook")
        api.set_pre_approval(("crm", "crm"))
        request_id = api.create_request(identity())["id"]
        bus.wait_types(request_id, "docket.request.webhook_given_up.v1")
    statement = statement_of(stack, request_id)
    assert (statement["disclosures"], statement["nothing_disclosed"]) == ([], 1)
    assert "1 attempt disclosed nothing" in stack.docketctl("audit", "disclosures", request_id).stdout


def test_what_is_exported_is_signed_and_any_other_text_is_not(stack, told, tmp_path, monkeypatch):
    """As docs/audit.md says, with the public key alone."""
    file = tmp_path / "account.json"
    done = stack.docketctl_with({"DOCKET_CHECKPOINT_KEYS": KEYS}, "audit", "disclosures", told, "--export", str(file))
    assert "2 disclosures" in done.stdout
    exported = json.loads(file.read_text())
    assert set(exported) == {"statement", "key_id", "public_key", "signature"} and exported["key_id"] == "auditor"
    own = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert base64.b64decode(exported["public_key"]) == own
    key, signature = Ed25519PublicKey.from_public_bytes(own), base64.b64decode(exported["signature"])
    key.verify(signature, exported["statement"].encode())
    with pytest.raises(InvalidSignature):
        key.verify(signature, exported["statement"].replace("email", "phone_number").encode())
    monkeypatch.chdir(tmp_path)
    example, = re.findall(r"```python\n(.*?)```", (ROOT / "docs/audit.md").read_text(), re.DOTALL)
    names = {"PUBLIC_KEY": base64.b64encode(own).decode()}
    exec(example, names)  # noqa: S102
    statement = names["statement"]
    assert statement["request_id"] == told and len(statement["disclosures"]) == 2
    assert statement | {"made_at": ""} == statement_of(stack, told) | {"made_at": ""}


def test_nothing_is_exported_without_a_key(stack, told, tmp_path):
    file = tmp_path / "account.json"
    done = stack.docketctl_with({"DOCKET_CHECKPOINT_KEYS": ""}, "audit", "disclosures", told, "--export", str(file),
                                check=False)
    assert done.returncode == 2 and "DOCKET_CHECKPOINT_KEYS is required" in done.stderr and not file.exists()


def copied(stack, told, bus, prefix, change):
    """docketctl's word on a copy of the request's events under another prefix; `change` makes other events of them."""
    settings = {"DOCKET_TOPIC_PREFIX": f"{stack.name}_{prefix}", "DOCKET_TOPIC_PARTITIONS": "2"}
    environment = own_environment() | stack.environment() | settings

    def docketctl(*words):
        return subprocess.run([stack.binary("docketctl"), *words], env=environment, capture_output=True, text=True,
                              check=False, timeout=60)

    assert docketctl("topics").returncode == 0
    producer = Producer({"bootstrap.servers": stack.kafka.brokers})
    for event in change(first_seen(bus.records("lifecycle", told))):
        producer.produce(f"{stack.name}_{prefix}.lifecycle", key=event.key, value=event.value, headers=event.headers)
    assert producer.flush(30) == 0
    return docketctl("audit", "disclosures", told)


def test_a_copy_is_as_good_as_the_log(stack, told, bus):
    done = copied(stack, told, bus, "copy", lambda events: [*events, *events[1:3]])
    assert done.returncode == 0 and "2 disclosures" in done.stdout, done.stderr


def test_a_log_with_a_hole_is_no_account(stack, told, bus):
    done = copied(stack, told, bus, "hole", lambda events: events[:2] + events[3:])
    assert done.returncode == 1 and done.stderr.endswith(": event 3 is missing\n") and not done.stdout


def test_a_log_that_was_changed_is_no_account(stack, told, bus):
    """That somebody was told less than they were."""
    def change(events):
        return [replace(event, value=event.value.replace(b'"email"', b'"ga_client_id"')) for event in events]

    done = copied(stack, told, bus, "changed", change)
    assert done.returncode == 1 and "is not what its chain says" in done.stderr and not done.stdout


@pytest.mark.parametrize("words", [[], ["one", "two"], ["--export"], ["--nothing", "x"]])
def test_words_that_say_nothing_are_refused(stack, words):
    done = stack.docketctl("audit", "disclosures", *words, check=False)
    assert done.returncode == 2 and done.stderr.startswith("docketctl: ")


def test_a_request_that_nobody_knows_is_a_finding(stack):
    done = stack.docketctl("audit", "disclosures", "pri_nobody", check=False)
    assert done.returncode == 1 and "there is no event of it" in done.stderr and not done.stdout
