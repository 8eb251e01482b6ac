-- name: policy_webhook_page
with total as (
    select count(*) as total from policy_webhook where policy_id = $3 and kind = $4
), page as (
    select * from policy_webhook where policy_id = $3 and kind = $4 order by place limit $1 offset $2
)
select t.total, p.key, p.name, p.direction, p.place,
       c.id, c.key, c.name, c.description, c.connection_type, c.access, c.created_at, c.updated_at, c.disabled,
       c.last_test_at, c.last_test_succeeded, c.enabled_actions, c.secrets
from total t left join page p on true left join connection c on c.id = p.connection_id
order by p.place

-- name: policy_webhook_objects
-- Those of the ids, in their order.
select i.row, w.key, w.name, w.direction, w.place,
       c.id, c.key, c.name, c.description, c.connection_type, c.access, c.created_at, c.updated_at, c.disabled,
       c.last_test_at, c.last_test_succeeded, c.enabled_actions, c.secrets
from unnest($1::text[]) with ordinality as i(id, row)
join policy_webhook w on w.id = i.id
join connection c on c.id = w.connection_id
order by i.row

-- name: policy_webhook_near
-- The policy's list, and those of others that have one of these keys or names already.
select id, key, name, connection_id, policy_id, direction, place
from policy_webhook
where kind = $2 and (policy_id = $1 or key = any ($3::text[]) or name = any ($4::text[]))
order by place, id

-- name: policy_webhook_insert
insert into policy_webhook (id, policy_id, kind, place, key, name, direction, connection_id)
values ('pol_' || gen_random_uuid(), $1, $2, $3::bigint::integer, $4, $5, $6, $7)
returning id

-- name: policy_webhook_update
update policy_webhook
set place = $2::bigint::integer, name = $3, direction = $4, connection_id = $5, updated_at = clock_timestamp()
where id = $1

-- name: policy_webhook_delete
delete from policy_webhook where id = $1

-- name: policy_webhook_places
-- Each takes its place among the ids.
update policy_webhook w
set place = i.row - 1, updated_at = clock_timestamp()
from unnest($1::text[]) with ordinality as i(id, row)
where w.id = i.id and w.place <> i.row - 1

-- name: policy_webhook_moved
-- So that a request that is under way can tell that its policy's lists changed.
update policy set webhooks_revision = webhooks_revision + 1 where id = $1
