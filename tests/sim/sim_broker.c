#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static struct sim_msg *msg_free(struct sim_msg *msg)
{
    free(msg->body);
    free(msg);
    return NULL;
}

void sim_broker_put(struct sim *sim, const char *body, size_t len, enum mr_lane lane, int hops,
    int replay, int64_t delay_ms)
{
    struct sim_msg *msg = calloc(1, sizeof(*msg)), **at = &sim->queue;
    msg->body = strndup(body, len);
    msg->len = len;
    msg->lane = lane;
    msg->hops = hops;
    msg->replay = replay;
    msg->due_ms = sim->now_ms + delay_ms;
    while (*at)
        at = &(*at)->next;
    *at = msg;
}

static struct sim_msg *take_due(struct sim *sim)
{
    for (struct sim_msg **at = &sim->queue; *at; at = &(*at)->next)
        if ((*at)->due_ms <= sim->now_ms) {
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

void sim_broker_pump(struct sim *sim)
{
    for (unsigned full = 0; full < SIM_WORKERS;) {
        struct sim_worker *worker = &sim->workers[sim_random(sim, SIM_WORKERS)];
        struct sim_msg *msg = NULL;
        if (worker->engine && !worker->draining && worker->nunacked < SIM_PREFETCH)
            msg = take_due(sim);
        if (!msg) {
            full++;
            continue;
        }
        struct mr_delivery *delivery = calloc(1, sizeof(*delivery));
        worker->unacked[worker->nunacked].tag = ++worker->next_tag;
        worker->unacked[worker->nunacked++].msg = msg;
        *delivery = (struct mr_delivery){.session = worker->session,
            .tag = worker->next_tag,
            .lane = msg->lane,
            .redelivered = msg->redelivered,
            .hops = msg->hops,
            .replay = msg->replay,
            .body = strndup(msg->body, msg->len),
            .len = msg->len};
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

static void confirmed(struct sim *sim, struct sim_event *event, bool alive)
{
    if (alive)
        mr_engine_published(sim->workers[event->worker].engine, event->arg, true, "");
    else
        mr_publish_free(event->arg);
}

static void bury(struct sim *sim, const struct mr_publish *publish)
{
    struct sim_job *job = sim_job(sim, &publish->id);
    if (job)
        job->dead_letters++;
}

static void published(struct sim *sim, struct sim_event *event, bool alive)
{
    struct mr_publish *publish = event->arg;
    if (!alive) { /* the worker died first: nothing left it, and the body died with it */
        mr_publish_free(publish);
        return;
    }
    if (publish->kind == MR_PUBLISH_DEAD)
        bury(sim, publish);
    else
        sim_broker_put(sim, publish->body, publish->len, publish->lane, publish->hops,
            publish->replay, publish->kind == MR_PUBLISH_DELAY ? publish->delay_ms : 0);
    /* Between the broker's disk and the confirm a worker may die: then the message exists twice. */
    sim_at(sim, (int64_t)sim_random(sim, 5), &sim->workers[event->worker], confirmed, publish, 0);
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
    for (int i = 0; i < SIM_WORKERS; i++)
        while (sim->workers[i].nunacked > 0)
            msg_free(sim->workers[i].unacked[--sim->workers[i].nunacked].msg);
}
