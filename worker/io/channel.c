#include "worker/io/channel.h"

#include "worker/engine/lanes.h"
#include "worker/io/backoff.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_BASE_MS 500
#define RETRY_MAX_MS 30000
#define PREFETCH_MAX 2000 /* of a quorum queue */

static int send_method(
    struct mr_channel *channel, amqp_method_number_t method, void *args, struct mr_err *err)
{
    int status = amqp_send_method(channel->conn, mr_channel_number(channel), method, args);
    return mr_amqp_status(status, "consuming", err);
}

/* ---- opening and consuming ---- */

static int open_channel(struct mr_channel *channel, struct mr_err *err)
{
    amqp_channel_open_t open = {0};
    channel->state = MR_CHANNEL_OPENING;
    return send_method(channel, AMQP_CHANNEL_OPEN_METHOD, &open, err);
}

static int begin_consuming(struct mr_channel *channel, struct mr_err *err)
{
    snprintf(channel->tag, sizeof(channel->tag), "millrace-%s-%d-%u", mr_lane_name(channel->lane),
        channel->shard, ++channel->tags);
    amqp_basic_consume_t consume = {.queue = amqp_cstring_bytes(channel->queue),
        .consumer_tag = amqp_cstring_bytes(channel->tag)};
    channel->state = MR_CHANNEL_CONSUMING;
    return send_method(channel, AMQP_BASIC_CONSUME_METHOD, &consume, err);
}

/* Deliveries already on their way still arrive afterwards, and are as good as any. */
static int end_consuming(struct mr_channel *channel, struct mr_err *err)
{
    amqp_basic_cancel_t cancel = {.consumer_tag = amqp_cstring_bytes(channel->tag), .nowait = 1};
    channel->state = MR_CHANNEL_OPEN;
    return send_method(channel, AMQP_BASIC_CANCEL_METHOD, &cancel, err);
}

int mr_channel_tick(struct mr_channel *channel, int64_t now_ms, struct mr_err *err)
{
    if (!channel->conn || channel->state == MR_CHANNEL_OPENING)
        return 0;
    if (channel->state == MR_CHANNEL_CONSUMING)
        return channel->wanted ? 0 : end_consuming(channel, err);
    if (!channel->wanted || now_ms < channel->retry_ms)
        return 0;
    if (channel->state == MR_CHANNEL_SHUT)
        return open_channel(channel, err);
    /* What the cancelled consumer still holds does not count against the new one's prefetch. */
    return channel->acks.count * 2 <= channel->prefetch ? begin_consuming(channel, err) : 0;
}

static int on_open_ok(struct mr_channel *channel, int64_t now_ms, struct mr_err *err)
{
    amqp_basic_qos_t qos = {.prefetch_count = channel->prefetch};
    channel->state = MR_CHANNEL_OPEN;
    channel->session = ++*channel->sessions * MR_CHANNELS_MAX + channel->index;
    int rc = send_method(channel, AMQP_BASIC_QOS_METHOD, &qos, err);
    return rc < 0 ? rc : mr_channel_tick(channel, now_ms, err);
}

static void retry_later(struct mr_channel *channel, int64_t now_ms)
{
    channel->retry_ms =
        now_ms + mr_backoff_ms(channel->random, channel->failures++, RETRY_BASE_MS, RETRY_MAX_MS);
}

static void on_cancel(struct mr_channel *channel, const amqp_basic_cancel_t *m, int64_t now_ms)
{
    amqp_bytes_t tag = m->consumer_tag;
    if (channel->state != MR_CHANNEL_CONSUMING || tag.len != strlen(channel->tag) ||
        memcmp(tag.bytes, channel->tag, tag.len) != 0)
        return; /* of one we have cancelled ourselves */
    channel->state = MR_CHANNEL_OPEN;
    retry_later(channel, now_ms);
    mr_log(channel->log, MR_WARN, "broker.cancelled", MR_STR("queue", channel->queue));
}

static void on_close(struct mr_channel *channel, const amqp_frame_t *frame, int64_t now_ms)
{
    struct mr_err why;
    int rc = mr_amqp_closed(channel->conn, frame, channel->queue, &why);
    mr_log(channel->log, MR_ERROR, "broker.channel_closed", MR_STR("queue", channel->queue),
        MR_STR("why", why.msg), MR_STR("hint", rc == -ENOENT ? "run `millrace init`" : NULL));
    mr_channel_shut(channel);
    retry_later(channel, now_ms);
}

/* ---- putting messages together ---- */

static int out_of_order(struct mr_err *err)
{
    return mr_err_set(err, -EPROTO, MR_CLASS_NETWORK, "consuming: frames out of order");
}

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "consuming: no memory for a message");
}

static int on_deliver(struct mr_channel *channel, const amqp_basic_deliver_t *m, struct mr_err *err)
{
    if (channel->part != MR_PART_NONE)
        return out_of_order(err);
    struct mr_delivery *delivery = calloc(1, sizeof(*delivery));
    if (!delivery)
        return no_memory(err);
    delivery->session = channel->session;
    delivery->tag = m->delivery_tag;
    delivery->lane = channel->lane;
    delivery->shard = channel->shard;
    delivery->redelivered = m->redelivered;
    channel->partial = delivery;
    channel->part = MR_PART_HEADER;
    return 0;
}

/* The whole body has arrived. */
static int finish(struct mr_channel *channel, struct mr_err *err)
{
    struct mr_delivery *delivery = channel->partial;
    bool refused = channel->room == 0;
    channel->part = MR_PART_NONE;
    channel->partial = NULL;
    if (refused) {
        amqp_basic_reject_t reject = {.delivery_tag = delivery->tag};
        mr_delivery_free(delivery);
        return send_method(channel, AMQP_BASIC_REJECT_METHOD, &reject, err);
    }
    delivery->body[delivery->len] = '\0';
    if (mr_acks_add(&channel->acks, delivery->tag) < 0) {
        mr_delivery_free(delivery);
        return no_memory(err);
    }
    channel->cb->delivered(channel->cb->ctx, delivery);
    return 0;
}

