-- name: notary_claim
-- Whether it is this worker's turn, or yet its own from when it ended; and for all of them how things stand.
with claimed as (
    update checkpoint_turn set due_at = now() + $2::bigint * interval '1 microsecond', worker = $1::text
    where due_at <= now() or worker = $1::text returning 1
)
select exists (select from claimed), (select c.number from checkpoint c order by c.number desc limit 1),
       (select extract(epoch from now() - t.whole_at)::bigint from checkpoint_turn t)

-- name: notary_renew
update checkpoint_turn set due_at = now() + $2::bigint * interval '1 microsecond' where worker = $1::text

-- name: notary_release
-- $3: everything is covered.
update checkpoint_turn set due_at = now() + $2::bigint * interval '1 microsecond', worker = null,
                           whole_at = case when $3::boolean then now() else whole_at end
where worker = $1::text

-- name: notary_last
select number, sha256(value) from checkpoint order by number desc limit 1

-- name: notary_places
select topic, partition, next_offset from checkpoint_place

-- name: notary_insert
-- With the places that it leads to. A number that is taken is somebody else's: ERR_CONFLICT.
with placed as (
    insert into checkpoint_place (topic, partition, next_offset)
    select * from unnest($6::text[], $7::bigint[], $8::bigint[])
    on conflict (topic, partition) do update set next_offset = excluded.next_offset
)
insert into checkpoint (number, value, signature, key_id, made_at) values ($1, $2, $3, $4, $5)

-- name: notary_unpublished
select number, value, signature, key_id, made_at from checkpoint where published_at is null order by number limit 1

-- name: notary_published
update checkpoint set published_at = now() where number = $1
