-- name: settle_park
update webhook_delivery d set state = i.state, due_at = i.due_at, outcome = coalesce(i.outcome, d.outcome), worker = null,
       settled_at = case when i.state in ('waiting', 'held') then null when d.state = i.state then d.settled_at
                         else i.time end
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::timestamptz[])
     as i(request_id, id, state, due_at, outcome, time)
where d.request_id = i.request_id and d.id = i.id and (d.state in ('waiting', 'held') or d.state = i.state)

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
with changed as (
    update webhook_delivery d set state = i.state, due_at = i.due_at,
           settled_at = case when i.state in ('waiting', 'held') then null else i.time end
    from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
                $8::text[], $9::bytea[], $11::text[], $12::text[], $13::timestamptz[])
         as i(request_id, expected, status, actor, type, time, cause, traceparent, payload, id, state, due_at)
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
    where exists (select from pre_approval_webhook w where w.id = i.webhook_id)
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
update connection set paused_at = clock_timestamp(), paused_reason = 'gone', updated_at = clock_timestamp()
where id = any($1::text[]) and paused_at is null

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
