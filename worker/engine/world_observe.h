/* What happens, for whoever counts it. The engine and io tell it where it happens; nothing comes
 * back, and nothing depends on whether anybody listens. */
#pragma once

#include "worker/engine/world_broker.h"
#include "worker/engine/world_store.h"

enum mr_observed {
    MR_OBSERVED_CLAIM,  /* the database has answered a claim */
    MR_OBSERVED_ADMIT,  /* and a call that was to begin */
    MR_OBSERVED_CALL,   /* a provider has answered, or failed to; its end is not in SQL yet */
    MR_OBSERVED_SETTLE, /* a call's end is in SQL */
    MR_OBSERVED_STEP,   /* a step's end is in SQL */
    MR_OBSERVED_END,    /* a job has left this worker: it has ended, or waits (WAITING) */
    MR_OBSERVED_REJECT, /* a message that is no job */
    MR_OBSERVED_CAP,    /* a tenant came near its cap, or to it */
    /* io's */
    MR_OBSERVED_BATCH,   /* a transaction has ended */
    MR_OBSERVED_PUBLISH, /* the broker has a message, or has refused it; events: it was sent */
};

/* All of it is good only until observe returns. */
struct mr_observation {
    enum mr_observed what;
    const struct mr_envelope *job; /* whose; NULL for REJECT and io's */
    union {
        struct {
            enum mr_verdict verdict;
            enum mr_lane lane;
            int64_t age_ms;    /* since it was enqueued; -1: not its first way here, or unknown */
            int64_t lost_pico; /* what calls of a dead worker may have cost */
        } claim;
        const struct mr_call_row *call; /* ADMIT, CALL, SETTLE */
        const struct mr_step_row *step;
        struct {
            enum mr_move move;
            enum mr_class class;
            int64_t spent_pico;
            int64_t age_ms; /* since it was enqueued; -1: unknown */
        } end;
        const struct mr_cap_alert *alert;
        struct {
            const char *kind; /* "commit"; a constant */
            size_t items;
            int64_t took_us; /* from its being sent on */
            bool failed;
            int64_t lost_pico; /* what a sweep found calls of dead workers may have cost */
        } batch;
        struct {
            enum mr_publish_kind kind;
            bool confirmed;
            int64_t took_us; /* from its being sent to its confirm; -1: unknown */
            size_t count;
        } publish;
    };
};

struct mr_observe_ops {
    void (*observe)(void *ctx, const struct mr_observation *what); /* NULL: nobody listens */
    void *ctx;
};

static inline void mr_observe(const struct mr_observe_ops *ops, const struct mr_observation *what)
{
    if (ops->observe)
        ops->observe(ops->ctx, what);
}
