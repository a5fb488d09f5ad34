/* The parts of metrics among themselves: metrics.c (series and what they count), metrics_write.c
 * (the text). */
#pragma once

#include "common/metrics.h"

#include <stdbool.h>

#define MR_METRICS_BUCKETS 1024 /* a power of two */

struct mr_series {
    struct mr_series *bucket_next; /* of the same hash */
    struct mr_series *next;        /* of the same family */
    const struct mr_metric_def *def;
    uint64_t hash;
    unsigned nlabels;
    const char *values[MR_METRIC_LABELS_MAX]; /* behind counts */
    int64_t value;                            /* HISTOGRAM: the sum */
    uint64_t counts[]; /* HISTOGRAM: what fell into each bucket, not cumulated; the last is +Inf */
};

struct mr_metric_family {
    const struct mr_metric_def *def;
    unsigned nlabels, nseries, max_series;
    uint64_t folded; /* lookups that ended at "other" */
    struct mr_series *first, **end;
};

struct mr_metrics {
    struct mr_series *table[MR_METRICS_BUCKETS];
    struct mr_series *lost; /* what there is no memory for is counted here, and never shown */
    struct mr_metric_def lost_def;
    size_t count;
    struct mr_metric_family families[];
};
