-- name: manual_webhook_connection
-- What a path names: the connection, and the id of its definition (null: none).
select c.id, c.connection_type, m.id
from connection c left join manual_webhook m on m.connection_id = c.id
where c.key = $1

-- name: manual_webhook_is
-- Whether it asks for this already: then nothing is written, and the configuration stays as it is.
select from manual_webhook where connection_id = $1 and fields = $2::jsonb

-- name: manual_webhook_put
insert into manual_webhook (id, connection_id, fields) values ('acc_' || gen_random_uuid(), $1, $2)
on conflict (connection_id) do update set fields = excluded.fields, updated_at = clock_timestamp()

-- name: manual_webhook_delete
delete from manual_webhook where connection_id = $1

-- name: manual_webhook_objects
-- The one of a connection; null: all whose connection is enabled.
select m.id, m.fields::text, c.id, c.key, c.name, c.description, c.connection_type, c.access, c.created_at,
       c.updated_at, c.disabled, c.last_test_at, c.last_test_succeeded, c.enabled_actions, c.secrets
from manual_webhook m join connection c on c.id = m.connection_id
where m.connection_id = $1 or ($1::text is null and not c.disabled and jsonb_array_length(m.fields) > 0)
order by m.created_at, m.id
