"""GET /docket/events: what happens, as it happens, over HTTP: to be resumed, to be filtered, never held up by a slow reader."""

import base64
import hashlib
import json
import re
import time

import pytest
from jwcrypto import jwe, jwk

from configuring import assert_scope, errors, refusal
from events import validator
from sse import EventStream
from utils import Answer, Api, must, wait_until

PATH = "/docket/events"
TYPES = ["docket.request.created.v1", "docket.request.canceled.v1"]


def make_requests(api, identity, count):
    """Requests that are canceled at once: two events each. Their ids."""
    ids = []
    while len(ids) < count:
        made = api.create_requests([identity() for _ in range(min(50, count - len(ids)))])
        ids += [request["id"] for request in made]
        must(api.patch("/privacy-request/administrate/cancel", {"request_ids": [made["id"] for made in made]}))
    return ids


def places(events):
    """(request, number) of each event, in the order in which they came."""
    return [(sent.event["subject"], int(sent.event["sequence"])) for sent in events]


def of(ids, events):
    return [sent for sent in events if sent.event["subject"] in ids]


def wait_events(stream, ids, each=2):
    """The events of these requests, once there are as many of each."""
    wait_until(lambda: len(set(places(of(ids, stream.events)))) == each * len(ids), 30,
               lambda: f"{each} events of {len(ids)} requests, there are {len(of(ids, stream.events))}")
    return of(ids, stream.events)


def assert_in_order(events):
    """A request's numbers rise by one, apart from repeats."""
    seen = {}
    for request_id, number in places(events):
        assert number <= seen.get(request_id, 0) + 1, f"{request_id} went from {seen.get(request_id)} to {number}"
        seen[request_id] = max(number, seen.get(request_id, 0))


@pytest.fixture
def streams(api):
    """streams(**options) opens one; all are closed after the test."""
    opened = []

    def open_one(as_api=api, **options):
        opened.append(EventStream(as_api, **options))
        return opened[-1]

    yield open_one
    for stream in opened:
        stream.close()
    wait_streams(api, 0)


def metric(api, name):
    found = re.search(rf"(?m)^{re.escape(name)} (\S+)$", api.get("/metrics").text)
    return float(found[1]) if found else 0.0


def wait_streams(api, count):
    wait_until(lambda: metric(api, "docket_event_streams") == count, 20,
               lambda: f"{count} clients to read, there are {metric(api, 'docket_event_streams')}")


# --- what is sent --------------------------------------------------------------------------------------------


def test_what_happens_is_sent_as_cloudevents(api, identity, streams, bus):
    stream = streams()
    assert stream.status == 200 and stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["cache-control"] == "no-store" and "content-encoding" not in stream.headers
    request_id = make_requests(api, identity, 1)[0]
    events = wait_events(stream, [request_id])
    assert [sent.type for sent in events] == TYPES
    assert stream.parser.retry and stream.parser.last_id
    records = bus.wait_types(request_id, TYPES[1])
    for sent, record in zip(events, records):
        event = sent.event
        assert event["type"] == sent.type == record.type
        assert event["data"] == record.data and not list(validator(sent.type).iter_errors(event["data"]))
        assert event["datacontenttype"] == "application/json" and event["partitionkey"] == request_id
        assert {name: value for name, value in event.items() if f"ce_{name}" in record.headers} == {
            name.removeprefix("ce_"): value for name, value in record.headers.items() if name.startswith("ce_")}
        assert record.value.decode() in sent.data, "the data is as it stands in the record"


def test_it_begins_with_what_comes_from_now_on(api, identity, streams, bus):
    before = make_requests(api, identity, 3)
    for request_id in before:
        bus.wait_types(request_id, *TYPES)
    stream = streams()
    assert stream.status == 200
    after = make_requests(api, identity, 3)
    wait_events(stream, after)
    assert not of(before, stream.events)


