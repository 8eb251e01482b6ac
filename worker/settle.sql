-- name: settle_park
-- When it is looked at next. Its state is as it was read, or somebody else has seen to it.
update webhook_delivery d set due_at = i.due_at, worker = null
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as i(request_id, id, state, due_at)
where d.request_id = i.request_id and d.id = i.id and d.state = i.state

-- name: settle_attempts
with settled as (
    update webhook_delivery d set state = i.state, attempts = i.attempt, due_at = i.due_at, outcome = i.outcome,
           settled_at = case when i.state in ('waiting', 'held') then null when d.state = i.state then d.settled_at
                             else i.time end,
           passed = d.passed or i.passed, halted = i.halted, problem = i.problem, worker = null,
           sealed_derived = coalesce(i.derived, d.sealed_derived)
    from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
                $8::text[], $9::bytea[], $11::text[], $12::text[], $13::bigint[], $14::timestamptz[],
                $15::text[], $16::timestamptz[], $17::bigint[], $18::text[], $19::bigint[], $20::bytea[],
                $21::boolean[], $22::boolean[], $23::text[], $24::text[], $25::bytea[])
         as i(request_id, expected, status, actor, type, time, cause, traceparent, payload, id, state, attempt,
              due_at, outcome, started_at, duration_us, address, status_code, answer, passed, halted, problem,
              headers, derived)
    where d.request_id = i.request_id and d.id = i.id and d.attempts = i.attempt - 1
      and d.state in ('waiting', 'delivered') -- delivered: a reminder
    returning i.*
), tried as (
    insert into webhook_attempt (request_id, delivery_id, attempt, started_at, duration_us, address,
                                 status_code, outcome, answer, headers)
    select request_id, id, attempt, started_at, duration_us, address, nullif(status_code, 0), outcome, answer, headers
    from settled
    on conflict do nothing
)
select r.id, r.seq, r.chain, r.behind, r.outbox
from (select array_agg(request_id) as ids, array_agg(expected) as expected, array_agg(status) as statuses,
             array_agg(actor) as actors, array_agg(type) as types, array_agg(time) as times,
             array_agg(cause) as causes, array_agg(traceparent) as traceparents, array_agg(payload) as payloads
      from settled) s,
     request_append(s.ids, s.expected, s.statuses, s.actors, s.types, s.times, s.causes, s.traceparents,
                    s.payloads, $10) r

-- name: settle_deliveries
-- $14: the version of the configuration by which it is so, which stands until the end of the transaction: whoever sweeps
-- after it moved finds what was held. 0: any.
with guard as materialized (
    select version from catalog where $14::bigint in (0, version) for share
), changed as (
    update webhook_delivery d set state = i.state, due_at = i.due_at, outcome = coalesce(i.outcome, d.outcome),
           worker = null, settled_at = case when i.state in ('waiting', 'held') then null else i.time end
    from guard, unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
                       $8::text[], $9::bytea[], $11::text[], $12::text[], $13::timestamptz[], $15::text[])
         as i(request_id, expected, status, actor, type, time, cause, traceparent, payload, id, state, due_at, outcome)
    where d.request_id = i.request_id and d.id = i.id and d.state in ('waiting', 'held') and d.state <> i.state
    returning i.*
)
select r.id, r.seq, r.chain, r.behind, r.outbox
from (select array_agg(request_id) as ids, array_agg(expected) as expected, array_agg(status) as statuses,
             array_agg(actor) as actors, array_agg(type) as types, array_agg(time) as times,
             array_agg(cause) as causes, array_agg(traceparent) as traceparents, array_agg(payload) as payloads
      from changed) s,
     request_append(s.ids, s.expected, s.statuses, s.actors, s.types, s.times, s.causes, s.traceparents,
                    s.payloads, $10) r

-- name: settle_owed
with owed as (
    insert into webhook_delivery (request_id, id, kind, webhook_id, connection_id, due_at, created_at)
    select i.* from unnest($1::text[], $11::text[], array_fill('pre_approval'::text, array[cardinality($1)]),
                           $12::text[], $13::text[], $6::timestamptz[], $6::timestamptz[])
                    as i(request_id, id, kind, webhook_id, connection_id, due_at, created_at)
    -- Locked, so that whoever deletes it finds what is owed.
    where exists (select from pre_approval_webhook w where w.id = i.webhook_id for key share)
    on conflict do nothing
    returning request_id, id
), wanted as (
    select i.* from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                           $7::text[], $8::text[], $9::bytea[], $11::text[])
                    as i(request_id, expected, status, actor, type, time, cause, traceparent, payload, id)
               join owed using (request_id, id)
)
select r.id, r.seq, r.chain, r.behind, r.outbox
from (select array_agg(request_id) as ids, array_agg(expected) as expected, array_agg(status) as statuses,
             array_agg(actor) as actors, array_agg(type) as types, array_agg(time) as times,
             array_agg(cause) as causes, array_agg(traceparent) as traceparents, array_agg(payload) as payloads
      from wanted) s,
     request_append(s.ids, s.expected, s.statuses, s.actors, s.types, s.times, s.causes, s.traceparents,
                    s.payloads, $10) r

