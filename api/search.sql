-- name: search_ids
-- What matches, counted, and one page of it. Planned with its values: conditions on null fall away, and the
-- order becomes one column's. `completed` and `errored` are times of finishing with that status.
with matching as not materialized (
    select p.*
    from privacy_request p
    where ($1::text[] is null or p.id = any($1))
      and ($2::text is null or p.id like $2)
      and (($3::text[] is null and $4::text is null) or p.id = any($3) or p.id like $4)
      and ($5::text[] is null or p.status = any($5))
      and (not $6 or p.status not in ('complete', 'denied', 'canceled'))
      and ($7::text[] is null or p.policy_id = any($7))
      and ($8::text is null or lower(p.external_id) like lower($8))
      and ($9::text is null or p.location = $9 or p.location like $9 || '-%')
      and ($10::timestamptz is null or p.created_at < $10)
      and ($11::timestamptz is null or p.created_at > $11)
      and ($12::timestamptz is null or p.started_processing_at < $12)
      and ($13::timestamptz is null or p.started_processing_at > $13)
      and ($14::timestamptz is null or (p.status = 'complete' and p.finished_processing_at < $14))
      and ($15::timestamptz is null or (p.status = 'complete' and p.finished_processing_at > $15))
      and ($16::timestamptz is null or (p.status = 'error' and p.finished_processing_at < $16))
      and ($17::timestamptz is null or (p.status = 'error' and p.finished_processing_at > $17))
      and ($18::boolean is null
           or ($18 and p.due_date < $20 and p.status = any($19))
           or (not $18 and (p.due_date is null or p.due_date >= $20)))
      and ($21 or p.deleted_at is null)
)
select (select count(*) from matching),
       array(select p.id from matching p order by
             case when $23 then case $22 when 'created_at' then p.created_at end end desc,
             case when not $23 then case $22 when 'created_at' then p.created_at end end,
             case when $23 then case $22
                 when 'updated_at' then p.updated_at
                 when 'requested_at' then p.requested_at
                 when 'due_date' then p.due_date
                 when 'identity_verified_at' then p.identity_verified_at
                 when 'reviewed_at' then p.reviewed_at
                 when 'custom_privacy_request_fields_approved_at' then p.custom_approved_at
                 when 'started_processing_at' then p.started_processing_at
                 when 'finished_processing_at' then p.finished_processing_at
                 when 'paused_at' then p.paused_at
                 when 'canceled_at' then p.canceled_at
                 when 'finalized_at' then p.finalized_at
                 when 'deleted_at' then p.deleted_at end end desc nulls last,
             case when not $23 then case $22
                 when 'updated_at' then p.updated_at
                 when 'requested_at' then p.requested_at
                 when 'due_date' then p.due_date
                 when 'identity_verified_at' then p.identity_verified_at
                 when 'reviewed_at' then p.reviewed_at
                 when 'custom_privacy_request_fields_approved_at' then p.custom_approved_at
                 when 'started_processing_at' then p.started_processing_at
                 when 'finished_processing_at' then p.finished_processing_at
                 when 'paused_at' then p.paused_at
                 when 'canceled_at' then p.canceled_at
                 when 'finalized_at' then p.finalized_at
                 when 'deleted_at' then p.deleted_at end end nulls last,
             case when $23 then case $22
                 when 'status' then p.status
                 when 'policy_id' then p.policy_id
                 when 'source' then p.source
                 when 'location' then p.location
                 when 'property_id' then p.property_id
                 when 'external_id' then p.external_id
                 when 'submitted_by' then p.submitted_by
                 when 'reviewed_by' then p.reviewed_by
                 when 'custom_privacy_request_fields_approved_by' then p.custom_approved_by
                 when 'finalized_by' then p.finalized_by
                 when 'deleted_by' then p.deleted_by end end desc nulls last,
             case when not $23 then case $22
                 when 'status' then p.status
                 when 'policy_id' then p.policy_id
                 when 'source' then p.source
                 when 'location' then p.location
                 when 'property_id' then p.property_id
                 when 'external_id' then p.external_id
                 when 'submitted_by' then p.submitted_by
                 when 'reviewed_by' then p.reviewed_by
                 when 'custom_privacy_request_fields_approved_by' then p.custom_approved_by
                 when 'finalized_by' then p.finalized_by
                 when 'deleted_by' then p.deleted_by end end nulls last,
             case when $23 then p.id end desc,
             case when not $23 then p.id end
             limit $24 offset $25)

-- name: search_by_hash
select coalesce(array_agg(distinct request_id), '{}') from identity_hash where hash = any($1)
