/* What happened, told to the job it concerns. */
#include "worker/engine/engine.h"
#include "worker/engine/job.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mr_engine_new(const struct mr_world *world, struct mr_config *config, struct mr_prices *prices,
    struct mr_engine **ret, struct mr_err *err)
{
    struct mr_engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    engine->limits = mr_limits_new();
    if (!engine->limits) {
        free(engine);
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    }
    engine->world = *world;
    engine->config = mr_config_ref(config);
    engine->prices = prices;
    *ret = engine;
    return 0;
}

struct mr_engine *mr_engine_free(struct mr_engine *engine)
{
    if (!engine)
        return NULL;
    for (struct mr_job *job = engine->jobs, *next; job; job = next) {
        next = job->next;
        mr_job_free(job);
    }
    for (struct mr_delivery *d; (d = mr_lanes_take_older(&engine->lanes, INT64_MAX));)
        mr_delivery_free(d);
    mr_lanes_deinit(&engine->lanes);
    mr_guard_free(engine);
    mr_limits_free(engine->limits);
    mr_config_unref(engine->config);
    free(engine->wakes);
    free(engine);
    return NULL;
}

void mr_engine_reload(struct mr_engine *engine, struct mr_config *config, struct mr_prices *prices)
{
    struct mr_config *old = engine->config;
    engine->config = mr_config_ref(config);
    engine->prices = prices;
    mr_config_unref(old);
    mr_limits_reload(engine->limits);
    mr_engine_schedule(engine);
}

/* ---- the table of jobs by id ---- */

static struct mr_job **bucket_of(struct mr_engine *engine, const struct mr_uuid *id)
{
    uint32_t hash; /* the tail of a version 7 id is random */
    memcpy(&hash, id->bytes + 12, sizeof(hash));
    return &engine->table[hash & (MR_ENGINE_BUCKETS - 1)];
}

struct mr_job *mr_engine_find(struct mr_engine *engine, const struct mr_uuid *id)
{
    struct mr_job *job = *bucket_of(engine, id);
    while (job && !mr_uuid_equal(&job->envelope.id, id))
        job = job->bucket_next;
    return job;
}

void mr_engine_forget(struct mr_engine *engine, struct mr_job *job)
{
    for (struct mr_job **at = bucket_of(engine, &job->envelope.id); *at; at = &(*at)->bucket_next)
        if (*at == job) {
            *at = job->bucket_next;
            return;
        }
}

static void remember(struct mr_engine *engine, struct mr_job *job)
{
    struct mr_job **bucket = bucket_of(engine, &job->envelope.id);
    job->bucket_next = *bucket;
    *bucket = job;
}

/* ---- deliveries ---- */

static void reject(struct mr_engine *engine, struct mr_delivery *delivery,
    const struct mr_envelope_salvage *salvage, const struct mr_err *why)
{
    struct mr_job *job = mr_job_new(engine, delivery);
    if (!job)
        return;
    job->envelope.id = salvage->id;
    memcpy(job->envelope.tenant, salvage->tenant, sizeof(salvage->tenant));
    memcpy(job->envelope.pipeline, salvage->pipeline, sizeof(salvage->pipeline));
    job->salvage = *salvage;
    mr_job_reject(job, why);
}

/* Another message of a job that is in our hands. If the job's own message is void and the job has
 * not begun to leave us, this is the broker handing the same message back: the job adopts its tag.
 * Otherwise it waits until the job has left: it may be the very copy that the job is being handed
 * over with, so it must never be acked for the one we hold. */
static void adopt(struct mr_job *job, struct mr_delivery *delivery)
{
    if (job->void_tag && (job->state == MR_JOB_CLAIMING || job->state == MR_JOB_RUNNING) &&
        delivery->replay <= job->delivery->replay) {
        job->void_tag = false;
        job->delivery->session = delivery->session;
        job->delivery->tag = delivery->tag;
        job->delivery->arrived_ms = delivery->arrived_ms;
        job->lease_until_ms = delivery->arrived_ms + job->config->worker.lease_max_ms;
        mr_delivery_free(delivery);
        return;
    }
    mr_job_park(job, delivery);
}

