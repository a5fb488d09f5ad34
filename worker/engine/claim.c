/* The start of a lease: what the store says about a job we were handed. */
#include "worker/engine/job.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define MR_BUSY_DELAY_MS 5000 /* another worker's calls are open: look again after this */

/* For a job whose pipeline is not configured here: no steps, so that it can only fail. */
static const struct mr_pipeline no_pipeline = {.nsteps = 0};

void mr_job_reject(struct mr_job *job, const struct mr_err *why)
{
    struct mr_engine *engine = job->engine;
    mr_job_fail(job, "", why->class == MR_CLASS_NONE ? MR_CLASS_INVALID : why->class, why->msg);
    mr_job_move(job, MR_JOB_REJECTING, why->msg);
    mr_log(engine->world.log, MR_WARN, "message.rejected", MR_STR("why", why->msg),
        MR_INT("bytes", (int64_t)job->delivery->len));
    engine->world.store.reject(engine->world.store.ctx, job, &job->salvage, &job->error,
        job->delivery->body, job->delivery->len);
}

/* A step failed for good, and its worker died before it could bury the job. (A replay forgets
 * failed steps.) */
static void go_on_failing(struct mr_job *job, const char *step, const json_t *known)
{
    const char *class = json_string_value(json_object_get(known, "class"));
    const char *message = json_string_value(json_object_get(known, "message"));
    enum mr_class parsed = class ? mr_class_parse(class) : MR_CLASS_COUNT;
    mr_job_fail(job, step, parsed < MR_CLASS_COUNT ? parsed : MR_CLASS_INTERNAL,
        message ? message : "the step has failed");
}

/* What earlier leases have left behind. */
static void load_steps(struct mr_job *job)
{
    for (size_t i = 0; i < job->pipeline->nsteps; i++) {
        struct mr_step *step = &job->steps[i];
        const char *name = job->pipeline->steps[i].name;
        const json_t *known = json_object_get(job->claim.steps, name);
        const char *state = json_string_value(json_object_get(known, "state"));
        step->attempts = (int)json_integer_value(json_object_get(known, "attempts"));
        step->paid = (int)json_integer_value(json_object_get(known, "paid"));
        step->since_ms = json_integer_value(json_object_get(known, "since_ms"));
        if (!state)
            continue; /* never ended */
        step->state = MR_STEP_ENDED;
        step->committed = true;
        step->row.name = name;
        if (strcmp(state, "done") == 0) {
            step->row.state = MR_STEP_DONE;
            step->output = json_incref(json_object_get(known, "output"));
        } else if (strcmp(state, "skipped") == 0) {
            step->row.state = MR_STEP_SKIPPED;
        } else {
            step->row.state = MR_STEP_FAILED;
            go_on_failing(job, name, known);
        }
    }
}

/* A job that came home before its time goes on waiting. */
static void keep_waiting(struct mr_job *job)
{
    int64_t wait_ms = job->claim.until_ms - mr_engine_wall(job->engine);
    if (job->claim.until_ms == 0 || wait_ms <= 0)
        return;
    uint32_t ready = mr_dag_ready(job, 0);
    for (unsigned i = 0; i < job->pipeline->nsteps; i++) {
        if (!(ready & (UINT32_C(1) << i)))
            continue;
        bool named = strcmp(job->pipeline->steps[i].name, job->claim.error_step) == 0;
        mr_step_wait(&job->steps[i], wait_ms, named ? &job->claim.err : NULL);
    }
}

static void run(struct mr_job *job)
{
    const struct mr_claim *claim = &job->claim;
    char why[MR_ERR_MAX];
    mr_job_move(job, MR_JOB_RUNNING, "claimed");
    job->epoch = claim->epoch;
    job->spent_pico = claim->spent_pico;
    job->pipeline = mr_config_pipeline(job->config, job->envelope.pipeline, claim->version);
    if (!job->pipeline) {
        job->pipeline = &no_pipeline;
        bool known = mr_config_pipeline(job->config, job->envelope.pipeline, 0) != NULL;
        snprintf(why, sizeof(why),
            known ? "pipeline \"%s\" has no version %d in this worker's configuration"
                  : "unknown pipeline \"%s\": add it to the workers' configuration, then replay",
            job->envelope.pipeline, claim->version);
        mr_job_fail(job, "", MR_CLASS_INVALID, why);
    } else if (claim->redeliveries > job->config->worker.max_redeliveries) {
        snprintf(why, sizeof(why),
            "workers died or lost it %d times in a row while they ran this job",
            claim->redeliveries);
        mr_job_fail(job, "", MR_CLASS_REDELIVERED, why);
    }
    if (mr_job_make_steps(job) < 0) {
        job->pipeline = &no_pipeline;
        mr_job_fail(job, "", MR_CLASS_INTERNAL, "out of memory");
    }
    load_steps(job);
    keep_waiting(job);
    mr_job_advance(job);
}

static void observe_claim(const struct mr_job *job)
{
    const struct mr_delivery *delivery = job->delivery;
    bool first = delivery->hops == 0 && delivery->replay == 0 && !delivery->redelivered;
    mr_observe(
        &job->engine->world.observe, &(struct mr_observation){.what = MR_OBSERVED_CLAIM,
                                         .job = &job->envelope,
                                         .claim = {job->claim.verdict, delivery->lane,
                                             first ? mr_job_age(job) : -1, job->claim.lost_pico}});
}

void mr_job_claimed(struct mr_job *job)
{
    const struct mr_claim *claim = &job->claim;
    assert(job->state == MR_JOB_CLAIMING);
    observe_claim(job);
    switch (claim->verdict) {
    case MR_VERDICT_RUN:
        run(job);
        return;
    case MR_VERDICT_BUSY:
        mr_job_publish(job, MR_PUBLISH_DELAY, MR_BUSY_DELAY_MS, job->config->worker.pool);
        return;
    case MR_VERDICT_DEAD: /* its dead letter may have been lost with the worker that buried it */
        mr_job_fail(job, claim->error_step, claim->err.class, claim->err.msg);
        job->spent_pico = claim->spent_pico;
        mr_job_publish(job, MR_PUBLISH_DEAD, 0, job->config->worker.pool);
        return;
    case MR_VERDICT_REFUSED:
        job->salvage.id = job->envelope.id;
        memcpy(job->salvage.tenant, job->envelope.tenant, sizeof(job->salvage.tenant));
        memcpy(job->salvage.pipeline, job->envelope.pipeline, sizeof(job->salvage.pipeline));
        mr_job_reject(job, &claim->err);
        return;
    case MR_VERDICT_CANCELLED:
        mr_job_observe_end(job, MR_MOVE_CANCELLED);
        mr_job_event(job, "job.cancelled", "", "cancelled");
        mr_job_close(job);
        return;
    case MR_VERDICT_DUPLICATE:
        mr_job_event(job, "job.duplicate", "", "cancelled");
        mr_job_close(job);
        return;
    case MR_VERDICT_DONE:
        mr_job_close(job);
        return;
    case MR_VERDICT_OK:
    case MR_VERDICT_STALE:
        break;
    }
    assert(!"no verdict of a claim");
}
