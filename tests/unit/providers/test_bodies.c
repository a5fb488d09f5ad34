/* Whole request bodies, written out: what each provider is sent. */
#include "common/json.h"
#include "tests/unit/providers/support.h"

#define OPEN "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}"
#define CLOSED                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":9}},"           \
    "\"required\":[\"a\"],\"additionalProperties\":false}"
#define NARROW                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"description\":\"maxLength: 9\",\"type\":"       \
    "\"string\"}},\"required\":[\"a\"],\"additionalProperties\":false}"
#define OPTIONAL                                                                                   \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"additionalProperties\":"  \
    "false}"
#define OPTIONAL_NARROW                                                                            \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[],"           \
    "\"additionalProperties\":false}"
#define TOLD(schema)                                                                               \
    "Answer with one JSON value and nothing else. It conforms to this JSON Schema:\\n" schema
/* The same schemas inside a JSON string. */
#define OPEN_Q                                                                                     \
    "{\\\"type\\\":\\\"object\\\",\\\"properties\\\":{\\\"a\\\":{\\\"type\\\":\\\"string\\\"}}}"

#define MESSAGES                                                                                   \
    "\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"U\"}]"
#define MESSAGES_TOLD                                                                              \
    "\"messages\":[{\"role\":\"system\",\"content\":\"S\\n\\n" TOLD(                               \
        OPEN_Q) "\"},{\"role\":"                                                                   \
                "\"user\",\"content\":\"U\"}]"
#define FORMAT(strict, schema)                                                                     \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"my_step\","         \
    "\"strict\":" strict ",\"schema\":" schema "}}"

struct row {
    enum mr_provider_kind kind;
    const char *base_url, *model, *params, *accepts, *schema, *body;
};

static void check(const struct row *row)
{
    char words[256], *items[16];
    struct mr_err err;
    struct mr_endpoint endpoint = {.name = (char *)"p", .base_url = (char *)row->base_url};
    struct mr_model model = {.model = (char *)row->model, .accepts = {.items = items}};
    struct mr_schema *schema = NULL;
    if (row->params)
        CHECK((model.params = json_loads(row->params, 0, NULL)));
    snprintf(words, sizeof(words), "%s", row->accepts ? row->accepts : "");
    for (char *rest = words, *word; *words && (word = strsep(&rest, " "));)
        items[model.accepts.count++] = word;
    struct mr_chat *chat = make_chat(&model, "S", "U", row->schema);
    if (row->schema)
        CHECK_INT(mr_schema_compile(row->schema, strlen(row->schema), "s", &schema, &err), 0);
    chat->schema = schema;
    struct mr_request request;
    CHECK_INT(mr_codec_of(row->kind)->encode(&endpoint, chat, 1000, &request, &err), 0);
    CHECK_STR(request.body.data, row->body);
    CHECK_INT(mr_chat_prompt_bytes(&request), request.body.len);
    mr_request_deinit(&request);
    mr_schema_free(schema);
    json_decref(model.params);
}
#define CHECK_ROWS(rows)                                                                           \
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)                              \
    check(&rows[row])

static void openai(void)
{
    static const char url[] = "https://api.openai.com/v1";
    static const char params[] =
        "{\"temperature\":0,\"service_tier\":\"priority\",\"n\":2,\"tools\":[],\"max_tokens\":9,"
        "\"prompt_cache_key\":\"k\"}";
#define TIER ",\"service_tier\":\"default\"}"
    static const struct row rows[] = {
        {MR_PROVIDER_OPENAI, url, "gpt-4.1", params, NULL, NULL,
            "{\"model\":\"gpt-4.1\"," MESSAGES ",\"max_completion_tokens\":100,\"temperature\":0,"
            "\"prompt_cache_key\":\"k\"" TIER},
        {MR_PROVIDER_OPENAI, url, "gpt-6-sol", params, NULL, NULL,
            "{\"model\":\"gpt-6-sol\"," MESSAGES ",\"max_completion_tokens\":100,"
            "\"prompt_cache_key\":\"k\",\"reasoning_effort\":\"low\"" TIER},
        {MR_PROVIDER_OPENAI, url, "gpt-6-sol",
            "{\"reasoning_effort\":\"none\",\"temperature\":0,\"verbosity\":\"low\"}", NULL, NULL,
            "{\"model\":\"gpt-6-sol\"," MESSAGES ",\"max_completion_tokens\":100,"
            "\"reasoning_effort\":\"none\",\"temperature\":0,\"verbosity\":\"low\"" TIER},
        /* strict when the schema allows it */
        {MR_PROVIDER_OPENAI, url, "gpt-4.1", NULL, NULL, CLOSED,
            "{\"model\":\"gpt-4.1\"," MESSAGES
            ",\"max_completion_tokens\":100," FORMAT("true", NARROW) TIER},
        {MR_PROVIDER_OPENAI, url, "gpt-4.1", NULL, NULL, OPTIONAL,
            "{\"model\":\"gpt-4.1\"," MESSAGES
            ",\"max_completion_tokens\":100," FORMAT("false", OPTIONAL) TIER},
        {MR_PROVIDER_OPENAI, url, "gpt-4.1", NULL, NULL, OPEN,
            "{\"model\":\"gpt-4.1\"," MESSAGES
            ",\"max_completion_tokens\":100," FORMAT("false", OPEN) TIER},
        /* or asked for */
        {MR_PROVIDER_OPENAI, url, "gpt-4.1", NULL, "json_schema strict", OPEN,
            "{\"model\":\"gpt-4.1\"," MESSAGES ",\"max_tokens\":100," FORMAT("true", OPEN) TIER},
    };
    CHECK_ROWS(rows);
}

