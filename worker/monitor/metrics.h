/* What a worker counts: mr_observe_ops made into the families of /metrics. docs/operations.md lists
 * them. */
#pragma once

#include "common/config.h"
#include "common/metrics.h"
#include "worker/engine/world.h"

enum mr_family {
    /* by the names that guides and dashboards use */
    MR_M_AI_REQUESTS,
    MR_M_AI_DURATION,
    MR_M_AI_ACTIVE,
    MR_M_AI_TOKENS,
    /* jobs */
    MR_M_JOBS,
    MR_M_JOB_COST,
    MR_M_JOB_DURATION,
    MR_M_JOBS_DELAYED,
    MR_M_REJECTED,
    MR_M_CLAIMS,
    MR_M_QUEUE_AGE,
    MR_M_STEPS,
    MR_M_STEPS_DEGRADED,
    /* calls and money */
    MR_M_CALLS,
    MR_M_CALL_DURATION,
    MR_M_TOKENS,
    MR_M_COST,
    MR_M_AMBIGUOUS,
    MR_M_UNPRICED,
    MR_M_HOLDS,
    MR_M_HELD,
    MR_M_CACHE,
    /* tenants */
    MR_M_TENANT_COST,
    MR_M_TENANT_JOBS,
    MR_M_CAP_ALERT,
    /* breakers and limits */
    MR_M_BREAKER,
    MR_M_LIMIT_RPM,
    MR_M_LIMIT_TPM,
    MR_M_LIMIT_SLOTS,
    MR_M_LIMIT_IN_FLIGHT,
    MR_M_LIMIT_WAITING,
    MR_M_LIMIT_PAUSED,
    /* this worker */
    MR_M_BUILD,
    MR_M_WORKER,
    MR_M_READY,
    MR_M_SLOTS,
    MR_M_SLOTS_USED,
    MR_M_JOBS_WAITING,
    MR_M_LOOP_LAG,
    /* its services */
    MR_M_DB_CONNECTED,
    MR_M_DB_WAITING,
    MR_M_DB_ITEMS,
    MR_M_DB_SECONDS,
    MR_M_DB_FAILURES,
    MR_M_BROKER_CONNECTED,
    MR_M_PUBLISHER_CONNECTED,
    MR_M_PUBLISHED,
    MR_M_PUBLISH_REFUSED,
    MR_M_CONFIRM_SECONDS,
    MR_M_BACKLOG,
    MR_M_PROCESS, /* the first of mr_process_metrics */
    MR_FAMILIES = MR_M_PROCESS + MR_PROCESS_METRICS
};

/* metrics_table.c; those of the process too. */
extern const struct mr_metric_def mr_worker_families[MR_M_PROCESS];

struct mr_worker_metrics {
    struct mr_metrics *metrics;
    struct mr_metric_def defs[MR_FAMILIES];
    struct mr_clock clock;
};

/* clock: wall time is read of it. 0 or -ENOMEM. */
int mr_worker_metrics_init(struct mr_worker_metrics *m, struct mr_clock clock) MR_CHECK;
void mr_worker_metrics_deinit(struct mr_worker_metrics *m);

/* Series that are there before anything happens, so that their first rise is seen; how many tenants
 * have a name of their own. Again after a reload. */
void mr_worker_metrics_configure(struct mr_worker_metrics *m, const struct mr_config *config);

/* For struct mr_observe_ops; ctx is the metrics. */
void mr_worker_metrics_observe(void *ctx, const struct mr_observation *what);

/* The series of a family with these label values. */
#define MR_AT(m, family, ...)                                                                      \
    mr_metrics_at((m)->metrics, family, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* The name a tenant is counted under: its own or "other". */
const char *mr_worker_metrics_tenant(struct mr_worker_metrics *m, const char *tenant);
