#include "common/amqp.h"
#include "tests/unit/test.h"

static void tiers(void)
{
    CHECK_STR(mr_tier_name(MR_TIER_2M), "2m");
    CHECK_INT(mr_tier_ms(MR_TIER_1H), 3600000);
    CHECK_INT(mr_tier_for(0), MR_TIER_5S);
    CHECK_INT(mr_tier_for(4999), MR_TIER_5S);
    CHECK_INT(mr_tier_for(29999), MR_TIER_5S);
    CHECK_INT(mr_tier_for(30000), MR_TIER_30S);
    CHECK_INT(mr_tier_for(10 * 60 * 1000), MR_TIER_10M);
    CHECK_INT(mr_tier_for(INT64_MAX), MR_TIER_1H);
}

static void names(void)
{
    char name[MR_QUEUE_MAX];
    mr_lane_key("main", MR_LANE_HIGH, name);
    CHECK_STR(name, "main.high");
    mr_lane_queue("gpu-1", MR_LANE_LOW, name);
    CHECK_STR(name, "millrace.gpu-1.low");
    mr_tier_exchange(MR_TIER_30S, name);
    CHECK_STR(name, "millrace.delay.30s");
}

TEST_MAIN(TEST(tiers), TEST(names))
