-- name: webhook_page
with total as (
    select count(*) as total from pre_approval_webhook
), page as (
    select * from pre_approval_webhook order by created_at desc, id limit $1 offset $2
)
select t.total, p.key, p.name,
       c.id, c.key, c.name, c.description, c.connection_type, c.access, c.created_at, c.updated_at, c.disabled,
       c.last_test_at, c.last_test_succeeded, c.enabled_actions, c.secrets
from total t left join page p on true left join connection c on c.id = p.connection_id
order by p.created_at desc, p.id

-- name: webhook_objects
-- Those of the ids, in their order.
select i.place, w.key, w.name,
       c.id, c.key, c.name, c.description, c.connection_type, c.access, c.created_at, c.updated_at, c.disabled,
       c.last_test_at, c.last_test_succeeded, c.enabled_actions, c.secrets
from unnest($1::text[]) with ordinality as i(id, place)
join pre_approval_webhook w on w.id = i.id
join connection c on c.id = w.connection_id
order by i.place

-- name: webhook_all
-- As hook.h has them: they are of no policy, and have neither direction nor order.
select id, key, name, connection_id, ''::text, ''::text, 0 from pre_approval_webhook order by created_at, id

-- name: webhook_insert
insert into pre_approval_webhook (id, key, name, connection_id)
values ('pre_' || gen_random_uuid(), $1, $2, $3)
returning id

-- name: webhook_update
update pre_approval_webhook set name = $2, connection_id = $3, updated_at = clock_timestamp() where id = $1

-- name: webhook_delete
delete from pre_approval_webhook where id = $1