def test_from_the_beginning_there_is_everything(api, identity, streams, bus):
    ids = make_requests(api, identity, 3)
    for request_id in ids:
        bus.wait_types(request_id, TYPES[1])
    stream = streams(**{"from": "beginning"})
    wait_events(stream, ids)
    records = {(record.key, record.sequence) for record in bus.records("lifecycle")}
    wait_until(lambda: records <= set(places(stream.events)), 60, "all events of the topic")
    assert_in_order(stream.events)


@pytest.mark.settings(DOCKET_EVENT_HEARTBEAT="1s")
def test_a_connection_with_nothing_to_say_hears_that_it_stands(streams):
    stream = streams(request_id="pri_none")
    wait_until(lambda: len(stream.parser.comments) >= 2, 40, "two heartbeats")
    assert set(stream.parser.comments) == {"heartbeat"} and not stream.events


# --- resuming ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["header", "query"])
def test_who_comes_back_misses_nothing(api, identity, streams, how):
    """From every event on: those before it do not come again, those after it do, of all partitions."""
    stream = streams()
    ids = make_requests(api, identity, 20)
    events = wait_events(stream, ids)
    stream.close()
    meanwhile = make_requests(api, identity, 20)
    for place in (0, len(events) // 2, len(events) - 1):
        last = events[place].id
        again = streams(last_event_id=last) if how == "header" else streams(again=last)
        rest = wait_events_again(again, events[place + 1:], meanwhile)
        assert not set(places(events[:place + 1])) & set(places(rest)), "what was sent before comes again"
        again.close()


def wait_events_again(stream, events, ids):
    wanted = set(places(events)) | {(request_id, number) for request_id in ids for number in (1, 2)}
    wait_until(lambda: wanted <= set(places(stream.events)), 30, "what was missed")
    return stream.events


def test_a_client_that_loses_its_connection_again_and_again_has_everything_in_order(api, identity, streams):
    """It comes back behind the last event that it took, from wherever that is in the stream."""
    stream = streams(slow=True)
    ids = make_requests(api, identity, 100)
    wanted = {(request_id, number) for request_id in ids for number in (1, 2)}
    events, last = [], None
    while not wanted <= set(places(events)):
        taken = len(stream.parser.events)
        while len(stream.parser.events) < taken + 9 and not wanted <= set(places(events + stream.parser.events)):
            assert stream.take()
        events += stream.parser.events
        last = stream.parser.events[-1].id if stream.parser.events else last
        stream.close()
        stream = streams(slow=True, last_event_id=last)
    assert_in_order(of(ids, events))


def test_who_saw_no_event_goes_on_where_he_was(api, identity, streams):
    """The first thing that is sent is where the stream begins."""
    stream = streams(type="docket.request.nothing")
    wait_until(lambda: stream.last_id, 10, "the first id")
    ids = make_requests(api, identity, 3)
    again = streams(last_event_id=stream.last_id)
    wait_events(again, ids)


@pytest.mark.settings(DOCKET_EVENT_HEARTBEAT="1s")
def test_a_heartbeat_says_how_far_what_is_not_sent_was_read(api, identity, streams):
    stream = streams(type="docket.request.nothing")
    wait_until(lambda: stream.last_id, 10, "the first id")
    first = stream.last_id
    ids = make_requests(api, identity, 5)
    wait_until(lambda: stream.last_id != first, 20, "another id")
    wait_until(lambda: not stream.events and len(stream.parser.comments) > 3, 20, "heartbeats")
    again = streams(last_event_id=stream.last_id)
    later = make_requests(api, identity, 1)
    wait_events(again, later)
    assert not of(ids, again.events)


@pytest.mark.settings(DOCKET_EVENT_HEARTBEAT="1s")
def test_the_header_goes_before_the_address_that_a_client_began_with(api, identity, streams):
    first = streams(**{"from": "beginning"})
    ids = make_requests(api, identity, 2)
    last = wait_events(first, ids)[-1].id
    again = streams(last_event_id=last, **{"from": "beginning"})
    later = make_requests(api, identity, 1)
    wait_events(again, later)
    assert len(again.events) < len(first.events) and not of(ids, again.events[:1])


# --- filters -------------------------------------------------------------------------------------------------


def test_types_are_chosen_by_their_whole_or_their_beginning(api, identity, receiver, streams):
    api.make_webhooks(receiver, crm=Answer())
    stream = streams(type=["docket.request.created.v1", "docket.request.webhook_"])
    everything = streams()
    request_id = api.create_request(identity())["id"]
    stream.wait_for(lambda sent: sent.type == "docket.request.webhook_sent.v1", 30)
    api.approve(request_id)
    everything.wait_for(lambda sent: sent.event["subject"] == request_id and sent.type.endswith(".completed.v1"), 30)
    last = api.create_request(identity())["id"]
    stream.wait_for(lambda sent: sent.event["subject"] == last, 30)
    types = {sent.type for sent in of([request_id], stream.events)}
    assert types == {sent.type for sent in of([request_id], everything.events)
                     if sent.type == TYPES[0] or sent.type.startswith("docket.request.webhook_")}
    assert {"docket.request.created.v1", "docket.request.webhook_sent.v1"} <= types


def test_a_request_is_followed_alone(api, identity, streams):
    ids = make_requests(api, identity, 5)
    stream = streams(request_id=ids[2], **{"from": "beginning"})
    wait_events(stream, [ids[2]])
    assert {sent.event["subject"] for sent in stream.events} == {ids[2]}
    both = streams(request_id=ids[3], type="docket.request.canceled", **{"from": "beginning"})
    both.wait(1)
    assert [(sent.event["subject"], sent.type) for sent in both.events] == [(ids[3], TYPES[1])]


# --- refusals ------------------------------------------------------------------------------------------------


def test_it_needs_the_scope_to_read_requests(api):
    assert_scope(api, "GET", PATH, "privacy-request:read")


def cut(text):
    return text[:-3]


def flipped(text):
    """Another place, of the same length."""
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[2] ^= 1
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.fixture(scope="module")
def an_id(root_api):
    with EventStream(root_api) as stream:
        wait_until(lambda: stream.last_id, 10, "an id")
        return stream.last_id


@pytest.mark.parametrize("change", [cut, flipped, lambda text: text + "A", lambda text: "x", lambda text: "ä",
                                    lambda text: text.swapcase(), lambda text: "1234", lambda text: "A" * 5000],
                         ids=["cut", "flipped", "longer", "short", "not ascii", "case", "number", "long"])
def test_an_id_that_was_never_given_is_refused_by_name(api, an_id, change):
    bad = change(an_id)
    by_header = api.get(PATH, headers={"Last-Event-ID": bad.encode()})
    by_query = api.get(PATH, params={"last_event_id": bad})
    assert refusal(by_header)[0] == refusal(by_query)[0] == 422
    assert [loc for _, loc, _ in errors(by_header)] == [["header", "Last-Event-ID"]]
    assert [loc for _, loc, _ in errors(by_query)] == [["query", "last_event_id"]]


def test_an_id_of_another_installation_is_refused(api, stack, an_id):
    """Its offsets would mean something else here."""
    raw = base64.urlsafe_b64decode(an_id + "=" * (-len(an_id) % 4))
    def of_topic(topic):
        check = hashlib.blake2b(topic.encode() + b"\0" + raw[:-4], digest_size=32).digest()[:4]
        return base64.urlsafe_b64encode(raw[:-4] + check).decode().rstrip("=")

    assert of_topic(f"{stack.name}.lifecycle") == an_id
    assert refusal(api.get(PATH, params={"last_event_id": of_topic("another.lifecycle")}))[0] == 422


@pytest.mark.parametrize("query, place", [
    ({"from": "yesterday"}, "from"), ({"from": ""}, "from"), ({"request_id": ""}, "request_id"),
    ({"request_id": "x" * 257}, "request_id"), ({"type": ""}, "type"), ({"type": "x" * 101}, "type"),
    ({"type": ["docket.request"] * 17}, "type")])
def test_a_query_that_does_not_fit_is_refused_by_name(api, query, place):
    answer = api.get(PATH, params=query)
    assert answer.status_code == 422 and [loc for _, loc, _ in errors(answer)] == [["query", place]]


@pytest.mark.settings(DOCKET_EVENT_STREAMS="2")
def test_more_clients_than_are_allowed_are_told_to_come_again(api, streams):
    first, second = streams(), streams()
    assert (first.status, second.status) == (200, 200)
    third = streams()
    assert third.status == 503 and int(third.headers["retry-after"]) >= 1
    assert json.loads(third.text) == {"detail": "More than 2 clients read events. Try again later."}
    first.close()
    wait_streams(api, 1)
    assert streams().status == 200


# --- how it ends ---------------------------------------------------------------------------------------------


def test_a_client_that_goes_is_noticed_though_nothing_happens(api, streams):
    before = metric(api, 'docket_event_stream_ends_total{reason="client"}')
    stream = streams(request_id="pri_none")
    wait_streams(api, 1)
    stream.close()
    wait_streams(api, 0)
    assert metric(api, 'docket_event_stream_ends_total{reason="client"}') == before + 1


def test_a_stream_ends_as_it_should_when_its_client_is_deleted(api, streams):
    client = must(api.post("/oauth/client", {"scopes": ["privacy-request:read"]}))
    stays = streams()
    stream = streams(Api.login(api.url, client["client_id"], client["client_secret"]))
    assert stream.status == 200
    must(api.delete(f"/oauth/client/{client['client_id']}"))
    assert stream.wait_end(30) is True
    assert stays.ended is None


def test_a_stream_ends_when_the_scope_is_taken(api, streams):
    client = must(api.post("/oauth/client", {"scopes": ["privacy-request:read", "webhook:read"]}))
    stream = streams(Api.login(api.url, client["client_id"], client["client_secret"]))
    must(api.put(f"/oauth/client/{client['client_id']}/scope", ["webhook:read"]))
    assert stream.wait_end(30) is True
    must(api.delete(f"/oauth/client/{client['client_id']}"))


def test_a_stream_ends_when_its_token_does(api, stack, streams):
    """A token of another library's making, as the root client's live for days."""
    key = stack.environment()["DOCKET_APP_ENCRYPTION_KEY"]
    claims = {"client-id": "docket_root", "scopes": [], "roles": ["owner"], "exp": int(time.time()) + 12,
              "iat": time.strftime("%Y-%m-%dT%H:%M:%S.000000", time.gmtime())}
    token = jwe.JWE(json.dumps(claims).encode(), protected={"alg": "dir", "enc": "A256GCM"})
    token.add_recipient(jwk.JWK.from_password(key))
    stays = streams()
    stream = streams(Api(api.url, token.serialize(compact=True)))
    assert stream.status == 200 and stream.ended is None
    assert stream.wait_end(40) is True
    assert stays.ended is None


def test_the_program_ends_its_streams_and_itself(stack, api, streams):
    opened = [streams() for _ in range(4)]
    wait_streams(api, 4)
    began = time.monotonic()
    assert stack.api.stop(), "it ended by itself"
    assert time.monotonic() - began < stack.api.stop_patience
    assert [stream.wait_end() for stream in opened] == [True] * 4
    stack.api.start()


# --- a slow reader -------------------------------------------------------------------------------------------


def test_a_slow_reader_gets_everything_and_holds_up_nobody(api, identity, streams):
    """It takes nothing while more is written than its connection and its stream hold, then all of it."""
    slow = streams(slow=True, receive_buffer=4096)
    quick = streams()
    ids = make_requests(api, identity, 600)
    wait_events(quick, ids)
    assert api.get("/health").status_code == 200
    wanted = set(places(of(ids, quick.events)))
    while not wanted <= set(places(slow.parser.events)):
        assert slow.take()
    assert_in_order(of(ids, slow.parser.events))


def test_head_is_answered_without_an_event(api, streams):
    stream = streams(method="HEAD")
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
    wait_streams(api, 0)


def test_only_reading_is_allowed(api):
    assert api.post(PATH).status_code == 405
