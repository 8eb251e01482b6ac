-- Checkpoints: what docket states, signed, of its own topics. A worker makes one now and then; the table is what they
-- are published from, and what an audit holds the topic against.

create table checkpoint (
    number       bigint primary key check (number > 0),  -- from 1 without a gap; who comes second with one loses
    value        bytea not null,                         -- as it is published, byte by byte
    signature    bytea not null,                         -- Ed25519 over it
    key_id       text not null,
    made_at      timestamptz not null,
    published_at timestamptz                             -- null: not known to be on the topic
);
create index checkpoint_unpublished on checkpoint (number) where published_at is null;

-- How far each partition is covered. Moves with the checkpoint that covers it, in one transaction.
create table checkpoint_place (
    topic       text not null,                           -- without its prefix
    partition   integer not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

-- Whose turn it is: `due_at` is the end of the lease of the worker that is at it, or the time of the next turn.
-- `whole_at`: when everything that lay on the topics was last found to be covered.
create table checkpoint_turn (
    only_row boolean primary key default true check (only_row),
    due_at   timestamptz not null default '-infinity',
    worker   text,            -- who has the lease
    whole_at timestamptz
);
insert into checkpoint_turn default values;

-- What rows of these requests say that their events do not: relation, the row's key, the column, what follows from
-- request_event, and what is found. `docketctl audit verify` asks it page by page. Where the schema knows how to derive
-- every table from the events (audit_problems()), that is what is asked; else a request's own row is held against them.
create function audit_check(ids text[])
returns table (request_id text, relation text, row_key text, field text, derived text, found text)
language plpgsql stable
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
begin
    if to_regprocedure('audit_problems(text[])') is not null then
        return query execute 'select * from audit_problems($1)' using ids;
        return;
    end if;
    return query
    with facts as (
        select p.id, p.seq, p.status_seq, p.chain, p.status, last.seq as last_seq, last.chain as last_chain,
               told.seq as told_seq, told.status as told_status
        from unnest(ids) as i(id)
        join privacy_request p on p.id = i.id
        left join lateral (
            select e.seq, e.chain from request_event e where e.request_id = p.id order by e.seq desc limit 1
        ) last on true
        left join lateral (
            select e.seq, convert_from(e.payload, 'UTF8')::jsonb ->> 'status' as status
            from request_event e
            where e.request_id = p.id and convert_from(e.payload, 'UTF8')::jsonb ? 'status'
            order by e.seq desc limit 1
        ) told on true
    )
    select f.id, 'privacy_request', f.id, c.field, c.derived, c.found
    from facts f
    cross join lateral (values
        ('seq', f.last_seq::text, f.seq::text),
        ('chain', encode(f.last_chain, 'hex'), encode(f.chain, 'hex')),
        ('status', f.told_status, f.status),
        ('status_seq', f.told_seq::text, f.status_seq::text)
    ) as c(field, derived, found)
    where c.derived is distinct from c.found;
end $$;
