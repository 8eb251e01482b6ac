-- name: storage_page
with total as (
    select count(*) as total from storage
), page as (
    select id, created_at, storage_object(s) as object from storage s
    order by created_at desc, id limit $1 offset $2
)
select t.total, p.object::text
from total t left join page p on true
order by p.created_at desc, p.id

-- name: storage_default_page
with total as (
    select count(*) as total from storage where is_default
), page as (
    select id, created_at, storage_object(s) as object from storage s where is_default
    order by created_at desc, id limit $1 offset $2
)
select t.total, p.object::text
from total t left join page p on true
order by p.created_at desc, p.id

-- name: storage_find
select storage_object(s)::text, type, is_default, id, secrets from storage s where key = $1

-- name: storage_default_find
select storage_object(s)::text, type, is_default, id, secrets from storage s where type = $1 and is_default

-- name: storage_upsert
insert into storage (id, key, name, type, details, format, created_at, updated_at)
values ('sto_' || gen_random_uuid(), $1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp())
on conflict (key) do update
set name = excluded.name, type = excluded.type, details = excluded.details, format = excluded.format,
    secrets = case when storage.type = excluded.type then storage.secrets end, updated_at = excluded.updated_at
returning storage_object(storage)::text

-- name: storage_default_upsert
insert into storage (id, key, name, type, details, format, is_default, created_at, updated_at)
values ('sto_' || gen_random_uuid(), $1, $2, $3, $4, $5, true, clock_timestamp(), clock_timestamp())
on conflict (type) where is_default do update
set details = excluded.details, format = excluded.format, updated_at = excluded.updated_at
returning storage_object(storage)::text

-- name: storage_set_secrets
update storage set secrets = $2, updated_at = clock_timestamp() where id = $1

-- name: storage_active_type
select coalesce(api_set #>> '{storage,active_default_storage_type}', 'local') from setting

-- name: storage_in_use
select exists (select from rule r join storage s on s.id = r.storage_id where s.key = $1)

-- name: storage_delete
delete from storage where key = $1
