-- name: park_claim
with room as (
    select * from unnest($1::text[], $2::bigint[]) as r(connection_id, calls)
), due as materialized (
    select d.request_id, d.id
    from room r cross join lateral (
        select w.request_id, w.id from webhook_delivery w
        where w.connection_id = r.connection_id and w.state = 'waiting' and w.due_at <= now()
        order by w.due_at limit r.calls for update skip locked) d
)
update webhook_delivery w set due_at = now() + $3::bigint * interval '1 microsecond'
from due where w.request_id = due.request_id and w.id = due.id
returning w.request_id, w.id

-- name: sweep_claim
update review_sweep s set lease_until = now() + interval '30 seconds'
where s.id = (select id from review_sweep where lease_until < now() order by id limit 1 for update skip locked)
returning s.id, s.cursor

-- name: sweep_page
select id from privacy_request
where status = 'awaiting_pre_approval' and id > $1::text order by id limit $2::bigint

-- name: sweep_advance
update review_sweep set cursor = $2::text, lease_until = now() + interval '30 seconds' where id = $1::bigint

-- name: sweep_end
delete from review_sweep where id = $1::bigint

-- name: relay_claim
with due as materialized (
    select request_id, seq from request_outbox where due_at <= now()
    order by request_id, seq limit $1::bigint for update skip locked
), taken as (
    update request_outbox o set due_at = now() + interval '5 seconds'
    from due where o.request_id = due.request_id and o.seq = due.seq
    returning o.request_id, o.seq
)
select e.request_id, e.seq, e.type, e.source, e.cause, e.traceparent, e.time, e.payload, e.chain,
       exists (select from request_outbox o
               where o.request_id = t.request_id and o.seq < t.seq
                 and not exists (select from due d where d.request_id = o.request_id and d.seq = o.seq))
from taken t join request_event e on e.request_id = t.request_id and e.seq = t.seq
order by e.request_id, e.seq

-- name: gauge_counts
select (select count(*) from webhook_delivery where state = 'waiting' and due_at is not null),
       coalesce((select extract(epoch from now() - min(due_at - interval '5 seconds'))::bigint
                 from request_outbox), 0)
