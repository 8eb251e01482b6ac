-- name: catalog_version
select version from catalog

-- name: catalog_settings
select version, (api_set #>> '{execution,require_manual_request_approval}')::boolean
from catalog, setting

-- name: catalog_connections
select id, key, connection_type, disabled, secrets, paused_at is not null, rate_limit, retry_schedule, oauth
from connection
order by id collate "C"

-- name: catalog_policies
-- The two JSON texts are the policy as a webhook's body shows it, and as the API does.
select p.id, p.key, p.name, p.execution_timeframe,
       json_build_object(
           'id', p.id, 'name', p.name, 'key', p.key, 'drp_action', p.drp_action,
           'execution_timeframe', p.execution_timeframe, 'client_id', null,
           'rules', (select coalesce(json_agg(json_build_object(
                         'id', r.id, 'name', r.name, 'key', r.key, 'action_type', r.action_type,
                         'masking_strategy', r.masking_strategy,
                         'storage_destination_id', r.storage_id) order by r.created_at, r.id), '[]')
                     from rule r where r.policy_id = p.id))::text,
       policy_object(p)::text, p.webhooks_revision
from policy p
order by p.id collate "C"

-- name: catalog_rules
select policy_id, id, key, action_type
from rule
order by policy_id collate "C", created_at, id

-- name: catalog_webhooks
select id, key, name, connection_id
from pre_approval_webhook
order by created_at, id

-- name: catalog_policy_webhooks
select policy_id, kind, id, key, name, direction, connection_id
from policy_webhook
order by policy_id collate "C", kind, place

-- name: catalog_clients
select id, scopes, roles
from oauth_client
order by id collate "C"
