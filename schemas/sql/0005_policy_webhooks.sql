-- Policy webhooks: the steps around a run, what they answer, and how their endpoints are treated.

create table policy_webhook (
    id            text primary key,
    policy_id     text not null references policy on delete cascade,
    kind          text not null check (kind in ('pre', 'post')),
    place         integer not null check (place >= 0),   -- its `order`, from 0 without a gap
    key           text not null,
    name          text not null,
    direction     text not null check (direction in ('one_way', 'two_way')),
    connection_id text not null references connection,
    created_at    timestamptz not null default clock_timestamp(),
    updated_at    timestamptz not null default clock_timestamp(),
    unique (kind, key),
    unique (kind, name),
    unique (policy_id, kind, place) deferrable initially deferred
);
create index policy_webhook_connection on policy_webhook (connection_id);
create trigger catalog_moved after insert or update or delete on policy_webhook
    for each statement execute function catalog_moved();

-- Moves with every change of the policy's lists, so that a request can tell that it changed under way.
alter table policy add webhooks_revision bigint not null default 0;

-- An endpoint is a connection as calls see it. `oauth` is JSON, sealed with the master key ring like `secrets`:
-- {"grant_type", "token_url", "scope", "client_id", "client_secret"}.
alter table connection
    add oauth          bytea,
    add retry_schedule text,         -- as DOCKET_WEBHOOK_RETRY_SCHEDULE; null: that one
    add rate_limit     integer check (rate_limit > 0),   -- calls a second over the whole fleet; null: none
    add paused_at      timestamptz,
    add paused_reason  text;         -- "gone" (the endpoint answered 410), "operator"

-- run: how often it was retried after an error; what a step of an earlier run left undone is done anew.
alter table privacy_request
    add run               integer not null default 0,
    add paused_webhook_id text collate "C",
    add webhooks_revision bigint;    -- of its policy's lists, as the run last saw them

-- A policy webhook's delivery stands from the moment that its step begins. `due_at` of a waiting one is the end of
-- the lease of whoever makes the call, or the time of the next attempt. passed: the run may go on past it.
-- A delivered pre-approval call has a `due_at` while it is to be reminded.
alter table webhook_delivery
    drop constraint webhook_delivery_state_check,
    add constraint webhook_delivery_state_check
        check (state in ('waiting', 'held', 'delivered', 'given_up', 'skipped')),
    add run            integer not null default 0,      -- the request's, when it was owed
    add passed         boolean not null default false,
    add halted         boolean not null default false,  -- its answer said so
    add base           integer not null default 0,      -- attempts before it was owed anew: schedules count from there
    add redelivery     boolean not null default false,  -- asked for by an operator: made whatever the request's status
    add worker         text,                            -- who holds the lease
    add problem        text,                            -- of the last attempt, in the contract's words; no data
    add sealed_derived bytea,                           -- JSON object that its answer brought, the request's key
    add resumed_at     timestamptz,                     -- the reply to a halt; may come before the halt is on record
    add sealed_resumed bytea;                           -- JSON object that the reply brought, the same
create index webhook_delivery_endpoint on webhook_delivery (connection_id, created_at);

alter table webhook_attempt add headers text;           -- names of the configured headers, with commas; no values

-- What happens to a request by the clock. One row of a kind; any worker claims it when it is due.
create table request_timer (
    request_id text collate "C" not null,
    kind       text not null check (kind in ('expiry')),
    due_at     timestamptz not null,
    primary key (request_id, kind)
);
create index request_timer_due on request_timer (due_at);

-- Signed test calls to an endpoint: about no request, made by any worker, kept a while.
create table endpoint_trial (
    id            text collate "C" primary key,
    connection_id text not null references connection on delete cascade,
    due_at        timestamptz,          -- null: made
    created_at    timestamptz not null default clock_timestamp(),
    started_at    timestamptz,
    duration_us   bigint,
    address       text,
    status_code   integer,
    outcome       text,
    answer        bytea                  -- sealed with the master key ring, cut
);
create index endpoint_trial_due on endpoint_trial (due_at) where due_at is not null;

