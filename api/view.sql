-- name: view_rows
select p.id, p.status, p.policy_id, p.external_id, p.source, p.location, p.property_id, p.reviewed_by,
       p.submitted_by, p.custom_approved_by, p.finalized_by, p.deleted_by, p.created_at,
       p.started_processing_at, p.finished_processing_at, p.reviewed_at, p.identity_verified_at, p.paused_at,
       p.due_date, p.custom_approved_at, p.finalized_at, p.deleted_at, p.updated_at, p.failed_step,
       k.key_id, k.wrapped, p.sealed_identity, p.sealed_custom_fields, p.sealed_reason
from unnest($1::text[]) with ordinality as i(id, place)
join privacy_request p on p.id = i.id
left join request_key k on k.request_id = p.id
order by i.place
