-- The record of migrations. It comes before the first of them, so it cannot be one itself.

-- name: migrate_create
create table if not exists schema_migration (
    version    integer primary key,
    name       text not null,
    sha256     text not null,
    applied_at timestamptz not null default now()
);

-- name: migrate_exists
select to_regclass('schema_migration') is not null;

-- name: migrate_lock
-- Until the end of the transaction; the number is this table's alone.
select pg_advisory_xact_lock(7237120351);

-- name: migrate_list
select version, sha256 from schema_migration order by version;

-- name: migrate_last
select coalesce(max(version), 0) from schema_migration;

-- name: migrate_record
insert into schema_migration (version, name, sha256) values ($1, $2, $3);
