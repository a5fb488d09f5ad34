#include "worker/monitor/metrics.h"

#include <errno.h>
#include <string.h>

int mr_worker_metrics_init(struct mr_worker_metrics *m, struct mr_clock clock)
{
    static const char *const token_types[] = {
        "input", "input_cached", "input_cache_write", "input_cache_write_1h", "output"};
    memcpy(m->defs, mr_worker_families, sizeof(mr_worker_families));
    memcpy(&m->defs[MR_M_PROCESS], mr_process_metrics, sizeof(mr_process_metrics));
    m->clock = clock;
    m->metrics = mr_metrics_new(m->defs, MR_FAMILIES);
    if (!m->metrics)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(token_types) / sizeof(token_types[0]); i++)
        MR_AT(m, MR_M_AI_TOKENS, token_types[i]);
    MR_AT(m, MR_M_AMBIGUOUS, "answer_lost");
    MR_AT(m, MR_M_AMBIGUOUS, "worker_lost");
    MR_AT(m, MR_M_HOLDS, "granted");
    MR_AT(m, MR_M_HOLDS, "refused");
    MR_AT(m, MR_M_CACHE, "hit");
    MR_AT(m, MR_M_CACHE, "miss");
    return 0;
}

void mr_worker_metrics_deinit(struct mr_worker_metrics *m)
{
    m->metrics = mr_metrics_free(m->metrics);
}

void mr_worker_metrics_configure(struct mr_worker_metrics *m, const struct mr_config *config)
{
    unsigned tenants = (unsigned)config->worker.metrics_tenants;
    mr_metrics_limit(m->metrics, MR_M_TENANT_COST, tenants);
    mr_metrics_limit(m->metrics, MR_M_TENANT_JOBS, (tenants + 1) * 3); /* states, and "other" */
    mr_metrics_limit(m->metrics, MR_M_CAP_ALERT, (tenants + 1) * 4);   /* periods and levels */
    for (unsigned family = MR_M_LIMIT_RPM; family <= MR_M_LIMIT_PAUSED; family++)
        mr_metrics_limit(m->metrics, family, MR_METRIC_SERIES_MAX + tenants);
    for (size_t i = 0; i < config->npipelines; i++) {
        MR_AT(m, MR_M_JOBS, config->pipelines[i].name, "done");
        MR_AT(m, MR_M_JOBS, config->pipelines[i].name, "dead");
        MR_AT(m, MR_M_JOBS, config->pipelines[i].name, "cancelled");
    }
    for (size_t i = 0; i < config->nmodels; i++) {
        MR_AT(m, MR_M_AI_REQUESTS, config->models[i].model, "success");
        MR_AT(m, MR_M_AI_REQUESTS, config->models[i].model, "error");
    }
}

const char *mr_worker_metrics_tenant(struct mr_worker_metrics *m, const char *tenant)
{
    return mr_series_label(MR_AT(m, MR_M_TENANT_COST, tenant), 0);
}

static void count(struct mr_series *series)
{
    mr_series_add(series, 1);
}

/* ---- jobs ---- */

static void on_claim(struct mr_worker_metrics *m, const struct mr_observation *what)
{
    static const char *const verdicts[] = {
        [MR_VERDICT_RUN] = "run",
        [MR_VERDICT_BUSY] = "busy",
        [MR_VERDICT_DONE] = "done",
        [MR_VERDICT_DEAD] = "dead",
        [MR_VERDICT_CANCELLED] = "cancelled",
        [MR_VERDICT_DUPLICATE] = "duplicate",
        [MR_VERDICT_OK] = "ok",
        [MR_VERDICT_STALE] = "stale",
        [MR_VERDICT_REFUSED] = "refused",
    };
    count(MR_AT(m, MR_M_CLAIMS, verdicts[what->claim.verdict]));
    if (what->claim.age_ms >= 0)
        mr_series_observe(
            MR_AT(m, MR_M_QUEUE_AGE, mr_lane_name(what->claim.lane)), what->claim.age_ms);
    if (what->claim.lost_pico > 0)
        mr_series_add(MR_AT(m, MR_M_AMBIGUOUS, "worker_lost"), what->claim.lost_pico);
}

static void on_step(struct mr_worker_metrics *m, const struct mr_observation *what)
{
    static const char *const states[] = {"done", "skipped", "failed"};
    const char *pipeline = what->job->pipeline;
    count(MR_AT(m, MR_M_STEPS, pipeline, what->step->name, states[what->step->state]));
    if (what->step->degraded)
        count(MR_AT(m, MR_M_STEPS_DEGRADED, pipeline, what->step->name));
}

static void on_end(struct mr_worker_metrics *m, const struct mr_observation *what)
{
    static const char *const states[] = {
        [MR_MOVE_DONE] = "done", [MR_MOVE_DEAD] = "dead", [MR_MOVE_CANCELLED] = "cancelled"};
    if (what->end.move == MR_MOVE_WAITING) {
        count(MR_AT(m, MR_M_JOBS_DELAYED, mr_class_name(what->end.class)));
        return;
    }
    const char *pipeline = what->job->pipeline, *state = states[what->end.move];
    count(MR_AT(m, MR_M_JOBS, pipeline, state));
    count(MR_AT(m, MR_M_TENANT_JOBS, mr_worker_metrics_tenant(m, what->job->tenant), state));
    mr_series_observe(MR_AT(m, MR_M_JOB_COST, pipeline), what->end.spent_pico);
    if (what->end.age_ms >= 0)
        mr_series_observe(MR_AT(m, MR_M_JOB_DURATION, pipeline), what->end.age_ms);
}

