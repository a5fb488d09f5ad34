/* Error bodies as each provider sends them, and what is made of them. */
#include "tests/unit/providers/support.h"

struct row {
    int status;
    const char *body;
    enum mr_class class;
    const char *says; /* a part of the message; NULL = whatever */
};

static struct mr_answer decode(enum mr_provider_kind kind, const struct row *row)
{
    static struct mr_endpoint endpoint = {.name = (char *)"p"};
    struct mr_model model = {.model = (char *)"m"};
    struct mr_request request = {
        .endpoint = &endpoint, .chat = make_chat(&model, NULL, "twelve bytes", NULL)};
    struct mr_reply reply = make_reply(row->status, row->body);
    struct mr_answer answer;
    mr_codec_of(kind)->decode(&request, &reply, &answer);
    mr_reply_deinit(&reply);
    mr_request_deinit(&request);
    return answer;
}

static void check(enum mr_provider_kind kind, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mr_answer a = decode(kind, &rows[i]);
        if (a.class != rows[i].class || (rows[i].says && !strstr(a.message, rows[i].says)))
            fprintf(stderr, "# row %zu: %s: %s\n", i, mr_class_name(a.class), a.message);
        CHECK_STR(mr_class_name(a.class), mr_class_name(rows[i].class));
        CHECK(!rows[i].says || strstr(a.message, rows[i].says));
        CHECK_INT(a.billed, a.class == MR_CLASS_BAD_OUTPUT);
        mr_answer_deinit(&a);
    }
}
#define CHECK_ROWS(kind, rows) check(kind, rows, sizeof(rows) / sizeof(rows[0]))

#define HINT "[shorten the text"
#define OPENAI(message, type, code)                                                                \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type "\",\"param\":null,\"code\":" code  \
    "}}"

static void openai(void)
{
    static const struct row rows[] = {
        {400, OPENAI("Unsupported parameter: 'temperature'", "invalid_request_error", "null"),
            MR_CLASS_INVALID, "Unsupported parameter"},
        {400,
            OPENAI("This model's maximum context length is 128000 tokens.", "invalid_request_error",
                "\"context_length_exceeded\""),
            MR_CLASS_INVALID, HINT},
        {400,
            OPENAI("Invalid prompt: your prompt was flagged as potentially violating our policy",
                "invalid_request_error", "\"invalid_prompt\""),
            MR_CLASS_REFUSED, NULL},
        {401, OPENAI("Incorrect API key provided", "invalid_request_error", "\"invalid_api_key\""),
            MR_CLASS_AUTH, NULL},
        {403,
            OPENAI("Country, region, or territory not supported", "request_forbidden",
                "\"unsupported_country_region_territory\""),
            MR_CLASS_AUTH, NULL},
        {404,
            OPENAI("The model `x` does not exist", "invalid_request_error", "\"model_not_found\""),
            MR_CLASS_INVALID, "model_not_found"},
        {409, OPENAI("Conflict", "conflict_error", "null"), MR_CLASS_SERVER, NULL},
        {413, OPENAI("Payload too large", "invalid_request_error", "null"), MR_CLASS_INVALID, HINT},
        {422, OPENAI("Unprocessable", "invalid_request_error", "null"), MR_CLASS_INVALID, NULL},
        {429,
            OPENAI("Rate limit reached for gpt-4 in organization o on tokens per min (TPM): Limit "
                   "40000, Used 39000, Requested 2000. Please try again in 1.5s.",
                "tokens", "\"rate_limit_exceeded\""),
            MR_CLASS_RATE_LIMITED, NULL},
        {429,
            OPENAI("Request too large for gpt-4 in organization o on tokens per min (TPM): Limit "
                   "10000, Requested 12000. The input or output tokens must be reduced.",
                "tokens", "\"rate_limit_exceeded\""),
            MR_CLASS_INVALID, HINT},
        {429,
            OPENAI("You exceeded your current quota, please check your plan and billing details.",
                "insufficient_quota", "\"insufficient_quota\""),
            MR_CLASS_QUOTA, NULL},
        {429, OPENAI("Stop", "billing", "\"credit_balance_exhausted\""), MR_CLASS_QUOTA, NULL},
        {429, OPENAI("Stop", "billing", "\"organization_spend_limit_exceeded\""), MR_CLASS_QUOTA,
            NULL},
        {429, OPENAI("Stop", "billing", "\"project_spend_limit_exceeded\""), MR_CLASS_QUOTA, NULL},
        {429, OPENAI("Stop", "billing", "\"organization_usage_limit_exceeded\""), MR_CLASS_QUOTA,
            NULL},
        {500, OPENAI("The server had an error", "server_error", "null"), MR_CLASS_SERVER, NULL},
        {503, OPENAI("The engine is currently overloaded", "server_error", "null"),
            MR_CLASS_OVERLOADED, NULL},
        /* Azure */
        {400,
            "{\"error\":{\"message\":\"The response was filtered\",\"type\":null,\"param\":"
            "\"prompt\",\"code\":\"content_filter\",\"status\":400,\"innererror\":{\"code\":"
            "\"ResponsibleAIPolicyViolation\"}}}",
            MR_CLASS_REFUSED, NULL},
        {401, "{\"statusCode\":401,\"message\":\"Unauthorized. Access token is missing\"}",
            MR_CLASS_AUTH, "Access token is missing"},
    };
    CHECK_ROWS(MR_PROVIDER_OPENAI, rows);
}