static int on_header(struct mr_channel *channel, const amqp_frame_t *frame, struct mr_err *err)
{
    if (channel->part != MR_PART_HEADER)
        return out_of_order(err);
    struct mr_delivery *delivery = channel->partial;
    const amqp_basic_properties_t *props = frame->payload.properties.decoded;
    uint64_t size = frame->payload.properties.body_size;
    delivery->hops = mr_header_number(props, MR_HEADER_HOPS);
    delivery->replay = mr_header_number(props, MR_HEADER_REPLAY);
    mr_header_text(props, MR_HEADER_TENANT, delivery->tenant, sizeof(delivery->tenant));
    channel->part = MR_PART_BODY;
    channel->left = size;
    channel->room = 0;
    if (size > MR_MESSAGE_MAX) {
        mr_log(channel->log, MR_ERROR, "broker.message_too_large", MR_STR("queue", channel->queue),
            MR_INT("bytes", (int64_t)size), MR_INT("limit", MR_MESSAGE_MAX));
    } else {
        channel->room = (size_t)size + 1;
        delivery->body = malloc(channel->room);
        if (!delivery->body)
            return no_memory(err);
    }
    return channel->left == 0 ? finish(channel, err) : 0;
}

static int on_body(struct mr_channel *channel, const amqp_frame_t *frame, struct mr_err *err)
{
    amqp_bytes_t part = frame->payload.body_fragment;
    if (channel->part != MR_PART_BODY || part.len > channel->left)
        return out_of_order(err);
    if (channel->room > 0) {
        memcpy(channel->partial->body + channel->partial->len, part.bytes, part.len);
        channel->partial->len += part.len;
    }
    channel->left -= part.len;
    return channel->left == 0 ? finish(channel, err) : 0;
}

/* ---- frames ---- */

static int on_method(
    struct mr_channel *channel, const amqp_frame_t *frame, int64_t now_ms, struct mr_err *err)
{
    const amqp_method_t *method = &frame->payload.method;
    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        return on_deliver(channel, method->decoded, err);
    case AMQP_CHANNEL_OPEN_OK_METHOD:
        return on_open_ok(channel, now_ms, err);
    case AMQP_BASIC_CONSUME_OK_METHOD:
        channel->failures = 0;
        mr_log(channel->log, MR_DEBUG, "broker.consuming", MR_STR("queue", channel->queue),
            MR_INT("prefetch", channel->prefetch));
        return 0;
    case AMQP_BASIC_CANCEL_METHOD:
        on_cancel(channel, method->decoded, now_ms);
        return 0;
    case AMQP_CHANNEL_CLOSE_METHOD:
        on_close(channel, frame, now_ms);
        return 0;
    default:
        return 0;
    }
}

int mr_channel_on_frame(
    struct mr_channel *channel, const amqp_frame_t *frame, int64_t now_ms, struct mr_err *err)
{
    switch (frame->frame_type) {
    case AMQP_FRAME_METHOD:
        return on_method(channel, frame, now_ms, err);
    case AMQP_FRAME_HEADER:
        return on_header(channel, frame, err);
    case AMQP_FRAME_BODY:
        return on_body(channel, frame, err);
    default:
        return 0;
    }
}

/* ---- acks ---- */

static int emit(void *ctx, uint64_t tag, bool multiple, bool requeue)
{
    struct mr_channel *channel = ctx;
    int status =
        requeue
            /* nack, not reject: from 4.3 on it does not count against the delivery limit */
            ? amqp_basic_nack(channel->conn, mr_channel_number(channel), tag, 0, 1)
            : amqp_basic_ack(channel->conn, mr_channel_number(channel), tag, multiple);
    return status == AMQP_STATUS_OK ? 0 : -ECONNRESET;
}

int mr_channel_flush(struct mr_channel *channel, struct mr_err *err)
{
    if (mr_acks_flush(&channel->acks, emit, channel) < 0)
        return mr_err_set(err, -ECONNRESET, MR_CLASS_NETWORK, "acking: the connection is lost");
    return 0;
}

/* ---- the end ---- */

void mr_channel_shut(struct mr_channel *channel)
{
    uint64_t session = channel->session;
    channel->state = MR_CHANNEL_SHUT;
    channel->session = 0;
    channel->retry_ms = 0;
    channel->part = MR_PART_NONE;
    channel->partial = mr_delivery_free(channel->partial);
    mr_acks_clear(&channel->acks);
    if (session != 0)
        channel->cb->lost(channel->cb->ctx, session);
}

void mr_channel_deinit(struct mr_channel *channel)
{
    mr_delivery_free(channel->partial);
    channel->partial = NULL;
    mr_acks_deinit(&channel->acks);
}

/* Each shard the lane's whole share, not its part of it: a tenant whose jobs went to one shard
 * alone, the other being flooded, still gets as many slots as when nobody floods; and with two it
 * has as many again at hand for the moment a slot falls free. So a worker holds at most
 * shards x (100 + 60 + 20) % of its slots in messages (8 shards, 256 slots: 3,696), and it does so
 * only when every shard of every lane has a backlog. What one message may weigh,
 * producer.inline_max_bytes bounds. */
uint16_t mr_channel_prefetch(enum mr_lane lane, int slots)
{
    int n = mr_lanes_share(lane, slots);
    return (uint16_t)(n > PREFETCH_MAX ? PREFETCH_MAX : n);
}
