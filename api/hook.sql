-- name: hook_connection
select id, connection_type from connection where key = $1
