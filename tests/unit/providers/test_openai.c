#include "common/json.h"
#include "common/secret.h"
#include "tests/unit/providers/support.h"

#include <unistd.h>

static struct mr_endpoint endpoint_at(const char *url)
{
    return (struct mr_endpoint){.name = (char *)"p", .base_url = (char *)url};
}

static json_t *encode(const struct mr_endpoint *endpoint, const struct mr_model *model,
    const char *system, const char *user, const char *schema)
{
    struct mr_request request;
    struct mr_err err;
    const struct mr_codec *codec = mr_codec_of(MR_PROVIDER_OPENAI);
    int rc = codec->encode(endpoint, make_chat(model, system, user, schema), 5000, &request, &err);
    CHECK_INT(rc, 0);
    CHECK_INT(request.timeout_ms, 5000);
    CHECK_INT(mr_chat_prompt_bytes(&request), request.body.len);
    json_t *body;
    CHECK_INT(mr_json_parse(request.body.data, request.body.len, 32, &body, &err), 0);
    mr_request_deinit(&request);
    return body;
}

static const char *text_at(const json_t *body, const char *a, const char *b)
{
    const json_t *value = json_object_get(body, a);
    return json_string_value(b ? json_object_get(value, b) : value);
}

static void encodes_for_a_local_server(void)
{
    struct mr_endpoint endpoint = endpoint_at("http://127.0.0.1:8000/v1");
    struct mr_model model = {.model = (char *)"qwen"};
    model.params = json_pack(
        "{s:f,s:i,s:s,s:i}", "temperature", 0.5, "n", 5, "logit_bias", "x", "max_tokens", 9);
    struct mr_request request;
    struct mr_err err;
    CHECK_INT(mr_codec_of(MR_PROVIDER_OPENAI)
                  ->encode(&endpoint, make_chat(&model, "Be \"brief\"", "a\nb\x01", NULL), 1,
                      &request, &err),
        0);
    CHECK_STR(request.url, "http://127.0.0.1:8000/v1/chat/completions");
    CHECK_INT(request.auth, MR_AUTH_NONE);
    CHECK_STR(request.body.data,
        "{\"model\":\"qwen\",\"messages\":[{\"role\":\"system\",\"content\":\"Be \\\"brief\\\"\"},"
        "{\"role\":\"user\",\"content\":\"a\\nb\\u0001\"}],\"max_tokens\":100,\"temperature\":0."
        "5}");
    mr_request_deinit(&request);
    json_decref(model.params);
}

static void encodes_for_openai(void)
{
    struct mr_endpoint endpoint = endpoint_at("https://api.openai.com/v1");
    struct mr_model model = {.model = (char *)"gpt-4.1"};
    model.params = json_pack("{s:f}", "temperature", 0.5);
    json_t *body = encode(&endpoint, &model, "s", "u", "{\"type\":\"object\"}");
    CHECK_INT(json_integer_value(json_object_get(body, "max_completion_tokens")), 100);
    CHECK(!json_object_get(body, "max_tokens"));
    CHECK(json_object_get(body, "temperature"));
    CHECK_STR(text_at(body, "response_format", "type"), "json_schema");
    const json_t *schema = json_object_get(json_object_get(body, "response_format"), "json_schema");
    CHECK_STR(text_at(schema, "name", NULL), "my_step");
    CHECK_STR(text_at(schema, "schema", "type"), "object");
    CHECK(json_is_false(json_object_get(schema, "strict")));
    json_decref(body);
    model.model = (char *)"gpt-5.4-mini"; /* refuses sampling parameters, thinks by default */
    body = encode(&endpoint, &model, "s", "u", NULL);
    CHECK(!json_object_get(body, "temperature"));
    CHECK_STR(text_at(body, "reasoning_effort", NULL), "low");
    CHECK(!json_object_get(body, "response_format"));
    json_decref(body);
    json_decref(model.params);
}

