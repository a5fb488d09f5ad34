/* The scopes, what is in hand of each, and when the database is asked of it. */
#include "worker/limits/limits_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MR_REFRESH_MS 5000 /* what was free may have got a limit meanwhile */
#define MR_SLOTS_MS 4000   /* the database forgets after five seconds what a worker may have */
#define MR_IDLE_MS 60000

struct mr_limits *mr_limits_new(void)
{
    struct mr_limits *limits = calloc(1, sizeof(*limits));
    if (limits)
        limits->due_ms = INT64_MAX;
    return limits;
}

struct mr_limits *mr_limits_free(struct mr_limits *limits)
{
    if (!limits)
        return NULL;
    for (size_t i = 0; i < MR_LIMITS_BUCKETS; i++)
        for (struct mr_scope *scope = limits->table[i], *next; scope; scope = next) {
            next = scope->bucket_next;
            assert(scope->waiting == 0); /* every step has left */
            free(scope);
        }
    free(limits);
    return NULL;
}

void mr_limits_reload(struct mr_limits *limits)
{
    limits->generation++;
}

size_t mr_limits_waiting(const struct mr_limits *limits)
{
    return limits->waiting;
}

/* ---- the table of scopes ---- */

static uint64_t hash_of(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return (hash ^ '/') * UINT64_C(1099511628211);
}

/* Whether name is the parts, with '/' between them. */
static bool is_named(const char *name, const char *const *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(parts[i]);
        if (strncmp(name, parts[i], n) != 0 || name[n] != (i + 1 < count ? '/' : '\0'))
            return false;
        name += n + 1;
    }
    return true;
}

static struct mr_scope *scope_new(struct mr_limits *limits, uint64_t hash, const char *kind,
    const char *const *parts, size_t count)
{
    size_t len = strlen(kind);
    for (size_t i = 0; i < count; i++)
        len += strlen(parts[i]) + (i > 0);
    struct mr_scope *scope = calloc(1, sizeof(*scope) + len + 1);
    if (!scope)
        return NULL;
    size_t end = 0;
    for (size_t i = 0; i < count; i++)
        end += (size_t)snprintf(
            scope->name + end, len + 1 - end, "%s%s", i > 0 ? "/" : kind, parts[i]);
    scope->name_len = strlen(kind);
    scope->hash = hash;
    scope->tenant = count == 1;
    scope->generation = limits->generation - 1;
    scope->slots = MR_LEASE_NONE;
    scope->seen_rpm = scope->seen_tpm = scope->told_rpm = scope->told_tpm = MR_LEASE_NONE;
    scope->ask_ms = INT64_MAX;
    scope->call_ms = 1000;
    scope->gap_ms = MR_ASK_MIN_MS;
    scope->bucket_next = limits->table[hash & (MR_LIMITS_BUCKETS - 1)];
    limits->table[hash & (MR_LIMITS_BUCKETS - 1)] = scope;
    limits->nscopes++;
    return scope;
}

static struct mr_scope *find(
    const struct mr_limits *limits, const char *const *parts, size_t count, uint64_t *ret_hash)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < count; i++)
        hash = hash_of(hash, parts[i]);
    *ret_hash = hash = (hash ^ (hash >> 32)) + count;
    struct mr_scope *scope = limits->table[hash & (MR_LIMITS_BUCKETS - 1)];
    while (scope && (scope->hash != hash || scope->tenant != (count == 1) ||
                        !is_named(scope->name + scope->name_len, parts, count)))
        scope = scope->bucket_next;
    return scope;
}

static struct mr_scope *scope_of(
    struct mr_limits *limits, const char *kind, const char *const *parts, size_t count)
{
    uint64_t hash;
    struct mr_scope *scope = find(limits, parts, count, &hash);
    return scope ? scope : scope_new(limits, hash, kind, parts, count);
}

size_t mr_limits_waiting_for(
    const struct mr_limits *limits, const char *provider, const char *endpoint, const char *model)
{
    const char *parts[] = {provider, endpoint, model};
    uint64_t hash;
    const struct mr_scope *scope = limits->waiting > 0 ? find(limits, parts, 3, &hash) : NULL;
    return scope ? (size_t)scope->waiting : 0;
}

