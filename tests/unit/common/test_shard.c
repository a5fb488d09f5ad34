#include "common/shard.h"
#include "tests/unit/test.h"

/* Where messages are depends on it: these numbers must never change. */
static void the_hash_is_pinned(void)
{
    int pair[2];
    mr_shard_pair("default", 8, pair);
    CHECK_INT(pair[0], 5);
    CHECK_INT(pair[1], 3);
    mr_shard_pair("acme", 8, pair);
    CHECK_INT(pair[0], 6);
    CHECK_INT(pair[1], 1);
}

static void pairs_are_distinct_and_in_range(void)
{
    for (int shards = 2; shards <= MR_LANE_SHARDS_MAX; shards++)
        for (int i = 0; i < 100; i++) {
            char tenant[32];
            int pair[2];
            snprintf(tenant, sizeof(tenant), "t%d", i);
            mr_shard_pair(tenant, shards, pair);
            CHECK(pair[0] >= 0 && pair[0] < shards);
            CHECK(pair[1] >= 0 && pair[1] < shards);
            CHECK(pair[0] != pair[1]);
            CHECK_INT(mr_shard_first(tenant, shards), pair[0]);
        }
}

static void one_shard_is_all_there_is(void)
{
    int pair[2] = {7, 7};
    mr_shard_pair("acme", 1, pair);
    CHECK_INT(pair[0], 0);
    CHECK_INT(pair[1], 0);
}

/* Names that count up, as tenants' names do, spread over all 28 pairs of 8 shards. */
static void tenants_spread(void)
{
    enum { TENANTS = 28000 };
    int seen[8][8] = {0};
    for (int i = 0; i < TENANTS; i++) {
        char tenant[32];
        int pair[2];
        snprintf(tenant, sizeof(tenant), "tenant-%d", i);
        mr_shard_pair(tenant, 8, pair);
        seen[pair[0] < pair[1] ? pair[0] : pair[1]][pair[0] < pair[1] ? pair[1] : pair[0]]++;
    }
    for (int a = 0; a < 8; a++)
        for (int b = a + 1; b < 8; b++)
            CHECK(seen[a][b] > 850 && seen[a][b] < 1150); /* 1000, and five sigmas */
}

TEST_MAIN(TEST(the_hash_is_pinned), TEST(pairs_are_distinct_and_in_range),
    TEST(one_shard_is_all_there_is), TEST(tenants_spread))
