-- name: publish_forget
delete from request_outbox where id = any($1::bigint[])

-- name: publish_hasten
update request_outbox set due_at = now() where id = any($1::bigint[])
