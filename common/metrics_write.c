/* The text format, version 0.0.4. */
#include "common/metrics_int.h"

#include <string.h>

#define NUMBER_LEN 48

static const char *const type_names[] = {"counter", "gauge", "histogram"};

/* A fixed-point number without a float in between: 1500 with 3 decimals is "1.5". */
static const char *number(int64_t value, int decimals, char buf[static NUMBER_LEN])
{
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char *at = buf + NUMBER_LEN - 1;
    bool begun = false;
    *at = '\0';
    for (int i = 0; i < decimals; i++, left /= 10) {
        begun |= left % 10 != 0;
        if (begun)
            *--at = (char)('0' + left % 10);
    }
    if (begun)
        *--at = '.';
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        *--at = '-';
    return at;
}

/* quotes: of a label's value; help texts have none to mind. */
static int put_escaped(struct mr_buf *out, const char *s, bool quotes)
{
    int r = 0;
    while (r == 0 && *s) {
        size_t plain = strcspn(s, quotes ? "\\\n\"" : "\\\n");
        r = mr_buf_put(out, s, plain);
        s += plain;
        if (r == 0 && *s) {
            r = mr_buf_puts(out, *s == '\n' ? "\\n" : *s == '"' ? "\\\"" : "\\\\");
            s++;
        }
    }
    return r;
}

static int put_label(struct mr_buf *out, bool first, const char *name, const char *value)
{
    int r = mr_buf_putc(out, first ? '{' : ',');
    if (r == 0)
        r = mr_buf_puts(out, name);
    if (r == 0)
        r = mr_buf_puts(out, "=\"");
    if (r == 0)
        r = put_escaped(out, value, true);
    return r < 0 ? r : mr_buf_putc(out, '"');
}

/* name_suffix{labels,le="..."} value */
static int put_sample(struct mr_buf *out, const struct mr_series *series, const char *suffix,
    const char *le, const char *value)
{
    int r = mr_buf_puts(out, series->def->name);
    if (r == 0)
        r = mr_buf_puts(out, suffix);
    for (unsigned i = 0; r == 0 && i < series->nlabels; i++)
        r = put_label(out, i == 0, series->def->labels[i], series->values[i]);
    if (r == 0 && le)
        r = put_label(out, series->nlabels == 0, "le", le);
    if (r == 0 && (le || series->nlabels > 0))
        r = mr_buf_putc(out, '}');
    if (r == 0)
        r = mr_buf_putc(out, ' ');
    if (r == 0)
        r = mr_buf_puts(out, value);
    return r < 0 ? r : mr_buf_putc(out, '\n');
}

static int put_histogram(struct mr_buf *out, const struct mr_series *series)
{
    const struct mr_metric_def *def = series->def;
    char bound[NUMBER_LEN], value[NUMBER_LEN];
    uint64_t seen = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i <= def->nbounds; i++) {
        seen += series->counts[i];
        r = put_sample(out, series, "_bucket",
            i < def->nbounds ? number(def->bounds[i], def->decimals, bound) : "+Inf",
            number((int64_t)seen, 0, value));
    }
    if (r == 0)
        r = put_sample(out, series, "_sum", NULL, number(series->value, def->decimals, value));
    if (r == 0)
        r = put_sample(out, series, "_count", NULL, number((int64_t)seen, 0, value));
    return r;
}

static int put_head(struct mr_buf *out, const char *name, const char *help, const char *type)
{
    int r = mr_buf_printf(out, "# HELP %s ", name);
    if (r == 0)
        r = put_escaped(out, help, false);
    return r < 0 ? r : mr_buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

static int put_family(struct mr_buf *out, const struct mr_metric_family *family)
{
    const struct mr_metric_def *def = family->def;
    char value[NUMBER_LEN];
    int r = family->first ? put_head(out, def->name, def->help, type_names[def->type]) : 0;
    for (const struct mr_series *series = family->first; r == 0 && series; series = series->next)
        r = def->type == MR_HISTOGRAM
                ? put_histogram(out, series)
                : put_sample(out, series, "", NULL, number(series->value, def->decimals, value));
    return r;
}

static int put_folded(struct mr_buf *out, const struct mr_metrics *metrics)
{
    static const char name[] = "millrace_metrics_folded_total";
    int r = put_head(out, name,
        "What was counted under \"other\", because the family had as many series as it may have.",
        type_names[MR_COUNTER]);
    for (size_t i = 0; r == 0 && i < metrics->count; i++) {
        const struct mr_metric_family *family = &metrics->families[i];
        char value[NUMBER_LEN];
        if (family->def->open)
            r = mr_buf_printf(out, "%s{family=\"%s\"} %s\n", name, family->def->name,
                number((int64_t)family->folded, 0, value));
    }
    return r;
}

int mr_metrics_write(const struct mr_metrics *metrics, struct mr_buf *out)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < metrics->count; i++)
        r = put_family(out, &metrics->families[i]);
    return r < 0 ? r : put_folded(out, metrics);
}
