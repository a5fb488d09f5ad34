#include "common/metrics.h"
#include "tests/unit/test.h"

#include <stdint.h>

enum { REQUESTS, SECONDS, DOLLARS, ACTIVE, TENANTS, EMPTY, FAMILIES };

static const int64_t bounds[] = {10, 100, 1000};

static const struct mr_metric_def defs[] = {
    [REQUESTS] = {"t_requests_total", "Requests.", MR_COUNTER, .labels = {"model", "status"},
        .open = 1},
    [SECONDS] = {"t_seconds", "Time\nit \"took\" \\.", MR_HISTOGRAM, 3, {"model"}, 1, bounds, 3},
    [DOLLARS] = {"t_dollars_total", "Cost.", MR_COUNTER, .decimals = 12},
    [ACTIVE] = {"t_active", "Now.", MR_GAUGE},
    [TENANTS] = {"t_tenants_total", "By tenant.", MR_COUNTER, .labels = {"tenant"}, .open = 1},
    [EMPTY] = {"t_empty", "Nothing yet.", MR_GAUGE, .labels = {"x"}},
};

static struct mr_series *at(
    struct mr_metrics *metrics, unsigned family, const char *a, const char *b)
{
    return mr_metrics_at(metrics, family, (const char *[]){a, b});
}

static char *text_of(const struct mr_metrics *metrics)
{
    struct mr_buf out = MR_BUF_INIT(1 << 20);
    size_t n;
    CHECK_INT(mr_metrics_write(metrics, &out), 0);
    char *text = mr_buf_steal(&out, &n);
    CHECK(text && strlen(text) == n);
    return text;
}

static void check_text(const struct mr_metrics *metrics, const char *want)
{
    char *text = text_of(metrics);
    char *tail = strstr(text, "# HELP millrace_metrics_folded_total");
    CHECK(tail);
    *tail = '\0';
    CHECK_STR(text, want);
    free(text);
}

static void check_has(const struct mr_metrics *metrics, const char *line, bool wanted)
{
    char *text = text_of(metrics);
    if ((strstr(text, line) != NULL) != wanted)
        fprintf(stderr, "# %s%s\n%s", wanted ? "missing: " : "", line, text);
    CHECK((strstr(text, line) != NULL) == wanted);
    free(text);
}

static void format(void)
{
    struct mr_metrics *metrics = mr_metrics_new(defs, FAMILIES);
    check_text(metrics,
        "# HELP t_dollars_total Cost.\n# TYPE t_dollars_total counter\nt_dollars_total 0\n"
        "# HELP t_active Now.\n# TYPE t_active gauge\nt_active 0\n");
    mr_series_add(at(metrics, REQUESTS, "m-1", "error"), 2);
    mr_series_add(at(metrics, REQUESTS, "m-1", "success"), 1);
    mr_series_add(at(metrics, REQUESTS, "m-1", "error"), 1);
    mr_series_set(at(metrics, ACTIVE, NULL, NULL), -7);
    check_text(metrics,
        "# HELP t_requests_total Requests.\n# TYPE t_requests_total counter\n"
        "t_requests_total{model=\"m-1\",status=\"error\"} 3\n"
        "t_requests_total{model=\"m-1\",status=\"success\"} 1\n"
        "# HELP t_dollars_total Cost.\n# TYPE t_dollars_total counter\nt_dollars_total 0\n"
        "# HELP t_active Now.\n# TYPE t_active gauge\nt_active -7\n");
    mr_metrics_free(metrics);
    CHECK(!mr_metrics_free(NULL));
}

