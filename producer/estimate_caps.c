#include "producer/estimate_caps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct mr_estimate_tenant {
    char name[MR_NAME_MAX + 1];
    int64_t jobs, expected, worst;           /* of all of them */
    int64_t dearest_expected, dearest_worst; /* of one */
};

void mr_estimate_caps_deinit(struct mr_estimate_caps *caps)
{
    free(caps->tenants);
    *caps = (struct mr_estimate_caps){0};
}

static int by_name(const void *name, const void *tenant)
{
    return strcmp(name, ((const struct mr_estimate_tenant *)tenant)->name);
}

/* Its place among the others; they stay in order. */
static struct mr_estimate_tenant *tenant_of(struct mr_estimate_caps *caps, const char *name)
{
    struct mr_estimate_tenant *tenants = caps->tenants;
    size_t n = caps->ntenants, at = n;
    if (n > 0 && (tenants = bsearch(name, tenants, n, sizeof(*tenants), by_name)))
        return tenants;
    tenants = reallocarray(caps->tenants, n + 1, sizeof(*tenants));
    if (!tenants)
        return NULL;
    caps->tenants = tenants;
    while (at > 0 && strcmp(tenants[at - 1].name, name) > 0)
        at--;
    memmove(tenants + at + 1, tenants + at, (n - at) * sizeof(*tenants));
    tenants[at] = (struct mr_estimate_tenant){.jobs = 0};
    snprintf(tenants[at].name, sizeof(tenants[at].name), "%s", name);
    caps->ntenants++;
    return &tenants[at];
}

static int64_t sum(int64_t a, int64_t b)
{
    int64_t ret;
    return __builtin_add_overflow(a, b, &ret) ? INT64_MAX : ret;
}

int mr_estimate_caps_add(
    struct mr_estimate_caps *caps, const char *name, int64_t expected, int64_t worst)
{
    struct mr_estimate_tenant *tenant = tenant_of(caps, name);
    if (!tenant)
        return -ENOMEM;
    tenant->jobs++;
    tenant->expected = sum(tenant->expected, expected);
    tenant->worst = sum(tenant->worst, worst);
    if (worst > tenant->dearest_worst)
        tenant->dearest_worst = worst;
    if (expected > tenant->dearest_expected)
        tenant->dearest_expected = expected;
    return 0;
}

/* ---- against the caps ---- */

const struct mr_column mr_estimate_cap_columns[MR_ESTIMATE_CAP_COLUMNS] = {
    {"tenant", "TENANT", MR_CELL_TEXT},
    {"cap", "CAP", MR_CELL_TEXT},
    {"cap_usd", "DOLLARS", MR_CELL_USD},
    {"left_usd", "LEFT", MR_CELL_USD},
    {"expected_usd", "EXPECTED", MR_CELL_USD},
    {"worst_usd", "WORST", MR_CELL_USD},
    {"fits", "FITS", MR_CELL_TEXT},
    {"otherwise", "OTHERWISE", MR_CELL_TEXT},
    {"jobs", NULL, MR_CELL_INT},
    {"spent_usd", NULL, MR_CELL_USD},
};

/* A hold that does not fit is refused, whatever the call would have cost: only what fits at its
 * worst is sure to. What a job's own cap has no room for does not wait. */
static const char sql[] =
    "select o.tenant, cap, v.usd, left_usd, v.expected * 1e-12, v.worst * 1e-12,"
    " case when v.worst * 1e-12 <= left_usd then 'yes'"
    "   when v.expected * 1e-12 <= left_usd then 'maybe' else 'no' end,"
    " case when cap <> 'job' or o.on_cap = 'degrade' then o.on_cap else 'dead' end,"
    " a.jobs, case when cap <> 'job' then v.spent end"
    " from jsonb_to_recordset($1::jsonb) a (tenant text, jobs bigint, expected numeric,"
    "   worst numeric, one_expected numeric, one_worst numeric)"
    " join millrace.tenant_overview o on o.tenant = a.tenant, lateral (values"
    "   (1, 'day', cap_day_usd, day_settled_usd + day_held_usd + day_ambiguous_usd, a.expected,"
    "     a.worst),"
    "   (2, 'month', cap_month_usd, month_settled_usd + month_held_usd + month_ambiguous_usd,"
    "     a.expected, a.worst),"
    "   (3, 'job', cap_job_usd, 0, one_expected, one_worst)) v (ord, cap, usd, spent, expected,"
    "     worst),"
    " lateral (select greatest(v.usd - v.spent, 0) as left_usd) c"
    " where v.usd is not null order by o.tenant, v.ord";

/* Names of tenants need no quotes within a string. */
static char *list(const struct mr_estimate_caps *caps)
{
    struct mr_buf buf = MR_BUF_INIT(caps->ntenants * (MR_NAME_MAX + 256) + 3);
    int r = mr_buf_putc(&buf, '[');
    for (size_t i = 0; i < caps->ntenants && r == 0; i++) {
        const struct mr_estimate_tenant *t = &caps->tenants[i];
        r = mr_buf_printf(&buf,
            "%s{\"tenant\":\"%s\",\"jobs\":%" PRId64 ",\"expected\":%" PRId64 ",\"worst\":%" PRId64
            ",\"one_expected\":%" PRId64 ",\"one_worst\":%" PRId64 "}",
            i ? "," : "", t->name, t->jobs, t->expected, t->worst, t->dearest_expected,
            t->dearest_worst);
    }
    if (r == 0)
        r = mr_buf_putc(&buf, ']');
    if (r == 0)
        return mr_buf_steal(&buf, NULL);
    mr_buf_deinit(&buf);
    return NULL;
}

PGresult *mr_estimate_caps_ask(
    const struct mr_estimate_caps *caps, struct mr_cli *cli, PGconn *conn)
{
    char *tenants = list(caps);
    const char *params[] = {tenants ? tenants : "[]"};
    PGresult *rows = mr_db_query(cli, conn, sql, 1, params);
    free(tenants);
    return rows;
}
