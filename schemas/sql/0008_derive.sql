-- What a request's events say is what the tables have: the tables derived anew from request_event alone, held against
-- those that are there, and the ledger of calls. Everything takes arrays of request ids, none twice, and reads no other
-- request. README.md lists what the log does not cover.

-- Who has claimed a timer sees to it until then; `due_at` stays what the event said.
alter table request_timer
    add leased_until timestamptz,
    add worker       text;

-- --- events ---------------------------------------------------------------------------------------------

-- type: without "docket.request." and ".v1"; another version's is null. run: how often the request was retried before.
create type derive_event as (
    request_id text, seq bigint, type text, time timestamptz, chain bytea, run integer, data jsonb
);

-- Of these types only; null: all. Who asks for `run` asks for `retried` too.
create function derive_events(ids text[], types text[] default null) returns setof derive_event
language sql stable parallel safe as $$
    select e.request_id, e.seq,
           case when e.type like 'docket.request.%.v1' then substr(e.type, 16, length(e.type) - 18) end, e.time, e.chain,
           (count(*) filter (where e.type = 'docket.request.retried.v1')
                     over (partition by e.request_id order by e.seq))::integer,
           convert_from(e.payload, 'UTF8')::jsonb
    from request_event e
    where e.request_id = any(ids)
      and (types is null or e.type = any(array(select 'docket.request.' || t || '.v1' from unnest(types) t)))
$$;

-- Those whose first event was made by a release that did not tell all yet: what they have can't be derived whole.
create function derive_older(ids text[]) returns setof text
language sql stable parallel safe as $$
    select e.request_id from request_event e
    where e.request_id = any(ids) and e.seq = 1 and e.type = 'docket.request.created.v1'
      and not convert_from(e.payload, 'UTF8')::jsonb ? 'policy_id'
$$;

-- --- requests -------------------------------------------------------------------------------------------

-- As request_append() moves the row; as create.sql makes it.
create function derive_request_next(r privacy_request, e derive_event) returns privacy_request
language plpgsql immutable parallel safe as $$
declare
    status text := e.data ->> 'status';
begin
    if r.id is null then
        r.id := e.request_id;
        r.policy_id := coalesce(e.data ->> 'policy_id', '');
        r.source := e.data ->> 'source';
        r.submitted_by := e.data ->> 'submitted_by';
        r.created_at := e.time;
        r.requested_at := coalesce((e.data ->> 'requested_at')::timestamptz, e.time);
        r.due_date := (e.data ->> 'due_date')::timestamptz;
        r.started_processing_at := (e.data ->> 'started_processing_at')::timestamptz;
        r.finished_processing_at := (e.data ->> 'finished_processing_at')::timestamptz;
        r.run := 0;
        r.status_seq := 0;
        -- Until the fold is over, whether there are custom fields: decisions are told with them.
        r.sealed_custom_fields := case when e.data ? 'custom_fields' then '\x'::bytea end;
    end if;
    r.seq := e.seq;
    r.chain := e.chain;
    r.updated_at := e.time;
    if status is not null then
        r.status := status;
        r.status_seq := e.seq;
        r.failed_step := case when status = 'error' then e.data ->> 'step' end;
        r.paused_webhook_id := case when status = 'paused' then e.data ->> 'webhook_id' end;
        r.input_awaited := null;
    end if;
    if status in ('approved', 'denied') then
        r.reviewed_at := e.time;
        r.reviewed_by := e.data ->> 'user_id';
    end if;
    case status -- null: none of these
    when 'approved' then
        if r.sealed_custom_fields is not null then
            r.custom_approved_at := e.time;
            r.custom_approved_by := e.data ->> 'user_id';
        end if;
    when 'in_processing' then r.started_processing_at := coalesce(r.started_processing_at, e.time);
    when 'complete', 'error' then r.finished_processing_at := e.time;
    when 'paused' then r.paused_at := e.time;
    when 'canceled' then r.canceled_at := e.time;
    else null;
    end case;
    case e.type
    when 'input_required' then r.input_awaited := e.data ->> 'awaited';
    when 'started', 'webhooks_changed' then r.webhooks_revision := (e.data ->> 'revision')::bigint;
    when 'retried' then r.run := r.run + 1;
    when 'forgotten' then r.forgotten_at := e.time;
    when 'deleted' then
        r.deleted_at := e.time;
        r.deleted_by := coalesce(e.data ->> 'user_id', 'root');
    else null;
    end case;
    return r;
