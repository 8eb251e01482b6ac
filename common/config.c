#include "common/config.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/log.h"

enum { CONFIG_FILE_BYTES = 1024 * 1024, CONFIG_NAME_BYTES = 64 };

#define SCHEDULE_WAIT_MAX (365 * 86400 * USEC_PER_S)

enum config_type { TEXT, NUMBER, BOOL, DURATION, SCHEDULE };

struct entry {
    const char *name;
    enum config_type type;
    const char *fallback; /* NULL: required */
    long long min, max;
    const char *unit;
    bool secret;
    const char *programs;
    const char *help;
    size_t offset; /* of its field in struct config */
};

static const struct entry entries[] = {
#define CONFIG(field, name, type, fallback, min, max, unit, secret, programs, help) \
    { name, type, fallback, min, max, unit, secret, programs, help, \
      offsetof(struct config, field) },
#include "common/config.tbl.h"
#undef CONFIG
};

static const struct {
    char letter;
    const char *name;
} programs[] = {
    { CONFIG_API, "docket-api" },
    { CONFIG_CALLBACK, "docket-callback" },
    { CONFIG_WORKER, "docket-worker" },
    { CONFIG_CTL, "docketctl" },
};

static const char *const log_levels[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"
};

DEFINE_CLEANUP(char *, free)
DEFINE_CLEANUP(FILE *, fclose)

static char *copy(const char *text)
{
    char *own = strdup(text);

    if (!own)
        abort();
    return own;
}

static bool is_optional(const struct entry *entry, int program)
{
    return strchr(entry->programs, toupper(program)) != NULL;
}

static bool is_read_by(const struct entry *entry, int program)
{
    return strchr(entry->programs, program) || is_optional(entry, program);
}

/* --- values: one parser a type ---------------------------------------------------------------- */

