-- name: dataset_link_connection
select id, connection_type from connection where key = $1

-- name: dataset_link_rename
-- What another dataset of this connection was linked by is free.
delete from dataset_config where connection_id = $1 and fides_key = $3 and dataset_id <> $2

-- name: dataset_link_write
-- $4: property_ids, null keeps those that are there.
insert into dataset_config (id, connection_id, dataset_id, fides_key, property_ids)
values ('dat_' || gen_random_uuid(), $1, $2, $3, $4::text[])
on conflict (dataset_id) do update
set fides_key = excluded.fides_key, property_ids = coalesce(excluded.property_ids, dataset_config.property_ids),
    updated_at = clock_timestamp()

-- name: dataset_link_prune
-- All but these.
delete from dataset_config where connection_id = $1 and fides_key <> all ($2::text[])

-- name: dataset_link_delete
delete from dataset_config where connection_id = $1 and fides_key = $2

-- name: dataset_link_row
select l.fides_key, d.document::text
from dataset_config l join dataset d on d.id = l.dataset_id
where l.connection_id = $1 and l.fides_key = $2

-- name: dataset_link_page
with total as (
    select count(*) as total from dataset_config where connection_id = $3
), page as (
    select l.fides_key, d.document
    from dataset_config l join dataset d on d.id = l.dataset_id
    where l.connection_id = $3
    order by l.fides_key limit $1 offset $2
)
select t.total, p.fides_key, p.document::text
from total t left join page p on true
order by p.fides_key
