#include "worker/io/broker.h"

#include "worker/engine/engine.h"

#include <errno.h>
#include <stdlib.h>

struct mr_broker {
    struct mr_config *config;
    struct mr_engine *engine;
    struct mr_consumer *consumer;
    struct mr_outbox *outbox;
    unsigned closing; /* halves still open */
    void (*done)(void *ctx);
    void *done_ctx;
};

static void on_delivered(void *ctx, struct mr_delivery *delivery)
{
    struct mr_broker *broker = ctx;
    mr_engine_delivered(broker->engine, delivery);
}

static void on_lost(void *ctx, uint64_t session)
{
    struct mr_broker *broker = ctx;
    mr_engine_session_lost(broker->engine, session);
}

static void on_published(void *ctx, struct mr_publish *publish, bool confirmed, const char *why)
{
    struct mr_broker *broker = ctx;
    mr_engine_published(broker->engine, publish, confirmed, why);
}

static void on_pressed(void *ctx, bool pressed)
{
    struct mr_broker *broker = ctx;
    mr_consumer_pause(broker->consumer, pressed);
}

int mr_broker_new(uv_loop_t *loop, struct mr_config *config, const char *worker,
    const struct mr_log *log, const struct mr_observe_ops *observe, struct mr_broker **ret,
    struct mr_err *err)
{
    struct mr_broker *broker = calloc(1, sizeof(*broker));
    if (!broker)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for the broker");
    struct mr_channel_cb consumer_cb = {on_delivered, on_lost, broker};
    struct mr_outbox_cb outbox_cb = {on_published, on_pressed, broker};
    broker->config = mr_config_ref(config);
    int rc = mr_consumer_new(loop, &config->broker, config->worker.pool, config->worker.slots,
        worker, log, &consumer_cb, &broker->consumer, err);
    if (rc == 0)
        rc = mr_outbox_new(
            loop, &config->broker, worker, log, &outbox_cb, observe, &broker->outbox, err);
    if (rc < 0) {
        mr_broker_free(broker);
        return rc;
    }
    *ret = broker;
    return 0;
}

struct mr_broker_view mr_broker_view(const struct mr_broker *broker)
{
    return (struct mr_broker_view){
        mr_consumer_view(broker->consumer), mr_outbox_view(broker->outbox)};
}

static void op_ack(void *ctx, uint64_t session, uint64_t tag)
{
    struct mr_broker *broker = ctx;
    mr_consumer_ack(broker->consumer, session, tag);
}

static void op_requeue(void *ctx, uint64_t session, uint64_t tag)
{
    struct mr_broker *broker = ctx;
    mr_consumer_requeue(broker->consumer, session, tag);
}

static void op_publish(void *ctx, struct mr_publish *publish)
{
    struct mr_broker *broker = ctx;
    mr_outbox_publish(broker->outbox, publish);
}

struct mr_broker_ops mr_broker_ops(struct mr_broker *broker)
{
    return (struct mr_broker_ops){op_ack, op_requeue, op_publish, broker};
}

int mr_broker_start(struct mr_broker *broker, struct mr_engine *engine, struct mr_err *err)
{
    broker->engine = engine;
    int rc = mr_outbox_start(broker->outbox, err);
    if (rc == 0)
        mr_consumer_start(broker->consumer);
    return rc;
}

void mr_broker_drain(struct mr_broker *broker)
{
    mr_consumer_drain(broker->consumer);
}

static void on_half_closed(void *ctx)
{
    struct mr_broker *broker = ctx;
    if (--broker->closing == 0)
        broker->done(broker->done_ctx);
}

void mr_broker_close(struct mr_broker *broker, void (*done)(void *ctx), void *ctx)
{
    broker->done = done;
    broker->done_ctx = ctx;
    broker->closing = 2;
    mr_consumer_close(broker->consumer, on_half_closed, broker);
    mr_outbox_close(broker->outbox, on_half_closed, broker);
}

struct mr_broker *mr_broker_free(struct mr_broker *broker)
{
    if (!broker)
        return NULL;
    mr_consumer_free(broker->consumer);
    mr_outbox_free(broker->outbox);
    mr_config_unref(broker->config);
    free(broker);
    return NULL;
}
