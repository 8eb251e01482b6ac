"""Records as strangers put them on docket's topics: right ones, and all the ways in which they are not."""

import json
import uuid
from dataclasses import dataclass, field, replace

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from utils import Api, LogWatch, Receiver, RunDir, Stack, StackError, wait_until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TIME = "2026-01-02T03:04:05.678901Z"


@dataclass
class Record:
    """One of a topic, named without the prefix. `was`: where it was read from."""

    topic: str
    key: bytes | None
    headers: list = field(default_factory=list)
    value: bytes | None = None
    was: tuple | None = None

    def with_header(self, name, *values):
        """Each value one header of that name, in the place of those that there were."""
        kept = [pair for pair in self.headers if pair[0] != name]
        return replace(self, headers=kept + [(name, value) for value in values])

    def with_data(self, **changes):
        """None takes a member away."""
        data = json.loads(self.value) | changes
        return replace(self, value=json.dumps({name: value for name, value in data.items() if value is not None}).encode())

    def header(self, name):
        return next((value for each, value in self.headers if each == name), None)

    def same_as(self, other):
        return (self.key, self.headers, self.value) == (other.key, other.headers, other.value)


def record_of(topic, type, request_id, event_id, data, **more):
    headers = {"content-type": "application/json", "ce_specversion": "1.0", "ce_id": event_id, "ce_source": "/test",
               "ce_type": type, "ce_subject": request_id, "ce_time": TIME, "ce_dataschema": f"docket:events/{type}.json",
               "ce_traceparent": TRACE} | more
    return Record(topic, request_id.encode(), [(name, value.encode()) for name, value in headers.items()],
                  json.dumps(data).encode())


def reply(request_id, webhook_id, eligible=True):
    word = "eligible" if eligible else "not_eligible"
    data = {"request_id": request_id, "webhook_id": webhook_id, "eligible": eligible, "received_at": TIME}
    return record_of("callbacks", f"docket.reply.{word}.v1", request_id, f"{request_id}.{webhook_id}.{word}", data)


def approved(request_id, seq):
    """An event of the lifecycle topic that the worker acts upon."""
    data = {"request_id": request_id, "status": "approved", "by": "client", "user_id": None}
    return record_of("lifecycle", "docket.request.approved.v1", request_id, f"{request_id}.{seq}", data,
                     ce_sequence=f"{seq:020}", ce_chain="0" * 64)


def structured(record):
    """The same reply as a stranger would write it: CloudEvents' JSON format."""
    names = {name.removeprefix("ce_"): value.decode() for name, value in record.headers if name.startswith("ce_")}
    event = names | {"datacontenttype": "application/json", "data": json.loads(record.value)}
    return Record(record.topic, record.key, [("content-type", b"application/cloudevents+json")],
                  json.dumps(event).encode())


def unknown_id():
    return f"pri_{uuid.uuid4()}"


