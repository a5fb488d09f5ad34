/* The consuming connection: all lanes of one pool on the loop, nothing ever published on it, so
 * that an alarm at the broker never stops acks. Connecting blocks, hence happens on libuv's
 * threads; all else is driven by the readable socket and a timer. After a loss it comes back on its
 * own. */
#pragma once

#include "common/config.h"
#include "common/log.h"
#include "worker/engine/world_broker.h"
#include "worker/io/channel.h"

#include <uv.h>

struct mr_consumer;

/* broker, pool, name (of the connection, for the RabbitMQ console), log are borrowed for the
 * consumer's life. slots: jobs the worker runs at once, which the prefetches follow. Callbacks come
 * from uv callbacks, never from within a function below. */
int mr_consumer_new(uv_loop_t *loop, const struct mr_config_broker *broker, const char *pool,
    int slots, const char *name, const struct mr_log *log, const struct mr_channel_cb *cb,
    struct mr_consumer **ret, struct mr_err *err) MR_CHECK;

void mr_consumer_start(struct mr_consumer *consumer);

/* Sent together once per turn of the loop. */
void mr_consumer_ack(struct mr_consumer *consumer, uint64_t session, uint64_t tag);
void mr_consumer_requeue(struct mr_consumer *consumer, uint64_t session, uint64_t tag);

/* Cancels the consumers, and consumes again. Not reading the socket instead would stop the
 * heartbeats, and with them every lease; the leases held stay valid and are acked as they end. */
void mr_consumer_pause(struct mr_consumer *consumer, bool paused);
/* How many of its queues it has, and takes jobs from: none without a connection. */
struct mr_consumer_view {
    bool connected, paused;
    unsigned queues, consuming;
};
struct mr_consumer_view mr_consumer_view(const struct mr_consumer *consumer);
/* For good: as paused, but the connection stays for acks until it is closed. */
void mr_consumer_drain(struct mr_consumer *consumer);

/* Sends pending acks, closes the connection and every handle, then calls done (at once if it was
 * never started). What is unacked goes back to the queues. */
void mr_consumer_close(struct mr_consumer *consumer, void (*done)(void *ctx), void *ctx);
struct mr_consumer *mr_consumer_free(struct mr_consumer *consumer); /* closed, or never started */
