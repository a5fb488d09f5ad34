/* Names of exchanges and queues, and which delay fits which wait. */
#include "common/amqp.h"

#include <assert.h>
#include <stdio.h>

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

void mr_lane_key(const char *pool, enum mr_lane lane, char ret[static MR_QUEUE_MAX])
{
    snprintf(ret, MR_QUEUE_MAX, "%s.%s", pool, mr_lane_name(lane));
}

void mr_lane_queue(const char *pool, enum mr_lane lane, char ret[static MR_QUEUE_MAX])
{
    snprintf(ret, MR_QUEUE_MAX, "millrace.%s.%s", pool, mr_lane_name(lane));
}
