/*
 * sql - a named statement, made from a `-- name:` block of a .sql file by cmake/sql.awk. A connection prepares
 * it under its name the first time that it runs it.
 */
#pragma once

struct sql {
    const char *name;
    const char *text;
};
