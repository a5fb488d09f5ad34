#include "tests/standin/bucket.h"

#define UNITS 60000 /* milliseconds in the minute a limit is meant for */

struct mr_bucket_state mr_bucket_look(
    struct mr_bucket *bucket, int64_t limit, int64_t burst_s, int64_t need, int64_t now_ms)
{
    int64_t full = limit * burst_s * 1000;
    int64_t level = bucket->used ? bucket->level + (now_ms - bucket->at_ms) * limit : full;
    level = level > full ? full : level;
    bucket->used = true;
    bucket->level = level;
    bucket->at_ms = now_ms;
    int64_t wanted = need * UNITS < full ? need * UNITS : full;
    return (struct mr_bucket_state){.limit = limit,
        .remaining = level / UNITS,
        .reset_ms = (full - level + limit - 1) / limit,
        .wait_ms = level >= wanted ? 0 : (wanted - level + limit - 1) / limit};
}

void mr_bucket_take(struct mr_bucket *bucket, int64_t need)
{
    bucket->level -= need * UNITS;
    if (bucket->level < 0)
        bucket->level = 0;
}
