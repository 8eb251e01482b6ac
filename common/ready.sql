-- name: ready_probe
select 1
