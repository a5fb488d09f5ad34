/* Counters, gauges and histograms, and Prometheus' text format of them. For one thread: no locks.
 *
 * A program has one table of families. A family's series differ by the values of its labels. Values
 * are integers, in the unit that the family's name says divided by 10^decimals, and are written as
 * exact decimals: money stays money.
 *
 * Labels whose values come from outside (a model, a tenant) are open. A family has at most
 * max_series of their own; what comes after is counted under the value "other" in each open label,
 * and `millrace_metrics_folded_total` says how often that was so. Memory is taken when a series is
 * first asked for, and never after. */
#pragma once

#include "common/buf.h"

#include <stdint.h>

#define MR_METRIC_LABELS_MAX 3
#define MR_METRIC_VALUE_MAX 128 /* bytes of a label's value; more is cut */
#define MR_METRIC_SERIES_MAX 200
#define MR_METRIC_OTHER "other"
#define MR_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8" /* Content-Type */

enum mr_metric_type { MR_COUNTER, MR_GAUGE, MR_HISTOGRAM };

struct mr_metric_def {
    const char *name, *help;
    enum mr_metric_type type;
    int decimals;                             /* 3: milliseconds, where the name says seconds */
    const char *labels[MR_METRIC_LABELS_MAX]; /* as many as there are, then NULL */
    unsigned open;                            /* bit i: label i */
    const int64_t *bounds;                    /* HISTOGRAM: upper bounds of the buckets, rising */
    size_t nbounds;                           /* the bucket +Inf comes on top */
};

struct mr_metrics;
struct mr_series;

/* defs are borrowed; a family's number is its index. A family without labels has its one series, at
 * zero, from the start. NULL: no memory. */
struct mr_metrics *mr_metrics_new(const struct mr_metric_def *defs, size_t count) MR_CHECK;
struct mr_metrics *mr_metrics_free(struct mr_metrics *metrics);

/* How many series of its own a family may have from now on, instead of MR_METRIC_SERIES_MAX. */
void mr_metrics_limit(struct mr_metrics *metrics, unsigned family, unsigned max_series);

/* The series with these values, one for each label, in the order of the labels. Made at its first
 * use, at zero; good until it is cleared. Never NULL: without memory it is one that nobody sees. */
struct mr_series *mr_metrics_at(
    struct mr_metrics *metrics, unsigned family, const char *const *values);
/* The value it stands under, which may be "other". */
const char *mr_series_label(const struct mr_series *series, unsigned label);

/* COUNTER, n >= 0; GAUGE. A counter that would overflow begins again at zero, as after a restart.
 */
void mr_series_add(struct mr_series *series, int64_t n);
void mr_series_set(struct mr_series *series, int64_t value);     /* GAUGE; COUNTER kept elsewhere */
void mr_series_observe(struct mr_series *series, int64_t value); /* HISTOGRAM */
int64_t mr_series_value(const struct mr_series *series);         /* HISTOGRAM: the sum */

/* Forgets the series of a family, for those that are filled anew before they are read. */
void mr_metrics_clear(struct mr_metrics *metrics, unsigned family);

/* Appends everything. 0, -EMSGSIZE or -ENOMEM. */
int mr_metrics_write(const struct mr_metrics *metrics, struct mr_buf *out) MR_CHECK;

/* ---- metrics_process.c: the process itself, by the names that all programs use ---- */

#define MR_PROCESS_METRICS 6
/* Their families, to be copied into a table. */
extern const struct mr_metric_def mr_process_metrics[MR_PROCESS_METRICS];
/* Fills them; first is the family number of the first. started_ms: wall. */
void mr_metrics_set_process(struct mr_metrics *metrics, unsigned first, int64_t started_ms);
