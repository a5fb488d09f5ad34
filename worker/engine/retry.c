/* The retry table of docs/architecture.md, "Errors". Nothing else in Millrace repeats a call. */
#include "worker/engine/job.h"

struct mr_retry_rule {
    int tries; /* calls in all, the first one included */
    int64_t first_ms;
    int num, den; /* each wait is num/den times the one before */
    int64_t max_ms;
};

static const struct mr_retry_rule rules[MR_CLASS_COUNT] = {
    [MR_CLASS_RATE_LIMITED] = {5, 1000, 2, 1, 60000},
    [MR_CLASS_OVERLOADED] = {4, 2000, 3, 2, 30000},
    [MR_CLASS_NETWORK] = {3, 500, 2, 1, 10000},
    [MR_CLASS_AMBIGUOUS] = {3, 1000, 2, 1, 30000},
    [MR_CLASS_SERVER] = {4, 2000, 3, 2, 30000},
    [MR_CLASS_BAD_OUTPUT] = {2, 0, 1, 1, 0},
};

bool mr_retry_delay(enum mr_class class, int nth, int64_t advised_ms,
    const struct mr_random *random, int64_t *ret_ms)
{
    const struct mr_retry_rule *rule = &rules[class];
    if (nth >= rule->tries)
        return false;
    int64_t ms = rule->first_ms;
    for (int i = 1; i < nth && ms < rule->max_ms; i++)
        ms = ms * rule->num / rule->den;
    if (ms > rule->max_ms)
        ms = rule->max_ms;
    /* Up to a quarter on top, so that jobs refused together do not come back together. */
    if (ms > 0)
        ms += (int64_t)mr_random_below(random, (uint64_t)ms / 4 + 1);
    *ret_ms = advised_ms > ms ? advised_ms : ms;
    return true;
}