end $$;

create function derive_request_end(r privacy_request) returns privacy_request
language plpgsql immutable parallel safe as $$
begin
    r.sealed_custom_fields := null;
    return r;
end $$;

create aggregate derive_request(derive_event) (
    sfunc = derive_request_next, stype = privacy_request, finalfunc = derive_request_end, parallel = safe
);

-- Events of calls and tasks, which are many and long, only count: none of them sets a status.
create function derive_privacy_request(ids text[]) returns setof privacy_request
language sql stable parallel safe as $$
    select (r.row).*
    from (select derive_request(row(e.request_id, e.seq, substr(e.type, 16, length(e.type) - 18), e.time, e.chain, 0,
                                    case when e.type not like 'docket.request.task%'
                                              and e.type not like 'docket.request.webhook\_%'
                                         then convert_from(e.payload, 'UTF8')::jsonb end)::derive_event
                                order by e.seq) as row
          from request_event e where e.request_id = any(ids)
          group by e.request_id offset 0) r
$$;

-- --- calls ----------------------------------------------------------------------------------------------

-- What an attempt makes of its call. The types that say it alone are the others.
create function derive_attempt_state(e derive_event) returns text
language sql immutable parallel safe as $$
    select case e.type
        when 'webhook_failed' then 'waiting'
        when 'webhook_given_up' then 'given_up'
        when 'endpoint_paused' then e.data ->> 'state'
        when 'webhook_answered' then case when e.data ->> 'outcome' = 'succeeded' then 'delivered'
                                          when e.data ? 'next_attempt_at' then 'waiting'
                                          else 'given_up' end
        else 'delivered' end -- sent, reminded
$$;

-- In the contract's words, as the worker has them. Of a reminder none are kept.
create function derive_problem(e derive_event) returns text
language sql immutable parallel safe as $$
    select case when e.type <> 'webhook_reminded' and e.data ->> 'outcome' <> 'succeeded'
                then coalesce(e.data ->> 'problem',
                              format('Webhook ''%s'' returned an error: Client call failed with status code ''%s''',
                                     e.data ->> 'webhook_key', coalesce(e.data ->> 'status_code', '500'))) end
$$;

-- A call as its event owes it, or owes it anew: settle.sql, create.sql.
create function derive_owed(d webhook_delivery, e derive_event) returns webhook_delivery
language plpgsql immutable parallel safe as $$
declare
    skipped boolean := e.type = 'webhook_skipped';
begin
    if d.id is null then
        d.request_id := e.request_id;
        d.id := e.data ->> 'delivery_id';
        d.kind := coalesce(e.data ->> 'kind', 'pre_approval');
        d.webhook_id := e.data ->> 'webhook_id';
        d.connection_id := coalesce(e.data ->> 'connection_id', '');
        d.created_at := e.time;
        d.attempts := 0;
    end if;
    d.base := d.attempts;
    d.run := case d.kind when 'pre_approval' then 0 else e.run end;
    d.state := case when skipped then 'skipped' else 'waiting' end;
    d.due_at := case when skipped then null else e.time end;
    d.settled_at := case when skipped then e.time end;
    d.outcome := e.data ->> 'reason';
    d.passed := false;
    d.halted := false;
    d.redelivery := false;
    d.problem := null;
    d.resumed_at := null;
    return d;
end $$;

create function derive_attempted(d webhook_delivery, e derive_event) returns webhook_delivery
language plpgsql immutable parallel safe as $$
declare
    state text := derive_attempt_state(e);
begin
    d.settled_at := case when state in ('waiting', 'held') then null when d.state = state then d.settled_at else e.time end;
    d.state := state;
    d.attempts := (e.data ->> 'attempt')::integer;
    d.due_at := (e.data ->> 'next_attempt_at')::timestamptz;
    d.outcome := e.data ->> 'outcome';
    d.problem := derive_problem(e);
    d.passed := d.passed or e.type = 'webhook_answered' or e.data ? 'passed';
    d.halted := e.data ? 'halt';
    return d;
end $$;

-- state, outcome: what ends it; outcome null: it stays.
create function derive_settled(d webhook_delivery, state text, outcome text, due_at timestamptz, at timestamptz)
returns webhook_delivery language plpgsql immutable parallel safe as $$
begin
    d.state := state;
    d.outcome := coalesce(outcome, d.outcome);
    d.due_at := due_at;
    d.settled_at := case when state not in ('waiting', 'held') then at end;
    return d;
