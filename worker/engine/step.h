/* A step in the hands of this worker, and its calls. Internal to the engine. */
#pragma once

#include "worker/engine/breaker.h"
#include "worker/engine/retry.h"
#include "worker/engine/world.h"
#include "worker/limits/limits.h"
#include "worker/providers/chat.h"

struct mr_engine;
struct mr_job;

enum mr_step_state {
    MR_STEP_PENDING,    /* may start once its predecessors have ended */
    MR_STEP_BACKOFF,    /* waits until retry_at_ms; row.class and row.message say what for */
    MR_STEP_EXTRACTING, /* with the extractor */
    MR_STEP_BEGINNING,  /* its call's intent is with the store */
    MR_STEP_CALLING,    /* its call is out */
    MR_STEP_ENDED,      /* done, skipped or failed: see row */
};

#define MR_SHORT_WAIT_MS 30000 /* longer waits leave the worker, to a delay tier */

/* Where a step is on its way through its models and their endpoints. Forgotten with the lease, and
 * when the step has come to the end of the chain. */
struct mr_route {
    const struct mr_model *head;        /* the first model: the alias's own, or a rule's choice */
    const struct mr_rule *rule;         /* NULL = none held */
    unsigned link;                      /* 0: head; n: its nth fallback */
    const struct mr_endpoint *endpoint; /* the one tried last; NULL = none of this link yet */
    uint32_t spent;                     /* bit i: endpoint i of this link has used up its tries */
    enum mr_class spent_by;             /* what the last of them did */
    enum mr_class left;                 /* why the link before was left */
    bool outage;                        /* a route behind us may work again later */
    bool refused;                       /* a model has refused */
};

/* The token of a call: what the ops hand back. */
struct mr_call {
    struct mr_job *job;
    unsigned step;
    struct mr_call_row row;
    struct mr_request request;
    char *text;                 /* what row.cache_text points at; owned */
    struct mr_breaker *breaker; /* where it takes a place; NULL = nowhere */
    unsigned period;            /* of the breaker */
    struct mr_ticket ticket;    /* its share of the limits, until it has ended */
    int64_t priced_ms;          /* wall: hold and cost are taken from the prices of this moment */
    bool sent;                  /* handed to the caller, answer not here yet */
    bool answered;              /* row says how it ended; to be settled */
    struct mr_call *next;       /* job->calls */
};

struct mr_step {
    enum mr_step_state state;
    struct mr_job *job; /* so that a step can be the extractor's token */
    unsigned index;
    int attempts;     /* calls begun, those of earlier leases included */
    int paid;         /* those that may have cost money */
    int64_t since_ms; /* wall: when the first was begun; 0 = none was */
    struct mr_route route;
    struct mr_ticket ticket;   /* BACKOFF: its place in the line for a share of the limits */
    int tries[MR_CLASS_COUNT]; /* answers of each class on the present route */
    int64_t retry_at_ms;       /* BACKOFF: monotonic */
    bool waits_long;           /* BACKOFF: from its beginning on, over MR_SHORT_WAIT_MS */
    int64_t started_ms;        /* wall; 0 = not yet */
    int cap_waits;             /* how often it waited here for room under a cap */
    int64_t flight_wait_ms;    /* how long it last waited for an equal call of another job */
    bool uncached;             /* the cache's answer was no good: ask the model */
    bool degraded;             /* its model failed for good: the local provider answers */
    struct mr_model local;     /* degraded: borrowed strings */
    struct mr_call *call;      /* BEGINNING, CALLING */
    json_t *output;            /* done */
    bool committed;            /* ENDED, and SQL knows */
    struct mr_step_row row;    /* ENDED */
};

/* ---- step.c ---- */
void mr_step_start(struct mr_job *job, unsigned index);
void mr_step_extracted(struct mr_step *step, struct mr_extract_result *result);
/* What its model said becomes the step's output, which ends it. 0, or 1 with err: it is no good. */
int mr_step_take(struct mr_step *step, const struct mr_answer *answer, struct mr_err *err) MR_CHECK;
/* Waits here or in a delay tier; err (NULL: nothing) is what it waits for. */
void mr_step_wait(struct mr_step *step, int64_t wait_ms, const struct mr_err *err);
/* The job dies of this, whatever the step's on_error says. */
void mr_step_die(struct mr_step *step, const struct mr_err *err);
/* It failed for good: what its on_error says. */
void mr_step_give_up(struct mr_step *step, const struct mr_err *err);
/* The built-in provider answers in the place of the step's own models, if it knows what to do. */
bool mr_step_degrade(struct mr_step *step, enum mr_class class);

