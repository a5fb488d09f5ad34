/* The broker as the engine sees it: deliveries come in, acks and publishes go out. */
#pragma once

#include "common/envelope.h"
#include "common/err.h"
#include "common/ids.h"

#include <stdbool.h>
#include <stdint.h>

/* One message on a lane, unacked. The consumer allocates it; the engine owns it after
 * mr_engine_delivered and frees it with mr_delivery_free. `session` tells connections apart: a tag
 * is only good on the session it came from. */
struct mr_delivery {
    uint64_t session;
    uint64_t tag;
    enum mr_lane lane;
    int shard; /* of the lane */
    bool redelivered;
    int32_t hops;
    int32_t replay;
    char tenant[MR_NAME_MAX + 1]; /* as its header says, "" without: who waits, not who pays */
    char *body;                   /* NUL-terminated behind len */
    size_t len;
    /* the engine's: */
    struct mr_delivery *next, *prev; /* by arrival */
    struct mr_delivery *line_next;   /* of the same tenant, by arrival */
    int64_t arrived_ms;              /* monotonic */
};
struct mr_delivery *mr_delivery_free(struct mr_delivery *delivery);

enum mr_publish_kind {
    MR_PUBLISH_DEAD,  /* to millrace.dead */
    MR_PUBLISH_HOME,  /* to millrace.jobs: hand-over to `pool` */
    MR_PUBLISH_DELAY, /* to the tier for delay_ms, home to `pool` */
    MR_PUBLISH_EVENT, /* to millrace.events; never reported back */
};

/* Allocated by the engine, owned by the broker after publish() until mr_engine_published gives it
 * back (events: freed by the broker with mr_publish_free). The broker keeps trying across
 * reconnects until it is confirmed or refused. */
struct mr_publish {
    enum mr_publish_kind kind;
    void *owner; /* the engine's; opaque to the broker */
    struct mr_uuid id;
    char tenant[MR_NAME_MAX + 1], pipeline[MR_NAME_MAX + 1], pool[MR_NAME_MAX + 1];
    enum mr_lane lane;
    int shard; /* of the lane in that pool */
    int priority;
    int32_t hops, replay;
    int64_t delay_ms;
    const char *
        body; /* HOME, DELAY, DEAD: borrowed from the job until reported back. EVENT: body_owned. */
    size_t len;
    char *body_owned;
    char event[32]; /* EVENT: "job.done", "cap.reached"; the routing key is "<event>.<job id>" */
    bool of_tenant; /* EVENT: it is "<event>.<tenant>" */
    /* DEAD: the readable headers */
    char step[MR_NAME_MAX + 1];
    enum mr_class class;
    char message[MR_ERR_MAX];
    int32_t attempts;
    int64_t spent_pico;
    int64_t died_ms;
};
struct mr_publish *mr_publish_free(struct mr_publish *publish);

struct mr_broker_ops {
    /* Settles a delivery. A tag of a lost session is ignored. */
    void (*ack)(void *ctx, uint64_t session, uint64_t tag);
    /* Back to its queue, unstarted: at a drain, or after a lease's length without a free slot. */
    void (*requeue)(void *ctx, uint64_t session, uint64_t tag);
    void (*publish)(void *ctx, struct mr_publish *publish);
    void *ctx;
};
