/* The breakers of all endpoints this worker has called, and who is told of them. They belong to the
 * engine and are known by name, so that they outlive a reload of the configuration. */
#include "common/json.h"
#include "worker/engine/job.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct mr_breaker *mr_guard_of(struct mr_engine *engine, const struct mr_endpoint *endpoint)
{
    const char *provider = endpoint->provider->name;
    if (endpoint->provider->kind == MR_PROVIDER_LOCAL)
        return NULL;
    struct mr_breaker *breaker = engine->breakers;
    while (breaker && (strcmp(breaker->endpoint, endpoint->name) != 0 ||
                          strcmp(breaker->provider, provider) != 0))
        breaker = breaker->next;
    if (breaker || !(breaker = calloc(1, sizeof(*breaker))))
        return breaker;
    mr_utf8_copy(breaker->provider, sizeof(breaker->provider), provider);
    mr_utf8_copy(breaker->endpoint, sizeof(breaker->endpoint), endpoint->name);
    breaker->next = engine->breakers;
    engine->breakers = breaker;
    return breaker;
}

bool mr_guard_allows(struct mr_engine *engine, const struct mr_endpoint *endpoint)
{
    const struct mr_breaker *breaker = mr_guard_of(engine, endpoint);
    return !breaker || mr_breaker_allows(breaker, &engine->config->breaker, mr_engine_now(engine));
}

/* Those that wait for another try at an endpoint which has closed its door go elsewhere at once, if
 * there is an elsewhere. */
static void rouse(struct mr_engine *engine, const struct mr_breaker *breaker)
{
    int64_t now = mr_engine_now(engine);
    for (struct mr_job *job = engine->jobs; job; job = job->next) {
        bool roused = false;
        for (size_t i = 0; job->state == MR_JOB_RUNNING && i < job->nsteps; i++) {
            struct mr_step *step = &job->steps[i];
            if (step->state != MR_STEP_BACKOFF || !step->route.endpoint ||
                mr_guard_of(engine, step->route.endpoint) != breaker ||
                !mr_route_other(step, false))
                continue;
            step->retry_at_ms = now;
            roused = true;
        }
        if (roused && !job->committing)
            mr_wake_set(job, now);
    }
}

static void tell(struct mr_engine *engine, const struct mr_breaker *breaker)
{
    static const char *const events[] = {"breaker.closed", "breaker.open", "breaker.half_open"};
    struct mr_store_ops *store = &engine->world.store;
    int64_t left_ms = breaker->until_ms - mr_engine_now(engine);
    bool open = breaker->state == MR_BREAKER_OPEN;
    bool critical = breaker->why.class == MR_CLASS_AUTH || breaker->why.class == MR_CLASS_QUOTA;
    struct mr_breaker_note note = {.state = breaker->state};
    memcpy(note.provider, breaker->provider, sizeof(note.provider));
    memcpy(note.endpoint, breaker->endpoint, sizeof(note.endpoint));
    if (open) {
        note.until_ms = mr_engine_wall(engine) + left_ms;
        note.why = breaker->why;
    }
    if (store->note_breaker)
        store->note_breaker(store->ctx, &note);
    mr_log(engine->world.log,
        !open      ? MR_INFO
        : critical ? MR_ERROR
                   : MR_WARN,
        events[breaker->state], MR_STR("provider", breaker->provider),
        MR_STR("endpoint", breaker->endpoint),
        MR_STR("class", open ? mr_class_name(breaker->why.class) : NULL),
        MR_STR("why", open ? breaker->why.msg : NULL),
        MR_STR("severity", open && critical ? "critical" : NULL));
    if (open)
        rouse(engine, breaker);
}

void mr_guard_enter(struct mr_call *call)
{
    struct mr_engine *engine = call->job->engine;
    call->breaker = mr_guard_of(engine, call->request.endpoint);
    if (call->breaker && mr_breaker_enter(call->breaker, mr_engine_now(engine), &call->period))
        tell(engine, call->breaker);
}

static enum mr_verdict_of_call judge(
    const struct mr_answer *answer, const struct mr_reply *reply, bool aborted)
{
    switch (answer->class) {
    case MR_CLASS_AUTH:
    case MR_CLASS_QUOTA:
        return MR_CALL_BARRED;
    case MR_CLASS_NETWORK:
    case MR_CLASS_AMBIGUOUS:
        return aborted || reply->transport == MR_TRANSPORT_ABORTED ? MR_CALL_NO_SIGN : MR_CALL_BAD;
    case MR_CLASS_OVERLOADED:
    case MR_CLASS_SERVER:
        return MR_CALL_BAD;
    case MR_CLASS_NONE:
    case MR_CLASS_INVALID:
    case MR_CLASS_BAD_OUTPUT:
    case MR_CLASS_REFUSED:
        return MR_CALL_GOOD;
    default: /* throttled, or our own doing */
        return MR_CALL_NO_SIGN;
    }
}

void mr_guard_leave(
    struct mr_call *call, const struct mr_answer *answer, const struct mr_reply *reply)
{
    struct mr_engine *engine = call->job->engine;
    struct mr_breaker *breaker = call->breaker;
    struct mr_err why = {0};
    enum mr_verdict_of_call verdict = MR_CALL_NO_SIGN;
    if (!breaker)
        return;
    call->breaker = NULL;
    if (reply) {
        verdict = judge(answer, reply, engine->aborted);
        mr_err_set(&why, 0, answer->class, "%s", answer->message);
    }
    if (mr_breaker_leave(
            breaker, &engine->config->breaker, call->period, verdict, &why, mr_engine_now(engine)))
        tell(engine, breaker);
}

/* ---- health ---- */

/* The endpoint of the present configuration; NULL when it has gone, or has no health path. */
static const struct mr_endpoint *with_health(
    const struct mr_engine *engine, const struct mr_breaker *breaker)
{
    for (size_t i = 0; i < engine->config->nproviders; i++) {
        const struct mr_provider *provider = &engine->config->providers[i];
        for (size_t k = 0; k < provider->nendpoints; k++)
            if (strcmp(provider->name, breaker->provider) == 0 &&
                strcmp(provider->endpoints[k].name, breaker->endpoint) == 0)
                return provider->endpoints[k].health ? &provider->endpoints[k] : NULL;
    }
    return NULL;
}

int64_t mr_guard_next_tick(const struct mr_engine *engine)
{
    int64_t next = INT64_MAX;
    for (const struct mr_breaker *b = engine->breakers; b && !engine->draining; b = b->next)
        if (mr_breaker_ask_ms(b) < next && with_health(engine, b))
            next = mr_breaker_ask_ms(b);
    return next;
}

void mr_guard_tick(struct mr_engine *engine)
{
    struct mr_caller_ops *caller = &engine->world.caller;
    int64_t now = mr_engine_now(engine);
    for (struct mr_breaker *b = engine->breakers; b && !engine->draining; b = b->next) {
        const struct mr_endpoint *endpoint =
            mr_breaker_ask_ms(b) <= now ? with_health(engine, b) : NULL;
        if (!endpoint)
            continue;
        b->asking = true;
        caller->probe(caller->ctx, b, endpoint);
    }
}

void mr_guard_asked(struct mr_engine *engine, struct mr_breaker *breaker, bool well)
{
    if (mr_breaker_asked(breaker, well, mr_engine_now(engine)))
        tell(engine, breaker);
}

void mr_guard_free(struct mr_engine *engine)
{
    for (struct mr_breaker *b = engine->breakers, *next; b; b = next) {
        next = b->next;
        free(b);
    }
}
