/* What becomes of a job at rest: it ends, it waits, or another worker goes on with it. */
#include "common/json.h"
#include "worker/engine/job.h"

#include <stdio.h>
#include <string.h>

static bool deadline_passed(const struct mr_job *job)
{
    return job->envelope.deadline_ms > 0 &&
           mr_engine_wall(job->engine) >= job->envelope.deadline_ms;
}

static bool lease_over(const struct mr_job *job)
{
    return mr_engine_now(job->engine) >= job->lease_until_ms;
}

bool mr_job_stopping(const struct mr_job *job)
{
    return job->failed || job->cancelled || job->engine->draining || lease_over(job) ||
           deadline_passed(job);
}

bool mr_job_our_pool(const struct mr_job *job, unsigned step)
{
    return strcmp(job->pipeline->steps[step].pool, job->config->worker.pool) == 0;
}

static void set_waiting(struct mr_job *job, int64_t until_wall_ms, const char *pool)
{
    job->commit.move = MR_MOVE_WAITING;
    job->commit.until_ms = until_wall_ms;
    snprintf(job->commit.pool, sizeof(job->commit.pool), "%s", pool);
}

/* What the job waits for, in the words of the step that will go on first. */
static void set_reason(struct mr_job *job, int64_t retry_ms)
{
    for (unsigned i = 0; i < job->pipeline->nsteps; i++) {
        const struct mr_step *step = &job->steps[i];
        if (step->state != MR_STEP_BACKOFF || step->retry_at_ms != retry_ms ||
            step->row.class == MR_CLASS_NONE)
            continue;
        mr_err_set(&job->commit.error, 0, step->row.class, "%s", step->row.message);
        mr_utf8_copy(
            job->commit.error_step, sizeof(job->commit.error_step), mr_step_def_of(step)->name);
        return;
    }
}

/* A job at rest that has not ended: who goes on with it, and when. */
static void choose_wait(struct mr_job *job)
{
    struct mr_engine *engine = job->engine;
    int64_t now = mr_engine_now(engine), retry_ms = mr_dag_next_retry(job);
    uint32_t ready = mr_dag_ready(job, now);
    const char *pool = job->config->worker.pool;
    int64_t left_ms = retry_ms == INT64_MAX ? 0 : retry_ms - now;
    bool elsewhere = ready && !mr_job_our_pool(job, (unsigned)__builtin_ctz(ready));
    /* Another pool knows nothing of the back-off here, nor we of one there. A lease that has ended
     * no step must not make room for the next one at once, or two pools that both have to wait
     * would hand the job to and fro as fast as they can. */
    bool in_vain = elsewhere && left_ms > 0 && !job->achieved;
    bool stays = !elsewhere || (in_vain && left_ms <= MR_SHORT_WAIT_MS);
    /* However little of it is left: steps that ask in turns would keep the job here for ever. */
    bool long_wait = !ready && mr_dag_waits_long(job);
    if (stays && !long_wait && !engine->draining && !lease_over(job))
        return; /* a short back-off */
    if (elsewhere)
        pool = job->pipeline->steps[__builtin_ctz(ready)].pool;
    int64_t wait_ms = ready ? 0 : left_ms;
    if (in_vain)
        wait_ms = left_ms < MR_SHORT_WAIT_MS ? left_ms : MR_SHORT_WAIT_MS;
    int64_t until_ms = wait_ms > 0 ? mr_engine_wall(engine) + wait_ms : 0;
    if (wait_ms > 0)
        set_reason(job, retry_ms);
    if (job->envelope.deadline_ms > 0 && until_ms > job->envelope.deadline_ms)
        until_ms = job->envelope.deadline_ms; /* nobody learns of its end later than need be */
    set_waiting(job, until_ms, pool);
}

void mr_job_choose_move(struct mr_job *job)
{
    uint32_t all =
        job->pipeline->nsteps == 32 ? UINT32_MAX : (UINT32_C(1) << job->pipeline->nsteps) - 1;
    if (mr_job_busy_steps(job) > 0)
        return; /* what runs is paid: its result is kept, whatever becomes of the job */
    bool ended = mr_dag_ended(job) == all;
    if (!job->failed && !job->cancelled && !ended && deadline_passed(job))
        mr_job_fail(job, "", MR_CLASS_DEADLINE, "the job's deadline has passed");
    if (job->failed) {
        job->commit.move = MR_MOVE_DEAD;
        job->commit.error = job->error;
        memcpy(job->commit.error_step, job->error_step, sizeof(job->error_step));
    } else if (ended) {
        job->commit.move = MR_MOVE_DONE;
    } else if (job->cancelled) {
        job->commit.move = MR_MOVE_CANCELLED;
    } else {
        choose_wait(job);
    }
}
