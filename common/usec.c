#include "common/usec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static usec_t clock_read(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (usec_t)now.tv_sec * USEC_PER_S + now.tv_nsec / 1000;
}

usec_t usec_now(void)
{
    return clock_read(CLOCK_REALTIME);
}

usec_t usec_monotonic(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

static usec_t split(usec_t time, struct tm *tm)
{
    usec_t fraction = time % USEC_PER_S;
    time_t seconds;

    if (fraction < 0)
        fraction += USEC_PER_S;
    seconds = (time_t)((time - fraction) / USEC_PER_S);
    gmtime_r(&seconds, tm);
    return fraction;
}

static const char *format(usec_t time, const char *zone, bool drop_zero, char text[USEC_TEXT_BYTES])
{
    struct tm tm;
    usec_t fraction = split(time, &tm);
    int length = snprintf(text, USEC_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                          tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);

    if (fraction || !drop_zero)
        length += snprintf(text + length, USEC_TEXT_BYTES - (size_t)length, ".%06d", (int)fraction);
    snprintf(text + length, USEC_TEXT_BYTES - (size_t)length, "%s", zone);
    return text;
}

const char *usec_format_z(usec_t time, char text[USEC_TEXT_BYTES])
{
    return format(time, "Z", false, text);
}

const char *usec_format_offset(usec_t time, char text[USEC_TEXT_BYTES])
{
    return format(time, "+00:00", false, text);
}

const char *usec_format_bare(usec_t time, char text[USEC_TEXT_BYTES])
{
    return format(time, "", true, text);
}

static bool digits(const char **text, int count, int *ret)
{
    *ret = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *ret = *ret * 10 + (**text - '0');
    }
    return true;
}

/* ".123456", any number of digits; those past the sixth are dropped. */
static bool parse_fraction(const char **text, usec_t *ret)
{
    usec_t unit = 100000;

    *ret = 0;
    if (**text != '.' && **text != ',')
        return true;
    (*text)++;
    if (**text < '0' || **text > '9')
        return false;
    for (; **text >= '0' && **text <= '9'; (*text)++, unit /= 10)
        *ret += (**text - '0') * unit;
    return true;
}

static bool parse_zone(const char **text, usec_t *ret)
{
    int hours, minutes = 0, sign = **text == '-' ? -1 : 1;
    bool colon;

    *ret = 0;
    if (**text == '\0')
        return true;
    if (**text == 'Z' || **text == 'z') {
        (*text)++;
        return true;
    }
    if (**text != '+' && **text != '-')
        return false;
    (*text)++;
    if (!digits(text, 2, &hours))
        return false;
    colon = **text == ':';
    *text += colon;
    if ((colon || **text) && !digits(text, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59)
        return false;
    *ret = sign * (hours * 60 + minutes) * 60 * USEC_PER_S;
    return true;
}

static bool parse_date(const char **text, struct tm *tm)
{
    static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year;

    if (!digits(text, 4, &year) || *(*text)++ != '-' || !digits(text, 2, &tm->tm_mon) ||
        *(*text)++ != '-' || !digits(text, 2, &tm->tm_mday))
        return false;
    if (year < 1 || tm->tm_mon < 1 || tm->tm_mon > 12 || tm->tm_mday < 1 ||
        tm->tm_mday > days[tm->tm_mon - 1])
        return false;
    if (tm->tm_mon == 2 && tm->tm_mday == 29 && (year % 4 || (year % 100 == 0 && year % 400)))
        return false;
    tm->tm_year = year - 1900;
    tm->tm_mon--;
    return true;
}

static bool parse_clock(const char **text, struct tm *tm, usec_t *fraction)
{
    if (!digits(text, 2, &tm->tm_hour) || *(*text)++ != ':' || !digits(text, 2, &tm->tm_min))
        return false;
    if (**text == ':') {
        (*text)++;
        if (!digits(text, 2, &tm->tm_sec) || !parse_fraction(text, fraction))
            return false;
    }
    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60;
}

bool usec_parse(const char *text, usec_t *ret)
{
    struct tm tm = { 0 };
    usec_t fraction = 0, offset = 0;

    if (!parse_date(&text, &tm))
        return false;
    if (*text) {
        if (*text != 'T' && *text != 't' && *text != ' ')
            return false;
        text++;
        if (!parse_clock(&text, &tm, &fraction) || !parse_zone(&text, &offset))
            return false;
    }
    if (*text)
        return false;
    *ret = (usec_t)timegm(&tm) * USEC_PER_S + fraction - offset;
    return true;
}

bool usec_parse_duration(const char *text, size_t length, usec_t *ret)
{
    static const struct {
        const char *unit;
        usec_t usec;
    } units[] = {
        { "ms", USEC_PER_MS },        { "s", USEC_PER_S },           { "m", 60 * USEC_PER_S },
        { "h", 3600 * USEC_PER_S },   { "d", 86400 * USEC_PER_S },
    };
    usec_t number = 0;
    size_t i = 0;

    for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        number = number * 10 + (text[i] - '0');
        if (number > 1000000000)
            return false;
    }
    if (!i)
        return false;
    for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
        if (length - i != strlen(units[u].unit) || memcmp(text + i, units[u].unit, length - i))
            continue;
        if (number > INT64_MAX / 2 / units[u].usec)
            return false;
        *ret = number * units[u].usec;
        return true;
    }
    return false;
}
