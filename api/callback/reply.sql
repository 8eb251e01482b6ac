-- name: reply_facts
-- What is known about each reply (request, webhook), in the order of the arrays.
select w.id is not null, p.id is not null, coalesce(p.deleted_at is not null, false), p.status,
       owed.webhook_id is not null, r.eligible
from unnest($1::text[], $2::text[]) with ordinality as i(request_id, webhook_id, place)
-- With their limits these are looked up by the request, even while a young table has no statistics; as joins they were
-- read whole.
left join lateral (select q.id, q.deleted_at, q.status from privacy_request q where q.id = i.request_id limit 1) p on true
left join pre_approval_webhook w on w.id = i.webhook_id
left join lateral (select a.eligible from pre_approval_reply a
                   where a.request_id = i.request_id and a.webhook_id = i.webhook_id limit 1) r on true
left join lateral (select d.webhook_id from webhook_delivery d
                   where d.request_id = i.request_id and d.webhook_id = i.webhook_id limit 1) owed on true
order by i.place

-- name: reply_objections
-- Which objections on their way will count, by the place of the reply that they speak against: the webhook still
-- exists, and has not said eligible before.
select i.place
from unnest($1::text[], $2::text[], $3::bigint[]) as i(request_id, webhook_id, place)
join pre_approval_webhook w on w.id = i.webhook_id
left join pre_approval_reply r on r.request_id = i.request_id and r.webhook_id = i.webhook_id
where r.eligible is not true
