"""Keeps a table of docket's privacy requests up to date from its events: README.md beside this file.

KAFKA_BROKERS, KAFKA_TOPIC (docket.lifecycle), KAFKA_GROUP (requests) and DATABASE_URL say where.
"""

import json
import logging
import os
import signal
import sys
import time

import psycopg
from confluent_kafka import Consumer, KafkaException

TABLE = """
create table if not exists requests (
    id      text primary key,
    seq     bigint not null,       -- of the last event that is in this row
    status  text,
    changed timestamptz not null   -- when that event happened
)"""

# The guard in the last line makes a repeat change nothing, whoever writes it and whenever it comes.
WRITE = """
insert into requests as kept (id, seq, status, changed)
    values (%(id)s, %(seq)s, %(status)s, %(time)s)
on conflict (id) do update
    set seq = excluded.seq, status = coalesce(%(status)s, kept.status), changed = excluded.changed
    where kept.seq < excluded.seq"""

BATCH = 500
log = logging.getLogger("consumer")


def row_of(message):
    """What an event says of its request; the same of any type, so that new types need no change here."""
    headers = {name: value.decode() for name, value in message.headers() or ()}
    if not headers.get("ce_type", "").startswith("docket.request."):
        return None
    return {"id": headers["ce_subject"], "seq": int(headers["ce_sequence"]), "time": headers["ce_time"],
            "status": json.loads(message.value()).get("status")}


class Table:
    """The database, connected to again as often as that takes."""

    def __init__(self, url):
        self.url = url
        self.connection = None

    def attempt(self, work):
        if self.connection is None or self.connection.closed:
            self.connection = psycopg.connect(self.url)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            work(cursor)

    def transact(self, work):
        while True:
            try:
                return self.attempt(work)
            except psycopg.OperationalError as error:
                log.warning("the database is away: %s", error)
                self.connection = None
                time.sleep(1)

    def make(self):
        """One at a time: two who create the same table at once would clash."""
        def create(cursor):
            cursor.execute("select pg_advisory_xact_lock(hashtext('requests'))")
            cursor.execute(TABLE)

        self.transact(create)

    def write(self, rows):
        self.transact(lambda cursor: cursor.executemany(WRITE, rows))


def commit(consumer):
    """After the write, so that what is committed is written. Where it can't be, somebody reads it again: a repeat."""
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:
        log.warning("not committed: %s", error)


def run(consumer, table, stopping):
    while not stopping():
        messages = consumer.consume(BATCH, timeout=1)
        for message in messages:
            if message.error():
                log.warning("kafka: %s", message.error())
        read = [message for message in messages if not message.error()]
        if not read:
            continue
        table.write([row for message in read if (row := row_of(message))])
        commit(consumer)


def main():
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    signals = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.append(number))
    table = Table(os.environ["DATABASE_URL"])
    table.make()
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BROKERS"],
        "group.id": os.environ.get("KAFKA_GROUP", "requests"),
        "auto.offset.reset": "earliest",  # a first start has the whole history
        "enable.auto.commit": False,      # it would commit what is not written yet
        "session.timeout.ms": 6000,       # a process that died is noticed by then
    })
    consumer.subscribe([os.environ.get("KAFKA_TOPIC", "docket.lifecycle")],
                       on_assign=lambda _, partitions: log.info("assigned %d partitions", len(partitions)),
                       on_revoke=lambda _, partitions: log.info("revoked %d partitions", len(partitions)))
    try:
        run(consumer, table, lambda: bool(signals))
    finally:
        consumer.close()  # so that the others need not wait for our partitions


if __name__ == "__main__":
    main()
