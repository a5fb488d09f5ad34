/* A call's share of the fleet's limits: asked for before its intent is written, given back when it
 * has ended. */
#include "worker/engine/job.h"

/* Among the bytes of a prompt a token has about four. */
#define MR_TOKEN_BYTES 4

static int64_t tokens_of(const struct mr_step *step, const struct mr_call *call)
{
    return mr_chat_prompt_bytes(&call->request) / MR_TOKEN_BYTES + mr_step_def_of(step)->max_tokens;
}

void mr_throttle_forget(struct mr_step *step)
{
    struct mr_engine *engine = step->job->engine;
    mr_limits_leave(engine->limits, &step->ticket, NULL, mr_engine_now(engine));
}

bool mr_throttle_ask(struct mr_step *step, struct mr_call *call)
{
    struct mr_engine *engine = step->job->engine;
    if (!engine->world.store.lease || call->request.endpoint->provider->kind == MR_PROVIDER_LOCAL) {
        mr_throttle_forget(step);
        return true;
    }
    const struct mr_limits_ask ask = {
        .config = engine->config,
        .provider = call->row.provider,
        .endpoint = call->row.endpoint,
        .model = call->row.model,
        .tenant = step->job->envelope.tenant,
        .tokens = tokens_of(step, call),
        .owner = step,
    };
    int64_t wait_ms = MR_LIMITS_WAIT_MAX_MS;
    const char *scope = "";
    struct mr_err err;
    switch (mr_limits_ask(
        engine->limits, &step->ticket, &ask, mr_engine_now(engine), &wait_ms, &scope)) {
    case MR_LIMITS_GO:
        call->ticket = step->ticket;
        step->ticket = (struct mr_ticket){0};
        return true;
    case MR_LIMITS_WAIT:
        mr_err_set(&err, 0, MR_CLASS_LIMITED, "waits in line for its share of the fleet's limits");
        mr_step_wait(step, MR_LIMITS_WAIT_MAX_MS, &err); /* it is called before, if all goes well */
        return false;
    case MR_LIMITS_LATER:
        mr_err_set(&err, 0, MR_CLASS_LIMITED, "limit of %s: its turn comes in about %lld s", scope,
            (long long)(wait_ms / 1000));
        mr_step_wait(step, wait_ms, &err);
        return false;
    }
    return true;
}

static struct mr_limits_seen seen_in(const struct mr_rate_headers *headers)
{
    return (struct mr_limits_seen){headers->limit, headers->remaining, headers->reset_ms};
}

/* What counts against tokens a minute; unknown when nobody says. */
static int64_t used_of(const struct mr_call *call, const struct mr_answer *answer)
{
    const struct mr_usage *usage = &answer->usage;
    int64_t tokens =
        usage->input + usage->cached + usage->cache_write + usage->cache_write_1h + usage->output;
    if (tokens == 0 && call->row.state != MR_CALL_RELEASED)
        return MR_LEASE_NONE;
    return tokens;
}

void mr_throttle_leave(
    struct mr_call *call, const struct mr_answer *answer, const struct mr_reply *reply)
{
    struct mr_engine *engine = call->job->engine;
    int64_t now = mr_engine_now(engine);
    if (!reply) {
        mr_limits_leave(engine->limits, &call->ticket, NULL, now);
        return;
    }
    const struct mr_limits_end end = {
        .tokens = used_of(call, answer),
        .success = reply->transport == MR_TRANSPORT_OK && reply->status / 100 == 2,
        .throttled = answer->class == MR_CLASS_RATE_LIMITED,
        .retry_after_ms = answer->retry_after_ms,
        .latency_ms = reply->latency_ms,
        .requests = seen_in(&reply->requests),
        .by_tokens = seen_in(&reply->tokens),
    };
    mr_limits_leave(engine->limits, &call->ticket, &end, now);
}

/* It has come to the front of its line, and what it needs is set aside. */
static void rouse(struct mr_engine *engine, struct mr_step *step)
{
    struct mr_job *job = step->job;
    if (job->state != MR_JOB_RUNNING || step->state != MR_STEP_BACKOFF) {
        mr_throttle_forget(step);
        return;
    }
    step->retry_at_ms = mr_engine_now(engine);
    mr_job_advance(job); /* unless a commit is out: then it goes on after it */
}

void mr_throttle_run(struct mr_engine *engine)
{
    int64_t now = mr_engine_now(engine);
    for (struct mr_ticket *ticket; (ticket = mr_limits_next(engine->limits, now));)
        rouse(engine, ticket->owner);
    struct mr_lease *lease = mr_limits_lease(engine->limits, now);
    if (lease)
        engine->world.store.lease(engine->world.store.ctx, lease);
}
