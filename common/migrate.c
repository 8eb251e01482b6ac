#include "common/migrate.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/db.h"
#include "common/log.h"
#include "common/migrate.sql.h"

struct migration {
    int version;
    const char *name; /* its file, without .sql */
    const char *text;
};

static const struct migration migrations[] = {
#include "common/migrate.tbl.h"
};

enum { SHA256_CHARS = 2 * crypto_hash_sha256_BYTES };

static int version_wanted(void)
{
    return migrations[COUNT_OF(migrations) - 1].version;
}

static const char *sha256(const char *text, char hex[SHA256_CHARS + 1])
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
    return sodium_bin2hex(hex, SHA256_CHARS + 1, hash, sizeof(hash));
}

/* One number or truth, the first of the first row. */
static int ask(struct db *db, const struct sql *sql, int64_t *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *result = NULL;
    int r = db_run(db, sql, NULL, &result, err);

    if (r < 0)
        return r;
    *ret = PQgetlength(result, 0, 0) == 1 ? db_get_bool(result, 0, 0) : db_get_int(result, 0, 0);
    return 0;
}

int migrate_state(struct db *db, struct migrate_state *ret, struct err *err)
{
    int64_t exists = 0, version = 0;
    int r = ask(db, &SQL_migrate_exists, &exists, err);

    if (r == 0 && exists)
        r = ask(db, &SQL_migrate_last, &version, err);
    if (r < 0)
        return r;
    *ret = (struct migrate_state){ (int)version, version_wanted(), version >= version_wanted() };
    return 0;
}

/* Whether the row of `applied` is this file as it was then. */
static int check_unchanged(const struct migration *migration, const char *applied_sha256,
                           struct err *err)
{
    char hex[SHA256_CHARS + 1];

    if (!strcmp(sha256(migration->text, hex), applied_sha256))
        return 0;
    return err_cause(err, ERR_INTERNAL, "schemas/sql/%s.sql has changed since it was applied",
                     migration->name);
}

/* The first file without a row, NULL when there is none. Rows past our last file are a newer
 * program's. */
static int find_missing(struct db *db, const struct migration **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *result = NULL;
    int r = db_run(db, &SQL_migrate_list, NULL, &result, err), row = 0;

    *ret = NULL;
    for (size_t i = 0; r == 0 && !*ret && i < COUNT_OF(migrations); i++) {
        if (row == PQntuples(result) || db_get_int(result, row, 0) != migrations[i].version)
            *ret = &migrations[i];
        else
            r = check_unchanged(&migrations[i], db_get_text(result, row++, 1), err);
    }
    return r;
}

static int apply(struct db *db, const struct migration *migration, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct db_args *args = db_args_new(arena);
    char hex[SHA256_CHARS + 1];
    int r = db_script(db, migration->text, err);

    if (r < 0) {
        const struct err why = *err;

        return err_cause(err, why.code, "schemas/sql/%s.sql: %s", migration->name, why.cause);
    }
    db_int(args, migration->version);
    db_text(args, migration->name);
    db_text(args, sha256(migration->text, hex));
    return db_do(db, &SQL_migrate_record, args, err);
}

/* In a transaction: one more file, *done when there is none left. The lock ends with the
 * transaction, so it cannot be lost with a connection while work goes on. */
static int step(struct db *db, bool *done, struct err *err)
{
    const struct migration *missing = NULL;
    int64_t ignored;
    int r = ask(db, &SQL_migrate_lock, &ignored, err);

    if (r == 0)
        r = db_do(db, &SQL_migrate_create, NULL, err);
    if (r == 0)
        r = find_missing(db, &missing, err);
    if (r < 0)
        return r;
    *done = !missing;
    if (!missing)
        return 0;
    r = apply(db, missing, err);
    if (r == 0)
        log_info("migrate.applied", log_word("file", missing->name));
    return r;
}

int migrate_run(struct db *db, int *applied, struct err *err)
{
    bool done = false;
    int r = 0;

    for (*applied = 0; r == 0 && !done; *applied += r == 0 && !done) {
        r = db_begin(db, err);
        if (r < 0)
            return r;
        r = step(db, &done, err);
        if (r == 0)
            r = db_commit(db, err);
        else
            db_rollback(db);
    }
    return r;
}

/* Says it once for each thing that it waits for, not once a second. */
static void say_waiting(const struct migrate_state *state, int r, const struct err *err, int *said)
{
    int what = r < 0 ? -1 : state->version + 1;

    if (*said == what)
        return;
    *said = what;
    if (r < 0)
        log_warn("database.waiting", log_word("code", err_word(err->code)),
                 log_word("cause", err->cause));
    else
        log_warn("schema.waiting", log_word("for", "docketctl migrate"),
                 log_number("version", state->version), log_number("wanted", state->wanted));
}

int migrate_wait(struct db *db, const volatile sig_atomic_t *stop, struct err *err)
{
    const struct timespec pause = { .tv_nsec = 250 * 1000000 };
    struct migrate_state state = { 0 };
    int r, said = 0;

    while (!*stop) {
        r = migrate_state(db, &state, err);
        if (r == 0 && state.current)
            return 0;
        if (r < 0 && err->code != ERR_UNAVAILABLE)
            return r;
        say_waiting(&state, r, err, &said);
        nanosleep(&pause, NULL); /* a signal ends it early */
    }
    return err_cause(err, ERR_UNAVAILABLE, "stopped while waiting for the database");
}
