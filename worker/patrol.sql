-- name: patrol_claim
-- One page an interval, whichever worker is first.
update ledger_walk set leased_until = now() + $1::bigint * interval '1 microsecond'
where leased_until <= now() returning open_status, open_id, any_id

-- name: patrol_open
-- The next requests that wait.
select status, id from privacy_request
where status not in ('complete', 'denied', 'canceled') and (status, id) > ($1::text, $2::text)
order by status, id limit $3::bigint

-- name: patrol_any
select i from audit_page($1, $2::bigint) i

-- name: patrol_move
update ledger_walk set open_status = $1, open_id = $2, any_id = $3

-- name: patrol_find
insert into ledger_finding (request_id, delivery_id, problem, seq, confirmed_at)
select f.request_id, f.delivery_id, f.problem, f.seq, case when ledger_is_plain(f.problem) then now() end
from ledger_findings($1, '{}') f
on conflict (request_id, delivery_id, problem) do nothing
returning request_id, delivery_id, problem, confirmed_at is not null

-- name: patrol_known
select request_id from (select distinct request_id from ledger_finding) f order by random() limit $1::bigint

-- name: patrol_mend
-- What is not so any more goes. Of what somebody may have been at, also what is so again after something happened.
delete from ledger_finding f
where f.request_id = any($1)
  and not exists (select from ledger_findings($1, '{}') s
                  where s.request_id = f.request_id and s.delivery_id = f.delivery_id and s.problem = f.problem
                    and (s.seq is not distinct from f.seq or ledger_is_plain(f.problem)))

-- name: patrol_doubts
-- What was so an interval ago and is so now.
select distinct request_id from ledger_finding
where confirmed_at is null and found_at < now() - $1::bigint * interval '1 microsecond' limit $2::bigint

-- name: patrol_confirm
-- $2: those of them with events that nobody was done with, after the doubts were read.
update ledger_finding f set confirmed_at = now()
from ledger_findings($1, $2) s
where f.request_id = s.request_id and f.delivery_id = s.delivery_id and f.problem = s.problem
  and f.seq is not distinct from s.seq and f.confirmed_at is null
returning f.request_id, f.delivery_id, f.problem, true

-- name: patrol_counts
select count(*) filter (where delivery_id <> ''), count(distinct request_id) filter (where delivery_id = '')
from ledger_finding where confirmed_at is not null
