#include "common/amqp.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sim_msg *msg_free(struct sim_msg *msg)
{
    free(msg->body);
    free(msg);
    return NULL;
}

static void append(struct sim_msg **at, struct sim_msg *msg)
{
    while (*at)
        at = &(*at)->next;
    *at = msg;
}

static struct sim_msg *copy_of(const struct sim_msg *from)
{
    struct sim_msg *msg = calloc(1, sizeof(*msg));
    *msg = *from;
    msg->next = NULL;
    msg->body = strndup(from->body, from->len);
    return msg;
}

void sim_broker_put(struct sim *sim, const struct sim_msg *msg, int64_t delay_ms)
{
    struct sim_msg *copy = copy_of(msg);
    copy->due_ms = sim->now_ms + (delay_ms > 0 ? mr_tier_ms(mr_tier_for(delay_ms)) : 0);
    append(&sim->queue, copy);
}

static struct sim_msg *take_due(struct sim *sim, const char *pool)
{
    for (struct sim_msg **at = &sim->queue; *at; at = &(*at)->next)
        if ((*at)->due_ms <= sim->now_ms && strcmp((*at)->pool, pool) == 0) {
            struct sim_msg *msg = *at;
            *at = msg->next;
            return msg;
        }
    return NULL;
}

static void give_back(struct sim *sim, struct sim_msg *msg)
{
    msg->redelivered = true;
    msg->next = sim->queue;
    sim->queue = msg;
}

/* No message may be held as long as the broker's consumer timeout. */
static void check_held(struct sim *sim, const struct sim_worker *worker)
{
    for (size_t i = 0; i < worker->nunacked; i++)
        if (worker->away_until_ms <= sim->now_ms &&
            sim->now_ms - worker->unacked[i].msg->out_ms > SIM_HELD_MS)
            sim_fail(sim, "worker %d held a message over the consumer timeout: %.100s",
                worker->index, worker->unacked[i].msg->body);
}

void sim_broker_pump(struct sim *sim)
{
    for (unsigned full = 0; full < 2 * SIM_WORKERS;) {
        struct sim_worker *worker = &sim->workers[sim_random(sim, SIM_WORKERS)];
        struct sim_msg *msg = NULL;
        check_held(sim, worker);
        if (worker->engine && !worker->draining && worker->nunacked < SIM_PREFETCH)
            msg = take_due(sim, worker->pool);
        if (!msg) {
            full++;
            continue;
        }
        struct mr_delivery *delivery = calloc(1, sizeof(*delivery));
        msg->out_ms = sim->now_ms;
        worker->unacked[worker->nunacked].tag = ++worker->next_tag;
        worker->unacked[worker->nunacked++].msg = msg;
        *delivery = (struct mr_delivery){.session = worker->session,
            .tag = worker->next_tag,
            .lane = msg->lane,
            .shard = msg->shard,
            .redelivered = msg->redelivered,
            .hops = msg->hops,
            .replay = msg->replay,
            .body = strndup(msg->body, msg->len),
            .len = msg->len};
        memcpy(delivery->tenant, msg->tenant, sizeof(delivery->tenant));
        mr_engine_delivered(worker->engine, delivery);
    }
}

void sim_broker_cut(struct sim_worker *worker)
{
    uint64_t old = worker->session++;
    while (worker->nunacked > 0)
        give_back(worker->sim, worker->unacked[--worker->nunacked].msg);
    if (worker->engine)
        mr_engine_session_lost(worker->engine, old);
}

static struct sim_msg *settle(struct sim_worker *worker, uint64_t session, uint64_t tag)
{
    for (size_t i = 0; i < worker->nunacked && session == worker->session; i++)
        if (worker->unacked[i].tag == tag) {
            struct sim_msg *msg = worker->unacked[i].msg;
            worker->unacked[i] = worker->unacked[--worker->nunacked];
            return msg;
        }
    return NULL;
}

static void ack(void *ctx, uint64_t session, uint64_t tag)
{
    struct sim_msg *msg = settle(ctx, session, tag);
    if (msg)
        msg_free(msg);
}

static void requeue(void *ctx, uint64_t session, uint64_t tag)
{
    struct sim_worker *worker = ctx;
    struct sim_msg *msg = settle(worker, session, tag);
    if (msg)
        give_back(worker->sim, msg);
}

static void reported(struct sim *sim, struct sim_event *event, bool alive)
{
    if (alive)
        mr_engine_published(
            sim->workers[event->worker].engine, event->arg, event->n == 0, "no such queue");
    else
        mr_publish_free(event->arg);
}

static void bury(struct sim *sim, const struct mr_publish *publish, const struct sim_msg *msg)
{
    struct sim_job *job = sim_job(sim, &publish->id);
    if (!job) {
        sim->reject_letters++;
        return;
    }
    job->letters++;
    if (publish->replay > job->letters_replay)
        job->letters_replay = publish->replay;
    append(&sim->dead, copy_of(msg));
}

void sim_broker_replay(struct sim *sim)
{
    for (struct sim_msg *letter; (letter = sim->dead);) {
        sim->dead = letter->next;
        letter->replay++;
        letter->hops = 0;
        sim_broker_put(sim, letter, 0);
        msg_free(letter);
    }
}

static void published(struct sim *sim, struct sim_event *event, bool alive)
{
    struct mr_publish *publish = event->arg;
    if (!alive) { /* the worker died first: nothing left it, and the body died with it */
        mr_publish_free(publish);
        return;
    }
    struct sim_msg msg = {.body = (char *)publish->body,
        .len = publish->len,
        .lane = publish->lane,
        .shard = publish->shard,
        .hops = publish->hops,
        .replay = publish->replay};
    bool refused = sim_trouble(sim, sim->chaos / 4);
    /* A dead letter is replayed where the job came in. */
    memcpy(msg.tenant, publish->tenant, sizeof(msg.tenant));
    snprintf(msg.pool, sizeof(msg.pool), "%s",
        publish->kind == MR_PUBLISH_DEAD ? "main" : publish->pool);
    if (publish->kind == MR_PUBLISH_DEAD && !refused)
        bury(sim, publish, &msg);
    else if (!refused)
        sim_broker_put(sim, &msg, publish->kind == MR_PUBLISH_DELAY ? publish->delay_ms : 0);
    /* Between the broker's disk and the confirm a worker may die: then the message exists twice. */
    int64_t in_ms = (int64_t)sim_random(sim, sim_trouble(sim, sim->chaos / 5) ? 3000 : 5);
    sim_at(sim, in_ms, &sim->workers[event->worker], reported, publish, refused);
}

static void publish(void *ctx, struct mr_publish *publish)
{
    struct sim_worker *worker = ctx;
    if (publish->kind == MR_PUBLISH_EVENT)
        mr_publish_free(publish);
    else
        sim_at(worker->sim, (int64_t)sim_random(worker->sim, 10), worker, published, publish, 0);
}

struct mr_broker_ops sim_broker_ops(struct sim_worker *worker)
{
    return (struct mr_broker_ops){ack, requeue, publish, worker};
}

void sim_broker_free(struct sim *sim)
{
    for (struct sim_msg *msg = sim->queue, *next; msg; msg = next) {
        next = msg->next;
        msg_free(msg);
    }
    for (struct sim_msg *msg = sim->dead, *next; msg; msg = next) {
        next = msg->next;
        msg_free(msg);
    }
    for (int i = 0; i < SIM_WORKERS; i++)
        while (sim->workers[i].nunacked > 0)
            msg_free(sim->workers[i].unacked[--sim->workers[i].nunacked].msg);
}
