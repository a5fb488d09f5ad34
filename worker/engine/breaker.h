/* The breaker of one endpoint: it stops calls to where they only fail. Pure: the time is passed in.
 *
 *   CLOSED:    calls go. So many failures in a row open it; one does when the credential is no
 *              good.
 *
 *   OPEN:      none goes, until its time is over or the endpoint's health path has answered.
 *
 *   HALF_OPEN: a few go at a time. So many successes close it, one failure opens it again.
 *
 * What a call meets counts only in the period it was let through in: the answers that straggle in
 * after it has opened say nothing new. */
#pragma once

#include "common/config.h"
#include "worker/engine/world_store.h"

enum mr_verdict_of_call {
    MR_CALL_GOOD,    /* the endpoint does its work, whatever it made of the request */
    MR_CALL_BAD,     /* it does not */
    MR_CALL_BARRED,  /* nor will it with this credential */
    MR_CALL_NO_SIGN, /* says nothing about the endpoint */
};

struct mr_breaker {
    char provider[MR_NAME_MAX + 1], endpoint[MR_NAME_MAX + 1];
    enum mr_breaker_state state;
    unsigned period;    /* one more with each state */
    int failures;       /* CLOSED: in a row */
    int successes;      /* HALF_OPEN */
    int probes;         /* HALF_OPEN: calls of this period that are out */
    unsigned in_flight; /* calls, of whatever period */
    int64_t until_ms;   /* OPEN: monotonic */
    struct mr_err why;  /* the last failure that counted */
    bool asking;        /* its health path is being asked */
    int64_t ask_ms;     /* OPEN: monotonic, when to ask next */
    struct mr_breaker *next;
};

/* Whether a call may go now. */
bool mr_breaker_allows(
    const struct mr_breaker *breaker, const struct mr_config_breaker *config, int64_t now_ms);

/* A call that is allowed takes its place. Returns whether the state changed; *ret_period is for
 * mr_breaker_leave, which follows exactly once. */
bool mr_breaker_enter(struct mr_breaker *breaker, int64_t now_ms, unsigned *ret_period);

/* The call is over. why is read unless it is GOOD or NO_SIGN. Returns whether the state changed. */
bool mr_breaker_leave(struct mr_breaker *breaker, const struct mr_config_breaker *config,
    unsigned period, enum mr_verdict_of_call verdict, const struct mr_err *why, int64_t now_ms);

/* Its health path has answered. Returns whether the state changed. */
bool mr_breaker_asked(struct mr_breaker *breaker, bool well, int64_t now_ms);

/* When the health path is to be asked next; INT64_MAX = not now. It says nothing of a credential.
 */
int64_t mr_breaker_ask_ms(const struct mr_breaker *breaker);