/* ---- fail.c: the one owner of retries ---- */
/* It failed: another try, another route, or the end of it. advised_ms: the provider's Retry-After,
 * -1 = none. leave: no other try at the same endpoint. */
void mr_step_failed(struct mr_step *step, const struct mr_err *err, int64_t advised_ms, bool leave);
/* No route is open. */
void mr_step_stranded(struct mr_step *step);
/* No model of the chain is left to ask, or none may be asked any more: it degrades (and is pending
 * again) or gives up. */
void mr_step_last_resort(struct mr_step *step, const struct mr_err *err);

/* ---- route.c ---- */
/* The model and the endpoint for the step's next call: the next model of the chain when every
 * endpoint of this one is closed or spent. NULL: none is left. */
const struct mr_endpoint *mr_route_find(struct mr_step *step);
/* Whether there is one other than the endpoint tried last: of the same model, or of any. */
bool mr_route_other(const struct mr_step *step, bool same_model);
/* The model of what mr_route_find has found. */
const struct mr_model *mr_route_model(const struct mr_step *step);
/* The endpoint tried last is done with; or, whole_link, its model is. */
void mr_route_leave(struct mr_step *step, enum mr_class class, bool whole_link);
/* Back to the start of the chain. */
void mr_route_reset(struct mr_step *step);
/* Whether the local provider answers in the place of a model. */
bool mr_route_local(const struct mr_step *step);
/* Why this model and not the alias's own; "" = it is. */
#define MR_ROUTE_WHY_MAX 129
void mr_route_why(const struct mr_step *step, char ret[static MR_ROUTE_WHY_MAX]);
/* Monotonic: when the first of the chain's closed breakers lets calls through; INT64_MAX = unknown.
 */
int64_t mr_route_reopens_ms(const struct mr_step *step);

/* ---- guard.c: the breakers, by provider and endpoint ---- */
/* NULL for the local provider, which has none, and without memory. */
struct mr_breaker *mr_guard_of(struct mr_engine *engine, const struct mr_endpoint *endpoint);
bool mr_guard_allows(struct mr_engine *engine, const struct mr_endpoint *endpoint);
/* The call takes its place, and gives it back: with what came of it, or (reply NULL) unsent. */
void mr_guard_enter(struct mr_call *call);
void mr_guard_leave(
    struct mr_call *call, const struct mr_answer *answer, const struct mr_reply *reply);
/* Asks the health paths that are due. */
void mr_guard_tick(struct mr_engine *engine);
int64_t mr_guard_next_tick(const struct mr_engine *engine);
void mr_guard_asked(struct mr_engine *engine, struct mr_breaker *breaker, bool well);
void mr_guard_free(struct mr_engine *engine);

/* ---- throttle.c: shares of the fleet's limits ---- */
/* Whether the call may begin. If not, the step waits, here or in a delay tier. */
bool mr_throttle_ask(struct mr_step *step, struct mr_call *call) MR_CHECK;
/* The call has ended, or (reply NULL) never was sent. Does nothing the second time. */
void mr_throttle_leave(
    struct mr_call *call, const struct mr_answer *answer, const struct mr_reply *reply);
/* The step does not wait any more. */
void mr_throttle_forget(struct mr_step *step);
/* Lets those go whose turn has come, and asks the database for more. */
void mr_throttle_run(struct mr_engine *engine);

/* ---- call.c ---- */
/* Renders, encodes and prices the step's next call. The intent goes into the next commit; the
 * request leaves after it. */
void mr_call_start(struct mr_step *step);
void mr_call_send(struct mr_call *call);
/* Takes the reply in; the call is then answered. */
void mr_call_replied(struct mr_call *call, struct mr_reply *reply);
/* As if it had never begun: the step is pending again. Frees the call. */
void mr_call_take_back(struct mr_call *call);
/* Frees it, and takes it out of job->calls. */
void mr_call_drop(struct mr_call *call);
struct mr_call *mr_call_free(struct mr_call *call);

/* ---- admit.c ---- */
/* What the database said to a call that was to begin: send it, wait, die or take what the cache
 * has. */
void mr_call_admitted(struct mr_call *call);
