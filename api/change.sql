-- name: change_list
-- Newest first, before event $1. A key is that of what changed, or of what that belongs to.
select e.seq, e.time, e.source, e.data::text
from (select seq, time, source, convert_from(payload, 'UTF8')::jsonb as data
      from request_event where request_id = 'configuration') e
where ($1::bigint is null or e.seq < $1) and ($2::timestamptz is null or e.time >= $2)
  and ($3::text is null or e.data ->> 'resource' = $3)
  and ($4::text is null or $4 in (e.data ->> 'key', e.data ->> 'connection_key', e.data ->> 'policy_key',
                                  e.data ->> 'rule_key'))
order by e.seq desc limit $5::bigint
