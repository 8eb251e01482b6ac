-- name: policy_page
with total as (
    select count(*) as total from policy
), page as (
    select id, created_at from policy order by created_at desc, id limit $1 offset $2
)
select t.total, s.object::text
from total t left join page p on true left join policy_shown s on s.id = p.id
order by p.created_at desc, p.id

-- name: policy_object
select policy_object(p)::text from policy p where p.id = $1

-- name: policy_by_key
select id, key from policy where key = $1

-- name: policy_clash
-- Who has this name, and who has this DRP action, besides the policy itself (null: it is new).
select (select key from policy where name = $2 and id is distinct from $1),
       (select key from policy where drp_action = $3 and id is distinct from $1)

-- name: policy_insert
insert into policy (id, key, name, drp_action, execution_timeframe, created_at, updated_at)
values ('pol_' || gen_random_uuid(), $1, $2, $3, $4::bigint::integer, clock_timestamp(), clock_timestamp())
returning id

-- name: policy_update
update policy
set name = $2, drp_action = $3, execution_timeframe = $4::bigint::integer, updated_at = clock_timestamp()
where id = $1
returning id

-- name: policy_in_use
select exists (select from privacy_request where policy_id = $1)

-- name: policy_delete
delete from policy where id = $1
