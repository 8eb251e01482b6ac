-- name: actor_set
-- The catalog's row is locked before any other of the configuration, here and by its triggers.
select set_config('docket.actor', jsonb_strip_nulls(jsonb_build_object(
                      'by', $1::text, 'client_id', $2::text, 'user_id', $3::text, 'reason', $4::text,
                      'source', $5::text))::text, true)
from catalog for update
