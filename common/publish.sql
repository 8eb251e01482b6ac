-- name: publish_forget
-- Row by row through the key, whatever the planner thinks of so lively a table. A row that the relay moved
-- meanwhile is missed, and goes after it was sent once more.
delete from request_outbox where ctid = any(array(
    select o.ctid from unnest($1::text[], $2::bigint[]) as a(request_id, seq)
    cross join lateral (select ctid from request_outbox o
                        where o.request_id = a.request_id and o.seq = a.seq limit 1) o))

-- name: publish_hasten
update request_outbox o set due_at = now() from unnest($1::text[], $2::bigint[]) as a(request_id, seq)
where o.request_id = a.request_id and o.seq = a.seq