#define CLAUDE(type, message, more)                                                                \
    "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"" more        \
    "},\"request_id\":\"req_1\"}"

static void anthropic(void)
{
    static const struct row rows[] = {
        {400, CLAUDE("invalid_request_error", "messages: field required", ""), MR_CLASS_INVALID,
            "invalid_request_error: messages: field required"},
        {400,
            CLAUDE(
                "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ""),
            MR_CLASS_INVALID, HINT},
        {400,
            CLAUDE("invalid_request_error",
                "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", ""),
            MR_CLASS_INVALID, HINT},
        {400,
            CLAUDE("invalid_request_error",
                "Your credit balance is too low to access the Anthropic API.", ""),
            MR_CLASS_QUOTA, NULL},
        {400,
            CLAUDE("invalid_request_error",
                "You have reached your specified API usage limits. You will regain access on "
                "2026-12-01 at 00:00 UTC.",
                ""),
            MR_CLASS_QUOTA, NULL},
        {400,
            CLAUDE("invalid_request_error",
                "You have reached your specified workspace API usage limits.", ""),
            MR_CLASS_QUOTA, NULL},
        {400, CLAUDE("invalid_request_error", "Output blocked by content filtering policy", ""),
            MR_CLASS_REFUSED, NULL},
        {401, CLAUDE("authentication_error", "invalid x-api-key", ""), MR_CLASS_AUTH, NULL},
        {402, CLAUDE("billing_error", "Payment required", ""), MR_CLASS_QUOTA, NULL},
        {403, CLAUDE("permission_error", "Not allowed", ""), MR_CLASS_AUTH, NULL},
        {404, CLAUDE("not_found_error", "model: claude-x", ""), MR_CLASS_INVALID, NULL},
        {409, CLAUDE("conflict_error", "Conflict", ""), MR_CLASS_SERVER, NULL},
        {413, CLAUDE("request_too_large", "Request exceeds the maximum size", ""), MR_CLASS_INVALID,
            HINT},
        {429,
            CLAUDE("rate_limit_error",
                "This request would exceed your organization's rate limit of 400,000 input tokens "
                "per minute",
                ""),
            MR_CLASS_RATE_LIMITED, NULL},
        {429,
            CLAUDE("rate_limit_error",
                "This request would exceed your organization's acceleration limit. Please ramp up "
                "your usage gradually",
                ""),
            MR_CLASS_RATE_LIMITED, NULL},
        {429,
            CLAUDE("rate_limit_error",
                "You have reached your API usage limits: your organization has crossed its monthly "
                "API usage threshold",
                ",\"details\":{\"error_code\":\"enforced_spend_limit_reached\"}"),
            MR_CLASS_QUOTA, NULL},
        {429, CLAUDE("rate_limit_error", "You have reached your API usage limits: the month's", ""),
            MR_CLASS_QUOTA, NULL},
        {500, CLAUDE("api_error", "Internal server error", ""), MR_CLASS_SERVER, NULL},
        {504, CLAUDE("timeout_error", "Timed out", ""), MR_CLASS_SERVER, NULL},
        {529, CLAUDE("overloaded_error", "Overloaded", ""), MR_CLASS_OVERLOADED, NULL},
        {200, CLAUDE("overloaded_error", "Overloaded", ""), MR_CLASS_OVERLOADED, NULL},
    };
    CHECK_ROWS(MR_PROVIDER_ANTHROPIC, rows);
}

static void self_hosted(void)
{
    static const struct row rows[] = {
        /* vLLM, new and old */
        {400,
            "{\"error\":{\"message\":\"This model's maximum context length is 4096 tokens. "
            "However, "
            "you requested 5000 "
            "tokens\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}}",
            MR_CLASS_INVALID, HINT},
        {404,
            "{\"object\":\"error\",\"message\":\"The model `x` does not exist.\",\"type\":"
            "\"NotFoundError\",\"param\":null,\"code\":404}",
            MR_CLASS_INVALID, "does not exist"},
        {422,
            "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"messages\"],\"msg\":\"Field "
            "required\"}]}",
            MR_CLASS_INVALID, "\"loc\":[\"body\",\"messages\"],\"msg\":\"Field required\""},
        {500,
            "{\"error\":{\"message\":\"EngineCore died\",\"type\":\"InternalServerError\",\"code\":"
            "500}}",
            MR_CLASS_SERVER, NULL},
        {501,
            "{\"error\":{\"message\":\"No chat template\",\"type\":\"NotImplementedError\","
            "\"code\":501}}",
            MR_CLASS_INVALID, NULL},
        {401, "{\"error\":\"Unauthorized\"}", MR_CLASS_AUTH, "Unauthorized"},
    /* llama.cpp */
#define LLAMA(status, type, message)                                                               \
    "{\"error\":{\"code\":" #status ",\"message\":\"" message "\",\"type\":\"" type "\"}}"
        {400, LLAMA(400, "invalid_request_error", "bad"), MR_CLASS_INVALID, NULL},
        {400,
            LLAMA(400, "exceed_context_size_error",
                "the request exceeds the available context size. try increasing it"),
            MR_CLASS_INVALID, HINT},
        {401, LLAMA(401, "authentication_error", "Invalid API Key"), MR_CLASS_AUTH, NULL},
        {403, LLAMA(403, "permission_error", "no"), MR_CLASS_AUTH, NULL},
        {404, LLAMA(404, "not_found_error", "File Not Found"), MR_CLASS_INVALID, NULL},
        {500, LLAMA(500, "server_error", "oops"), MR_CLASS_SERVER, NULL},
        {501, LLAMA(501, "not_supported_error", "no"), MR_CLASS_INVALID, NULL},
        {503, LLAMA(503, "unavailable_error", "Loading model"), MR_CLASS_OVERLOADED,
            "Loading model"},
        /* Ollama, /v1 and native */
        {400, OPENAI("bad", "invalid_request_error", "null"), MR_CLASS_INVALID, NULL},
        {404, OPENAI("model \\\"x\\\" not found, try pulling it first", "not_found_error", "null"),
            MR_CLASS_INVALID, "try pulling it first"},
        {404, "{\"error\":\"model 'x' not found\"}", MR_CLASS_INVALID, "model 'x' not found"},
        {429, "{\"error\":\"too many concurrent requests\"}", MR_CLASS_RATE_LIMITED, NULL},
        {500, "{\"error\":\"llama runner process no longer running\"}", MR_CLASS_SERVER, NULL},
        {502, "{\"error\":\"bad gateway\"}", MR_CLASS_SERVER, NULL},
        {503, "{\"error\":\"server busy, please try again.  maximum pending requests exceeded\"}",
            MR_CLASS_OVERLOADED, NULL},
    };
    CHECK_ROWS(MR_PROVIDER_OPENAI, rows);
}

static void others(void)
{
    static const struct row rows[] = {
        /* Google: a list of one; the same words for a minute's limit and an empty purse */
        {429,
            "[{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota, please check "
            "your plan and billing details. Please retry in 36.2s.\",\"status\":"
            "\"RESOURCE_EXHAUSTED\",\"details\":[{\"retryDelay\":\"36.5s\"}]}}]",
            MR_CLASS_RATE_LIMITED, "RESOURCE_EXHAUSTED"},
        {429,
            "[{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota, please check "
            "your plan and billing details.\",\"status\":\"RESOURCE_EXHAUSTED\"}}]",
            MR_CLASS_QUOTA, NULL},
        {400,
            "[{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid API "
            "key.\",\"status\":\"INVALID_ARGUMENT\"}}]",
            MR_CLASS_AUTH, NULL},
        {400,
            "[{\"error\":{\"code\":400,\"message\":\"The input token count (1200000) exceeds the "
            "maximum number of tokens allowed (1048576).\",\"status\":\"INVALID_ARGUMENT\"}}]",
            MR_CLASS_INVALID, HINT},
        {503,
            "[{\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":"
            "\"UNAVAILABLE\"}}]",
            MR_CLASS_OVERLOADED, NULL},
        /* Mistral */
        {422,
            "{\"object\":\"error\",\"message\":{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":"
            "[\"body\",\"seed\"],\"msg\":\"Extra inputs are not permitted\"}]},\"type\":"
            "\"invalid_request_error\",\"code\":null}",
            MR_CLASS_INVALID, "Extra inputs are not permitted"},
        {400,
            "{\"object\":\"error\",\"message\":\"Prompt contains 40000 tokens, too large for model "
            "with 32768 maximum context length\",\"type\":\"invalid_request_error\",\"code\":"
            "\"3051\"}",
            MR_CLASS_INVALID, HINT},
        {429, "{\"message\":\"Requests rate limit exceeded\"}", MR_CLASS_RATE_LIMITED, NULL},
        /* DeepSeek */
        {402, OPENAI("Insufficient Balance", "unknown_error", "\"invalid_request_error\""),
            MR_CLASS_QUOTA, NULL},
        /* Groq: written by the model, so paid for */
        {400,
            "{\"error\":{\"message\":\"Failed to generate JSON.\",\"type\":"
            "\"invalid_request_error\",\"code\":\"json_validate_failed\",\"failed_generation\":"
            "\"{abcde\"}}",
            MR_CLASS_BAD_OUTPUT, NULL},
        {413,
            OPENAI("Request too large for model `x` on tokens per minute (TPM): Limit 6000, "
                   "Requested 7000",
                "tokens", "\"rate_limit_exceeded\""),
            MR_CLASS_INVALID, HINT},
        {498, OPENAI("Flex tier capacity exceeded", "capacity", "null"), MR_CLASS_OVERLOADED, NULL},
    };
    CHECK_ROWS(MR_PROVIDER_OPENAI, rows);
    struct mr_answer a = decode(MR_PROVIDER_OPENAI, &rows[0]);
    CHECK_INT(a.retry_after_ms, 36501);
    mr_answer_deinit(&a);
    a = decode(MR_PROVIDER_OPENAI, &rows[9]);
    CHECK(a.usage_estimated);
    CHECK_INT(a.usage.output, 2); /* six bytes */
    mr_answer_deinit(&a);
}

static void gateways_and_proxies(void)
{
    static const struct row rows[] = {
        {402, OPENAI("This request requires more credits", "x", "402"), MR_CLASS_QUOTA, NULL},
        {502, "<html><body>Bad gateway</body></html>", MR_CLASS_SERVER, "an HTML page"},
        {504, "", MR_CLASS_SERVER, "no explanation given"},
        {429, "", MR_CLASS_RATE_LIMITED, NULL},
        {403, "<!DOCTYPE html><title>Blocked</title>", MR_CLASS_AUTH, "an HTML page"},
        {500, "null", MR_CLASS_SERVER, "no explanation given"},
        {500, "[]", MR_CLASS_SERVER, "no explanation given"},
        {200, "[{\"error\":{\"code\":429,\"message\":\"x\"}}]", MR_CLASS_RATE_LIMITED, NULL},
    };
    CHECK_ROWS(MR_PROVIDER_OPENAI, rows);
}

/* However long the advice: whether to follow it is the engine's to say. */
static void passes_on_any_advice(void)
{
    struct mr_request request = {.endpoint = NULL};
    struct mr_reply reply = make_reply(429, OPENAI("Slow down", "requests", "null"));
    struct mr_answer a;
    reply.retry_after_ms = 86400000;
    mr_codec_of(MR_PROVIDER_OPENAI)->decode(&request, &reply, &a);
    CHECK_INT(a.class, MR_CLASS_RATE_LIMITED);
    CHECK_INT(a.retry_after_ms, 86400000);
    mr_answer_deinit(&a);
    mr_reply_deinit(&reply);
}

static void says_whether_to_leave_and_whether_it_may_be_billed(void)
{
    static const struct {
        int status, should_retry;
        bool leave, unsure;
    } rows[] = {{500, -1, false, false}, {500, 0, true, false}, {503, 0, true, false},
        {504, -1, false, true}, {504, 0, true, true}, {408, 1, false, true}, {524, -1, false, true},
        {400, 0, false, false}};
    struct mr_request request = {.endpoint = NULL};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mr_reply reply = make_reply(rows[i].status, "{}");
        struct mr_answer a;
        reply.should_retry = rows[i].should_retry;
        mr_codec_of(MR_PROVIDER_OPENAI)->decode(&request, &reply, &a);
        CHECK_INT(a.leave, rows[i].leave);
        CHECK_INT(a.unsure, rows[i].unsure);
        mr_answer_deinit(&a);
        mr_reply_deinit(&reply);
    }
}

TEST_MAIN(TEST(openai), TEST(anthropic), TEST(self_hosted), TEST(others),
    TEST(gateways_and_proxies), TEST(passes_on_any_advice),
    TEST(says_whether_to_leave_and_whether_it_may_be_billed))
