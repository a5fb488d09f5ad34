/* Caps and the cache of answers, as commit_jobs has them: what a call that is to begin is told. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t period_of(int64_t ms)
{
    return ms / SIM_PERIOD_MS;
}

/* What a tenant has committed in a period: settled, ambiguous and held. */
static int64_t spent(const struct sim *sim, int tenant, int64_t period)
{
    int64_t sum = 0;
    for (const struct sim_call *call = sim->calls; call; call = call->next)
        if (call->tenant == tenant && period_of(call->began_ms) == period)
            sum += call->state == MR_CALL_OPEN ? call->hold : call->cost;
    return sum;
}

/* Promise 5, at this very moment, and by the provider's own bills. */
void sim_money_check(struct sim *sim, int tenant)
{
    int64_t cap = sim->caps[tenant], period = period_of(sim->now_ms), billed = 0;
    if (cap == 0)
        return;
    for (const struct sim_call *call = sim->calls; call; call = call->next)
        if (call->tenant == tenant && period_of(call->began_ms) == period)
            billed += call->billed;
    if (spent(sim, tenant, period) > cap || billed > cap)
        sim_fail(sim, "over the cap of %lld: %lld, billed %lld", (long long)cap,
            (long long)spent(sim, tenant, period), (long long)billed);
}

static bool capped(struct sim *sim, int tenant, struct mr_call_row *row)
{
    int64_t cap = sim->caps[tenant], period = period_of(sim->now_ms);
    if (cap == 0 || spent(sim, tenant, period) + row->hold_pico <= cap)
        return false;
    row->admission = MR_ADMIT_CAPPED;
    row->on_cap = sim->on_cap;
    row->hopeless = row->hold_pico > cap;
    row->wait_ms = (period + 1) * SIM_PERIOD_MS - sim->now_ms;
    snprintf(row->refusal, sizeof(row->refusal), "the cap of %lld is reached", (long long)cap);
    sim->refusals++;
    return true;
}

static struct sim_answer *answer_of(struct sim *sim, int tenant, const struct mr_call_row *row)
{
    for (struct sim_answer *answer = sim->answers; answer; answer = answer->next)
        if (answer->tenant == tenant &&
            memcmp(answer->key, row->cache_key, sizeof(answer->key)) == 0)
            return answer;
    struct sim_answer *answer = calloc(1, sizeof(*answer));
    answer->tenant = tenant;
    memcpy(answer->key, row->cache_key, sizeof(answer->key));
    answer->next = sim->answers;
    sim->answers = answer;
    return answer;
}

static void give_hit(struct sim *sim, const struct sim_answer *answer, struct mr_call_row *row)
{
    row->admission = MR_ADMIT_HIT;
    mr_hit_free(row->hit); /* of an answer that was lost */
    row->hit = calloc(1, sizeof(*row->hit));
    row->hit->text = strdup(answer->text);
    row->hit->len = strlen(answer->text);
    sim->hits++;
}

enum mr_admission sim_money_admit(struct sim *sim, int tenant, struct mr_call_row *row)
{
    struct sim_call *known = sim_call(sim, &row->id);
    struct sim_answer *answer = row->cache_ttl_ms > 0 ? answer_of(sim, tenant, row) : NULL;
    const struct sim_call *owner = answer ? sim_call(sim, &answer->call) : NULL;
    row->admission = MR_ADMIT_GO;
    if (known && known->hit)
        give_hit(sim, answer, row); /* said again */
    else if (known)
        ;
    else if (answer && answer->text[0] && answer->until_ms > sim->now_ms)
        give_hit(sim, answer, row);
    else if (owner && owner->state == MR_CALL_OPEN && owner->expires_ms > sim->now_ms)
        row->admission = MR_ADMIT_WAIT;
    else if (!capped(sim, tenant, row) && answer)
        *answer = (struct sim_answer){
            .next = answer->next, .tenant = tenant, .call = row->id, .ttl_ms = row->cache_ttl_ms};
    if (answer && row->admission == MR_ADMIT_GO)
        memcpy(answer->key, row->cache_key, sizeof(answer->key));
    return row->admission;
}

void sim_money_settled(struct sim *sim, const struct mr_call_row *row)
{
    for (struct sim_answer *answer = sim->answers; answer; answer = answer->next) {
        if (!mr_uuid_equal(&answer->call, &row->id) || answer->text[0])
            continue;
        if (row->cache_text && row->class == MR_CLASS_NONE && row->state == MR_CALL_SETTLED) {
            snprintf(answer->text, sizeof(answer->text), "%s", row->cache_text);
            answer->until_ms = sim->now_ms + answer->ttl_ms;
        } else {
            memset(&answer->call, 0, sizeof(answer->call)); /* nobody brings it */
        }
    }
}

void sim_money_free(struct sim *sim)
{
    for (struct sim_answer *answer = sim->answers, *next; answer; answer = next) {
        next = answer->next;
        free(answer);
    }
}
