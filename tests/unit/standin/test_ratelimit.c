#include "tests/standin/ratelimit.h"
#include "tests/unit/test.h"

#include <string.h>

static int64_t now_ms = 1000;

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return now_ms;
}

static int64_t mono_ns(void *ctx)
{
    (void)ctx;
    return now_ms * 1000000;
}

static const struct mr_clock stopped = {wall_ms, mono_ns, NULL};
static char headers[MR_LIMIT_HEADERS];

static struct mr_script script_of(const char *text)
{
    struct mr_script script;
    struct mr_err err;
    CHECK_INT(mr_script_parse(text, &script, &err), 0);
    return script;
}

static enum mr_outcome ask(struct mr_script *script, enum mr_dialect dialect, long tokens)
{
    struct mr_plan plan;
    const struct mr_bill bill = {.input = tokens - 1, .output = 1};
    mr_script_next(script, 1, &plan);
    mr_ratelimit_apply(script, dialect, &bill, &stopped, &plan, headers);
    CHECK(plan.outcome != MR_OUTCOME_LIMITED || plan.status == 429);
    return plan.outcome;
}

static void limits_requests(void)
{
    struct mr_script script = script_of("ratelimit=60/0/2");
    for (int i = 0; i < 2; i++) /* 60 a minute, but no more than two seconds' worth at once */
        CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 10), MR_OUTCOME_OK);
    CHECK(strstr(headers, "x-ratelimit-limit-requests: 60\r\n"));
    CHECK(strstr(headers, "x-ratelimit-remaining-requests: 0\r\n"));
    CHECK(strstr(headers, "x-ratelimit-reset-requests: 2.000s\r\n"));
    CHECK(!strstr(headers, "tokens") && !strstr(headers, "retry-after"));
    CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 10), MR_OUTCOME_LIMITED);
    CHECK(strstr(headers, "retry-after-ms: 1000\r\nretry-after: 1\r\n"));
    now_ms += 999;
    CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 10), MR_OUTCOME_LIMITED);
    CHECK(strstr(headers, "retry-after-ms: 1\r\n"));
    now_ms += 1;
    CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 10), MR_OUTCOME_OK);
    now_ms += 600000; /* an hour's rest fills it no further */
    for (int i = 0; i < 2; i++)
        CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 10), MR_OUTCOME_OK);
    CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 10), MR_OUTCOME_LIMITED);
}

static void limits_tokens(void)
{
    struct mr_script script = script_of("ratelimit=0/6000/1");
    now_ms = 0;
    CHECK_INT(ask(&script, MR_DIALECT_ANTHROPIC, 90), MR_OUTCOME_OK);
    CHECK(strstr(headers, "anthropic-ratelimit-tokens-limit: 6000\r\n"));
    CHECK(strstr(headers, "anthropic-ratelimit-tokens-remaining: 10\r\n"));
    CHECK(strstr(headers, "anthropic-ratelimit-tokens-reset: 1970-01-01T00:00:00.900Z\r\n"));
    CHECK(!strstr(headers, "requests"));
    CHECK_INT(ask(&script, MR_DIALECT_ANTHROPIC, 11), MR_OUTCOME_LIMITED);
    CHECK(strstr(headers, "remaining: 10\r\n")); /* nothing was taken */
    CHECK(strstr(headers, "retry-after: 1\r\n") && !strstr(headers, "retry-after-ms"));
    CHECK_INT(ask(&script, MR_DIALECT_ANTHROPIC, 10), MR_OUTCOME_OK);
    now_ms += 999; /* more than it ever holds: a full one will do */
    CHECK_INT(ask(&script, MR_DIALECT_ANTHROPIC, 500), MR_OUTCOME_LIMITED);
    now_ms += 1;
    CHECK_INT(ask(&script, MR_DIALECT_ANTHROPIC, 500), MR_OUTCOME_OK);
}

static void takes_from_both_or_none(void)
{
    struct mr_script script = script_of("ratelimit=60/60000/1");
    CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 400), MR_OUTCOME_OK);
    now_ms += 1000;
    CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 1), MR_OUTCOME_OK);
    CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 1), MR_OUTCOME_LIMITED);
    CHECK(strstr(headers, "x-ratelimit-remaining-tokens: 999\r\n"));
}

static void says_nothing_without_limits(void)
{
    struct mr_script script = script_of("ratelimit=0/0");
    CHECK_INT(ask(&script, MR_DIALECT_OPENAI, 1000000), MR_OUTCOME_OK);
    CHECK_STR(headers, "");
}

static void refuses_what_it_cannot_read(void)
{
    static const char *const bad[] = {"ratelimit", "ratelimit=", "ratelimit=1", "ratelimit=1/",
        "ratelimit=1/2/", "ratelimit=1/2/0", "ratelimit=1/2/61", "ratelimit=/2"};
    struct mr_script script;
    struct mr_err err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(mr_script_parse(bad[i], &script, &err) < 0);
}

TEST_MAIN(TEST(limits_requests), TEST(limits_tokens), TEST(takes_from_both_or_none),
    TEST(says_nothing_without_limits), TEST(refuses_what_it_cannot_read))
