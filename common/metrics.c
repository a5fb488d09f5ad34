#include "common/metrics.h"
#include "common/json.h"
#include "common/metrics_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static unsigned labels_of(const struct mr_metric_def *def)
{
    unsigned n = 0;
    while (n < MR_METRIC_LABELS_MAX && def->labels[n])
        n++;
    return n;
}

struct mr_metrics *mr_metrics_new(const struct mr_metric_def *defs, size_t count)
{
    struct mr_metrics *metrics =
        calloc(1, sizeof(*metrics) + count * sizeof(struct mr_metric_family));
    struct mr_series *lost = calloc(1, sizeof(*lost));
    if (!metrics || !lost) {
        free(metrics);
        free(lost);
        return NULL;
    }
    metrics->lost = lost;
    lost->def = &metrics->lost_def;
    metrics->count = count;
    for (unsigned i = 0; i < count; i++) {
        struct mr_metric_family *family = &metrics->families[i];
        family->def = &defs[i];
        family->nlabels = labels_of(&defs[i]);
        family->max_series = MR_METRIC_SERIES_MAX;
        family->end = &family->first;
        if (family->nlabels == 0)
            (void)mr_metrics_at(metrics, i, NULL);
    }
    return metrics;
}

struct mr_metrics *mr_metrics_free(struct mr_metrics *metrics)
{
    for (size_t i = 0; metrics && i < metrics->count; i++)
        mr_metrics_clear(metrics, (unsigned)i);
    if (metrics)
        free(metrics->lost);
    free(metrics);
    return NULL;
}

void mr_metrics_limit(struct mr_metrics *metrics, unsigned family, unsigned max_series)
{
    metrics->families[family].max_series = max_series;
}

/* ---- finding ---- */

static uint64_t hash_of(unsigned family, const char *const *values, unsigned count)
{
    uint64_t hash = (UINT64_C(14695981039346656037) ^ family) * UINT64_C(1099511628211);
    for (unsigned i = 0; i < count; i++) {
        for (const char *c = values[i]; *c; c++)
            hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
        hash = (hash ^ 0xff) * UINT64_C(1099511628211); /* in no UTF-8: where a value ends */
    }
    return hash ^ hash >> 32;
}

static struct mr_series **bucket_of(struct mr_metrics *metrics, uint64_t hash)
{
    return &metrics->table[hash & (MR_METRICS_BUCKETS - 1)];
}

static bool is(const struct mr_series *series, const struct mr_metric_def *def, uint64_t hash,
    const char *const *values)
{
    if (series->hash != hash || series->def != def)
        return false;
    for (unsigned i = 0; i < series->nlabels; i++)
        if (strcmp(series->values[i], values[i]) != 0)
            return false;
    return true;
}

static struct mr_series *find(struct mr_metrics *metrics, const struct mr_metric_def *def,
    uint64_t hash, const char *const *values)
{
    struct mr_series *series = *bucket_of(metrics, hash);
    while (series && !is(series, def, hash, values))
        series = series->bucket_next;
    return series;
}

static struct mr_series *make(struct mr_metrics *metrics, struct mr_metric_family *family,
    uint64_t hash, const char *const *values)
{
    const struct mr_metric_def *def = family->def;
    size_t ncounts = def->type == MR_HISTOGRAM ? def->nbounds + 1 : 0, bytes = 0;
    for (unsigned i = 0; i < family->nlabels; i++)
        bytes += strlen(values[i]) + 1;
    struct mr_series *series =
        calloc(1, sizeof(*series) + ncounts * sizeof(series->counts[0]) + bytes);
    if (!series)
        return NULL;
    char *at = (char *)&series->counts[ncounts];
    for (unsigned i = 0; i < family->nlabels; i++) {
        size_t size = strlen(values[i]) + 1;
        memcpy(at, values[i], size);
        series->values[i] = at;
        at += size;
    }
    series->def = def;
    series->nlabels = family->nlabels;
    series->hash = hash;
    series->bucket_next = *bucket_of(metrics, hash);
    *bucket_of(metrics, hash) = series;
    *family->end = series;
    family->end = &series->next;
    family->nseries++;
    return series;
}

/* Under "other". These come on top of the family's own: as many as its closed labels have values.
 */
static struct mr_series *fold(
    struct mr_metrics *metrics, unsigned number, const char *const *values)
{
    struct mr_metric_family *family = &metrics->families[number];
    const char *folded[MR_METRIC_LABELS_MAX];
    for (unsigned i = 0; i < family->nlabels; i++)
        folded[i] = family->def->open & (1u << i) ? MR_METRIC_OTHER : values[i];
    uint64_t hash = hash_of(number, folded, family->nlabels);
    struct mr_series *series = find(metrics, family->def, hash, folded);
    family->folded++;
    return series ? series : make(metrics, family, hash, folded);
}

struct mr_series *mr_metrics_at(
    struct mr_metrics *metrics, unsigned number, const char *const *values)
{
    assert(number < metrics->count);
    struct mr_metric_family *family = &metrics->families[number];
    uint64_t hash = hash_of(number, values, family->nlabels);
    struct mr_series *series = find(metrics, family->def, hash, values);
    if (series)
        return series;
    /* What is kept is short and valid UTF-8; what is not is looked up again as it is kept. */
    char clean[MR_METRIC_LABELS_MAX][MR_METRIC_VALUE_MAX + 1];
    const char *cleaned[MR_METRIC_LABELS_MAX];
    for (unsigned i = 0; i < family->nlabels; i++) {
        mr_utf8_copy(clean[i], sizeof(clean[i]), values[i]);
        cleaned[i] = clean[i];
    }
    hash = hash_of(number, cleaned, family->nlabels);
    series = find(metrics, family->def, hash, cleaned);
    if (!series && family->def->open && family->nseries >= family->max_series)
        series = fold(metrics, number, cleaned);
    else if (!series)
        series = make(metrics, family, hash, cleaned);
    if (series)
        return series;
    return metrics->lost;
}

const char *mr_series_label(const struct mr_series *series, unsigned label)
{
    return label < series->nlabels ? series->values[label] : MR_METRIC_OTHER;
}

void mr_metrics_clear(struct mr_metrics *metrics, unsigned number)
{
    struct mr_metric_family *family = &metrics->families[number];
    for (struct mr_series *series = family->first, *next; series; series = next) {
        struct mr_series **at = bucket_of(metrics, series->hash);
        while (*at != series)
            at = &(*at)->bucket_next;
        *at = series->bucket_next;
        next = series->next;
        free(series);
    }
    family->first = NULL;
    family->end = &family->first;
    family->nseries = 0;
}

/* ---- counting ---- */

void mr_series_add(struct mr_series *series, int64_t n)
{
    if (__builtin_add_overflow(series->value, n, &series->value))
        series->value = 0;
}

void mr_series_set(struct mr_series *series, int64_t value)
{
    series->value = value;
}

void mr_series_observe(struct mr_series *series, int64_t value)
{
    const struct mr_metric_def *def = series->def;
    if (def->type != MR_HISTOGRAM)
        return; /* the one nobody sees */
    size_t i = 0;
    while (i < def->nbounds && value > def->bounds[i])
        i++;
    series->counts[i]++;
    mr_series_add(series, value);
}

int64_t mr_series_value(const struct mr_series *series)
{
    return series->value;
}
