-- name: target_page
with total as (
    select count(*) as total from rule_target where rule_id = $3
), page as (
    select id, created_at, rule_target_object(t) as object
    from rule_target t where rule_id = $3 order by created_at desc, id limit $1 offset $2
)
select t.total, p.object::text
from total t left join page p on true
order by p.created_at desc, p.id

-- name: target_by_key
-- Whose it is must be looked at by who asks: target keys are unique over all rules.
select id, rule_id, rule_target_object(t)::text from rule_target t where key = $1

-- name: target_category
-- Another target of the rule with the same category.
select exists (select from rule_target where rule_id = $1 and data_category = $2 and id is distinct from $3)

-- name: target_insert
insert into rule_target (rule_id, id, key, name, data_category)
values ($1, 'rul_' || gen_random_uuid(), $2, $3, $4)

-- name: target_update
update rule_target set name = $3, data_category = $4, updated_at = clock_timestamp()
where rule_id = $1 and key = $2

-- name: target_delete
delete from rule_target where id = $1
