/* A whole fleet in one process and one thread: the real engine, steps and codecs under a virtual
 * clock, against a model of the broker, the store and a provider that keeps its own ledger.
 * Everything is drawn from one seed, so a failing seed replays.
 *
 * The model does what sql/routines and RabbitMQ do: epochs fence writes, a claim never takes a job
 * from a living owner whose calls may still be answered, unacked messages of a dead session come
 * back, confirmed messages stay. */
#pragma once

#include "worker/engine/engine.h"

#include <stdint.h>

#define SIM_WORKERS 5
#define SIM_MAIN 3 /* workers of pool main; the others are of pool gpu */
#define SIM_JOBS 100
#define SIM_PREFETCH 64
#define SIM_LIMIT_MS (3600 * 1000)      /* by then everything must have ended */
#define SIM_STORM_MS (SIM_LIMIT_MS / 4) /* and from then on nothing goes wrong any more */
#define SIM_DEAD_AFTER_MS 2000          /* without a sign of life, before a worker is dead */
#define SIM_LEASE_MS 60000              /* worker.lease_max of sim_config.c */
#define SIM_HELD_MS (2 * SIM_LEASE_MS)  /* the consumer timeout: a lease is half of it */

struct sim_msg {
    struct sim_msg *next;
    char *body;
    size_t len;
    enum mr_lane lane;
    int shard;
    char pool[MR_NAME_MAX + 1], tenant[MR_NAME_MAX + 1];
    int32_t hops, replay;
    bool redelivered;
    int64_t due_ms; /* delayed until */
    int64_t out_ms; /* when it was handed out */
};

struct sim_call {
    struct sim_call *next;
    struct mr_uuid id, job;
    char step[MR_NAME_MAX + 1];
    int64_t epoch;
    int worker;
    uint64_t life;
    enum mr_call_state state;
    int64_t hold, cost, began_ms, expires_ms;
    int64_t billed; /* the provider's ledger: what this request cost */
    bool aborted;   /* a drain gave it up */
    bool hit;       /* answered from the cache: there was no request */
    int tenant;
    unsigned requests; /* how often it reached the provider */
};

enum sim_state {
    SIM_NONE,   /* no row */
    SIM_QUEUED, /* cancelled before any claim */
    SIM_RUNNING,
    SIM_WAITING,
    SIM_DONE,
    SIM_DEAD,
    SIM_CANCELLED,
};

struct sim_job {
    struct mr_uuid id;
    int tenant;
    bool stubborn;       /* its document's server always says: later */
    int64_t deadline_ms; /* virtual; 0 = none */
    int twin;            /* another job has the same idempotency key; -1 = none */

    /* its row */
    enum sim_state state;
    int64_t epoch, until_ms;
    int worker;
    uint64_t life;
    int redeliveries, replays;
    int64_t replayed_ms;
    bool cancel_requested, duplicate;
    json_t *steps;
    enum mr_class error_class;

    int64_t cancelled_epoch; /* of the lease that was told so */
    int64_t refused_epoch;   /* of the last commit that could not be stored */
    bool unclaimable;        /* was refused as a message: there is a row in rejects */
    unsigned ends;           /* moves to an end */
    unsigned revivals;       /* moves from dead to running */
    unsigned letters;        /* dead letters, those that were replayed included */
    int letters_replay;      /* the highest replay count of a dead letter */
};

/* What equal calls of a tenant share. */
struct sim_answer {
    struct sim_answer *next;
    int tenant;
    unsigned char key[32];
    struct mr_uuid call; /* that brings or brought it */
    char text[32];       /* "" = not yet */
    int64_t ttl_ms, until_ms;
};

/* Somewhere a provider does not do its work for a while. */
struct sim_outage {
    char endpoint[MR_NAME_MAX + 1];
    int64_t from_ms, to_ms;
    int outcome;
};

#define SIM_MAX_ATTEMPTS 5 /* the default of steps.max_attempts */
#define SIM_TENANTS 2
#define SIM_PERIOD_MS (5 * 60 * 1000) /* a "day" of the caps */
#define SIM_OUTAGES 4

struct sim;
struct flight;
struct extraction;
struct sim_event {
    int64_t at_ms;
    uint64_t seq; /* first come, first served within a millisecond */
    int worker;
    uint64_t life;
    /* alive: the worker is still in the life that asked for this */
    void (*fn)(struct sim *sim, struct sim_event *event, bool alive);
    void *arg;
    int64_t n;
};

