/* A job in the hands of this worker: its states, its steps and its calls. Internal to the engine.
 *
 * The protocol of one delivery. A job is in exactly one state; only mr_job_move changes it.
 *
 *   CLAIMING:   the claim is with the store.
 *
 *   RUNNING:    the lease is ours; steps run; at most one commit is with the store at a time.
 *
 *   ENDING:     the commit with the final move (done, dead, cancelled, waiting) is with the store.
 *
 *   PUBLISHING: SQL says dead or waiting (or we never held the lease); the dead letter, the
 *               hand-over or the delayed copy is with the broker and not confirmed yet.
 *
 *   LOST:       another worker holds the lease; calls that are still out are waited for, and
 *               settled.
 *
 *   REJECTING:  the message is no job; its row in `rejects` is with the store.
 *
 *   GONE:       acked (or void); freed at once.
 *
 * What is durable lives in SQL; what is here can be lost at any moment, and the next worker goes on
 * from the last commit. */
#pragma once

#include "worker/engine/engine.h"
#include "worker/engine/lanes.h"
#include "worker/engine/step.h"

enum mr_job_state {
    MR_JOB_CLAIMING,
    MR_JOB_RUNNING,
    MR_JOB_ENDING,
    MR_JOB_PUBLISHING,
    MR_JOB_LOST,
    MR_JOB_REJECTING,
    MR_JOB_GONE,
};

struct mr_job {
    struct mr_engine *engine;
    struct mr_config *config; /* the snapshot it started with; referenced */
    const struct mr_pipeline *pipeline;
    enum mr_job_state state;

    struct mr_delivery *delivery; /* owns the body */
    struct mr_line *line;         /* its tenant's, of whose running jobs it is one; may be NULL */
    bool void_tag;                /* the session is gone: nothing to ack */
    struct mr_envelope envelope;
    struct mr_envelope_salvage salvage; /* REJECTING: who it may have been */
    int64_t lease_until_ms;             /* monotonic: hand over after this */

    struct mr_claim claim;
    int64_t epoch;
    int64_t spent_pico;
    struct mr_step *steps; /* one for each of the pipeline's; none before it is claimed */
    size_t nsteps;
    struct mr_call *calls;   /* begun and not settled */
    struct mr_commit commit; /* with the store while committing */
    bool committing;
    unsigned writing; /* bit i: commit carries the end of step i */

    /* decided, not yet committed */
    bool failed, cancelled;
    bool poisoned;       /* SQL refuses its results or words: only its money and its end go there */
    bool bare;           /* nor its money: only its end */
    bool achieved;       /* this lease has ended a step */
    struct mr_err error; /* failed */
    char error_step[MR_NAME_MAX + 1];

    struct mr_delivery *parked; /* more messages of this job, looked at again when it is closed */
    struct mr_publish *publish; /* PUBLISHING, kept for another try */
    bool publishing;            /* with the broker right now */

    int64_t wake_ms;            /* monotonic; INT64_MAX = never */
    size_t heap_index;          /* in engine->wakes; SIZE_MAX = not there */
    struct mr_job *bucket_next; /* engine->table */
    struct mr_job *prev, *next; /* engine->jobs */
};

/* ---- job.c ---- */
/* A job for this delivery (taken over), in CLAIMING. NULL: no memory (the delivery is then freed,
 * not acked). */
struct mr_job *mr_job_new(struct mr_engine *engine, struct mr_delivery *delivery);
struct mr_job *mr_job_free(struct mr_job *job);
/* The one place a job changes state. Asserts that the move is legal. */
void mr_job_move(struct mr_job *job, enum mr_job_state to, const char *why);
/* Makes the steps of job->pipeline. 0 or -ENOMEM. */
int mr_job_make_steps(struct mr_job *job) MR_CHECK;
/* Steps that are with the extractor, the store or a provider. */
unsigned mr_job_busy_steps(const struct mr_job *job);
struct mr_step *mr_job_step_of(struct mr_job *job, const struct mr_call *call);
const struct mr_step_def *mr_step_def_of(const struct mr_step *step);

/* ---- dag.c: pure functions over the steps ---- */
/* Bit i: step i has ended. */
uint32_t mr_dag_ended(const struct mr_job *job);
/* Bit i: step i is pending (or its back-off is over at now_ms) and all it comes after has ended. */
uint32_t mr_dag_ready(const struct mr_job *job, int64_t now_ms);
/* The earliest end of a back-off; INT64_MAX = none. */
int64_t mr_dag_next_retry(const struct mr_job *job);
/* Whether some steps back off, and all of them for long. */
bool mr_dag_waits_long(const struct mr_job *job);

