#include "tests/unit/test.h"
#include "worker/io/reply_headers.h"

#include "common/clock.h"

#define NOW INT64_C(1795261200000) /* 2026-11-21T11:40:00Z */

/* Reads header lines. */
static struct mr_reply read_all(const char *lines)
{
    struct mr_reply_headers headers;
    struct mr_reply reply = {.status = 0};
    mr_reply_headers_init(&headers);
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        n += lines[n] == '\n';
        mr_reply_headers_line(&headers, lines, n, NOW);
        lines += n;
    }
    mr_reply_headers_read(&headers, &reply);
    return reply;
}

struct row {
    const char *lines;
    struct mr_rate_headers requests, tokens;
};
#define NONE                                                                                       \
    {                                                                                              \
        -1, -1, -1                                                                                 \
    }

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mr_reply reply = read_all(rows[i].lines);
        if (memcmp(&reply.requests, &rows[i].requests, sizeof(reply.requests)) != 0 ||
            memcmp(&reply.tokens, &rows[i].tokens, sizeof(reply.tokens)) != 0)
            fprintf(stderr, "# row %zu: %s", i, rows[i].lines);
        CHECK_INT(reply.requests.limit, rows[i].requests.limit);
        CHECK_INT(reply.requests.remaining, rows[i].requests.remaining);
        CHECK_INT(reply.requests.reset_ms, rows[i].requests.reset_ms);
        CHECK_INT(reply.tokens.limit, rows[i].tokens.limit);
        CHECK_INT(reply.tokens.remaining, rows[i].tokens.remaining);
        CHECK_INT(reply.tokens.reset_ms, rows[i].tokens.reset_ms);
    }
}
#define CHECK_ROWS(rows) check(rows, sizeof(rows) / sizeof(rows[0]))

static void openai(void)
{
    static const struct row rows[] = {
        {"x-ratelimit-limit-requests: 5000\nx-ratelimit-limit-tokens: 160000\n"
         "x-ratelimit-remaining-requests: 4999\nx-ratelimit-remaining-tokens: 158866\n"
         "x-ratelimit-reset-requests: 12ms\nx-ratelimit-reset-tokens: 425ms\n",
            {5000, 4999, 12}, {160000, 158866, 425}},
        /* the third family: whichever is nearer to its end */
        {"x-ratelimit-limit-tokens: 1000\nx-ratelimit-remaining-tokens: 900\n"
         "x-ratelimit-reset-tokens: 6s\nx-ratelimit-limit-tokens_usage_based: 5000\n"
         "x-ratelimit-remaining-tokens_usage_based: 4000\n"
         "x-ratelimit-reset-tokens_usage_based: 12s\n",
            NONE, {5000, 4000, 12000}},
        {"X-RateLimit-Limit-Project-Tokens: 50000\nX-RateLimit-Remaining-Project-Tokens: 0\n"
         "X-RateLimit-Reset-Project-Tokens: 1m0s\nx-ratelimit-limit-tokens: 10\n"
         "x-ratelimit-remaining-tokens: 1\n",
            NONE, {50000, 0, 60000}},
        /* limits of a day: known by how long they take to fill */
        {"x-ratelimit-limit-requests: 200\nx-ratelimit-remaining-requests: 197\n"
         "x-ratelimit-reset-requests: 16m17.764s\n",
            {-1, 197, 977764}, NONE},
        /* Azure says that there is none */
        {"x-ratelimit-limit-requests: -1\nx-ratelimit-remaining-requests: -1\n"
         "x-ratelimit-limit-tokens: -1\nx-ratelimit-remaining-tokens: 0\n"
         "x-ratelimit-reset-tokens: 0\n",
            NONE, NONE},
        {"x-ratelimit-limit-requests: 0\nx-ratelimit-remaining-requests: 0\n", NONE, NONE},
        {"x-ratelimit-remaining-requests: 99\nx-ratelimit-remaining-tokens: 99000\n", {-1, 99, -1},
            {-1, 99000, -1}},
    };
    CHECK_ROWS(rows);
}

