#include "common/json.h"
#include "tests/unit/providers/support.h"

static struct mr_endpoint endpoint = {.base_url = (char *)"https://api.anthropic.com/v1"};

static void encodes(void)
{
    char *accepts[] = {(char *)"output_config", (char *)"temperature"};
    struct mr_model model = {.model = (char *)"claude"};
    model.params = json_pack("{s:f,s:i}", "temperature", 0.5, "max_tokens", 9);
    struct mr_request request;
    struct mr_err err;
    const struct mr_codec *codec = mr_codec_of(MR_PROVIDER_ANTHROPIC);
    CHECK_INT(
        codec->encode(&endpoint, make_chat(&model, "Be brief", "Hi", NULL), 1, &request, &err), 0);
    CHECK_STR(request.url, "https://api.anthropic.com/v1/messages");
    CHECK_STR(request.headers[0], "anthropic-version: 2023-06-01");
    CHECK_STR(request.body.data,
        "{\"model\":\"claude\",\"max_tokens\":100,\"system\":\"Be brief\",\"messages\":[{\"role\":"
        "\"user\",\"content\":\"Hi\"}]}");
    mr_request_deinit(&request);
    CHECK_INT(codec->encode(&endpoint, make_chat(&model, NULL, "Hi", "{}"), 1, &request, &err), 0);
    CHECK(strstr(request.body.data, "\"system\":\"Answer with one JSON value"));
    mr_request_deinit(&request);
    model.accepts = (struct mr_strv){accepts, 2};
    CHECK_INT(codec->encode(&endpoint, make_chat(&model, NULL, "Hi", "{}"), 1, &request, &err), 0);
    CHECK(!strstr(request.body.data, "\"system\""));
    CHECK(strstr(request.body.data,
        "\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{}}},\"temperature\":"
        "0.5}"));
    mr_request_deinit(&request);
    json_decref(model.params);
}

static struct mr_answer decode(int status, const char *body)
{
    struct mr_request request = {.endpoint = &endpoint};
    struct mr_reply reply = make_reply(status, body);
    struct mr_answer answer;
    mr_codec_of(MR_PROVIDER_ANTHROPIC)->decode(&request, &reply, &answer);
    mr_reply_deinit(&reply);
    return answer;
}

#define GOOD(content, stop)                                                                        \
    "{\"type\":\"message\",\"model\":\"claude-x\",\"content\":" content ",\"stop_reason\":" stop   \
    ",\"usage\":{\"input_tokens\":3,\"output_tokens\":550,\"cache_creation_input_tokens\":12304,"  \
    "\"cache_read_input_tokens\":7,\"cache_creation\":{\"ephemeral_5m_input_tokens\":12300,"       \
    "\"ephemeral_1h_input_tokens\":4},\"output_tokens_details\":{\"thinking_tokens\":500}}}"

static void decodes(void)
{
    struct mr_answer a = decode(200,
        GOOD("[{\"type\":\"thinking\",\"thinking\":\"hm\"},{\"type\":\"text\",\"text\":\"Yes, \"},"
             "{\"type\":\"text\",\"text\":\"sir \"}]",
            "\"end_turn\""));
    CHECK_INT(a.class, MR_CLASS_NONE);
    CHECK_STR(a.text, "Yes, sir");
    CHECK(a.billed && !a.usage_estimated);
    CHECK_INT(a.usage.input, 3);
    CHECK_INT(a.usage.cached, 7);
    CHECK_INT(a.usage.cache_write, 12300);
    CHECK_INT(a.usage.cache_write_1h, 4);
    CHECK_INT(a.usage.output, 550);
    CHECK_INT(a.usage.reasoning, 500);
    CHECK_STR(a.served_model, "claude-x");
    mr_answer_deinit(&a);
}

static void judges(void)
{
    static const struct {
        int status;
        const char *body;
        enum mr_class class;
        bool billed;
    } rows[] = {
        {200, GOOD("[]", "\"end_turn\""), MR_CLASS_BAD_OUTPUT, true},
        {200, GOOD("[{\"type\":\"text\",\"text\":\"a\"}]", "\"max_tokens\""), MR_CLASS_BAD_OUTPUT,
            true},
        {200, GOOD("[{\"type\":\"text\",\"text\":\"a\"}]", "\"pause_turn\""), MR_CLASS_BAD_OUTPUT,
            true},
        {200, GOOD("[]", "\"refusal\",\"stop_details\":{\"explanation\":\"no\"}"), MR_CLASS_REFUSED,
            true},
        {529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}",
            MR_CLASS_OVERLOADED, false},
        {429,
            "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\","
            "\"details\":{\"error_code\":\"enforced_spend_limit_reached\"}}}",
            MR_CLASS_QUOTA, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mr_answer a = decode(rows[i].status, rows[i].body);
        CHECK_STR(mr_class_name(a.class), mr_class_name(rows[i].class));
        CHECK_INT(a.billed, rows[i].billed);
        mr_answer_deinit(&a);
    }
}

static void survives_junk(void)
{
    struct mr_request request = {.endpoint = &endpoint};
    decode_junk(mr_codec_of(MR_PROVIDER_ANTHROPIC), &request,
        GOOD("[{\"type\":\"text\",\"text\":\"a\"}]", "\"end_turn\""));
}

TEST_MAIN(TEST(encodes), TEST(decodes), TEST(judges), TEST(survives_junk))
