#include "common/usec.h"

#include "tests/fuzz/fuzz.h"

/* 0001-01-01 and 9999-12-31: a zone can shift a time past what is written with four digits. */
#define FIRST (-62135596800 * USEC_PER_S)
#define LAST (253402300800 * USEC_PER_S - 1)

static void check_time(const char *text)
{
    char written[USEC_TEXT_BYTES];
    usec_t time, back;

    if (!usec_parse(text, &time) || time < FIRST || time > LAST)
        return;
    CHECK(usec_parse(usec_format_z(time, written), &back) && back == time);
    CHECK(usec_parse(usec_format_offset(time, written), &back) && back == time);
    CHECK(usec_parse(usec_format_bare(time, written), &back) && back == time);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    usec_t duration;

    CHECK(text);
    check_time(text);
    if (usec_parse_duration((const char *)data, size, &duration))
        CHECK(duration >= 0);
    free(text);
    return 0;
}
