-- name: resume_facts
-- What is known about each (request, webhook), in the order of the arrays.
select w.id is not null, p.id is not null, coalesce(p.deleted_at is not null, false), p.status, p.paused_webhook_id,
       d.id is not null, coalesce(d.run = p.run, false), coalesce(d.state in ('waiting', 'held'), false),
       coalesce(d.passed, false), coalesce(d.halted, false), d.resumed_at is not null,
       p.seq, w.key, d.id, k.key_id, k.wrapped
from unnest($1::text[], $2::text[]) with ordinality as i(request_id, webhook_id, place)
-- With their limits these are looked up by the request, even while a young table has no statistics.
left join lateral (select q.* from privacy_request q where q.id = i.request_id limit 1) p on true
left join policy_webhook w on w.id = i.webhook_id and w.kind = 'pre'
left join lateral (select q.key_id, q.wrapped from request_key q where q.request_id = i.request_id limit 1) k on true
left join lateral (select d.* from webhook_delivery d
                   where d.request_id = i.request_id and d.webhook_id = i.webhook_id limit 1) d on true
order by i.place

-- name: resume_lock
-- Calls before requests, as the worker does when it settles: nobody waits for each other.
select from webhook_delivery d
where (d.request_id, d.id) in (select * from unnest($1::text[], $2::text[]))
order by d.request_id collate "C", d.id collate "C" for update

-- name: resume_settle
-- Beside the event, in its transaction.
update webhook_delivery d set resumed_at = i.time, sealed_resumed = i.sealed
from unnest($1::text[], $2::text[], $3::bytea[], $4::timestamptz[]) as i(request_id, id, sealed, time)
where d.request_id = i.request_id and d.id = i.id

-- name: resume_policies
-- As the answer shows them, a row a request, in the order of view_rows.
select policy_object(o)::text
from unnest($1::text[]) with ordinality as i(id, place)
join privacy_request p on p.id = i.id
left join policy o on o.id = p.policy_id
order by i.place
