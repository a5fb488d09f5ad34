/* The end of a lease: what the world is told once SQL knows, and the ack behind it. */
#include "common/shard.h"
#include "worker/engine/job.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MR_PUBLISH_RETRY_MS 5000  /* a queue is missing: an operator has to mend it */
#define MR_NO_POOL_DELAY_MS 30000 /* the other pool's queue is missing: ask again after this */

void mr_job_fail(struct mr_job *job, const char *step, enum mr_class class, const char *message)
{
    if (job->failed)
        return; /* the first failure is the reason */
    job->failed = true;
    snprintf(job->error_step, sizeof(job->error_step), "%s", step);
    mr_err_set(&job->error, 0, class, "%s", message);
}

static void send_publish(struct mr_job *job)
{
    struct mr_broker_ops *broker = &job->engine->world.broker;
    job->publishing = true;
    broker->publish(broker->ctx, job->publish);
}

static int attempts_of(const struct mr_job *job)
{
    int attempts = 0;
    for (size_t i = 0; i < job->nsteps; i++)
        attempts += job->steps[i].attempts;
    return attempts;
}

/* At home the shard it came from, which its producer chose by depth. Another pool's shards we know
 * nothing about: there the tenant's first will do. */
static int shard_in(const struct mr_job *job, const char *pool)
{
    return strcmp(pool, job->config->worker.pool) == 0
               ? job->delivery->shard
               : mr_shard_first(job->envelope.tenant, job->config->broker.lane_shards);
}

void mr_job_publish(
    struct mr_job *job, enum mr_publish_kind kind, int64_t delay_ms, const char *pool)
{
    struct mr_engine *engine = job->engine;
    struct mr_publish *publish = job->publish ? job->publish : calloc(1, sizeof(*publish));
    assert(publish); /* a few hundred bytes; without them the job could only hang */
    *publish = (struct mr_publish){
        .kind = kind,
        .owner = job,
        .id = job->envelope.id,
        .lane = job->delivery->lane,
        .shard = shard_in(job, pool),
        .priority = job->envelope.priority,
        .hops = job->delivery->hops + (kind != MR_PUBLISH_DEAD),
        .replay = job->delivery->replay,
        .delay_ms = delay_ms,
        .body = job->delivery->body,
        .len = job->delivery->len,
        .class = job->error.class,
        .attempts = attempts_of(job),
        .spent_pico = job->spent_pico,
        .died_ms = mr_engine_wall(engine),
    };
    snprintf(publish->tenant, sizeof(publish->tenant), "%s", job->envelope.tenant);
    snprintf(publish->pipeline, sizeof(publish->pipeline), "%s", job->envelope.pipeline);
    snprintf(publish->pool, sizeof(publish->pool), "%s", pool);
    snprintf(publish->step, sizeof(publish->step), "%s", job->error_step);
    snprintf(publish->message, sizeof(publish->message), "%s", job->error.msg);
    job->publish = publish;
    mr_job_move(job, MR_JOB_PUBLISHING, "publish before ack");
    mr_wake_set(job, INT64_MAX);
    send_publish(job);
}

void mr_job_published(struct mr_job *job, bool confirmed, const char *why)
{
    assert(job->state == MR_JOB_PUBLISHING && job->publishing);
    job->publishing = false;
    if (confirmed) {
        mr_job_close(job);
        return;
    }
    char id[MR_UUID_LEN];
    mr_uuid_format(&job->envelope.id, id);
    mr_log(job->engine->world.log, MR_ERROR, "publish.refused", MR_STR("job", id),
        MR_STR("why", why), MR_STR("pool", job->publish->pool),
        MR_STR("hint", "run `millrace init`; the job is kept and tried again"));
    struct mr_publish *publish = job->publish;
    if (publish->kind == MR_PUBLISH_HOME && strcmp(publish->pool, job->config->worker.pool) != 0) {
        /* Jobs for a pool that is not there must not fill our slots: this one comes back to us. */
        publish->kind = MR_PUBLISH_DELAY;
        publish->delay_ms = MR_NO_POOL_DELAY_MS;
        snprintf(publish->pool, sizeof(publish->pool), "%s", job->config->worker.pool);
        publish->shard = job->delivery->shard;
        send_publish(job);
        return;
    }
    mr_wake_set(job, mr_engine_now(job->engine) + MR_PUBLISH_RETRY_MS);
}

