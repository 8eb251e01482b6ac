-- name: health_queues
-- What waits for a worker. Counted up to a bound, as anyone may ask.
select (select count(*) from (select from request_outbox limit 100000) o),
       (select count(*) from (select from webhook_delivery where state = 'waiting' and due_at is not null
                              limit 100000) d)
