-- name: endpoint_page
-- Its latest $3 deliveries are counted, so that a page costs the same however many there are.
with total as (
    select count(*) as total from connection
), page as (
    select * from connection order by key limit $1 offset $2
)
select t.total, p.id, p.key, p.name, p.disabled, p.paused_at, p.paused_reason, p.rate_limit, p.retry_schedule,
       p.statement_timeout_ms, p.row_limit, p.disclose::text,
       s.waiting, s.held, s.given_up, s.delivered, case when s.looked = $3::bigint then s.since end
from total t left join page p on true cross join lateral (
    select count(*) filter (where w.state = 'waiting') as waiting, count(*) filter (where w.state = 'held') as held,
           count(*) filter (where w.state = 'given_up' and w.settled_at > now() - interval '24 hours') as given_up,
           count(*) filter (where w.state = 'delivered' and w.settled_at > now() - interval '24 hours') as delivered,
           count(*) as looked, min(w.created_at) as since
    from (select d.state, d.settled_at, d.created_at from webhook_delivery d
          where d.connection_id = p.id order by d.created_at desc limit $3::bigint) w) s
order by p.key

-- name: endpoint_row
-- The same of one, by its key.
select 1::bigint, p.id, p.key, p.name, p.disabled, p.paused_at, p.paused_reason, p.rate_limit, p.retry_schedule,
       p.statement_timeout_ms, p.row_limit, p.disclose::text,
       s.waiting, s.held, s.given_up, s.delivered, case when s.looked = $2::bigint then s.since end
from connection p cross join lateral (
    select count(*) filter (where w.state = 'waiting') as waiting, count(*) filter (where w.state = 'held') as held,
           count(*) filter (where w.state = 'given_up' and w.settled_at > now() - interval '24 hours') as given_up,
           count(*) filter (where w.state = 'delivered' and w.settled_at > now() - interval '24 hours') as delivered,
           count(*) as looked, min(w.created_at) as since
    from (select d.state, d.settled_at, d.created_at from webhook_delivery d
          where d.connection_id = p.id order by d.created_at desc limit $2::bigint) w) s
where p.key = $1

-- name: endpoint_state
-- What decides about a change.
select id, disabled, paused_at is not null, connection_type = 'https' and secrets is not null,
       connection_type = 'postgres', connection_type = 'https'
from connection where key = $1

-- name: endpoint_update
-- What is not given ($2, $4, $6, $8, $10) stays.
update connection
set rate_limit = case when $2::boolean then $3::bigint::integer else rate_limit end,
    retry_schedule = case when $4::boolean then $5::text else retry_schedule end,
    statement_timeout_ms = case when $6::boolean then $7::bigint::integer else statement_timeout_ms end,
    row_limit = case when $8::boolean then $9::bigint else row_limit end,
    disclose = case when $10::boolean then $11::jsonb else disclose end, updated_at = clock_timestamp()
where id = $1

-- name: endpoint_pause
update connection set paused_at = clock_timestamp(), paused_reason = 'operator', updated_at = clock_timestamp()
where id = $1

-- name: endpoint_resume
update connection set paused_at = null, paused_reason = null, updated_at = clock_timestamp() where id = $1

-- name: endpoint_redeliver_page
-- The next $9 at the most that are to go, of $8 that are looked at, oldest first; and how far the look went: its
-- number and its last one. No row at all: there is nothing more to look at.
with looked as (
    select w.created_at, w.request_id, w.id, w.state
    from webhook_delivery w
    where w.connection_id = $1::text and w.created_at >= $2::timestamptz and w.created_at <= $3::timestamptz
      and ($4::timestamptz is null or w.created_at >= $4)
      and ($4 is null or (w.created_at, w.request_id, w.id) > ($4, $5::text, $6::text))
    order by w.created_at, w.request_id, w.id limit $8::bigint
), last as (
    select * from looked order by created_at desc, request_id desc, id desc limit 1
), found as (
    select * from looked where state = any ($7::text[]) order by created_at, request_id, id limit $9::bigint
)
select (select count(*) from looked), l.created_at, l.request_id, l.id, f.created_at, f.request_id, f.id
from last l left join found f on true
order by f.created_at, f.request_id, f.id

-- name: endpoint_trial_waiting
select count(*) from endpoint_trial where connection_id = $1 and due_at is not null

-- name: endpoint_trial_insert
insert into endpoint_trial (id, connection_id, due_at) values ($1, $2, clock_timestamp())

-- name: endpoint_trial_row
select t.id, c.key, t.due_at, t.created_at, t.started_at, t.duration_us, t.address, t.status_code, t.outcome, t.answer
from endpoint_trial t join connection c on c.id = t.connection_id
where c.key = $1 and t.id = $2
