/* Following jobs until they have ended: events say when to look, the database says what is true. */
#pragma once

#include "producer/db.h"
#include "producer/signals.h"

/* A job that is followed. */
struct mr_waited {
    struct mr_uuid id;
    struct mr_uuid follows; /* the job whose end counts: itself, or the one it is a duplicate of */
    char *source;
    char *told;     /* names of the steps already told, each with a newline behind it */
    char state[16]; /* as of the last look */
    bool heard;     /* an event has come since the last look */
    bool ended;
};

struct mr_wait_ops {
    /* A step of a job has ended: row of a result with the columns of mr_wait_step. */
    void (*step)(void *ctx, const struct mr_waited *job, const PGresult *steps, int row);
    /* The job has ended as this row of a result says (columns of enum mr_wait_job). */
    void (*end)(void *ctx, const struct mr_waited *job, const PGresult *jobs, int row);
    /* Why some of them do not get on, every two seconds; NULL: they all do, or nobody knows why
     * not. `key` changes when it is worth saying again. */
    void (*waits)(void *ctx, const char *line, const char *key);
    void *ctx;
};
enum mr_wait_step {
    MR_WS_JOB,
    MR_WS_STEP,
    MR_WS_STATE,
    MR_WS_SECONDS,
    MR_WS_COST,
    MR_WS_DEGRADED,
    MR_WS_CACHED
};
enum mr_wait_job {
    MR_WJ_JOB,
    MR_WJ_STATE,
    MR_WJ_DUPLICATE_OF,
    MR_WJ_SECONDS,
    MR_WJ_COST,
    MR_WJ_CLASS,
    MR_WJ_MESSAGE,
    MR_WJ_STEP,
    MR_WJ_DEGRADED
};

struct mr_wait;

/* Needs the database at once (NULL: the user has been told why) and does without events when it
 * must. */
struct mr_wait *mr_wait_new(struct mr_cli *cli, const struct mr_wait_ops *ops) MR_CHECK;
struct mr_wait *mr_wait_free(struct mr_wait *wait);

/* The connection to the database, for reading results; NULL while it is lost. */
PGconn *mr_wait_db(struct mr_wait *wait);

/* Before the job is published, and once it has been confirmed. 0 or -ENOMEM. */
void mr_wait_expect(struct mr_wait *wait, const struct mr_uuid *id);
int mr_wait_add(struct mr_wait *wait, const struct mr_uuid *id, const char *source) MR_CHECK;

/* Looks once, if an event has come or a look is due; waits up to timeout_ms for an event. 0, or
 * negative when the database cannot be asked. */
int mr_wait_turn(struct mr_wait *wait, int timeout_ms) MR_CHECK;

/* Until every job has ended. 0; -EINTR; -ENOTCONN when the database stayed away for timeout_ms (the
 * user has been told). */
int mr_wait_run(struct mr_wait *wait, struct mr_signals *signals, int64_t timeout_ms) MR_CHECK;

size_t mr_wait_pending(const struct mr_wait *wait);
/* The next job that has not ended, in the order they were added; *at begins with 0. NULL: no more.
 */
const struct mr_waited *mr_wait_next(const struct mr_wait *wait, size_t *at);