static void start(struct mr_engine *engine, struct mr_delivery *delivery)
{
    struct mr_envelope envelope = {0};
    struct mr_envelope_salvage salvage = {0};
    struct mr_err err = {0};
    if (mr_envelope_parse(delivery->body, delivery->len, &envelope, &salvage, &err) < 0) {
        reject(engine, delivery, &salvage, &err);
        return;
    }
    struct mr_job *job = mr_engine_find(engine, &envelope.id);
    if (job) {
        mr_envelope_deinit(&envelope);
        adopt(job, delivery);
        return;
    }
    job = mr_job_new(engine, delivery);
    if (!job) {
        mr_envelope_deinit(&envelope);
        return; /* out of memory: unacked, so the broker hands it out again when our session ends */
    }
    job->envelope = envelope;
    remember(engine, job);
    const struct mr_pipeline *pipeline = mr_config_pipeline(job->config, envelope.pipeline, 0);
    job->claim = (struct mr_claim){
        .owner = job,
        .envelope = &job->envelope,
        .pipeline_version = pipeline ? pipeline->version : 0,
        .replay = delivery->replay,
    };
    engine->world.store.claim(engine->world.store.ctx, &job->claim);
}

void mr_engine_schedule(struct mr_engine *engine)
{
    const struct mr_config_worker *worker = &engine->config->worker;
    struct mr_delivery *delivery;
    while (!engine->draining && engine->running < (size_t)worker->slots &&
           (delivery = mr_lanes_pop(&engine->lanes, worker->slots, worker->reserved_percent)))
        start(engine, delivery);
}

void mr_engine_delivered(struct mr_engine *engine, struct mr_delivery *delivery)
{
    delivery->arrived_ms = mr_engine_now(engine);
    mr_engine_readmit(engine, delivery);
}

void mr_engine_readmit(struct mr_engine *engine, struct mr_delivery *delivery)
{
    if (engine->draining) {
        engine->world.broker.requeue(engine->world.broker.ctx, delivery->session, delivery->tag);
        mr_delivery_free(delivery);
        return;
    }
    /* Without memory it stays unacked: the broker hands it out again when our session ends. */
    if (mr_lanes_push(&engine->lanes, delivery) < 0)
        mr_delivery_free(delivery);
    mr_engine_schedule(engine);
}

static void drop_parked(struct mr_job *job, uint64_t session)
{
    for (struct mr_delivery **at = &job->parked; *at;) {
        struct mr_delivery *delivery = *at;
        if (delivery->session == session) {
            *at = delivery->next;
            mr_delivery_free(delivery);
        } else {
            at = &delivery->next;
        }
    }
}

void mr_engine_session_lost(struct mr_engine *engine, uint64_t session)
{
    mr_lanes_drop_session(&engine->lanes, session);
    for (struct mr_job *job = engine->jobs; job; job = job->next) {
        drop_parked(job, session);
        if (job->delivery->session == session)
            job->void_tag = true;
    }
}

/* ---- answers ---- */

void mr_engine_claimed(struct mr_engine *engine, struct mr_claim *claim)
{
    mr_job_claimed(claim->owner);
}

void mr_engine_committed(struct mr_engine *engine, struct mr_commit *commit)
{
    mr_job_committed(commit->owner);
    mr_throttle_run(engine); /* what was not admitted has given its share back */
}

void mr_engine_rejected(struct mr_engine *engine, void *owner)
{
    struct mr_job *job = owner;
    engine->dead++;
    mr_observe(&engine->world.observe, &(struct mr_observation){.what = MR_OBSERVED_REJECT});
    mr_job_publish(job, MR_PUBLISH_DEAD, 0, job->config->worker.pool);
}

void mr_engine_replied(struct mr_engine *engine, void *token, struct mr_reply *reply)
{
    struct mr_call *call = token;
    struct mr_job *job = call->job;
    mr_call_replied(call, reply);
    mr_reply_deinit(reply);
    mr_job_advance(job);
    mr_throttle_run(engine);
}

void mr_engine_leased(struct mr_engine *engine, struct mr_lease *lease)
{
    mr_limits_leased(engine->limits, mr_engine_now(engine), &engine->world.random);
    mr_throttle_run(engine);
}

void mr_engine_probed(struct mr_engine *engine, void *token, bool ok)
{
    mr_guard_asked(engine, token, ok);
}

void mr_engine_extracted(struct mr_engine *engine, void *token, struct mr_extract_result *result)
{
    struct mr_step *step = token;
    mr_step_extracted(step, result);
    mr_job_advance(step->job);
}