end $$;

-- Null as long as nothing has owed it.
create function derive_delivery_next(d webhook_delivery, e derive_event) returns webhook_delivery
language plpgsql immutable parallel safe as $$
begin
    if e.type in ('pre_approval_requested', 'webhook_owed', 'started', 'webhook_skipped') then
        return derive_owed(d, e);
    elsif d.id is null then
        return d;
    end if;
    case e.type
    when 'webhook_sent', 'webhook_failed', 'webhook_given_up', 'webhook_answered', 'webhook_reminded', 'endpoint_paused' then
        return derive_attempted(d, e);
    when 'webhook_held' then return derive_settled(d, 'held', null, null, e.time);
    when 'webhook_released' then return derive_settled(d, 'waiting', null, e.time, e.time);
    when 'webhook_withdrawn' then
        return derive_settled(d, case e.data ->> 'reason' when 'replied' then 'delivered' else 'given_up' end,
                              e.data ->> 'reason', null, e.time);
    when 'webhook_redelivered' then
        d := derive_settled(d, 'waiting', null, e.time, e.time);
        d.base := d.attempts;
        d.redelivery := true;
    when 'resumed', 'resume_kept' then d.resumed_at := e.time;
    when 'approved', 'denied', 'canceled', 'deleted', 'forgotten' then
        if d.state in ('waiting', 'held') then
            return derive_settled(d, 'given_up',
                                  case e.type when 'forgotten' then 'request_forgotten' else 'request_decided' end,
                                  null, e.time);
        elsif e.type = 'forgotten' then
            d.due_at := null;
        end if;
    else null;
    end case;
    return d;
end $$;

create aggregate derive_delivery(derive_event) (
    sfunc = derive_delivery_next, stype = webhook_delivery, parallel = safe
);

-- What was said of each call: of one alone, of all that a request begins with, or of every call of it.
create function derive_delivery_events(ids text[]) returns table (delivery_id text, event derive_event)
language sql stable parallel safe as $$
    with e as materialized (
        select e as event, e.request_id, e.type, e.data
        from derive_events(ids, '{pre_approval_requested,webhook_owed,started,webhook_skipped,webhook_sent,webhook_failed,
                                  webhook_given_up,webhook_answered,webhook_reminded,endpoint_paused,webhook_held,
                                  webhook_released,webhook_withdrawn,webhook_redelivered,resumed,resume_kept,retried,
                                  approved,denied,canceled,deleted,forgotten}') e
    ), own as materialized (
        select e.request_id, e.data ->> 'delivery_id' as delivery_id, e.event
        from e where e.data ? 'delivery_id'
        union all
        select e.request_id, w ->> 'delivery_id',
               row(e.request_id, (e.event).seq, e.type, (e.event).time, (e.event).chain, (e.event).run, w)::derive_event
        from e, jsonb_array_elements(e.data -> 'webhooks') w where e.type = 'pre_approval_requested'
    )
    select delivery_id, event from own
    union all
    select o.delivery_id, e.event
    from e join (select distinct request_id, delivery_id from own) o on o.request_id = e.request_id
    where e.type in ('denied', 'canceled', 'deleted', 'forgotten')
       or (e.type = 'approved' and e.data ->> 'by' in ('user', 'client'))
$$;

-- due_at is when any worker may make the call: of what waits, at once or when it was to be tried again.
create function derive_webhook_delivery(ids text[]) returns setof webhook_delivery
language sql stable parallel safe as $$
    select (d.row).* from (select derive_delivery(e.event order by (e.event).seq) as row
                           from derive_delivery_events(ids) e
                           group by (e.event).request_id, e.delivery_id offset 0) d
    where (d.row).id is not null
$$;

-- started_at: about when. A number that two events name is the first one's.
create function derive_webhook_attempt(ids text[]) returns setof webhook_attempt
language sql stable parallel safe as $$
    select distinct on (1, 2, 3) e.request_id, e.data ->> 'delivery_id', (e.data ->> 'attempt')::integer,
           e.time - (e.data ->> 'duration_ms')::bigint * interval '1 millisecond',
           (e.data ->> 'duration_ms')::bigint * 1000, null::text, (e.data ->> 'status_code')::integer,
           e.data ->> 'outcome', null::bytea, null::text
    from derive_events(ids, '{webhook_sent,webhook_failed,webhook_given_up,webhook_answered,webhook_reminded,
                              endpoint_paused}') e
    order by 1, 2, 3, e.seq