void mr_job_woken(struct mr_job *job)
{
    mr_wake_set(job, INT64_MAX);
    if (job->state == MR_JOB_PUBLISHING && !job->publishing)
        send_publish(job);
    else
        mr_job_advance(job);
}

static void log_end(const struct mr_job *job, enum mr_level level, const char *event)
{
    const struct mr_log *log = job->engine->world.log;
    if (log->level > level)
        return;
    char id[MR_UUID_LEN], cost[MR_MONEY_LEN];
    mr_uuid_format(&job->envelope.id, id);
    mr_money_format(job->spent_pico, cost);
    mr_log(log, level, event, MR_STR("job", id), MR_STR("tenant", job->envelope.tenant),
        MR_STR("pipeline", job->envelope.pipeline), MR_INT("epoch", job->epoch),
        MR_STR("spent_usd", cost), MR_STR("step", *job->error_step ? job->error_step : NULL),
        MR_STR("class", job->failed ? mr_class_name(job->error.class) : NULL),
        MR_STR("why", job->failed ? job->error.msg : NULL));
}

void mr_job_observe_end(const struct mr_job *job, enum mr_move move)
{
    mr_observe(&job->engine->world.observe,
        &(struct mr_observation){.what = MR_OBSERVED_END,
            .job = &job->envelope,
            .end = {move, job->commit.error.class, job->spent_pico, mr_job_age(job)}});
}

void mr_job_ended(struct mr_job *job)
{
    struct mr_engine *engine = job->engine;
    mr_job_observe_end(job, job->commit.move);
    switch (job->commit.move) {
    case MR_MOVE_DONE:
        engine->done++;
        log_end(job, MR_INFO, "job.done");
        mr_job_event(job, "job.done", "", "done");
        mr_job_close(job);
        return;
    case MR_MOVE_CANCELLED:
        log_end(job, MR_INFO, "job.cancelled");
        mr_job_event(job, "job.cancelled", "", "cancelled");
        mr_job_close(job);
        return;
    case MR_MOVE_DEAD:
        engine->dead++;
        log_end(job, MR_WARN, "job.dead");
        mr_job_event(job, "job.dead", job->error_step, "dead");
        mr_job_publish(job, MR_PUBLISH_DEAD, 0, job->config->worker.pool);
        return;
    case MR_MOVE_WAITING: {
        int64_t delay_ms = job->commit.until_ms ? job->commit.until_ms - mr_engine_wall(engine) : 0;
        mr_job_publish(
            job, delay_ms > 0 ? MR_PUBLISH_DELAY : MR_PUBLISH_HOME, delay_ms, job->commit.pool);
        return;
    }
    case MR_MOVE_NONE:
        break;
    }
    assert(!"a move that is none");
}

void mr_job_park(struct mr_job *job, struct mr_delivery *delivery)
{
    struct mr_delivery **at = &job->parked;
    while (*at && (*at)->arrived_ms <= delivery->arrived_ms)
        at = &(*at)->next;
    delivery->next = *at;
    *at = delivery;
}

void mr_job_close(struct mr_job *job)
{
    struct mr_engine *engine = job->engine;
    if (job->state == MR_JOB_LOST && !job->void_tag) {
        /* It may be the only message this job still has: it asks for a new lease. */
        mr_job_park(job, job->delivery);
        job->delivery = NULL;
    } else if (!job->void_tag) {
        engine->world.broker.ack(
            engine->world.broker.ctx, job->delivery->session, job->delivery->tag);
    }
    struct mr_delivery *parked = job->parked;
    job->parked = NULL;
    mr_engine_forget(engine, job);
    mr_job_move(job, MR_JOB_GONE, "acked");
    mr_job_free(job);
    while (parked) { /* other messages of the same job: each gets its own answer now */
        struct mr_delivery *next = parked->next;
        mr_engine_readmit(engine, parked);
        parked = next;
    }
    mr_engine_schedule(engine);
}
