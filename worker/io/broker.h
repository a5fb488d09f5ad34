/* The engine's broker, real: one connection that consumes on the loop (consumer.h), one that
 * publishes on a thread of its own (outbox.h). */
#pragma once

#include "common/config.h"
#include "common/log.h"
#include "worker/engine/world_observe.h"
#include "worker/io/consumer.h"
#include "worker/io/outbox.h"

#include <uv.h>

struct mr_broker;
struct mr_engine;

/* config is referenced; pool and slots are taken from it. worker is the name shown in dead letters
 * and as the connections' name; it and log are borrowed. */
int mr_broker_new(uv_loop_t *loop, struct mr_config *config, const char *worker,
    const struct mr_log *log, const struct mr_observe_ops *observe, struct mr_broker **ret,
    struct mr_err *err) MR_CHECK;

struct mr_broker_ops mr_broker_ops(struct mr_broker *broker);

/* How it stands with its two connections. */
struct mr_broker_view {
    struct mr_consumer_view consumer;
    struct mr_outbox_view outbox;
};
struct mr_broker_view mr_broker_view(const struct mr_broker *broker);

/* Connects both, and keeps them connected. The engine is called from uv callbacks only. */
int mr_broker_start(
    struct mr_broker *broker, struct mr_engine *engine, struct mr_err *err) MR_CHECK;

/* Takes no new jobs any more; acks and publishes go on. */
void mr_broker_drain(struct mr_broker *broker);

/* Sends what waits (two seconds at most), closes both connections, then calls done; started or not.
 * The engine is told of lost sessions and publishes until then, and never after. */
void mr_broker_close(struct mr_broker *broker, void (*done)(void *ctx), void *ctx);
struct mr_broker *mr_broker_free(struct mr_broker *broker); /* closed, or never started */
