"""What a stranger finds on the topics: whole envelopes, no gap, no disorder, a chain that holds."""

import re
from collections import defaultdict

import pytest

from events import first_seen, sequence_problems
from utils import Answer, Reply, must, must_all, wait_until

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
TRACE = r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]"
PROGRAMS = "docket-api|docket-callback|docket-worker"


@pytest.fixture
def history(stack, api, receiver, identity, bus, db):
    """Requests that went every way; the ids, once all of their events are on the topic."""
    api.make_webhooks(receiver, crm=Answer(), tickets=Answer())
    ids = {word: api.create_request(identity())["id"]
           for word in ("approved", "objected", "denied", "canceled", "late")}
    calls = {word: [receiver.wait_calls(1, path, request_id)[0] for path in ("/crm", "/tickets")]
             for word, request_id in ids.items()}
    for call in calls["approved"]:
        receiver.reply(call, "eligible")
    receiver.reply(calls["approved"][0], "eligible")
    receiver.reply(calls["objected"][0], "eligible")
    receiver.reply(calls["objected"][1], "not-eligible")
    api.deny(ids["denied"], reason="no")
    must_all(api.patch("/privacy-request/administrate/cancel", {"request_ids": [ids["canceled"]]}))
    api.approve(ids["late"])
    api.wait_status(ids["approved"], "complete")
    api.wait_status(ids["late"], "complete")
    api.wait_status(ids["objected"], "pre_approval_not_eligible")
    api.approve(ids["objected"])
    api.wait_status(ids["objected"], "complete")
    must_all(api.patch("/dsr/policy", [{"name": "No rules", "key": "no_rules"}]))
    ids["failed"] = api.create_request(identity(), policy="no_rules")["id"]
    for path in ("/crm", "/tickets"):
        receiver.reply(receiver.wait_calls(1, path, ids["failed"])[0], "eligible")
    api.wait_status(ids["failed"], "error")
    wait_until(lambda: not db.execute("select 1 from request_outbox").fetchone(), 20, "all to be published")
    return ids


def by_request(events):
    grouped = defaultdict(list)
    for event in events:
        grouped[event.key].append(event)
    return grouped


def test_every_lifecycle_record_has_its_whole_envelope(history, bus):
    records = bus.records("lifecycle")
    assert set(history.values()) <= {event.key for event in records}
    for event in records:
        headers = event.headers
        sequence = headers["ce_sequence"]
        assert headers["content-type"] == "application/json"
        assert headers["ce_specversion"] == "1.0"
        assert headers["ce_subject"] == event.key == event.data["request_id"]
        assert re.fullmatch(r"\d{20}", sequence) and int(sequence) >= 1
        assert headers["ce_id"] == f"{event.key}.{int(sequence)}"
        assert re.fullmatch(rf"/docket/[^/]+/({PROGRAMS})", headers["ce_source"])
        assert re.fullmatch(r"docket\.request\.[a-z_]+\.v1", event.type)
        assert headers["ce_dataschema"] == f"docket:events/{event.type}.json"
        assert re.fullmatch(TIME, headers["ce_time"])
        assert re.fullmatch(TRACE, headers["ce_traceparent"])
        assert re.fullmatch(r"[0-9a-f]{64}", headers["ce_chain"])
        assert all(name == "content-type" or re.fullmatch(r"ce_[a-z0-9]+", name) for name in headers)


def test_every_callbacks_record_has_its_whole_envelope(history, bus):
    records = [event for event in bus.records("callbacks") if event.key in set(history.values())]
    assert len(records) >= 5
    for event in records:
        headers, data = event.headers, event.data
        assert headers["content-type"] == "application/json" and headers["ce_specversion"] == "1.0"
        assert headers["ce_subject"] == event.key == data["request_id"]
        assert headers["ce_id"].startswith(f"{event.key}.{data['webhook_id']}.")
        assert re.fullmatch(rf"/docket/[^/]+/({PROGRAMS})", headers["ce_source"])
        assert event.type == f"docket.reply.{'eligible' if data['eligible'] else 'not_eligible'}.v1"
        assert headers["ce_dataschema"] == f"docket:events/{event.type}.json"
        assert re.fullmatch(TIME, headers["ce_time"]) and re.fullmatch(TRACE, headers["ce_traceparent"])