struct sim_worker {
    struct sim *sim;
    int index;
    struct mr_engine *engine; /* NULL while it is down */
    uint64_t life;            /* one more after each death */
    int64_t died_ms;
    int64_t away_since_ms, away_until_ms; /* cut off from the database */
    const char *pool;
    struct mr_config *config;
    uint64_t session, next_tag;
    struct {
        uint64_t tag;
        struct sim_msg *msg;
    } unacked[SIM_PREFETCH];
    size_t nunacked;
    bool draining;
};

struct sim {
    uint64_t seed, rng;
    int64_t now_ms;
    unsigned chaos;               /* per mille of things that go wrong */
    bool outages_only;            /* nothing else does: then no job may die */
    struct mr_config *configs[2]; /* pools main and gpu */
    struct mr_prices prices;
    struct mr_price price[2]; /* of everybody, and of the local provider */
    struct mr_log log;
    struct sim_worker workers[SIM_WORKERS];
    struct sim_msg *queue, *dead; /* lanes and tiers; millrace.dead */
    struct sim_job jobs[SIM_JOBS];
    size_t njobs, rejects, reject_letters;
    struct sim_call *calls;
    int64_t caps[SIM_TENANTS]; /* pico a period; 0 = none */
    enum mr_on_cap on_cap;
    struct sim_answer *answers;
    unsigned refusals, hits, parked, opened, closed; /* what the run has seen; breakers too */
    struct sim_outage outages[SIM_OUTAGES];
    size_t noutages;
    struct flight *flights;         /* sim_provider.c: requests on their way */
    struct extraction *extractions; /* and documents being read */
    struct sim_event **events;      /* a binary heap by (at_ms, seq) */
    size_t nevents, events_cap;
    uint64_t seq;
    char failure[256]; /* the first broken promise; empty = none */
};

/* sim.c */
uint64_t sim_random(struct sim *sim, uint64_t below);
bool sim_happens(struct sim *sim, unsigned per_mille);
struct sim_event *sim_at(struct sim *sim, int64_t in_ms, struct sim_worker *worker,
    void (*fn)(struct sim *, struct sim_event *, bool), void *arg, int64_t n);
void sim_cancel(struct sim *sim, struct sim_event *event); /* it does nothing when it comes */
void sim_fail(struct sim *sim, const char *fmt, ...) MR_PRINTF(2, 3);
struct sim_job *sim_job(struct sim *sim, const struct mr_uuid *id);
struct sim_call *sim_call(struct sim *sim, const struct mr_uuid *id);
/* Whether a thing of this likelihood goes wrong now: never after the storm. */
bool sim_trouble(struct sim *sim, unsigned per_mille);
int64_t sim_wall(void *ctx);
int64_t sim_mono(void *ctx);
void sim_fill(void *ctx, void *bytes, size_t n);

/* sim_jobs.c */
struct mr_config *sim_config(const char *pool);
void sim_enqueue(struct sim *sim);
void sim_judge(struct sim *sim);

/* sim_broker.c */
struct mr_broker_ops sim_broker_ops(struct sim_worker *worker);
/* Copies what of the message matters; body needs no NUL. */
void sim_broker_put(struct sim *sim, const struct sim_msg *msg, int64_t delay_ms);
void sim_broker_pump(struct sim *sim); /* hands out what is due */
/* The worker's session ends: unacked messages come back. */
void sim_broker_cut(struct sim_worker *worker);
void sim_broker_replay(struct sim *sim); /* `millrace dead replay` of everything */
void sim_broker_free(struct sim *sim);

/* sim_store.c, sim_commit.c */
struct mr_store_ops sim_store_ops(struct sim_worker *worker);
void sim_store_commit(void *ctx, struct mr_commit *commit);
void sim_store_cancel(struct sim *sim, struct sim_job *job);
/* What the job's open calls may have cost: they end here. */
void sim_store_give_up_calls(struct sim *sim, const struct sim_job *job);
int64_t sim_store_latency(struct sim_worker *worker); /* until it reaches the database */

/* sim_money.c */
/* Fills in the answer to a begin. */
enum mr_admission sim_money_admit(struct sim *sim, int tenant, struct mr_call_row *row);
void sim_money_settled(struct sim *sim, const struct mr_call_row *row);
void sim_money_check(struct sim *sim, int tenant);
void sim_money_free(struct sim *sim);

/* sim_provider.c */
void sim_provider_plan(struct sim *sim); /* draws the outages */
struct mr_caller_ops sim_caller_ops(struct sim_worker *worker);
struct mr_extractor_ops sim_extractor_ops(struct sim_worker *worker);