static bool is_log_level(const char *text, enum log_level *ret)
{
    for (size_t i = 0; i < COUNT_OF(log_levels); i++) {
        if (!strcmp(text, log_levels[i])) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static bool parse_text(const struct entry *entry, const char *text, void *field)
{
    size_t length = strlen(text);
    enum log_level ignored;

    if (length < (size_t)entry->min || length > (size_t)entry->max)
        return false;
    if (entry->offset == offsetof(struct config, log_level) && !is_log_level(text, &ignored))
        return false;
    *(char **)field = copy(text);
    return true;
}

static bool parse_number(const struct entry *entry, const char *text, void *field)
{
    long long number;
    char *end;

    errno = 0;
    number = strtoll(text, &end, 10);
    if (errno || *end || !isdigit((unsigned char)text[text[0] == '-']) || number < entry->min ||
        number > entry->max)
        return false;
    *(long long *)field = number;
    return true;
}

static bool parse_bool(const struct entry *entry, const char *text, void *field)
{
    static const char *const words[][2] = {
        { "false", "true" }, { "0", "1" }, { "no", "yes" }, { "off", "on" }
    };

    (void)entry;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        bool yes = !strcasecmp(text, words[i][true]);

        if (yes || !strcasecmp(text, words[i][false])) {
            *(bool *)field = yes;
            return true;
        }
    }
    return false;
}

static bool parse_duration(const struct entry *entry, const char *text, void *field)
{
    usec_t duration;

    if (!usec_parse_duration(text, strlen(text), &duration) || duration < entry->min * USEC_PER_S ||
        duration > entry->max * USEC_PER_S)
        return false;
    *(usec_t *)field = duration;
    return true;
}

static bool schedule_read(const char *text, int max, struct config_schedule *ret)
{
    struct config_schedule schedule = { 0 };

    if (!strcmp(text, "none")) {
        *ret = schedule;
        return true;
    }
    for (;;) {
        size_t length;

        text += strspn(text, " ");
        length = strcspn(text, ", ");
        if (schedule.count == max ||
            !usec_parse_duration(text, length, &schedule.waits[schedule.count]) ||
            schedule.waits[schedule.count++] > SCHEDULE_WAIT_MAX)
            return false;
        text += length + strspn(text + length, " ");
        if (!*text)
            break;
        if (*text++ != ',')
            return false;
    }
    *ret = schedule;
    return true;
}

static bool parse_schedule(const struct entry *entry, const char *text, void *field)
{
    return schedule_read(text, (int)entry->max, field);
}

int config_parse_schedule(const char *text, struct config_schedule *ret, struct err *err)
{
    if (schedule_read(text, CONFIG_SCHEDULE_MAX, ret))
        return 0;
    return err_set(
        err, ERR_BAD_REQUEST,
        "A retry schedule is up to %d waits of at most 365d with commas, such as 5s,5m,2h, or none",
        CONFIG_SCHEDULE_MAX);
}

/* --- bounds: what is allowed, in words -------------------------------------------------------- */

static void add_seconds(struct buf *text, long long seconds)
{
    static const struct {
        long long seconds;
        char unit;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    size_t i = 0;

    while (units[i].seconds > 1 && (!seconds || seconds % units[i].seconds))
        i++;
    buf_printf(text, "%lld%c", seconds / units[i].seconds, units[i].unit);
}

static void bound_text(const struct entry *entry, struct buf *text)
{
    if (entry->offset == offsetof(struct config, log_level))
        buf_adds(text, "debug, info, warn or error");
    else if (entry->min == entry->max)
        buf_printf(text, "exactly %lld bytes", entry->max);
    else
        buf_printf(text, "%lld to %lld bytes", entry->min, entry->max);
}

static void bound_number(const struct entry *entry, struct buf *text)
{
    buf_printf(text, "%lld to %lld %s", entry->min, entry->max, entry->unit);
}

static void bound_bool(const struct entry *entry, struct buf *text)
{
    (void)entry;
    buf_adds(text, "true or false");
}

static void bound_duration(const struct entry *entry, struct buf *text)
{
    add_seconds(text, entry->min);
    buf_adds(text, " to ");
    add_seconds(text, entry->max);
}

static void bound_schedule(const struct entry *entry, struct buf *text)
{
    buf_printf(text, "up to %lld durations with commas, or none", entry->max);
}

static const struct {
    const char *word; /* as documented */
    const char *must; /* "must be ... <bounds>" */
    bool (*parse)(const struct entry *entry, const char *text, void *field);
    void (*bound)(const struct entry *entry, struct buf *text);
} types[] = {
    [TEXT] = { "text", "", parse_text, bound_text },
    [NUMBER] = { "number", "a number from ", parse_number, bound_number },
    [BOOL] = { "true or false", "", parse_bool, bound_bool },
    [DURATION] = { "duration", "a number with ms, s, m, h or d, from ", parse_duration,
                   bound_duration },
    [SCHEDULE] = { "durations", "", parse_schedule, bound_schedule },
};

/* --- sources: the environment, then the file -------------------------------------------------- */

struct source {
    char *name, *value;
};

/* The file's lines, ended by a NULL name. */
static void sources_free(struct source *sources)
{
    if (!sources)
        return;
    for (struct source *source = sources; source->name; source++) {
        free(source->name);
        free(source->value);
    }
    free(sources);
}
DEFINE_CLEANUP(struct source *, sources_free)

static int file_read(const char *path, const char *who, char **ret, struct err *err)
{
    _cleanup_(fclosep) FILE *file = fopen(path, "re");
    char *text;
    size_t length;

    if (!file)
        return err_set(err, ERR_BAD_REQUEST, "%s: cannot read %s: %s", who, path, strerror(errno));
    text = malloc(CONFIG_FILE_BYTES + 1);
    if (!text)
        abort();
    length = fread(text, 1, CONFIG_FILE_BYTES, file);
    text[length] = '\0';
    if (ferror(file) || length == CONFIG_FILE_BYTES || strlen(text) != length) {
        free(text);
        return err_set(err, ERR_BAD_REQUEST, "%s: %s is no text of less than %d bytes", who, path,
                       CONFIG_FILE_BYTES);
    }
    *ret = text;
    return 0;
}

static bool has_prefix(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

/* A setting, or a setting with _FILE after it. */
static bool is_known(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(entries); i++)
        if (has_prefix(name, entries[i].name) &&
            (!name[strlen(entries[i].name)] || !strcmp(name + strlen(entries[i].name), "_FILE")))
            return true;
    return false;
}

static char *trim(char *text)
{
    size_t length;

    text += strspn(text, " \t\r");
    length = strlen(text);
    while (length && strchr(" \t\r", text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* One NAME=value, cut up in place. `ret` stays empty for a blank line or a comment. */
static int line_parse(char *line, const char *path, int number, struct source *ret, struct err *err)
{
    char *equals, *name = trim(line);

    if (!*name || *name == '#')
        return 0;
    equals = strchr(name, '=');
    if (!equals)
        return err_set(err, ERR_BAD_REQUEST, "%s, line %d: not NAME=value", path, number);
    *equals = '\0';
    name = trim(name);
    if (has_prefix(name, "DOCKET_") && !is_known(name))
        return err_set(err, ERR_BAD_REQUEST, "%s, line %d: there is no setting %.*s", path, number,
                       CONFIG_NAME_BYTES, name);
    ret->name = copy(name);
    ret->value = copy(trim(equals + 1));
    return 0;
}

static size_t count_lines(const char *text)
{
    size_t count = 1;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static int sources_read(const char *path, struct source **ret, struct err *err)
{
    _cleanup_(sources_freep) struct source *sources = NULL;
    _cleanup_(freep) char *text = NULL;
    struct source *next;
    char *rest;
    int r;

    r = file_read(path, "the configuration file", &text, err);
    if (r < 0)
        return r;
    next = sources = calloc(count_lines(text) + 1, sizeof(*sources));
    if (!sources)
        abort();
    rest = text;
    for (int number = 1; rest; number++) {
        r = line_parse(strsep(&rest, "\n"), path, number, next, err);
        if (r < 0)
            return r;
        next += next->name != NULL;
    }
    *ret = TAKE(sources);
    return 0;
}

/* `sources` NULL: the environment. */
static const char *source_get(const struct source *sources, const char *name)
{
    const char *value = NULL;

    if (!sources)
        return getenv(name);
    for (; sources->name; sources++)
        if (!strcmp(sources->name, name))
            value = sources->value; /* the last line wins */
    return value;
}

/* NAME from one source, or the content of the file that NAME_FILE names; *ret stays NULL when it
 * has neither. */
static int value_from(const struct entry *entry, const struct source *sources, char **ret,
                      struct err *err)
{
    const char *value = source_get(sources, entry->name);
    char name[CONFIG_NAME_BYTES];
    size_t length;
    int r;

    if (value) {
        *ret = copy(value);
        return 0;
    }
    snprintf(name, sizeof(name), "%s_FILE", entry->name);
    value = source_get(sources, name);
    if (!value)
        return 0;
    r = file_read(value, name, ret, err);
    if (r < 0)
        return r;
    length = strlen(*ret);
    if (length && (*ret)[length - 1] == '\n')
        (*ret)[--length] = '\0';
    if (length && (*ret)[length - 1] == '\r')
        (*ret)[--length] = '\0';
    return 0;
}

static int value_find(const struct entry *entry, const struct source *file, char **ret,
                      struct err *err)
{
    int r = value_from(entry, NULL, ret, err);

    if (r == 0 && !*ret && file)
        r = value_from(entry, file, ret, err);
    if (r == 0 && !*ret && entry->fallback)
        *ret = copy(entry->fallback);
    return r;
}

/* The name and what is allowed; the value only where it is no secret. */
static int value_refuse(const struct entry *entry, const char *value, struct err *err)
{
    _cleanup_(buf_free) struct buf bounds = BUF_INIT(256);

    types[entry->type].bound(entry, &bounds);
    if (entry->secret)
        return err_set(err, ERR_BAD_REQUEST, "%s must be %s%s", entry->name,
                       types[entry->type].must, bounds.data);
    return err_set(err, ERR_BAD_REQUEST, "%s must be %s%s, and is '%.100s'", entry->name,
                   types[entry->type].must, bounds.data, value);
}

static int value_missing(const struct entry *entry, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "%s is required: %s", entry->name, entry->help);
}

static int value_load(const struct entry *entry, int program, const struct source *file,
                      struct config *config, struct err *err)
{
    _cleanup_(freep) char *value = NULL;
    int r;

    r = value_find(entry, file, &value, err);
    if (r < 0)
        return r;
    if (!value && is_optional(entry, program))
        return 0;
    if (!value)
        return value_missing(entry, err);
    if (!types[entry->type].parse(entry, value, (char *)config + entry->offset))
        return value_refuse(entry, value, err);
    return 0;
}

int config_load(int program, const char *file, struct config **ret, struct err *err)
{
    _cleanup_(sources_freep) struct source *sources = NULL;
    _cleanup_(config_freep) struct config *config = NULL;
    int r = 0;

    if (!file)
        file = getenv("DOCKET_CONFIG_FILE");
    if (file)
        r = sources_read(file, &sources, err);
    if (r < 0)
        return r;
    config = calloc(1, sizeof(*config));
    if (!config)
        abort();
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        if (!is_read_by(&entries[i], program))
            continue; /* its field stays zero */
        r = value_load(&entries[i], program, sources, config, err);
        if (r < 0)
            return r;
    }
    *ret = TAKE(config);
    return 0;
}

int config_require(const char *value, const char *name, struct err *err)
{
    for (size_t i = 0; !value && i < COUNT_OF(entries); i++)
        if (!strcmp(entries[i].name, name))
            return value_missing(&entries[i], err);
    return 0;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        char *text =
            entries[i].type == TEXT ? *(char **)((char *)config + entries[i].offset) : NULL;

        if (text)
            explicit_bzero(text, strlen(text));
        free(text);
    }
    free(config);
}

/* --- what is told ----------------------------------------------------------------------------- */

bool config_has_token_life_gap(const struct config *config)
{
    return config->reply_token_life < config->pause_life;
}

void config_warn(const struct config *config)
{
    if (config_has_token_life_gap(config))
        log_warn("config.token_life_gap",
                 log_number("reply_token_life_s", config->reply_token_life / USEC_PER_S),
                 log_number("pause_life_s", config->pause_life / USEC_PER_S),
                 log_word("means", "between the two a paused request can't be resumed, only "
                                   "canceled, and it ends in error"));
}

/* --- what is printed -------------------------------------------------------------------------- */

static const char *fallback_word(const struct entry *entry)
{
    return !entry->fallback ? "required" : *entry->fallback ? entry->fallback : "empty";
}

void config_help(int program, FILE *out)
{
    fputs("Options:\n"
          "  --config FILE   lines NAME=value, # comments; else DOCKET_CONFIG_FILE names it\n"
          "  --help, --version\n"
          "\n"
          "Settings, from the environment, else from the file named by NAME_FILE, else from the\n"
          "configuration file:\n",
          out);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        _cleanup_(buf_free) struct buf bounds = BUF_INIT(256);

        if (!is_read_by(&entries[i], program))
            continue;
        types[entries[i].type].bound(&entries[i], &bounds);
        fprintf(out, "  %s (%s)\n      %s; %s\n", entries[i].name, fallback_word(&entries[i]),
                entries[i].help, bounds.data);
    }
}

/* "docket-api, docketctl" */
static void add_readers(const struct entry *entry, struct buf *text)
{
    for (size_t i = 0; i < COUNT_OF(programs); i++)
        if (is_read_by(entry, programs[i].letter))
            buf_printf(text, "%s%s", text->length ? ", " : "", programs[i].name);
}

static void markdown_row(const struct entry *entry, FILE *out)
{
    _cleanup_(buf_free) struct buf bounds = BUF_INIT(256), readers = BUF_INIT(256);
    const char *mark = entry->fallback && *entry->fallback ? "`" : "";

    types[entry->type].bound(entry, &bounds);
    add_readers(entry, &readers);
    fprintf(out, "| `%s` | %s | %s%s%s | %s | %s | %s | %s |\n", entry->name,
            types[entry->type].word, mark, fallback_word(entry), mark, bounds.data,
            entry->secret ? "yes" : "", readers.data, entry->help);
}

/* The settings of `program` alone; with 0, those that several programs read. */
static void markdown_group(const char *title, char program, FILE *out)
{
    fprintf(out,
            "\n## %s\n\n"
            "| Name | Type | Default | Allowed | Secret | Read by | What it is |\n"
            "| --- | --- | --- | --- | --- | --- | --- |\n",
            title);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        bool shared = strlen(entries[i].programs) > 1;

        if (program ? !shared && is_read_by(&entries[i], program) : shared)
            markdown_row(&entries[i], out);
    }
}

void config_markdown(FILE *out)
{
    fputs("# Configuration\n"
          "\n"
          "Made by `docketctl config --markdown` from common/config.tbl.h; a test holds it against\n"
          "that table.\n"
          "\n"
          "A value comes from the environment; else from the file that `<NAME>_FILE` names (its\n"
          "content, without one trailing line end); else from the configuration file (`--config FILE`\n"
          "or `DOCKET_CONFIG_FILE`: lines `NAME=value`, `#` comments); else it is the default. A value\n"
          "that is not allowed, an unknown `DOCKET_` name in the file or a missing required one stops\n"
          "the program, which says what is allowed. A duration is a number with `ms`, `s`, `m`, `h` or\n"
          "`d`.\n",
          out);
    markdown_group("Read by several programs", 0, out);
    for (size_t i = 0; i < COUNT_OF(programs); i++) {
        _cleanup_(buf_free) struct buf title = BUF_INIT(64);

        buf_printf(&title, "Read by %s alone", programs[i].name);
        markdown_group(title.data, programs[i].letter, out);
    }
}

/* --- the start of a program ------------------------------------------------------------------- */

struct options {
    const char *file;
    bool help, version;
    int rest;
};

/* False when an option is none of these. Stops at the first argument that is no option. */
static bool options_read(int argc, char **argv, struct options *ret)
{
    static const struct option known[] = {
        { "config", required_argument, NULL, 'c' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },
        { 0 },
    };
    int option;

    optind = 1;
    while ((option = getopt_long(argc, argv, "+h", known, NULL)) != -1) {
        if (option == '?')
            return false; /* getopt has said which */
        if (option == 'c')
            ret->file = optarg;
        ret->help |= option == 'h';
        ret->version |= option == 'v';
    }
    ret->rest = optind;
    return true;
}

int config_main(int program, const char *name, const char *about, int argc, char **argv, int *rest,
                struct config **ret)
{
    struct options options = { 0 };
    enum log_level level = LOG_INFO;
    struct err err;

    if (!options_read(argc, argv, &options))
        return -1;
    if (options.help) {
        printf("%s - %s\n\n", name, about);
        config_help(program, stdout);
        return 0;
    }
    if (options.version) {
        printf("%s %s\n", name, DOCKET_VERSION);
        return 0;
    }
    if (config_load(program, options.file, ret, &err) < 0) {
        fprintf(stderr, "%s: %s\n", name, err.text);
        return -1;
    }
    is_log_level((*ret)->log_level, &level);
    log_setup(name, level);
    config_warn(*ret);
    *rest = options.rest;
    return 1;
}
