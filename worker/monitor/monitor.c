#include "worker/monitor/monitor_int.h"

#include <errno.h>
#include <stdlib.h>

#define METRICS_MAX (16u << 20) /* bytes of an answer */
#define CONNECTIONS_MAX 32
#define TIMEOUT_MS 10000
#define STOP_MS 500 /* for answers that are being read when the worker ends */
#define PULSE_MS 500
#define PULSES_A_MINUTE (60000 / PULSE_MS)

/* ---- answers ---- */

static void answer_metrics(void *ctx, struct mr_httpd_request *request)
{
    struct mr_monitor *monitor = ctx;
    struct mr_buf out = MR_BUF_INIT(METRICS_MAX);
    mr_monitor_gauges(monitor);
    size_t n = 0;
    char *text =
        mr_metrics_write(monitor->metrics.metrics, &out) == 0 ? mr_buf_steal(&out, &n) : NULL;
    mr_buf_deinit(&out);
    if (text)
        mr_httpd_answer(request, 200, MR_METRICS_TYPE, text, n);
    else
        mr_httpd_problem(request, 503, NULL, "no memory for the metrics");
}

/* Whoever hears this hears it from the loop: it turns. A worker that hangs does not answer. */
static void answer_health(void *ctx, struct mr_httpd_request *request)
{
    const struct mr_monitor *monitor = ctx;
    mr_httpd_json(request, 200,
        json_pack("{s:b, s:I}", "alive", 1, "loop_lag_ms", (json_int_t)(monitor->lag_us / 1000)));
}

static void answer_ready(void *ctx, struct mr_httpd_request *request)
{
    struct mr_health_facts facts = mr_monitor_facts(ctx);
    bool ready;
    json_t *value = mr_health_ready(&facts, &ready);
    mr_httpd_json(request, ready ? 200 : 503, value);
}

static const struct mr_route routes[] = {
    {"GET", "/metrics", 0, true, answer_metrics},
    {"GET", "/healthz", 0, true, answer_health},
    {"GET", "/readyz", 0, true, answer_ready},
};

/* ---- the pulse ---- */

static void on_pulse(uv_timer_t *timer)
{
    struct mr_monitor *monitor = timer->data;
    uint64_t now = uv_hrtime();
    int64_t late_us =
        now > monitor->pulse_due_ns ? (int64_t)(now - monitor->pulse_due_ns) / 1000 : 0;
    if (++monitor->pulses % PULSES_A_MINUTE == 0) {
        monitor->lag_before_us = monitor->lag_us;
        monitor->lag_us = 0;
    }
    if (late_us > monitor->lag_us)
        monitor->lag_us = late_us;
    monitor->pulse_due_ns = now + PULSE_MS * UINT64_C(1000000);
    uv_timer_start(timer, on_pulse, PULSE_MS, 0);
}

/* ---- life ---- */

static int listen_at(struct mr_monitor *monitor, uv_loop_t *loop, struct mr_err *err)
{
    int port;
    int r =
        mr_listen_split(monitor->config->worker.listen, MR_WORKER_PORT, monitor->host, &port, err);
    if (r < 0)
        return r;
    const struct mr_httpd_options options = {
        .listen = monitor->host,
        .port = port,
        .routes = routes,
        .nroutes = sizeof(routes) / sizeof(routes[0]),
        .ctx = monitor,
        .log = monitor->log,
        .connections_max = CONNECTIONS_MAX,
        .timeout_ms = TIMEOUT_MS,
    };
    r = mr_httpd_new(loop, &options, &monitor->httpd, err);
    if (r < 0)
        return mr_err_prefix(err, r, "worker.listen");
    mr_log(monitor->log, MR_INFO, "http.listening", MR_STR("host", monitor->host),
        MR_INT("port", mr_httpd_port(monitor->httpd)));
    return 0;
}

int mr_monitor_new(uv_loop_t *loop, struct mr_config *config, const char *worker,
    const struct mr_log *log, struct mr_monitor **ret, struct mr_err *err)
{
    *ret = NULL;
    if (!config->worker.listen)
        return 0;
    struct mr_monitor *monitor = calloc(1, sizeof(*monitor));
    if (!monitor || mr_worker_metrics_init(&monitor->metrics, mr_clock_system()) < 0) {
        free(monitor);
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    }
    monitor->config = mr_config_ref(config);
    monitor->worker = worker;
    monitor->log = log;
    monitor->started_ms = mr_wall_ms(&monitor->metrics.clock);
    mr_worker_metrics_configure(&monitor->metrics, config);
    mr_series_set(MR_AT(&monitor->metrics, MR_M_BUILD, MR_VERSION), 1);
    mr_series_set(MR_AT(&monitor->metrics, MR_M_WORKER, worker, config->worker.pool), 1);
    int r = listen_at(monitor, loop, err);
    if (r < 0) {
        mr_monitor_free(monitor);
        return r;
    }
    uv_timer_init(loop, &monitor->pulse);
    monitor->pulse.data = monitor;
    monitor->pulse_due_ns = uv_hrtime() + PULSE_MS * UINT64_C(1000000);
    uv_timer_start(&monitor->pulse, on_pulse, PULSE_MS, 0);
    *ret = monitor;
    return 0;
}

struct mr_observe_ops mr_monitor_ops(struct mr_monitor *monitor)
{
    if (!monitor)
        return (struct mr_observe_ops){0};
    return (struct mr_observe_ops){mr_worker_metrics_observe, &monitor->metrics};
}

void mr_monitor_start(struct mr_monitor *monitor, struct mr_engine *engine,
    struct mr_broker *broker, struct mr_store *store)
{
    if (!monitor)
        return;
    monitor->engine = engine;
    monitor->broker = broker;
    monitor->store = store;
}

void mr_monitor_reload(struct mr_monitor *monitor, struct mr_config *config)
{
    if (!monitor)
        return;
    struct mr_config *old = monitor->config;
    monitor->config = mr_config_ref(config);
    mr_config_unref(old);
    mr_worker_metrics_configure(&monitor->metrics, config);
}

void mr_monitor_drain(struct mr_monitor *monitor)
{
    if (monitor)
        monitor->draining = true;
}

static void on_pulse_closed(uv_handle_t *handle)
{
    struct mr_monitor *monitor = handle->data;
    monitor->closed(monitor->closed_ctx);
}

static void on_stopped(void *ctx)
{
    struct mr_monitor *monitor = ctx;
    uv_close((uv_handle_t *)&monitor->pulse, on_pulse_closed);
}

void mr_monitor_close(struct mr_monitor *monitor, void (*closed)(void *ctx), void *ctx)
{
    if (!monitor)
        return;
    monitor->closed = closed;
    monitor->closed_ctx = ctx;
    monitor->engine = NULL;
    monitor->draining = true;
    mr_httpd_stop(monitor->httpd, STOP_MS, on_stopped, monitor);
}

struct mr_monitor *mr_monitor_free(struct mr_monitor *monitor)
{
    if (!monitor)
        return NULL;
    mr_httpd_free(monitor->httpd);
    mr_worker_metrics_deinit(&monitor->metrics);
    mr_config_unref(monitor->config);
    free(monitor);
    return NULL;
}
