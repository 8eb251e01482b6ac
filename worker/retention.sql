-- name: retention_rows_page
-- The next requests that have collected rows, each with whether these have had their time: found by skipping from one
-- to the next in the primary key.
with recursive page as (
    (select r.request_id, 1 as n from request_rows r where r.request_id > $1 order by r.request_id limit 1)
    union all
    select (select r.request_id from request_rows r where r.request_id > page.request_id order by r.request_id limit 1),
           page.n + 1
    from page where page.request_id is not null and page.n < $2::bigint
)
select page.request_id,
       coalesce(p.forgotten_at is not null or
                case p.status when 'complete' then p.finished_processing_at
                              when 'canceled' then p.canceled_at
                              when 'denied' then p.reviewed_at end < $3, false)
from page left join privacy_request p on p.id = page.request_id
where page.request_id is not null
order by page.request_id

-- name: retention_rows_delete
delete from request_rows where ctid = any(array(
    select ctid from request_rows where request_id = any($1) limit $2::bigint for update skip locked))

-- name: retention_package_claim
-- `delete_at` moves on: the lease of whoever deletes it, and the time of the next try.
update request_package p set delete_at = now() + interval '5 minutes'
from (select request_id, rule_key from request_package where delete_at <= now() order by delete_at limit $1::bigint
      for update skip locked) d
where p.request_id = d.request_id and p.rule_key = d.rule_key
returning p.request_id, p.rule_key, p.location, p.delete_at, p.storage_key, p.storage ->> 'type',
          p.storage ->> 'details',
          exists (select from privacy_request r where r.id = p.request_id and r.forgotten_at is not null)

-- name: retention_package_gone
-- Unless it was made anew meanwhile.
delete from request_package where request_id = $1 and rule_key = $2 and location = $3 and delete_at = $4
returning rule_key