def kinds(request_id, webhook_id):
    """name -> (record, the reason that is to be given), of both topics, about a request that waits for the webhook."""
    good, event = reply(request_id, webhook_id), approved(request_id, 1)
    other = unknown_id()
    deep = b'{"a":' * 40 + b"1" + b"}" * 40
    return {
        "no key": (replace(good, key=None), "bad_key"),
        "empty key": (replace(event, key=b""), "bad_key"),
        "key too long": (replace(good, key=b"pri_" + b"0" * 300), "bad_key"),
        "key not UTF-8": (replace(event, key=b"\xff\xfe" + request_id.encode()), "bad_key"),
        "key of something else": (replace(good, key=b"customer-7"), "bad_key"),
        "tombstone": (replace(event, value=None), "no_value"),
        "too large": (replace(good, value=b'{"request_id":"' + b"x" * 70_000 + b'"}'), "too_large"),
        "no type": (good.with_header("ce_type"), "bad_header"),
        "no headers": (replace(event, headers=[]), "bad_header"),
        "no sequence": (event.with_header("ce_sequence"), "bad_header"),
        "an id twice": (good.with_header("ce_id", b"a", b"b"), "bad_header"),
        "sequence no number": (event.with_header("ce_sequence", b"one"), "bad_header"),
        "sequence not the id's": (event.with_header("ce_sequence", b"2"), "bad_header"),
        "version of CloudEvents": (good.with_header("ce_specversion", b"0.3"), "bad_header"),
        "time": (good.with_header("ce_time", b"yesterday"), "bad_header"),
        "subject of another": (event.with_header("ce_subject", other.encode()), "bad_header"),
        "content type": (good.with_header("content-type", b"text/plain"), "bad_header"),
        "header not UTF-8": (good.with_header("ce_source", b"\xff\x00\x01"), "bad_header"),
        "structured lifecycle": (structured(event), "bad_header"),
        "structured without an id": (replace(structured(good), value=structured(good).value.replace(b'"id"', b'"no"')),
                                     "bad_header"),
        "type": (event.with_header("ce_type", b"docket.request.exploded.v1"), "unknown_type"),
        "type of a stranger": (good.with_header("ce_type", b"com.example.order"), "unknown_type"),
        "type's version": (event.with_header("ce_type", b"docket.request.approved.v2"), "unknown_version"),
        "lifecycle on callbacks": (replace(event, topic="callbacks"), "wrong_topic"),
        "reply on lifecycle": (replace(good, topic="lifecycle").with_header("ce_sequence", b"1")
                               .with_header("ce_chain", b"0" * 64), "wrong_topic"),
        "no JSON": (replace(good, value=b"{not json"), "bad_json"),
        "no UTF-8": (replace(event, value=b'{"request_id":"\xff"}'), "bad_json"),
        "empty value": (replace(event, value=b""), "bad_json"),
        "too deep": (replace(good, value=deep), "bad_json"),
        "a list": (replace(event, value=b"[]"), "bad_data"),
        "no webhook": (good.with_data(webhook_id=None), "bad_data"),
        "a number for a webhook": (good.with_data(webhook_id=7), "bad_data"),
        "a word that is none": (event.with_data(by="a cat"), "bad_data"),
        "no time": (good.with_data(received_at="soon"), "bad_data"),
        "request of another": (event.with_data(request_id=other), "bad_data"),
        "not eligible, eligible": (good.with_data(eligible=False), "bad_data"),
        "reply about nobody": (reply(other, webhook_id), "unknown_request"),
        "event of nobody": (approved(other, 1), "unknown_request"),
        "event to come": (approved(request_id, 9000), "unknown_event"),
    }


# --- a docket of its own: what is on its topics is nobody else's to be judged -----------------------------


