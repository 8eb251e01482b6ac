-- name: results_request
select p.status, p.deleted_at is not null, p.forgotten_at is not null, p.policy_id, k.key_id, k.wrapped
from privacy_request p left join request_key k on k.request_id = p.id
where p.id = $1

-- name: results_packages
select rule_key from request_package where request_id = $1 and (delete_at is null or delete_at > $2) order by rule_key

-- name: results_package
select p.location, p.encrypted, (select count(*) from request_package o where o.request_id = p.request_id),
       p.storage_key, p.storage ->> 'type', p.storage ->> 'details'
from request_package p where p.request_id = $1 and p.rule_key = $2

-- name: results_tasks
-- Collections that were read, in their order: whose rows count.
select t.id, t.dataset, t.collection, t.attempt,
       exists (select from request_rows r where r.request_id = t.request_id and r.task_id = t.id
                                            and r.attempt = t.attempt and r.chunk = 0)
from request_task t
where t.request_id = $1 and t.action = 'access' and t.state = 'complete' and t.attempt is not null
order by t.place

-- name: results_collected
-- Whether collections were planned and have all come to their end.
select count(*) > 0 and count(*) = count(*) filter (where state in ('complete', 'skipped'))
from request_task where request_id = $1 and action = 'access'

-- name: results_inputs
select c.key, i.webhook_id, i.sealed
from manual_input i
join manual_webhook w on w.id = i.webhook_id
join connection c on c.id = w.connection_id
where i.request_id = $1 and i.action = 'access'
order by c.key