static void encodes_by_allow_list(void)
{
    char *accepts[] = {(char *)"max_completion_tokens", (char *)"seed"};
    struct mr_endpoint endpoint = endpoint_at("http://[::1]:1/v1");
    struct mr_model model = {.model = (char *)"m", .accepts = {.items = accepts, .count = 2}};
    model.params = json_pack("{s:i,s:i}", "seed", 7, "top_p", 1);
    json_t *body = encode(&endpoint, &model, NULL, "u", "{\"type\":\"object\"}");
    CHECK_INT(json_integer_value(json_object_get(body, "seed")), 7);
    CHECK_INT(json_integer_value(json_object_get(body, "max_completion_tokens")), 100);
    CHECK(!json_object_get(body, "top_p"));
    /* No structured output allowed: the schema goes into the instructions. */
    CHECK(!json_object_get(body, "response_format"));
    const json_t *first = json_array_get(json_object_get(body, "messages"), 0);
    CHECK_STR(text_at(first, "role", NULL), "system");
    CHECK(strstr(text_at(first, "content", NULL), "{\"type\":\"object\"}"));
    json_decref(body);
    accepts[0] = (char *)"json_object";
    body = encode(&endpoint, &model, NULL, "u", "{\"type\":\"object\"}");
    CHECK_STR(text_at(body, "response_format", "type"), "json_object");
    CHECK(json_object_get(body, "max_tokens"));
    json_decref(body);
    json_decref(model.params);
}

static void encodes_broken_utf8(void)
{
    struct mr_endpoint endpoint = endpoint_at("http://h/v1");
    struct mr_model model = {.model = (char *)"m"};
    json_t *body = encode(&endpoint, &model, NULL, "a\xff\xc3\xa9\xed\xa0\x80z\xe2\x82", NULL);
    const json_t *first = json_array_get(json_object_get(body, "messages"), 0);
    CHECK_STR(text_at(first, "content", NULL),
        "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(body);
}

static struct mr_endpoint endpoint = {.name = (char *)"p"};

static struct mr_answer decode(int status, const char *body)
{
    struct mr_model model = {.model = (char *)"m"};
    struct mr_request request = {
        .endpoint = &endpoint, .chat = make_chat(&model, NULL, "twelve bytes", NULL)};
    struct mr_reply reply = make_reply(status, body);
    struct mr_answer answer;
    mr_codec_of(MR_PROVIDER_OPENAI)->decode(&request, &reply, &answer);
    mr_reply_deinit(&reply);
    mr_request_deinit(&request);
    return answer;
}

#define GOOD(content, finish, usage)                                                               \
    "{\"id\":\"x\",\"model\":\"m-2026\",\"choices\":[{\"index\":0,\"message\":{\"role\":"          \
    "\"assistant\",\"content\":" content "},\"finish_reason\":" finish "}]" usage "}"
#define USAGE ",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}"

static void decodes_answers(void)
{
    struct mr_answer a = decode(200, GOOD("\" Hi\\u0000 \\n\"", "\"stop\"", USAGE));
    CHECK_INT(a.class, MR_CLASS_NONE);
    CHECK_STR(a.text, "Hi");
    CHECK_INT(a.len, 2);
    CHECK(a.billed && !a.usage_estimated);
    CHECK_INT(a.usage.input, 10);
    CHECK_INT(a.usage.output, 5);
    CHECK_STR(a.served_model, "m-2026");
    CHECK_STR(a.finish_reason, "stop");
    mr_answer_deinit(&a);
    a = decode(200, GOOD("[{\"type\":\"thinking\",\"text\":\"hm\"},{\"type\":\"text\",\"text\":"
                         "\"Yes\"}]",
                        "null", USAGE));
    CHECK_INT(a.class, MR_CLASS_NONE);
    CHECK_STR(a.text, "Yes");
    mr_answer_deinit(&a);
}

static struct mr_usage usage_of(const char *usage, bool *estimated)
{
    char body[1024];
    snprintf(body, sizeof(body), GOOD("\"abcdef\"", "\"stop\"", "%s"), usage);
    struct mr_answer a = decode(200, body);
    CHECK_INT(a.class, MR_CLASS_NONE);
    CHECK(a.billed);
    *estimated = a.usage_estimated;
    struct mr_usage result = a.usage;
    mr_answer_deinit(&a);
    return result;
}

static void normalises_usage(void)
{
    bool estimated;
    struct mr_usage u = usage_of(",\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":50,"
                                 "\"prompt_tokens_details\":{\"cached_tokens\":60,"
                                 "\"cache_write_tokens\":10},\"completion_tokens_details\":"
                                 "{\"reasoning_tokens\":40}}",
        &estimated);
    CHECK(!estimated);
    CHECK_INT(u.input, 30);
    CHECK_INT(u.cached, 60);
    CHECK_INT(u.cache_write, 10);
    CHECK_INT(u.output, 50);
    CHECK_INT(u.reasoning, 40);
    u = usage_of(",\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":1,"
                 "\"prompt_cache_hit_tokens\":64,\"prompt_tokens_details\":null}",
        &estimated);
    CHECK_INT(u.input, 36);
    CHECK_INT(u.cached, 64);
    /* reasoning that only the total knows of */
    u = usage_of(",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1,\"total_tokens\":31}",
        &estimated);
    CHECK_INT(u.output, 21);
    /* more cached than there was: the dearer reading, flagged */
    u = usage_of(",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":11}}",
        &estimated);
    CHECK(estimated);
    CHECK_INT(u.input, 10);
    CHECK_INT(u.cached, 0);
}

