-- name: catalog_version
select version from catalog

-- name: catalog_settings
select version, (api_set #>> '{execution,require_manual_request_approval}')::boolean,
       coalesce(api_set #>> '{storage,active_default_storage_type}', 'local')
from catalog, setting

-- name: catalog_connections
select id, key, connection_type, disabled, secrets, paused_at is not null, rate_limit, retry_schedule, oauth,
       access = 'write', enabled_actions, statement_timeout_ms, row_limit, disclose::text
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
       s.object::text, p.webhooks_revision
from policy p join policy_shown s on s.id = p.id
order by p.id collate "C"

-- name: catalog_storages
select id, key, type, format, details::text, secrets, is_default
from storage
order by id collate "C"

-- name: catalog_manuals
-- Labels of all fields, and of those that an erasure asks for.
select connection_id, id,
       array(select f ->> 'dsr_package_label' from jsonb_array_elements(fields) f
             order by f ->> 'dsr_package_label' collate "C"),
       array(select f ->> 'dsr_package_label' from jsonb_array_elements(fields) f
             where coalesce(f -> 'types', '["string"]') ? 'string'
             order by f ->> 'dsr_package_label' collate "C")
from manual_webhook

-- name: catalog_datasets
select c.connection_id, d.document::text, d.fides_key
from dataset_config c join dataset d on d.id = c.dataset_id
order by d.fides_key collate "C"

-- name: catalog_rules
select policy_id, id, key, action_type, storage_id, masking_strategy ->> 'strategy',
       (masking_strategy -> 'configuration')::text,
       array(select t.data_category from rule_target t where t.rule_id = r.id order by t.data_category collate "C")
from rule r
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
