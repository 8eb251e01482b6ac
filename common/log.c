#include "common/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"

enum { LOG_LINE_BYTES = 4096, LOG_TEXT_BYTES = 256 };

static const char *const level_words[] = { "debug", "info", "warn", "error" };
static enum log_level lowest = LOG_INFO;
static const char *program_name = "docket";

void log_setup(const char *program, enum log_level level)
{
    program_name = program;
    lowest = level;
}

static void add_text(struct buf *line, const char *text)
{
    char cut[LOG_TEXT_BYTES];

    if (text && strlen(text) >= sizeof(cut)) {
        memcpy(cut, text, sizeof(cut) - 1);
        cut[sizeof(cut) - 1] = '\0';
        text = cut;
    }
    buf_json_string(line, text);
}

static void add_field(struct buf *line, const struct log_field *field)
{
    buf_printf(line, ",\"%s\":", field->name);
    switch (field->type) {
    case LOG_ID:
    case LOG_WORD:
        add_text(line, field->text);
        break;
    case LOG_MS:
        buf_printf(line, "%.3f", (double)field->number / (double)USEC_PER_MS);
        break;
    default:
        buf_printf(line, "%lld", (long long)field->number);
    }
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    _cleanup_(buf_free) struct buf line = BUF_INIT(LOG_LINE_BYTES);
    char time[USEC_TEXT_BYTES];

    if (level < lowest)
        return;
    buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"event\":\"%s\"",
               usec_format_z(usec_now(), time), level_words[level], program_name, event);
    for (; fields->type != LOG_END; fields++)
        add_field(&line, fields);
    buf_adds(&line, "}\n");
    if (write(STDERR_FILENO, line.data, line.length) < 0)
        return; /* nowhere left to say it */
}
