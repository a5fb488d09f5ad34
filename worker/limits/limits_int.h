/* The limiter's parts among themselves: limits.c (what a call asks and tells), scope.c (what is
 * known and in hand of a scope), line.c (who waits), lease.c (what the database is told and says).
 */
#pragma once

#include "worker/limits/limits.h"

struct mr_scope {
    struct mr_scope *bucket_next;
    struct mr_scope *asks_prev, *asks_next; /* limits->asks, while ask_ms is a time */
    uint64_t hash;
    bool tenant;         /* else a model */
    unsigned generation; /* of the configuration the figures are from */
    int64_t rpm, tpm;    /* 0 = none */
    int concurrency;
    enum { MR_SCOPE_UNKNOWN, MR_SCOPE_FREE, MR_SCOPE_LIMITED } state;

    /* in hand; LIMITED */
    int64_t requests, tokens; /* NONE = no such limit */
    int64_t good_until_ms;
    int slots; /* calls at once; NONE */
    int in_flight;
    int64_t rpm_share, tpm_share;
    int64_t paused_until_ms;
    int64_t call_ms; /* how long a call takes, about */
    int64_t tail_ms; /* when those that were sent away will have had their turn */

    /* the database */
    bool asking;    /* in the lease that is out */
    int told;       /* so many are in flight, as the last lease says */
    int64_t ask_ms; /* INT64_MAX: nothing to ask */
    int64_t asked_ms, answered_ms, used_ms;
    int64_t gap_ms;              /* between two questions, while somebody waits */
    int64_t taken, taken_tokens; /* since asked_ms */
    int64_t ahead, ahead_tokens; /* what the near future wants, by the recent past */

    /* news for it */
    int64_t back_tokens;
    int successes, throttled;
    int64_t pause_until_ms;
    int64_t seen_rpm, seen_tpm, told_rpm, told_tpm;

    /* who waits: a model's lines in a ring, a tenant's in a list */
    struct mr_limit_line *lines;
    size_t nlines;
    int waiting;
    int64_t waiting_tokens;
    bool short_of;                            /* a model: the line whose turn it is waits for it */
    struct mr_scope *waits_prev, *waits_next; /* a model: limits->waits */

    size_t name_len;
    char name[]; /* "tenant:acme" */
};

/* Those of one tenant that wait for one model, in order. */
struct mr_limit_line {
    struct mr_scope *model, *tenant;
    struct mr_limit_line *prev, *next; /* model->lines, a ring */
    struct mr_limit_line *of_tenant;   /* tenant->lines */
    struct mr_ticket *head, *tail;
    int count;
};

#define MR_ASK_MIN_MS 100
#define MR_NEWS_MS 500         /* the database hears of what was used within this */
#define MR_LIMITS_BUCKETS 1024 /* a power of two */

struct mr_limits {
    struct mr_scope *table[MR_LIMITS_BUCKETS];
    size_t nscopes;
    unsigned generation;
    struct mr_scope *asks;
    int64_t due_ms;         /* no ask_ms is earlier */
    struct mr_scope *waits; /* models somebody waits for */
    size_t waiting;
    bool ripe; /* something changed for those that wait */
    bool leasing;
    int64_t swept_ms;
    struct mr_lease lease;
    struct mr_scope *leased[MR_LEASE_MAX];
};

/* ---- scope.c ---- */
/* NULL without memory. */
struct mr_scope *mr_scope_model(struct mr_limits *limits, const struct mr_limits_ask *ask);
struct mr_scope *mr_scope_tenant(struct mr_limits *limits, const struct mr_limits_ask *ask);
/* A call wants it: the database is asked, if it has not been for a while. */
void mr_scope_touch(struct mr_limits *limits, struct mr_scope *scope, int64_t now_ms);
/* Forgets, now and then, what nobody has used for a while. */
void mr_scope_sweep(struct mr_limits *limits, int64_t now_ms);
/* This long after the last question, or now. */
int64_t mr_scope_soon(const struct mr_scope *scope, int64_t gap_ms, int64_t now_ms);
/* Whether it has what a call of so many tokens takes. */
bool mr_scope_has(const struct mr_scope *scope, int64_t tokens, int64_t now_ms);
void mr_scope_take(
    struct mr_limits *limits, struct mr_scope *scope, int64_t tokens, int64_t now_ms);
/* Asks the database at this time, if not before. */
void mr_scope_ask_by(struct mr_limits *limits, struct mr_scope *scope, int64_t at_ms);
void mr_scope_ask_never(struct mr_limits *limits, struct mr_scope *scope);

/* ---- line.c ---- */
struct mr_limit_line *mr_line_of(const struct mr_scope *model, const struct mr_scope *tenant);
/* At the end of its line. 0, or -1 without memory. */
int mr_line_join(struct mr_limits *limits, struct mr_ticket *ticket);
void mr_line_quit(struct mr_limits *limits, struct mr_ticket *ticket);
/* What this scope's waiters could use now if it had plenty: requests, tokens, and the tokens of the
 * first of them. */
struct mr_demand {
    int64_t requests, tokens, head_tokens;
};
struct mr_demand mr_line_demand(const struct mr_scope *scope, int64_t now_ms);
