-- name: ledger_page
select i from audit_page($1, $2::bigint) i

-- name: ledger_counts
-- The calls of a page by endpoint, state and reason: owed by the log, found in the table, and how many may be wrong.
select c.connection_id, c.state, c.reason, count(c.logged), count(c.state), count(c.problem)
from ledger_calls($1, '{}') c group by c.connection_id, c.state, c.reason

-- name: ledger_older
select count(*) from derive_older($1)

-- name: ledger_wrong
-- Calls of a page that do not balance. $2: requests with events that nobody is done with.
select c.request_id, c.delivery_id, c.webhook_id, c.problem, c.logged, c.state, p.seq, c.connection_id
from ledger_calls($1, $2) c left join privacy_request p on p.id = c.request_id
where c.problem is not null
order by c.request_id collate "C", c.delivery_id collate "C"

-- name: ledger_nobody
select n.request_id, n.status, n.why, n.seq from ledger_nobody($1, $2) n order by n.request_id collate "C"

-- name: ledger_endpoints
select id, key from connection