$$;

create function derive_pre_approval_reply(ids text[]) returns setof pre_approval_reply
language sql stable parallel safe as $$
    select e.request_id, e.data ->> 'webhook_id', (e.data ->> 'eligible')::boolean, e.time
    from derive_events(ids, '{pre_approval_eligible,pre_approval_not_eligible}') e
$$;

-- --- tasks ----------------------------------------------------------------------------------------------

-- As they were planned. A plan too long for one event lists its first ones only.
create function derive_planned(ids text[])
returns table (request_id text, id text, action text, place bigint, dataset text, connection_key text, needs text[],
               run integer, "time" timestamptz)
language sql stable parallel safe as $$
    select e.request_id, t.id, e.data ->> 'action', e.before + t.place - 1, n.dataset, e.data -> 'connections' ->> n.dataset,
           array(select e.data -> 'tasks' ->> need::integer
                 from jsonb_array_elements_text(e.data -> 'needs' -> (t.place::integer - 1)) with ordinality as a(need, at)
                 order by a.at),
           e.run, e.time
    from (select e.*, coalesce(sum((e.data ->> 'task_count')::bigint)
                                   over (partition by e.request_id order by e.seq
                                         rows between unbounded preceding and 1 preceding), 0) as before
          from derive_events(ids, '{tasks_planned,retried}') e where e.type = 'tasks_planned') e
    cross join lateral jsonb_array_elements_text(e.data -> 'tasks') with ordinality as t(id, place)
    cross join lateral (select case when e.data ->> 'action' <> 'package' then split_part(t.id, ':', 2) end as dataset) n
$$;

-- What came of each try.
create function derive_tried(ids text[])
returns table (request_id text, id text, seq bigint, run integer, state text, "time" timestamptz, data jsonb)
language sql stable parallel safe as $$
    select e.request_id, e.data ->> 'task_id', e.seq, e.run,
           case e.type when 'task_completed' then 'complete' when 'task_skipped' then 'skipped'
                       when 'task_failed' then 'failed' else 'waiting' end, e.time, e.data
    from derive_events(ids, '{task_completed,task_skipped,task_retried,task_failed,retried}') e where e.type <> 'retried'
$$;

-- A retry begins anew what failed or is not over: it has the request's run then, and no tries. due_at: at once, or when
-- it was to be tried again.
create function derive_request_task(ids text[]) returns setof request_task
language sql stable parallel safe as $$
    with request as (
        select i.id as request_id, coalesce(max(e.run), 0) as run
        from unnest(ids) i(id) left join derive_events(ids, '{retried}') e on e.request_id = i.id group by i.id
    ), tried as materialized (
        select * from derive_tried(ids)
    ), last as (
        select distinct on (t.request_id, t.id) t.*, count(*) over (partition by t.request_id, t.id, t.run) as tries
        from tried t order by t.request_id, t.id, t.seq desc
    ), told as (
        select p.*, l.data, l.time as told_at,
               case when l.state in ('complete', 'skipped') or (l.state = 'failed' and l.run = r.run) then l.state
                    else 'waiting' end as state,
               case when l.state in ('complete', 'skipped') then l.run else r.run end as now_run, l.run as told_run, l.tries
        from derive_planned(ids) p join request r on r.request_id = p.request_id
        left join last l on l.request_id = p.request_id and l.id = p.id
    )
    select t.request_id, t.id, t.action, t.place::integer, t.connection_key, t.dataset,
           case when t.dataset is not null then substr(t.id, length(t.action) + length(t.dataset) + 3) end, t.needs,
           t.state, t.now_run, case when t.told_run = t.now_run then t.tries::integer else 0 end,
           case when t.state = 'waiting' and t.told_run = t.now_run then (t.data ->> 'next_try_at')::timestamptz
                when t.state = 'waiting' and t.needs = '{}' then t.time end,
           null::text, t.data ->> 'attempt_id', (t.data ->> 'row_count')::bigint, t.data -> 'fields_affected',
           t.data ->> 'message', null::text, null::bigint, t.time,
           case when t.needs = '{}' then t.time end,
           case when t.state <> 'waiting' then t.told_at end
    from told t
