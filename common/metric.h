/*
 * metric - counters, gauges and histograms in Prometheus' text form. Names and labels are bounded: never a request
 * id, a URL or an identity.
 *
 * Threads: any; values are atomics, label sets are added under a lock and never removed.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/usec.h"

enum metric {
#define METRIC(name, word, type, labels, help) METRIC_##name,
#include "common/metric.tbl.h"
#undef METRIC
    METRICS
};

/* `labels`: as many values as the metric's table row names, NULL-terminated; none for a metric without. */
void metric_add(enum metric metric, const char *const *labels, int64_t value);     /* counter */
void metric_set(enum metric metric, const char *const *labels, double value);      /* gauge */
void metric_observe(enum metric metric, const char *const *labels, usec_t value);  /* histogram, seconds */

#define METRIC_LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })

void metric_print(struct buf *out); /* text exposition format 0.0.4 */
