/* How long between two tries: the table of docs/architecture.md, "Errors". */
#include "worker/engine/retry.h"

int64_t mr_retry_jitter(const struct mr_random *random, int64_t ms)
{
    return ms > 0 ? ms + (int64_t)mr_random_below(random, (uint64_t)ms / 4 + 1) : ms;
}

int64_t mr_retry_least_ms(const struct mr_config *config, enum mr_class class, int nth)
{
    const struct mr_retry_rule *rule = &config->retry[class];
    if (nth >= rule->tries)
        return -1;
    int64_t ms = rule->first_ms;
    for (int i = 1; i < nth && ms < rule->max_ms; i++)
        ms = ms * rule->factor_percent / 100;
    return ms > rule->max_ms ? rule->max_ms : ms;
}

bool mr_retry_delay(const struct mr_config *config, enum mr_class class, int nth,
    int64_t advised_ms, const struct mr_random *random, int64_t *ret_ms)
{
    int64_t ms = mr_retry_least_ms(config, class, nth);
    if (ms < 0)
        return false;
    ms = mr_retry_jitter(random, ms);
    *ret_ms = advised_ms > ms ? advised_ms : ms;
    return true;
}

int64_t mr_retry_park_ms(int64_t waited_ms, int hops, const struct mr_random *random)
{
    bool early = waited_ms > 0 ? waited_ms < 2 * 60 * 1000 : hops < 3;
    bool late = waited_ms > 0 ? waited_ms >= 10 * 60 * 1000 : hops >= 6;
    int64_t ms = early ? 30 * 1000 : late ? 10 * 60 * 1000 : 2 * 60 * 1000;
    return mr_retry_jitter(random, ms) + 1; /* more than a worker keeps a job for */
}