static void on_cap(struct mr_worker_metrics *m, const struct mr_observation *what)
{
    mr_series_set(
        MR_AT(m, MR_M_CAP_ALERT, mr_worker_metrics_tenant(m, what->job->tenant),
            what->alert->month ? "month" : "day", what->alert->reached ? "reached" : "warning"),
        mr_wall_ms(&m->clock));
}

/* ---- calls ---- */

static void on_admit(struct mr_worker_metrics *m, const struct mr_call_row *call)
{
    switch (call->admission) {
    case MR_ADMIT_GO:
        count(MR_AT(m, MR_M_HOLDS, "granted"));
        mr_series_add(MR_AT(m, MR_M_HELD), call->hold_pico);
        if (call->cache_ttl_ms > 0)
            count(MR_AT(m, MR_M_CACHE, "miss"));
        return;
    case MR_ADMIT_CAPPED:
        count(MR_AT(m, MR_M_HOLDS, "refused"));
        return;
    case MR_ADMIT_HIT:
        count(MR_AT(m, MR_M_CACHE, "hit"));
        return;
    case MR_ADMIT_WAIT: /* it will ask again */
        return;
    }
}

static void on_call(struct mr_worker_metrics *m, const struct mr_call_row *call)
{
    bool well = call->class == MR_CLASS_NONE;
    count(MR_AT(m, MR_M_CALLS, call->provider, call->model, mr_class_name(call->class)));
    count(MR_AT(m, MR_M_AI_REQUESTS, call->model, well ? "success" : "error"));
    if (call->class == MR_CLASS_NETWORK) /* refused in no time: that is no answer's latency */
        return;
    mr_series_observe(MR_AT(m, MR_M_CALL_DURATION, call->provider, call->model), call->latency_ms);
    mr_series_observe(MR_AT(m, MR_M_AI_DURATION, call->model), call->latency_ms);
}

static void add_tokens(
    struct mr_worker_metrics *m, const struct mr_call_row *call, const char *type, int64_t tokens)
{
    if (tokens <= 0)
        return;
    mr_series_add(MR_AT(m, MR_M_AI_TOKENS, type), tokens);
    mr_series_add(MR_AT(m, MR_M_TOKENS, call->provider, call->model, type), tokens);
}

static void on_settle(struct mr_worker_metrics *m, const struct mr_observation *what)
{
    const struct mr_call_row *call = what->call;
    mr_series_add(MR_AT(m, MR_M_HELD), -call->hold_pico);
    if (call->state == MR_CALL_AMBIGUOUS)
        mr_series_add(MR_AT(m, MR_M_AMBIGUOUS, "answer_lost"), call->cost_pico);
    if (call->state != MR_CALL_SETTLED)
        return;
    add_tokens(m, call, "input", call->usage.input);
    add_tokens(m, call, "input_cached", call->usage.cached);
    add_tokens(m, call, "input_cache_write", call->usage.cache_write);
    add_tokens(m, call, "input_cache_write_1h", call->usage.cache_write_1h);
    add_tokens(m, call, "output", call->usage.output);
    mr_series_add(MR_AT(m, MR_M_COST, call->provider, call->model), call->cost_pico);
    mr_series_add(MR_AT(m, MR_M_TENANT_COST, what->job->tenant), call->cost_pico);
    if (call->price_unknown)
        count(MR_AT(m, MR_M_UNPRICED, call->provider, call->model));
}

/* ---- services ---- */

static void on_batch(struct mr_worker_metrics *m, const struct mr_observation *what)
{
    const char *kind = what->batch.kind;
    mr_series_observe(MR_AT(m, MR_M_DB_ITEMS, kind), (int64_t)what->batch.items);
    mr_series_observe(MR_AT(m, MR_M_DB_SECONDS, kind), what->batch.took_us);
    if (what->batch.failed)
        count(MR_AT(m, MR_M_DB_FAILURES, kind));
    if (what->batch.lost_pico > 0)
        mr_series_add(MR_AT(m, MR_M_AMBIGUOUS, "worker_lost"), what->batch.lost_pico);
}

static void on_publish(struct mr_worker_metrics *m, const struct mr_observation *what)
{
    static const char *const kinds[] = {[MR_PUBLISH_DEAD] = "dead",
        [MR_PUBLISH_HOME] = "home",
        [MR_PUBLISH_DELAY] = "delay",
        [MR_PUBLISH_EVENT] = "event"};
    const char *kind = kinds[what->publish.kind];
    if (!what->publish.confirmed) {
        count(MR_AT(m, MR_M_PUBLISH_REFUSED, kind));
        return;
    }
    mr_series_add(MR_AT(m, MR_M_PUBLISHED, kind), (int64_t)what->publish.count);
    if (what->publish.took_us >= 0)
        mr_series_observe(MR_AT(m, MR_M_CONFIRM_SECONDS, kind), what->publish.took_us);
}

void mr_worker_metrics_observe(void *ctx, const struct mr_observation *what)
{
    struct mr_worker_metrics *m = ctx;
    switch (what->what) {
    case MR_OBSERVED_CLAIM:
        on_claim(m, what);
        return;
    case MR_OBSERVED_ADMIT:
        on_admit(m, what->call);
        return;
    case MR_OBSERVED_CALL:
        on_call(m, what->call);
        return;
    case MR_OBSERVED_SETTLE:
        on_settle(m, what);
        return;
    case MR_OBSERVED_STEP:
        on_step(m, what);
        return;
    case MR_OBSERVED_END:
        on_end(m, what);
        return;
    case MR_OBSERVED_REJECT:
        count(MR_AT(m, MR_M_REJECTED));
        return;
    case MR_OBSERVED_CAP:
        on_cap(m, what);
        return;
    case MR_OBSERVED_BATCH:
        on_batch(m, what);
        return;
    case MR_OBSERVED_PUBLISH:
        on_publish(m, what);
        return;
    }
}
