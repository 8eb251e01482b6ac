-- request_append: the only way by which a request's status, sequence or chain changes.
--
-- One call takes any number of requests, each at most once. For each whose `seq` is still `expected` (null:
-- whatever it is) it sets the status (null: unchanged), appends the event, extends the chain, and notes the
-- event in the outbox. What lost the race has no row in the answer. `behind` says that an earlier event of
-- the request may not be on the topic yet, so that this one must be left to the relay; `place` is the row's
-- place in the arrays, from 1; `outbox` the outbox's row, the same for all.

create function event_chain(previous bytea, request_id text, seq bigint, type text, at timestamptz,
                            source text, cause text, payload bytea)
returns bytea language sql immutable parallel safe as $$
    -- The event's headers in a fixed order, each ended by a line feed, then the value as published.
    -- schemas/README.md tells how to recompute it.
    select sha256(previous || convert_to(
        request_id || '.' || seq || E'\n' || type || E'\n' ||
        to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || E'\n' ||
        source || E'\n' || coalesce(cause, '') || E'\n', 'UTF8') || payload)
$$;

create function request_append(ids text[], expected bigint[], statuses text[], actors text[], types text[],
                               times timestamptz[], causes text[], traceparents text[], payloads bytea[],
                               event_source text)
returns table (id text, seq bigint, chain bytea, behind boolean, place bigint, outbox bigint)
language sql
set enable_hashjoin = off
set enable_mergejoin = off   -- rows are locked in the order of `ids`, which callers sort: no deadlocks
as $$
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
            canceled_at = case when i.status = 'canceled' then i.time else p.canceled_at end
        from input i
        where p.id = i.id and (i.expected is null or p.seq = i.expected)
        returning p.id, p.seq, p.chain, i.type, i.time, i.cause, i.traceparent, i.payload, i.place
    ), logged as (
        insert into request_event (request_id, seq, type, time, source, cause, traceparent, payload, chain)
        select m.id, m.seq, m.type, m.time, event_source, m.cause, m.traceparent, m.payload, m.chain
        from moved m
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
    from moved m join privacy_request seen on seen.id = m.id
$$;