$$;

-- --- what else there is ---------------------------------------------------------------------------------

create function derive_request_timer(ids text[]) returns setof request_timer
language sql stable parallel safe as $$
    select e.request_id, 'expiry', (e.data ->> 'expires_at')::timestamptz, null::timestamptz, null::text
    from (select distinct on (e.request_id) e.* from derive_events(ids) e where e.data ? 'status' or e.type = 'deleted'
          order by e.request_id, e.seq desc) e
    where e.type = 'paused'
$$;

-- `sealed` is empty: what was filled in is nowhere but in the table.
create function derive_manual_input(ids text[]) returns setof manual_input
language sql stable parallel safe as $$
    with e as materialized (
        select * from derive_events(ids, '{input_given,forgotten}')
    )
    select i.request_id, i.webhook_id, i.action, array(select jsonb_array_elements_text(i.labels)), '\x'::bytea,
           i.saved_by, i.time
    from (select distinct on (e.request_id, e.data ->> 'webhook_id', e.data ->> 'action')
                 e.request_id, e.data ->> 'webhook_id' as webhook_id, e.data ->> 'action' as action,
                 e.data -> 'labels' as labels, coalesce(e.data ->> 'user_id', e.data ->> 'client_id') as saved_by, e.time
          from e where e.type = 'input_given'
          order by e.request_id, e.data ->> 'webhook_id', e.data ->> 'action', e.seq desc) i
    where not exists (select from e f where f.request_id = i.request_id and f.type = 'forgotten')
$$;

-- Without the storage's configuration, and the time when it is to be deleted.
create function derive_request_package(ids text[]) returns setof request_package
language sql stable parallel safe as $$
    select p.request_id, p.data ->> 'rule_key', p.data ->> 'storage_key', '{}'::jsonb, p.data ->> 'format',
           p.data ->> 'location', (p.data ->> 'bytes')::bigint, p.data ? 'encrypted', p.time, null::timestamptz
    from (select distinct on (e.request_id, e.data ->> 'rule_key') e.*
          from derive_events(ids, '{task_completed,package_deleted}') e
          where e.type = 'package_deleted' or e.data ? 'location'
          order by e.request_id, e.data ->> 'rule_key', e.seq desc) p
    where p.type = 'task_completed'
$$;

-- --- derived and found ----------------------------------------------------------------------------------

-- The tables of a request, with what of them is not in the log: README.md says why. Of duration_us only milliseconds are.
create function audit_tables() returns table (name text, id text, keys text[], uncovered text[])
language sql immutable parallel safe as $$
    values
    ('privacy_request', 'id', '{id}'::text[],
     '{location,property_id,external_id,sealed_identity,sealed_custom_fields,sealed_reason,sealed_encryption_key}'::text[]),
    ('webhook_delivery', 'request_id', '{id}', '{due_at,worker,sealed_derived,sealed_resumed}'),
    ('webhook_attempt', 'request_id', '{delivery_id,attempt}', '{started_at,address,answer,headers}'),
    ('pre_approval_reply', 'request_id', '{webhook_id}', '{}'),
    ('request_task', 'request_id', '{id}', '{due_at,worker,erase_xid,erase_count,started_at}'),
    ('request_timer', 'request_id', '{kind}', '{leased_until,worker}'),
    ('manual_input', 'request_id', '{webhook_id,action}', '{sealed}'),
    ('request_package', 'request_id', '{rule_key}', '{storage,delete_at}')
$$;

-- The covered columns of a table as an expression each, for a row `r`.
create function audit_columns(name text) returns table (name text, value text)
language sql stable parallel safe as $$
    select a.attname::text,
           case a.attname when 'duration_us' then 'r.duration_us / 1000' else format('r.%I', a.attname) end
    from audit_tables() t join pg_attribute a on a.attrelid = t.name::regclass
    where t.name = audit_columns.name and a.attnum > 0 and not a.attisdropped and a.attname <> all(t.uncovered)
    order by a.attnum
$$;

-- Those of a request that are in no event: a plan too long for one, a list of fields too long for one.
create function audit_is_untold(request_id text, name text, key text, "column" text) returns boolean
language sql stable as $$
    select name = 'request_task' and exists (
        select from derive_events(array[audit_is_untold.request_id], '{tasks_planned,task_completed}') e
        where ("column" is null and e.type = 'tasks_planned' and key like (e.data ->> 'action') || ':%'
               and (e.data ->> 'task_count')::bigint > jsonb_array_length(e.data -> 'tasks'))
           or ("column" = 'fields' and e.data ->> 'task_id' = key and e.data ? 'fields_left_out'))
