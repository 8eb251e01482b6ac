-- name: timeline_events
-- The fifth column: of a call that was given up, whether the request failed by it; of such a failure, whether a task
-- has told it. The last: the key that a webhook had before it was deleted. Without a type: a collection was begun, which is no event; it stays told until it is begun anew.
select e.request_id, e.type, e.time, e.payload,
       case e.type
           when 'docket.request.webhook_given_up.v1'
           then exists (select from request_event f
                        where f.request_id = e.request_id and f.cause = e.id and f.type = 'docket.request.failed.v1')
           when 'docket.request.failed.v1'
           then exists (select from request_event f
                        where f.request_id = e.request_id and f.id = e.cause
                          and f.type = 'docket.request.task_failed.v1')
           else false end,
       e.seq,
       case when e.type in ('docket.request.webhook_skipped.v1', 'docket.request.webhook_withdrawn.v1',
                             'docket.request.resumed.v1')
                 and convert_from(e.payload, 'UTF8')::jsonb ->> 'webhook_key' is null
            then (select convert_from(f.payload, 'UTF8')::jsonb ->> 'webhook_key' from request_event f
                  where f.request_id = e.request_id and f.seq < e.seq
                    and convert_from(f.payload, 'UTF8')::jsonb ->> 'webhook_id' =
                        convert_from(e.payload, 'UTF8')::jsonb ->> 'webhook_id'
                    and convert_from(f.payload, 'UTF8')::jsonb ->> 'webhook_key' is not null
                  order by f.seq limit 1) end
from request_event e
where e.request_id = any($1)
union all
select t.request_id, null, t.started_at,
       convert_to(jsonb_build_object('action', t.action, 'connection_key', t.connection_key, 'dataset', t.dataset,
                                     'collection', t.collection)::text, 'UTF8'), false, null, null
from request_task t
where t.request_id = any($1) and t.started_at is not null and t.action <> 'package'
order by 1, 3, 6

-- name: timeline_waiting
-- Pre-approval webhooks that took their call and have not replied.
select d.request_id, d.webhook_id, d.settled_at
from webhook_delivery d
where d.request_id = any($1) and d.kind = 'pre_approval' and d.state = 'delivered'
  and not exists (select from pre_approval_reply r where r.request_id = d.request_id and r.webhook_id = d.webhook_id)
order by d.request_id collate "C", d.settled_at, d.id

-- name: timeline_subject
select p.id, p.policy_id
from privacy_request p
where p.id = $1

-- name: timeline_datasets
-- The worst of what becomes of a dataset's collections. One that waits for its next try has a time and no worker.
select t.request_id, t.dataset,
       (array['complete', 'skipped', 'pending', 'in_processing', 'retrying', 'error'])
       [max(case when t.state = 'complete' then 1
                 when t.state = 'skipped' then 2
                 when t.state = 'failed' then 6
                 when t.started_at is null then 3
                 when t.worker is null and t.due_at is not null then 5
                 else 4 end)]
from request_task t
where t.request_id = any($1) and t.dataset is not null
group by t.request_id, t.dataset
order by t.request_id collate "C", t.dataset

-- name: timeline_tasks
-- A task's address is its id without its action.
with task as (
    select t.*, substr(t.id, length(t.action) + 2) as address
    from request_task t where t.request_id = $1 and t.action <> 'package'
), link as (
    select t.id as lower, t.address as lower_address, n.id as upper, n.address as upper_address
    from task t join task n on n.id = any(t.needs)
)
select t.id, t.address, t.created_at, coalesce(t.settled_at, t.started_at, t.created_at),
       array(select l.upper_address from link l where l.lower = t.id order by 1),
       array(select l.lower_address from link l where l.upper = t.id order by 1), t.action,
       case when t.state = 'failed' then 'error'
            when t.state <> 'waiting' then t.state
            when t.started_at is null then 'pending'
            when t.worker is null and t.due_at is not null then 'retrying'
            else 'in_processing' end
from task t
order by t.place, t.id