def test_a_request_s_events_are_in_order_without_a_gap_and_chained(history, bus):
    for events in by_request(bus.records("lifecycle")).values():
        assert not sequence_problems(events)
        assert len({event.partition for event in events}) == 1


def test_an_event_s_id_names_one_event(history, bus):
    """A repeat has the same bytes, so that whoever reads may leave it out."""
    seen = {}
    for event in bus.records("lifecycle"):
        what = (event.type, event.value, event.headers["ce_chain"])
        assert seen.setdefault(event.id, what) == what


def test_the_chain_on_the_topic_is_that_of_the_database(history, bus, db):
    grouped = by_request(bus.records("lifecycle"))
    for request_id in history.values():
        rows = db.execute("select seq, type, payload, chain from request_event where request_id = %s order by seq",
                          (request_id,)).fetchall()
        events = first_seen(grouped[request_id])
        assert [(event.sequence, event.type, event.value, bytes.fromhex(event.headers["ce_chain"]))
                for event in events] == rows
        assert db.execute("select seq, chain from privacy_request where id = %s", (request_id,)).fetchone() == (
            len(rows), rows[-1][3])


def test_a_changed_event_breaks_the_chain(history, bus):
    events = first_seen(bus.records("lifecycle", history["approved"]))
    replied = next(event for event in events if event.type == "docket.request.pre_approval_eligible.v1")
    kept, replied.value = replied.value, replied.value.replace(b"true", b"false")
    try:
        assert sequence_problems(events)
    finally:
        replied.value = kept
    assert not sequence_problems(events)


def test_every_event_says_what_caused_it(history, bus):
    """Another event of the same request, or a reply; only what came from outside has no cause."""
    replies = {event.id for event in bus.records("callbacks")}
    for request_id in history.values():
        events = first_seen(bus.records("lifecycle", request_id))
        earlier = set()
        for event in events:
            cause = event.headers.get("ce_causationid")
            assert cause is None or cause in earlier | replies, f"{event} is caused by {cause}"
            earlier.add(event.id)
        caused = {event.type.removeprefix("docket.request."): event.headers.get("ce_causationid") for event in events}
        assert caused["created.v1"] is None
        assert caused["pre_approval_requested.v1"] == f"{request_id}.1"


def test_what_a_status_event_says_is_the_request_s_status(history, api, bus):
    """Its state can be rebuilt from the topic alone."""
    for request_id in history.values():
        statuses = [event.data["status"] for event in first_seen(bus.records("lifecycle", request_id))
                    if "status" in event.data]
        assert statuses[-1] == api.status(request_id)
    wanted = {"approved": "complete", "objected": "complete", "denied": "denied", "canceled": "canceled",
              "late": "complete", "failed": "error"}
    assert {word: api.status(request_id) for word, request_id in history.items()} == wanted


def test_a_trace_goes_from_the_caller_through_every_event(api, receiver, identity, bus):
    trace = "0af7651916cd43dd8448eb211c80319c"
    api.make_webhooks(receiver, crm=Reply("eligible"))
    answer = api.anonymous().post(
        "/privacy-request", [{"policy_key": "default_erasure_policy", "identity": {"email": identity()}}],
        headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    request_id = must(answer)["succeeded"][0]["id"]
    api.wait_status(request_id, "complete")
    events = bus.wait_types(request_id, "docket.request.completed.v1")
    traced = [event.type for event in events if event.headers["ce_traceparent"].split("-")[1] == trace]
    assert {"docket.request.created.v1", "docket.request.pre_approval_requested.v1",
            "docket.request.webhook_sent.v1"} <= set(traced)
    spans = [event.headers["ce_traceparent"].split("-")[2] for event in events]
    assert "b7ad6b7169203331" not in spans
