-- name: dataset_row
select d.id, c.key
from dataset d left join dataset_config l on l.dataset_id = d.id left join connection c on c.id = l.connection_id
where d.fides_key = $1

-- name: dataset_document
select document::text from dataset where fides_key = $1

-- name: dataset_write
insert into dataset (id, fides_key, document) values ('dat_' || gen_random_uuid(), $1, $2)
on conflict (fides_key) do update set document = excluded.document, updated_at = clock_timestamp()
returning id

-- name: dataset_delete
delete from dataset where id = $1

-- name: dataset_page
-- $3: part of the key or name; $4: only those that no connection has.
with matched as (
    select d.fides_key, d.document
    from dataset d
    where ($3::text is null or strpos(lower(d.fides_key), lower($3)) > 0 or
           strpos(lower(d.document ->> 'name'), lower($3)) > 0)
      and (not $4::boolean or not exists (select from dataset_config l where l.dataset_id = d.id))
), total as (
    select count(*) as total from matched
), page as (
    select * from matched order by fides_key limit $1 offset $2
)
select t.total, p.document::text
from total t left join page p on true
order by p.fides_key
