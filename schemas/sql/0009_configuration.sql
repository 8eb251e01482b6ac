-- Who changed which part of the configuration: an event a row that was made, changed or deleted, whoever did it, in
-- the transaction of the change. Names of fields, never values. And what an endpoint is told of a person.

-- The parts of a webhook's body that this endpoint gets: {"identity": [names], "parts": [names]}, each absent for all;
-- null: the whole body.
alter table connection add disclose jsonb;

-- The configuration's events are one chain, with the id "configuration": rows of request_event whose aggregatetype is
-- the topic that they go to. This is its head.
create table configuration_head (
    only_row boolean primary key default true check (only_row),
    seq      bigint not null default 0,
    chain    bytea not null default '\x'
);
insert into configuration_head default values;

-- What a field is called, where it is not by its column's name. Null: what is no part of the configuration.
create function configuration_field(column_name text) returns text language sql immutable parallel safe as $$
    select case
        when column_name in ('id', 'only_row', 'created_at', 'updated_at', 'webhooks_revision', 'last_test_at',
                             'last_test_succeeded') then null
        when column_name in ('connection_id', 'dataset_id', 'policy_id', 'rule_id')
            then left(column_name, length(column_name) - length('_id'))
        when column_name in ('paused_at', 'paused_reason') then 'paused'
        when column_name = 'place' then 'order'
        when column_name = 'secret_hash' then 'secret'
        when column_name = 'statement_timeout_ms' then 'statement_timeout'
        when column_name = 'storage_id' then 'storage_destination'
        else column_name end
$$;

-- Settings as they are named in the configuration: "execution.require_manual_request_approval".
create function configuration_settings(api_set jsonb) returns table (name text, value jsonb)
language sql immutable parallel safe as $$
    select s.key || '.' || m.key, m.value
    from jsonb_each(case jsonb_typeof(api_set) when 'object' then api_set else '{}' end) s,
         jsonb_each(case jsonb_typeof(s.value) when 'object' then s.value else '{}' end) m
$$;

-- The fields by which two states of a row differ, sorted; of a row that is made (before null) those that have a value.
create function configuration_fields(before jsonb, after jsonb) returns text[] language sql immutable parallel safe as $$
    select coalesce(array_agg(distinct f.name order by f.name), '{}')
    from (
        select configuration_field(c.name) as name from jsonb_object_keys(after) c(name)
        where c.name <> 'api_set' and before ->> c.name is distinct from after ->> c.name
        union all
        select name from configuration_settings(before -> 'api_set') b
        full join configuration_settings(after -> 'api_set') a using (name)
        where b.value is distinct from a.value
    ) f
    where f.name is not null
$$;

-- Where a row belongs: ids as the row has them, keys while what they name is still there.
create function configuration_place(resource text, data jsonb) returns json language sql stable as $$
    select json_build_object(
        'key', coalesce(data ->> 'key', data ->> 'fides_key',
                        case resource when 'manual_webhook' then c.key when 'oauth_client' then data ->> 'id' end),
        'kind', data ->> 'kind',
        'connection_id', data ->> 'connection_id', 'connection_key', c.key,
        'policy_id', coalesce(data ->> 'policy_id', r.policy_id), 'policy_key', p.key,
        'rule_id', data ->> 'rule_id', 'rule_key', r.key)
    from (select) nothing
    left join connection c on c.id = data ->> 'connection_id'
    left join rule r on r.id = data ->> 'rule_id'
    left join policy p on p.id = coalesce(data ->> 'policy_id', r.policy_id)
$$;

-- Appends an event to the chain. Programs lock the configuration's row before they change anything; who comes from
-- elsewhere takes it here, before the chain's head, so that nobody waits for another the other way round.
create function configuration_append(payload bytea, event_source text) returns void language plpgsql as $$
declare
    at   timestamptz;
    head configuration_head;
begin
    perform from catalog for no key update;
    perform from configuration_head for update;
    at := clock_timestamp();   -- once it is known to be the next one
    update configuration_head h set
        seq = h.seq + 1,
        chain = event_chain(h.chain, 'configuration', h.seq + 1, 'docket.configuration.changed.v1', at, event_source,
                            null, null, payload)
    returning * into head;
    insert into request_event (request_id, seq, aggregatetype, type, time, source, payload, chain)
    values ('configuration', head.seq, 'configuration', 'docket.configuration.changed.v1', at, event_source, payload,
            head.chain);
    -- A trigger's transaction is not known to any program: the relay publishes it, at once.
    insert into request_outbox (due_at, request_ids, seqs) values (now(), array['configuration'], array[head.seq]);
end $$;

-- Who does it is told for the transaction by the programs: docket.actor, a JSON object with "by", "client_id",
-- "user_id", "reason" and "source". Without it, somebody has changed the table by hand.
create function configuration_changed() returns trigger language plpgsql as $$
declare
    before jsonb := to_jsonb(old);
    after  jsonb := to_jsonb(new);
    data   jsonb := coalesce(after, before);
    fields text[] := case when tg_op = 'DELETE' then '{}' else configuration_fields(before, after) end;
    actor  jsonb := coalesce(nullif(current_setting('docket.actor', true), ''), '{"by": "database"}');
    place  json;
begin
    if tg_op = 'UPDATE' and fields = '{}' then
        return null;
    end if;
    place := configuration_place(tg_argv[0], data);
    perform configuration_append(
        convert_to(json_strip_nulls(json_build_object(
            'resource', tg_argv[0], 'resource_id', coalesce(data ->> 'id', tg_argv[0]), 'key', place -> 'key',
            'change', case tg_op when 'INSERT' then 'created' when 'UPDATE' then 'updated' else 'deleted' end,
            'fields', fields, 'by', actor -> 'by', 'client_id', actor -> 'client_id', 'user_id', actor -> 'user_id',
            'reason', actor -> 'reason', 'kind', place -> 'kind', 'connection_id', place -> 'connection_id',
            'connection_key', place -> 'connection_key', 'policy_id', place -> 'policy_id',
            'policy_key', place -> 'policy_key', 'rule_id', place -> 'rule_id', 'rule_key', place -> 'rule_key'))::text,
            'UTF8'),
        coalesce(actor ->> 'source', '/docket/-/postgresql'));
    return null;
end $$;

-- Rows that go without a trigger would go untold.
create function configuration_truncated() returns trigger language plpgsql as $$
begin
    raise exception 'rows of table % are deleted one by one, so that each is told', tg_table_name;
end $$;

do $$
declare t record;
begin
    for t in select * from (values
        ('oauth_client', 'oauth_client'), ('connection', 'connection'), ('storage', 'storage'), ('policy', 'policy'),
        ('rule', 'rule'), ('rule_target', 'rule_target'), ('pre_approval_webhook', 'pre_approval_webhook'),
        ('policy_webhook', 'policy_webhook'), ('manual_webhook', 'manual_webhook'), ('dataset', 'dataset'),
        ('dataset_config', 'dataset_link'), ('setting', 'setting')) as v(name, resource)
    loop
        execute format('create trigger configuration_changed after insert or update or delete on %I
                        for each row execute function configuration_changed(%L)', t.name, t.resource);
        execute format('create trigger configuration_truncated before truncate on %I
                        for each statement execute function configuration_truncated()', t.name);
    end loop;
end $$;
