/* One paid call: made ready, sent, priced and recorded. */
#include "common/expr.h"
#include "common/json.h"
#include "worker/engine/job.h"
#include "worker/steps/steps.h"

#include <assert.h>
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mr_call *mr_call_free(struct mr_call *call)
{
    if (!call)
        return NULL;
    mr_request_deinit(&call->request);
    mr_hit_free(call->row.hit);
    free(call->text);
    free(call);
    return NULL;
}

void mr_call_drop(struct mr_call *call)
{
    struct mr_call **at = &call->job->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    mr_guard_leave(call, NULL, NULL);
    mr_throttle_leave(call, NULL, NULL);
    mr_call_free(call);
}

void mr_call_take_back(struct mr_call *call)
{
    struct mr_step *step = mr_job_step_of(call->job, call);
    mr_call_drop(call);
    step->call = NULL;
    step->state = MR_STEP_PENDING;
    step->attempts--;
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

/* Equal calls have equal keys: the same provider and model are asked the same, byte for byte. Of
 * each part its hash is taken, so that none can run into the next. */
static void set_cache_key(struct mr_call *call, const struct mr_step *step)
{
    struct mr_call_row *row = &call->row;
    const struct mr_buf *body = &call->request.body;
    unsigned char parts[3][SHA256_DIGEST_LENGTH];
    row->cache_ttl_ms = mr_step_def_of(step)->cache_ttl_ms;
    if (step->uncached || body->len == 0) /* local has no body: asking again costs nothing */
        row->cache_ttl_ms = 0;
    if (row->cache_ttl_ms == 0)
        return;
    SHA256((const unsigned char *)row->provider, strlen(row->provider), parts[0]);
    SHA256((const unsigned char *)row->model, strlen(row->model), parts[1]);
    SHA256((const unsigned char *)body->data, body->len, parts[2]);
    SHA256(parts[0], sizeof(parts), row->cache_key);
}

/* Its price before anybody knows what it will use: an upper bound. */
static int hold(struct mr_call *call, int max_tokens, struct mr_err *err)
{
    struct mr_engine *engine = call->job->engine;
    struct mr_call_row *row = &call->row;
    call->priced_ms = mr_engine_wall(engine);
    int64_t tokens = mr_chat_hold_tokens(&call->request);
    const struct mr_price *price = mr_price_find(
        engine->prices, row->provider, row->model, call->priced_ms, tokens, &row->price_unknown);
    row->price_id = price->id;
    int r = mr_money_hold(engine->prices, row->provider, row->model, call->priced_ms, tokens,
        max_tokens, &row->hold_pico);
    if (r < 0)
        return mr_err_set(
            err, r, MR_CLASS_INVALID, "the upper bound of this call's price is out of range");
    return 0;
}

static int render(struct mr_step *step, struct mr_chat **ret, struct mr_err *err)
{
    struct mr_job *job = step->job;
    json_t *outputs[MR_STEPS_MAX];
    for (size_t i = 0; i < job->pipeline->nsteps; i++)
        outputs[i] = job->steps[i].output;
    struct mr_step_input input = {job->pipeline, mr_step_def_of(step), &job->envelope, outputs};
    return mr_chat_render(&input, ret, err);
}

/* The first model of the chain: the rules look at the prompt before it is dressed for anybody. */
static void choose_model(struct mr_step *step, const struct mr_chat *chat)
{
    const struct mr_step_def *def = mr_step_def_of(step);
    const struct mr_envelope *envelope = &step->job->envelope;
    if (step->route.head || def->model->nrules == 0)
        return;
    struct mr_expr_vars vars = {
        .max_tokens = def->max_tokens,
        .priority = envelope->priority,
        .tenant = envelope->tenant,
        .pipeline = envelope->pipeline,
        .step = def->name,
        .lane = mr_lane_name(mr_lane_of_priority(envelope->priority)),
        .input_name = envelope->input_name,
        .input_type = envelope->input_media_type,
        .metadata = envelope->metadata,
    };
    for (size_t i = 0; i < chat->nmessages; i++)
        vars.prompt_bytes += (int64_t)chat->messages[i].len;
    step->route.head = mr_model_choose(def->model, &vars, &step->route.rule);
}

/* 0; MR_CALL_STRANDED: there is nobody to ask; or negative. */
#define MR_CALL_STRANDED 1
static int prepare(struct mr_step *step, struct mr_call *call, struct mr_err *err)
{
    struct mr_engine *engine = step->job->engine;
    const struct mr_step_def *def = mr_step_def_of(step);
    struct mr_chat *chat;
    int r = render(step, &chat, err);
    if (r < 0)
        return r;
    choose_model(step, chat);
    const struct mr_endpoint *endpoint = mr_route_find(step);
    if (!endpoint) {
        mr_chat_free(chat);
        return MR_CALL_STRANDED;
    }
    const struct mr_model *model = chat->model = mr_route_model(step);
    const struct mr_codec *codec = mr_codec_of(model->provider->kind);
    r = codec->encode(endpoint, chat, def->timeout_ms, &call->request, err);
    if (r < 0)
        return r;

    struct mr_call_row *row = &call->row;
    row->id = mr_uuid7(&engine->world.clock, &engine->world.random);
    r = add_request_id(&call->request, &row->id);
    if (r < 0)
        return mr_err_set(err, r, MR_CLASS_INTERNAL, "no room for the request id header");
    row->step = def->name;
    row->attempt = step->attempts + 1;
    mr_utf8_copy(row->provider, sizeof(row->provider), model->provider->name);
    mr_utf8_copy(row->endpoint, sizeof(row->endpoint), endpoint->name);
    mr_utf8_copy(row->alias, sizeof(row->alias), def->model->alias);
    mr_utf8_copy(row->model, sizeof(row->model), model->model);
    mr_route_why(step, row->route);
    row->timeout_ms = def->timeout_ms;
    set_cache_key(call, step);
    return hold(call, def->max_tokens, err);
}

/* A worker may have died before it could give up. */
static bool budget_used(const struct mr_step *step, struct mr_err *err)
{
    const struct mr_step_def *def = mr_step_def_of(step);
    if (step->degraded || step->paid < def->max_attempts)
        return false;
    mr_err_set(err, 0, MR_CLASS_AMBIGUOUS,
        "%d calls that may have been paid for brought no result: that is its max_attempts",
        step->paid);
    return true;
}

/* 0, MR_CALL_STRANDED or negative, with *ret only on success. */
static int make(struct mr_step *step, struct mr_call **ret, struct mr_err *err)
{
    if (budget_used(step, err))
        return -EDQUOT;
    struct mr_call *call = calloc(1, sizeof(*call));
    if (!call)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    call->job = step->job;
    call->step = step->index;
    int r = prepare(step, call, err);
    if (r == 0)
        *ret = call;
    else
        mr_call_free(call);
    return r;
}

void mr_call_start(struct mr_step *step)
{
    struct mr_job *job = step->job;
    struct mr_err err = {0};
    struct mr_call *call = NULL;
    int r = make(step, &call, &err);
    if (r != 0) {
        mr_throttle_forget(step);
        if (r == MR_CALL_STRANDED)
            mr_step_stranded(step);
        else
            mr_step_last_resort(step, &err);
        if (step->state == MR_STEP_PENDING) /* degraded */
            mr_call_start(step);
        return;
    }
    if (!mr_throttle_ask(step, call)) {
        mr_call_free(call);
        return;
    }
    mr_guard_enter(call);
    step->state = MR_STEP_BEGINNING;
    step->call = call;
    step->attempts++;
    call->next = job->calls;
    job->calls = call;
}

/* The intent is durable: now, and only now, the request may leave. */
void mr_call_send(struct mr_call *call)
{
    struct mr_job *job = call->job;
    struct mr_engine *engine = job->engine;
    struct mr_step *step = mr_job_step_of(job, call);
    if (mr_job_stopping(job)) {
        mr_guard_leave(call, NULL, NULL);
        mr_throttle_leave(call, NULL, NULL);
        call->row.state = MR_CALL_RELEASED;
        call->answered = true;
        step->call = NULL;
        step->state = MR_STEP_PENDING;
        step->attempts--;
        return;
    }
    step->state = MR_STEP_CALLING;
    if (step->since_ms == 0)
        step->since_ms = mr_engine_wall(engine);
    call->sent = true;
    engine->calls_open++;
    if (job->line)
        job->line->calls++;
    engine->world.caller.start(engine->world.caller.ctx, call, &call->request);
}

/* What the call cost: known, nothing, or at most its hold. */
static void price_call(struct mr_call *call, const struct mr_answer *answer)
{
    struct mr_engine *engine = call->job->engine;
    struct mr_call_row *row = &call->row;
    row->usage = answer->usage;
    if (answer->class == MR_CLASS_AMBIGUOUS || answer->unsure) {
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

/* A good answer is kept for equal calls. */
static void share(struct mr_call *call, struct mr_answer *answer)
{
    struct mr_call_row *row = &call->row;
    if (row->cache_ttl_ms == 0 || answer->class != MR_CLASS_NONE || row->state != MR_CALL_SETTLED)
        return;
    call->text = answer->text;
    answer->text = NULL;
    row->cache_text = call->text;
    row->cache_len = answer->len;
}

static void record(
    struct mr_call *call, const struct mr_answer *answer, const struct mr_reply *reply)
{
    struct mr_call_row *row = &call->row;
    row->class = answer->class;
    row->http_status = reply->status;
    row->latency_ms = reply->latency_ms;
    mr_utf8_copy(row->message, sizeof(row->message), answer->message);
    mr_utf8_copy(row->request_id, sizeof(row->request_id), reply->request_id);
    mr_utf8_copy(row->served_model, sizeof(row->served_model), answer->served_model);
    mr_utf8_copy(row->finish_reason, sizeof(row->finish_reason), answer->finish_reason);
    price_call(call, answer);
    if (__builtin_add_overflow(call->job->spent_pico, row->cost_pico, &call->job->spent_pico))
        call->job->spent_pico = INT64_MAX;
    call->sent = false;
    call->answered = true;
    call->job->engine->calls_open--;
    if (call->job->line)
        call->job->line->calls--;
    call->job->engine->calls++;
    mr_observe(&call->job->engine->world.observe,
        &(struct mr_observation){
            .what = MR_OBSERVED_CALL, .job = &call->job->envelope, .call = row});
}

void mr_call_replied(struct mr_call *call, struct mr_reply *reply)
{
    struct mr_step *step = mr_job_step_of(call->job, call);
    struct mr_answer answer = {0};
    assert(step->state == MR_STEP_CALLING);
    mr_codec_of(call->request.endpoint->provider->kind)->decode(&call->request, reply, &answer);
    struct mr_err err = {.class = answer.class};
    mr_utf8_copy(err.msg, sizeof(err.msg), answer.message);
    if (answer.class == MR_CLASS_NONE && mr_step_take(step, &answer, &err) != 0) {
        answer.class = err.class;
        mr_utf8_copy(answer.message, sizeof(answer.message), err.msg);
    }
    record(call, &answer, reply);
    share(call, &answer);
    mr_guard_leave(call, &answer, reply);
    mr_throttle_leave(call, &answer, reply);
    step->paid += call->row.state != MR_CALL_RELEASED;
    step->call = NULL;
    if (answer.class != MR_CLASS_NONE)
        mr_step_failed(step, &err, answer.retry_after_ms, answer.leave);
    mr_answer_deinit(&answer);
}
