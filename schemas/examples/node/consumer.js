/* Keeps a table of docket's privacy requests up to date from its events: README.md beside this file.
 *
 * KAFKA_BROKERS, KAFKA_TOPIC (docket.lifecycle), KAFKA_GROUP (requests) and DATABASE_URL say where. */
"use strict";

const { CompressionCodecs, CompressionTypes, Kafka } = require("kafkajs");
const lz4 = require("lz4js");
const { Pool } = require("pg");

const TABLE = `
create table if not exists requests (
    id      text primary key,
    seq     bigint not null,       -- of the last event that is in this row
    status  text,
    changed timestamptz not null   -- when that event happened
)`;

/* The guard in the last line makes a repeat change nothing, whoever writes it and whenever it comes. */
const WRITE = `
insert into requests as kept (id, seq, status, changed)
    values ($1, $2, $3::text, $4)
on conflict (id) do update
    set seq = excluded.seq, status = coalesce($3::text, kept.status), changed = excluded.changed
    where kept.seq < excluded.seq`;

/* docket's records are compressed with LZ4, which kafkajs leaves to others. */
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

/* What an event says of its request; the same of any type, so that new types need no change here. */
function rowOf(message) {
  const header = (name) => message.headers[name]?.toString();

  if (!header("ce_type")?.startsWith("docket.request.")) return null;
  const { status = null } = JSON.parse(message.value.toString());
  return [header("ce_subject"), BigInt(header("ce_sequence")).toString(), status, header("ce_time")];
}

async function transact(pool, work) {
  const client = await pool.connect();
  const lost = (error) => console.error("the database is away:", error.message);

  client.on("error", lost); /* between two queries there is nobody else to tell */
  try {
    await client.query("begin");
    await work(client);
    await client.query("commit");
    client.off("error", lost);
    client.release();
  } catch (error) {
    client.release(error); /* closed, which takes back what was begun */
    throw error;
  }
}

/* One at a time: two who create the same table at once would clash. */
function makeTable(pool) {
  return transact(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtext('requests'))");
    await client.query(TABLE);
  });
}

/* First written, then committed, so that what is committed is written. When either fails, kafkajs hands the batch out
 * again, here or to whoever has the partition by then: a repeat. */
async function takeBatch({ batch, heartbeat }, pool, consumer) {
  const rows = batch.messages.map(rowOf).filter(Boolean);

  await transact(pool, async (client) => {
    for (const row of rows) {
      await client.query(WRITE, row);
      await heartbeat();
    }
  });
  const offset = (BigInt(batch.lastOffset()) + 1n).toString();
  await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset }]);
}

async function main() {
  const { KAFKA_BROKERS, KAFKA_TOPIC = "docket.lifecycle", KAFKA_GROUP = "requests", DATABASE_URL } = process.env;
  const pool = new Pool({ connectionString: DATABASE_URL });
  const kafka = new Kafka({ clientId: "docket-example", brokers: KAFKA_BROKERS.split(","), retry: { retries: 100 } });
  const consumer = kafka.consumer({ groupId: KAFKA_GROUP, sessionTimeout: 6000 }); /* who died is noticed by then */

  pool.on("error", (error) => console.error("the database is away:", error.message));
  for (const signal of ["SIGTERM", "SIGINT"])
    process.once(signal, async () => {
      await consumer.disconnect(); /* so that the others need not wait for our partitions */
      await pool.end();
    });
  await makeTable(pool);
  await consumer.connect();
  await consumer.subscribe({ topic: KAFKA_TOPIC, fromBeginning: true }); /* a first start has the whole history */
  await consumer.run({
    autoCommit: false, /* it would commit what is not written yet */
    eachBatch: (payload) => takeBatch(payload, pool, consumer),
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
