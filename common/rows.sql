-- name: rows_insert
-- A statement of its own, not waited for until it is on the disk: nothing of it counts before the loop's commit that
-- puts the attempt on record, and that one is waited for and comes later in the WAL, so whoever sees it sees these.
insert into request_rows (request_id, task_id, attempt, chunk, row_count, sealed)
select $1, $2, $3, $4, $5, $6 from set_config('synchronous_commit', 'off', true)

-- name: rows_chunk
select sealed from request_rows where request_id = $1 and task_id = $2 and attempt = $3 and chunk = $4

-- name: rows_delete
delete from request_rows
where request_id = $1 and ($2::text is null or task_id = $2) and ($3::text is null or attempt <> $3)
