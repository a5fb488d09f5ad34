#include "tests/standin/ratelimit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* As Go prints a duration: 12ms, 1.5s, 6m0s. */
static void format_go(int64_t ms, char ret[static 32])
{
    if (ms < 1000)
        snprintf(ret, 32, "%" PRId64 "ms", ms);
    else if (ms < 60000)
        snprintf(ret, 32, "%" PRId64 ".%03" PRId64 "s", ms / 1000, ms % 1000);
    else
        snprintf(ret, 32, "%" PRId64 "m%" PRId64 "s", ms / 60000, ms % 60000 / 1000);
}

static void add(char ret[static MR_LIMIT_HEADERS], const char *line)
{
    size_t used = strlen(ret);
    snprintf(ret + used, MR_LIMIT_HEADERS - used, "%s", line);
}

static void say(enum mr_dialect dialect, const char *unit, const struct mr_bucket_state *state,
    int64_t wall_ms, char ret[static MR_LIMIT_HEADERS])
{
    char line[256], reset[32];
    if (dialect == MR_DIALECT_ANTHROPIC) {
        mr_time_format(wall_ms + state->reset_ms, reset);
        snprintf(line, sizeof(line),
            "anthropic-ratelimit-%s-limit: %" PRId64
            "\r\nanthropic-ratelimit-%s-remaining: %" PRId64
            "\r\nanthropic-ratelimit-%s-reset: %s\r\n",
            unit, state->limit, unit, state->remaining, unit, reset);
    } else {
        format_go(state->reset_ms, reset);
        snprintf(line, sizeof(line),
            "x-ratelimit-limit-%s: %" PRId64 "\r\nx-ratelimit-remaining-%s: %" PRId64
            "\r\nx-ratelimit-reset-%s: %s\r\n",
            unit, state->limit, unit, state->remaining, unit, reset);
    }
    add(ret, line);
}

/* OpenAI's way has milliseconds too, Anthropic's whole seconds only. */
static void say_wait(enum mr_dialect dialect, int64_t wait_ms, char ret[static MR_LIMIT_HEADERS])
{
    char line[128];
    if (dialect == MR_DIALECT_OPENAI) {
        snprintf(line, sizeof(line), "retry-after-ms: %" PRId64 "\r\n", wait_ms);
        add(ret, line);
    }
    snprintf(line, sizeof(line), "retry-after: %" PRId64 "\r\n", (wait_ms + 999) / 1000);
    add(ret, line);
}

void mr_ratelimit_apply(struct mr_script *script, enum mr_dialect dialect,
    const struct mr_bill *bill, const struct mr_clock *clock, struct mr_plan *plan,
    char ret_headers[static MR_LIMIT_HEADERS])
{
    const struct {
        const char *unit;
        struct mr_bucket *bucket;
        int64_t limit, need;
    } parts[] = {
        {"requests", &script->request_bucket, plan->requests_a_minute, 1},
        {"tokens", &script->token_bucket, plan->tokens_a_minute,
            bill->input + bill->cached + bill->output},
    };
    int64_t now_ms = mr_mono_ms(clock), wait_ms = 0;
    ret_headers[0] = '\0';
    for (size_t i = 0; i < 2; i++) {
        if (parts[i].limit <= 0)
            continue;
        struct mr_bucket_state state =
            mr_bucket_look(parts[i].bucket, parts[i].limit, plan->burst_s, parts[i].need, now_ms);
        wait_ms = state.wait_ms > wait_ms ? state.wait_ms : wait_ms;
    }
    for (size_t i = 0; i < 2; i++) {
        if (parts[i].limit <= 0)
            continue;
        if (wait_ms == 0)
            mr_bucket_take(parts[i].bucket, parts[i].need);
        struct mr_bucket_state state =
            mr_bucket_look(parts[i].bucket, parts[i].limit, plan->burst_s, 0, now_ms);
        say(dialect, parts[i].unit, &state, mr_wall_ms(clock), ret_headers);
    }
    if (wait_ms == 0)
        return;
    say_wait(dialect, wait_ms, ret_headers);
    plan->outcome = MR_OUTCOME_LIMITED;
    plan->status = 429;
}
