/* One step: starting it, and taking in what came of it. Nothing here is durable until
 * mr_job_advance commits it. */
#include "common/json.h"
#include "worker/engine/job.h"
#include "worker/steps/steps.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void end_step(struct mr_step *step, int state, json_t *output, const struct mr_err *err)
{
    struct mr_engine *engine = step->job->engine;
    step->state = MR_STEP_ENDED;
    step->output = output;
    step->row.name = mr_step_def_of(step)->name;
    step->row.state = state;
    step->row.output = output;
    step->row.attempts = step->attempts;
    step->row.degraded = state == MR_STEP_DONE && mr_route_local(step);
    step->row.started_ms = step->started_ms;
    step->row.ended_ms = mr_engine_wall(engine);
    step->row.class = err ? err->class : MR_CLASS_NONE;
    mr_utf8_copy(step->row.message, sizeof(step->row.message), err ? err->msg : NULL);
    engine->steps += state == MR_STEP_DONE;
}

bool mr_step_degrade(struct mr_step *step, enum mr_class class)
{
    const struct mr_config *config = step->job->config;
    const char *task = mr_step_def_of(step)->task;
    for (size_t i = 0; i < config->nproviders && task && !step->degraded; i++) {
        const struct mr_provider *local = &config->providers[i];
        if (local->kind != MR_PROVIDER_LOCAL)
            continue;
        step->local =
            (struct mr_model){.alias = local->name, .provider = local, .model = (char *)task};
        step->degraded = true;
        step->state = MR_STEP_PENDING;
        mr_route_reset(step);
        step->route.left = class;
        return true;
    }
    return false;
}

void mr_step_die(struct mr_step *step, const struct mr_err *err)
{
    end_step(step, MR_STEP_FAILED, NULL, err);
    mr_job_fail(step->job, mr_step_def_of(step)->name, err->class, err->msg);
}

void mr_step_give_up(struct mr_step *step, const struct mr_err *err)
{
    if (mr_step_def_of(step)->on_error == MR_ON_ERROR_SKIP)
        end_step(step, MR_STEP_SKIPPED, NULL, err);
    else
        mr_step_die(step, err);
}

void mr_step_wait(struct mr_step *step, int64_t wait_ms, const struct mr_err *err)
{
    step->state = MR_STEP_BACKOFF;
    step->retry_at_ms = mr_engine_now(step->job->engine) + wait_ms;
    step->waits_long = wait_ms > MR_SHORT_WAIT_MS;
    step->row.class = err ? err->class : MR_CLASS_NONE;
    mr_utf8_copy(step->row.message, sizeof(step->row.message), err ? err->msg : NULL);
}

static void start_extract(struct mr_step *step)
{
    struct mr_job *job = step->job;
    struct mr_engine *engine = job->engine;
    struct mr_extract_job what = {
        .envelope = &job->envelope,
        .timeout_ms = mr_step_def_of(step)->timeout_ms,
    };
    step->state = MR_STEP_EXTRACTING;
    step->attempts++;
    engine->world.extractor.start(engine->world.extractor.ctx, step, &what);
}

void mr_step_start(struct mr_job *job, unsigned index)
{
    struct mr_step *step = &job->steps[index];
    assert(step->state == MR_STEP_PENDING || step->state == MR_STEP_BACKOFF);
    if (step->started_ms == 0)
        step->started_ms = mr_engine_wall(job->engine);
    if (mr_step_def_of(step)->kind == MR_STEP_EXTRACT)
        start_extract(step);
    else
        mr_call_start(step);
}

int mr_step_take(struct mr_step *step, const struct mr_answer *answer, struct mr_err *err)
{
    json_t *output = NULL;
    int r = mr_chat_output(mr_step_def_of(step), answer, &output, err);
    if (r != 0) {
        err->class = r > 0 ? MR_CLASS_BAD_OUTPUT : MR_CLASS_INTERNAL;
        return 1;
    }
    end_step(step, MR_STEP_DONE, output, NULL);
    return 0;
}

void mr_step_extracted(struct mr_step *step, struct mr_extract_result *result)
{
    assert(step->state == MR_STEP_EXTRACTING);
    /* Unlike calls, the tries of an extraction are not on record. All of them must fit into one
     * lease: the next one would begin to count anew, and so for ever. */
    int64_t advised_ms = result->retry_after_ms;
    int64_t most_ms = step->job->config->worker.lease_max_ms / 8;
    if (advised_ms > most_ms)
        advised_ms = most_ms;
    if (advised_ms > MR_SHORT_WAIT_MS)
        advised_ms = MR_SHORT_WAIT_MS;
    const char *name = step->job->envelope.input_name;
    if (result->rc == 0) {
        if (name) /* so that a result can be told by its document; without it, nothing is lost */
            (void)json_object_set_new(result->output, "name", json_string(name));
        end_step(step, MR_STEP_DONE, result->output, NULL);
    } else {
        mr_step_failed(step, &result->err, advised_ms, false);
    }
    result->output = NULL;
}
