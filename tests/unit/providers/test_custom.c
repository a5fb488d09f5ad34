#include "common/custom.h"
#include "common/json.h"
#include "tests/unit/providers/support.h"

#include <errno.h>

#define S(text) ((char *)(text))

/* Google's own API, as somebody might describe it. */
static char *gemini_headers[] = {S("x-goog-api-client: millrace")};
static char *gemini_ok[] = {S("STOP")};
static char *gemini_length[] = {S("MAX_TOKENS")};
static char *gemini_refused[] = {S("SAFETY"), S("RECITATION")};
static const struct mr_custom gemini = {
    .path = S("/models/{{model}}:generateContent"),
    .key_header = S("x-goog-api-key: "),
    .headers = {gemini_headers, 1},
    .body = S("{\"systemInstruction\":{\"parts\":[{\"text\":{{system}}}]},\"contents\":[{\"role\":"
              "\"user\",\"parts\":[{\"text\":{{user}}}]}],\"generationConfig\":{"
              "\"maxOutputTokens\":{{max_tokens}},\"responseJsonSchema\":{{schema}}}}"),
    .text = S("candidates[0].content.parts[*].text"),
    .finish = S("candidates[0].finishReason"),
    .served_model = S("modelVersion"),
    .input = S("usageMetadata.promptTokenCount"),
    .cached = S("usageMetadata.cachedContentTokenCount"),
    .output = S("usageMetadata.candidatesTokenCount"),
    .error = S("error.message"),
    .ok = {gemini_ok, 1},
    .length = {gemini_length, 1},
    .refused = {gemini_refused, 2},
    .usage_inclusive = true,
};
/* The least there can be. */
static const struct mr_custom small = {
    .body = S("{\"prompt\":{{user}},\"n_predict\":{{max_tokens}}}"), .text = S("content")};

static struct mr_request encode(const struct mr_custom *custom, const char *system,
    const char *schema, struct mr_endpoint *endpoint, struct mr_provider *provider)
{
    static struct mr_model model = {.model = S("gemini 3/pro")};
    *provider = (struct mr_provider){
        .name = S("p"), .kind = MR_PROVIDER_CUSTOM, .custom = (struct mr_custom *)custom};
    *endpoint = (struct mr_endpoint){
        .provider = provider, .name = S("p"), .base_url = S("https://h/v1beta")};
    struct mr_request request;
    struct mr_err err;
    CHECK_INT(mr_custom_check(custom, &err), 0);
    CHECK_INT(
        mr_codec_of(MR_PROVIDER_CUSTOM)
            ->encode(endpoint, make_chat(&model, system, "U \"q\"", schema), 1, &request, &err),
        0);
    return request;
}

static void encodes(void)
{
    struct mr_endpoint endpoint;
    struct mr_provider provider;
    struct mr_request request = encode(&gemini, "S", "{}", &endpoint, &provider);
    CHECK_STR(request.url, "https://h/v1beta/models/gemini%203%2Fpro:generateContent");
    CHECK_STR(request.headers[0], "x-goog-api-client: millrace");
    CHECK(!request.headers[1]);
    CHECK_INT(request.auth, MR_AUTH_NONE); /* there is no key */
    CHECK_STR(request.body.data,
        "{\"systemInstruction\":{\"parts\":[{\"text\":\"S\"}]},\"contents\":[{\"role\":\"user\","
        "\"parts\":[{\"text\":\"U \\\"q\\\"\"}]}],\"generationConfig\":{\"maxOutputTokens\":100,"
        "\"responseJsonSchema\":{}}}");
    CHECK_INT(mr_chat_prompt_bytes(&request), request.body.len);
    mr_request_deinit(&request);
    request = encode(&gemini, NULL, NULL, &endpoint, &provider);
    CHECK(strstr(request.body.data, "{\"text\":\"\"}"));
    CHECK(strstr(request.body.data, "\"responseJsonSchema\":null"));
    mr_request_deinit(&request);
}

static void puts_what_has_no_place_of_its_own_into_the_text(void)
{
    struct mr_endpoint endpoint;
    struct mr_provider provider;
    struct mr_request request = encode(&small, "S", "{\"a\":1}", &endpoint, &provider);
    CHECK_STR(request.url, "https://h/v1beta");
    CHECK_STR(request.body.data,
        "{\"prompt\":\"S\\n\\nAnswer with one JSON value and nothing else. It conforms to this "
        "JSON Schema:\\n{\\\"a\\\":1}\\n\\nU \\\"q\\\"\",\"n_predict\":100}");
    mr_request_deinit(&request);
}

static struct mr_answer decode(const struct mr_custom *custom, int status, const char *body)
{
    struct mr_endpoint endpoint;
    struct mr_provider provider;
    struct mr_request request = encode(custom, NULL, NULL, &endpoint, &provider);
    struct mr_reply reply = make_reply(status, body);
    struct mr_answer answer;
    mr_codec_of(MR_PROVIDER_CUSTOM)->decode(&request, &reply, &answer);
    mr_reply_deinit(&reply);
    mr_request_deinit(&request);
    return answer;
}

#define GOOD(parts, finish)                                                                        \
    "{\"candidates\":[{\"content\":{\"parts\":[" parts "]},\"finishReason\":\"" finish             \
    "\"}],\"modelVersion\":\"g-3\",\"usageMetadata\":{\"promptTokenCount\":100,"                   \
    "\"cachedContentTokenCount\":40,\"candidatesTokenCount\":7}}"