static void estimates_missing_usage(void)
{
    static const char *const missing[] = {"", ",\"usage\":null", ",\"usage\":{}",
        ",\"usage\":{\"prompt_tokens\":-4,\"completion_tokens\":2}",
        ",\"usage\":{\"prompt_tokens\":\"10\",\"completion_tokens\":2}",
        ",\"usage\":{\"prompt_tokens\":1e300,\"completion_tokens\":2}"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        bool estimated;
        struct mr_usage u = usage_of(missing[i], &estimated);
        CHECK(estimated);
        CHECK_INT(u.input, 4);  /* 12 bytes of prompt */
        CHECK_INT(u.output, 2); /* 6 bytes of answer */
    }
}

static void judges_answers(void)
{
    static const struct {
        const char *body;
        enum mr_class class;
    } rows[] = {
        {GOOD("\"\"", "\"stop\"", USAGE), MR_CLASS_BAD_OUTPUT},
        {GOOD("\" \\n\"", "\"stop\"", USAGE), MR_CLASS_BAD_OUTPUT},
        {GOOD("null", "\"stop\"", USAGE), MR_CLASS_BAD_OUTPUT},
        {GOOD("\"half a\"", "\"length\"", USAGE), MR_CLASS_BAD_OUTPUT},
        {GOOD("null", "\"tool_calls\"", USAGE), MR_CLASS_BAD_OUTPUT},
        {GOOD("\"x\"", "\"repetition\"", USAGE), MR_CLASS_BAD_OUTPUT},
        {GOOD("\"x\"", "\"abort\"", USAGE), MR_CLASS_BAD_OUTPUT},
        {GOOD("\"\"", "\"content_filter\"", USAGE), MR_CLASS_REFUSED},
        {GOOD("null,\"refusal\":\"I cannot\"", "\"stop\"", USAGE), MR_CLASS_REFUSED},
        {"{\"choices\":[]" USAGE "}", MR_CLASS_BAD_OUTPUT},
        {"{\"choices\":7" USAGE "}", MR_CLASS_BAD_OUTPUT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mr_answer a = decode(200, rows[i].body);
        CHECK_INT(a.class, rows[i].class);
        CHECK(a.billed && a.message[0]);
        CHECK_INT(a.usage.input, 10);
        CHECK_INT(a.usage.output, 5);
        mr_answer_deinit(&a);
    }
}

static void judges_errors(void)
{
    static const struct {
        int status;
        const char *body;
        enum mr_class class;
        const char *says;
    } rows[] = {
        {429,
            "{\"error\":{\"message\":\"No money\",\"type\":\"insufficient_quota\",\"param\":null,"
            "\"code\":\"insufficient_quota\"}}",
            MR_CLASS_QUOTA, "HTTP 429 insufficient_quota: No money"},
        {400,
            "{\"error\":{\"message\":\"Too long\",\"type\":\"BadRequestError\",\"param\":null,"
            "\"code\":400}}",
            MR_CLASS_INVALID, "HTTP 400 BadRequestError: Too long"},
        {401, "{\"error\":\"Unauthorized\"}", MR_CLASS_AUTH, "HTTP 401: Unauthorized"},
        {404,
            "{\"object\":\"error\",\"message\":\"No model\",\"type\":\"NotFoundError\",\"code\":"
            "404}",
            MR_CLASS_INVALID, "HTTP 404 NotFoundError: No model"},
        {404, "{\"detail\":\"Not Found\"}", MR_CLASS_INVALID, "HTTP 404: Not Found"},
        {503, "{\"error\":{\"code\":503,\"message\":\"Loading\",\"type\":\"unavailable_error\"}}",
            MR_CLASS_OVERLOADED, "HTTP 503 unavailable_error: Loading"},
        {502, "<html><title>502</title></html>", MR_CLASS_SERVER,
            "HTTP 502: an HTML page, not the API, answered"},
        {500, "", MR_CLASS_SERVER, "HTTP 500: no explanation given"},
        {500, "[1]", MR_CLASS_SERVER, "HTTP 500: no explanation given"},
        {200, "{\"error\":{\"message\":\"Upstream\",\"code\":502}}", MR_CLASS_SERVER,
            "HTTP 502: Upstream"},
        {200, "{\"error\":{\"message\":\"Slow down\",\"code\":429}}", MR_CLASS_RATE_LIMITED,
            "HTTP 429: Slow down"},
        {200, "<!doctype html><p>Log in", MR_CLASS_SERVER,
            "HTTP 200, but an HTML page answered, not the API (24 bytes)"},
        {200, "", MR_CLASS_AMBIGUOUS, "HTTP 200 with an empty body"},
        {200, "{\"choices\":[{\"mess", MR_CLASS_AMBIGUOUS,
            "HTTP 200, but the body is not a JSON object (18 bytes)"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mr_answer a = decode(rows[i].status, rows[i].body);
        CHECK_STR(mr_class_name(a.class), mr_class_name(rows[i].class));
        CHECK_STR(a.message, rows[i].says);
        CHECK(!a.billed && !a.text);
        mr_answer_deinit(&a);
    }
}

static void passes_on_transport_and_advice(void)
{
    struct mr_request request = {.endpoint = &endpoint};
    struct mr_reply reply = {.transport = MR_TRANSPORT_NOT_SENT,
        .detail = "Connection refused",
        .retry_after_ms = -1,
        .should_retry = -1};
    struct mr_answer a;
    mr_codec_of(MR_PROVIDER_OPENAI)->decode(&request, &reply, &a);
    CHECK_INT(a.class, MR_CLASS_NETWORK);
    CHECK_STR(a.message, "Connection refused");
    CHECK_INT(a.retry_after_ms, -1);
    mr_answer_deinit(&a);
    reply = make_reply(429, "{}");
    reply.retry_after_ms = 1500;
    mr_codec_of(MR_PROVIDER_OPENAI)->decode(&request, &reply, &a);
    CHECK_INT(a.class, MR_CLASS_RATE_LIMITED);
    CHECK_INT(a.retry_after_ms, 1500);
    mr_answer_deinit(&a);
    mr_reply_deinit(&reply);
}

static void never_repeats_the_key(void)
{
    struct mr_endpoint keyed = {.base_url = (char *)"http://h/v1"};
    struct mr_err err;
    CHECK(setenv("TEST_KEY", "sk-verysecret", 1) == 0);
    CHECK_INT(mr_secret_from_env("TEST_KEY", &keyed.key, &err), 0);
    struct mr_model model = {.model = (char *)"m"};
    struct mr_request request;
    const struct mr_codec *codec = mr_codec_of(MR_PROVIDER_OPENAI);
    CHECK_INT(codec->encode(&keyed, make_chat(&model, NULL, "u", NULL), 1, &request, &err), 0);
    CHECK_INT(request.auth, MR_AUTH_BEARER);
    CHECK(!strstr(request.body.data, "verysecret"));
    struct mr_reply reply = make_reply(401, "{\"error\":\"Bad key sk-verysecret, sorry\"}");
    struct mr_answer a;
    codec->decode(&request, &reply, &a);
    CHECK_STR(a.message, "HTTP 401: Bad key *************, sorry");
    mr_answer_deinit(&a);
    mr_reply_deinit(&reply);
    mr_request_deinit(&request);
    keyed.key = mr_secret_free(keyed.key);
}

static void survives_junk(void)
{
    struct mr_request request = {.endpoint = &endpoint};
    decode_junk(mr_codec_of(MR_PROVIDER_OPENAI), &request,
        GOOD("\"Hello \\u00e9\"", "\"stop\"",
            ",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"prompt_tokens_details\":"
            "{\"cached_tokens\":3}}"));
    decode_junk(mr_codec_of(MR_PROVIDER_OPENAI), &request,
        "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":429}}");
}

TEST_MAIN(TEST(encodes_for_a_local_server), TEST(encodes_for_openai), TEST(encodes_by_allow_list),
    TEST(encodes_broken_utf8), TEST(decodes_answers), TEST(normalises_usage),
    TEST(estimates_missing_usage), TEST(judges_answers), TEST(judges_errors),
    TEST(passes_on_transport_and_advice), TEST(never_repeats_the_key), TEST(survives_junk))
