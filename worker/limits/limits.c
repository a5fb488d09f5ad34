/* What a call asks of its two scopes, how long it waits, and what its end tells of them. */
#include "worker/limits/limits_int.h"

#define MR_PAUSE_MAX_MS 60000
#define MR_LATER_MAX_MS (10 * 60 * 1000)

/* ---- how long it takes ---- */

/* The time until `amount` has come in at so much a minute. */
static int64_t time_for(int64_t amount, int64_t share)
{
    if (amount <= 0)
        return 0;
    if (share <= 0)
        return MR_LATER_MAX_MS;
    return amount > INT64_MAX / 120000 ? MR_LATER_MAX_MS : amount * 60000 / share;
}

/* Until a call is served that has this many requests and tokens before it. */
static int64_t wait_of(const struct mr_scope *scope, int64_t before, int64_t tokens, int64_t now_ms)
{
    if (scope->state != MR_SCOPE_LIMITED)
        return 0;
    bool good = now_ms < scope->good_until_ms;
    int64_t wait = 0, other = 0;
    if (scope->requests != MR_LEASE_NONE)
        wait = time_for(before + 1 - (good ? scope->requests : 0), scope->rpm_share);
    if (scope->tokens != MR_LEASE_NONE)
        other = time_for(tokens - (good ? scope->tokens : 0), scope->tpm_share);
    wait = other > wait ? other : wait;
    if (scope->slots != MR_LEASE_NONE) {
        int64_t slots = scope->slots > 0 ? scope->slots : 1;
        int64_t over = before + 1 + scope->in_flight - slots;
        other = over > 0 ? over * scope->call_ms / slots : 0;
        wait = other > wait ? other : wait;
    }
    if (scope->paused_until_ms > now_ms)
        wait += scope->paused_until_ms - now_ms;
    return wait;
}

/* A call is sent away: behind those that were before it. */
static int64_t send_away(struct mr_scope *scope, int64_t wait_ms, int64_t tokens, int64_t now_ms)
{
    int64_t at_ms = now_ms + wait_ms;
    if (scope->tail_ms < at_ms)
        scope->tail_ms = at_ms;
    if (scope->tail_ms > now_ms + MR_LATER_MAX_MS)
        scope->tail_ms = now_ms + MR_LATER_MAX_MS;
    wait_ms = scope->tail_ms - now_ms;
    int64_t turn = 0, other = 0;
    if (scope->requests != MR_LEASE_NONE)
        turn = time_for(1, scope->rpm_share);
    if (scope->tokens != MR_LEASE_NONE)
        other = time_for(tokens, scope->tpm_share);
    turn = other > turn ? other : turn;
    if (turn == 0)
        turn = scope->call_ms / (scope->slots > 0 ? scope->slots : 1);
    scope->tail_ms += turn;
    return wait_ms;
}

static int64_t wait_behind(
    const struct mr_scope *scope, int64_t before, int64_t tokens, int64_t now_ms)
{
    if (before > scope->waiting)
        before = scope->waiting;
    if (before > 0)
        tokens += scope->waiting_tokens / scope->waiting * before;
    return wait_of(scope, before, tokens, now_ms);
}

/* Which of its scopes keeps it longer, and how long. Its line takes turns with others. */
static struct mr_scope *slower(const struct mr_ticket *ticket, int64_t now_ms, int64_t *ret_wait_ms)
{
    struct mr_scope *model = ticket->model, *tenant = ticket->tenant;
    const struct mr_limit_line *line = mr_line_of(model, tenant);
    int64_t lines = (int64_t)model->nlines + !line, mine = line ? line->count : 0;
    int64_t of_tenant = tenant->waiting;
    if (ticket->state == MR_TICKET_WAITING) {
        mine = 0;
        for (const struct mr_ticket *t = ticket->prev; t; t = t->prev)
            mine++;
        of_tenant = mine * (int64_t)tenant->nlines;
    }
    int64_t at_model = wait_behind(model, (mine + 1) * lines - 1, ticket->tokens, now_ms);
    int64_t at_tenant = wait_behind(tenant, of_tenant, ticket->tokens, now_ms);
    *ret_wait_ms = at_tenant > at_model ? at_tenant : at_model;
    return at_tenant > at_model ? tenant : model;
}

/* ---- asking and leaving ---- */

static void put_back(struct mr_scope *scope, int64_t tokens, int64_t now_ms)
{
    scope->in_flight--;
    if (scope->state != MR_SCOPE_LIMITED || now_ms >= scope->good_until_ms)
        return;
    if (scope->requests != MR_LEASE_NONE)
        scope->requests++;
    if (scope->tokens != MR_LEASE_NONE)
        scope->tokens += tokens;
}

static bool may_pass(const struct mr_ticket *ticket, int64_t now_ms)
{
    const struct mr_scope *model = ticket->model;
    bool first =
        model->waiting == 0 ||
        (!model->short_of && !mr_line_of(model, ticket->tenant)); /* others wait for theirs */
    return first && mr_scope_has(model, ticket->tokens, now_ms) &&
           mr_scope_has(ticket->tenant, ticket->tokens, now_ms);
}

static void need_more(struct mr_limits *limits, struct mr_scope *scope, int64_t now_ms)
{
    if (scope->state == MR_SCOPE_LIMITED && !scope->asking)
        mr_scope_ask_by(limits, scope, mr_scope_soon(scope, scope->gap_ms, now_ms));
}

