/*
 * show - what happened to one request, from the topic alone: its state, its story line by line, what a checkpoint says of
 * it, and a proof for somebody outside.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/chain.h"
#include "common/structured.h"
#include "worker/ctl/audit/attest.h"
#include "worker/ctl/audit/audit.h"
#include "worker/ctl/audit/request.h"
#include "worker/ctl/audit/story.h"
#include "worker/ctl/option.h"
#include "worker/ctl/verb.h"

#define USAGE "audit show REQUEST; see docketctl audit --help"

enum { LINE_BYTES = 64 * 1024, JSON_BYTES = 512 * 1024 * 1024 };

DEFINE_CLEANUP(json_object *, json_object_put)

struct options {
    bool json;
    usec_t at;
    const char *proof;
    struct option_texts keys;
};

static const struct option_row rows[] = {
    { "--json", OPTION_FLAG, offsetof(struct options, json) },
    { "--at", OPTION_TIME, offsetof(struct options, at) },
    { "--proof", OPTION_TEXT, offsetof(struct options, proof) },
    { "--public-key", OPTION_TEXTS, offsetof(struct options, keys) },
    { 0 },
};

struct show {
    const struct config *config;
    struct options options;
    struct trust trust;
    struct arena *arena;
    struct request request;
    struct attest attest;
    const char *status; /* by the time that is asked for; NULL: it was not there yet */
    int shown;          /* how many events had happened by then */
};

/* --- the state ----------------------------------------------------------------------------------------- */

/* By when it happened. What has no time is shown always: nobody knows better. */
static bool had_happened(const struct show *show, const struct request_event *event)
{
    const char *text = event->event.attributes[RECORD_TIME];
    usec_t time;

    return show->options.at == USEC_NONE || !text || !usec_parse(text, &time) || time <= show->options.at;
}

static void state_find(struct show *show)
{
    for (int i = 0; i < show->request.count; i++) {
        const struct request_event *event = show->request.events[i];
        _cleanup_(json_object_putp) json_object *data = NULL;

        if (!had_happened(show, event))
            continue;
        data = story_data(&event->record);
        if (story_status(data))
            show->status = arena_strdup(show->arena, story_status(data));
        show->shown++;
    }
}

/* What is not as it should be; NULL when nothing is. */
static const char *problem_of(const struct show *show)
{
    const struct request *request = &show->request;
    const struct attest *attest = &show->attest;

    if (request->whole < request->count)
        return arena_printf(show->arena, "its chain breaks after event %d; docketctl audit verify says why",
                            request->whole);
    if (attest->found && attest_head(attest)->seq > request->count)
        return arena_printf(show->arena, "checkpoint %lld states event %lld of it, and the last one here is %d",
                            (long long)attest->checkpoint.number, (long long)attest_head(attest)->seq, request->count);
    if (attest->found && !attest_holds(attest, request))
        return arena_printf(show->arena, "checkpoint %lld states another chain of it",
                            (long long)attest->checkpoint.number);
    if (!attest->found && attest->unknown)
        return arena_printf(show->arena, "%lld checkpoints speak of it, none of them signed by a key that is known",
                            (long long)attest->unknown);
    return NULL;
}

/* --- for people ---------------------------------------------------------------------------------------- */

static void line_tell(const struct request_event *event)
{
    _cleanup_(json_object_putp) json_object *data = story_data(&event->record);
    _cleanup_(buf_free) struct buf line = BUF_INIT(LINE_BYTES);
    const char *const *attributes = event->event.attributes;

    buf_adds(&line, "  ");
    story_text(attributes[RECORD_TIME] ? attributes[RECORD_TIME] : "?", &line);
    buf_printf(&line, "  %4lld  ", (long long)event->event.sequence);
    story_what(attributes[RECORD_TYPE], data, &line);
    if (story_status(data)) {
        buf_adds(&line, " -> ");
        story_text(story_status(data), &line);
    }
    buf_adds(&line, "  (");
    story_who(attributes[RECORD_SOURCE], data, &line);
    printf("%s)\n", line.data);
}

static void state_tell(const struct show *show)
{
    char at[USEC_TEXT_BYTES];

    if (show->options.at != USEC_NONE)
        printf("at %s: ", usec_format_z(show->options.at, at));
    if (show->shown)
        printf("%s is %s, after %d event%s\n\n", show->request.id, show->status ? show->status : "without a status",
               show->shown, show->shown == 1 ? "" : "s");
    else
        printf("%s was not there yet\n", show->request.id);
}

static void checkpoint_tell(const struct show *show)
{
    const struct attest *attest = &show->attest;

    if (attest->found)
        printf("checkpoint %lld, signed by %s, states it at event %lld\n", (long long)attest->checkpoint.number,
               attest->checkpoint.key_id, (long long)attest_head(attest)->seq);
    else if (!attest->unknown)
        printf("no checkpoint speaks of it\n");
    if (attest->found && !show->trust.count)
        printf("note: %s\n", trust_nobody);
}

static void show_text(const struct show *show, const char *problem)
{
    state_tell(show);
    for (int i = 0; i < show->request.count; i++)
        if (had_happened(show, show->request.events[i]))
            line_tell(show->request.events[i]);
    putchar('\n');
    if (!problem)
        printf("its chain is whole, from event 1 to %d\n", show->request.whole);
    checkpoint_tell(show);
}

