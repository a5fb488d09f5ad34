/* Which shard of its lane a job goes to: of the tenant's two (common/shard.h) the one with fewer
 * messages ready. So a flood fills two queues, and a tenant that shares one of them with the flood
 * sends its jobs to the other.
 *
 * Depths are asked of the broker without waiting, except for the first one; in between, what has
 * been sent since counts on top. A broker that does not tell them (RabbitMQ 4.2.6 and 4.3.0 want
 * the right to configure the queue for it, later versions any right at all) is asked again now and
 * then, and meanwhile the two shards get equally many. */
#pragma once

#include "common/amqp.h"

#define MR_SHARDS_REFRESH_MS 1000
#define MR_SHARDS_REFRESH_SENT 1000
#define MR_SHARDS_REFUSED_MS 30000 /* after a refusal */

struct mr_shard {
    char queue[MR_QUEUE_MAX]; /* "millrace.<pool>.<lane>.<n>" */
    const char *key;          /* its tail: the routing key */
    bool known, asking;
    uint32_t ready;       /* when the broker last said so */
    uint32_t sent;        /* since then */
    uint32_t sent_before; /* of these, before the question that is open */
    int64_t ask_ms;       /* monotonic; no question before */
};

struct mr_shards;

/* ask: sends the question mr_publisher_ask sends; its answer goes to mr_shards_answered. */
typedef int mr_shards_ask(void *ctx, const char *queue, struct mr_err *err);
int mr_shards_new(int lane_shards, mr_shards_ask *ask, void *ctx, struct mr_shards **ret) MR_CHECK;
struct mr_shards *mr_shards_free(struct mr_shards *shards);

/* 0 with the shard; MR_SHARDS_WAIT when no answer has come yet: hear the broker, then try again;
 * negative with err when asking failed, or -ENOMEM. */
#define MR_SHARDS_WAIT 1
int mr_shards_choose(struct mr_shards *shards, const char *tenant, const char *pool,
    enum mr_lane lane, int64_t now_ms, struct mr_shard **ret, struct mr_err *err) MR_CHECK;
void mr_shards_sent(struct mr_shard *shard); /* one message more */

/* A mr_depth_cb; ctx: the shards. */
void mr_shards_answered(void *ctx, amqp_bytes_t queue, uint32_t ready);
/* The connection is gone, and with it what was being asked. */
void mr_shards_lost(struct mr_shards *shards);