-- As in 0002, and: the times, steps and timers that follow from a status. What only few events bring (a pause's end,
-- a failure's step) is read from their payload, which is the record. In PL/pgSQL, as a function in SQL would be planned
-- anew at every call, which costs more than a small batch.
drop function request_append(text[], bigint[], text[], text[], text[], timestamptz[], text[], text[], bytea[], text);
create function request_append(ids text[], expected bigint[], statuses text[], actors text[], types text[],
                                          times timestamptz[], causes text[], traceparents text[],
                                          payloads bytea[], event_source text)
returns table (id text, seq bigint, chain bytea, behind boolean, place bigint, outbox bigint)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off   -- rows are locked in the order of `ids`, which callers sort: no deadlocks
set enable_seqscan = off     -- a plan made while a table was small is kept
set jit = off
as $$
#variable_conflict use_column
begin
    return query
    with input as (
        select * from unnest(ids, expected, statuses, actors, types, times, causes, traceparents, payloads)
            with ordinality as i(id, expected, status, actor, type, time, cause, traceparent, payload, place)
    ), moved as (
        update privacy_request p set
            seq = p.seq + 1,
            chain = event_chain(p.chain, p.id, p.seq + 1, i.type, i.time, event_source, i.cause, i.payload),
            status = coalesce(i.status, p.status),
            status_seq = case when i.status is null then p.status_seq else p.seq + 1 end,
            updated_at = i.time,
            reviewed_at = case when i.status in ('approved', 'denied') then i.time else p.reviewed_at end,
            reviewed_by = case when i.status in ('approved', 'denied') then i.actor else p.reviewed_by end,
            custom_approved_at = case when i.status = 'approved' and p.sealed_custom_fields is not null
                                      then i.time else p.custom_approved_at end,
            custom_approved_by = case when i.status = 'approved' and p.sealed_custom_fields is not null
                                      then i.actor else p.custom_approved_by end,
            started_processing_at = case when i.status = 'in_processing'
                then coalesce(p.started_processing_at, i.time) else p.started_processing_at end,
            finished_processing_at = case when i.status in ('complete', 'error')
                then i.time else p.finished_processing_at end,
            paused_at = case when i.status = 'paused' then i.time else p.paused_at end,
            canceled_at = case when i.status = 'canceled' then i.time else p.canceled_at end,
            deleted_at = case when i.type = 'docket.request.deleted.v1' then i.time else p.deleted_at end,
            deleted_by = case when i.type = 'docket.request.deleted.v1'
                then coalesce(i.actor, 'root') else p.deleted_by end,
            run = case when i.type = 'docket.request.retried.v1' then p.run + 1 else p.run end,
            webhooks_revision = case
                when i.type in ('docket.request.started.v1', 'docket.request.webhooks_changed.v1')
                then (convert_from(i.payload, 'UTF8')::jsonb ->> 'revision')::bigint else p.webhooks_revision end,
            failed_step = case when i.status is null then p.failed_step
                when i.status = 'error' then convert_from(i.payload, 'UTF8')::jsonb ->> 'step' end,
            paused_webhook_id = case when i.status is null then p.paused_webhook_id
                when i.status = 'paused' then convert_from(i.payload, 'UTF8')::jsonb ->> 'webhook_id' end
        from input i
        where p.id = i.id and (i.expected is null or p.seq = i.expected)
        returning p.id, p.seq, p.chain, i.status, i.type, i.time, i.cause, i.traceparent, i.payload, i.place
    ), logged as (
        insert into request_event (request_id, seq, type, time, source, cause, traceparent, payload, chain)
        select m.id, m.seq, m.type, m.time, event_source, m.cause, m.traceparent, m.payload, m.chain
        from moved m
    ), timed as (
        insert into request_timer (request_id, kind, due_at)
        select m.id, 'expiry', (convert_from(m.payload, 'UTF8')::jsonb ->> 'expires_at')::timestamptz
        from moved m where m.status = 'paused'
        on conflict (request_id, kind) do update set due_at = excluded.due_at
    ), untimed as (
        delete from request_timer t using moved m
        where t.request_id = m.id and (m.status <> 'paused' or m.type = 'docket.request.deleted.v1')
    ), boxed as (
        insert into request_outbox (due_at, request_ids, seqs)
        select now() + interval '5 seconds', array_agg(m.id), array_agg(m.seq) from moved m
        having count(*) > 0
        returning request_outbox.id
    )
    -- Where another transaction appended while this one waited for the row, that one's outbox row is not to be seen
    -- here; but neither is the sequence number that it left.
    select m.id, m.seq, m.chain,
           m.id in (select unnest(o.request_ids) from request_outbox o) or seen.seq <> m.seq - 1, m.place,
           (select b.id from boxed b)
    from moved m join privacy_request seen on seen.id = m.id;
end $$;
