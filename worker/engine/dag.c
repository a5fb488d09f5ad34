#include "worker/engine/job.h"

uint32_t mr_dag_ended(const struct mr_job *job)
{
    uint32_t ended = 0;
    for (size_t i = 0; i < job->pipeline->nsteps; i++)
        if (job->steps[i].state == MR_STEP_ENDED)
            ended |= UINT32_C(1) << i;
    return ended;
}

uint32_t mr_dag_ready(const struct mr_job *job, int64_t now_ms)
{
    uint32_t ended = mr_dag_ended(job), ready = 0;
    for (size_t i = 0; i < job->pipeline->nsteps; i++) {
        const struct mr_step *step = &job->steps[i];
        uint32_t after = job->pipeline->steps[i].after;
        bool waits = step->state == MR_STEP_PENDING ||
                     (step->state == MR_STEP_BACKOFF && step->retry_at_ms <= now_ms);
        if (waits && (after & ~ended) == 0)
            ready |= UINT32_C(1) << i;
    }
    return ready;
}

int64_t mr_dag_next_retry(const struct mr_job *job)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < job->pipeline->nsteps; i++)
        if (job->steps[i].state == MR_STEP_BACKOFF && job->steps[i].retry_at_ms < next)
            next = job->steps[i].retry_at_ms;
    return next;
}

bool mr_dag_waits_long(const struct mr_job *job)
{
    bool any = false;
    for (size_t i = 0; i < job->pipeline->nsteps; i++) {
        if (job->steps[i].state != MR_STEP_BACKOFF)
            continue;
        if (!job->steps[i].waits_long)
            return false;
        any = true;
    }
    return any;
}
