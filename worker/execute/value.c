#include "worker/execute/value.h"

#include <endian.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* PostgreSQL counts from 2000-01-01; civil dates are told from 0000-03-01. */
#define DAYS_TO_2000 INT64_C(730425)
#define USEC_PER_DAY (86400 * USEC_PER_S)

struct value_form {
    Oid type;
    const char *expression; /* %s: the column */
    void (*put)(struct buf *json, const uint8_t *bytes, size_t length);
};

/* How many bytes the character at `p` has; 0: it is none. RFC 3629, with neither overlong forms nor surrogates. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    size_t length = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3
                  : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;

    if (length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

/* True when none of eight bytes is a control character, a quote, a backslash or beyond ASCII. */
static bool are_plain(const uint8_t *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    uint64_t word, quote, slash;

    memcpy(&word, p, sizeof(word));
    quote = word ^ ones * '"';
    slash = word ^ ones * '\\';
    return !((word | (word - ones * 0x20) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & high);
}

/* The number of bytes that may stand in a JSON text as they are: all of them but, with `escapes`, what a JSON string
 * must escape, and what is no UTF-8. */
static size_t plain_length(const uint8_t *bytes, size_t length, bool escapes)
{
    size_t i = 0, character;

    while (i < length) {
        while (length - i >= 8 && are_plain(bytes + i))
            i += 8;
        if (i == length)
            break;
        if (escapes && (bytes[i] < 0x20 || bytes[i] == '"' || bytes[i] == '\\'))
            break;
        character = utf8_length(bytes + i, length - i);
        if (!character)
            break;
        i += character;
    }
    return i;
}

static void put_odd(struct buf *json, uint8_t byte)
{
    if (byte >= 0x80)
        buf_adds(json, "\xef\xbf\xbd"); /* U+FFFD */
    else if (byte >= 0x20)
        buf_add(json, (char[]){ '\\', (char)byte }, 2);
    else
        buf_printf(json, "\\u%04x", byte);
}

static void put_runs(struct buf *json, const uint8_t *bytes, size_t length, bool escapes)
{
    for (;;) {
        size_t run = plain_length(bytes, length, escapes);

        buf_add(json, bytes, run);
        if (run == length)
            return;
        put_odd(json, bytes[run]);
        bytes += run + 1;
        length -= run + 1;
    }
}

static void put_string(struct buf *json, const uint8_t *bytes, size_t length)
{
    buf_addc(json, '"');
    put_runs(json, bytes, length, true);
    buf_addc(json, '"');
}

static void put_json(struct buf *json, const uint8_t *bytes, size_t length)
{
    put_runs(json, bytes, length, false);
}

/* A version before the text. */
static void put_jsonb(struct buf *json, const uint8_t *bytes, size_t length)
{
    if (length)
        put_json(json, bytes + 1, length - 1);
}

static int64_t wire_int(const uint8_t *bytes, size_t length)
{
    uint64_t value = length && bytes[0] & 0x80 ? UINT64_MAX : 0;

    for (size_t i = 0; i < length; i++)
        value = value << 8 | bytes[i];
    return (int64_t)value;
}

static void put_int(struct buf *json, const uint8_t *bytes, size_t length)
{
    int64_t value = wire_int(bytes, length);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char text[24], *p = text + sizeof(text);

    do
        *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--p = '-';
    buf_add(json, p, (size_t)(text + sizeof(text) - p));
}

static void put_bool(struct buf *json, const uint8_t *bytes, size_t length)
{
    buf_adds(json, length && bytes[0] ? "true" : "false");
}

/* As text: a number, but for NaN, Infinity and -Infinity. */
static void put_float(struct buf *json, const uint8_t *bytes, size_t length)
{
    if (memchr(bytes, 'N', length) || memchr(bytes, 'I', length))
        put_string(json, bytes, length);
    else
        buf_add(json, bytes, length);
}

static void put_uuid(struct buf *json, const uint8_t *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 + 36], *p = text;

    if (length != 16)
        return;
    *p++ = '"';
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[bytes[i] >> 4];
        *p++ = digits[bytes[i] & 15];
    }
    *p++ = '"';
    buf_add(json, text, sizeof(text));
}

static void put_base64(struct buf *json, const uint8_t *bytes, size_t length)
{
    enum { PIECE = 3072 };
    char text[PIECE / 3 * 4 + 1];

    buf_addc(json, '"');
    for (size_t i = 0; i < length; i += PIECE) {
        size_t piece = length - i < PIECE ? length - i : PIECE;

        buf_adds(json, sodium_bin2base64(text, sizeof(text), bytes + i, piece, sodium_base64_VARIANT_ORIGINAL));
    }
    buf_addc(json, '"');
}

struct civil {
    int64_t year;
    int month, day;
};

/* Of days since 2000-01-01, by eras of 400 years: after Howard Hinnant's "chrono-compatible low-level date
 * algorithms". */