$$;

-- Rows of a table, derived or as they are found: the covered columns of each as an object by their names.
create function audit_rows(name text, derived boolean, ids text[])
returns table (request_id text, key text, content jsonb)
language plpgsql stable set timezone = 'UTC' as $$
declare
    source text := case when derived then format('derive_%s($1)', name) else quote_ident(name) end;
    id text;
    keys text;
    columns text;
begin
    select quote_ident(t.id), (select string_agg(format('r.%I', k), ' || '' '' || ') from unnest(t.keys) k),
           (select string_agg(format('%L, %s', c.name, c.value), ', ') from audit_columns(t.name) c)
    into strict id, keys, columns
    from audit_tables() t where t.name = audit_rows.name;
    return query execute format(
        'select r.%s::text, %s, jsonb_strip_nulls(jsonb_build_object(%s)) from %s r where r.%s = any($1)',
        id, keys, columns, source, id) using ids;
end $$;

-- Whether two databases have the same of a table: how many rows, and a digest of them.
create function audit_digest(name text, derived boolean, ids text[]) returns table (rows bigint, digest text)
language sql stable as $$
    select count(*), md5(coalesce(string_agg(md5(r.content::text), '' order by r.request_id collate "C", r.key collate "C"),
                                  ''))
    from audit_rows(name, derived, ids) r
$$;

-- Fills the tables of these requests, of which they have no rows.
create function audit_rebuild(ids text[]) returns table (name text, rows bigint)
language plpgsql as $$
begin
    for name in select t.name from audit_tables() t loop
        execute format('insert into %I select * from derive_%s($1)', name, name) using ids;
        get diagnostics rows = row_count;
        return next;
    end loop;
end $$;

-- Where the derived and the found differ: a row a column; `column` is null where a whole row is missing on one side.
-- found: an array of rows as audit_rows() has them, from elsewhere; null: this database's own.
create function audit_differences(name text, ids text[], found jsonb default null)
returns table (request_id text, key text, "column" text, derived text, found_value text)
language sql stable as $$
    with d as materialized (
        select * from audit_rows(name, true, ids)
    ), f as materialized (
        select * from audit_rows(name, false, case when audit_differences.found is null then ids else '{}' end)
        union all
        select * from jsonb_to_recordset(audit_differences.found) as r(request_id text, key text, content jsonb)
    ), differing as (
        select coalesce(d.request_id, f.request_id) as request_id, coalesce(d.key, f.key) as key,
               d.content as derived, f.content as found
        from d full join f on f.request_id = d.request_id and f.key = d.key
        where d.content is distinct from f.content
    ), told as (
        select x.request_id, x.key, null::text as "column", x.derived::text as derived, x.found::text as found_value
        from differing x where x.derived is null or x.found is null
        union all
        select x.request_id, x.key, c."column", c.derived, c.found
        from differing x cross join lateral (
            select coalesce(a.key, b.key) as "column", a.value as derived, b.value as found
            from jsonb_each_text(x.derived) a full join jsonb_each_text(x.found) b on b.key = a.key
            where a.value is distinct from b.value) c
        where x.derived is not null and x.found is not null
    )
    select t.* from told t where not audit_is_untold(t.request_id, name, t.key, t."column")
    order by t.request_id collate "C", t.key collate "C", t."column" collate "C"
$$;

-- Where the tables of these requests differ from what their events say.
create function audit_problems(ids text[])
returns table (request_id text, name text, key text, "column" text, derived text, found text)
language plpgsql stable as $$
declare
    covered text[] := array(select i from unnest(ids) i where i <> 'configuration' except select derive_older(ids));
begin
    return query
    select d.request_id, t.name, d.key, d."column", d.derived, d.found_value
    from audit_tables() t cross join lateral audit_differences(t.name, covered) d;
exception when data_exception then
    -- A payload that can't be read: each request by itself, so that it is known whose it is.
    if cardinality(ids) = 1 then
        return query select ids[1], 'request_event'::text, null::text, 'payload'::text, null::text, sqlerrm;
        return;
    end if;
    return query select p.* from unnest(ids) i cross join lateral audit_problems(array[i]) p;
