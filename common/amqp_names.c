/* Names of exchanges and queues, and which delay fits which wait. */
#include "common/amqp.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t ms;
} tiers[MR_TIER_COUNT] = {
    [MR_TIER_5S] = {"5s", 5 * 1000},
    [MR_TIER_30S] = {"30s", 30 * 1000},
    [MR_TIER_2M] = {"2m", 2 * 60 * 1000},
    [MR_TIER_10M] = {"10m", 10 * 60 * 1000},
    [MR_TIER_1H] = {"1h", 60 * 60 * 1000},
};

const char *mr_tier_name(enum mr_tier tier)
{
    assert((unsigned)tier < MR_TIER_COUNT);
    return tiers[tier].name;
}

int64_t mr_tier_ms(enum mr_tier tier)
{
    assert((unsigned)tier < MR_TIER_COUNT);
    return tiers[tier].ms;
}

enum mr_tier mr_tier_for(int64_t wait_ms)
{
    int tier = MR_TIER_COUNT - 1;
    while (tier > MR_TIER_5S && tiers[tier].ms > wait_ms)
        tier--;
    return (enum mr_tier)tier;
}

void mr_tier_exchange(enum mr_tier tier, char ret[static MR_QUEUE_MAX])
{
    snprintf(ret, MR_QUEUE_MAX, "millrace.delay.%s", mr_tier_name(tier));
}

void mr_lane_key(const char *pool, enum mr_lane lane, int shard, char ret[static MR_QUEUE_MAX])
{
    snprintf(ret, MR_QUEUE_MAX, "%s.%s.%d", pool, mr_lane_name(lane), shard);
}

void mr_lane_queue(const char *pool, enum mr_lane lane, int shard, char ret[static MR_QUEUE_MAX])
{
    snprintf(ret, MR_QUEUE_MAX, "millrace.%s.%s.%d", pool, mr_lane_name(lane), shard);
}

/* From the right: a pool's name may have dots of its own. */
int mr_lane_key_parse(
    const char *key, char ret_pool[static MR_NAME_MAX + 1], enum mr_lane *ret_lane)
{
    size_t end = strlen(key);
    while (end > 0 && key[end - 1] >= '0' && key[end - 1] <= '9')
        end--;
    end = end > 0 && key[end - 1] == '.' ? end - 1 : strlen(key);
    for (int lane = 0; lane < MR_LANE_COUNT; lane++) {
        const char *name = mr_lane_name((enum mr_lane)lane);
        size_t n = strlen(name);
        if (end < n + 2 || memcmp(key + end - n, name, n) != 0 || key[end - n - 1] != '.' ||
            end - n - 1 > MR_NAME_MAX)
            continue;
        memcpy(ret_pool, key, end - n - 1);
        ret_pool[end - n - 1] = '\0';
        *ret_lane = (enum mr_lane)lane;
        return 0;
    }
    return -EINVAL;
}
