-- name: timeline_events
select request_id, type, time, payload
from request_event
where request_id = any($1)
order by request_id collate "C", seq

-- name: timeline_subject
select p.id, p.policy_id
from privacy_request p
where p.id = $1