static struct civil civil_of(int64_t days)
{
    int64_t since = days + DAYS_TO_2000, era = (since >= 0 ? since : since - 146096) / 146097;
    int64_t of_era = since - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * of_year + 2) / 153);
    int day = (int)(of_year - (153 * month + 2) / 5 + 1);

    month += month < 10 ? 3 : -9;
    return (struct civil){ year + era * 400 + (month <= 2), month, day };
}

static char *put_digits(char *p, int64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        p[i] = (char)('0' + value % 10);
    return p + count;
}

enum { TIME_TEXT_BYTES = 64 };

static char *date_text(char *p, const struct civil *date)
{
    int64_t year = date->year > 0 ? date->year : 1 - date->year; /* before our era as PostgreSQL has it: no year 0 */

    if (year > 9999)
        p += sprintf(p, "%" PRId64, year);
    else
        p = put_digits(p, year, 4);
    *p++ = '-';
    p = put_digits(p, date->month, 2);
    *p++ = '-';
    return put_digits(p, date->day, 2);
}

static char *clock_text(char *p, int64_t usec)
{
    *p++ = 'T';
    p = put_digits(p, usec / (3600 * USEC_PER_S), 2);
    *p++ = ':';
    p = put_digits(p, usec / (60 * USEC_PER_S) % 60, 2);
    *p++ = ':';
    p = put_digits(p, usec / USEC_PER_S % 60, 2);
    if (usec % USEC_PER_S == 0)
        return p;
    *p++ = '.';
    return put_digits(p, usec % USEC_PER_S, 6);
}

/* `clock` -1: a date alone. */
static void put_moment(struct buf *json, int64_t days, int64_t clock, const char *zone)
{
    struct civil date = civil_of(days);
    char text[TIME_TEXT_BYTES], *p = text;

    *p++ = '"';
    p = date_text(p, &date);
    if (clock >= 0)
        p = clock_text(p, clock);
    p = stpcpy(p, zone);
    p = stpcpy(p, date.year > 0 ? "\"" : " BC\"");
    buf_add(json, text, (size_t)(p - text));
}

static void put_date(struct buf *json, const uint8_t *bytes, size_t length)
{
    int64_t days = wire_int(bytes, length);

    if (days == INT32_MAX || days == INT32_MIN)
        buf_adds(json, days > 0 ? "\"infinity\"" : "\"-infinity\"");
    else
        put_moment(json, days, -1, "");
}

static void put_time(struct buf *json, const uint8_t *bytes, size_t length, const char *zone)
{
    int64_t time = wire_int(bytes, length), days = time / USEC_PER_DAY, clock = time % USEC_PER_DAY;

    if (time == INT64_MAX || time == INT64_MIN)
        buf_adds(json, time > 0 ? "\"infinity\"" : "\"-infinity\"");
    else
        put_moment(json, clock < 0 ? days - 1 : days, clock < 0 ? clock + USEC_PER_DAY : clock, zone);
}

static void put_timestamp(struct buf *json, const uint8_t *bytes, size_t length)
{
    put_time(json, bytes, length, "");
}

static void put_timestamptz(struct buf *json, const uint8_t *bytes, size_t length)
{
    put_time(json, bytes, length, "+00:00");
}

static const struct value_form forms[] = {
    { 16, "%s", put_bool },
    { 17, "%s", put_base64 },
    { 19, "%s", put_string }, /* name */
    { 20, "%s", put_int },
    { 21, "%s", put_int },
    { 23, "%s", put_int },
    { 25, "%s", put_string }, /* text, and below varchar and char(n) */
    { 1043, "%s", put_string },
    { 1042, "%s", put_string },
    { 114, "%s", put_json },
    { 3802, "%s", put_jsonb },
    { 700, "%s::text", put_float },
    { 701, "%s::text", put_float },
    { 869, "to_json(%s)::text", put_json }, /* inet: its cast to text adds /32 */
    { 1082, "%s", put_date },
    { 1114, "%s", put_timestamp },
    { 1184, "%s", put_timestamptz },
    { 2950, "%s", put_uuid },
};
static const struct value_form form_made_json = { 0, "to_json(%s)::text", put_json };
static const struct value_form form_text = { 0, "%s::text", put_string };

const struct value_form *value_form_of(const struct source_column *column)
{
    for (size_t i = 0; i < COUNT_OF(forms); i++)
        if (forms[i].type == column->base)
            return &forms[i];
    return column->category && strchr("ACR", column->category) ? &form_made_json : &form_text;
}

const char *value_expression(const struct value_form *form, const char *column, struct arena *arena)
{
    size_t lead = strcspn(form->expression, "%");

    return arena_printf(arena, "%.*s%s%s", (int)lead, form->expression, column, form->expression + lead + 2);
}

void value_put(const struct value_form *form, const char *bytes, size_t length, struct buf *json)
{
    form->put(json, (const uint8_t *)bytes, length);
}
