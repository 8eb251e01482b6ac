-- name: connection_page
with matched as (
    select c.*
    from connection c
    where ($3::text is null or strpos(lower(c.key), lower($3)) > 0 or strpos(lower(c.name), lower($3)) > 0 or
           strpos(lower(c.description), lower($3)) > 0)
      and ($4::boolean is null or c.disabled = $4)
      and ($5::text is null or $5 = case c.last_test_succeeded when true then 'passed' when false then 'failed'
                                         else 'untested' end)
      -- The other system types do not filter; 'database' is all that is neither of these two.
      and ($6::text is null or $6 not in ('saas', 'manual', 'database') or
           $6 = case when c.connection_type in ('saas', 'manual') then c.connection_type else 'database' end)
      -- No connection is linked to a system.
      and coalesce($7::boolean, true)
      and (cardinality($8::text[]) = 0 or c.connection_type = any ($8))
), total as (
    select count(*) as total from matched
), page as (
    select * from matched order by name, key limit $1 offset $2
)
select t.total, p.id, p.key, p.name, p.description, p.connection_type, p.access, p.created_at, p.updated_at,
       p.disabled, p.last_test_at, p.last_test_succeeded, p.enabled_actions, p.secrets
from total t left join page p on true
order by p.name, p.key

-- name: connection_by_key
select id, key, name, description, connection_type, access, created_at, updated_at, disabled, last_test_at,
       last_test_succeeded, enabled_actions, secrets
from connection
where key = $1

-- name: connection_state
-- What decides about a change: whether it is there, and whether requests may wait for it.
select c.id, c.disabled,
       exists (select from pre_approval_webhook w where w.connection_id = c.id) or
       exists (select from policy_webhook w where w.connection_id = c.id) or
       exists (select from manual_webhook w where w.connection_id = c.id),
       c.secrets, c.connection_type
from connection c
where c.key = $1

-- name: connection_insert
insert into connection (id, key, name, description, connection_type, access, disabled, enabled_actions,
                        created_at, updated_at)
values ('con_' || gen_random_uuid(), $1, nullif($2, ''), nullif($3, ''), $4, $5, coalesce($6::boolean, false),
        case when $7::boolean then $8::text[] end, clock_timestamp(), clock_timestamp())
returning id

-- name: connection_update
-- Null leaves name, description and disabled as they are; an empty text clears. $7: enabled_actions are given.
update connection
set name = case when $2::text is null then name else nullif($2, '') end,
    description = case when $3::text is null then description else nullif($3, '') end,
    connection_type = $4, access = $5, disabled = coalesce($6::boolean, disabled),
    enabled_actions = case when $7::boolean then $8::text[] else enabled_actions end, updated_at = clock_timestamp()
where key = $1
returning id

-- name: connection_set_secrets
update connection set secrets = $2, updated_at = clock_timestamp() where id = $1

-- name: connection_users
-- Which policy webhooks stand on it: the first five in words (null: none), and how many more.
select string_agg(u.text, ', ' order by u.row) filter (where u.row <= 5), greatest(count(*) - 5, 0)
from (
    select format('%s (%s-execution of policy %s)', w.key, w.kind, p.key) as text,
           row_number() over (order by p.key, w.kind desc, w.place) as row
    from policy_webhook w join policy p on p.id = w.policy_id
    where w.connection_id = $1
) u

-- name: connection_delete
delete from connection where id = $1
