/* What is not counted but looked up: how things stand at this moment. */
#include "worker/monitor/monitor_int.h"

#include "worker/engine/engine.h"

#include <string.h>

static void set(struct mr_monitor *monitor, enum mr_family family, int64_t value)
{
    mr_series_set(MR_AT(&monitor->metrics, family), value);
}

/* ---- providers ---- */

typedef void each_endpoint(void *ctx, const struct mr_endpoint *endpoint);

/* Those that some model names and that are reached over a network, each once. */
static void each_used(const struct mr_config *config, each_endpoint *each, void *ctx)
{
    for (size_t i = 0; i < config->nproviders; i++) {
        const struct mr_provider *provider = &config->providers[i];
        bool used = false;
        for (size_t k = 0; k < config->nmodels && provider->kind != MR_PROVIDER_LOCAL; k++)
            used |= config->models[k].provider == provider;
        for (size_t k = 0; used && k < provider->nendpoints; k++)
            each(ctx, &provider->endpoints[k]);
    }
}

struct endpoints {
    const struct mr_engine *engine;
    unsigned count, open;
};

static void count_endpoint(void *ctx, const struct mr_endpoint *endpoint)
{
    struct endpoints *endpoints = ctx;
    endpoints->count++;
    endpoints->open += mr_engine_breaker(endpoints->engine, endpoint->provider->name,
                           endpoint->name) == MR_BREAKER_OPEN;
}

static void show_endpoint(void *ctx, const struct mr_endpoint *endpoint)
{
    static const int64_t values[] = {
        [MR_BREAKER_CLOSED] = 0, [MR_BREAKER_HALF_OPEN] = 1, [MR_BREAKER_OPEN] = 2};
    struct mr_monitor *monitor = ctx;
    const char *provider = endpoint->provider->name;
    mr_series_set(MR_AT(&monitor->metrics, MR_M_BREAKER, provider, endpoint->name),
        values[mr_engine_breaker(monitor->engine, provider, endpoint->name)]);
}

/* ---- limits ---- */

static void show_limit(void *ctx, const struct mr_limits_view *view)
{
    struct mr_worker_metrics *m = ctx;
    const char *colon = strchr(view->scope, ':');
    if (view->tenant && colon &&
        strcmp(mr_worker_metrics_tenant(m, colon + 1), MR_METRIC_OTHER) == 0)
        return; /* gauges of several cannot be shown as one */
    if (view->rpm_share != MR_LEASE_NONE)
        mr_series_set(MR_AT(m, MR_M_LIMIT_RPM, view->scope), view->rpm_share);
    if (view->tpm_share != MR_LEASE_NONE)
        mr_series_set(MR_AT(m, MR_M_LIMIT_TPM, view->scope), view->tpm_share);
    if (view->slots != MR_LEASE_NONE)
        mr_series_set(MR_AT(m, MR_M_LIMIT_SLOTS, view->scope), view->slots);
    mr_series_set(MR_AT(m, MR_M_LIMIT_IN_FLIGHT, view->scope), view->in_flight);
    mr_series_set(MR_AT(m, MR_M_LIMIT_WAITING, view->scope), view->waiting);
    mr_series_set(MR_AT(m, MR_M_LIMIT_PAUSED, view->scope), view->paused);
}

/* ---- all of them ---- */

struct mr_health_facts mr_monitor_facts(const struct mr_monitor *monitor)
{
    struct mr_health_facts facts = {
        .started = monitor->engine != NULL, .draining = monitor->draining};
    if (!monitor->engine)
        return facts;
    struct mr_broker_view broker = mr_broker_view(monitor->broker);
    struct mr_store_view store = mr_store_view(monitor->store);
    struct endpoints endpoints = {.engine = monitor->engine};
    each_used(monitor->config, count_endpoint, &endpoints);
    facts.broker_connected = broker.consumer.connected;
    facts.publisher_connected = broker.outbox.connected;
    facts.broker_blocked = broker.outbox.blocked;
    facts.queues = broker.consumer.queues;
    facts.consuming = broker.consumer.consuming;
    facts.database_connected = store.connected;
    facts.database_silent_ms = store.silent_ms;
    facts.database_waiting = store.waiting;
    facts.endpoints = endpoints.count;
    facts.open = endpoints.open;
    return facts;
}

static void show_engine(struct mr_monitor *monitor)
{
    struct mr_worker_metrics *m = &monitor->metrics;
    struct mr_engine_counts counts = mr_engine_counts(monitor->engine);
    set(monitor, MR_M_SLOTS, monitor->config->worker.slots);
    set(monitor, MR_M_SLOTS_USED, (int64_t)counts.running);
    set(monitor, MR_M_AI_ACTIVE, (int64_t)counts.calls_open);
    for (int lane = 0; lane < MR_LANE_COUNT; lane++)
        mr_series_set(MR_AT(m, MR_M_JOBS_WAITING, mr_lane_name((enum mr_lane)lane)),
            (int64_t)counts.lanes[lane]);
    mr_metrics_clear(m->metrics, MR_M_BREAKER);
    each_used(monitor->config, show_endpoint, monitor);
    for (unsigned family = MR_M_LIMIT_RPM; family <= MR_M_LIMIT_PAUSED; family++)
        mr_metrics_clear(m->metrics, family);
    mr_engine_limits(monitor->engine, show_limit, m);
    set(monitor, MR_M_BACKLOG, (int64_t)mr_broker_view(monitor->broker).outbox.backlog);
}

void mr_monitor_gauges(struct mr_monitor *monitor)
{
    struct mr_health_facts facts = mr_monitor_facts(monitor);
    bool ready;
    json_decref(mr_health_ready(&facts, &ready));
    if (monitor->engine)
        show_engine(monitor);
    set(monitor, MR_M_READY, ready);
    set(monitor, MR_M_DB_CONNECTED, facts.database_connected);
    set(monitor, MR_M_DB_WAITING, (int64_t)facts.database_waiting);
    set(monitor, MR_M_BROKER_CONNECTED,
        facts.broker_connected && facts.consuming > 0 && facts.consuming == facts.queues);
    set(monitor, MR_M_PUBLISHER_CONNECTED, facts.publisher_connected);
    set(monitor, MR_M_LOOP_LAG,
        monitor->lag_us > monitor->lag_before_us ? monitor->lag_us : monitor->lag_before_us);
    mr_metrics_set_process(monitor->metrics.metrics, MR_M_PROCESS, monitor->started_ms);
}
