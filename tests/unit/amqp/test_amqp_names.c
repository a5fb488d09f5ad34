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
    mr_lane_key("main", MR_LANE_HIGH, 0, name);
    CHECK_STR(name, "main.high.0");
    mr_lane_queue("gpu-1", MR_LANE_LOW, 63, name);
    CHECK_STR(name, "millrace.gpu-1.low.63");
    mr_tier_exchange(MR_TIER_30S, name);
    CHECK_STR(name, "millrace.delay.30s");
}

static void keys_are_read_back(void)
{
    static const struct {
        const char *key, *pool;
        enum mr_lane lane;
    } good[] = {
        {"main.high.0", "main", MR_LANE_HIGH}, {"gpu-1.low.63", "gpu-1", MR_LANE_LOW},
        {"a.b.normal.7", "a.b", MR_LANE_NORMAL}, {"a.high.normal.7", "a.high", MR_LANE_NORMAL},
        {"main.normal", "main", MR_LANE_NORMAL}, /* as a person may write it */
    };
    static const char *const bad[] = {
        "", ".", "main", "main.0", ".high.0", "main.higher.0", "main.xhigh.0", "high.0", "main."};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char pool[MR_NAME_MAX + 1];
        enum mr_lane lane;
        CHECK_INT(mr_lane_key_parse(good[i].key, pool, &lane), 0);
        CHECK_STR(pool, good[i].pool);
        CHECK_INT(lane, good[i].lane);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char pool[MR_NAME_MAX + 1] = "untouched";
        enum mr_lane lane;
        CHECK(mr_lane_key_parse(bad[i], pool, &lane) < 0);
        CHECK_STR(pool, "untouched");
    }
}

TEST_MAIN(TEST(tiers), TEST(names), TEST(keys_are_read_back))
