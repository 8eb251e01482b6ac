-- name: oauth_credentials
select secret_hash, scopes, roles from oauth_client where id = $1

-- name: oauth_insert
insert into oauth_client (id, name, description, scopes, secret_hash)
values ($1, $2, $3, $4, $5)

-- name: oauth_page
with total as (
    select count(*) as total from oauth_client
), page as (
    select id, created_at,
           json_build_object('client_id', id, 'name', name, 'description', description, 'scopes', scopes) as object
    from oauth_client order by created_at desc, id limit $1 offset $2
)
select t.total, p.object::text
from total t left join page p on true
order by p.created_at desc, p.id

-- name: oauth_find
select json_build_object('client_id', id, 'name', name, 'description', description, 'scopes', scopes)::text
from oauth_client where id = $1

-- name: oauth_update
-- Each of $2, $4 and $6 says whether the value after it is to be set.
update oauth_client
set name = case when $2 then $3 else name end,
    description = case when $4 then $5 else description end,
    scopes = case when $6 then $7 else scopes end,
    updated_at = clock_timestamp()
where id = $1
returning json_build_object('client_id', id, 'name', name, 'description', description, 'scopes', scopes)::text

-- name: oauth_set_secret
update oauth_client set secret_hash = $2, updated_at = clock_timestamp() where id = $1 returning id

-- name: oauth_delete
delete from oauth_client where id = $1
