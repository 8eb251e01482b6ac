-- name: rule_page
with total as (
    select count(*) as total from rule where policy_id = $3
), page as (
    select id, created_at, rule_object(r, true) as object
    from rule r where policy_id = $3 order by created_at desc, id limit $1 offset $2
)
select t.total, p.object::text
from total t left join page p on true
order by p.created_at desc, p.id

-- name: rule_object
select rule_object(r, true)::text from rule r where r.id = $1

-- name: rule_by_key
-- Whose it is must be looked at by who asks: rule keys are unique over all policies.
select id, key, action_type, policy_id from rule where key = $1

-- name: rule_storage
select id from storage where key = $1

-- name: rule_consent
-- Another consent rule of the policy.
select key from rule where policy_id = $1 and action_type = 'consent' and key <> $2 order by created_at, id limit 1

-- name: rule_insert
insert into rule (policy_id, id, key, name, action_type, storage_id, masking_strategy)
values ($1, 'rul_' || gen_random_uuid(), $2, $3, $4, $5, $6)
returning id

-- name: rule_update
update rule
set name = $3, action_type = $4, storage_id = $5, masking_strategy = $6, updated_at = clock_timestamp()
where policy_id = $1 and key = $2
returning id

-- name: rule_conflict
-- Two targets of the policy's erasure rules of which one lies within the other.
with target as (
    select t.data_category as name
    from rule r join rule_target t on t.rule_id = r.id
    where r.policy_id = $1 and (r.action_type = 'erasure' or r.id = $2) and t.id is distinct from $4
    union
    select $3 where $3::text is not null
)
select inner_one.name, outer_one.name
from target inner_one join target outer_one on starts_with(inner_one.name, outer_one.name || '.')
order by 1, 2
limit 1

-- name: rule_delete
delete from rule where id = $1

-- name: rule_add_targets
insert into rule_target (id, rule_id, key, name, data_category)
select 'rul_' || gen_random_uuid(), $1, t.key, t.name, t.category
from unnest($2::text[], $3::text[], $4::text[]) as t(key, name, category)
