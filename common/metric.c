#include "common/metric.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sets of label values of one metric; what comes after them is counted under "other". */
enum { SETS_MAX = 4096, SLOTS = 256, LABELS_MAX = 4 };

enum type { COUNTER, GAUGE, HISTOGRAM };

/* Upper bounds of a histogram's buckets: from a call within one machine to a delivery after the
 * last retry. */
static const usec_t bounds[] = { 500,
                                 1000,
                                 2500,
                                 5000,
                                 10000,
                                 25000,
                                 50000,
                                 100000,
                                 250000,
                                 500000,
                                 USEC_PER_S,
                                 2500000,
                                 5 * USEC_PER_S,
                                 10 * USEC_PER_S,
                                 30 * USEC_PER_S,
                                 60 * USEC_PER_S,
                                 300 * USEC_PER_S,
                                 1800 * USEC_PER_S,
                                 7200 * USEC_PER_S,
                                 86400 * USEC_PER_S };
enum { BOUNDS = sizeof(bounds) / sizeof(bounds[0]) };

/* One set of label values. */
struct series {
    struct series *next; /* in its slot; never changes */
    const char *values[LABELS_MAX];
    atomic_llong number;    /* a counter; a histogram's sum, in microseconds */
    _Atomic double level;   /* a gauge */
    atomic_llong buckets[]; /* a histogram: each of `bounds` alone, then what is above them */
};

struct family {
    const char *word, *labels, *help;
    enum type type;
    int set_count; /* under the lock */
    _Atomic(struct series *) slots[SLOTS];
};

/* The process has one set of numbers, as it has one log. */
static struct family families[METRICS] = {
#define METRIC(name, word, type, labels, help) { word, labels, help, type, 0, { NULL } },
#include "common/metric.tbl.h"
#undef METRIC
};
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;
static const char *const no_labels[] = { NULL };
static const char *const other_labels[LABELS_MAX + 1] = { "other", "other", "other", "other",
                                                          NULL };

static int label_count(const struct family *family)
{
    int count = *family->labels ? 1 : 0;

    for (const char *at = family->labels; *at; at++)
        count += *at == ',';
    return count;
}

static unsigned slot_of(const char *const *values)
{
    unsigned hash = 2166136261u; /* FNV-1a */

    for (; *values; values++)
        for (const char *at = *values;; at++) {
            hash = (hash ^ (unsigned char)*at) * 16777619u;
            if (!*at)
                break;
        }
    return (hash ^ hash >> 16) % SLOTS;
}

static bool is_series(const struct series *series, const char *const *values)
{
    for (int i = 0; values[i]; i++)
        if (strcmp(series->values[i], values[i]))
            return false;
    return true;
}

static struct series *series_find(struct family *family, unsigned slot, const char *const *values)
{
    struct series *series = atomic_load_explicit(&family->slots[slot], memory_order_acquire);

    while (series && !is_series(series, values))
        series = series->next;
    return series;
}

static struct series *series_new(const struct family *family, const char *const *values)
{
    size_t buckets = family->type == HISTOGRAM ? BOUNDS + 1 : 0;
    struct series *series = calloc(1, sizeof(*series) + buckets * sizeof(series->buckets[0]));

    if (!series)
        abort();
    for (int i = 0; values[i]; i++) {
        series->values[i] = strdup(values[i]);
        if (!series->values[i])
            abort();
    }
    return series;
}

static struct series *series_add(struct family *family, const char *const *values)
{
    unsigned slot = slot_of(values);
    struct series *series =
        series_find(family, slot, values); /* another thread may have been faster */

    if (series)
        return series;
    series = series_new(family, values);
    series->next = atomic_load(&family->slots[slot]);
    atomic_store_explicit(&family->slots[slot], series, memory_order_release);
    family->set_count++;
    return series;
}

static struct series *series_of(enum metric metric, const char *const *labels)
{
    struct family *family = &families[metric];
    const char *const *values = labels ? labels : no_labels;
    struct series *series = series_find(family, slot_of(values), values);