static int64_t stricter(int64_t a, int64_t b)
{
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/* Several aliases may stand for one model: the strictest figure counts. */
static void read_figures(
    struct mr_limits *limits, struct mr_scope *scope, const struct mr_limits_ask *ask)
{
    scope->generation = limits->generation;
    scope->rpm = scope->tpm = scope->concurrency = 0;
    for (size_t i = 0; i < ask->config->nmodels; i++) {
        const struct mr_model *model = &ask->config->models[i];
        if (strcmp(model->model, ask->model) != 0 ||
            strcmp(model->provider->name, ask->provider) != 0)
            continue;
        scope->rpm = stricter(scope->rpm, model->rpm);
        scope->tpm = stricter(scope->tpm, model->tpm);
        scope->concurrency = (int)stricter(scope->concurrency, model->concurrency);
    }
    scope->asked_ms = INT64_MIN / 2; /* the database has to hear of it */
}

struct mr_scope *mr_scope_model(struct mr_limits *limits, const struct mr_limits_ask *ask)
{
    const char *parts[] = {ask->provider, ask->endpoint, ask->model};
    struct mr_scope *scope = scope_of(limits, "model:", parts, 3);
    if (scope && scope->generation != limits->generation)
        read_figures(limits, scope, ask);
    return scope;
}

struct mr_scope *mr_scope_tenant(struct mr_limits *limits, const struct mr_limits_ask *ask)
{
    return scope_of(limits, "tenant:", &ask->tenant, 1);
}

static void forget(struct mr_limits *limits, struct mr_scope **at)
{
    struct mr_scope *scope = *at;
    *at = scope->bucket_next;
    limits->nscopes--;
    free(scope);
}

/* Of a scope nobody has used for a while there is nothing to remember. */
void mr_scope_sweep(struct mr_limits *limits, int64_t now_ms)
{
    if (now_ms - limits->swept_ms <= MR_IDLE_MS)
        return;
    limits->swept_ms = now_ms;
    for (size_t i = 0; i < MR_LIMITS_BUCKETS; i++)
        for (struct mr_scope **at = &limits->table[i]; *at;) {
            const struct mr_scope *scope = *at;
            bool idle = scope->used_ms < now_ms - MR_IDLE_MS && scope->in_flight == 0 &&
                        scope->waiting == 0 && !scope->asking && scope->ask_ms == INT64_MAX &&
                        scope->tail_ms < now_ms;
            if (idle)
                forget(limits, at);
            else
                at = &(*at)->bucket_next;
        }
}

/* ---- when the database is asked ---- */

void mr_scope_ask_never(struct mr_limits *limits, struct mr_scope *scope)
{
    if (scope->ask_ms == INT64_MAX)
        return;
    scope->ask_ms = INT64_MAX;
    if (scope->asks_prev)
        scope->asks_prev->asks_next = scope->asks_next;
    else
        limits->asks = scope->asks_next;
    if (scope->asks_next)
        scope->asks_next->asks_prev = scope->asks_prev;
}

void mr_scope_ask_by(struct mr_limits *limits, struct mr_scope *scope, int64_t at_ms)
{
    if (scope->ask_ms <= at_ms)
        return;
    if (scope->ask_ms == INT64_MAX) {
        scope->asks_prev = NULL;
        scope->asks_next = limits->asks;
        if (limits->asks)
            limits->asks->asks_prev = scope;
        limits->asks = scope;
    }
    scope->ask_ms = at_ms;
    if (at_ms < limits->due_ms)
        limits->due_ms = at_ms;
}

int64_t mr_scope_soon(const struct mr_scope *scope, int64_t gap_ms, int64_t now_ms)
{
    return scope->asked_ms + gap_ms > now_ms ? scope->asked_ms + gap_ms : now_ms;
}

void mr_scope_touch(struct mr_limits *limits, struct mr_scope *scope, int64_t now_ms)
{
    scope->used_ms = now_ms;
    if (scope->asking)
        return;
    if (scope->state == MR_SCOPE_UNKNOWN || scope->asked_ms + MR_REFRESH_MS <= now_ms)
        mr_scope_ask_by(limits, scope, now_ms);
}

/* ---- what is in hand ---- */

/* What the database is not told of it may give to others: until it has answered, and when that is
 * long ago, nobody joins those in flight. */
static int slots_of(const struct mr_scope *scope, int64_t now_ms)
{
    bool unsure = scope->asking || scope->answered_ms + MR_SLOTS_MS <= now_ms;
    return unsure && scope->told < scope->slots ? scope->told : scope->slots;
}

bool mr_scope_has(const struct mr_scope *scope, int64_t tokens, int64_t now_ms)
{
    if (scope->state != MR_SCOPE_LIMITED)
        return scope->state == MR_SCOPE_FREE && now_ms >= scope->paused_until_ms;
    if (now_ms < scope->paused_until_ms)
        return false;
    int slots = slots_of(scope, now_ms);
    if (slots != MR_LEASE_NONE && scope->in_flight >= slots)
        return false;
    if (scope->requests == MR_LEASE_NONE && scope->tokens == MR_LEASE_NONE)
        return true;
    if (now_ms >= scope->good_until_ms)
        return false;
    return scope->requests != 0 && (scope->tokens == MR_LEASE_NONE || scope->tokens >= tokens);
}

void mr_scope_take(struct mr_limits *limits, struct mr_scope *scope, int64_t tokens, int64_t now_ms)
{
    scope->in_flight++;
    if (scope->state != MR_SCOPE_LIMITED)
        return;
    scope->taken++;
    scope->taken_tokens += tokens;
    bool low = false;
    if (scope->requests != MR_LEASE_NONE)
        low = --scope->requests < scope->ahead / 2;
    if (scope->tokens != MR_LEASE_NONE) {
        scope->tokens -= tokens;
        low = low || scope->tokens < scope->ahead_tokens / 2;
    }
    /* Whoever comes next shall not have to wait for the database. */
    if (!scope->asking)
        mr_scope_ask_by(
            limits, scope, mr_scope_soon(scope, low ? scope->gap_ms : MR_NEWS_MS, now_ms));
}

void mr_limits_each(const struct mr_limits *limits, int64_t now_ms,
    void (*each)(void *ctx, const struct mr_limits_view *view), void *ctx)
{
    for (size_t i = 0; i < MR_LIMITS_BUCKETS; i++)
        for (const struct mr_scope *scope = limits->table[i]; scope; scope = scope->bucket_next) {
            if (scope->state != MR_SCOPE_LIMITED)
                continue;
            struct mr_limits_view view = {
                .scope = scope->name,
                .tenant = scope->tenant,
                .rpm_share = scope->rpm_share,
                .tpm_share = scope->tpm_share,
                .slots = scope->slots,
                .in_flight = scope->in_flight,
                .waiting = scope->waiting,
                .paused = scope->paused_until_ms > now_ms,
            };
            each(ctx, &view);
        }
}
