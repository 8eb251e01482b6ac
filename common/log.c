#include "common/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"

enum { LOG_LINE_BYTES = 4096, LOG_ID_BYTES = 128, LOG_WORD_BYTES = 255 };

static const char *const level_words[] = { "debug", "info", "warn", "error" };
static enum log_level lowest = LOG_INFO;
static const char *program_name = "docket";

void log_setup(const char *program, enum log_level level)
{
    program_name = program;
    lowest = level;
}

/* At most `max` bytes, and no part of a character. */
static void add_text(struct buf *line, const char *text, size_t max)
{
    char cut[LOG_WORD_BYTES + 1];

    if (text && strlen(text) > max) {
        while (max && ((unsigned char)text[max] & 0xc0) == 0x80)
            max--;
        memcpy(cut, text, max);
        cut[max] = '\0';
        text = cut;
    }
    buf_json_string(line, text);
}

/* A field that does not fit is left out, so that a line is always whole JSON. */
static void add_field(struct buf *line, const struct log_field *field)
{
    size_t before = line->length;

    buf_printf(line, ",\"%s\":", field->name);
    switch (field->type) {
    case LOG_ID:
        add_text(line, field->text, LOG_ID_BYTES);
        break;
    case LOG_WORD:
        add_text(line, field->text, LOG_WORD_BYTES);
        break;
    case LOG_MS:
        buf_printf(line, "%.3f", (double)field->number / (double)USEC_PER_MS);
        break;
    default:
        buf_printf(line, "%lld", (long long)field->number);
    }
    if (line->overflow) {
        line->length = before;
        line->overflow = false;
    }
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    static const char end[] = "}\n";
    _cleanup_(buf_free) struct buf line = BUF_INIT(LOG_LINE_BYTES - strlen(end));
    char time[USEC_TEXT_BYTES];

    if (level < lowest)
        return;
    buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"event\":\"%s\"",
               usec_format_z(usec_now(), time), level_words[level], program_name, event);
    for (; fields->type != LOG_END; fields++)
        add_field(&line, fields);
    line.max = LOG_LINE_BYTES;
    buf_adds(&line, end);
    if (write(STDERR_FILENO, line.data, line.length) < 0)
        return; /* nowhere left to say it */
}
