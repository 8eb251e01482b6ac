-- What a request does: datasets that say where a person's data is, what people add by hand, the collections that are
-- read and erased, and the packages that come of it.

-- Of connections of type `postgres`: null is the configuration's.
alter table connection
    add statement_timeout_ms integer check (statement_timeout_ms > 0),
    add row_limit            bigint check (row_limit > 0);

create table dataset (
    id         text primary key,
    fides_key  text not null unique,
    document   jsonb not null,           -- as it was given, checked: dsr.md 1
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
);

-- Which connection a dataset's collections are read through. One that no connection has is in no graph.
create table dataset_config (
    id            text primary key,
    connection_id text not null references connection on delete cascade,
    dataset_id    text not null unique references dataset on delete cascade,
    fides_key     text not null,
    property_ids  text[],
    created_at    timestamptz not null default clock_timestamp(),
    updated_at    timestamptz not null default clock_timestamp(),
    unique (connection_id, fides_key)
);

-- What people are asked for. fields: [{"pii_field", "dsr_package_label", "types", "data_categories"}], labels derived.
create table manual_webhook (
    id            text primary key,
    connection_id text not null unique references connection on delete cascade,
    fields        jsonb not null,
    created_at    timestamptz not null default clock_timestamp(),
    updated_at    timestamptz not null default clock_timestamp()
);

do $$
declare t text;
begin
    foreach t in array array['dataset', 'dataset_config', 'manual_webhook'] loop
        execute format('create trigger catalog_moved after insert or update or delete on %I
                        for each statement execute function catalog_moved()', t);
    end loop;
end $$;

alter table storage add secrets bytea;   -- JSON, sealed with the master key ring: of type s3

alter table privacy_request
    add input_awaited text,              -- while requires_input: who is waited for, "action:connection key" with commas
    add forgotten_at  timestamptz;       -- its key is destroyed
create index privacy_request_finished on privacy_request (finished_processing_at)
    where status = 'complete' and forgotten_at is null;

-- What a person has filled in. labels: what `sealed` (a JSON object, the request's key, "input" of
-- "<webhook id>.<action>") has, sorted, so that whether it is complete is known without the key.
create table manual_input (
    request_id text collate "C" not null,
    webhook_id text collate "C" not null,
    action     text not null check (action in ('access', 'erasure')),
    labels     text[] not null,
    sealed     bytea not null,
    saved_by   text,
    saved_at   timestamptz not null,
    primary key (request_id, webhook_id, action)
);

-- The parts of a run that are not webhooks: a collection read, an access rule's package made, a collection erased.
-- `id` is "access:<dataset>:<collection>", "package:<rule key>", "erasure:<dataset>:<collection>". A waiting one is
-- begun once all that it `needs` are complete or skipped; `due_at` is then the end of the lease of whoever does it, or
-- the time of its next try.
create table request_task (
    request_id     text collate "C" not null,
    id             text collate "C" not null,
    action         text not null check (action in ('access', 'package', 'erasure')),
    place          integer not null,     -- in the order in which they were planned
    connection_key text,
    dataset        text,
    collection     text,
    needs          text[] not null default '{}',
    state          text not null default 'waiting' check (state in ('waiting', 'complete', 'skipped', 'failed')),
    run            integer not null,     -- the request's, when it was planned or begun anew by a retry
    tries          integer not null default 0,
    due_at         timestamptz,
    worker         text,                 -- who holds the lease
    attempt        text,                 -- whose rows in request_rows count, once complete
    row_count      bigint,               -- read, packed or masked
    fields         jsonb,                -- fields_affected of the log: dsr.md 7
    message        text,                 -- of the log, in the contract's words; no data
    -- An erasure that may have been committed over there: the transaction, and the rows it masked.
    erase_xid      text,
    erase_count    bigint,
    created_at     timestamptz not null,
    started_at     timestamptz,
    settled_at     timestamptz,
    primary key (request_id, id)
) with (fillfactor = 70);
create index request_task_due on request_task (due_at) where due_at is not null;

-- The rows that a collection's reading brought: common/rows.h, sealed with the request's key, "rows" of
-- "<task id>.<attempt>.<chunk>".
create table request_rows (
    request_id text collate "C" not null,
    task_id    text collate "C" not null,
    attempt    text collate "C" not null,
    chunk      integer not null,
    row_count  integer not null,
    sealed     bytea not null,
    primary key (request_id, task_id, attempt, chunk)
);
alter table request_rows alter sealed set storage external;   -- compressed before it was sealed

-- A package that lies in a storage: common/store.h.
create table request_package (
    request_id  text collate "C" not null,
    rule_key    text not null,
    storage_key text not null,
    storage     jsonb not null,          -- {"type", "details"} as they were then
    format      text not null,           -- json, csv, html
    location    text not null,           -- the file or object below the storage's root
    bytes       bigint not null,
    encrypted   boolean not null,        -- with the caller's key
    created_at  timestamptz not null,
    delete_at   timestamptz,             -- null: with the request's key
    primary key (request_id, rule_key)
);
create index request_package_delete on request_package (delete_at) where delete_at is not null;

-- As in 0002, and over the trace: of an event's headers only those are not in it that follow from others.
drop function event_chain(bytea, text, bigint, text, timestamptz, text, text, bytea);
create function event_chain(previous bytea, request_id text, seq bigint, type text, at timestamptz,
                            source text, cause text, traceparent text, payload bytea)
returns bytea language sql immutable parallel safe as $$
    -- schemas/README.md tells how to recompute it.
    select sha256(previous || convert_to(
        request_id || '.' || seq || E'\n' || type || E'\n' ||
        to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || E'\n' ||
        source || E'\n' || coalesce(cause, '') || E'\n' || coalesce(traceparent, '') || E'\n', 'UTF8') || payload)
$$;

-- As in 0005, and: who is waited for, that a request was forgotten, and that a retry begins its tasks anew: those that
-- failed, and those that are not over, whoever is at them.
create or replace function request_append(ids text[], expected bigint[], statuses text[], actors text[], types text[],
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
            chain = event_chain(p.chain, p.id, p.seq + 1, i.type, i.time, event_source, i.cause, i.traceparent,
                                i.payload),
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
                when i.status = 'paused' then convert_from(i.payload, 'UTF8')::jsonb ->> 'webhook_id' end,
            input_awaited = case
                when i.type = 'docket.request.input_required.v1'
                then convert_from(i.payload, 'UTF8')::jsonb ->> 'awaited'
                when i.status is null then p.input_awaited end,
            forgotten_at = case when i.type = 'docket.request.forgotten.v1' then i.time else p.forgotten_at end
        from input i
        where p.id = i.id and (i.expected is null or p.seq = i.expected)
        returning p.id, p.seq, p.chain, p.run, i.status, i.type, i.time, i.cause, i.traceparent, i.payload, i.place
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
    ), begun_anew as (
        update request_task t set state = 'waiting', run = m.run, tries = 0, due_at = null, worker = null,
                                  settled_at = null
        from moved m
        where m.type = 'docket.request.retried.v1' and t.request_id = m.id and t.state in ('waiting', 'failed')
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
