/* How long to wait before the next try: doubling, capped, and jittered, so that a fleet does not
 * come back in step. */
#pragma once

#include "common/clock.h"

/* Between half of and the whole of min(base_ms * 2^failures, max_ms). */
static inline int64_t mr_backoff_ms(
    const struct mr_random *random, unsigned failures, int64_t base_ms, int64_t max_ms)
{
    int64_t wait = base_ms;
    while (failures-- > 0 && wait < max_ms)
        wait *= 2;
    wait = wait < max_ms ? wait : max_ms;
    return wait / 2 + (int64_t)mr_random_below(random, (uint64_t)(wait - wait / 2) + 1);
}
