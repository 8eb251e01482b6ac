-- name: forget_candidates
-- Keys first, then calls, then requests: whoever forgets or wraps anew locks in this order, and whoever decides about
-- requests locks calls before them.
select k.request_id
from privacy_request p join request_key k on k.request_id = p.id
where p.status = 'complete' and p.forgotten_at is null and p.finished_processing_at < $1
order by p.finished_processing_at limit $2::bigint
for update of k skip locked

-- name: forget_lock_keys
select from request_key where request_id = any($1) order by request_id for update

-- name: forget_lock_calls
select from webhook_delivery where request_id = any($1) order by request_id collate "C", id collate "C" for update

-- name: forget_rows
select id, seq, status, forgotten_at is not null from privacy_request where id = any($1) order by id for update

-- name: forget_erase
with key as (
    delete from request_key where request_id = any($1)
), hash as (
    delete from identity_hash where request_id = any($1)
), collected as (
    delete from request_rows where request_id = any($1)
), input as (
    delete from manual_input where request_id = any($1)
), call as (
    update webhook_delivery set
        sealed_derived = null, sealed_resumed = null, due_at = null,
        outcome = case when state in ('waiting', 'held') then 'request_forgotten' else outcome end,
        settled_at = case when state in ('waiting', 'held') then $2 else settled_at end,
        state = case when state in ('waiting', 'held') then 'given_up' else state end
    where request_id = any($1)
      and (state in ('waiting', 'held') or due_at is not null or sealed_derived is not null
           or sealed_resumed is not null)
), attempt as (
    update webhook_attempt set answer = null where request_id = any($1) and answer is not null
), package as (
    update request_package set delete_at = $2 where request_id = any($1)
)
update privacy_request
set sealed_identity = null, sealed_custom_fields = null, sealed_reason = null, sealed_encryption_key = null
where id = any($1)
