/* One step: starting it, and taking in what came of it. Nothing here is durable until
 * mr_job_advance commits it. */
#include "common/json.h"
#include "worker/engine/job.h"
#include "worker/steps/steps.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void copy(char *to, size_t size, const char *from)
{
    size_t n = mr_utf8_prefix(from, strlen(from), size - 1);
    memcpy(to, from, n);
    to[n] = '\0';
}

static const struct mr_step_def *def_of(const struct mr_step *step)
{
    return &step->job->pipeline->steps[step->index];
}

static void end_step(struct mr_step *step, int state, json_t *output)
{
    struct mr_engine *engine = step->job->engine;
    const struct mr_step_def *def = def_of(step);
    step->state = MR_STEP_ENDED;
    step->output = output;
    step->row.name = def->name;
    step->row.state = state;
    step->row.output = output;
    step->row.attempts = step->attempts;
    step->row.degraded = state == MR_STEP_DONE && step->degraded;
    step->row.started_ms = step->started_ms;
    step->row.ended_ms = mr_engine_wall(engine);
    engine->steps += state == MR_STEP_DONE;
}

/* The built-in provider answers in the place of the step's own model. */
static bool degrade(struct mr_step *step)
{
    const struct mr_config *config = step->job->config;
    for (size_t i = 0; i < config->nproviders && !step->degraded; i++) {
        const struct mr_provider *local = &config->providers[i];
        if (local->kind != MR_PROVIDER_LOCAL)
            continue;
        step->local =
            (struct mr_model){.alias = local->name, .provider = local, .model = def_of(step)->task};
        step->degraded = true;
        step->state = MR_STEP_PENDING;
        return true;
    }
    return false;
}

/* The step failed for good: what its on_error says. */
static void give_up(struct mr_step *step, const struct mr_err *err)
{
    const struct mr_step_def *def = def_of(step);
    step->row.class = err->class;
    copy(step->row.message, sizeof(step->row.message), err->msg);
    if (def->on_error == MR_ON_ERROR_SKIP) {
        end_step(step, MR_STEP_SKIPPED, NULL);
        return;
    }
    end_step(step, MR_STEP_FAILED, NULL);
    mr_job_fail(step->job, def->name, err->class, err->msg);
}

/* Whether a failure may be our own doing, when a drain has lost its patience. */
static bool given_up(enum mr_class class)
{
    return class == MR_CLASS_CANCELLED || class == MR_CLASS_AMBIGUOUS || class == MR_CLASS_NETWORK;
}

/* The step failed: another try by the retry table, within the step's own budget of attempts, or the
 * end of it. */
static void retry_or_give_up(struct mr_step *step, const struct mr_err *err, int64_t advised_ms)
{
    struct mr_engine *engine = step->job->engine;
    int64_t wait_ms;
    if (engine->aborted && given_up(err->class)) {
        step->state = MR_STEP_PENDING; /* for the worker the job is handed over to */
        return;
    }
    int nth = ++step->tries[err->class];
    bool budget = step->attempts < def_of(step)->max_attempts;
    if (!budget || !mr_retry_delay(err->class, nth, advised_ms, &engine->world.random, &wait_ms)) {
        bool degraded = def_of(step)->on_error == MR_ON_ERROR_DEGRADE && degrade(step);
        if (!degraded)
            give_up(step, err);
        return;
    }
    step->state = MR_STEP_BACKOFF;
    step->retry_at_ms = mr_engine_now(engine) + wait_ms;
}

static void start_extract(struct mr_step *step)
{
    struct mr_job *job = step->job;
    struct mr_engine *engine = job->engine;
    struct mr_extract_job what = {
        .envelope = &job->envelope,
        .timeout_ms = def_of(step)->timeout_ms,
    };
    step->state = MR_STEP_EXTRACTING;
    step->attempts++;
    engine->world.extractor.start(engine->world.extractor.ctx, step, &what);
}

/* The provider's log and ours name the call alike, so that support and reconciliation can match
 * them. */
static int add_request_id(struct mr_request *request, const struct mr_uuid *id)
{
    char text[MR_UUID_LEN];
    mr_uuid_format(id, text);
    size_t last = sizeof(request->headers) / sizeof(request->headers[0]) - 1;
    for (size_t i = 0; i < last; i++)
        if (!request->headers[i])
            return asprintf(&request->headers[i], "X-Client-Request-Id: %s", text) < 0 ? -ENOMEM
                                                                                       : 0;
    return -E2BIG;
}

/* Renders, encodes and prices the call. The intent goes into the next commit; the request leaves
 * after it. */
