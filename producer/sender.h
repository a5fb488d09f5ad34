/* Publishing jobs so that each one is reported exactly once: confirmed, refused or failed; in the
 * order they were put, but for those a full queue has sent back.
 *
 * At most a window of jobs, and a bounded number of bytes, is on its way at a time. When the
 * connection is lost, everything unconfirmed is published again under the same job ids, which makes
 * a second copy harmless. When nothing moves for the whole timeout, the sender gives up and reports
 * what is left as failed. */
#pragma once

#include "common/amqp.h"
#include "producer/signals.h"

enum mr_fate { MR_FATE_CONFIRMED, MR_FATE_REFUSED, MR_FATE_FAILED };

/* One job on its way. Owned by the sender from put until it has been reported. */
struct mr_shipment {
    struct mr_shipment *next; /* the sender's */
    struct mr_uuid id;
    char tenant[MR_NAME_MAX + 1], pipeline[MR_NAME_MAX + 1];
    int priority;
    char pool[MR_NAME_MAX + 1]; /* where it is to be done; the sender chooses the shard */
    enum mr_lane lane;
    char *body;
    size_t len;
    char *source;     /* for messages: "a.pdf", "jobs.jsonl:17" */
    int64_t first_ms; /* the sender's: when it was put */
    int64_t retry_ms; /* the sender's: not to be sent before */
    unsigned nacks;   /* the sender's */
    /* The sender's too: two queues confirm in any order, so what is decided waits for its elders.
     */
    struct mr_shipment *younger;
    bool decided;
    enum mr_fate fate;
    char *why;
};
struct mr_shipment *mr_shipment_free(struct mr_shipment *shipment);

struct mr_sender_world {
    const struct mr_config_broker *broker;
    struct mr_clock clock;
    struct mr_random random;
    struct mr_signals *signals;
    int64_t timeout_ms; /* how long to wait for a broker that takes nothing */
    void (*fate)(void *ctx, const struct mr_shipment *shipment, enum mr_fate fate, const char *why);
    void *fate_ctx;
    void (*note)(void *ctx, const char *text); /* "connection lost, ..." */
    void (*idle)(void *ctx); /* about to wait for input: what was told may be flushed */
    void *note_ctx;          /* of note and idle */
};

struct mr_sender;

/* Connects; waits for a host that answers up to the timeout. 0, -EINTR after a signal, or negative
 * with err when none did, or one that will not have us. */
int mr_sender_new(
    const struct mr_sender_world *world, struct mr_sender **ret, struct mr_err *err) MR_CHECK;
/* What is still on its way is reported as failed. */
struct mr_sender *mr_sender_free(struct mr_sender *sender);

/* All three: 0; -EINTR after a signal (everything put so far stays on its way); -ENOTCONN when the
 * sender has given up (everything has been reported). */

/* Takes the shipment over in every case; waits while the window is full. */
int mr_sender_put(struct mr_sender *sender, struct mr_shipment *shipment) MR_CHECK;
/* Waits until fd is readable, and looks after the connection meanwhile. */
int mr_sender_wait(struct mr_sender *sender, int fd) MR_CHECK;
/* Waits until everything has been reported. A signal that came before does not end it, but then it
 * lasts at most grace_ms. */
int mr_sender_flush(struct mr_sender *sender, int64_t grace_ms) MR_CHECK;