/* ---- claim.c ---- */
void mr_job_claimed(struct mr_job *job);
/* The message is no job: a row in `rejects`, then a dead letter. job->salvage says who it may have
 * been. */
void mr_job_reject(struct mr_job *job, const struct mr_err *why);

/* ---- commit.c ---- */
/* Looks at where the job stands and does what is next: commit, start, end or wait. Call it after
 * every change. */
void mr_job_advance(struct mr_job *job);
void mr_job_committed(struct mr_job *job);

/* ---- move.c ---- */
/* Whether nothing new may be started for this job here. */
bool mr_job_stopping(const struct mr_job *job);
bool mr_job_our_pool(const struct mr_job *job, unsigned step);
/* Puts the move into the commit that is being made, if one is due. */
void mr_job_choose_move(struct mr_job *job);

/* ---- end.c: after the last commit ---- */
/* Fails the job before or beside its steps: the next commit says dead. */
void mr_job_fail(struct mr_job *job, const char *step, enum mr_class class, const char *message);
void mr_job_publish(
    struct mr_job *job, enum mr_publish_kind kind, int64_t delay_ms, const char *pool);
/* The final commit is durable: tell, publish if need be, ack. Frees the job or leaves it
 * PUBLISHING. */
void mr_job_ended(struct mr_job *job);
void mr_job_observe_end(const struct mr_job *job, enum mr_move move);
/* Its wake time has come. */
void mr_job_woken(struct mr_job *job);
void mr_job_published(struct mr_job *job, bool confirmed, const char *why);
/* Keeps another message of the job until it is closed. The oldest comes first then: the first one
 * that still has time takes the lease, and the others, which came later, have as long to wait. */
void mr_job_park(struct mr_job *job, struct mr_delivery *delivery);
/* Acks (a lost job's message instead asks for a new lease), forgets and frees the job, and lets the
 * next one start. */
void mr_job_close(struct mr_job *job);

/* ---- event.c ---- */
void mr_job_event(struct mr_job *job, const char *event, const char *step, const char *state);
/* The job's tenant has come near its cap, or to it. */
void mr_job_cap_event(struct mr_job *job, const struct mr_cap_alert *alert);

/* ---- wake.c: one time-ordered heap for every timeout ---- */
void mr_wake_set(struct mr_job *job, int64_t mono_ms); /* INT64_MAX takes it out */
struct mr_job *mr_wake_due(struct mr_engine *engine, int64_t now_ms);

/* ---- engine.c ---- */
#define MR_ENGINE_BUCKETS 4096 /* a power of two */

struct mr_engine {
    struct mr_world world;
    struct mr_config *config;
    struct mr_prices *prices;
    struct mr_lanes lanes;
    struct mr_breaker *breakers; /* guard.c */
    struct mr_limits *limits;
    struct mr_job *jobs;                     /* all, in no order */
    struct mr_job *table[MR_ENGINE_BUCKETS]; /* by id */
    struct mr_job **wakes;
    size_t nwakes, wakes_cap;
    size_t running; /* jobs, whatever their state */
    size_t calls_open;
    bool draining, aborted;
    int64_t grace_until_ms;
    uint64_t done, dead, steps, calls;
};

struct mr_job *mr_engine_find(struct mr_engine *engine, const struct mr_uuid *id);
void mr_engine_forget(struct mr_engine *engine, struct mr_job *job);
/* Lets in a delivery that was here already: its lease counts from its first arrival. */
void mr_engine_readmit(struct mr_engine *engine, struct mr_delivery *delivery);
/* Starts deliveries while slots are free. */
void mr_engine_schedule(struct mr_engine *engine);
static inline int64_t mr_engine_now(const struct mr_engine *engine)
{
    return mr_mono_ms(&engine->world.clock);
}
static inline int64_t mr_engine_wall(const struct mr_engine *engine)
{
    return mr_wall_ms(&engine->world.clock);
}
/* Wall ms since the job was enqueued; -1: nobody knows. */
static inline int64_t mr_job_age(const struct mr_job *job)
{
    int64_t age = mr_engine_wall(job->engine) - job->envelope.created_ms;
    return job->envelope.created_ms == 0 ? -1 : age > 0 ? age : 0; /* clocks differ */
}
