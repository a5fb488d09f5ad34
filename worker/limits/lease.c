/* What the database is told of the scopes, and what it says. */
#include "worker/limits/limits_int.h"

#include <assert.h>

#define MR_GRANT_MS 2000 /* what is not used by then is not used */
#define MR_AHEAD_MS 500  /* of the near future is asked for beforehand */
#define MR_ASK_MAX_MS 500
#define MR_ASK_POOR_MS 2000 /* when the database says that there will be nothing before */
#define MR_ALIVE_MS 1000    /* the database hears of calls in flight within this */
#define MR_TOGETHER_MS 20   /* what is due so soon goes along */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What goes without waiting in the time to come, by what went lately. */
static void look_ahead(struct mr_scope *scope, int64_t now_ms)
{
    int64_t age = most(MR_ASK_MIN_MS, least(now_ms - scope->asked_ms, 10 * MR_ASK_MAX_MS));
    scope->ahead = (scope->ahead + scope->taken * MR_AHEAD_MS / age) / 2;
    scope->ahead_tokens = (scope->ahead_tokens + scope->taken_tokens * MR_AHEAD_MS / age) / 2;
    scope->taken = scope->taken_tokens = 0;
}

/* More than is in hand, or back what is too much. */
static void balance(int64_t *hand, int64_t need, int64_t *ret_want, int64_t *ret_back)
{
    if (*hand == MR_LEASE_NONE) {
        *ret_want = need;
        return;
    }
    *ret_want = most(0, need - *hand);
    if (*hand <= need)
        return;
    *ret_back += *hand - need;
    *hand = need;
}

static void write_row(struct mr_scope *scope, struct mr_lease_row *row, int64_t now_ms)
{
    if (now_ms >= scope->good_until_ms) {
        scope->requests = least(scope->requests, 0);
        scope->tokens = least(scope->tokens, 0);
    }
    look_ahead(scope, now_ms);
    struct mr_demand demand = mr_line_demand(scope, now_ms);
    *row = (struct mr_lease_row){
        .scope = scope->name,
        .rpm = scope->rpm,
        .tpm = scope->tpm,
        .concurrency = scope->concurrency,
        .back_tokens = scope->back_tokens,
        .in_flight = scope->in_flight,
        .waiting = scope->waiting,
        .successes = scope->successes,
        .throttled = scope->throttled,
        .pause_ms = most(0, scope->pause_until_ms - now_ms),
        .seen_rpm = scope->seen_rpm,
        .seen_tpm = scope->seen_tpm,
    };
    if (scope->state != MR_SCOPE_LIMITED)
        scope->requests = scope->tokens = MR_LEASE_NONE;
    int64_t in_hand = most(scope->tokens, 0);
    balance(
        &scope->requests, demand.requests + scope->ahead, &row->want_requests, &row->back_requests);
    balance(
        &scope->tokens, demand.tokens + scope->ahead_tokens, &row->want_tokens, &row->back_tokens);
    row->head_tokens = most(0, demand.head_tokens - in_hand);
    scope->told = scope->in_flight;
    scope->told_rpm = scope->seen_rpm;
    scope->told_tpm = scope->seen_tpm;
    scope->back_tokens = scope->pause_until_ms = 0;
    scope->successes = scope->throttled = 0;
    scope->asked_ms = now_ms;
}

int64_t mr_limits_due_ms(const struct mr_limits *limits)
{
    return limits->leasing ? INT64_MAX : limits->due_ms;
}

struct mr_lease *mr_limits_lease(struct mr_limits *limits, int64_t now_ms)
{
    if (limits->leasing || now_ms < limits->due_ms)
        return NULL;
    struct mr_lease *lease = &limits->lease;
    lease->count = 0;
    lease->refused = false;
    limits->due_ms = INT64_MAX;
    for (struct mr_scope *scope = limits->asks, *next; scope; scope = next) {
        next = scope->asks_next;
        if (scope->ask_ms > now_ms + MR_TOGETHER_MS || lease->count == MR_LEASE_MAX) {
            limits->due_ms = least(limits->due_ms, scope->ask_ms);
            continue;
        }
        mr_scope_ask_never(limits, scope);
        limits->leased[lease->count] = scope;
        write_row(scope, &lease->rows[lease->count++], now_ms);
        scope->asking = true;
    }
    limits->leasing = lease->count > 0;
    return limits->leasing ? lease : NULL;
}

static void take_in(int64_t *hand, int64_t granted)
{
    if (granted == MR_LEASE_NONE)
        *hand = MR_LEASE_NONE;
    else
        *hand = most(*hand, 0) + granted;
}

static void read_row(struct mr_scope *scope, const struct mr_lease_row *row, int64_t now_ms)
{
    bool free = row->requests == MR_LEASE_NONE && row->tokens == MR_LEASE_NONE &&
                row->slots == MR_LEASE_NONE;
    if (scope->state != MR_SCOPE_LIMITED)
        scope->good_until_ms = 0;
    scope->state = free ? MR_SCOPE_FREE : MR_SCOPE_LIMITED;
    take_in(&scope->requests, row->requests);
    take_in(&scope->tokens, row->tokens);
    if (row->requests > 0 || row->tokens > 0)
        scope->good_until_ms = now_ms + MR_GRANT_MS;
    scope->slots = row->slots;
    scope->rpm_share = row->rpm_share;
    scope->tpm_share = row->tpm_share;
    scope->paused_until_ms = most(now_ms + row->paused_ms, scope->pause_until_ms);
}

static void ask_again(struct mr_limits *limits, struct mr_scope *scope,
    const struct mr_lease_row *row, int64_t now_ms, const struct mr_random *random)
{
    /* Never the same, so that no worker is always just behind another. */
    scope->gap_ms = MR_ASK_MIN_MS + (int64_t)mr_random_below(random, MR_ASK_MIN_MS);
    bool news = scope->throttled > 0 || scope->pause_until_ms > now_ms;
    if (news) {
        mr_scope_ask_by(limits, scope, now_ms);
    } else if (scope->waiting > 0 &&
               (scope->state == MR_SCOPE_LIMITED || scope->paused_until_ms > now_ms)) {
        int64_t poor = row->more_ms > MR_ASK_MAX_MS ? MR_ASK_POOR_MS : MR_ASK_MAX_MS;
        int64_t gap = most(scope->gap_ms, least(row->more_ms, poor));
        mr_scope_ask_by(limits, scope, now_ms + gap);
    } else if (scope->state == MR_SCOPE_LIMITED &&
               ((scope->slots != MR_LEASE_NONE && scope->in_flight > 0) || scope->back_tokens ||
                   scope->successes)) {
        mr_scope_ask_by(limits, scope, now_ms + MR_ALIVE_MS);
    }
}

void mr_limits_leased(struct mr_limits *limits, int64_t now_ms, const struct mr_random *random)
{
    assert(limits->leasing);
    limits->leasing = false;
    for (size_t i = 0; i < limits->lease.count; i++) {
        struct mr_scope *scope = limits->leased[i];
        struct mr_lease_row *row = &limits->lease.rows[i];
        scope->asking = false;
        scope->answered_ms = now_ms;
        if (!limits->lease.refused) {
            read_row(scope, row, now_ms);
        } else { /* ask again in peace; what nothing is known of is let through */
            row->more_ms = MR_ASK_POOR_MS;
            if (scope->state == MR_SCOPE_UNKNOWN)
                scope->state = MR_SCOPE_FREE;
        }
        ask_again(limits, scope, row, now_ms, random);
    }
    limits->ripe = true;
}