static void escaping(void)
{
    struct mr_metrics *metrics = mr_metrics_new(defs, FAMILIES);
    mr_series_add(at(metrics, REQUESTS, "a\"b\\c\nd\te", "{}=,"), 1);
    check_has(metrics, "t_requests_total{model=\"a\\\"b\\\\c\\nd\te\",status=\"{}=,\"} 1\n", true);
    mr_series_observe(at(metrics, SECONDS, "m", NULL), 1);
    check_has(metrics, "# HELP t_seconds Time\\nit \"took\" \\\\.\n", true);
    /* Only valid UTF-8 is kept, and not too much of it; the same name is the same series again. */
    mr_series_add(at(metrics, REQUESTS, "caf\xc3\xa9 \xff!", "x"), 1);
    mr_series_add(at(metrics, REQUESTS, "caf\xc3\xa9 \xff!", "x"), 1);
    check_has(metrics, "t_requests_total{model=\"caf\xc3\xa9 \",status=\"x\"} 2\n", true);
    char name[1000];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    CHECK(at(metrics, REQUESTS, name, "x") == at(metrics, REQUESTS, name, "x"));
    CHECK_INT(strlen(mr_series_label(at(metrics, REQUESTS, name, "x"), 0)), MR_METRIC_VALUE_MAX);
    mr_metrics_free(metrics);
}

static void check_dollars(int64_t pico, const char *want)
{
    char line[64];
    struct mr_metrics *metrics = mr_metrics_new(defs, FAMILIES);
    mr_series_set(at(metrics, DOLLARS, NULL, NULL), pico);
    snprintf(line, sizeof(line), "\nt_dollars_total %s\n", want);
    check_has(metrics, line, true);
    mr_metrics_free(metrics);
}

static void money_is_exact(void)
{
    check_dollars(1, "0.000000000001");
    check_dollars(1000000000000, "1");
    check_dollars(1500000000000, "1.5");
    check_dollars(54399000007, "0.054399000007");
    check_dollars(-250000000000, "-0.25");
    check_dollars(INT64_MAX, "9223372.036854775807");
    check_dollars(INT64_MIN, "-9223372.036854775808");
    struct mr_metrics *metrics = mr_metrics_new(defs, FAMILIES);
    struct mr_series *dollars = at(metrics, DOLLARS, NULL, NULL);
    mr_series_add(dollars, INT64_MAX);
    mr_series_add(dollars, 1);
    CHECK_INT(mr_series_value(dollars), 0); /* as after a restart */
    mr_metrics_free(metrics);
}

static void histograms(void)
{
    struct mr_metrics *metrics = mr_metrics_new(defs, FAMILIES);
    struct mr_series *seconds = at(metrics, SECONDS, "m", NULL);
    static const int64_t values[] = {0, 10, 11, 100, 1000, 1001, 500000};
    int64_t sum = 0;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        mr_series_observe(seconds, values[i]);
        sum += values[i];
    }
    CHECK_INT(mr_series_value(seconds), sum);
    check_has(metrics,
        "# TYPE t_seconds histogram\n"
        "t_seconds_bucket{model=\"m\",le=\"0.01\"} 2\n"
        "t_seconds_bucket{model=\"m\",le=\"0.1\"} 4\n"
        "t_seconds_bucket{model=\"m\",le=\"1\"} 5\n"
        "t_seconds_bucket{model=\"m\",le=\"+Inf\"} 7\n"
        "t_seconds_sum{model=\"m\"} 502.122\n"
        "t_seconds_count{model=\"m\"} 7\n",
        true);
    mr_metrics_free(metrics);
}

/* More than it may have go to "other", each closed label by itself, and are counted. */
static void overflow(void)
{
    struct mr_metrics *metrics = mr_metrics_new(defs, FAMILIES);
    mr_metrics_limit(metrics, REQUESTS, 3);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 10; i++) {
            char model[16];
            snprintf(model, sizeof(model), "m-%d", i);
            mr_series_add(at(metrics, REQUESTS, model, i % 2 ? "error" : "success"), 1);
        }
    check_text(metrics,
        "# HELP t_requests_total Requests.\n# TYPE t_requests_total counter\n"
        "t_requests_total{model=\"m-0\",status=\"success\"} 2\n"
        "t_requests_total{model=\"m-1\",status=\"error\"} 2\n"
        "t_requests_total{model=\"m-2\",status=\"success\"} 2\n"
        "t_requests_total{model=\"other\",status=\"error\"} 8\n"
        "t_requests_total{model=\"other\",status=\"success\"} 6\n"
        "# HELP t_dollars_total Cost.\n# TYPE t_dollars_total counter\nt_dollars_total 0\n"
        "# HELP t_active Now.\n# TYPE t_active gauge\nt_active 0\n");
    check_has(metrics, "millrace_metrics_folded_total{family=\"t_requests_total\"} 14\n", true);
    check_has(metrics, "millrace_metrics_folded_total{family=\"t_tenants_total\"} 0\n", true);
    check_has(metrics, "family=\"t_empty\"", false);
    CHECK_STR(mr_series_label(at(metrics, REQUESTS, "m-2", "success"), 0), "m-2");
    CHECK_STR(mr_series_label(at(metrics, REQUESTS, "m-9", "error"), 0), "other");
    CHECK_STR(mr_series_label(at(metrics, REQUESTS, "m-9", "error"), 1), "error");
    mr_metrics_limit(metrics, TENANTS, 0); /* none has one of its own */
    mr_series_add(at(metrics, TENANTS, "acme", NULL), 5);
    check_has(metrics, "t_tenants_total{tenant=\"other\"} 5\n", true);
    mr_metrics_free(metrics);
}

