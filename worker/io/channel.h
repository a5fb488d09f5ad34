/* One shard's channel on the consuming connection: opened, given its prefetch, consumed from and
 * acked without ever waiting for an answer. Everything arrives through mr_channel_on_frame; a
 * message's frames are put together here, since rabbitmq-c's own reader mixes up channels.
 *
 *   SHUT -> OPENING (channel.open) -> OPEN (basic.qos) -> CONSUMING (basic.consume)
 *   CONSUMING -> OPEN: we cancelled (pause, drain), or the broker did (queue gone, leader lost)
 *   any -> SHUT: channel.close from the broker, or the connection is lost
 */
#pragma once

#include "common/amqp.h"
#include "common/log.h"
#include "worker/engine/world_broker.h"
#include "worker/io/acks.h"

/* Bytes of a body beyond which it is refused unread (the broker dead-letters it): RabbitMQ 4's own
 * limit. */
#define MR_MESSAGE_MAX (16u << 20)

#define MR_CHANNELS_MAX 256 /* on a connection; a power of two */

enum mr_channel_state {
    MR_CHANNEL_SHUT,
    MR_CHANNEL_OPENING,
    MR_CHANNEL_OPEN,
    MR_CHANNEL_CONSUMING
};

struct mr_channel_cb {
    void (*delivered)(void *ctx, struct mr_delivery *delivery); /* taken over */
    void (*lost)(void *ctx, uint64_t session); /* every tag of this session is void */
    void *ctx;
};

struct mr_channel {
    enum mr_channel_state state;
    enum mr_lane lane;
    int shard;
    unsigned index; /* among the connection's channels */
    char queue[MR_QUEUE_MAX];
    uint16_t prefetch;
    bool wanted;        /* whether it should consume */
    uint64_t session;   /* of this opening; 0 while shut */
    uint64_t *sessions; /* openings so far, of all channels */
    struct mr_acks acks;
    const struct mr_channel_cb *cb;
    const struct mr_log *log;
    const struct mr_random *random;
    amqp_connection_state_t conn; /* borrowed; NULL without a connection */
    int64_t retry_ms;             /* monotonic; when to open or consume again */
    unsigned failures;
    unsigned tags; /* consumer tags used: each is fresh, or 3.10.8 crashes the channel */
    char tag[64];  /* the current one */
    /* The message being put together. */
    struct mr_delivery *partial;
    enum { MR_PART_NONE, MR_PART_HEADER, MR_PART_BODY } part;
    uint64_t left; /* bytes of body to come */
    size_t room;   /* of partial->body; 0 while a refused body is skipped */
};

static inline amqp_channel_t mr_channel_number(const struct mr_channel *channel)
{
    return (amqp_channel_t)(channel->index + 1);
}
/* A session says which channel's it is, so that an ack finds it at once. */
static inline unsigned mr_session_index(uint64_t session)
{
    return (unsigned)(session & (MR_CHANNELS_MAX - 1));
}

/* All of these: 0, or negative with err when the connection is no longer usable. */

/* A new connection, or another try on the same one: opens the channel if it is shut and due, and
 * begins or ends consuming as wanted. Called on a timer too. */
int mr_channel_tick(struct mr_channel *channel, int64_t now_ms, struct mr_err *err) MR_CHECK;
int mr_channel_on_frame(struct mr_channel *channel, const amqp_frame_t *frame, int64_t now_ms,
    struct mr_err *err) MR_CHECK;
/* Sends what has been acked and requeued since the last flush. */
int mr_channel_flush(struct mr_channel *channel, struct mr_err *err) MR_CHECK;

/* The connection is gone, or the broker closed the channel: tells cb.lost, forgets the tags. */
void mr_channel_shut(struct mr_channel *channel);
void mr_channel_deinit(struct mr_channel *channel);

/* Of each shard: its lane's share of the slots; 1...2000, which a quorum queue grants at most. */
uint16_t mr_channel_prefetch(enum mr_lane lane, int slots);
