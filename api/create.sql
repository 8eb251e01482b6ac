-- name: create_requests
-- Writes requests with their first events, unless the configuration that they were made by has moved: then
-- nothing, and the answer begins with false. A request's row begins where its last first event leaves it, so that nothing
-- need be updated; from here on request_append() alone moves it.
with guard as (
    select version from catalog where version = $1 for share
), input as (
    select i.*,
           case when i.second_type is null then 1 else 2 end as seq
    from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[],
                $14::timestamptz[], $15::bytea[], $16::bytea[], $17::bytea[], $18::text[], $19::bytea[],
                $20::text[], $21::bytea[], $22::bytea[], $23::text[], $24::bytea[], $25::bytea[])
         as i(id, status, policy_id, source, location, external_id, submitted_by,
              created_at, requested_at, due_date, started_processing_at,
              finished_processing_at, identity, custom_fields, encryption_key, key_id, wrapped,
              traceparent, payload, chain, second_type, second_payload, second_chain)
    where exists (select from guard)
), requests as (
    insert into privacy_request (id, seq, status_seq, chain, status, policy_id, source, location, external_id,
                                 submitted_by, created_at, updated_at, requested_at, due_date,
                                 started_processing_at, finished_processing_at, reviewed_at,
                                 custom_approved_at, sealed_identity, sealed_custom_fields,
                                 sealed_encryption_key)
    select id, seq, seq, coalesce(second_chain, chain), status, policy_id, source, location, external_id,
           submitted_by, created_at, created_at, requested_at, due_date,
           started_processing_at, finished_processing_at,
           case when status = 'approved' then created_at end,
           case when status = 'approved' and custom_fields is not null then created_at end,
           identity, custom_fields, encryption_key
    from input
    returning id
), keys as (
    insert into request_key (request_id, key_id, wrapped)
    select id, key_id, wrapped from input
), hashes as (
    insert into identity_hash (request_id, field, hash)
    select h.request_id, h.field, h.hash
    from unnest($26::text[], $27::text[], $28::bytea[]) as h(request_id, field, hash)
    where exists (select from guard)
), events as (
    insert into request_event (request_id, seq, type, time, source, cause, traceparent, payload, chain)
    select id, 1, 'docket.request.created.v1', created_at, $2, null, traceparent, payload, chain from input
    union all
    select id, 2, second_type, created_at, $2, id || '.1', traceparent, second_payload, second_chain
    from input where second_type is not null
), boxed as (
    insert into request_outbox (due_at, request_ids, seqs)
    select now() + interval '5 seconds', array_agg(i.id), array_agg(s.seq)
    from input i, generate_series(1, i.seq) as s(seq)
    having count(*) > 0
    returning id
), deliveries as (
    insert into webhook_delivery (request_id, id, kind, webhook_id, connection_id, created_at)
    select d.request_id, d.id, 'pre_approval', w.id, w.connection_id, d.created_at
    from unnest($29::text[], $30::text[], $31::text[], $32::timestamptz[])
         as d(request_id, id, webhook_id, created_at)
    join pre_approval_webhook w on w.id = d.webhook_id
    where exists (select from guard)
)
select exists (select from guard), (select id from boxed)