static int prepare_call(struct mr_step *step, struct mr_call *call, struct mr_err *err)
{
    struct mr_job *job = step->job;
    struct mr_engine *engine = job->engine;
    const struct mr_step_def *def = def_of(step);
    const struct mr_model *model = step->degraded ? &step->local : def->model;
    json_t *outputs[MR_STEPS_MAX];
    for (size_t i = 0; i < job->pipeline->nsteps; i++)
        outputs[i] = job->steps[i].output;

    struct mr_step_input input = {job->pipeline, def, &job->envelope, outputs};
    struct mr_chat *chat;
    int r = mr_chat_render(&input, &chat, err);
    if (r < 0)
        return r;
    chat->model = model;
    const struct mr_codec *codec = mr_codec_of(model->provider->kind);
    r = codec->encode(model->provider, chat, def->timeout_ms, &call->request, err);
    if (r < 0)
        return r;

    struct mr_call_row *row = &call->row;
    row->id = mr_uuid7(&engine->world.clock, &engine->world.random);
    r = add_request_id(&call->request, &row->id);
    if (r < 0)
        return mr_err_set(err, r, MR_CLASS_INTERNAL, "no room for the request id header");
    row->step = def->name;
    row->attempt = step->attempts + 1;
    copy(row->provider, sizeof(row->provider), model->provider->name);
    copy(row->alias, sizeof(row->alias), model->alias);
    copy(row->model, sizeof(row->model), model->model);
    row->timeout_ms = def->timeout_ms;
    call->priced_ms = mr_engine_wall(engine);
    int64_t bytes = mr_chat_prompt_bytes(&call->request);
    const struct mr_price *price = mr_price_find(
        engine->prices, row->provider, row->model, call->priced_ms, bytes, &row->price_unknown);
    row->price_id = price->id;
    r = mr_money_hold(engine->prices, row->provider, row->model, call->priced_ms, bytes,
        def->max_tokens, &row->hold_pico);
    if (r < 0)
        return mr_err_set(
            err, r, MR_CLASS_INVALID, "the upper bound of this call's price is out of range");
    return 0;
}

static void start_chat(struct mr_step *step)
{
    struct mr_job *job = step->job;
    struct mr_err err = {0};
    struct mr_call *call = calloc(1, sizeof(*call));
    if (!call) {
        mr_err_set(&err, 0, MR_CLASS_INTERNAL, "out of memory");
        give_up(step, &err);
        return;
    }
    call->job = job;
    call->step = step->index;
    if (prepare_call(step, call, &err) < 0) {
        mr_request_deinit(&call->request);
        free(call);
        give_up(step, &err);
        return;
    }
    step->state = MR_STEP_BEGINNING;
    step->call = call;
    step->attempts++;
    call->next = job->calls;
    job->calls = call;
}

void mr_step_start(struct mr_job *job, unsigned index)
{
    struct mr_step *step = &job->steps[index];
    assert(step->state == MR_STEP_PENDING || step->state == MR_STEP_BACKOFF);
    if (step->started_ms == 0)
        step->started_ms = mr_engine_wall(job->engine);
    if (def_of(step)->kind == MR_STEP_EXTRACT)
        start_extract(step);
    else
        start_chat(step);
}

/* What the call cost: known, nothing, or at most its hold. */
static void price_call(struct mr_call *call, const struct mr_answer *answer)
{
    struct mr_engine *engine = call->job->engine;
    struct mr_call_row *row = &call->row;
    row->usage = answer->usage;
    if (answer->class == MR_CLASS_AMBIGUOUS) {
        row->state = MR_CALL_AMBIGUOUS;
        row->cost_pico = row->hold_pico;
        return;
    }
    if (!answer->billed) {
        row->state = MR_CALL_RELEASED;
        return;
    }
    const struct mr_usage *usage = &answer->usage;
    int64_t prompt = usage->input + usage->cached + usage->cache_write + usage->cache_write_1h;
    const struct mr_price *price = mr_price_find(
        engine->prices, row->provider, row->model, call->priced_ms, prompt, &row->price_unknown);
    row->state = MR_CALL_SETTLED;
    row->price_id = price->id;
    if (mr_money_cost(usage, price, &row->cost_pico) < 0) {
        /* Usage no provider can mean: the money is unknown, so it counts at its hold. */
        row->state = MR_CALL_AMBIGUOUS;
        row->cost_pico = row->hold_pico;
        row->usage = (struct mr_usage){0};
    }
}

static void record(
    struct mr_call *call, const struct mr_answer *answer, const struct mr_reply *reply)
{
    struct mr_call_row *row = &call->row;
    row->class = answer->class;
    row->http_status = reply->status;
    row->latency_ms = reply->latency_ms;
    copy(row->message, sizeof(row->message), answer->message);
    copy(row->request_id, sizeof(row->request_id), reply->request_id);
    copy(row->served_model, sizeof(row->served_model), answer->served_model);
    copy(row->finish_reason, sizeof(row->finish_reason), answer->finish_reason);
    price_call(call, answer);
    if (__builtin_add_overflow(call->job->spent_pico, row->cost_pico, &call->job->spent_pico))
        call->job->spent_pico = INT64_MAX;
    call->sent = false;
    call->answered = true;
    call->job->engine->calls_open--;
    call->job->engine->calls++;
}

void mr_step_replied(struct mr_call *call, struct mr_reply *reply)
{
    struct mr_job *job = call->job;
    struct mr_step *step = mr_job_step_of(job, call);
    struct mr_answer answer = {0};
    assert(step->state == MR_STEP_CALLING);
    mr_codec_of(call->request.provider->kind)->decode(&call->request, reply, &answer);
    json_t *output = NULL;
    struct mr_err err = {.class = answer.class};
    copy(err.msg, sizeof(err.msg), answer.message);
    if (answer.class == MR_CLASS_NONE) {
        int r = mr_chat_output(def_of(step), &answer, &output, &err);
        if (r != 0) {
            answer.class = err.class = r > 0 ? MR_CLASS_BAD_OUTPUT : MR_CLASS_INTERNAL;
            copy(answer.message, sizeof(answer.message), err.msg);
        }
    }
    record(call, &answer, reply);
    step->call = NULL;
    if (output)
        end_step(step, MR_STEP_DONE, output);
    else
        retry_or_give_up(step, &err, answer.retry_after_ms);
    mr_answer_deinit(&answer);
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
        end_step(step, MR_STEP_DONE, result->output);
    } else {
        retry_or_give_up(step, &result->err, advised_ms);
    }
    result->output = NULL;
}
