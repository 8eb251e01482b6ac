-- Policies as they are shown, in one place for all who show them, and the ones that every installation begins
-- with (privacy centers post requests with their keys).

create or replace function storage_object(s storage) returns json language sql stable as $$
    select case when s.id is not null then json_build_object(
        'name', s.name, 'type', s.type, 'details', s.details, 'key', s.key, 'format', s.format,
        'is_default', s.is_default) end
$$;

create or replace function rule_target_object(t rule_target) returns json language sql stable as $$
    select json_build_object('name', t.name, 'key', t.key, 'data_category', t.data_category)
$$;

-- Within a policy a rule has no targets. Of a masking strategy only the name: its configuration stays inside.
create or replace function rule_object(r rule, with_targets boolean) returns json language sql stable as $$
    select json_object_agg(m.name, m.value order by m.place)
    from (values
        (1, 'name', to_json(r.name)),
        (2, 'key', to_json(r.key)),
        (3, 'action_type', to_json(r.action_type)),
        (4, 'storage_destination', (select storage_object(s) from storage s where s.id = r.storage_id)),
        (5, 'masking_strategy', case when r.masking_strategy is not null then
            json_build_object('strategy', r.masking_strategy -> 'strategy') end),
        (6, 'targets', (select coalesce(json_agg(rule_target_object(t) order by t.created_at, t.id), '[]')
                        from rule_target t where t.rule_id = r.id))
    ) as m(place, name, value)
    where with_targets or m.name <> 'targets'
$$;

create or replace function policy_object(p policy) returns json language sql stable as $$
    select json_build_object(
        'name', p.name, 'key', p.key,
        'rules', (select coalesce(json_agg(rule_object(r, false) order by r.created_at, r.id), '[]')
                  from rule r where r.policy_id = p.id),
        'drp_action', p.drp_action, 'execution_timeframe', p.execution_timeframe, 'conditions', null)
$$;

-- The default policies. A policy that stands under such a key already stays as it is, and so do its rules.
with defaults (number, action, policy_key, policy_name, rule_key, rule_name, drp_action, masking_strategy) as (
    values
        (1, 'access', 'default_access_policy', 'Default Access Policy',
         'default_access_policy_rule', 'Default Access Rule', 'access', null::jsonb),
        (2, 'erasure', 'default_erasure_policy', 'Default Erasure Policy',
         'default_erasure_policy_rule', 'Default Erasure Rule', 'deletion',
         '{"strategy": "hmac", "configuration": {}}'),
        (3, 'consent', 'default_consent_policy', 'Default Consent Policy',
         'default_consent_rule', 'Default Consent Rule', null, null)
), policies as (
    insert into policy (id, key, name, drp_action, execution_timeframe)
    select 'pol_00000000-0000-4000-8000-00000000000' || number, policy_key, policy_name, drp_action, 45
    from defaults
    on conflict do nothing
    returning id, key
), rules as (
    insert into rule (id, policy_id, key, name, action_type, masking_strategy)
    select 'rul_00000000-0000-4000-8000-00000000000' || d.number, p.id, d.rule_key, d.rule_name, d.action,
           d.masking_strategy
    from defaults d join policies p on p.key = d.policy_key
    on conflict do nothing
    returning id, key, action_type
), categories (place, name) as (
    -- What is about a person, two levels deep, without financial, payment and authorization data.
    values (1, 'account'), (2, 'behavior'), (3, 'biometric'), (4, 'childrens'), (5, 'contact'), (6, 'content'),
           (7, 'criminal_history'), (8, 'demographic'), (9, 'device'), (10, 'government_id'),
           (11, 'health_and_medical'), (12, 'job_title'), (13, 'location'), (14, 'name'),
           (15, 'privacy_preferences'), (16, 'sensor'), (17, 'social'), (18, 'telemetry'), (19, 'unique_id'),
           (20, 'user_sensor'), (21, 'workplace')
)
insert into rule_target (id, rule_id, key, name, data_category)
select replace(r.id, '4000-8000', '4000-80' || lpad(c.place::text, 2, '0')), r.id, r.key || '_user_' || c.name,
       r.id || '-user.' || c.name, 'user.' || c.name
from rules r cross join categories c
where r.action_type <> 'consent' -- consent is about no data
on conflict do nothing;
