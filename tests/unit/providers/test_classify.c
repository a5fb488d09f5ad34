#include "tests/unit/test.h"
#include "worker/providers/classify.h"

struct row {
    struct mr_fault fault;
    enum mr_class class;
};

#define FAULT(n, retry, ...)                                                                       \
    {                                                                                              \
        .transport = MR_TRANSPORT_OK, .status = (n), .should_retry = (retry), ##__VA_ARGS__        \
    }
#define HTTP(n, ...) FAULT(n, -1, ##__VA_ARGS__)

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct mr_fault *fault = &rows[i].fault;
        enum mr_class class = mr_classify(fault);
        if (class != rows[i].class)
            fprintf(stderr, "# row %zu: %d %s %s: %s, not %s\n", i, fault->status,
                fault->type ? fault->type : "-", fault->code ? fault->code : "-",
                mr_class_name(class), mr_class_name(rows[i].class));
        CHECK(class == rows[i].class);
    }
}
#define CHECK_ROWS(rows) check(rows, sizeof(rows) / sizeof(rows[0]))

static void transports(void)
{
    static const struct row rows[] = {
        {{.transport = MR_TRANSPORT_NOT_SENT, .should_retry = -1}, MR_CLASS_NETWORK},
        {{.transport = MR_TRANSPORT_AMBIGUOUS, .should_retry = -1}, MR_CLASS_AMBIGUOUS},
        {{.transport = MR_TRANSPORT_ABORTED, .should_retry = -1}, MR_CLASS_AMBIGUOUS},
        {{.transport = MR_TRANSPORT_LOCAL, .should_retry = -1}, MR_CLASS_INTERNAL},
    };
    CHECK_ROWS(rows);
}

static void statuses(void)
{
    static const struct row rows[] = {
        {HTTP(0), MR_CLASS_SERVER},
        {HTTP(302), MR_CLASS_INVALID},
        {HTTP(400), MR_CLASS_INVALID},
        {HTTP(401), MR_CLASS_AUTH},
        {HTTP(402), MR_CLASS_QUOTA},
        {HTTP(403), MR_CLASS_AUTH},
        {HTTP(404), MR_CLASS_INVALID},
        {HTTP(408), MR_CLASS_SERVER},
        {HTTP(409), MR_CLASS_SERVER},
        {HTTP(413), MR_CLASS_INVALID},
        {HTTP(418), MR_CLASS_INVALID},
        {HTTP(422), MR_CLASS_INVALID},
        {HTTP(425), MR_CLASS_OVERLOADED},
        {HTTP(429), MR_CLASS_RATE_LIMITED},
        {HTTP(498), MR_CLASS_OVERLOADED},
        {HTTP(499), MR_CLASS_SERVER},
        {HTTP(500), MR_CLASS_SERVER},
        {HTTP(501), MR_CLASS_INVALID},
        {HTTP(502), MR_CLASS_SERVER},
        {HTTP(502, .page = true), MR_CLASS_SERVER},
        {HTTP(503), MR_CLASS_OVERLOADED},
        {HTTP(504), MR_CLASS_SERVER},
        {HTTP(524), MR_CLASS_SERVER},
        {HTTP(529), MR_CLASS_OVERLOADED},
        {HTTP(200, .unreadable = true), MR_CLASS_AMBIGUOUS},
        {HTTP(200, .unreadable = true, .page = true), MR_CLASS_SERVER},
    };
    CHECK_ROWS(rows);
}

