#include "worker/ctl/dead/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parsing {
    struct options *options;
    struct arena *arena;
    struct err *err;
};

static int set_reason(const struct parsing *parsing, const char *value)
{
    parsing->options->reason = value; /* a word of a newer version is on no list here */
    return 0;
}

static int set_topic(const struct parsing *parsing, const char *value)
{
    parsing->options->topic = value;
    return 0;
}

/* A time, or how long ago. */
static int set_since(const struct parsing *parsing, const char *value)
{
    usec_t ago;

    if (usec_parse(value, &parsing->options->since))
        return 0;
    if (!usec_parse_duration(value, strlen(value), &ago))
        return err_set(parsing->err, ERR_BAD_REQUEST, "--since %s is no time (2026-01-02T03:04:05Z) and no duration (2h)",
                       value);
    parsing->options->since = usec_now() - ago;
    return 0;
}

static int set_state(const struct parsing *parsing, const char *value)
{
    parsing->options->any_state = !strcmp(value, "all");
    if (parsing->options->any_state || dead_state_parse(value, &parsing->options->state))
        return 0;
    return err_set(parsing->err, ERR_BAD_REQUEST, "--state is open, retried, dropped or all, not %s", value);
}

static int set_value(const struct parsing *parsing, const char *value)
{
    parsing->options->value = value;
    return 0;
}

static int set_key(const struct parsing *parsing, const char *value)
{
    parsing->options->key = value;
    return 0;
}

static int set_by(const struct parsing *parsing, const char *value)
{
    parsing->options->by = value;
    return 0;
}

static int add_header(const struct parsing *parsing, const char *value)
{
    struct options *options = parsing->options;

    if (options->header_count == OPTIONS_HEADERS_MAX)
        return err_set(parsing->err, ERR_BAD_REQUEST, "more than %d times --header", OPTIONS_HEADERS_MAX);
    if (!*value || *value == '=')
        return err_set(parsing->err, ERR_BAD_REQUEST, "--header %s has no name", value);
    options->headers[options->header_count++] = value;
    return 0;
}

static int set_all(const struct parsing *parsing, const char *value)
{
    (void)value;
    parsing->options->all = true;
    return 0;
}

static int set_json(const struct parsing *parsing, const char *value)
{
    (void)value;
    parsing->options->json = true;
    return 0;
}

static int set_anyway(const struct parsing *parsing, const char *value)
{
    (void)value;
    parsing->options->anyway = true;
    return 0;
}

static const struct option {
    const char *name;
    char letter;
    bool has_value;
    int (*set)(const struct parsing *parsing, const char *value);
} options[] = {
    { "--reason", 'r', true, set_reason }, { "--topic", 't', true, set_topic },   { "--since", 's', true, set_since },
    { "--state", 'S', true, set_state },   { "--value", 'v', true, set_value },   { "--key", 'k', true, set_key },
    { "--header", 'h', true, add_header }, { "--by", 'b', true, set_by },         { "--all", 'a', false, set_all },
    { "--json", 'j', false, set_json },    { "--anyway", 'w', false, set_anyway },
};

static const struct option *option_find(const char *name, const char *allowed)
{
    for (size_t i = 0; i < COUNT_OF(options); i++)
        if (!strcmp(options[i].name, name) && strchr(allowed, options[i].letter))
            return &options[i];
    return NULL;
}

static int add_number(const struct parsing *parsing, const char *text, int64_t *numbers)
{
    char *end;

    errno = 0;
    numbers[parsing->options->number_count] = strtoll(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9')
        return err_set(parsing->err, ERR_BAD_REQUEST, "%s is no number of a dead letter", text);
    parsing->options->number_count++;
    return 0;
}

/* One word, or two. Returns how many it took. */
static int take_word(const struct parsing *parsing, char **args, const char *allowed, int64_t *numbers)
{
    const struct option *option = option_find(args[0], allowed);
    int r;

    if (!option && args[0][0] == '-')
        return err_set(parsing->err, ERR_BAD_REQUEST, "there is no option %s here", args[0]);
    if (!option && !strchr(allowed, 'n'))
        return err_set(parsing->err, ERR_BAD_REQUEST, "what is %s?", args[0]);
    if (!option) {
        r = add_number(parsing, args[0], numbers);
        return r < 0 ? r : 1;
    }
    if (option->has_value && !args[1])
        return err_set(parsing->err, ERR_BAD_REQUEST, "%s needs a value", args[0]);
    r = option->set(parsing, option->has_value ? args[1] : NULL);
    return r < 0 ? r : 1 + option->has_value;
}

int options_read(char **args, const char *allowed, struct arena *arena, struct options *ret, struct err *err)
{
    const struct parsing parsing = { ret, arena, err };
    size_t words = 0;
    int64_t *numbers;

    *ret = (struct options){ .since = USEC_NONE };
    while (args[words])
        words++;
    numbers = arena_array(arena, int64_t, words + 1);
    ret->numbers = numbers;
    while (*args) {
        int r = take_word(&parsing, args, allowed, numbers);

        if (r < 0)
            return r;
        args += r;
    }
    return 0;
}

static bool is_of_topic(const char *topic, const char *wanted, const char *prefix)
{
    size_t length = strlen(prefix);

    return !strcmp(topic, wanted) ||
           (!strncmp(topic, prefix, length) && topic[length] == '.' && !strcmp(topic + length + 1, wanted));
}

static bool has_number(const struct options *of, int64_t number)
{
    for (int i = 0; i < of->number_count; i++)
        if (of->numbers[i] == number)
            return true;
    return false;
}

bool options_mean(const struct options *of, const struct entry *entry, const char *prefix)
{
    if (of->number_count)
        return has_number(of, entry->number);
    return !entry->repeat && (of->any_state || entry->note.state == of->state) &&
           (!of->reason || !strcmp(of->reason, entry->letter.reason)) &&
           (!of->topic || is_of_topic(entry->topic, of->topic, prefix)) &&
           (of->since == USEC_NONE || (entry->letter.time != USEC_NONE && entry->letter.time >= of->since));
}

bool options_name_any(const struct options *of)
{
    return of->number_count || of->all || of->reason || of->topic || of->since != USEC_NONE;
}

int options_check(const struct options *of, const struct shelf *shelf, struct err *err)
{
    for (int i = 0; i < of->number_count; i++)
        if (!shelf_find(shelf, of->numbers[i]))
            return err_set(err, ERR_NOT_FOUND, "there is no dead letter %" PRId64, of->numbers[i]);
    return 0;
}

int options_count(const struct options *of, const struct shelf *shelf, const char *prefix, int64_t *first)
{
    int count = 0;

    for (int i = 0; i < shelf->count; i++)
        if (options_mean(of, &shelf->entries[i], prefix) && !count++)
            *first = shelf->entries[i].number;
    return count;
}
