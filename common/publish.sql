-- name: publish_forget
delete from request_outbox o using unnest($1::text[], $2::bigint[]) as a(request_id, seq)
where o.request_id = a.request_id and o.seq = a.seq

-- name: publish_hasten
update request_outbox o set due_at = now() from unnest($1::text[], $2::bigint[]) as a(request_id, seq)
where o.request_id = a.request_id and o.seq = a.seq
