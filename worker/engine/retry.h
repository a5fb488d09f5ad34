/* How long between two tries. Pure. */
#pragma once

#include "common/clock.h"
#include "common/config.h"

#include <stdbool.h>

/* Up to a quarter on top, so that jobs refused together do not come back together. */
int64_t mr_retry_jitter(const struct mr_random *random, int64_t ms);

/* How long before another call there, at least, after the nth failure (1...). -1: there is none. */
int64_t mr_retry_least_ms(const struct mr_config *config, enum mr_class class, int nth);

/* Whether a step that failed with this class for the nth time (1...) on a route gets another call
 * there, and after how long. advised_ms: the provider's Retry-After, -1 = none. */
bool mr_retry_delay(const struct mr_config *config, enum mr_class class, int nth,
    int64_t advised_ms, const struct mr_random *random, int64_t *ret_ms);

/* How long a job waits elsewhere for an outage to end: half a minute while it has waited for less
 * than two, two minutes up to ten, then ten. A job that never got to a call (waited_ms 0) has only
 * been sent away so often (hops). */
int64_t mr_retry_park_ms(int64_t waited_ms, int hops, const struct mr_random *random);
