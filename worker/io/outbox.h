/* Messages on their way to the broker: a thread with a connection of its own, since rabbitmq-c's
 * writes can block. It keeps every message until the broker has confirmed or refused it, across any
 * number of reconnects, and each is reported once. */
#pragma once

#include "common/config.h"
#include "common/log.h"
#include "worker/engine/world_observe.h"

#include <uv.h>

struct mr_outbox;

struct mr_outbox_cb {
    /* From a uv callback. why is NULL when it was confirmed. Events are never reported. */
    void (*published)(void *ctx, struct mr_publish *publish, bool confirmed, const char *why);
    /* The broker has blocked us, or too much is waiting: take no new jobs; and the end of it. May
     * come from within mr_outbox_publish. */
    void (*pressed)(void *ctx, bool pressed);
    void *ctx;
};

/* broker, worker (its name, for dead letters) and log are borrowed for the outbox's life. observe
 * is told, from uv callbacks, of each message that is done with. */
int mr_outbox_new(uv_loop_t *loop, const struct mr_config_broker *broker, const char *worker,
    const struct mr_log *log, const struct mr_outbox_cb *cb, const struct mr_observe_ops *observe,
    struct mr_outbox **ret, struct mr_err *err) MR_CHECK;

/* Starts the thread. */
int mr_outbox_start(struct mr_outbox *outbox, struct mr_err *err) MR_CHECK;

/* Takes over the message. Never blocks, never calls `published`. An event may be dropped under
 * pressure: whoever waits for one reads SQL too. */
void mr_outbox_publish(struct mr_outbox *outbox, struct mr_publish *publish);

struct mr_outbox_view {
    bool connected, blocked;
    size_t backlog; /* messages not done with */
};
struct mr_outbox_view mr_outbox_view(struct mr_outbox *outbox);

/* Lets what is waiting go out for at most two seconds, ends the thread, closes every handle, then
 * calls done (at once if it was never started). What is still unreported then never will be; free
 * releases it. */
void mr_outbox_close(struct mr_outbox *outbox, void (*done)(void *ctx), void *ctx);
struct mr_outbox *mr_outbox_free(struct mr_outbox *outbox); /* closed, or never started */
