"""The example consumers as foreign processes: whatever is repeated, killed or moved, their tables come to be docket's."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest
from confluent_kafka import Producer

from stack import own_environment
from utils import ROOT, Answer, must, must_all, wait_until

EXAMPLES = ROOT / "schemas/examples"
NODE_MODULES = ROOT / ".run/node/schemas/examples/node/node_modules"
COMMANDS = {"python": [sys.executable, str(EXAMPLES / "python/consumer.py")],
            "node": ["node", str(EXAMPLES / "node/consumer.js")]}
HAS_PARTITIONS = {"python": "assigned ", "node": "Consumer has joined the group"}
REQUESTS = 80


class Consumers:
    """Processes of one example that share a group and a database of their own."""

    def __init__(self, stack, kind, directory):
        self.kind = kind
        self.database = f"{stack.name}_consumer_{kind}"
        stack.postgres.query(f'drop database if exists "{self.database}" with (force)')
        stack.postgres.query(f'create database "{self.database}"')
        self.url = stack.postgres.url(self.database)
        self.environment = own_environment() | {
            "KAFKA_BROKERS": stack.kafka.brokers, "KAFKA_TOPIC": f"{stack.name}.lifecycle",
            "KAFKA_GROUP": f"{self.database}_{os.getpid()}", "DATABASE_URL": self.url, "NODE_PATH": str(NODE_MODULES)}
        self.directory = directory
        self.running = {}

    def start(self, name):
        log = open(self.directory / f"{self.kind}-{name}.log", "ab")
        self.running[name] = subprocess.Popen(COMMANDS[self.kind], env=self.environment, stdin=subprocess.DEVNULL,
                                              stdout=log, stderr=log, cwd="/")
        log.close()

    def end(self, name, number):
        process = self.running.pop(name)
        process.send_signal(number)
        return process.wait(60)

    def log(self, name):
        return (self.directory / f"{self.kind}-{name}.log").read_text(errors="replace")

    def assigned(self, name):
        """How often it was given partitions."""
        return self.log(name).count(HAS_PARTITIONS[self.kind])

    def wait_assigned(self, name, more_than):
        wait_until(lambda: self.assigned(name) > more_than, 60,
                   lambda: f"{self.kind} {name} to be given partitions\n{self.log(name)[-2000:]}")

    def rows(self):
        with psycopg.connect(self.url) as connection:
            if not connection.execute("select to_regclass('requests')").fetchone()[0]:
                return {}
            return {row[0]: row[1:] for row in connection.execute("select id, status, seq from requests")}

    def stop(self):
        for name in list(self.running):
            self.end(name, signal.SIGKILL)


@pytest.fixture(params=sorted(COMMANDS))
def consumers(stack, request, tmp_path):
    consumers = Consumers(stack, request.param, tmp_path)
    yield consumers
    consumers.stop()
    stack.postgres.query(f'drop database "{consumers.database}" with (force)')


class Life(threading.Thread):
    """Requests come, are approved, denied and canceled by chance, until end()."""

    def __init__(self, api, identity, seed):
        super().__init__(daemon=True)
        self.api, self.identity = api, identity
        self.random = random.Random(seed)
        self.ended = threading.Event()
        self.ids, self.problem = [], None

    def turn(self):
        made = self.api.create_requests([self.identity() for _ in range(10)], "default_erasure_policy")
        ids = [request["id"] for request in made]
        self.ids += ids
        self.random.shuffle(ids)
        self.api.approve(*ids[:3])
        self.api.deny(*ids[3:6])
        must_all(self.api.patch("/privacy-request/administrate/cancel", {"request_ids": ids[6:8]}))

    def run(self):
        try:
            while len(self.ids) < REQUESTS or not self.ended.is_set():
                self.turn()
                self.ended.wait(0.2 if len(self.ids) < REQUESTS else 1)
        except Exception as problem:  # noqa: BLE001: it is the test's to tell
            self.problem = problem

    def end(self):
        self.ended.set()
        self.join(120)
        assert not self.is_alive() and self.problem is None, self.problem


class Repeats:
    """Sends again what is on the topic, as a program does that died before it knew that Kafka has it."""

    def __init__(self, stack, bus, seed):
        self.producer = Producer({"bootstrap.servers": stack.kafka.brokers, "enable.idempotence": True})
        self.bus = bus
        self.random = random.Random(seed)
        self.sent = 0

    def send(self, ids, share=0.3):
        """Old ones beside new ones, in any order of requests."""
        events = [event for event in self.bus.records("lifecycle") if event.key in ids]
        for event in self.random.sample(events, int(len(events) * share)):
            self.producer.produce(event.topic, event.value, event.key, partition=event.partition,
                                  headers=list(event.headers.items()))
            self.sent += 1
        assert self.producer.flush(60) == 0


@pytest.mark.timeout(600)
def test_their_tables_are_docket_s_after_kills_rebalances_and_repeats(stack, api, receiver, identity, db, bus, consumers,
                                                                      tmp_path):
    seed = os.environ.get("DOCKET_TEST_SEED", str(time.time_ns()))
    print(f"seed {seed}")
    api.make_webhooks(receiver, crm=Answer())
    life, repeats = Life(api, identity, seed), Repeats(stack, bus, seed)
    life.start()
    consumers.start("first")
    consumers.start("second")
    for name in ("first", "second"):
        consumers.wait_assigned(name, 0)
    wait_until(lambda: len(life.ids) >= 20 and set(life.ids[:10]) <= set(consumers.rows()), 60, "events to be kept")
    repeats.send(set(life.ids[:20]))

    before = consumers.assigned("second")
    assert consumers.end("first", signal.SIGKILL) == -signal.SIGKILL
    repeats.send(set(life.ids))
    consumers.wait_assigned("second", before)  # the killed one's partitions too
    before = consumers.assigned("second")
    consumers.start("first")
    consumers.wait_assigned("second", before)  # and half of them back
    repeats.send(set(life.ids))

    before = consumers.assigned("first")
    assert consumers.end("second", signal.SIGTERM) == 0, consumers.log("second")[-2000:]
    consumers.wait_assigned("first", before)
    consumers.start("second")
    life.end()
    repeats.send(set(life.ids))

    def tables():
        theirs = consumers.rows()
        ours = {row[0]: row[1:] for row in db.execute("select id, status, seq from privacy_request where id = any(%s)",
                                                      (life.ids,))}
        return ours, {request_id: theirs.get(request_id) for request_id in ours}

    wait_until(lambda: tables()[0] == tables()[1], 90,
               lambda: str([(key, ours, tables()[1][key]) for key, ours in tables()[0].items()
                            if tables()[1][key] != ours][:5]))
    ours, _ = tables()
    assert len(ours) == len(life.ids) >= REQUESTS and repeats.sent > REQUESTS
    assert {status for status, _ in ours.values()} >= {"complete", "denied", "canceled", "awaiting_pre_approval"}


def test_who_begins_later_has_the_whole_history(stack, api, identity, db, consumers):
    ids = [request["id"] for request in api.create_requests([identity() for _ in range(20)])]
    api.deny(*ids)
    consumers.start("only")
    wait_until(lambda: set(ids) <= set(consumers.rows()), 60, lambda: consumers.log("only")[-2000:])
    wait_until(lambda: {consumers.rows()[request_id] for request_id in ids} == {("denied", 2)}, 30, "all to be denied")


def test_while_its_database_is_away_nothing_is_lost(stack, api, identity, consumers):
    """Its connections are cut amid the work."""
    consumers.start("only")
    consumers.wait_assigned("only", 0)
    ids = []
    for _ in range(5):
        ids += [request["id"] for request in api.create_requests([identity() for _ in range(10)])]
        stack.postgres.query("select pg_terminate_backend(pid) from pg_stat_activity "
                             f"where datname = '{consumers.database}' and pid <> pg_backend_pid()")
    must(api.patch("/privacy-request/administrate/cancel", {"request_ids": ids[:50]}))
    wait_until(lambda: {consumers.rows().get(request_id) for request_id in ids} == {("canceled", 2)}, 60,
               lambda: consumers.log("only")[-2000:])
