#include "worker/engine/breaker.h"

#include <assert.h>

#define MR_ASK_EVERY_MS 5000

bool mr_breaker_allows(
    const struct mr_breaker *breaker, const struct mr_config_breaker *config, int64_t now_ms)
{
    switch (breaker->state) {
    case MR_BREAKER_CLOSED:
        return true;
    case MR_BREAKER_OPEN:
        return now_ms >= breaker->until_ms;
    case MR_BREAKER_HALF_OPEN:
        return breaker->probes < config->probes;
    }
    return true;
}

static void move(struct mr_breaker *breaker, enum mr_breaker_state to)
{
    breaker->state = to;
    breaker->period++;
    breaker->failures = breaker->successes = breaker->probes = 0;
}

static void open_it(struct mr_breaker *breaker, const struct mr_config_breaker *config,
    const struct mr_err *why, int64_t now_ms)
{
    move(breaker, MR_BREAKER_OPEN);
    breaker->until_ms = now_ms + config->open_ms;
    breaker->ask_ms = now_ms + MR_ASK_EVERY_MS;
    breaker->why = *why;
}

bool mr_breaker_enter(struct mr_breaker *breaker, int64_t now_ms, unsigned *ret_period)
{
    bool changed = breaker->state == MR_BREAKER_OPEN;
    assert(!changed || now_ms >= breaker->until_ms);
    if (changed)
        move(breaker, MR_BREAKER_HALF_OPEN);
    breaker->probes += breaker->state == MR_BREAKER_HALF_OPEN;
    breaker->in_flight++;
    *ret_period = breaker->period;
    return changed;
}

static bool went_well(struct mr_breaker *breaker, const struct mr_config_breaker *config)
{
    breaker->failures = 0;
    if (breaker->state != MR_BREAKER_HALF_OPEN || ++breaker->successes < config->successes)
        return false;
    move(breaker, MR_BREAKER_CLOSED);
    return true;
}

bool mr_breaker_leave(struct mr_breaker *breaker, const struct mr_config_breaker *config,
    unsigned period, enum mr_verdict_of_call verdict, const struct mr_err *why, int64_t now_ms)
{
    breaker->in_flight--;
    if (period != breaker->period)
        return false;
    breaker->probes -= breaker->state == MR_BREAKER_HALF_OPEN;
    if (verdict == MR_CALL_NO_SIGN)
        return false;
    if (verdict == MR_CALL_GOOD)
        return went_well(breaker, config);
    breaker->failures++;
    bool enough = breaker->failures >= config->failures;
    if (!enough && verdict != MR_CALL_BARRED && breaker->state != MR_BREAKER_HALF_OPEN)
        return false;
    open_it(breaker, config, why, now_ms);
    return true;
}

bool mr_breaker_asked(struct mr_breaker *breaker, bool well, int64_t now_ms)
{
    breaker->asking = false;
    breaker->ask_ms = now_ms + MR_ASK_EVERY_MS;
    if (!well || mr_breaker_ask_ms(breaker) == INT64_MAX)
        return false;
    move(breaker, MR_BREAKER_HALF_OPEN);
    return true;
}

int64_t mr_breaker_ask_ms(const struct mr_breaker *breaker)
{
    bool credential = breaker->why.class == MR_CLASS_AUTH || breaker->why.class == MR_CLASS_QUOTA;
    bool wanted = breaker->state == MR_BREAKER_OPEN && !breaker->asking && !credential;
    return wanted ? breaker->ask_ms : INT64_MAX;
}
