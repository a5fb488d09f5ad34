#include "producer/shards.h"

#include "common/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct shard_lane {
    struct shard_lane *next;
    char pool[MR_NAME_MAX + 1];
    enum mr_lane lane;
    struct mr_shard shards[];
};

struct mr_shards {
    int count; /* of each lane */
    mr_shards_ask *ask;
    void *ctx;
    struct shard_lane *lanes; /* those that jobs went to, the last one used first */
};

int mr_shards_new(int lane_shards, mr_shards_ask *ask, void *ctx, struct mr_shards **ret)
{
    struct mr_shards *shards = calloc(1, sizeof(*shards));
    if (!shards)
        return -ENOMEM;
    *shards = (struct mr_shards){.count = lane_shards, .ask = ask, .ctx = ctx};
    *ret = shards;
    return 0;
}

struct mr_shards *mr_shards_free(struct mr_shards *shards)
{
    if (!shards)
        return NULL;
    for (struct shard_lane *lane = shards->lanes, *next; lane; lane = next) {
        next = lane->next;
        free(lane);
    }
    free(shards);
    return NULL;
}

static struct shard_lane *add_lane(struct mr_shards *shards, const char *pool, enum mr_lane which)
{
    struct shard_lane *lane =
        calloc(1, sizeof(*lane) + (size_t)shards->count * sizeof(lane->shards[0]));
    if (!lane)
        return NULL;
    snprintf(lane->pool, sizeof(lane->pool), "%s", pool);
    lane->lane = which;
    for (int i = 0; i < shards->count; i++) {
        struct mr_shard *shard = &lane->shards[i];
        mr_lane_queue(pool, which, i, shard->queue);
        shard->key = shard->queue + strlen("millrace.");
        shard->known = shards->count == 1; /* there is nothing to choose */
        shard->ask_ms = shards->count == 1 ? INT64_MAX : 0;
    }
    lane->next = shards->lanes;
    shards->lanes = lane;
    return lane;
}

static struct shard_lane *lane_of(struct mr_shards *shards, const char *pool, enum mr_lane which)
{
    for (struct shard_lane **at = &shards->lanes; *at; at = &(*at)->next) {
        struct shard_lane *lane = *at;
        if (lane->lane != which || strcmp(lane->pool, pool) != 0)
            continue;
        *at = lane->next;
        lane->next = shards->lanes;
        shards->lanes = lane;
        return lane;
    }
    return add_lane(shards, pool, which);
}

static bool is_due(const struct mr_shard *shard, int64_t now_ms)
{
    if (shard->asking)
        return false;
    /* Not while refusals are waited out, which ask_ms tells apart by being further away. */
    bool busy =
        shard->sent >= MR_SHARDS_REFRESH_SENT && shard->ask_ms <= now_ms + MR_SHARDS_REFRESH_MS;
    return busy || now_ms >= shard->ask_ms;
}

static int ask_if_due(
    struct mr_shards *shards, struct mr_shard *shard, int64_t now_ms, struct mr_err *err)
{
    if (!is_due(shard, now_ms))
        return 0;
    shard->asking = true;
    shard->ask_ms = now_ms + MR_SHARDS_REFRESH_MS;
    shard->sent_before = shard->sent;
    return shards->ask(shards->ctx, shard->queue, err);
}

int mr_shards_choose(struct mr_shards *shards, const char *tenant, const char *pool,
    enum mr_lane lane, int64_t now_ms, struct mr_shard **ret, struct mr_err *err)
{
    int pair[2];
    struct shard_lane *of = lane_of(shards, pool, lane);
    if (!of)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    mr_shard_pair(tenant, shards->count, pair);
    struct mr_shard *a = &of->shards[pair[0]], *b = &of->shards[pair[1]];
    int r = ask_if_due(shards, a, now_ms, err);
    if (r == 0)
        r = ask_if_due(shards, b, now_ms, err);
    if (r < 0)
        return r;
    if (!a->known || !b->known)
        return MR_SHARDS_WAIT;
    *ret = (uint64_t)a->ready + a->sent <= (uint64_t)b->ready + b->sent ? a : b;
    return 0;
}

void mr_shards_sent(struct mr_shard *shard)
{
    shard->sent++;
}

static void answered(struct mr_shard *shard, uint32_t ready)
{
    shard->ready = ready;
    shard->sent -= shard->sent_before;
    shard->asking = false;
    shard->known = true;
}

static void refused(struct mr_shard *shard)
{
    shard->asking = false;
    shard->known = true;
    shard->ask_ms += MR_SHARDS_REFUSED_MS;
}

void mr_shards_answered(void *ctx, amqp_bytes_t queue, uint32_t ready)
{
    struct mr_shards *shards = ctx;
    for (struct shard_lane *lane = shards->lanes; lane; lane = lane->next)
        for (int i = 0; i < shards->count; i++) {
            struct mr_shard *shard = &lane->shards[i];
            if (!shard->asking)
                continue;
            if (ready == MR_DEPTH_UNKNOWN)
                refused(shard);
            else if (queue.len == strlen(shard->queue) &&
                     memcmp(queue.bytes, shard->queue, queue.len) == 0)
                answered(shard, ready);
        }
}

void mr_shards_lost(struct mr_shards *shards)
{
    for (struct shard_lane *lane = shards->lanes; lane; lane = lane->next)
        for (int i = 0; i < shards->count; i++)
            if (lane->shards[i].asking) {
                lane->shards[i].asking = false;
                lane->shards[i].ask_ms = 0;
            }
}
