#include "worker/ctl/dead/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OPTION(name, kind, field) { (name), (kind), offsetof(struct options, field) }
/* Which letters: by what they are. */
#define WHICH                                                                                                          \
    OPTION("--reason", OPTION_TEXT, reason), OPTION("--topic", OPTION_TEXT, topic), OPTION("--since", OPTION_TIME, since)

static const struct option_row list_rows[] = {
    WHICH,
    OPTION("--state", OPTION_TEXT, state_word),
    OPTION("--json", OPTION_FLAG, json),
    { 0 },
};

static const struct option_row show_rows[] = {
    OPTION("--json", OPTION_FLAG, json),
    { 0 },
};

static const struct option_row retry_rows[] = {
    WHICH,
    OPTION("--all", OPTION_FLAG, all),
    OPTION("--anyway", OPTION_FLAG, anyway),
    OPTION("--by", OPTION_TEXT, by),
    OPTION("--key", OPTION_TEXT, key),
    OPTION("--value", OPTION_TEXT, value),
    OPTION("--header", OPTION_TEXTS, headers),
    { 0 },
};

static const struct option_row drop_rows[] = {
    WHICH,
    OPTION("--all", OPTION_FLAG, all),
    OPTION("--by", OPTION_TEXT, by),
    { 0 },
};

const struct options_of options_list = { list_rows, false }, options_show = { show_rows, true },
                        options_retry = { retry_rows, true }, options_drop = { drop_rows, true };

/* Of a reason nothing is said: a word of a newer version is on no list here. */
static int state_read(struct options *options, struct err *err)
{
    const char *word = options->state_word;

    if (!word)
        return 0;
    options->any_state = !strcmp(word, "all");
    if (options->any_state || dead_state_parse(word, &options->state))
        return 0;
    return err_set(err, ERR_BAD_REQUEST, "--state is open, retried, dropped or all, not %s", word);
}

static int headers_check(const struct options *options, struct err *err)
{
    for (int i = 0; i < options->headers.count; i++)
        if (!options->headers.texts[i][0] || options->headers.texts[i][0] == '=')
            return err_set(err, ERR_BAD_REQUEST, "--header %s has no name", options->headers.texts[i]);
    return 0;
}

static int numbers_read(const struct option_texts *words, struct arena *arena, struct options *options, struct err *err)
{
    int64_t *numbers = arena_array(arena, int64_t, (size_t)words->count + 1);

    for (int i = 0; i < words->count; i++) {
        const char *word = words->texts[i];
        char *end;

        errno = 0;
        numbers[i] = strtoll(word, &end, 10);
        if (errno || *end || *word < '0' || *word > '9')
            return err_set(err, ERR_BAD_REQUEST, "%s is no number of a dead letter", word);
    }
    options->numbers = numbers;
    options->number_count = words->count;
    return 0;
}

int options_read(char **args, const struct options_of *of, struct arena *arena, struct options *ret, struct err *err)
{
    struct option_texts words;
    int r;

    *ret = (struct options){ .since = USEC_NONE };
    r = option_read(args, of->rows, ret, &words, err);
    if (r == 0 && words.count && !of->has_numbers)
        return err_set(err, ERR_BAD_REQUEST, "what is %s?", words.texts[0]);
    if (r == 0)
        r = numbers_read(&words, arena, ret, err);
    if (r == 0)
        r = state_read(ret, err);
    if (r == 0)
        r = headers_check(ret, err);
    return r;
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
