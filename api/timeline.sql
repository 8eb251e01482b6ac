-- name: timeline_events
-- The fifth column: of a call that was given up, whether the request failed by it; the last: the key that a webhook had
-- before it was deleted.
select e.request_id, e.type, e.time, e.payload,
       case e.type when 'docket.request.webhook_given_up.v1'
           then exists (select from request_event f
                        where f.request_id = e.request_id and f.cause = e.id and f.type = 'docket.request.failed.v1')
           else false end,
       case when e.type in ('docket.request.webhook_skipped.v1', 'docket.request.resumed.v1')
                 and convert_from(e.payload, 'UTF8')::jsonb ->> 'webhook_key' is null
            then (select convert_from(f.payload, 'UTF8')::jsonb ->> 'webhook_key' from request_event f
                  where f.request_id = e.request_id and f.seq < e.seq
                    and convert_from(f.payload, 'UTF8')::jsonb ->> 'webhook_id' =
                        convert_from(e.payload, 'UTF8')::jsonb ->> 'webhook_id'
                    and convert_from(f.payload, 'UTF8')::jsonb ->> 'webhook_key' is not null
                  order by f.seq limit 1) end
from request_event e
where e.request_id = any($1)
order by e.request_id collate "C", e.seq

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