static void many(void)
{
    struct mr_metrics *metrics = mr_metrics_new(defs, FAMILIES);
    struct mr_series *first = at(metrics, TENANTS, "t0", NULL);
    mr_metrics_limit(metrics, TENANTS, 5000);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 6000; i++) {
            char tenant[16];
            snprintf(tenant, sizeof(tenant), "t%d", i);
            mr_series_add(at(metrics, TENANTS, tenant, NULL), i);
        }
    CHECK(at(metrics, TENANTS, "t0", NULL) == first);
    CHECK_INT(mr_series_value(at(metrics, TENANTS, "t4999", NULL)), 3 * 4999);
    CHECK_INT(mr_series_value(at(metrics, TENANTS, "other", NULL)), 3 * 5499500);
    mr_metrics_free(metrics);
}

static void clearing(void)
{
    struct mr_metrics *metrics = mr_metrics_new(defs, FAMILIES);
    for (int round = 0; round < 3; round++) {
        mr_series_set(at(metrics, EMPTY, round == 1 ? "b" : "a", NULL), round);
        mr_series_add(at(metrics, TENANTS, "a", NULL), 1);
        check_has(metrics, "t_empty{x=\"a\"}", round != 1);
        check_has(metrics, "t_empty{x=\"b\"}", round == 1);
        mr_metrics_clear(metrics, EMPTY);
    }
    CHECK_INT(mr_series_value(at(metrics, TENANTS, "a", NULL)), 3);
    mr_metrics_free(metrics);
}

static void bounded_text(void)
{
    struct mr_metrics *metrics = mr_metrics_new(defs, FAMILIES);
    for (size_t max = 0; max < 200; max++) {
        struct mr_buf out = MR_BUF_INIT(max);
        CHECK(mr_metrics_write(metrics, &out) < 0);
        mr_buf_deinit(&out);
    }
    mr_metrics_free(metrics);
}

static void process(void)
{
    struct mr_metrics *metrics = mr_metrics_new(mr_process_metrics, MR_PROCESS_METRICS);
    int64_t values[MR_PROCESS_METRICS];
    for (volatile int i = 0; i < 10000000;)
        i++; /* some CPU time */
    mr_metrics_set_process(metrics, 0, 1790000000123);
    for (unsigned i = 0; i < MR_PROCESS_METRICS; i++)
        values[i] = mr_series_value(mr_metrics_at(metrics, i, NULL));
    CHECK(values[0] > 1000 && values[0] < 60000000);
    CHECK(values[1] > 100000 && values[1] < values[2]);
    CHECK(values[3] >= 3 && values[3] < values[4]);
    check_has(metrics, "process_start_time_seconds 1790000000.123\n", true);
    FILE *more = fopen("/dev/null", "r");
    mr_metrics_set_process(metrics, 0, 0);
    CHECK_INT(mr_series_value(mr_metrics_at(metrics, 3, NULL)), values[3] + 1);
    fclose(more);
    mr_metrics_free(metrics);
}

TEST_MAIN(TEST(format), TEST(escaping), TEST(money_is_exact), TEST(histograms), TEST(overflow),
    TEST(many), TEST(clearing), TEST(bounded_text), TEST(process))
