/* Publishing for the service: jobs of many requests over one connection, on a thread of its own,
 * since rabbitmq-c's writes can block. Every job is reported once, within its time limit (or a
 * connect timeout more), with what is certain about it and no more than that. */
#pragma once

#include "common/log.h"
#include "producer/sender.h"

#include <uv.h>

enum mr_post_fate {
    MR_POST_CONFIRMED, /* the broker has it safe */
    MR_POST_NOT,       /* it certainly has not */
    MR_POST_UNKNOWN,   /* sent, and neither confirmed nor refused: it may run */
};

struct mr_post_result {
    enum mr_post_fate fate;
    char why[256]; /* "" when confirmed */
};

/* One job on its way. The caller's, until it is reported. */
struct mr_post {
    struct mr_post *next;         /* the dispatcher's until it is reported */
    struct mr_shipment *shipment; /* the dispatcher's from mr_dispatch_put on */
    struct mr_post_result result;
    void *ctx; /* the caller's */
};

struct mr_dispatch_options {
    const struct mr_config_broker *broker;
    const struct mr_log *log;
    int timeout_ms;                                  /* from put until it is given up */
    void (*posted)(void *ctx, struct mr_post *post); /* from the loop; its shipment is gone */
    void *ctx;
};

struct mr_dispatch;

/* Starts the thread, which connects and stays connected. What options point at is borrowed. 0 or
 * negative with err. */
int mr_dispatch_new(uv_loop_t *loop, const struct mr_dispatch_options *options,
    struct mr_dispatch **ret, struct mr_err *err) MR_CHECK;

/* Whether a job put now would have a chance. 0, or -EAGAIN with the reason: RabbitMQ cannot be
 * reached, or takes nothing for now. */
int mr_dispatch_ready(struct mr_dispatch *dispatch, struct mr_err *err) MR_CHECK;

/* Takes over n posts, in order, and reports each later, never from within. */
void mr_dispatch_put(struct mr_dispatch *dispatch, struct mr_post *const *posts, size_t n);

/* Ends the thread, closes everything, then calls done from the loop. Nothing may be on its way. */
void mr_dispatch_close(struct mr_dispatch *dispatch, void (*done)(void *ctx), void *ctx);
struct mr_dispatch *mr_dispatch_free(struct mr_dispatch *dispatch); /* NULL, or closed */
