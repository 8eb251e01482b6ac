-- name: tables_snapshot
set transaction isolation level repeatable read, read only

-- name: tables_size
select greatest(c.reltuples, 0)::bigint from pg_class c where c.oid = 'privacy_request'::regclass

-- name: tables_page
-- Each chain's row: a request's, and the one of the configuration.
(select id, seq, chain from privacy_request where id > $1 order by id limit $2::bigint)
union all
select 'configuration', seq, chain from configuration_head where seq > 0 and 'configuration' collate "C" > $1
order by id limit $2::bigint

-- name: tables_outbox
-- Events of these requests that are not yet known to be on the topic.
select u.request_id, u.seq
from request_outbox o cross join lateral unnest(o.request_ids, o.seqs) as u(request_id, seq)
where u.request_id = any($1::text[])
order by u.request_id, u.seq

-- name: tables_event
-- Of requests that have gone on since: the event that each of them has on the topic.
select i.id, e.chain
from unnest($1::text[], $2::bigint[]) as i(id, seq)
left join request_event e on e.request_id = i.id and e.seq = i.seq

-- name: tables_chains
-- Events whose chain is not the one that follows from the event before, or that have none before them.
select x.request_id, x.seq, x.seq <> x.before + 1 as out_of_order
from (
    select e.request_id, e.seq, e.chain, coalesce(lag(e.seq) over w, 0) as before,
           event_chain(coalesce(lag(e.chain) over w, '\x'), e.request_id, e.seq, e.type, e.time, e.source, e.cause,
                       e.traceparent, e.payload) as follows
    from request_event e
    where e.request_id = any($1::text[])
    window w as (partition by e.request_id order by e.seq)
) x
where x.chain <> x.follows or x.seq <> x.before + 1
order by x.request_id, x.seq

-- name: tables_count
select count(*) from request_event where request_id = any($1::text[])

-- name: tables_check
select request_id, relation, row_key, field, derived, found from audit_check($1::text[])

-- name: tables_without
-- Those of these that are nobody's.
select i.id from unnest($1::text[]) as i(id)
where not exists (select from privacy_request p where p.id = i.id)
  and not (i.id = 'configuration' and exists (select from configuration_head where seq > 0))

-- name: tables_checkpoints
select number, sha256(value), published_at is not null from checkpoint
where number > $1::bigint order by number limit $2::bigint

-- name: tables_published
select coalesce(max(number), 0) from checkpoint where published_at is not null
