/*
 * disclosures - to whom a request's person's data went, when, what of it, and why: from the topic alone, and signed for
 * who asks for it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/schema.h"
#include "common/sign.h"
#include "worker/ctl/audit/account.h"
#include "worker/ctl/audit/audit.h"
#include "worker/ctl/audit/log.h"
#include "worker/ctl/option.h"
#include "worker/ctl/verb.h"

#define USAGE "audit disclosures REQUEST [--json] [--export FILE]"

enum { JSON_FLAGS = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, TOPIC_BYTES = 192, LINE_BYTES = 64 * 1024 };

struct options {
    bool json;
    const char *export;
};

static const struct option_row rows[] = {
    { "--json", OPTION_FLAG, offsetof(struct options, json) },
    { "--export", OPTION_TEXT, offsetof(struct options, export) },
    { 0 },
};

/* --- reading ------------------------------------------------------------------------------------------- */

/* partition LOG_ALL: the whole topic. */
static int read_partition(const struct config *config, int32_t partition, struct account *account, struct err *err)
{
    const struct log_range range = { .since = USEC_NONE, .partition = partition };
    _cleanup_(log_closep) struct log *log = NULL;
    const struct record *record = NULL;
    int r = log_open(config, "lifecycle", &range, &log, err);

    while (r == 0 && (r = log_next(log, &record, err)) == 0 && record)
        account_take(account, record);
    return r;
}

static int own_partition(const struct config *config, const char *request_id, int32_t *ret, struct err *err)
{
    _cleanup_(log_closep) struct log *log = NULL;
    int r = log_open(config, "lifecycle", NULL, &log, err);

    if (r == 0)
        *ret = log_partition_of(request_id, strlen(request_id), log_partitions(log));
    return r;
}

/* A request's events are on one partition. Where they are not all on the one that is theirs now, the topic has got more
 * partitions since, or was copied, and all of it is looked at. *problem NULL: they are whole. */
static int read_account(const struct config *config, const char *request_id, struct account **ret, const char **problem,
                        struct err *err)
{
    _cleanup_(account_freep) struct account *account = account_new(request_id);
    int32_t partition = LOG_ALL;
    int r = own_partition(config, request_id, &partition, err);

    if (r == 0)
        r = read_partition(config, partition, account, err);
    if (r == 0 && (*problem = account_problem(account))) {
        account_free(account);
        account = account_new(request_id);
        r = read_partition(config, LOG_ALL, account, err);
        *problem = r == 0 ? account_problem(account) : NULL;
    }
    if (r == 0)
        *ret = TAKE(account);
    return r;
}

/* --- for people ---------------------------------------------------------------------------------------- */

/* "a, b"; "none". */
static void add_list(struct buf *line, json_object *list)
{
    size_t count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < count; i++)
        buf_printf(line, "%s%s", i ? ", " : "", json_object_get_string(json_object_array_get_idx(list, i)));
    buf_adds(line, count ? "" : "none");
}

static bool is_whole(json_object *parts)
{
    return json_object_array_length(parts) == 1 &&
           !strcmp(json_object_get_string(json_object_array_get_idx(parts, 0)), "*");
}

static void add_fields(struct buf *line, json_object *disclosure)
{
    json_object *parts = schema_get(disclosure, "parts");

    if (schema_get(disclosure, "rule_keys")) {
        buf_printf(line, "%s of rule ", schema_text(disclosure, "what"));
        add_list(line, schema_get(disclosure, "rule_keys"));
        return;
    }
    buf_adds(line, "identity: ");
    add_list(line, schema_get(disclosure, "identity"));
    buf_adds(line, "; of the request: ");
    if (parts && is_whole(parts))
        buf_adds(line, "all");
    else
        add_list(line, parts);
}

static void add_receiver(struct buf *line, json_object *to)
{
    static const char *const ids[] = { "client_id", "user_id" };
    const char *connection = schema_text(to, "connection_key"), *host = schema_text(to, "host");

    if (connection) {
        buf_printf(line, host ? "%s (%s)" : "%s", connection, host);
        return;
    }
    buf_adds(line, !strcmp(schema_text(to, "kind"), "link") ? "whoever had the link" : schema_text(to, "kind"));
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        if (schema_text(to, ids[i]))
            buf_printf(line, " %s", schema_text(to, ids[i]));
}

static void add_reason(struct buf *line, json_object *disclosure)
{
    json_object *why = schema_get(disclosure, "why");

    if (schema_text(why, "webhook_key"))
        buf_printf(line, "webhook %s (%s), ", schema_text(why, "webhook_key"), schema_text(why, "kind"));
    buf_printf(line, "policy %s", schema_text(why, "policy_key") ? schema_text(why, "policy_key") : "that is gone");
    if (schema_text(why, "action_type"))
        buf_printf(line, ", %s", schema_text(why, "action_type"));
    if (!schema_get(disclosure, "attempt"))
        return;
    buf_printf(line, "; attempt %lld: %s", schema_int(disclosure, "attempt", 0), schema_text(disclosure, "outcome"));
    if (schema_get(disclosure, "status_code"))
        buf_printf(line, ", status %lld", schema_int(disclosure, "status_code", 0));
}

