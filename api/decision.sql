-- name: decision_rows
select p.id, p.seq, p.status, p.deleted_at is not null, k.key_id, k.wrapped, p.failed_step,
       p.forgotten_at is not null
from privacy_request p left join request_key k on k.request_id = p.id
where p.id = any($1)

-- name: decision_lock
-- Calls before requests, as the worker does when it settles: nobody waits for each other.
select from webhook_delivery where request_id = any($1) and state in ('waiting', 'held')
order by request_id collate "C", id collate "C" for update

-- name: decision_reasons
-- Beside the decision, in its transaction: why.
update privacy_request p set sealed_reason = i.reason
from unnest($1::text[], $2::bytea[]) as i(id, reason)
where p.id = i.id and i.reason is not null

-- name: decision_lock_tasks
-- What a retry begins anew: tasks before requests, as the worker does when it settles.
select from request_task where request_id = any($1) and state in ('waiting', 'failed')
order by request_id collate "C", id collate "C" for update

-- name: decision_end_calls
-- Also beside it: nobody need be asked any more.
update webhook_delivery d set state = 'given_up', outcome = 'request_decided', due_at = null, settled_at = i.time
from unnest($1::text[], $2::timestamptz[]) as i(id, time)
where d.request_id = i.id and d.state in ('waiting', 'held')