static void anthropic(void)
{
    static const struct row rows[] = {
        {"anthropic-ratelimit-requests-limit: 1000\nanthropic-ratelimit-requests-remaining: 999\n"
         "anthropic-ratelimit-requests-reset: 2026-11-21T11:40:00Z\n"
         "anthropic-ratelimit-tokens-limit: 480000\nanthropic-ratelimit-tokens-remaining: 470000\n"
         "anthropic-ratelimit-tokens-reset: 2026-11-21T11:40:02Z\n"
         "anthropic-ratelimit-input-tokens-limit: 400000\n"
         "anthropic-ratelimit-input-tokens-remaining: 391000\n"
         "anthropic-ratelimit-input-tokens-reset: 2026-11-21T11:40:01.5Z\n"
         "anthropic-ratelimit-output-tokens-limit: 80000\n"
         "anthropic-ratelimit-output-tokens-remaining: 79000\n"
         "anthropic-ratelimit-output-tokens-reset: 2026-11-21T13:40:01+02:00\n"
         "anthropic-priority-input-tokens-limit: 10\n"
         "anthropic-priority-input-tokens-remaining: 0\n",
            {1000, 999, 0}, {400000, 391000, 1500}},
        {"Anthropic-Ratelimit-Output-Tokens-Limit: 80000\n"
         "anthropic-ratelimit-input-tokens-limit: 400000\n"
         "anthropic-ratelimit-input-tokens-remaining: 399999\n"
         "anthropic-ratelimit-output-tokens-remaining: 8000\n"
         "anthropic-ratelimit-output-tokens-reset: 2026-11-21T11:40:54Z\n",
            NONE, {80000, 8000, 54000}},
        /* our clock is ahead */
        {"anthropic-ratelimit-tokens-limit: 5\nanthropic-ratelimit-tokens-remaining: 0\n"
         "anthropic-ratelimit-tokens-reset: 2026-11-21T11:00:00Z\n",
            NONE, {5, 0, 0}},
    };
    CHECK_ROWS(rows);
}

static void others(void)
{
    static const struct row rows[] = {
        /* Mistral, now and before */
        {"x-ratelimit-limit-tokens-minute: 5000000\nx-ratelimit-remaining-tokens-minute: 4999911\n"
         "x-ratelimit-tokens-query-cost: 52\nx-ratelimit-limit-req-minute: 720\n"
         "x-ratelimit-remaining-req-minute: 717\n",
            {720, 717, -1}, {5000000, 4999911, -1}},
        {"x-ratelimitbysize-limit-minute: 500000\nx-ratelimitbysize-remaining-minute: 467993\n"
         "x-ratelimitbysize-limit-month: 1000000000\nx-ratelimitbysize-remaining-month: 3\n"
         "ratelimitbysize-query-cost: 32007\nratelimitbysize-reset: 40\n",
            NONE, {500000, 467993, 40000}},
        /* Groq: requests a day, tokens a minute */
        {"x-ratelimit-limit-requests: 14400\nx-ratelimit-remaining-requests: 14370\n"
         "x-ratelimit-reset-requests: 2m59.56s\nx-ratelimit-limit-tokens: 18000\n"
         "x-ratelimit-remaining-tokens: 17997\nx-ratelimit-reset-tokens: 7.66s\n",
            {-1, 14370, 179560}, {18000, 17997, 7660}},
        /* Cerebras: two windows, the day's passed over */
        {"x-ratelimit-limit-requests-day: 14400\nx-ratelimit-remaining-requests-day: 0\n"
         "x-ratelimit-reset-requests-day: 33011.382867\nx-ratelimit-limit-tokens-minute: 60000\n"
         "x-ratelimit-remaining-tokens-minute: 51000.0\n"
         "x-ratelimit-reset-tokens-minute: 11.382867\n",
            NONE, {60000, 51000, 11382}},
        /* Fireworks */
        {"x-ratelimit-limit-tokens-prompt: 60000\nx-ratelimit-remaining-tokens-prompt: 30000\n"
         "x-ratelimit-limit-tokens-generated: 6000\nx-ratelimit-remaining-tokens-generated: 6000\n",
            NONE, {60000, 30000, -1}},
    };
    CHECK_ROWS(rows);
}

