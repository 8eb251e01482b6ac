-- Run in customers' databases, by libpq alone: unprepared, with text parameters.

-- name: source_settings
-- For the session: nothing depends on how their server is set up. $1 schema, $2 milliseconds, $3 read only.
-- A database without an encoding would refuse to send what is no UTF-8: it sends its bytes as they are.
select set_config('search_path', case when $1::text is null then current_setting('search_path')
                                      else quote_ident($1::text) end, false),
       set_config('statement_timeout', $2::text, false),
       set_config('default_transaction_read_only', $3::text, false),
       set_config('client_encoding', case current_setting('server_encoding') when 'SQL_ASCII' then 'SQL_ASCII'
                                          else 'UTF8' end, false),
       set_config('TimeZone', 'UTC', false),
       set_config('DateStyle', 'ISO, YMD', false),
       set_config('IntervalStyle', 'iso_8601', false),
       set_config('bytea_output', 'hex', false),
       set_config('extra_float_digits', '3', false)

-- name: source_snapshot
begin isolation level repeatable read, read only

-- name: source_table
-- A row a column; none when there is no such table. A domain is followed to its base, through other domains. What only
-- newer servers have (attgenerated, attidentity) is asked for in a way that older ones understand.
with recursive named as (
    select c.oid from pg_catalog.pg_class c
    where c.oid = to_regclass(coalesce(quote_ident($1::text) || '.', '') || quote_ident($2::text))
      and c.relkind in ('r', 'p', 'v', 'm', 'f')
), followed as (
    select a.attrelid, a.attnum, a.attname, a.atttypid as type, a.atttypid as base, a.atttypmod as modifier,
           a.attnotnull as not_null,
           coalesce(to_jsonb(a) ->> 'attgenerated', '') = 's' or coalesce(to_jsonb(a) ->> 'attidentity', '') = 'a'
               as generated
    from pg_catalog.pg_attribute a join named n on n.oid = a.attrelid
    where a.attnum > 0 and not a.attisdropped
    union all
    select f.attrelid, f.attnum, f.attname, f.type, t.typbasetype,
           case when f.modifier = -1 then t.typtypmod else f.modifier end, f.not_null or t.typnotnull, f.generated
    from followed f join pg_catalog.pg_type t on t.oid = f.base
    where t.typtype = 'd'
)
select f.attname::text, f.type::int8, f.base::int8,
       case when t.typcategory = 'A' then t.typelem else 0 end::int8 as element,
       format_type(f.type, -1) as type_name, format_type(f.base, -1) as base_name,
       case when t.typcategory = 'A' then format_type(t.typelem, -1) end as element_name, t.typcategory::text,
       case when t.typcategory = 'A' then e.typcategory::text end as element_category,
       case when f.base in (1042, 1043, 1014, 1015) and f.modifier > 4 then f.modifier - 4 else 0 end::int4 as length,
       f.not_null, f.generated, coalesce(array_position(i.indkey::int2[], f.attnum), -1)::int4 as key_place
from followed f
join pg_catalog.pg_type t on t.oid = f.base and t.typtype <> 'd'
left join pg_catalog.pg_type e on e.oid = t.typelem
left join pg_catalog.pg_index i on i.indrelid = f.attrelid and i.indisprimary
order by f.attnum
