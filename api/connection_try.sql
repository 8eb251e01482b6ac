-- name: connection_try_subject
select c.id, c.connection_type, c.secrets, coalesce(jsonb_array_length(m.fields) > 0, false)
from connection c left join manual_webhook m on m.connection_id = c.id
where c.key = $1

-- name: connection_try_note
update connection set last_test_at = clock_timestamp(), last_test_succeeded = $2 where id = $1
