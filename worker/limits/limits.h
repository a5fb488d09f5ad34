/* Limits the fleet shares: how many requests and tokens a minute, and how many calls at once, a
 * model takes under one key, and how many a tenant may have. The database keeps the accounts; this
 * keeps what it has leased to this worker, and the steps that wait for more. Pure: the time is
 * passed in.
 *
 * A call needs its share of two scopes, its model's and its tenant's; it takes both or neither. A
 * scope without any limit costs a look into a table. The first call of a scope waits for the
 * database's word whether there is one.
 *
 * What waits for a model stands in one line for each tenant; lines take turns, and one whose tenant
 * has nothing left is passed over. Who would wait too long is sent away, to a time when it may be
 * its turn. */
#pragma once

#include "common/clock.h"
#include "common/config.h"
#include "worker/limits/lease.h"

#define MR_LIMITS_WAIT_MAX_MS 30000 /* in the line; longer is LATER */

struct mr_limits;
struct mr_scope;
struct mr_limit_line;

/* A step's place in a line, or its share of both scopes. Zero is neither. It lies in the step; only
 * limits.c touches it. */
struct mr_ticket {
    enum { MR_TICKET_NONE, MR_TICKET_WAITING, MR_TICKET_HELD } state;
    struct mr_scope *model, *tenant;
    int64_t tokens;
    void *owner; /* from the ask */
    struct mr_limit_line *line;
    struct mr_ticket *prev, *next;
};

struct mr_limits *mr_limits_new(void); /* NULL: no memory */
struct mr_limits *mr_limits_free(struct mr_limits *limits);
/* The configuration has changed: its figures are read anew. */
void mr_limits_reload(struct mr_limits *limits);

struct mr_limits_ask {
    const struct mr_config *config; /* what it says of rpm, tpm and concurrency counts */
    const char *provider, *endpoint, *model, *tenant;
    int64_t tokens; /* what the call may use */
    void *owner;    /* of the ticket; limits.c only keeps it */
};

enum mr_limits_answer {
    MR_LIMITS_GO,    /* the ticket holds its share, until mr_limits_leave */
    MR_LIMITS_WAIT,  /* it stands in the line; mr_limits_next names it when it may go */
    MR_LIMITS_LATER, /* it does not: come again in *ret_wait_ms, which is over WAIT_MAX */
};
/* Asking again keeps the place in the line, and the share. *ret_scope (LATER) is what is short,
 * good until the next call. */
enum mr_limits_answer mr_limits_ask(struct mr_limits *limits, struct mr_ticket *ticket,
    const struct mr_limits_ask *ask, int64_t now_ms, int64_t *ret_wait_ms, const char **ret_scope);

/* One that waited and may go now: it holds its share. NULL: none. */
struct mr_ticket *mr_limits_next(struct mr_limits *limits, int64_t now_ms);

/* How a call ended. */
struct mr_limits_end {
    int64_t tokens; /* used; NONE = unknown: what was asked for */
    bool success;   /* it was answered well */
    bool throttled; /* 429 */
    int64_t retry_after_ms, latency_ms;
    struct mr_limits_seen {
        int64_t limit, remaining, reset_ms; /* headers; NONE */
    } requests, by_tokens;
};
/* Out of the line; or the call has ended; or (end NULL) it never was sent, and gives its share
 * back. */
void mr_limits_leave(struct mr_limits *limits, struct mr_ticket *ticket,
    const struct mr_limits_end *end, int64_t now_ms);

/* When the database wants to be asked: monotonic; INT64_MAX = not now. */
int64_t mr_limits_due_ms(const struct mr_limits *limits);
/* What to ask it, if it is time: one at a time, owned by limits, until mr_limits_leased. */
struct mr_lease *mr_limits_lease(struct mr_limits *limits, int64_t now_ms);
void mr_limits_leased(struct mr_limits *limits, int64_t now_ms, const struct mr_random *random);

size_t mr_limits_waiting(const struct mr_limits *limits);
/* What is known of a scope that has a limit. */
struct mr_limits_view {
    const char *scope;            /* "tenant:acme" */
    bool tenant;                  /* else a model's */
    int64_t rpm_share, tpm_share; /* what this worker may hope for in a minute; NONE */
    int slots;                    /* calls it may have in flight; NONE */
    int in_flight, waiting;
    bool paused;
};
void mr_limits_each(const struct mr_limits *limits, int64_t now_ms,
    void (*each)(void *ctx, const struct mr_limits_view *view), void *ctx);
/* How many wait for this model at this endpoint. */
size_t mr_limits_waiting_for(
    const struct mr_limits *limits, const char *provider, const char *endpoint, const char *model);
