-- name: rewrap_page
select request_id, key_id, wrapped from request_key
where request_id > $1 and key_id <> $2
order by request_id limit $3::bigint for update

-- name: rewrap_write
update request_key k set key_id = $1, wrapped = i.wrapped
from unnest($2::text[], $3::bytea[]) as i(request_id, wrapped)
where k.request_id = i.request_id

-- name: rewrap_counts
select key_id, count(*) from request_key group by key_id order by key_id

-- name: rewrap_secrets
select id, secrets from connection where secrets is not null order by id for update

-- name: rewrap_secrets_write
update connection c set secrets = i.sealed from unnest($1::text[], $2::bytea[]) as i(id, sealed) where c.id = i.id

-- name: rewrap_oauth
select id, oauth from connection where oauth is not null order by id for update

-- name: rewrap_oauth_write
update connection c set oauth = i.sealed from unnest($1::text[], $2::bytea[]) as i(id, sealed) where c.id = i.id

-- name: rewrap_storages
select id, secrets from storage where secrets is not null order by id for update

-- name: rewrap_storages_write
update storage s set secrets = i.sealed from unnest($1::text[], $2::bytea[]) as i(id, sealed) where s.id = i.id

-- name: rewrap_trials
select id, answer from endpoint_trial where answer is not null order by id for update

-- name: rewrap_trials_write
update endpoint_trial t set answer = i.sealed from unnest($1::text[], $2::bytea[]) as i(id, sealed) where t.id = i.id