static void decodes(void)
{
    struct mr_answer a =
        decode(&gemini, 200, GOOD("{\"text\":\"Yes, \"},{\"n\":1},{\"text\":\"sir \"}", "stop"));
    CHECK_INT(a.class, MR_CLASS_NONE);
    CHECK_STR(a.text, "Yes, sir");
    CHECK_STR(a.served_model, "g-3");
    CHECK_STR(a.finish_reason, "stop");
    CHECK(a.billed && !a.usage_estimated);
    CHECK_INT(a.usage.input, 60);
    CHECK_INT(a.usage.cached, 40);
    CHECK_INT(a.usage.output, 7);
    mr_answer_deinit(&a);
    a = decode(&small, 200, "{\"content\":{\"a\":[1]}}"); /* JSON itself; no usage told */
    CHECK_INT(a.class, MR_CLASS_NONE);
    CHECK_STR(a.text, "{\"a\":[1]}");
    CHECK(a.usage_estimated && a.usage.input > 0);
    mr_answer_deinit(&a);
}

static void judges(void)
{
    static const struct {
        int status;
        const char *body;
        enum mr_class class;
        const char *says;
    } rows[] = {
        {200, GOOD("{\"text\":\"a\"}", "MAX_TOKENS"), MR_CLASS_BAD_OUTPUT, "limit of 100 tokens"},
        {200, GOOD("", "SAFETY"), MR_CLASS_REFUSED, "SAFETY"},
        {200, GOOD("{\"text\":\"a\"}", "OTHER"), MR_CLASS_BAD_OUTPUT, "OTHER"},
        {200, GOOD("", "STOP"), MR_CLASS_BAD_OUTPUT, "empty"},
        {200, "{\"candidates\":7}", MR_CLASS_BAD_OUTPUT, "empty"},
        {400, "{\"error\":{\"message\":\"Nope\",\"code\":400}}", MR_CLASS_INVALID, "Nope"},
        {429, "{\"error\":{\"message\":\"Slow\"}}", MR_CLASS_RATE_LIMITED, "Slow"},
        {200, "{\"error\":{\"message\":\"Odd\",\"code\":503}}", MR_CLASS_OVERLOADED, "Odd"},
        {200, "", MR_CLASS_AMBIGUOUS, NULL},
        {502, "<html>", MR_CLASS_SERVER, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mr_answer a = decode(&gemini, rows[i].status, rows[i].body);
        CHECK_STR(mr_class_name(a.class), mr_class_name(rows[i].class));
        CHECK(!rows[i].says || strstr(a.message, rows[i].says));
        mr_answer_deinit(&a);
    }
}

static void refuses_what_cannot_work(void)
{
    static char *many[7] = {
        S("a: 1"), S("a: 1"), S("a: 1"), S("a: 1"), S("a: 1"), S("a: 1"), S("a: 1")};
    static char *bad[] = {S("no colon")};
    static char *evil[] = {S("a: b\r\nX: y")};
    struct mr_custom rows[14];
    static const char *const says[] = {"body: is missing", "text: is missing", "{{uesr}}",
        "{{user}} and {{max_tokens}}", "no JSON", "text: \"a..b\"", "input: \"[x]\"",
        "error: \"a[1\"", "path: must begin", "path: may hold no", "ok: ", "headers: more",
        "headers: \"no colon\"", "input and output"};
    for (size_t i = 0; i < 14; i++)
        rows[i] = small;
    rows[0].body = NULL;
    rows[1].text = NULL;
    rows[2].body = S("{\"a\":{{uesr}}}");
    rows[3].body = S("{\"a\":{{user}}}");
    rows[4].body = S("{\"a\":\"{{user}}\",\"b\":{{max_tokens}}}");
    rows[5].text = S("a..b");
    rows[6].input = S("[x]");
    rows[7].error = S("a[1");
    rows[8].path = S("x");
    rows[9].path = S("/{{user}}");
    rows[10].finish = S("a");
    rows[11].headers = (struct mr_strv){many, 7};
    rows[12].headers = (struct mr_strv){bad, 1};
    rows[13].input = S("a");
    for (size_t i = 0; i < 14; i++) {
        struct mr_err err = {.msg = ""};
        CHECK_INT(mr_custom_check(&rows[i], &err), -EINVAL);
        if (!strstr(err.msg, says[i]))
            fprintf(stderr, "# %zu: %s\n", i, err.msg);
        CHECK(strstr(err.msg, says[i]));
    }
    rows[12].headers.items = evil;
    struct mr_err err;
    CHECK_INT(mr_custom_check(&rows[12], &err), -EINVAL);
}

static void survives_junk(void)
{
    struct mr_endpoint endpoint;
    struct mr_provider provider;
    struct mr_request request = encode(&gemini, NULL, NULL, &endpoint, &provider);
    decode_junk(
        mr_codec_of(MR_PROVIDER_CUSTOM), &request, GOOD("{\"text\":\"Hello \\u00e9\"}", "STOP"));
    mr_request_deinit(&request);
}

TEST_MAIN(TEST(encodes), TEST(puts_what_has_no_place_of_its_own_into_the_text), TEST(decodes),
    TEST(judges), TEST(refuses_what_cannot_work), TEST(survives_junk))
