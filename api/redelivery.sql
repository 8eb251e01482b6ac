-- name: redelivery_catalog
-- Whether an endpoint may be called is decided by the configuration: it stands until the end of the transaction.
select version from catalog for share

-- name: redelivery_lock
-- Calls before requests, as the worker does when it settles: nobody waits for each other.
select from webhook_delivery w
where (w.request_id, w.id) in (select * from unnest($1::text[], $2::text[]))
order by w.request_id, w.id for update

-- name: redelivery_rows
-- With their requests locked too, so that what is decided by these rows is still so when it is written. The webhook's
-- connection, as it may have moved to another one since the call was owed.
select w.request_id, w.id, w.kind, w.webhook_id, w.state, p.seq, p.status, p.deleted_at is not null,
       k.request_id is null, h.key, c.key, c.disabled, c.paused_at is not null
from webhook_delivery w
join privacy_request p on p.id = w.request_id
left join request_key k on k.request_id = w.request_id
left join (select id collate "C" as id, key, connection_id from pre_approval_webhook
           union all
           select id collate "C", key, connection_id from policy_webhook) h on h.id = w.webhook_id
left join connection c on c.id = h.connection_id
where (w.request_id, w.id) in (select * from unnest($1::text[], $2::text[]))
order by w.request_id, w.id for update of p

-- name: redelivery_settle
-- One more round of attempts: the schedule counts from here. What came of the last attempt stays until the next.
update webhook_delivery w
set state = 'waiting', due_at = $3::timestamptz, base = w.attempts, redelivery = true, settled_at = null,
    worker = null
where (w.request_id, w.id) in (select * from unnest($1::text[], $2::text[]))