static void those_like_openai(void)
{
    static const char all[] =
        "{\"temperature\":0,\"seed\":7,\"random_seed\":8,\"top_k\":9,\"reasoning_effort\":\"low\"}";
    static const struct row rows[] = {
        {MR_PROVIDER_OPENAI, "https://r.openai.azure.com/openai/v1", "gpt-5.4", all, NULL, NULL,
            "{\"model\":\"gpt-5.4\"," MESSAGES ",\"max_completion_tokens\":100,\"seed\":7,"
            "\"reasoning_effort\":\"low\"}"},
        {MR_PROVIDER_OPENAI, "https://api.mistral.ai/v1", "mistral-small-2603", all, NULL, CLOSED,
            "{\"model\":\"mistral-small-2603\"," MESSAGES
            ",\"max_tokens\":100," FORMAT("true", NARROW) ",\"temperature\":0,\"random_seed\":8}"},
        {MR_PROVIDER_OPENAI, "https://api.deepseek.com/v1", "deepseek-flash", all, NULL, OPEN,
            "{\"model\":\"deepseek-flash\"," MESSAGES_TOLD ",\"max_tokens\":100,"
            "\"response_format\":{\"type\":\"json_object\"},\"temperature\":0}"},
        {MR_PROVIDER_OPENAI, "https://api.groq.com/openai/v1", "llama-3.3-70b-versatile", all, NULL,
            OPEN,
            "{\"model\":\"llama-3.3-70b-versatile\"," MESSAGES_TOLD ",\"max_completion_tokens\":"
            "100,\"response_format\":{\"type\":\"json_object\"},\"temperature\":0,\"seed\":7,"
            "\"reasoning_effort\":\"low\"}"},
        {MR_PROVIDER_OPENAI, "https://api.groq.com/openai/v1", "openai/gpt-oss-120b", NULL, NULL,
            CLOSED,
            "{\"model\":\"openai/gpt-oss-120b\"," MESSAGES
            ",\"max_completion_tokens\":100," FORMAT("true", NARROW) "}"},
        {MR_PROVIDER_OPENAI, "https://generativelanguage.googleapis.com/v1beta/openai",
            "gemini-3.8-flash", all, NULL, OPTIONAL,
            "{\"model\":\"gemini-3.8-flash\"," MESSAGES ",\"max_tokens\":100," FORMAT(
                "false", OPTIONAL) ",\"temperature\":0,\"reasoning_effort\":\"low\"}"},
        /* vLLM, llama.cpp and Ollama all take OpenAI's form */
        {MR_PROVIDER_OPENAI, "http://127.0.0.1:8000/v1", "qwen", all, NULL, OPEN,
            "{\"model\":\"qwen\"," MESSAGES ",\"max_tokens\":100," FORMAT("false",
                OPEN) ",\"temperature\":0,\"seed\":7,\"top_k\":9,\"reasoning_effort\":\"low\"}"},
        /* and their own, for those who name it */
        {MR_PROVIDER_OPENAI, "http://vllm:8000/v1", "qwen", NULL, "structured_outputs max_tokens",
            OPEN,
            "{\"model\":\"qwen\"," MESSAGES
            ",\"max_tokens\":100,\"structured_outputs\":{\"json\":" OPEN "}}"},
        {MR_PROVIDER_OPENAI, "http://vllm:8000/v1", "qwen", NULL, "guided_json", OPEN,
            "{\"model\":\"qwen\"," MESSAGES ",\"max_tokens\":100,\"guided_json\":" OPEN "}"},
        {MR_PROVIDER_OPENAI, "http://llama:8080/v1", "m", NULL, "schema", OPEN,
            "{\"model\":\"m\"," MESSAGES ",\"max_tokens\":100,\"response_format\":{\"type\":"
            "\"json_object\",\"schema\":" OPEN "}}"},
        {MR_PROVIDER_OPENAI, "http://ollama:11434/v1", "m", NULL, "temperature", OPEN,
            "{\"model\":\"m\"," MESSAGES_TOLD ",\"max_tokens\":100}"},
    };
    CHECK_ROWS(rows);
}

