-- name: request_catalog_version
select version from catalog

-- name: request_rows
select p.id, p.seq, p.status_seq, p.status, p.deleted_at is not null, p.policy_id, p.external_id, p.source,
       p.location, p.property_id, p.submitted_by, p.reviewed_by, p.custom_approved_by, p.finalized_by,
       p.requested_at, p.started_processing_at, p.finished_processing_at, p.reviewed_at,
       p.custom_approved_at, p.identity_verified_at, p.canceled_at, p.paused_at, p.finalized_at, p.due_date,
       k.key_id, k.wrapped, p.sealed_identity, p.sealed_custom_fields, p.sealed_reason,
       p.run, p.webhooks_revision, p.paused_webhook_id, p.input_awaited,
       p.sealed_encryption_key
from privacy_request p left join request_key k on k.request_id = p.id
where p.id = any($1::text[])
order by p.id collate "C"

-- name: request_deliveries
select request_id, id, webhook_id, kind, state, attempts, due_at, created_at, settled_at, base, run, passed, halted,
       resumed_at is not null, redelivery, problem, sealed_derived, sealed_resumed
from webhook_delivery where request_id = any($1::text[])
order by request_id collate "C"

-- name: request_replies
select request_id, webhook_id, eligible
from pre_approval_reply where request_id = any($1::text[])
order by request_id collate "C"

-- name: request_tasks
select request_id, id, action, place, connection_key, dataset, collection, needs, state, run, tries, due_at, worker,
       attempt, message, row_count, erase_xid, erase_count
from request_task where request_id = any($1::text[])
order by request_id collate "C", place

-- name: request_inputs
select request_id, webhook_id, action, labels, sealed
from manual_input where request_id = any($1::text[])
order by request_id collate "C"
