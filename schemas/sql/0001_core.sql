-- The configuration: who may call, what is called, by which rules a request runs.
-- Every change of it moves `catalog.version`, so that a program knows with one read whether what it
-- remembers still stands. Who decides something by the configuration locks that row `for share`.

create table catalog (
    only_row boolean primary key default true check (only_row),
    version  bigint not null default 1
);
insert into catalog default values;

create function catalog_moved() returns trigger language plpgsql as $$
begin
    update catalog set version = version + 1;
    return null;
end $$;

create table oauth_client (
    id          text primary key,
    name        text,
    description text,
    scopes      text[] not null default '{}',
    roles       text[] not null default '{}',
    secret_hash text not null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
);

create table connection (
    id                  text primary key,
    key                 text not null unique,
    name                text,
    description         text,
    connection_type     text not null,
    access              text not null check (access in ('read', 'write')),
    disabled            boolean not null default false,
    enabled_actions     text[],
    secrets             bytea,       -- JSON, sealed with the master key ring
    last_test_at        timestamptz,
    last_test_succeeded boolean,
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now()
);

create table storage (
    id         text primary key,
    key        text not null unique,
    name       text,
    type       text not null,
    details    jsonb not null default '{}',
    format     text not null default 'json',
    is_default boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index storage_default on storage (type) where is_default;

create table policy (
    id                  text primary key,
    key                 text not null unique,
    name                text not null unique,
    drp_action          text unique,
    execution_timeframe integer,     -- days
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now()
);

create table rule (
    id               text primary key,
    policy_id        text not null references policy on delete cascade,
    key              text not null unique,
    name             text not null,
    action_type      text not null check (action_type in ('access', 'consent', 'erasure', 'update')),
    storage_id       text references storage,
    masking_strategy jsonb,          -- {"strategy": text, "configuration": object}
    created_at       timestamptz not null default clock_timestamp(),
    updated_at       timestamptz not null default clock_timestamp()
);
create index rule_policy on rule (policy_id);

create table rule_target (
    id            text primary key,
    rule_id       text not null references rule on delete cascade,
    key           text not null unique,
    name          text not null,
    data_category text not null,
    created_at    timestamptz not null default clock_timestamp(),
    updated_at    timestamptz not null default clock_timestamp(),
    unique (rule_id, data_category)
);

create table pre_approval_webhook (
    id            text primary key,
    key           text not null unique,
    name          text not null unique,
    connection_id text not null references connection on delete cascade,
    created_at    timestamptz not null default clock_timestamp(),
    updated_at    timestamptz not null default clock_timestamp()
);

create table setting (
    only_row boolean primary key default true check (only_row),
    api_set  jsonb not null default '{}'   -- what PATCH and PUT /config have set, over file and environment
);
insert into setting default values;

do $$
declare t text;
begin
    foreach t in array array['oauth_client', 'connection', 'storage', 'policy', 'rule', 'rule_target',
                             'pre_approval_webhook', 'setting'] loop
        execute format('create trigger catalog_moved after insert or update or delete on %I
                        for each statement execute function catalog_moved()', t);
    end loop;
end $$;

-- Requests. `seq` numbers a request's events from 1 without a gap; `status_seq` is the number of the event
-- that set its status; `chain` is the head of its hash chain. All three move only in request_append().
--
-- Ids are compared bytewise. There are no foreign keys here: what belongs to a request is written with it, and
-- its policy cannot go meanwhile, as both lock the catalog. A check a row would cost more than the row, and its
-- plan, made while a table was small, would read the whole of a large one.

create table privacy_request (
    id                     text collate "C" primary key,
    seq                    bigint not null default 0,
    status_seq             bigint not null default 0,
    chain                  bytea not null default '\x',
    status                 text,
    policy_id              text collate "C" not null,
    source                 text,
    location               text,
    property_id            text,
    external_id            text,
    submitted_by           text,
    created_at             timestamptz not null,
    updated_at             timestamptz not null,
    requested_at           timestamptz not null,
    due_date               timestamptz,
    identity_verified_at   timestamptz,
    reviewed_at            timestamptz,
    reviewed_by            text,
    custom_approved_at     timestamptz,
    custom_approved_by     text,
    started_processing_at  timestamptz,
    finished_processing_at timestamptz,
    paused_at              timestamptz,
    canceled_at            timestamptz,
    finalized_at           timestamptz,
    finalized_by           text,
    deleted_at             timestamptz,
    deleted_by             text,
    failed_step            text,
    sealed_identity        bytea,   -- JSON object, sealed with the request's key
    sealed_custom_fields   bytea,   -- JSON object, the same
    sealed_reason          bytea,   -- why it was denied or canceled: a person's words, the same
    sealed_encryption_key  bytea    -- the caller's key for the package, the same
) with (fillfactor = 70);
create index privacy_request_created on privacy_request (created_at, id);
create index privacy_request_status on privacy_request (status, id)
    where status not in ('complete', 'denied', 'canceled');
create index privacy_request_policy on privacy_request (policy_id);
create index privacy_request_external on privacy_request (lower(external_id) text_pattern_ops)
    where external_id is not null;

-- The request's own key, wrapped by the master key `key_id`. Without this row nothing sealed can be read.
create table request_key (
    request_id text collate "C" primary key,
    key_id     text not null,
    wrapped    bytea not null
);

-- Keyed hash of each identity value, for exact search.
create table identity_hash (
    request_id text collate "C" not null,
    field      text not null,
    hash       bytea not null,
    primary key (request_id, field)
);
create index identity_hash_hash on identity_hash (hash);

-- The log of a request: its timeline, and what the topic holds. Rows are only ever added.
-- Columns have Debezium's outbox meaning (aggregatetype, aggregateid = request_id, type, payload).
create table request_event (
    request_id    text collate "C" not null,
    seq           bigint not null,
    id            text collate "C" generated always as (request_id || '.' || seq) stored,
    aggregatetype text not null default 'lifecycle',
    type          text not null,
    time          timestamptz not null,
    source        text not null,
    cause         text,
    traceparent   text,
    payload       bytea not null,
    chain         bytea not null,
    primary key (request_id, seq)
);

-- What is committed and not yet known to be on the topic: a row a transaction, with all of its events. It goes
-- once Kafka has acknowledged them, so this stays as small as what is under way; `due_at` is when the relay may
-- take it up, and `relayed` that it has: then `due_at` is the end of its lease.
create table request_outbox (
    id          bigint generated always as identity primary key,
    due_at      timestamptz not null,
    relayed     boolean not null default false,
    request_ids text[] not null,
    seqs        bigint[] not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table request_outbox alter request_ids set storage external, alter seqs set storage external;

-- A call owed to a webhook about a request. waiting: to be made (by the event that owes it while `due_at` is
-- null, else by any worker once it is due); held: its connection is disabled; delivered; given_up.
create table webhook_delivery (
    request_id    text collate "C" not null,
    id            text collate "C" not null,           -- the webhook-id header, the same over all attempts
    kind          text not null,           -- pre_approval
    webhook_id    text collate "C" not null,
    connection_id text collate "C" not null,           -- the webhook's, when the call was owed
    state         text not null default 'waiting'
                  check (state in ('waiting', 'held', 'delivered', 'given_up')),
    attempts      integer not null default 0,
    due_at        timestamptz,
    outcome       text,                    -- of the last attempt
    created_at    timestamptz not null,
    settled_at    timestamptz,
    primary key (request_id, id)
) with (fillfactor = 70);
-- Without `state`, so that an update that settles a call touches no index. Only what waits has a due_at.
create index webhook_delivery_due on webhook_delivery (webhook_id, due_at) where due_at is not null;

create table webhook_attempt (
    request_id  text collate "C" not null,
    delivery_id text collate "C" not null,
    attempt     integer not null,
    started_at  timestamptz not null,
    duration_us bigint not null,
    address     text,                      -- that the socket was connected to
    status_code integer,
    outcome     text not null,             -- succeeded, timeout, connection_refused, http_5xx ...
    answer      bytea,                     -- sealed with the request's key, cut
    primary key (request_id, delivery_id, attempt)
);

create table pre_approval_reply (
    request_id  text collate "C" not null,
    webhook_id  text collate "C" not null,
    eligible    boolean not null,
    received_at timestamptz not null,
    primary key (request_id, webhook_id)
);

-- Requests that wait and must be looked at again because the configuration changed. Any worker goes on from
-- `cursor` under the lease.
create table review_sweep (
    id          bigint generated always as identity primary key,
    reason      text not null,
    cursor      text not null default '',
    lease_until timestamptz not null default '-infinity',
    created_at  timestamptz not null default clock_timestamp()
);
