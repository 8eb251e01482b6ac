-- name: erase_record
-- In docket's own database, before the commit over there: $3 the transaction, $4 the rows it masked. Only while the
-- task is as it was ($5): of two who do it at once, one is told to look again.
update request_task set erase_xid = $3::text, erase_count = $4::bigint
where request_id = $1::text and id = $2::text and state = 'waiting' and erase_xid is not distinct from $5::text
returning id

-- name: erase_settings
-- In the customer's: whoever left a transaction open, by dying, holds its locks for a minute at the most.
select set_config('idle_in_transaction_session_timeout', '60s', true)

-- name: erase_xid
select pg_current_xact_id()::text

-- name: erase_status
-- Null: unknown, being too old; or not of this server's making, as it was put back to an earlier state.
select case when $1::text::xid8 < pg_current_xact_id() then pg_xact_status($1::text::xid8) end
