/*
 * bench_collect - reads a collection of one person as a worker does, in this process alone, and reads it back as a
 * package does: how fast, and in how much memory. `COPY (query) TO STDOUT` of the same query is beside it.
 *
 *   bench_collect DOCKET_URL HOST PORT DATABASE USER PASSWORD TABLE KEY_COLUMN KEY COLUMNS(a,b,c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/graph.h"
#include "common/query.h"
#include "common/rows.h"
#include "worker/execute/job.h"

enum { ARGUMENTS = 11, ROUNDS = 3 };

struct bench {
    const char *docket, *host, *port, *database, *user, *password, *table, *key_column, *key, *columns;
    struct arena *arena;
    struct catalog catalog;
    struct catalog_policy policy;
    struct job job;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_collect: %s\n", what);
    exit(1);
}

static double seconds_since(usec_t start)
{
    return (double)(usec_monotonic() - start) / (double)USEC_PER_S;
}

static long resident_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static bool any_category(const char *category)
{
    (void)category;
    return true;
}

static json_object *document(const struct bench *bench)
{
    _cleanup_(buf_free) struct buf json = BUF_INIT(1024 * 1024);
    char *columns = strdup(bench->columns), *save = NULL;

    buf_printf(&json, "{\"fides_key\":\"d\",\"name\":\"d\",\"collections\":[{\"name\":\"%s\",\"fields\":[",
               bench->table);
    for (char *name = strtok_r(columns, ",", &save), *first = name; name; name = strtok_r(NULL, ",", &save))
        buf_printf(&json, "%s{\"name\":\"%s\",\"data_categories\":[\"user.name\"]%s}", name == first ? "" : ",", name,
                   strcmp(name, bench->key_column) ? "" : ",\"fides_meta\":{\"identity\":\"email\"}");
    buf_adds(&json, "]}]}");
    free(columns);
    return json_tokener_parse(json.data);
}

static void make_catalog(struct bench *bench)
{
    struct catalog_source *source = arena_new_of(bench->arena, struct catalog_source);
    struct catalog_connection *connection = arena_new_of(bench->arena, struct catalog_connection);
    struct catalog_dataset *dataset = arena_new_of(bench->arena, struct catalog_dataset);
    _cleanup_(json_object_putp) json_object *parsed = document(bench);
    struct schema_errors errors = { 0 };
    struct graph_dataset node = { .connection_key = "c" };
    struct err err = { 0 };

    *source = (struct catalog_source){ .host = bench->host, .database = bench->database, .username = bench->user,
                                       .password = bench->password, .port = atoi(bench->port) };
    *connection = (struct catalog_connection){ .id = "c", .key = "c", .type = "postgres", .does_access = true,
                                               .source = source };
    if (dataset_read(parsed, NULL, any_category, bench->arena, &dataset->dataset, &errors, &err) < 0)
        die(err.text);
    dataset->connection = connection;
    node.dataset = dataset->dataset;
    bench->catalog.datasets = dataset;
    bench->catalog.dataset_count = 1;
    if (graph_new(&node, 1, bench->arena, &bench->catalog.graph, &err) < 0)
        die(err.text);
}

static void make_job(struct bench *bench)
{
    static const char *const targets[] = { "user" };
    static const struct catalog_rule rule = { .action_type = "access", .targets = { targets, 1 } };
    struct config *config = arena_new_of(bench->arena, struct config);

    config->source_connect_timeout = 10 * USEC_PER_S;
    config->source_statement_timeout = 600 * USEC_PER_S;
    config->source_row_limit = 100000000;
    bench->policy = (struct catalog_policy){ .rules = &rule, .rule_count = 1 };
    bench->job.arena = bench->arena;
    bench->job.config = config;
    bench->job.catalog = &bench->catalog;
    bench->job.policy = &bench->policy;
    bench->job.request_id = "pri_bench";
    bench->job.identity = arena_printf(bench->arena, "{\"email\":\"%s\"}", bench->key);
    bench->job.task = (struct task){ .id = "access:d:t", .dataset = "d", .collection = bench->table };
    bench->job.attempt = "bench";
    bench->job.db = db_new(bench->docket, "bench_collect");
}

static int64_t collect(struct bench *bench)
{
    struct job_outcome outcome = { 0 };
    struct err err = { 0 };

    if (rows_delete(bench->job.db, "pri_bench", NULL, NULL, &err) < 0)
        die(err.cause);
    collect_run(&bench->job, &outcome);
    if (outcome.result != JOB_COMPLETE)
        die(outcome.message);
    return outcome.row_count;
}

static int64_t read_back(struct bench *bench)
{
    const struct rows_place place = { "pri_bench", "access:d:t", "bench", bench->job.key };
    _cleanup_(rows_reader_freep) struct rows_reader *reader = NULL;
    const struct rows_value *row;
    struct err err = { 0 };
    int64_t count = 0;
    int r;

    if (rows_read(bench->job.db, &place, &reader, &err) < 0)
        die(err.cause);
    while ((r = rows_next(reader, &row, &err)) == 1)
        count++;
    if (r < 0)
        die(err.cause);
    return count;
}

static int64_t copy(const struct bench *bench)
{
    const char *const names[] = { "host", "port", "dbname", "user", "password", NULL };
    const char *const values[] = { bench->host, bench->port, bench->database, bench->user, bench->password, NULL };
    PGconn *conn = PQconnectdbParams(names, values, 0);
    int64_t count = 0;
    char *line;

    PQclear(PQexec(conn, arena_printf(bench->arena, "copy (select %s from %s where %s = '%s') to stdout",
                                      bench->columns, query_identifier(bench->table, bench->arena),
                                      query_identifier(bench->key_column, bench->arena), bench->key)));
    while (PQgetCopyData(conn, &line, 0) > 0) {
        PQfreemem(line);
        count++;
    }
    PQfinish(conn);
    return count;
}

int main(int argc, char **argv)
{
    struct bench bench = { .arena = arena_new() };

    if (argc != ARGUMENTS)
        die("see its source for the arguments");
    memcpy(&bench, argv + 1, (ARGUMENTS - 1) * sizeof(char *));
    make_catalog(&bench);
    make_job(&bench);
    for (int i = 0; i < ROUNDS; i++) {
        long before = resident_kib();
        usec_t start = usec_monotonic();
        int64_t rows = collect(&bench), back;
        double collected = seconds_since(start), read, copied;

        start = usec_monotonic();
        back = read_back(&bench);
        read = seconds_since(start);
        start = usec_monotonic();
        if (copy(&bench) != rows || back != rows)
            die("not the same rows");
        copied = seconds_since(start);
        printf("{\"rows\": %lld, \"collect_s\": %.3f, \"read_s\": %.3f, \"copy_s\": %.3f, \"ratio\": %.2f, "
               "\"resident_mib_before\": %ld, \"resident_mib\": %ld}\n",
               (long long)rows, collected, read, copied, copied / (collected + read), before / 1024,
               resident_kib() / 1024);
        fflush(stdout);
    }
    db_free(bench.job.db);
    arena_free(bench.arena);
    return 0;
}
