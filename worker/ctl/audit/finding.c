#include "worker/ctl/audit/finding.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "common/buf.h"

enum { LINE_BYTES = 16384, TEXT_BYTES = 2048 };

static const struct {
    const char *word, *means;
} kinds[FINDING_KINDS] = {
#define FINDING(NAME, word, means) [FINDING_##NAME] = { word, means },
#include "worker/ctl/audit/finding.tbl.h"
#undef FINDING
};

const char *finding_word(enum finding_kind kind)
{
    return kinds[kind].word;
}

const char *finding_means(enum finding_kind kind)
{
    return kinds[kind].means;
}

static void add_member(struct buf *out, const char *name, const char *text)
{
    if (!text)
        return;
    buf_printf(out, ",\"%s\":", name);
    buf_json_string(out, text);
}

static void add_number(struct buf *out, const char *name, int64_t number, int64_t none)
{
    if (number != none)
        buf_printf(out, ",\"%s\":%" PRId64, name, number);
}

static void add_json(struct buf *out, enum finding_kind kind, const struct finding_place *place, const char *text)
{
    buf_printf(out, "{\"finding\":\"%s\"", kinds[kind].word);
    add_member(out, "topic", place->topic);
    add_member(out, "request", place->id);
    add_number(out, "sequence", place->seq, 0);
    if (place->until > place->seq)
        add_number(out, "until", place->until, 0);
    add_number(out, "partition", place->partition, -1);
    add_number(out, "offset", place->offset, -1);
    add_number(out, "checkpoint", place->checkpoint, 0);
    add_member(out, "field", place->field);
    add_member(out, "text", text);
    buf_adds(out, "}\n");
}

/* "changed  pri_x event 3, lifecycle partition 2 offset 17, checkpoint 4: text" */
static void add_line(struct buf *out, enum finding_kind kind, const struct finding_place *place, const char *text)
{
    buf_printf(out, "%-20s ", kinds[kind].word);
    if (place->id)
        buf_printf(out, " %s", place->id);
    if (place->seq && place->until > place->seq)
        buf_printf(out, " events %" PRId64 " to %" PRId64, place->seq, place->until);
    else if (place->seq)
        buf_printf(out, " event %" PRId64, place->seq);
    if (place->topic)
        buf_printf(out, "%s %s", place->id ? "," : "", place->topic);
    if (place->partition >= 0)
        buf_printf(out, " partition %" PRId32, place->partition);
    if (place->offset >= 0)
        buf_printf(out, " offset %" PRId64, place->offset);
    if (place->checkpoint)
        buf_printf(out, "%s checkpoint %" PRId64, place->id || place->topic ? "," : "", place->checkpoint);
    if (place->field)
        buf_printf(out, "%s %s", place->id || place->topic ? "," : "", place->field);
    buf_printf(out, ": %s", text);
    for (size_t i = 0; i < out->length; i++) /* a header's name may be anything, and this goes to a terminal */
        if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f)
            out->data[i] = '?';
    buf_addc(out, '\n');
}

void finding_tell(struct findings *findings, enum finding_kind kind, const struct finding_place *place,
                  const char *text, ...)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(LINE_BYTES);
    char words[TEXT_BYTES];
    va_list args;

    snprintf(words, sizeof(words), "%s", kinds[kind].means);
    if (text) {
        va_start(args, text);
        vsnprintf(words, sizeof(words), text, args);
        va_end(args);
    }
    (findings->json ? add_json : add_line)(&out, kind, place, words);
    fwrite(out.data, 1, out.length, findings->out);
    findings->count++;
    findings->counts[kind]++;
}