void mr_engine_published(
    struct mr_engine *engine, struct mr_publish *publish, bool confirmed, const char *why)
{
    mr_job_published(publish->owner, confirmed, why);
}

/* ---- time and drain ---- */

int64_t mr_engine_next_tick(const struct mr_engine *engine)
{
    int64_t next = engine->nwakes > 0 ? engine->wakes[0]->wake_ms : INT64_MAX;
    int64_t ask_ms = mr_guard_next_tick(engine);
    next = ask_ms < next ? ask_ms : next;
    int64_t lease_ms = mr_limits_due_ms(engine->limits);
    next = lease_ms < next ? lease_ms : next;
    if (engine->draining && !engine->aborted && engine->grace_until_ms < next)
        next = engine->grace_until_ms;
    for (int lane = 0; lane < MR_LANE_COUNT; lane++) {
        const struct mr_delivery *head = engine->lanes.lanes[lane].head;
        if (head && head->arrived_ms + engine->config->worker.lease_max_ms < next)
            next = head->arrived_ms + engine->config->worker.lease_max_ms;
    }
    return next;
}

static void requeue_older(struct mr_engine *engine, int64_t arrived_before_ms)
{
    struct mr_broker_ops *broker = &engine->world.broker;
    struct mr_delivery *delivery;
    while ((delivery = mr_lanes_take_older(&engine->lanes, arrived_before_ms))) {
        broker->requeue(broker->ctx, delivery->session, delivery->tag);
        mr_delivery_free(delivery);
    }
}

static void abort_running(struct mr_engine *engine)
{
    engine->aborted = true;
    for (struct mr_job *job = engine->jobs; job; job = job->next) {
        for (struct mr_call *call = job->calls; call; call = call->next)
            if (call->sent)
                engine->world.caller.abort(engine->world.caller.ctx, call);
        for (size_t i = 0; i < job->nsteps; i++)
            if (job->steps[i].state == MR_STEP_EXTRACTING)
                engine->world.extractor.abort(engine->world.extractor.ctx, &job->steps[i]);
    }
}

void mr_engine_tick(struct mr_engine *engine)
{
    int64_t now = mr_engine_now(engine);
    for (struct mr_job *job; (job = mr_wake_due(engine, now));)
        mr_job_woken(job);
    mr_guard_tick(engine);
    mr_throttle_run(engine);
    if (engine->draining && !engine->aborted && now >= engine->grace_until_ms)
        abort_running(engine);
    requeue_older(engine, now - engine->config->worker.lease_max_ms + 1);
}

void mr_engine_drain(struct mr_engine *engine, int64_t grace_ms)
{
    engine->draining = true;
    engine->grace_until_ms = mr_engine_now(engine) + grace_ms;
    requeue_older(engine, INT64_MAX);
    for (struct mr_job *job = engine->jobs, *next; job; job = next) {
        next = job->next;
        mr_job_advance(job);
    }
}

bool mr_engine_idle(const struct mr_engine *engine)
{
    return engine->running == 0 && mr_lanes_count(&engine->lanes) == 0;
}

struct mr_engine_counts mr_engine_counts(const struct mr_engine *engine)
{
    struct mr_engine_counts counts = {
        .queued = mr_lanes_count(&engine->lanes),
        .running = engine->running,
        .calls_open = engine->calls_open,
        .done = engine->done,
        .dead = engine->dead,
        .steps = engine->steps,
        .calls = engine->calls,
    };
    for (int lane = 0; lane < MR_LANE_COUNT; lane++)
        counts.lanes[lane] = engine->lanes.lanes[lane].count;
    return counts;
}

enum mr_breaker_state mr_engine_breaker(
    const struct mr_engine *engine, const char *provider, const char *endpoint)
{
    const struct mr_breaker *breaker = engine->breakers;
    while (breaker &&
           (strcmp(breaker->endpoint, endpoint) != 0 || strcmp(breaker->provider, provider) != 0))
        breaker = breaker->next;
    if (!breaker)
        return MR_BREAKER_CLOSED;
    bool over = breaker->state == MR_BREAKER_OPEN && mr_engine_now(engine) >= breaker->until_ms;
    return over ? MR_BREAKER_HALF_OPEN : breaker->state;
}

void mr_engine_limits(const struct mr_engine *engine,
    void (*each)(void *ctx, const struct mr_limits_view *view), void *ctx)
{
    mr_limits_each(engine->limits, mr_engine_now(engine), each, ctx);
}
