-- name: rebuild_is_empty
select not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                   where n.nspname = 'public' and c.relkind in ('r', 'p', 'm', 'f', 'S'))

-- name: rebuild_session
-- What is lost by a crash is rebuilt anew.
select set_config('synchronous_commit', 'off', false)

-- name: rebuild_fill
insert into request_event (request_id, seq, type, time, source, cause, traceparent, payload, chain)
select * from unnest($1::text[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
                     $8::bytea[], $9::bytea[])
on conflict do nothing

-- name: rebuild_others
-- Of the same events those that are there with another content.
select i.request_id, i.seq
from unnest($1::text[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::bytea[],
            $9::bytea[]) as i(request_id, seq, type, time, source, cause, traceparent, payload, chain)
join request_event e on e.request_id = i.request_id and e.seq = i.seq
where (e.type, e.time, e.source, e.cause, e.traceparent, e.payload, e.chain)
      is distinct from (i.type, i.time, i.source, i.cause, i.traceparent, i.payload, i.chain)
order by i.request_id collate "C", i.seq

-- name: rebuild_analyze
analyze request_event

-- name: rebuild_page
select i from audit_page($1, $2::bigint) i

-- name: rebuild_gaps
select x.request_id, x.before + 1, x.seq - 1
from (select e.request_id, e.seq, coalesce(lag(e.seq) over (partition by e.request_id order by e.seq), 0) as before
      from request_event e where e.request_id = any($1)) x
where x.seq <> x.before + 1
order by x.request_id collate "C", x.seq

-- name: rebuild_rows
select name, rows from audit_rebuild($1)

-- name: rebuild_older
select i from derive_older($1) i

-- name: rebuild_columns
select t.name, (select count(*) from audit_columns(t.name)) from audit_tables() t

-- name: rebuild_snapshot
set transaction isolation level repeatable read, read only

-- name: rebuild_seqs
select id, seq from privacy_request where id = any($1)

-- name: rebuild_outbox
-- The first event of each that is not yet known to be on the topic.
select u.request_id, min(u.seq)
from request_outbox o cross join lateral unnest(o.request_ids, o.seqs) as u(request_id, seq)
where u.request_id = any($1) group by u.request_id

-- name: rebuild_rewind
-- Back to where the other database was.
delete from request_event e using unnest($1::text[], $2::bigint[]) i(id, seq)
where e.request_id = i.id and e.seq > i.seq

-- name: rebuild_digests
select t.name, d.rows, d.digest from audit_tables() t cross join lateral audit_digest(t.name, $2, $1) d

-- name: rebuild_found
select coalesce(jsonb_agg(to_jsonb(r)), '[]')::text from audit_rows($1, false, $2) r

-- name: rebuild_differences
select request_id, key, "column", derived, found_value from audit_differences($1, $2, $3)
