-- name: park_claim
with room as (
    select * from unnest($1::text[], $2::bigint[]) as r(webhook_id, calls)
), due as materialized (
    select d.request_id, d.id
    from room r cross join lateral (
        select w.request_id, w.id from webhook_delivery w
        where w.webhook_id = r.webhook_id and w.state in ('waiting', 'delivered') and w.due_at <= now()
        order by w.due_at limit r.calls for update skip locked) d
    limit $4::bigint
)
update webhook_delivery w set due_at = now() + $3::bigint * interval '1 microsecond', worker = $5::text
from due where w.request_id = due.request_id and w.id = due.id
returning w.request_id, w.id

-- name: park_return
-- What this very worker held when it ended is due at once: nobody makes those calls.
update webhook_delivery set due_at = now(), worker = null
where worker = $1 and state = 'waiting' and due_at is not null

-- name: task_return
update request_task set due_at = now(), worker = null where worker = $1 and state = 'waiting' and due_at is not null

-- name: task_claim
with due as materialized (
    select request_id, id from request_task
    where due_at <= now() and state = 'waiting' order by due_at limit $1::bigint for update skip locked
)
update request_task t set due_at = now() + $2::bigint * interval '1 microsecond', worker = $3::text
from due where t.request_id = due.request_id and t.id = due.id
returning t.request_id, t.id

-- name: task_renew
-- Those that are still this worker's.
update request_task t set due_at = now() + $3::bigint * interval '1 microsecond'
from unnest($1::text[], $2::text[]) as i(request_id, id)
where t.request_id = i.request_id and t.id = i.id and t.state = 'waiting' and t.worker = $4::text
returning t.request_id, t.id

-- name: timer_claim
-- `due_at` stays what the event said: whoever claimed it sees to it until the lease ends.
update request_timer t set leased_until = now() + interval '30 seconds', worker = $2::text
from (select request_id, kind from request_timer
      where due_at <= now() and (leased_until is null or leased_until <= now())
      order by due_at limit $1::bigint for update skip locked) d
where t.request_id = d.request_id and t.kind = d.kind
returning t.request_id

-- name: timer_return
update request_timer set leased_until = null, worker = null where worker = $1

-- name: sweep_claim
update review_sweep s set lease_until = now() + interval '30 seconds', worker = $1::text
where s.id = (select id from review_sweep where lease_until < now() order by id limit 1 for update skip locked)
returning s.id, s.cursor

-- name: sweep_return
update review_sweep set lease_until = now(), worker = null where worker = $1

-- name: sweep_page
select id from (
    (select id from privacy_request where status = 'awaiting_pre_approval' and id > $1::text order by id limit $2::bigint)
    union all
    (select id from privacy_request where status = 'in_processing' and id > $1::text order by id limit $2::bigint)
    union all
    (select id from privacy_request where status = 'paused' and id > $1::text order by id limit $2::bigint)
    union all
    (select id from privacy_request where status = 'requires_input' and id > $1::text order by id limit $2::bigint))
    waiting
order by id limit $2::bigint

-- name: sweep_advance
update review_sweep set cursor = $2::text, lease_until = now() + interval '30 seconds' where id = $1::bigint

-- name: sweep_orphans
-- Calls that wait and whose webhook is no more: nobody has room for them, and no request is looked at for them. Those
-- beside a run, asked for by an operator, or owed while the webhook was being deleted.
with orphan as materialized (
    select d.request_id, d.id from webhook_delivery d
    where d.due_at is not null and d.state = 'waiting' and (d.passed or d.redelivery or d.kind = 'pre_approval')
      and not exists (select from policy_webhook w where w.id = d.webhook_id)
      and not exists (select from pre_approval_webhook w where w.id = d.webhook_id)
    limit $1::bigint for update skip locked
)
update webhook_delivery w set due_at = now() + $2::bigint * interval '1 microsecond', worker = $3::text
from orphan o where w.request_id = o.request_id and w.id = o.id
returning w.request_id, w.id

-- name: sweep_end
delete from review_sweep where id = $1::bigint

-- name: relay_claim
-- The oldest rows that are due, while no other worker has any: events follow each other over rows, so two relays
-- would wait for each other at every step. `first`: no earlier event of the request is in the outbox.
with due as materialized (
    select id, request_ids, seqs from request_outbox
    where due_at <= now() and not exists (select from request_outbox o where o.relayed and o.due_at > now())
    order by id limit $1::bigint for update skip locked
), taken as (
    update request_outbox o set due_at = now() + interval '5 seconds', relayed = true from due where o.id = due.id
)
select d.id, e.request_id, e.seq, e.type, e.source, e.cause, e.traceparent, e.time, e.payload, e.chain,
       e.aggregatetype,
       (e.request_id, e.seq) in (select p.request_id, min(p.seq)
                                 from request_outbox o, unnest(o.request_ids, o.seqs) as p(request_id, seq)
                                 group by p.request_id) as first
from due d
cross join lateral unnest(d.request_ids, d.seqs) as u(request_id, seq)
join request_event e on e.request_id = u.request_id and e.seq = u.seq
order by d.id, e.request_id, e.seq

-- name: gauge_counts
select (select count(*) from webhook_delivery where state = 'waiting' and due_at is not null),
       coalesce((select extract(epoch from now() - min(due_at - interval '5 seconds'))::bigint
                 from request_outbox), 0)