static void resets(void)
{
    static const struct {
        const char *value;
        int64_t ms;
    } rows[] = {{"12ms", 12}, {"1s", 1000}, {"6m0s", 360000}, {"1h2m3.5s", 3723500}, {"88.9us", 1},
        {"88.9\xc2\xb5s", -1}, {"0s", 0}, {"0", 0}, {"40", 40000}, {"0.25", 250},
        {"1795261230", 30000}, {"1795261230500", 30500}, {"1700000000", 0},
        {"2026-11-21T11:40:07Z", 7000}, {"9999999999h", 366 * INT64_C(86400000)},
        {"99999999999999999999999", 366 * INT64_C(86400000)}, {"", -1}, {"s", -1}, {"5x", -1},
        {"1m-2s", -1}, {"-5", -1}, {"soon", -1}, {"1.2.3s", -1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char lines[256];
        snprintf(lines, sizeof(lines),
            "x-ratelimit-remaining-tokens: 1\nx-ratelimit-reset-tokens: %s\r\n", rows[i].value);
        int64_t ms = read_all(lines).tokens.reset_ms;
        if (ms != rows[i].ms)
            fprintf(stderr, "# %s\n", rows[i].value);
        CHECK_INT(ms, rows[i].ms);
    }
}

static void advice_and_ids(void)
{
    struct mr_reply reply =
        read_all("retry-after: 7\nretry-after-ms: 1500\nRetry-After: 9\nx-should-retry: FALSE\n"
                 "content-type: application/json; charset=utf-8\napim-request-id: gateway\n"
                 "X-Request-Id:  theirs \nx-amzn-requestid: other\n");
    CHECK_INT(reply.retry_after_ms, 1500);
    CHECK_INT(reply.should_retry, 0);
    CHECK_STR(reply.request_id, "theirs");
    CHECK_STR(reply.content_type, "application/json; charset=utf-8");
    reply = read_all("retry-after-ms: soon\nretry-after: 2.5\n");
    CHECK_INT(reply.retry_after_ms, 2500);
    reply = read_all("retry-after: Sat, 21 Nov 2026 11:41:30 GMT\n");
    CHECK_INT(reply.retry_after_ms, 90000);
    CHECK_STR(read_all("request-id: req_1\n").request_id, "req_1");
    CHECK_STR(read_all("x-amzn-requestid: a-1\n").request_id, "a-1");
    CHECK_STR(read_all("apim-request-id: g\nx-request-id:\n").request_id, "g");
    /* what a 1xx said does not count */
    reply = read_all("HTTP/1.1 103 Early\nrequest-id: x\nretry-after: 5\n"
                     "x-ratelimit-remaining-tokens: 1\nHTTP/1.1 200 OK\n");
    CHECK_STR(reply.request_id, "");
    CHECK_INT(reply.retry_after_ms, -1);
    CHECK_INT(reply.tokens.remaining, -1);
}

static void survives_junk(void)
{
    static const char seed[] =
        "HTTP/1.1 429 X\nx-ratelimit-limit-tokens: 160000\nx-ratelimit-reset-tokens: 1m0.5s\n"
        "anthropic-ratelimit-input-tokens-remaining: 42\nretry-after-ms: 15\n"
        "anthropic-ratelimit-requests-reset: 2026-11-21T11:40:01.5Z\nx-request-id: abc\n";
    unsigned state = 20261121;
    for (int round = 0; round < 100000; round++) {
        char lines[sizeof(seed)];
        memcpy(lines, seed, sizeof(seed));
        for (int i = 0; i <= round % 6; i++) {
            state = state * 1103515245u + 12345u;
            lines[(state >> 8) % (sizeof(seed) - 1)] = (char)((state >> 24) | 1);
        }
        struct mr_reply reply = read_all(lines);
        const int64_t counts[] = {reply.requests.limit, reply.requests.remaining,
            reply.requests.reset_ms, reply.tokens.limit, reply.tokens.remaining,
            reply.tokens.reset_ms, reply.retry_after_ms};
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
            CHECK(counts[i] >= -1 && counts[i] <= INT64_C(1000000000000));
    }
}

TEST_MAIN(TEST(openai), TEST(anthropic), TEST(others), TEST(resets), TEST(advice_and_ids),
    TEST(survives_junk))
