-- name: manual_input_hold
-- The request as it stands until the transaction ends.
select p.seq, p.status, p.deleted_at is not null, p.policy_id, k.key_id, k.wrapped
from privacy_request p left join request_key k on k.request_id = p.id
where p.id = $1
for update of p

-- name: manual_input_read
-- The request, its key, and what was filled in of a webhook for an action.
select p.status, k.key_id, k.wrapped, i.labels, i.sealed
from privacy_request p
left join request_key k on k.request_id = p.id
left join manual_input i on i.request_id = p.id and i.webhook_id = $2 and i.action = $3
where p.id = $1

-- name: manual_input_all
select webhook_id, action, labels
from manual_input
where request_id = $1

-- name: manual_input_put
insert into manual_input (request_id, webhook_id, action, labels, sealed, saved_by, saved_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (request_id, webhook_id, action) do update
set labels = excluded.labels, sealed = excluded.sealed, saved_by = excluded.saved_by, saved_at = excluded.saved_at
