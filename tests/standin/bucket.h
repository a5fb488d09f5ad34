/* A limit in a minute as providers keep it: a bucket that fills steadily. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mr_bucket {
    int64_t level; /* in 1/60000, so that a millisecond's refill is `limit` of them */
    int64_t at_ms; /* when it was last looked at */
    bool used;     /* false: never yet, and so full */
};

/* What the headers say of it. */
struct mr_bucket_state {
    int64_t limit, remaining;
    int64_t reset_ms; /* until it is full */
    int64_t wait_ms;  /* until what was asked for is there; 0 = it is */
};

/* What is in it now: `limit` a minute, never more than burst_s seconds' worth. `need` larger than
 * that waits for a full bucket only. now_ms must not go back. */
struct mr_bucket_state mr_bucket_look(
    struct mr_bucket *bucket, int64_t limit, int64_t burst_s, int64_t need, int64_t now_ms);
void mr_bucket_take(struct mr_bucket *bucket, int64_t need);