static void provider_words(void)
{
    static const struct row rows[] = {
        /* OpenAI: 429 is throttling or money */
        {HTTP(429, .type = "requests", .code = "rate_limit_exceeded"), MR_CLASS_RATE_LIMITED},
        {HTTP(429, .type = "tokens"), MR_CLASS_RATE_LIMITED},
        {HTTP(429, .type = "insufficient_quota", .code = "insufficient_quota"), MR_CLASS_QUOTA},
        {HTTP(429, .code = "credit_balance_exhausted"), MR_CLASS_QUOTA},
        {HTTP(429, .code = "organization_spend_limit_exceeded"), MR_CLASS_QUOTA},
        {HTTP(429, .code = "project_spend_limit_exceeded"), MR_CLASS_QUOTA},
        {HTTP(429, .code = "organization_usage_limit_exceeded"), MR_CLASS_QUOTA},
        {HTTP(429, .message = "You exceeded your current quota, please check"), MR_CLASS_QUOTA},
        {HTTP(400, .code = "content_filter"), MR_CLASS_REFUSED},
        {HTTP(400, .code = "context_length_exceeded"), MR_CLASS_INVALID},
        {HTTP(401, .code = "invalid_api_key"), MR_CLASS_AUTH},
        /* Anthropic */
        {HTTP(400, .type = "invalid_request_error"), MR_CLASS_INVALID},
        {HTTP(400, .type = "invalid_request_error",
             .message = "Your credit balance is too low to access the API"),
            MR_CLASS_QUOTA},
        {HTTP(400, .type = "invalid_request_error",
             .message = "You have reached your specified API usage limits."),
            MR_CLASS_QUOTA},
        {HTTP(429, .type = "rate_limit_error"), MR_CLASS_RATE_LIMITED},
        {HTTP(429, .type = "rate_limit_error", .detail = "enforced_spend_limit_reached"),
            MR_CLASS_QUOTA},
        {HTTP(402, .type = "billing_error"), MR_CLASS_QUOTA},
        {HTTP(529, .type = "overloaded_error"), MR_CLASS_OVERLOADED},
        {HTTP(500, .type = "overloaded_error"), MR_CLASS_OVERLOADED},
        {HTTP(504, .type = "timeout_error"), MR_CLASS_SERVER},
        /* llama.cpp and vLLM: numbers as codes */
        {HTTP(503, .type = "unavailable_error", .code = "503"), MR_CLASS_OVERLOADED},
        {HTTP(400, .type = "exceed_context_size_error", .code = "400"), MR_CLASS_INVALID},
        {HTTP(400, .type = "BadRequestError", .code = "400"), MR_CLASS_INVALID},
        {HTTP(401, .message = "Unauthorized"), MR_CLASS_AUTH},
    };
    CHECK_ROWS(rows);
}

static void should_retry_overrules(void)
{
    static const struct row rows[] = {
        {FAULT(400, 1), MR_CLASS_SERVER},
        {FAULT(500, 0), MR_CLASS_SERVER}, /* not here: see mr_classify_leave */
        {FAULT(503, 0), MR_CLASS_OVERLOADED},
        {FAULT(429, 0), MR_CLASS_QUOTA},
        {FAULT(429, 1), MR_CLASS_RATE_LIMITED},
        {FAULT(401, 1), MR_CLASS_AUTH},
        {FAULT(429, 1, .code = "insufficient_quota"), MR_CLASS_QUOTA},
    };
    CHECK_ROWS(rows);
}

static void should_retry_sends_elsewhere(void)
{
    static const struct mr_fault left[] = {FAULT(500, 0), FAULT(503, 0), FAULT(504, 0)};
    static const struct mr_fault kept[] = {
        FAULT(500, -1), FAULT(503, 1), FAULT(400, 0), FAULT(429, 0), FAULT(401, 0)};
    for (size_t i = 0; i < 3; i++)
        CHECK(mr_classify_leave(&left[i]));
    for (size_t i = 0; i < 5; i++)
        CHECK(!mr_classify_leave(&kept[i]));
}

static void a_time_out_on_the_way_may_be_billed(void)
{
    static const struct mr_fault unsure[] = {HTTP(408), HTTP(504), HTTP(504, .page = true),
        HTTP(504, .type = "timeout_error"), HTTP(524)};
    static const struct mr_fault sure[] = {HTTP(500), HTTP(502), HTTP(503), HTTP(429),
        HTTP(504, .type = "overloaded_error"), HTTP(408, .code = "insufficient_quota")};
    for (size_t i = 0; i < 5; i++)
        CHECK(mr_classify_unsure(&unsure[i]));
    for (size_t i = 0; i < 6; i++)
        CHECK(!mr_classify_unsure(&sure[i]));
}

TEST_MAIN(TEST(transports), TEST(statuses), TEST(provider_words), TEST(should_retry_overrules),
    TEST(should_retry_sends_elsewhere), TEST(a_time_out_on_the_way_may_be_billed))
