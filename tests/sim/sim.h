/* A whole fleet in one process and one thread: the real engine, steps and codecs under a virtual
 * clock, against a model of the broker, the store and a provider that keeps its own ledger.
 * Everything is drawn from one seed, so a failing seed replays.
 *
 * The model does what DESIGN.md section 3 says SQL and RabbitMQ do: epochs fence writes, a claim
 * never takes a job from a living owner with open calls, unacked messages of a dead session come
 * back, confirmed messages stay. */
#pragma once

#include "worker/engine/engine.h"

#include <stdint.h>

#define SIM_WORKERS 3
#define SIM_JOBS 100
#define SIM_PREFETCH 64

struct sim_msg {
    struct sim_msg *next;
    char *body;
    size_t len;
    enum mr_lane lane;
    int32_t hops, replay;
    bool redelivered;
    int64_t due_ms; /* delayed until */
};

struct sim_call {
    struct sim_call *next;
    struct mr_uuid id, job;
    char step[MR_NAME_MAX + 1];
    int64_t epoch;
    int worker;
    uint64_t life;
    enum mr_call_state state;
    int64_t hold, cost, expires_ms;
    int64_t billed;    /* the provider's ledger: what this request cost */
    unsigned requests; /* how often it reached the provider */
};

struct sim_job {
    struct mr_uuid id;
    enum { SIM_NONE, SIM_RUNNING, SIM_WAITING, SIM_DONE, SIM_DEAD, SIM_CANCELLED } state;
    int64_t epoch, until_ms;
    int worker;
    uint64_t life;
    int redeliveries;
    json_t *steps;
    unsigned ends, dead_letters;
};

struct sim;
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
    unsigned chaos; /* per mille of things that go wrong */
    struct mr_config *config;
    struct mr_prices prices;
    struct mr_price price;
    struct mr_log log;
    struct sim_worker workers[SIM_WORKERS];
    struct sim_msg *queue, *dead;
    struct sim_job jobs[SIM_JOBS];
    size_t njobs, crashes, billed_calls;
    struct sim_call *calls;
    struct sim_event **events; /* a binary heap by (at_ms, seq) */
    size_t nevents, events_cap;
    uint64_t seq;
    char failure[256]; /* the first broken promise; empty = none */
};

/* sim.c */
uint64_t sim_random(struct sim *sim, uint64_t below);
bool sim_happens(struct sim *sim, unsigned per_mille);
void sim_at(struct sim *sim, int64_t in_ms, struct sim_worker *worker,
    void (*fn)(struct sim *, struct sim_event *, bool), void *arg, int64_t n);
void sim_fail(struct sim *sim, const char *fmt, ...) MR_PRINTF(2, 3);
struct sim_job *sim_job(struct sim *sim, const struct mr_uuid *id);
struct sim_call *sim_call(struct sim *sim, const struct mr_uuid *id);

/* sim_broker.c */
struct mr_broker_ops sim_broker_ops(struct sim_worker *worker);
void sim_broker_put(struct sim *sim, const char *body, size_t len, enum mr_lane lane, int hops,
    int replay, int64_t delay_ms);
void sim_broker_pump(struct sim *sim); /* hands out what is due */
void sim_broker_cut(
    struct sim_worker *worker); /* the worker's session ends: unacked messages come back */
void sim_broker_free(struct sim *sim);

/* sim_store.c */
struct mr_store_ops sim_store_ops(struct sim_worker *worker);

/* sim_provider.c */
struct mr_caller_ops sim_caller_ops(struct sim_worker *worker);
struct mr_extractor_ops sim_extractor_ops(struct sim_worker *worker);