end $$;

-- The next request's id. The configuration's events (0009), which stand in request_event too, are no request's.
create function audit_next(after text) returns text
language sql stable as $$
    select least((select e.request_id from request_event e where e.request_id > after and e.request_id < 'configuration'
                  order by e.request_id limit 1),
                 (select e.request_id from request_event e
                  where e.request_id > greatest(after, 'configuration' collate "C") order by e.request_id limit 1),
                 (select p.id from privacy_request p where p.id > after order by p.id limit 1),
                 (select w.request_id from webhook_delivery w where w.request_id > after order by w.request_id limit 1))
$$;

-- As docketctl audit verify asks for it (0007): "row" where a whole row is missing.
create or replace function audit_check(ids text[])
returns table (request_id text, relation text, row_key text, field text, derived text, found text)
language sql stable
set plan_cache_mode = force_custom_plan
as $$
    select p.request_id, p.name, p.key, coalesce(p."column", 'row'), p.derived, p.found from audit_problems(ids) p
$$;

-- The next `count` requests after `after`, of which there is an event, a row or a call: found by skipping from one to
-- the next in the primary keys.
create function audit_page(after text, count bigint) returns setof text
language sql stable as $$
    with recursive page as (
        select audit_next(after) as id, 1 as n
        union all
        select audit_next(page.id), page.n + 1 from page where page.id is not null and page.n < count
    )
    select page.id from page where page.id is not null
$$;

-- --- the ledger of calls --------------------------------------------------------------------------------

-- Each call of these requests, as the log owes it and as it is found. state, reason: the row's; null: there is none.
-- logged: the state by the log; null: nothing owes it. unread: requests with events that no worker is done with, beside
-- those whose events wait in the outbox. problem: null when it balances, else
--   missing      it is owed by the log, and has no row
--   not_owed     it has a row, and nothing in the log owes it
--   contradicted its state is another than the log says
--   no_time      it waits, at no time and for no event
--   no_webhook   it waits, and its webhook is no more
create function ledger_calls(ids text[], unread text[])
returns table (request_id text, delivery_id text, webhook_id text, connection_id text, logged text, state text,
               reason text, problem text)
language sql stable as $$
    select c.*, case
        when c.state is null then 'missing'
        when c.logged is null then 'not_owed'
        when c.state <> c.logged then 'contradicted'
        when c.state = 'waiting' and w.due_at is null and c.request_id <> all(unread)
             and c.request_id not in (select unnest(o.request_ids) from request_outbox o) then 'no_time'
        when c.state = 'waiting' and w.due_at < now() and not exists (select from review_sweep)
             and not exists (select from pre_approval_webhook h where h.id = c.webhook_id)
             and not exists (select from policy_webhook h where h.id = c.webhook_id) then 'no_webhook' end
    from (select coalesce(d.request_id, w.request_id) as request_id, coalesce(d.id, w.id) as delivery_id,
                 coalesce(w.webhook_id, d.webhook_id) as webhook_id, coalesce(d.connection_id, w.connection_id) as connection_id,
                 d.state as logged, w.state, w.outcome as reason
          from derive_webhook_delivery(array(select i from unnest(ids) i except select derive_older(ids))) d
          full join (select w.* from webhook_delivery w
                     where w.request_id = any(ids) and w.request_id not in (select derive_older(ids))) w
               on w.request_id = d.request_id and w.id = d.id) c
    left join webhook_delivery w on w.request_id = c.request_id and w.id = c.delivery_id
$$;

-- Whether what is held has a reason to be: its connection is disabled or paused, or it is about to be looked at again.
create function ledger_is_held(webhook text) returns boolean
language sql stable as $$
    select exists (select from review_sweep) or exists (
        select from (select connection_id from pre_approval_webhook where id = webhook
                     union all select connection_id from policy_webhook where id = webhook) h
        join connection c on c.id = h.connection_id where c.disabled or c.paused_at is not null)
$$;

-- What a run waits for; null: all is well.
create function ledger_run_why(request text) returns text
language sql stable as $$
    with call as (
        select d.webhook_id, d.state from webhook_delivery d
        where d.request_id = request and d.kind <> 'pre_approval' and not d.passed
          and (d.state = 'held' or (d.state = 'waiting' and d.due_at is not null))
    )
    select case when exists (select from call where state = 'waiting') then null
                when exists (select from request_task t
                             where t.request_id = request and t.state = 'waiting' and t.due_at is not null) then null
                when not exists (select from call) then 'no_call'
                when not exists (select from call where ledger_is_held(webhook_id)) then 'held' end
