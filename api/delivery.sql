-- name: delivery_list
-- Newest first over the endpoints $1, or all that were ever called. Each endpoint's deliveries are looked at in the
-- order of its index, $7 at the most, so that a filter that hardly any delivery passes costs no more than another. An
-- endpoint of which there is more is known only down to the last one looked at: of all, the list is known down to the
-- newest of these, its horizon. There the next page begins, unless this one is full before.
with recursive endpoint as (
    select min(w.connection_id) as id from webhook_delivery w where $1::text[] is null
    union all
    select (select min(w.connection_id) from webhook_delivery w where w.connection_id > e.id)
    from endpoint e where e.id is not null
), chosen as (
    select e.id from endpoint e where e.id is not null
    union all
    select unnest($1::text[])
), looked as (
    select d.*,
           row_number() over (partition by e.id order by d.created_at desc, d.request_id desc, d.id desc) as place
    from chosen e cross join lateral (
        select w.request_id, w.id, w.kind, w.webhook_id, w.connection_id, w.state, w.attempts, w.due_at, w.outcome,
               w.problem, w.created_at, w.settled_at, w.run, w.redelivery, w.worker
        from webhook_delivery w
        where w.connection_id = e.id
          and ($2::timestamptz is null or w.created_at > $2) and ($3::timestamptz is null or w.created_at < $3)
          and ($4::timestamptz is null or w.created_at <= $4)
          and ($4 is null or (w.created_at, w.request_id, w.id) < ($4, $5::text, $6::text))
        order by w.created_at desc, w.request_id desc, w.id desc limit $7::bigint) d
), horizon as (
    select created_at, request_id, id from looked where place = $7
    order by created_at desc, request_id desc, id desc limit 1
), found as (
    select l.* from looked l
    where ($8::text[] is null or l.state = any ($8)) and ($9::text[] is null or l.kind = any ($9))
      and ($10::text[] is null or l.webhook_id = any ($10))
      and not exists (select from horizon h
                      where (l.created_at, l.request_id, l.id) < (h.created_at, h.request_id, h.id))
    order by l.created_at desc, l.request_id desc, l.id desc limit $11::bigint
)
select h.created_at, h.request_id, h.id, f.request_id, f.id, f.kind, f.webhook_id, f.connection_id, f.state,
       f.attempts, f.due_at, f.outcome, f.problem, f.created_at, f.settled_at, f.run, f.redelivery, f.worker
from (select) one left join horizon h on true left join found f on true
order by f.created_at desc, f.request_id desc, f.id desc

-- name: delivery_list_of
-- The same for one request, which has few: columns as above, without a horizon.
select null::timestamptz, null::text, null::text, w.request_id, w.id, w.kind, w.webhook_id, w.connection_id, w.state,
       w.attempts, w.due_at, w.outcome, w.problem, w.created_at, w.settled_at, w.run, w.redelivery, w.worker
from webhook_delivery w
where w.request_id = $12::text and ($1::text[] is null or w.connection_id = any ($1))
  and ($2::timestamptz is null or w.created_at > $2) and ($3::timestamptz is null or w.created_at < $3)
  and ($4::timestamptz is null or (w.created_at, w.request_id, w.id) < ($4, $5::text, $6::text))
  and $7::bigint > 0
  and ($8::text[] is null or w.state = any ($8)) and ($9::text[] is null or w.kind = any ($9))
  and ($10::text[] is null or w.webhook_id = any ($10))
order by w.created_at desc, w.request_id desc, w.id desc limit $11::bigint

-- name: delivery_row
-- Columns as above, and the request's key.
select null::timestamptz, null::text, null::text, w.request_id, w.id, w.kind, w.webhook_id, w.connection_id, w.state,
       w.attempts, w.due_at, w.outcome, w.problem, w.created_at, w.settled_at, w.run, w.redelivery, w.worker,
       k.key_id, k.wrapped
from webhook_delivery w left join request_key k on k.request_id = w.request_id
where w.request_id = $1::text and w.id = $2::text

-- name: delivery_attempts
-- The last $3 of them, in their order.
select a.attempt, a.started_at, a.duration_us, a.address, a.status_code, a.outcome, a.headers, a.answer
from (select * from webhook_attempt
      where request_id = $1::text and delivery_id = $2::text order by attempt desc limit $3::bigint) a
order by a.attempt