/* --- for programs -------------------------------------------------------------------------------------- */

static void member_text(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\":", name);
    buf_json_string(out, text);
    buf_addc(out, ',');
}

static void event_json(const struct request_event *event, struct buf *out)
{
    _cleanup_(json_object_putp) json_object *data = story_data(&event->record);
    _cleanup_(buf_free) struct buf what = BUF_INIT(LINE_BYTES), who = BUF_INIT(LINE_BYTES);

    story_what(event->event.attributes[RECORD_TYPE], data, &what);
    story_who(event->event.attributes[RECORD_SOURCE], data, &who);
    buf_printf(out, "{\"sequence\":%lld,", (long long)event->event.sequence);
    member_text(out, "time", event->event.attributes[RECORD_TIME]);
    member_text(out, "what", what.data);
    member_text(out, "who", who.data);
    member_text(out, "status", story_status(data));
    buf_printf(out, "\"partition\":%d,\"offset\":%lld,\"event\":", (int)event->record.partition,
               (long long)event->record.offset);
    structured_add(out, &event->record);
    buf_addc(out, '}');
}

static void checkpoint_json(const struct attest *attest, struct buf *out)
{
    if (!attest->found) {
        buf_adds(out, "null");
        return;
    }
    buf_printf(out, "{\"number\":%lld,\"sequence\":%lld,\"key_id\":", (long long)attest->checkpoint.number,
               (long long)attest_head(attest)->seq);
    buf_json_string(out, attest->checkpoint.key_id);
    buf_addc(out, '}');
}

static void show_json(const struct show *show, const char *problem)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(JSON_BYTES);
    char at[USEC_TEXT_BYTES];
    bool first = true;

    buf_addc(&out, '{');
    member_text(&out, "request_id", show->request.id);
    member_text(&out, "at", show->options.at == USEC_NONE ? NULL : usec_format_z(show->options.at, at));
    member_text(&out, "status", show->status);
    buf_adds(&out, "\"events\":[");
    for (int i = 0; i < show->request.count; i++) {
        if (!had_happened(show, show->request.events[i]))
            continue;
        buf_adds(&out, first ? "" : ",");
        first = false;
        event_json(show->request.events[i], &out);
    }
    buf_printf(&out, "],\"whole\":%d,\"repeats\":%d,", show->request.whole, show->request.repeats);
    member_text(&out, "problem", problem);
    buf_adds(&out, "\"checkpoint\":");
    checkpoint_json(&show->attest, &out);
    printf("%s}\n", out.data);
}

/* --- the proof ----------------------------------------------------------------------------------------- */

static int proof_save(const struct show *show, const struct buf *proof, struct err *err)
{
    const char *path = show->options.proof;
    FILE *file = fopen(path, "we");
    bool failed;

    if (!file)
        return err_set(err, ERR_UNAVAILABLE, "%.200s: %s", path, strerror(errno));
    failed = fwrite(proof->data, 1, proof->length, file) != proof->length;
    failed |= fclose(file) != 0;
    return failed ? err_set(err, ERR_UNAVAILABLE, "%.200s: %s", path, strerror(errno)) : 0;
}

static int proof_write(const struct show *show, struct err *err)
{
    _cleanup_(buf_free) struct buf proof = BUF_INIT(JSON_BYTES);

    if (!show->attest.found)
        return err_set(err, ERR_NOT_FOUND, "no checkpoint speaks of %s yet, so there is no proof", show->request.id);
    attest_proof(&show->attest, &show->request, show->arena, &proof);
    if (proof.overflow)
        return err_cause(err, ERR_INTERNAL, "the proof is longer than %d bytes", JSON_BYTES);
    return proof_save(show, &proof, err);
}

/* --- the verb ------------------------------------------------------------------------------------------ */

static int show_read(struct show *show, const struct option_texts *words, struct err *err)
{
    char id[CHAIN_ID_MAX + 1];
    int r;

    if (words->count != 1 || !chain_id_read(words->texts[0], strlen(words->texts[0]), id))
        return verb_usage(USAGE, err);
    r = trust_read(&show->options.keys, show->config, &show->trust, err);
    if (r == 0)
        r = request_read(show->config, arena_strdup(show->arena, id), show->arena, &show->request, err);
    if (r == 0)
        r = attest_find(show->config, &show->request, &show->trust, show->arena, &show->attest, err);
    return r;
}

static int show_tell(struct show *show, struct err *err)
{
    const char *problem = problem_of(show);

    state_find(show);
    (show->options.json ? show_json : show_text)(show, problem);
    if (problem)
        return err_set(err, ERR_REFUSED, "%s: %s", show->request.id, problem);
    return show->options.proof ? proof_write(show, err) : 0;
}

int audit_show(const struct config *config, char **args, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct show show = { .config = config, .options = { .at = USEC_NONE }, .arena = arena };
    struct option_texts words;
    int r = option_read(args, rows, &show.options, &words, err);

    if (r == 0)
        r = show_read(&show, &words, err);
    return r == 0 ? show_tell(&show, err) : r;
}