$$;

-- What a request waits for until it is approved. Whose call was given up, and who has no webhook left to wait for, waits
-- for a person.
create function ledger_approval_why(request text) returns text
language sql stable as $$
    with webhook as (
        select h.id, r.eligible, d.state
        from pre_approval_webhook h
        left join pre_approval_reply r on r.request_id = request and r.webhook_id = h.id
        left join webhook_delivery d on d.request_id = request and d.webhook_id = h.id
    )
    select case when exists (select from review_sweep) then null
                when exists (select from webhook where eligible is null and state is null) then 'no_reply'
                when exists (select from webhook) and not exists (select from webhook where eligible is not true)
                then 'not_approved'
                when exists (select from webhook where state = 'held' and not ledger_is_held(id)) then 'held' end
$$;

-- Whoever is asked for what a request waits for: one of those that were told, as they are now.
create function ledger_is_asked(awaited text) returns boolean
language sql stable as $$
    select exists (select from review_sweep) or exists (
        select from unnest(string_to_array(awaited, ',')) a(awaited)
        join connection c on c.key = split_part(a.awaited, ':', 2) and not c.disabled
        join manual_webhook m on m.connection_id = c.id)
$$;

-- Requests that wait, and nobody is left who would move them on: no person, no endpoint, no worker, no clock. unread: as
-- above. why:
--   unread       nobody is about to read what sets it going
--   no_call      it runs, and no call or task of it is due, under way or held
--   held         a call is held that nothing holds
--   no_timer     it is paused without an end
--   no_asker     nobody is asked for what it waits for
--   no_reply     a pre-approval webhook exists that was not called and has not replied
--   not_approved every pre-approval webhook has said eligible
create function ledger_nobody(ids text[], unread text[])
returns table (request_id text, status text, seq bigint, why text)
language sql stable as $$
    select p.id, p.status, p.seq, w.why
    from privacy_request p
    cross join lateral (select case p.status
        when 'approved' then 'unread'
        when 'in_processing' then ledger_run_why(p.id)
        when 'awaiting_pre_approval' then ledger_approval_why(p.id)
        when 'paused' then
            case when not exists (select from request_timer t where t.request_id = p.id) then 'no_timer' end
        when 'requires_input' then case when not ledger_is_asked(p.input_awaited) then 'no_asker' end
        end as why) w
    where p.id = any(ids) and p.deleted_at is null and w.why is not null and p.id <> all(unread)
      and p.id not in (select unnest(o.request_ids) from request_outbox o)
$$;

-- What is wrong with these requests: calls that do not balance, and whom nobody moves on (`delivery_id` empty).
create function ledger_findings(ids text[], unread text[])
returns table (request_id text, delivery_id text, problem text, seq bigint)
language sql stable as $$
    select c.request_id, c.delivery_id, c.problem, p.seq
    from ledger_calls(ids, unread) c left join privacy_request p on p.id = c.request_id
    where c.problem is not null
    union all
    select n.request_id, '', n.why, n.seq from ledger_nobody(ids, unread) n
$$;

-- Whether a problem is one whatever anybody is at: a call and its events are written together.
create function ledger_is_plain(problem text) returns boolean
language sql immutable parallel safe as $$
    select problem in ('missing', 'not_owed', 'contradicted')
$$;

-- The workers look at the requests a page at a time, one of them after each interval: at those that wait, over and over,
-- and beside that at all there are. What they find stays here until it is mended; it is confirmed once it is known that
-- nobody was at it.
create table ledger_walk (
    only_row     boolean primary key default true check (only_row),
    leased_until timestamptz not null default '-infinity',
    open_status  text not null default '',
    open_id      text collate "C" not null default '',
    any_id       text collate "C" not null default ''
);
insert into ledger_walk default values;

create table ledger_finding (
    request_id   text collate "C" not null,
    delivery_id  text collate "C" not null default '', -- empty: it is about the request
    problem      text not null,
    seq          bigint,               -- the request's, as it was found
    found_at     timestamptz not null default now(),
    confirmed_at timestamptz,
    primary key (request_id, delivery_id, problem)
);
