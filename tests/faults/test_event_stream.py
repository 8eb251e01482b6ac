"""Events over HTTP while Kafka stands still or is gone, and sixteen readers that take nothing: what that costs."""

import json
import secrets
import threading
import time
import uuid

import pytest
from confluent_kafka import Producer

from client import Api, must
from sse import EventStream
from stack import Api as ApiProgram
from stack import wait_until

HEARTBEAT = {"DOCKET_EVENT_HEARTBEAT": "1s"}
CLIENTS = 16
RECORDS = 45_000
PAD = 900                 # with it a record is a little over a kilobyte
CLIENT_BYTES = 5 << 20    # what api/README.md says of one, with batches as large as they get


@pytest.fixture
def own_api(stack, root_api):
    """own_api(**settings) starts a docket-api of the test's own; the API's client for it, and the program."""
    program = ApiProgram(stack, "docket-api-events")

    def start(**settings):
        program.settings = HEARTBEAT | settings
        program.start()
        own = Api(program.url)
        own.session.headers.update(root_api.session.headers)
        return own, program

    yield start
    program.stop()


def make_requests(api, identity, count):
    made = api.create_requests([identity() for _ in range(count)])
    ids = [request["id"] for request in made]
    must(api.patch("/privacy-request/administrate/cancel", {"request_ids": ids}))
    return ids


def places(stream, ids=None):
    return [(sent.event["subject"], int(sent.event["sequence"])) for sent in stream.events
            if ids is None or sent.event["subject"] in ids]


def wait_events(stream, ids):
    wanted = {(request_id, number) for request_id in ids for number in (1, 2)}
    wait_until(lambda: wanted <= set(places(stream)), 60, lambda: f"{wanted - set(places(stream))}")


def wait_heartbeats(stream, count):
    before = len(stream.parser.comments)
    wait_until(lambda: len(stream.parser.comments) >= before + count, 30, f"{count} heartbeats")


def in_order(stream):
    """Whether each request's events came without a gap."""
    seen = {}
    for request_id, number in places(stream):
        if number > seen.get(request_id, 0) + 1:
            return False
        seen[request_id] = max(number, seen.get(request_id, 0))
    return True


def test_while_kafka_stands_still_heartbeats_go_on_and_events_follow(stack, own_api, identity):
    api, _ = own_api()
    with EventStream(api) as stream:
        first = make_requests(api, identity, 5)
        wait_events(stream, first)
        stack.kafka.freeze()
        try:
            meanwhile = make_requests(api, identity, 5)
            wait_heartbeats(stream, 3)
            assert not places(stream, meanwhile)
            came_back = stream.last_id
            with EventStream(api, last_event_id=came_back) as again, EventStream(api, **{"from": "beginning"}) as all_:
                assert (again.status, all_.status) == (200, 200)
                wait_heartbeats(again, 2)
                wait_heartbeats(all_, 2)
                refused = EventStream(api)
                assert refused.status == 503, "nobody knows what is new"
                assert api.get("/health").status_code == 200
                stack.kafka.thaw()
                for of in (stream, again):
                    wait_events(of, meanwhile)
                    assert in_order(of)
                wait_events(all_, first + meanwhile)
        finally:
            stack.kafka.thaw()


def test_a_kafka_that_was_restarted_is_read_on(stack, own_api, identity):
    api, _ = own_api()
    with EventStream(api) as stream:
        before = make_requests(api, identity, 5)
        wait_events(stream, before)
        stack.kafka.kill()
        wait_heartbeats(stream, 3)
        meanwhile = make_requests(api, identity, 5)
        stack.kafka.start()
        wait_events(stream, meanwhile)
        after = make_requests(api, identity, 5)
        wait_events(stream, after)
        assert in_order(stream) and stream.ended is None


# --- what slow readers cost ----------------------------------------------------------------------------------


def fill(stack, prefix):
    """Events like docket's own, more than could ever be held: of so many requests, three of each."""
    undelivered = []
    producer = Producer({"bootstrap.servers": stack.kafka.brokers, "linger.ms": 20, "compression.type": "lz4",
                         "partitioner": "consistent_random", "queue.buffering.max.messages": 2 * RECORDS})
    for request in range(RECORDS // 3):
        key = f"pri_{uuid.UUID(int=request)}"
        for number in (1, 2, 3):
            headers = {"content-type": "application/json", "ce_specversion": "1.0", "ce_id": f"{key}.{number}",
                       "ce_type": "docket.request.canceled.v1", "ce_subject": key, "ce_sequence": f"{number:020}"}
            producer.produce(f"{prefix}.lifecycle", json.dumps({"request_id": key, "pad": secrets.token_hex(PAD // 2)}), key,
                             headers=list(headers.items()),
                             on_delivery=lambda error, _: undelivered.append(error) if error else None)
    producer.flush(120)
    assert not undelivered


def resident(program):
    with open(f"/proc/{program.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def settled(program):
    """What it takes once that does not grow any more."""
    seen = []

    def is_still():
        seen.append(resident(program))
        return len(seen) > 20 and max(seen[-20:]) - min(seen[-20:]) < 256 << 10

    wait_until(is_still, 60, lambda: f"memory to settle: {seen[-5:]}", every=0.1)
    return seen[-1]


@pytest.mark.timeout(300)
def test_sixteen_slow_readers_take_little_memory_and_nobody_s_time(stack, own_api):
    prefix = f"{stack.name}_slow"
    own = {"DOCKET_TOPIC_PREFIX": prefix}
    stack.settings |= own
    try:
        stack.docketctl("topics")
    finally:
        del stack.settings["DOCKET_TOPIC_PREFIX"]
    fill(stack, prefix)
    api, program = own_api(**own, DOCKET_EVENT_STREAMS=str(CLIENTS + 1), DOCKET_HTTP_TIMEOUT="600s")
    before = settled(program)
    slow = [EventStream(api, slow=True, **{"from": "beginning"}) for _ in range(CLIENTS)]
    assert [stream.status for stream in slow] == [200] * CLIENTS
    began = time.monotonic()
    with EventStream(api, **{"from": "beginning"}) as quick:
        quick.wait(RECORDS, 120)
        took = time.monotonic() - began
        assert in_order(quick) and len(quick.events) == RECORDS
    assert api.get("/health").status_code == 200
    after = settled(program)
    print(f"{before >> 20} MiB before, {after >> 20} MiB with {CLIENTS} slow readers: "
          f"{(after - before) / CLIENTS / (1 << 20):.2f} MiB each; a quick one beside them read "
          f"{RECORDS / took:.0f} events/s of {RECORDS} ({RECORDS * (PAD + 400) >> 20} MiB)")
    assert after - before < CLIENTS * CLIENT_BYTES
    threads = [threading.Thread(target=read_all, args=(stream,)) for stream in slow[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [len(stream.events) for stream in slow[:2]] == [RECORDS] * 2 and all(map(in_order, slow[:2]))
    for stream in slow:
        stream.close()


def read_all(stream):
    while len(stream.parser.events) < RECORDS and stream.take():
        pass