static void anthropic(void)
{
    static const char url[] = "https://api.anthropic.com/v1";
    static const char all[] =
        "{\"temperature\":0,\"effort\":\"low\",\"thinking\":{\"type\":\"adaptive\"},\"tools\":[],"
        "\"speed\":\"fast\",\"cache_control\":{\"type\":\"ephemeral\"},\"service_tier\":\"auto\"}";
#define START(model) "{\"model\":\"" model "\",\"max_tokens\":100,\"system\":\"S\","
#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"U\"}]"
#define OUTPUT(schema) "\"format\":{\"type\":\"json_schema\",\"schema\":" schema "}"
#define SAYS_TOLD(model)                                                                           \
    "{\"model\":\"" model "\",\"max_tokens\":100,\"system\":\"S\\n\\n" TOLD(OPEN_Q) "\","
    static const struct row rows[] = {
        {MR_PROVIDER_ANTHROPIC, url, "claude-opus-5-5-20260922", all, NULL, NULL,
            START("claude-opus-5-5-20260922") USER ",\"output_config\":{\"effort\":\"low\"},"
                                                   "\"thinking\":{\"type\":\"adaptive\"}}"},
        {MR_PROVIDER_ANTHROPIC, url, "claude-haiku-4-5", all, NULL, NULL,
            START("claude-haiku-4-5") USER
            ",\"temperature\":0,\"thinking\":{\"type\":\"adaptive\"}}"},
        {MR_PROVIDER_ANTHROPIC, url, "claude-3-7-sonnet-20250219", all, NULL, OPEN,
            SAYS_TOLD("claude-3-7-sonnet-20250219") USER
            ",\"temperature\":0,\"thinking\":{\"type\":\"adaptive\"}}"},
        {MR_PROVIDER_ANTHROPIC, url, "claude-sonnet-4-20250514", "{\"temperature\":0}", NULL, NULL,
            START("claude-sonnet-4-20250514") USER ",\"temperature\":0}"},
        /* its own mechanism, where model and schema allow it */
        {MR_PROVIDER_ANTHROPIC, url, "claude-sonnet-5.5", "{\"effort\":\"low\"}", NULL, CLOSED,
            START("claude-sonnet-5.5") USER
            ",\"output_config\":{" OUTPUT(NARROW) ",\"effort\":\"low\"}}"},
        {MR_PROVIDER_ANTHROPIC, url, "claude-haiku-4-5", NULL, NULL, OPTIONAL,
            START("claude-haiku-4-5") USER ",\"output_config\":{" OUTPUT(OPTIONAL_NARROW) "}}"},
        {MR_PROVIDER_ANTHROPIC, url, "claude-haiku-4-5", NULL, NULL, OPEN,
            SAYS_TOLD("claude-haiku-4-5") USER "}"},
        {MR_PROVIDER_ANTHROPIC, "http://ollama:11434/v1", "claude-haiku-4-5", NULL, NULL, OPEN,
            SAYS_TOLD("claude-haiku-4-5") USER "}"},
        /* or for those who name it; what else they put there stays */
        {MR_PROVIDER_ANTHROPIC, "http://gateway/v1", "m",
            "{\"output_config\":{\"format\":1,\"effort\":\"max\"}}", "output_config", OPEN,
            START("m") USER ",\"output_config\":{" OUTPUT(OPEN) ",\"effort\":\"max\"}}"},
    };
    CHECK_ROWS(rows);
}

static void caches_long_system_prompts(void)
{
    static char text[4097];
    memset(text, 'x', sizeof(text) - 1);
    struct mr_endpoint endpoint = {.base_url = (char *)"https://api.anthropic.com/v1"};
    struct mr_model model = {.model = (char *)"claude-opus-5.5"};
    model.params = json_pack("{s:{s:s,s:s}}", "cache_control", "type", "ephemeral", "ttl", "1h");
    struct mr_request request;
    struct mr_err err;
    CHECK_INT(mr_codec_of(MR_PROVIDER_ANTHROPIC)
                  ->encode(&endpoint, make_chat(&model, text, "U", NULL), 1, &request, &err),
        0);
    CHECK(strstr(request.body.data, "\"system\":[{\"type\":\"text\",\"text\":\"xxx"));
    CHECK(strstr(request.body.data,
        "xxx\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}],\"messages\":"));
    mr_request_deinit(&request);
    json_decref(model.params);
}

TEST_MAIN(TEST(openai), TEST(those_like_openai), TEST(anthropic), TEST(caches_long_system_prompts))
