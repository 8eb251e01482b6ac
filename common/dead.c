#include "common/dead.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/arrival.h"
#include "common/schema.h"

enum { NOTE_BYTES = 4096, OWN_BYTES = 512 };

#define HEADER_REASON "docket_dead_reason"
#define HEADER_PLACE "docket_dead_place"
#define HEADER_TIME "docket_dead_time"
#define HEADER_DETAIL "docket_dead_detail"
#define HEADER_SQLSTATE "docket_dead_sqlstate"
#define HEADER_LACKS "docket_dead_lacks"
#define HEADER_NOTE "docket_dead_note"

static const struct {
    const char *word, *help;
} reasons[DEAD_REASONS] = {
    [DEAD_NONE] = { "none", "" },
#define DEAD(name, word, help) [DEAD_##name] = { word, help },
#include "common/dead.tbl.h"
#undef DEAD
};

static const char *const states[DEAD_STATES] = {
    [DEAD_OPEN] = "open",
    [DEAD_RETRIED] = "retried",
    [DEAD_DROPPED] = "dropped",
};

const char *dead_word(enum dead_reason reason)
{
    return reasons[reason].word;
}

const char *dead_help(enum dead_reason reason)
{
    return reasons[reason].help;
}

enum dead_reason dead_parse(const char *word)
{
    for (int i = DEAD_NONE + 1; i < DEAD_REASONS; i++)
        if (!strcmp(reasons[i].word, word))
            return (enum dead_reason)i;
    return DEAD_NONE;
}

const char *dead_state_word(enum dead_state state)
{
    return states[state];
}

bool dead_state_parse(const char *word, enum dead_state *ret)
{
    for (int i = 0; i < DEAD_STATES; i++)
        if (!strcmp(states[i], word)) {
            *ret = (enum dead_state)i;
            return true;
        }
    return false;
}

/* --- letters ----------------------------------------------------------------------------------------- */

static void header_add(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    if (value)
        rd_kafka_header_add(headers, name, -1, value, -1);
}

rd_kafka_headers_t *dead_headers(const rd_kafka_headers_t *original, const struct dead_letter *letter)
{
    rd_kafka_headers_t *headers = original ? rd_kafka_headers_copy(original) : rd_kafka_headers_new(6);
    char time[USEC_TEXT_BYTES];

    header_add(headers, HEADER_REASON, letter->reason); /* the first: what stands before it is the record's */
    header_add(headers, HEADER_PLACE, letter->place);
    header_add(headers, HEADER_TIME, usec_format_z(letter->time, time));
    header_add(headers, HEADER_DETAIL, letter->detail);
    header_add(headers, HEADER_SQLSTATE, letter->sqlstate);
    header_add(headers, HEADER_LACKS, letter->lacks);
    return headers;
}

/* Where our own headers begin: a record may well have had some of that name before, of an earlier death. */
static int own_start(const struct arrival *record)
{
    int start = record->header_count - 1;

    while (start >= 0 && strcmp(record->headers[start].name, HEADER_REASON) != 0)
        start--;
    return start;
}

static const char *own_text(const struct arrival *record, int start, const char *name, struct arena *arena)
{
    for (int i = start; i < record->header_count; i++)
        if (!strcmp(record->headers[i].name, name) && record->headers[i].value &&
            record->headers[i].length <= OWN_BYTES)
            return arena_strndup(arena, record->headers[i].value, record->headers[i].length);
    return NULL;
}

bool dead_read(const struct arrival *record, struct arena *arena, struct arrival *original, struct dead_letter *letter)
{
    int start = own_start(record);
    const char *time;

    if (start < 0)
        return false;
    *letter = (struct dead_letter){ .reason = own_text(record, start, HEADER_REASON, arena),
                                    .place = own_text(record, start, HEADER_PLACE, arena),
                                    .time = USEC_NONE,
                                    .detail = own_text(record, start, HEADER_DETAIL, arena),
                                    .sqlstate = own_text(record, start, HEADER_SQLSTATE, arena),
                                    .lacks = own_text(record, start, HEADER_LACKS, arena) };
    time = own_text(record, start, HEADER_TIME, arena);
    if (!letter->reason || !letter->place)
        return false;
    if (time && !usec_parse(time, &letter->time))
        letter->time = USEC_NONE;
    *original = *record;
    original->header_count = start;
    return true;
}

/* --- notes ------------------------------------------------------------------------------------------- */

rd_kafka_headers_t *dead_note_headers(const struct dead_note *note)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);

    header_add(headers, "content-type", "application/json");
    header_add(headers, HEADER_NOTE, dead_state_word(note->state));
    return headers;
}

static void add_text(struct buf *buf, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(buf, ",\"%s\":", name);
    buf_json_string(buf, value);
}

const char *dead_note_value(const struct dead_note *note, struct arena *arena)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(NOTE_BYTES);
    char time[USEC_TEXT_BYTES];

    buf_printf(&buf, "{\"of\":%" PRId64, note->of);
    add_text(&buf, "state", dead_state_word(note->state));
    add_text(&buf, "time", usec_format_z(note->time, time));
    add_text(&buf, "by", note->by);
    add_text(&buf, "to", note->to);
    add_text(&buf, "mended", note->mended);
    buf_addc(&buf, '}');
    return arena_strndup(arena, buf.data, buf.length);
}

static const char *member(json_object *object, const char *name, struct arena *arena)
{
    json_object *value = schema_get(object, name);

    return json_object_is_type(value, json_type_string) ? arena_strdup(arena, json_object_get_string(value)) : NULL;
}

static bool note_read(json_object *object, struct arena *arena, struct dead_note *note)
{
    json_object *of = json_object_is_type(object, json_type_object) ? schema_get(object, "of") : NULL;
    const char *state = of ? member(object, "state", arena) : NULL, *time = of ? member(object, "time", arena) : NULL;

    if (!json_object_is_type(of, json_type_int) || !state || !time)
        return false;
    *note = (struct dead_note){ .of = json_object_get_int64(of),
                                .by = member(object, "by", arena),
                                .to = member(object, "to", arena),
                                .mended = member(object, "mended", arena) };
    return dead_state_parse(state, &note->state) && note->state != DEAD_OPEN && usec_parse(time, &note->time);
}

bool dead_note_read(const struct arrival *record, struct arena *arena, struct dead_note *note)
{
    _cleanup_(json_object_putp) json_object *object = NULL;
    struct schema_errors errors = { 0 };
    bool is_note = false;

    for (int i = 0; i < record->header_count; i++)
        is_note = is_note || !strcmp(record->headers[i].name, HEADER_NOTE);
    /* A letter about a record that was a note is a letter. */
    if (!is_note || own_start(record) >= 0 || !record->value || record->length > NOTE_BYTES)
        return false;
    if (schema_parse(record->value, record->length, &object, &errors) < 0) {
        schema_errors_free(&errors);
        return false;
    }
    return note_read(object, arena, note);
}
