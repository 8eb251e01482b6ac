-- name: connection_oauth_state
select id, connection_type, oauth from connection where key = $1

-- name: connection_oauth_set
-- Null removes it.
update connection set oauth = $2, updated_at = clock_timestamp() where id = $1