    if (series)
        return series;
    pthread_mutex_lock(&adding);
    if (family->set_count >= SETS_MAX)
        values = other_labels + LABELS_MAX - label_count(family);
    series = series_add(family, values);
    pthread_mutex_unlock(&adding);
    return series;
}

void metric_add(enum metric metric, const char *const *labels, int64_t value)
{
    atomic_fetch_add_explicit(&series_of(metric, labels)->number, value, memory_order_relaxed);
}

void metric_set(enum metric metric, const char *const *labels, double value)
{
    atomic_store_explicit(&series_of(metric, labels)->level, value, memory_order_relaxed);
}

void metric_observe(enum metric metric, const char *const *labels, usec_t value)
{
    struct series *series = series_of(metric, labels);
    int bucket = 0;

    while (bucket < BOUNDS && value > bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&series->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->number, value, memory_order_relaxed);
}

/* --- printing --------------------------------------------------------------------------------- */

static void print_escaped(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') {
            buf_adds(out, "\\n");
            continue;
        }
        if (*text == '"' || *text == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *text);
    }
}

/* word{label="value",...,le="bound"} ; `le` NULL: none */
static void print_name(struct buf *out, const struct family *family, const char *suffix,
                       const struct series *series, const char *le)
{
    const char *label = family->labels;
    char before = '{';

    buf_printf(out, "%s%s", family->word, suffix);
    for (int i = 0; *label; i++) {
        size_t length = strcspn(label, ",");

        buf_printf(out, "%c%.*s=\"", before, (int)length, label);
        print_escaped(out, series->values[i]);
        buf_addc(out, '"');
        label += length + (label[length] == ',');
        before = ',';
    }
    if (le)
        buf_printf(out, "%cle=\"%s\"", before, le);
    if (le || before == ',')
        buf_addc(out, '}');
    buf_addc(out, ' ');
}

static void print_counter(struct buf *out, const struct family *family, const struct series *series)
{
    print_name(out, family, "", series, NULL);
    buf_printf(out, "%lld\n", atomic_load(&series->number));
}

static void print_gauge(struct buf *out, const struct family *family, const struct series *series)
{
    print_name(out, family, "", series, NULL);
    buf_printf(out, "%.15g\n", atomic_load(&series->level));
}

static void print_histogram(struct buf *out, const struct family *family,
                            const struct series *series)
{
    long long count = 0;
    char le[32];

    for (int i = 0; i <= BOUNDS; i++) {
        count += atomic_load(&series->buckets[i]);
        if (i < BOUNDS)
            snprintf(le, sizeof(le), "%.15g", (double)bounds[i] / (double)USEC_PER_S);
        print_name(out, family, "_bucket", series, i < BOUNDS ? le : "+Inf");
        buf_printf(out, "%lld\n", count);
    }
    print_name(out, family, "_sum", series, NULL);
    buf_printf(out, "%.6f\n", (double)atomic_load(&series->number) / (double)USEC_PER_S);
    print_name(out, family, "_count", series, NULL);
    buf_printf(out, "%lld\n", count);
}

static void print_family(struct buf *out, struct family *family)
{
    static const struct {
        const char *word;
        void (*print)(struct buf *out, const struct family *family, const struct series *series);
    } types[] = {
        [COUNTER] = { "counter", print_counter },
        [GAUGE] = { "gauge", print_gauge },
        [HISTOGRAM] = { "histogram", print_histogram },
    };

    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->word, family->help, family->word,
               types[family->type].word);
    for (int slot = 0; slot < SLOTS; slot++)
        for (struct series *series = atomic_load(&family->slots[slot]); series;
             series = series->next)
            types[family->type].print(out, family, series);
}

static bool has_series(struct family *family)
{
    for (int slot = 0; slot < SLOTS; slot++)
        if (atomic_load(&family->slots[slot]))
            return true;
    return false;
}

void metric_print(struct buf *out)
{
    for (int i = 0; i < METRICS; i++)
        if (has_series(&families[i]))
            print_family(out, &families[i]);
}