-- name: settle_steps
-- A run's next call, or one that it passes over; by the configuration of $11 only. What stood of it is owed anew.
with won as (
    select r.* from (select version from catalog) c,
           request_append(case when c.version = $11::bigint then $1::text[] else '{}'::text[] end, $2, $3, $4, $5, $6,
                          $7, $8, $9, $10) r
), owed as (
    insert into webhook_delivery as d (request_id, id, kind, webhook_id, connection_id, state, due_at, worker, run,
                                       outcome, created_at, settled_at)
    select id, ($12::text[])[place], ($13::text[])[place], ($14::text[])[place], ($15::text[])[place],
           ($16::text[])[place], ($17::timestamptz[])[place], $20::text, ($18::bigint[])[place],
           ($19::text[])[place], ($6::timestamptz[])[place],
           case when ($16::text[])[place] = 'skipped' then ($6::timestamptz[])[place] end
    from won
    on conflict (request_id, id) do update
    set state = excluded.state, due_at = excluded.due_at, worker = excluded.worker, run = excluded.run,
        outcome = excluded.outcome, settled_at = excluded.settled_at, base = d.attempts, passed = false,
        halted = false, redelivery = false, problem = null, resumed_at = null, sealed_resumed = null
)
select id, seq, chain, behind, outbox from won

-- name: settle_endpoint_pauses
update connection c set paused_at = clock_timestamp(), paused_reason = 'gone', updated_at = clock_timestamp()
from (select set_config('docket.actor', jsonb_build_object('by', 'system', 'reason', 'gone', 'source', $2::text)::text,
                        true)
      from catalog for update) actor
where c.id = any($1::text[]) and c.paused_at is null

-- name: settle_replies
with won as (
    select * from request_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
), recorded as (
    insert into pre_approval_reply (request_id, webhook_id, eligible, received_at)
    select id, ($11::text[])[place], ($12::boolean[])[place], ($6::timestamptz[])[place] from won
)
select id, seq, chain, behind, outbox from won

-- name: settle_approvals
select r.id, r.seq, r.chain, r.behind, r.outbox
from (select version from catalog for share) c,
     request_append(case when c.version = $11::bigint then $1::text[] else '{}'::text[] end, $2, $3, $4, $5, $6, $7, $8, $9,
                    $10) r

-- name: settle_plans
-- What a run is to do next, by the configuration of $11 only. What needs nothing is begun by this worker at once.
with won as (
    select r.* from (select version from catalog) c,
           request_append(case when c.version = $11::bigint then $1::text[] else '{}'::text[] end, $2, $3, $4, $5, $6,
                          $7, $8, $9, $10) r
), planned as (
    insert into request_task (request_id, id, action, place, connection_key, dataset, collection, needs, run, due_at,
                              worker, started_at, created_at)
    select w.id, t.id, t.action, t.place, t.connection_key, t.dataset, t.collection, coalesce(t.needs, '{}'), t.run,
           case when t.needs is null then ($13::timestamptz[])[w.place] end, case when t.needs is null then $14::text end,
           case when t.needs is null then ($6::timestamptz[])[w.place] end, ($6::timestamptz[])[w.place]
    from won w cross join lateral
         jsonb_to_recordset(($12::text[])[w.place]::jsonb)
         as t(id text, action text, place integer, connection_key text, dataset text, collection text, needs text[],
              run integer)
    on conflict do nothing
)
select id, seq, chain, behind, outbox from won

-- name: settle_leases
-- What another worker holds is not taken, nor what a retry has begun anew meanwhile; `due_at` null gives it back. $6:
-- claimed by the clock in this worker's name.
update request_task t set due_at = i.due_at, worker = case when i.due_at is not null then $5::text end,
       started_at = coalesce(t.started_at, now())
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $6::boolean[])
     as i(request_id, id, due_at, run, claimed)
where t.request_id = i.request_id and t.id = i.id and t.state = 'waiting' and t.run = i.run
  and (t.due_at is null or t.due_at <= now() or (i.claimed and t.worker = $5::text))
returning t.request_id

-- name: settle_tasks
with settled as (
    update request_task t set state = i.state, due_at = i.due_at, worker = null, tries = t.tries + 1,
           attempt = i.attempt, row_count = case when i.state = 'complete' then i.row_count end,
           fields = i.fields::jsonb, message = i.message,
           settled_at = case when i.state = 'waiting' then null else i.time end
    from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
                $8::text[], $9::bytea[], $11::text[], $12::text[], $13::timestamptz[], $14::bigint[], $15::text[],
                $16::bigint[], $17::text[], $18::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[],
                $25::bigint[], $26::boolean[])
         as i(request_id, expected, status, actor, type, time, cause, traceparent, payload, id, state, due_at, run,
              attempt, row_count, fields, message, rule_key, storage_key, storage, format, location, bytes, encrypted)
    where t.request_id = i.request_id and t.id = i.id and t.state = 'waiting' and t.worker = $19::text and t.run = i.run
    returning i.*
), packed as (
    insert into request_package (request_id, rule_key, storage_key, storage, format, location, bytes, encrypted,
                                 created_at, delete_at)
    select request_id, rule_key, storage_key, storage::jsonb, format, location, bytes, encrypted, time,
           time + $27::bigint * interval '1 microsecond'
    from settled where location is not null
    on conflict (request_id, rule_key) do update
    set storage_key = excluded.storage_key, storage = excluded.storage, format = excluded.format,
        location = excluded.location, bytes = excluded.bytes, encrypted = excluded.encrypted,
        created_at = excluded.created_at, delete_at = excluded.delete_at
)
select r.id, r.seq, r.chain, r.behind, r.outbox
from (select array_agg(request_id) as ids, array_agg(expected) as expected, array_agg(status) as statuses,
             array_agg(actor) as actors, array_agg(type) as types, array_agg(time) as times,
             array_agg(cause) as causes, array_agg(traceparent) as traceparents, array_agg(payload) as payloads
      from settled) s,
     request_append(s.ids, s.expected, s.statuses, s.actors, s.types, s.times, s.causes, s.traceparents,
                    s.payloads, $10) r
