/* Workers with limiters of their own and one bank, under a clock of the test's. The bank does what
 * sql/routines/limits.sql does, for the model "model:p/e/m" and the tenant "tenant:capped"; others
 * have no limit. */
#pragma once

#include "tests/unit/test.h"
#include "worker/limits/limits.h"

#define WORKERS_MAX 8
#define TICKETS 100 /* of each worker */
#define BANK_DELAY_MS 3

struct bucket {
    int64_t rpm, tpm; /* 0 = none */
    int concurrency;  /* 0 = none */
    double requests, tokens;
    int64_t at_ms, paused_until_ms;
    struct {
        int in_flight, slots, need;
        int64_t seen_ms;
    } users[WORKERS_MAX];
};

struct worker {
    struct mr_limits *limits;
    struct mr_lease *lease; /* out */
    int64_t answer_ms;
    struct mr_ticket tickets[TICKETS];
    int64_t began_ms[TICKETS];
    int64_t call_ms, next_end_ms; /* no call ends before, if they take so long */
    int64_t away_ms;              /* one was sent away: nobody asks before */
    int64_t calls;
};

struct fleet {
    int64_t now_ms;
    struct bucket model, tenant;
    struct worker workers[WORKERS_MAX];
    int count;
    int64_t asked;           /* leases */
    int64_t starts[1 << 16]; /* when each call went */
    size_t nstarts;
    int64_t last_rows_throttled;
};
extern struct fleet world;

extern const struct mr_random chance;
extern struct mr_provider provider;

struct load {
    const char *tenant;
    int64_t tokens, used;
    int64_t call_ms;
    int waiting; /* kept in each worker's line */
};

struct mr_limits_ask ask_of(const char *tenant, int64_t tokens);
void build(int workers, struct bucket model, struct bucket tenant);
void tear_down(void);
/* A worker's lease goes to the bank, or comes back from it. */
void talk(int worker);
void run(int64_t ms, const struct load *load);
/* The most calls that went in any window of so many ms. */
size_t busiest(int64_t window_ms);