static void tell_line(void (*add)(struct buf *line, json_object *of), json_object *of, const char *before)
{
    _cleanup_(buf_free) struct buf line = BUF_INIT(LINE_BYTES);

    add(&line, of);
    printf("%s%s\n", before, line.data);
}

static void tell(json_object *statement)
{
    json_object *list = schema_get(statement, "disclosures");
    size_t count = json_object_array_length(list);
    long long nothing = schema_int(statement, "nothing_disclosed", 0), untold = schema_int(statement, "untold", 0);

    for (size_t i = 0; i < count; i++) {
        json_object *disclosure = json_object_array_get_idx(list, i);

        printf("%s  ", schema_text(disclosure, "time"));
        tell_line(add_receiver, schema_get(disclosure, "to"), "");
        tell_line(add_fields, disclosure, "    ");
        tell_line(add_reason, disclosure, "    ");
    }
    printf("%zu disclosure%s in %lld events of %s, whose chain is unbroken", count, count == 1 ? "" : "s",
           schema_int(statement, "event_count", 0), schema_text(statement, "request_id"));
    if (nothing)
        printf("; %lld attempt%s disclosed nothing", nothing, nothing == 1 ? "" : "s");
    if (untold)
        printf("; of %lld call%s an older docket did not tell what %s disclosed", untold, untold == 1 ? "" : "s",
               untold == 1 ? "it" : "they");
    printf("\n");
}

/* --- signed -------------------------------------------------------------------------------------------- */

/* The statement is a text within, so that the bytes that are signed survive whoever formats the file anew. */
static json_object *sealed_statement(const struct sign_ring *ring, const char *text)
{
    char signature_text[SIGN_TEXT_BYTES], key_text[SIGN_PUBLIC_TEXT_BYTES];
    json_object *object = json_object_new_object();
    uint8_t signature[SIGN_BYTES];
    const char *id = sign_make(ring, text, strlen(text), signature);

    json_object_object_add(object, "statement", json_object_new_string(text));
    json_object_object_add(object, "key_id", json_object_new_string(id));
    json_object_object_add(object, "public_key",
                           json_object_new_string(sign_public_text(sign_ring_public(ring, 0), key_text)));
    json_object_object_add(object, "signature", json_object_new_string(sign_text(signature, signature_text)));
    return object;
}

static int file_failed(const char *path, struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "%.200s: %s", path, strerror(errno));
}

static int file_write(const char *path, const char *text, struct err *err)
{
    FILE *file = fopen(path, "we");

    if (!file)
        return file_failed(path, err);
    if (fprintf(file, "%s\n", text) < 0) {
        file_failed(path, err);
        fclose(file);
        return -ERR_UNAVAILABLE;
    }
    return fclose(file) ? file_failed(path, err) : 0;
}

static int export(const struct sign_ring *ring, const char *path, json_object *statement, struct err *err)
{
    const char *text = json_object_to_json_string_ext(statement, JSON_FLAGS);
    _cleanup_(json_object_putp) json_object *sealed = sealed_statement(ring, text);

    return file_write(path, json_object_to_json_string_ext(sealed, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                                       JSON_C_TO_STRING_NOSLASHESCAPE),
                      err);
}

/* --- the verb ------------------------------------------------------------------------------------------ */

static int ring_take(const struct config *config, const struct options *options, struct sign_ring **ret, struct err *err)
{
    int r = options->export ? sign_ring_new(config->checkpoint_keys, ret, err) : 0;

    if (r == 0 && options->export && !*ret)
        return err_set(err, ERR_BAD_REQUEST, "DOCKET_CHECKPOINT_KEYS is required: its first key signs what is exported");
    return r;
}

static int show(const struct options *options, json_object *statement, const struct sign_ring *ring, struct err *err)
{
    int r = ring ? export(ring, options->export, statement, err) : 0;

    if (r < 0)
        return r;
    if (options->json)
        printf("%s\n", json_object_to_json_string_ext(statement, JSON_FLAGS));
    else
        tell(statement);
    return 0;
}

static int disclose(const struct config *config, const struct options *options, const char *request_id, struct err *err)
{
    _cleanup_(json_object_putp) json_object *statement = NULL;
    _cleanup_(account_freep) struct account *account = NULL;
    _cleanup_(sign_ring_freep) struct sign_ring *ring = NULL;
    const char *problem = NULL;
    char topic[TOPIC_BYTES];
    int r = ring_take(config, options, &ring, err);

    if (r == 0)
        r = read_account(config, request_id, &account, &problem, err);
    if (r < 0)
        return r;
    /* What is not whole is neither shown as an account nor signed. */
    if (problem)
        return err_set(err, ERR_REFUSED, "%s on %s.lifecycle: %s", request_id, config->topic_prefix, problem);
    snprintf(topic, sizeof(topic), "%s.lifecycle", config->topic_prefix);
    statement = account_statement(account, topic, usec_now());
    return show(options, statement, ring, err);
}

int audit_disclosures(const struct config *config, char **args, struct err *err)
{
    struct options options = { 0 };
    struct option_texts words;
    int r = option_read(args, rows, &options, &words, err);

    if (r == 0 && words.count != 1)
        return verb_usage(USAGE, err);
    return r < 0 ? r : disclose(config, &options, words.texts[0], err);
}
