/* The monitor's parts among themselves: monitor.c (its life, HTTP), gauges.c (what is looked up
 * when somebody asks). */
#pragma once

#include "common/httpd.h"
#include "worker/monitor/health.h"
#include "worker/monitor/metrics.h"
#include "worker/monitor/monitor.h"

struct mr_monitor {
    struct mr_config *config; /* the present one */
    const char *worker;
    const struct mr_log *log;
    struct mr_worker_metrics metrics;
    int64_t started_ms; /* wall */
    char host[MR_HOST_MAX];
    struct mr_httpd *httpd;

    struct mr_engine *engine; /* NULL: not started */
    struct mr_broker *broker;
    struct mr_store *store;
    bool draining;

    uv_timer_t pulse; /* how late it comes is how late everything comes */
    uint64_t pulse_due_ns;
    int64_t lag_us, lag_before_us; /* the most of this minute, and of the one before */
    unsigned pulses;

    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct mr_health_facts mr_monitor_facts(const struct mr_monitor *monitor);
/* Fills the families that nobody counts. */
void mr_monitor_gauges(struct mr_monitor *monitor);
