/* Limits the whole fleet keeps together: what a worker tells the database of its share, and what it
 * is answered. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_LEASE_MAX 128
#define MR_LEASE_NONE (-1) /* there is no such limit, nothing is known */

/* One scope: "model:<provider>/<endpoint>/<model>" or "tenant:<name>". What is said of it is news
 * since the last lease. */
struct mr_lease_row {
    const char *scope; /* borrowed until mr_limits_leased */
    int64_t rpm, tpm;  /* what the configuration says, a minute; 0 = nothing */
    int concurrency;
    int64_t want_requests, want_tokens;
    int64_t head_tokens;                /* of them: what the first one that waits needs at once */
    int64_t back_requests, back_tokens; /* granted and not used; negative: used beyond the grant */
    int in_flight, waiting;             /* calls, now */
    int successes, throttled;           /* calls that ended so */
    int64_t pause_ms;                   /* the provider wants to be left alone so long; 0 = no */
    int64_t seen_rpm, seen_tpm;         /* what its headers say; NONE */
    /* answer: */
    int64_t requests, tokens;     /* granted; NONE */
    int64_t rpm_share, tpm_share; /* what this worker may hope for in a minute; NONE */
    int slots;                    /* calls it may have in flight; NONE */
    int64_t more_ms;              /* asking again before is of no use */
    int64_t paused_ms;            /* nobody may call; 0 = anybody */
};

struct mr_lease {
    struct mr_lease_row rows[MR_LEASE_MAX];
    size_t count;
    bool refused; /* answer: the database can never take this; the rows have no answer */
};