class Other:
    """A second docket on the servers of the first, whose topics a test may write to."""

    def __init__(self, stack):
        self.stack = Stack(RunDir(stack.run.path / "other", ports=stack.run.ports), stack.servers, stack.preset,
                           f"{stack.name}_other", stack.redis_number + 8)
        self.brokers = stack.kafka.brokers
        self.producer = Producer({"bootstrap.servers": self.brokers, "linger.ms": 1, "message.max.bytes": 10_000_000})

    @property
    def worker(self):
        return self.stack.workers[0]

    def start(self):
        self.stack.prepare()
        self.stack.start()
        environment = self.stack.environment()
        self.api = Api.login(self.stack.api.url, environment["DOCKET_ROOT_CLIENT_ID"],
                             environment["DOCKET_ROOT_CLIENT_SECRET"])
        self.receiver = Receiver(self.stack.callback.url)
        self.logs = LogWatch(self.stack.run.log)
        return self

    def close(self):
        self.receiver.close()
        codes = self.stack.stop()
        problems = self.logs.sanitizer_reports() + [f"{name} ended with code {code}" for name, code in codes.items()]
        assert not problems, "\n".join(problems)

    def name(self, topic):
        return f"{self.stack.name}.{topic}"

    def put(self, *records):
        """All of them are on their topics when this returns; their places, in their order."""
        places = [None] * len(records)

        def delivered(number, error, message):
            assert error is None, error
            places[number] = (message.topic(), message.partition(), message.offset())

        for number, record in enumerate(records):
            self.producer.produce(self.name(record.topic), key=record.key, value=record.value, headers=record.headers,
                                  on_delivery=lambda error, message, number=number: delivered(number, error, message))
        assert self.producer.flush(30) == 0
        return places

    def records(self, topic):
        """All that there is on it, byte for byte."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "poison", "enable.auto.commit": False,
                             "enable.partition.eof": True})
        name = self.name(topic)
        try:
            places = [TopicPartition(name, number, 0) for number in consumer.list_topics(name, 10).topics[name].partitions]
            consumer.assign(places)
            open_ends, found = len(places), []
            while open_ends:
                for message in consumer.consume(1000, timeout=1):
                    if not message.error():
                        found.append(Record(topic, message.key(), message.headers() or [], message.value(),
                                            (name, message.partition(), message.offset())))
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        open_ends -= 1
                    else:
                        raise StackError(f"reading {name}: {message.error()}")
            return found
        finally:
            consumer.close()

    def letters(self):
        """What is dead, as it was: (record, what docket says about it)."""
        found = []
        for record in self.records("dead"):
            own = [number for number, (name, _) in enumerate(record.headers) if name == "docket_dead_reason"]
            if not own:
                continue  # a note
            said = {name.removeprefix("docket_dead_"): value.decode() for name, value in record.headers[own[-1]:]}
            topic = said["place"].split("/")[0].removeprefix(f"{self.stack.name}.")
            found.append((replace(record, topic=topic, headers=record.headers[:own[-1]]), said))
        return found

    def wait_letters(self, *places, timeout=30):
        """The letters about the records at these places."""
        wanted = {f"{topic}/{partition}/{offset}" for topic, partition, offset in places}

        def found():
            letters = {said["place"]: (record, said) for record, said in self.letters()}
            return [letters[f"{topic}/{partition}/{offset}"] for topic, partition, offset in places] \
                if wanted <= set(letters) else None

        return wait_until(found, timeout, lambda: f"{wanted} to be dead: {[said for _, said in self.letters()]}", every=0.2)

    def lag(self, group=None):
        """How far each partition's committed offset is behind: {(topic, partition): records}."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": group or f"{self.stack.name}.worker"})
        try:
            behind = {}
            for topic in ("lifecycle", "callbacks"):
                name = self.name(topic)
                places = [TopicPartition(name, number) for number in consumer.list_topics(name, 10).topics[name].partitions]
                for place in consumer.committed(places, timeout=10):
                    low, high = consumer.get_watermark_offsets(place, timeout=10)
                    behind[topic, place.partition] = high - max(place.offset, low)
            return behind
        finally:
            consumer.close()

    def wait_read(self, timeout=30):
        """Until all that is on the topics is settled, and said to be."""
        wait_until(lambda: not any(self.lag().values()), timeout,
                   lambda: f"no lag: { {place: count for place, count in self.lag().items() if count} }", every=0.2)

    def waiting_request(self, identity, path="/crm"):
        """One that the webhook at `path` was asked about: its id, and the webhook's."""
        request_id = self.api.create_request(identity())["id"]
        self.receiver.wait_calls(1, path, request_id)
        return request_id, self.query(f"select id from pre_approval_webhook where key = '{path[1:]}'")

    def query(self, sql):
        return self.stack.postgres.query(sql, self.stack.name)

    def dead(self, *arguments, check=True):
        """docketctl dead, its output."""
        done = self.stack.docketctl("dead", *arguments, check=check)
        return done.stdout if check else done


@pytest.fixture(scope="session")
def other_docket(stack):
    """One for all tests that need it, as it takes seconds to start; conftest.py has one worker run these."""
    other = Other(stack).start()
    yield other
    other.close()


@pytest.fixture
def clean(other_docket):
    """Nothing is configured or waits after a test, and its worker runs."""
    if not other_docket.worker.is_alive():
        other_docket.worker.start()
    yield other_docket
    other_docket.api.reset_configuration()
