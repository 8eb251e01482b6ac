-- name: reply_facts
-- What is known about each reply (request, webhook), in the order of the arrays.
select w.id is not null, p.id is not null, coalesce(p.deleted_at is not null, false), p.status,
       owed.webhook_id is not null, r.eligible
from unnest($1::text[], $2::text[]) with ordinality as i(request_id, webhook_id, place)
left join privacy_request p on p.id = i.request_id
left join pre_approval_webhook w on w.id = i.webhook_id
left join pre_approval_reply r on r.request_id = i.request_id and r.webhook_id = i.webhook_id
-- With its limit it is looked up by the request, even while a young table has no statistics; as `exists` it was
-- read whole.
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