enum mr_limits_answer mr_limits_ask(struct mr_limits *limits, struct mr_ticket *ticket,
    const struct mr_limits_ask *ask, int64_t now_ms, int64_t *ret_wait_ms, const char **ret_scope)
{
    mr_scope_sweep(limits, now_ms);
    struct mr_scope *model = mr_scope_model(limits, ask), *tenant = mr_scope_tenant(limits, ask);
    if (ticket->state != MR_TICKET_NONE && (ticket->model != model || ticket->tenant != tenant))
        mr_limits_leave(limits, ticket, NULL, now_ms); /* it goes another way now */
    if (!model || !tenant) /* no memory: nobody is kept from work by that */
        return MR_LIMITS_GO;
    if (ticket->state == MR_TICKET_HELD)
        return MR_LIMITS_GO;
    mr_scope_touch(limits, model, now_ms);
    mr_scope_touch(limits, tenant, now_ms);
    if (ticket->state == MR_TICKET_NONE) {
        ticket->model = model;
        ticket->tenant = tenant;
        ticket->tokens = ask->tokens;
        ticket->owner = ask->owner;
        if (may_pass(ticket, now_ms)) {
            mr_scope_take(limits, model, ticket->tokens, now_ms);
            mr_scope_take(limits, tenant, ticket->tokens, now_ms);
            ticket->state = MR_TICKET_HELD;
            return MR_LIMITS_GO;
        }
    }
    struct mr_scope *slow = slower(ticket, now_ms, ret_wait_ms);
    if (*ret_wait_ms > MR_LIMITS_WAIT_MAX_MS) {
        if (ticket->state == MR_TICKET_WAITING)
            mr_line_quit(limits, ticket);
        *ret_wait_ms = send_away(slow, *ret_wait_ms, ticket->tokens, now_ms);
        *ret_scope = slow->name;
        *ticket = (struct mr_ticket){0};
        return MR_LIMITS_LATER;
    }
    if (ticket->state == MR_TICKET_NONE && mr_line_join(limits, ticket) < 0) {
        *ticket = (struct mr_ticket){0};
        return MR_LIMITS_GO;
    }
    need_more(limits, model, now_ms);
    need_more(limits, tenant, now_ms);
    return MR_LIMITS_WAIT;
}

/* How long to keep away when the last request or token is gone: until there is one again. Providers
 * fill up steadily; what they call the reset is when they will be full. */
static int64_t dry_ms(const struct mr_limits_seen *seen, int64_t need)
{
    if (seen->remaining != 0 || seen->reset_ms <= 0)
        return 0;
    int64_t refill = seen->limit > 0 ? time_for(need, seen->limit) : seen->reset_ms;
    return refill < seen->reset_ms ? refill : seen->reset_ms;
}

static int64_t pause_of(const struct mr_limits_end *end, int64_t tokens)
{
    int64_t pause = end->throttled && end->retry_after_ms > 0 ? end->retry_after_ms : 0;
    int64_t dry = dry_ms(&end->requests, 1), dry_tokens = dry_ms(&end->by_tokens, tokens);
    pause = dry > pause ? dry : pause;
    pause = dry_tokens > pause ? dry_tokens : pause;
    return pause < MR_PAUSE_MAX_MS ? pause : MR_PAUSE_MAX_MS;
}

/* What the provider has shown of the model's limits. */
static void learn(struct mr_limits *limits, struct mr_scope *model, const struct mr_limits_end *end,
    int64_t tokens, int64_t now_ms)
{
    int64_t pause_until = now_ms + pause_of(end, tokens);
    model->throttled += end->throttled;
    if (end->success) {
        model->successes++;
        model->call_ms += (end->latency_ms - model->call_ms) / 8;
    }
    if (end->requests.limit > 0)
        model->seen_rpm = end->requests.limit;
    if (end->by_tokens.limit > 0)
        model->seen_tpm = end->by_tokens.limit;
    if (pause_until > now_ms && pause_until > model->pause_until_ms)
        model->pause_until_ms = pause_until;
    if (model->pause_until_ms > model->paused_until_ms)
        model->paused_until_ms = model->pause_until_ms;
    bool news = model->seen_rpm != model->told_rpm || model->seen_tpm != model->told_tpm ||
                model->pause_until_ms > now_ms;
    if (!model->asking && (end->throttled || (news && model->state == MR_SCOPE_FREE)))
        mr_scope_ask_by(limits, model, now_ms);
}

static void end_call(struct mr_limits *limits, struct mr_scope *scope, int64_t over, int64_t now_ms)
{
    scope->in_flight--;
    if (scope->state != MR_SCOPE_LIMITED)
        return;
    if (scope->tokens != MR_LEASE_NONE)
        scope->back_tokens += over;
    if (!scope->asking)
        mr_scope_ask_by(limits, scope, mr_scope_soon(scope, MR_NEWS_MS, now_ms));
}

void mr_limits_leave(struct mr_limits *limits, struct mr_ticket *ticket,
    const struct mr_limits_end *end, int64_t now_ms)
{
    struct mr_scope *model = ticket->model, *tenant = ticket->tenant;
    int64_t tokens = ticket->tokens;
    if (ticket->state == MR_TICKET_WAITING) {
        mr_line_quit(limits, ticket);
    } else if (ticket->state == MR_TICKET_HELD && end) {
        int64_t over = end->tokens == MR_LEASE_NONE ? 0 : tokens - end->tokens;
        end_call(limits, model, over, now_ms);
        end_call(limits, tenant, over, now_ms);
        learn(limits, model, end, tokens, now_ms);
        limits->ripe |= model->slots != MR_LEASE_NONE;
    } else if (ticket->state == MR_TICKET_HELD) {
        put_back(model, tokens, now_ms);
        put_back(tenant, tokens, now_ms);
        limits->ripe = true;
    }
    *ticket = (struct mr_ticket){0};
}
