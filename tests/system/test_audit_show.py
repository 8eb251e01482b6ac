"""docketctl audit show: what happened to one request, told from the topic alone, and proven to somebody outside."""

import base64
import json
from datetime import datetime

import pytest

from auditing import audit, python_verify
from tampering import Forger, edited, log_of


@pytest.fixture
def told(audited):
    """A request that is complete, and its events as they stand on the topic."""
    log = log_of(audited)
    request_id = next(one for one in log.ids() if log.events(one)[-1].get("ce_type").endswith(".completed.v1"))
    return request_id, log.events(request_id)


def show(stack, request_id, *arguments, code=0, prefix=None):
    done = audit(stack, "show", request_id, *arguments, prefix=prefix)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def show_json(stack, request_id, *arguments, **named):
    return json.loads(show(stack, request_id, "--json", *arguments, **named).splitlines()[0])


def test_its_story_is_told_line_by_line(audited, told):
    request_id, events = told
    text = show(audited, request_id)
    assert text.startswith(f"{request_id} is complete, after {len(events)} events\n")
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    assert len(lines) == len(events)
    for line, event in zip(lines, events):
        assert event.get("ce_time") in line and f" {event.seq}  " in line
        assert event.get("ce_source").rpartition("/")[2] in line
        status = json.loads(event.value).get("status")
        assert (f" -> {status}  (" in line) == (status is not None)
    assert "it was created under the policy default_erasure_policy" in lines[0] and "all is done" in lines[-1]
    assert f"its chain is whole, from event 1 to {len(events)}" in text
    assert f"states it at event {len(events)}" in text


def test_it_needs_nothing_but_the_topics(audited, told):
    bare = {name: None for name in audited.environment()
            if name.startswith("DOCKET_") and name not in ("DOCKET_KAFKA_BROKERS", "DOCKET_TOPIC_PREFIX")}
    done = audited.docketctl_with(bare, "audit", "show", told[0], check=False)
    assert done.returncode == 0, done.stderr
    assert "note: no public key was given" in done.stdout


def test_the_state_at_a_time_is_what_had_happened_by_then(audited, told):
    request_id, events = told
    for number, event in [(1, events[0]), (len(events) // 2, events[len(events) // 2 - 1])]:
        at = event.get("ce_time")
        by_then = [one for one in events if one.get("ce_time") <= at]
        statuses = [json.loads(one.value)["status"] for one in by_then if "status" in json.loads(one.value)]
        shown = show_json(audited, request_id, "--at", at)
        assert len(shown["events"]) == len(by_then) >= number
        assert shown["status"] == statuses[-1]
    earlier = "2020-01-01T00:00:00Z"
    assert show_json(audited, request_id, "--at", earlier)["status"] is None
    assert f"{request_id} was not there yet" in show(audited, request_id, "--at", earlier)


def test_programs_get_the_events_as_they_are(audited, told):
    request_id, events = told
    shown = show_json(audited, request_id)
    assert (shown["request_id"], shown["at"], shown["status"]) == (request_id, None, "complete")
    assert shown["whole"] == len(events) and shown["problem"] is None
    assert shown["checkpoint"]["sequence"] == len(events)
    for one, event in zip(shown["events"], events):
        assert log_of(audited).topics["lifecycle"][one["partition"]][one["offset"]] is event
        assert one["event"]["data"] == json.loads(event.value)
        assert one["event"]["chain"] == event.get("ce_chain") and one["time"] == event.get("ce_time")
        datetime.fromisoformat(one["time"])


@pytest.fixture
def proof(audited, told, tmp_path):
    path = tmp_path / "proof.json"
    show(audited, told[0], "--proof", str(path))
    return path


def test_a_proof_convinces_a_stranger(audited, told, proof):
    done = python_verify(audited, "--proof", str(proof))
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads(proof.read_text())
    assert [event["value"].encode() for event in made["events"]] == [event.value for event in told[1]]
    assert [event["headers"] for event in made["events"]] == [
        {name: value.decode() for name, value in event.headers} for event in told[1]]
    other = base64.b64decode(made["checkpoint"]["value"])
    assert made["count"] == len(json.loads(other)["heads"])


@pytest.mark.parametrize("change", ["event", "header", "left_out", "path", "head", "signature", "other_root"])
def test_a_proof_that_was_changed_convinces_nobody(audited, told, proof, change):
    made = json.loads(proof.read_text())
    if change == "event":
        made["events"][1]["value"] = made["events"][1]["value"][:-1] + ',"by":"nobody"}'
    elif change == "header":
        made["events"][0]["headers"]["ce_time"] = "2020-01-01T00:00:00.000000Z"
    elif change == "left_out":
        del made["events"][-1]
    elif change == "path":
        made["index"] += 1
    elif change == "head":
        made["head"]["chain"] = "0" * 64
    elif change == "signature":
        made["checkpoint"]["signature"] = base64.b64encode(bytes(64)).decode()
    else:
        value = json.loads(base64.b64decode(made["checkpoint"]["value"])) | {"root": "0" * 64}
        made["checkpoint"]["value"] = base64.b64encode(json.dumps(value).encode()).decode()
    proof.write_text(json.dumps(made))
    assert python_verify(audited, "--proof", str(proof)).returncode == 1


def test_a_proof_by_another_key_convinces_nobody(audited, proof):
    forger = Forger()
    made = python_verify(audited, "--proof", str(proof), keys=[f"other:{forger.public}"])
    assert made.returncode == 1 and "not known" in made.stdout


def test_a_request_whose_events_were_changed_is_shown_and_not_proven(audited, told, tmp_path):
    request_id, events = told
    path = tmp_path / "proof.json"

    def change(log):
        record = log.events(request_id)[1]
        record.value = record.value[:-1] + b',"by":"nobody"}'

    def cut(log):
        log.remove(log.events(request_id)[-1])

    def anew(log):
        change(log)
        for record in log.events(request_id)[1:]:
            record.chain_after(log.chain_before(record))

    for edit, problem in [(change, "its chain breaks after event 1"), (cut, f"states event {len(events)} of it"),
                          (anew, "states another chain of it")]:
        prefix, _ = edited(audited, edit)
        text = show(audited, request_id, "--proof", str(path), prefix=prefix, code=1)
        assert problem in text and not path.exists()


def test_events_that_lie_on_another_partition_are_found_all_the_same(audited, told):
    request_id, events = told

    def move(log):
        moved = log.events(request_id)
        for record in moved:
            log.remove(record)
        held = log_of(audited).topics["lifecycle"]
        other = next(number for number in held if not any(record.id == request_id for record in held[number]))
        log.topics["lifecycle"][other].extend(moved)

    prefix, _ = edited(audited, move)
    assert len(show_json(audited, request_id, prefix=prefix)["events"]) == len(events)


def test_what_is_not_there_or_wrongly_asked_for_is_said(audited, told, tmp_path):
    assert "has no event of pri_nobody" in show(audited, "pri_nobody", code=3)
    assert "usage: docketctl audit show REQUEST" in show(audited, told[0], "pri_2", code=2)
    assert "--at takes a time" in show(audited, told[0], "--at", "yesterday", code=2)
    assert "No such file or directory" in show(audited, told[0], "--proof", str(tmp_path / "no" / "file"), code=3)


def test_without_a_checkpoint_there_is_no_proof(audited, told, tmp_path):
    prefix, _ = edited(audited, lambda log: log.checkpoints.clear())
    assert "no checkpoint speaks of it" in show(audited, told[0], prefix=prefix)
    text = show(audited, told[0], "--proof", str(tmp_path / "proof.json"), prefix=prefix, code=3)
    assert "so there is no proof" in text
