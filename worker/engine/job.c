#include "worker/engine/job.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
    [MR_JOB_CLAIMING] = "claiming",
    [MR_JOB_RUNNING] = "running",
    [MR_JOB_ENDING] = "ending",
    [MR_JOB_PUBLISHING] = "publishing",
    [MR_JOB_LOST] = "lost",
    [MR_JOB_REJECTING] = "rejecting",
    [MR_JOB_GONE] = "gone",
};

#define BIT(state) (1u << (state))

/* to which states a job may move */
static const unsigned legal[] = {
    [MR_JOB_CLAIMING] =
        BIT(MR_JOB_RUNNING) | BIT(MR_JOB_PUBLISHING) | BIT(MR_JOB_REJECTING) | BIT(MR_JOB_GONE),
    [MR_JOB_RUNNING] = BIT(MR_JOB_ENDING) | BIT(MR_JOB_LOST),
    [MR_JOB_ENDING] =
        BIT(MR_JOB_RUNNING) | BIT(MR_JOB_PUBLISHING) | BIT(MR_JOB_LOST) | BIT(MR_JOB_GONE),
    [MR_JOB_PUBLISHING] = BIT(MR_JOB_GONE),
    [MR_JOB_LOST] = BIT(MR_JOB_GONE),
    [MR_JOB_REJECTING] = BIT(MR_JOB_PUBLISHING),
    [MR_JOB_GONE] = 0,
};

void mr_job_move(struct mr_job *job, enum mr_job_state to, const char *why)
{
    assert(legal[job->state] & BIT(to));
    char id[MR_UUID_LEN];
    if (job->engine->world.log->level <= MR_DEBUG) {
        mr_uuid_format(&job->envelope.id, id);
        mr_log(job->engine->world.log, MR_DEBUG, "job.state", MR_STR("job", id),
            MR_STR("from", state_names[job->state]), MR_STR("to", state_names[to]),
            MR_STR("why", why));
    }
    job->state = to;
}

/* The heap never has to grow while a timeout is being set. */
static int reserve_wake(struct mr_engine *engine)
{
    if (engine->running < engine->wakes_cap)
        return 0;
    size_t cap = engine->wakes_cap ? engine->wakes_cap * 2 : 64;
    struct mr_job **wakes = reallocarray(engine->wakes, cap, sizeof(struct mr_job *));
    if (!wakes)
        return -1;
    engine->wakes = wakes;
    engine->wakes_cap = cap;
    return 0;
}

struct mr_job *mr_job_new(struct mr_engine *engine, struct mr_delivery *delivery)
{
    struct mr_job *job = reserve_wake(engine) == 0 ? calloc(1, sizeof(*job)) : NULL;
    if (!job) {
        mr_delivery_free(delivery);
        return NULL;
    }
    job->engine = engine;
    job->config = mr_config_ref(engine->config);
    job->delivery = delivery;
    job->line = mr_lanes_started(&engine->lanes, delivery);
    job->lease_until_ms = delivery->arrived_ms + engine->config->worker.lease_max_ms;
    job->wake_ms = INT64_MAX;
    job->heap_index = SIZE_MAX;
    job->next = engine->jobs;
    if (job->next)
        job->next->prev = job;
    engine->jobs = job;
    engine->running++;
    return job;
}

int mr_job_make_steps(struct mr_job *job)
{
    size_t count = job->pipeline->nsteps;
    job->steps = count > 0 ? calloc(count, sizeof(*job->steps)) : NULL;
    if (count > 0 && !job->steps)
        return -ENOMEM;
    job->nsteps = count;
    for (unsigned i = 0; i < count; i++) {
        job->steps[i].job = job;
        job->steps[i].index = i;
    }
    return 0;
}

struct mr_job *mr_job_free(struct mr_job *job)
{
    if (!job)
        return NULL;
    struct mr_engine *engine = job->engine;
    mr_wake_set(job, INT64_MAX);
    if (job->prev)
        job->prev->next = job->next;
    else
        engine->jobs = job->next;
    if (job->next)
        job->next->prev = job->prev;
    engine->running--;
    mr_lanes_ended(&engine->lanes, job->line);
    for (struct mr_call *call = job->calls, *next; call; call = next) {
        next = call->next;
        mr_call_free(call);
    }
    for (size_t i = 0; i < job->nsteps; i++) {
        mr_throttle_forget(&job->steps[i]);
        json_decref(job->steps[i].output);
    }
    free(job->steps);
    json_decref(job->claim.steps);
    if (!job->publishing) /* else it is the broker's */
        mr_publish_free(job->publish);
    mr_envelope_deinit(&job->envelope);
    mr_delivery_free(job->delivery);
    for (struct mr_delivery *parked = job->parked, *next; parked; parked = next) {
        next = parked->next;
        mr_delivery_free(parked);
    }
    mr_config_unref(job->config);
    free(job);
    return NULL;
}

unsigned mr_job_busy_steps(const struct mr_job *job)
{
    unsigned busy = 0;
    for (size_t i = 0; i < job->pipeline->nsteps; i++) {
        enum mr_step_state state = job->steps[i].state;
        busy +=
            state == MR_STEP_EXTRACTING || state == MR_STEP_BEGINNING || state == MR_STEP_CALLING;
    }
    return busy;
}

struct mr_step *mr_job_step_of(struct mr_job *job, const struct mr_call *call)
{
    return &job->steps[call->step];
}

const struct mr_step_def *mr_step_def_of(const struct mr_step *step)
{
    return &step->job->pipeline->steps[step->index];
}
