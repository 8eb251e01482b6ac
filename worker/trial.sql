-- name: trial_claim
-- What is due, under a lease, while the configuration in hand ($1) is the one that stands: who tries an endpoint has
-- often just changed it. One that was claimed before and not settled was maybe made: it is not made twice. One row
-- at least: the version that stands, and whether something is due.
with stands as (
    select version from catalog
), due as materialized (
    select t.id from endpoint_trial t, stands s
    where t.due_at <= now() and s.version = $1::bigint
    order by t.due_at limit $2::bigint for update of t skip locked
), claimed as (
    update endpoint_trial t
    set due_at = case when t.started_at is null then now() + $3::bigint * interval '1 microsecond' end,
        started_at = coalesce(t.started_at, now()),
        outcome = case when t.started_at is not null then 'worker_lost' end
    from due where t.id = due.id
    returning t.id, t.connection_id, t.outcome is null as is_ours
)
select s.version, exists (select from endpoint_trial where due_at <= now()), k.id, k.connection_id
from stands s left join claimed k on k.is_ours

-- name: trial_settle
update endpoint_trial
set due_at = null, started_at = $2, duration_us = $3::bigint, address = $4, status_code = $5::bigint, outcome = $6,
    answer = $7
where id = $1 and due_at is not null

-- name: trial_forget
delete from endpoint_trial where created_at < now() - interval '7 days'
