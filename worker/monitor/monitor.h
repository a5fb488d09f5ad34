/* What a worker shows of itself over HTTP: /metrics, /healthz and /readyz. From its first moment
 * on, that is before it has reached any service. */
#pragma once

#include "common/config.h"
#include "common/log.h"
#include "worker/io/broker.h"
#include "worker/io/store.h"

#include <uv.h>

struct mr_monitor;

/* Listens at worker.listen; without that *ret is NULL, which all functions below take. config is
 * referenced, worker (its name) and log are borrowed. */
int mr_monitor_new(uv_loop_t *loop, struct mr_config *config, const char *worker,
    const struct mr_log *log, struct mr_monitor **ret, struct mr_err *err) MR_CHECK;
/* Whom to tell what happens. */
struct mr_observe_ops mr_monitor_ops(struct mr_monitor *monitor);

/* The parts are there; borrowed until the monitor is closed. */
void mr_monitor_start(struct mr_monitor *monitor, struct mr_engine *engine,
    struct mr_broker *broker, struct mr_store *store);
void mr_monitor_reload(struct mr_monitor *monitor, struct mr_config *config);
void mr_monitor_drain(struct mr_monitor *monitor);

/* Closes every handle, then calls closed (not for NULL); it looks at no part any more. */
void mr_monitor_close(struct mr_monitor *monitor, void (*closed)(void *ctx), void *ctx);
struct mr_monitor *mr_monitor_free(struct mr_monitor *monitor);
