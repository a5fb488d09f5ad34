/* From the bytes of an answer to exact dollars, for every provider, at the shipped prices; and that
 * no answer within its limits can cost more than was held for it. */
#include "common/clock.h"
#include "common/custom.h"
#include "common/prices.h"
#include "tests/unit/providers/support.h"

#define NOW "2026-11-20T12:00:00Z"

static struct mr_prices shipped(void)
{
    struct mr_prices prices;
    struct mr_err err = {.msg = ""};
    const struct mr_config_money money = {.ceiling_input = 20000000, .ceiling_output = 100000000};
    CHECK_INT(mr_prices_parse(NULL, &prices, &err), 0);
    mr_prices_set_ceiling(&prices, &money);
    return prices;
}

/* A provider of somebody's own, that counts as OpenAI does. */
static struct mr_custom own = {.body = (char *)"{\"p\":{{user}},\"n\":{{max_tokens}}}",
    .text = (char *)"out.text",
    .input = (char *)"used.in",
    .cached = (char *)"used.cached",
    .output = (char *)"used.out",
    .usage_inclusive = true};

static struct mr_answer decode(enum mr_provider_kind kind, const char *body)
{
    struct mr_provider provider = {.kind = kind, .custom = &own};
    struct mr_endpoint endpoint = {.provider = &provider, .base_url = (char *)"http://h/v1"};
    struct mr_model model = {.model = (char *)"m"};
    struct mr_request request = {
        .endpoint = &endpoint, .chat = make_chat(&model, NULL, "twelve bytes", NULL)};
    struct mr_reply reply = make_reply(200, body);
    struct mr_answer answer;
    mr_codec_of(kind)->decode(&request, &reply, &answer);
    mr_reply_deinit(&reply);
    mr_request_deinit(&request);
    return answer;
}

struct row {
    const char *provider, *model, *at, *body, *dollars;
    bool unknown;
};

static void check(enum mr_provider_kind kind, const struct row *rows, size_t count)
{
    struct mr_prices prices = shipped();
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct mr_answer a = decode(kind, row->body);
        const struct mr_usage *u = &a.usage;
        int64_t at_ms, pico;
        bool unknown;
        char text[MR_MONEY_LEN];
        CHECK_INT(mr_time_parse(row->at, &at_ms), 0);
        const struct mr_price *price = mr_price_find(&prices, row->provider, row->model, at_ms,
            u->input + u->cached + u->cache_write + u->cache_write_1h, &unknown);
        CHECK_INT(mr_money_cost(u, price, &pico), 0);
        mr_money_format(pico, text);
        if (strcmp(text, row->dollars) != 0)
            fprintf(stderr, "# row %zu: %s\n", i, row->model);
        CHECK_STR(text, row->dollars);
        CHECK_INT(unknown, row->unknown);
        CHECK(a.class == MR_CLASS_NONE && a.billed && !a.usage_estimated);
        mr_answer_deinit(&a);
    }
    mr_prices_deinit(&prices);
}
#define CHECK_ROWS(kind, rows) check(kind, rows, sizeof(rows) / sizeof(rows[0]))

#define CHAT(usage)                                                                                \
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1763640000,\"model\":"      \
    "\"m\","                                                                                       \
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi\","            \
    "\"refusal\":null,\"annotations\":[]},\"finish_reason\":\"stop\"}],\"usage\":{" usage          \
    "},\"service_tier\":\"default\",\"system_fingerprint\":null}"

static void openai(void)
{
    static const struct row rows[] = {
        {"openai", "gpt-5.6-terra", NOW,
            CHAT("\"prompt_tokens\":10000,\"completion_tokens\":500,\"total_tokens\":10500,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":6000,\"cache_write_tokens\":1024,"
                 "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":300,"
                 "\"accepted_prediction_tokens\":0}"),
            "0.015712", false},
        {"openai", "gpt-4.1-mini-2025-04-14", NOW,
            CHAT("\"prompt_tokens\":1000,\"completion_tokens\":100,\"total_tokens\":1100,"
                 "\"prompt_tokens_details\":null"),
            "0.000560", false},
        /* above 272,000 tokens the whole request is dearer */
        {"openai", "gpt-6-sol", NOW, CHAT("\"prompt_tokens\":272000,\"completion_tokens\":100"),
            "0.545000", false},
        {"openai", "gpt-6-sol", NOW, CHAT("\"prompt_tokens\":272001,\"completion_tokens\":100"),
            "1.089504", false},
        {"openai", "gpt-6-sol-2026-09-22", NOW,
            CHAT("\"prompt_tokens\":300000,\"completion_tokens\":1000,\"prompt_tokens_details\":{"
                 "\"cached_tokens\":200000,\"cache_write_tokens\":50000}"),
            "0.545000", false},
        /* a promotion that ends */
        {"openai", "gpt-5.6-sol", "2026-11-21T23:59:59.999Z",
            CHAT("\"prompt_tokens\":1000,\"completion_tokens\":100"), "0.006000", false},
        {"openai", "gpt-5.6-sol", "2026-11-22T00:00:00Z",
            CHAT("\"prompt_tokens\":1000,\"completion_tokens\":100"), "0.008000", false},
        /* a token of the cheapest */
        {"openai", "gpt-6-luna", NOW, CHAT("\"prompt_tokens\":1,\"completion_tokens\":1"),
            "0.0000006", false},
        /* never free */
        {"openai", "gpt-7", NOW, CHAT("\"prompt_tokens\":1000,\"completion_tokens\":100"),
            "0.030000", true},
        {"somebody", "gpt-4.1", NOW, CHAT("\"prompt_tokens\":1000,\"completion_tokens\":100"),
            "0.030000", true},
    };
    CHECK_ROWS(MR_PROVIDER_OPENAI, rows);
}

static void those_like_openai(void)
{
    static const struct row rows[] = {
        /* Gemini counts its thoughts in the total only */
        {"gemini", "gemini-3.1-pro-preview", NOW,
            CHAT("\"prompt_tokens\":200001,\"completion_tokens\":10,\"total_tokens\":200111"),
            "0.801984", false},
        {"gemini", "gemini-3.1-pro-preview", NOW,
            CHAT("\"prompt_tokens\":200000,\"completion_tokens\":110,\"total_tokens\":200110,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":150000}"),
            "0.131320", false},
        {"mistral", "mistral-small-2603", NOW,
            CHAT("\"prompt_tokens\":1000,\"completion_tokens\":200,\"total_tokens\":1200,"
                 "\"num_cached_tokens\":400"),
            "0.000216", false},
        {"mistral", "mistral-medium-3.5", NOW, /* no rate for cached tokens: as all others */
            CHAT("\"prompt_tokens\":1000,\"completion_tokens\":100,\"prompt_tokens_details\":{"
                 "\"cached_tokens\":400}"),
            "0.002250", false},
        {"deepseek", "deepseek-flash", NOW,
            CHAT("\"prompt_tokens\":1000,\"completion_tokens\":100,\"total_tokens\":1100,"
                 "\"prompt_cache_hit_tokens\":640,\"prompt_cache_miss_tokens\":360,"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":60}"),
            "0.00023184", false},
        {"groq", "llama-3.3-70b-versatile", NOW,
            CHAT("\"queue_time\":0.02,\"prompt_tokens\":1000,\"prompt_time\":0.1,"
                 "\"completion_tokens\":100,\"total_tokens\":1100,\"total_time\":0.3"),
            "0.000669", false},
        {"groq", "openai/gpt-oss-120b", NOW,
            CHAT("\"prompt_tokens\":1000,\"completion_tokens\":100,\"total_tokens\":1100,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":512}"),
            "0.0001716", false},
        {"vllm", "qwen", NOW,
            CHAT("\"prompt_tokens\":1000,\"completion_tokens\":100,\"total_tokens\":1100,"
                 "\"prompt_tokens_details\":null"),
            "0.000000", false},
        {"ollama", "llama3.2:3b", NOW,
            CHAT("\"prompt_tokens\":26,\"completion_tokens\":298,\"total_tokens\":324"), "0.000000",
            false},
        {"llama.cpp", "/models/m.gguf", NOW,
            CHAT("\"completion_tokens\":8,\"prompt_tokens\":62,\"total_tokens\":70,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":60}"),
            "0.000000", false},
    };
    CHECK_ROWS(MR_PROVIDER_OPENAI, rows);
}

#define CLAUDE(usage)                                                                              \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\","          \
    "\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}],\"stop_reason\":\"end_turn\","              \
    "\"stop_sequence\":null,\"usage\":{" usage ",\"service_tier\":\"standard\"}}"

static void anthropic(void)
{
    static const struct row rows[] = {
        /* LiteLLM, issue 9812: it said $0.091311 */
        {"anthropic", "claude-3-7-sonnet-20250219", NOW,
            CLAUDE("\"input_tokens\":3,\"cache_creation_input_tokens\":12304,"
                   "\"cache_read_input_tokens\":0,\"output_tokens\":550"),
            "0.054399", false},
        {"anthropic", "claude-opus-5-5-20260922", NOW,
            CLAUDE("\"input_tokens\":100,\"cache_creation_input_tokens\":700,"
                   "\"cache_read_input_tokens\":2000,\"cache_creation\":{"
                   "\"ephemeral_5m_input_tokens\":300,\"ephemeral_1h_input_tokens\":400},"
                   "\"output_tokens\":50,\"output_tokens_details\":{\"thinking_tokens\":40},"
                   "\"server_tool_use\":{\"web_search_requests\":0}"),
            "0.006500", false},
        /* above 100,000 tokens, those of the cache included */
        {"anthropic", "claude-haiku-5-5", NOW,
            CLAUDE("\"input_tokens\":1,\"cache_read_input_tokens\":99999,\"output_tokens\":10"),
            "0.00100509", false},
        {"anthropic", "claude-haiku-5-5", NOW,
            CLAUDE("\"input_tokens\":1,\"cache_read_input_tokens\":100000,\"output_tokens\":10"),
            "0.0050255", false},
        {"anthropic", "claude-haiku-5-5", NOW,
            CLAUDE("\"input_tokens\":1,\"cache_creation_input_tokens\":100000,\"output_tokens\":10,"
                   "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,"
                   "\"ephemeral_1h_input_tokens\":100000}"),
            "0.1000255", false},
        {"anthropic", "claude-unheard-of", NOW,
            CLAUDE("\"input_tokens\":1000,\"output_tokens\":100"), "0.030000", true},
    };
    CHECK_ROWS(MR_PROVIDER_ANTHROPIC, rows);
}

static void custom(void)
{
    static const struct row rows[] = {
        {"gemini", "gemini-2.5-flash-lite", NOW,
            "{\"out\":{\"text\":\"Hi\"},\"used\":{\"in\":1000,\"cached\":400,\"out\":50}}",
            "0.000084", false},
        {"own", "m", NOW, "{\"out\":{\"text\":\"Hi\"},\"used\":{\"in\":1000,\"out\":100}}",
            "0.030000", true},
    };
    CHECK_ROWS(MR_PROVIDER_CUSTOM, rows);
}

/* ---- the hold ---- */

static unsigned long long state = 20261121;

static int64_t below(int64_t limit)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return limit > 0 ? (int64_t)((state >> 33) % (unsigned long long)limit) : 0;
}

/* Text of all kinds of characters: quotes, controls, two to four bytes, broken ones. */
static char *random_text(int64_t n)
{
    static const char *const pieces[] = {"a", "\"", "\\", "\n", "\x01", "\xc3\xa9", "\xe2\x82\xac",
        "\xf0\x9f\x98\x80", "\xff", " word", "  "};
    struct mr_buf text = MR_BUF_INIT(4u << 20);
    for (int64_t i = 0; i < n; i++)
        CHECK_INT(mr_buf_puts(&text, pieces[below(sizeof(pieces) / sizeof(pieces[0]))]), 0);
    char *made = mr_buf_steal(&text, NULL);
    CHECK(made);
    return made;
}

static struct mr_request random_request(const struct mr_price *price, bool large)
{
    static struct mr_model model;
    static struct mr_provider provider;
    static struct mr_endpoint endpoint;
    bool anthropic = strcmp(price->provider, "anthropic") == 0;
    provider = (struct mr_provider){.kind = anthropic ? MR_PROVIDER_ANTHROPIC : MR_PROVIDER_OPENAI};
    model = (struct mr_model){.model = (char *)price->model};
    endpoint = (struct mr_endpoint){.provider = &provider, .base_url = (char *)"https://h/v1"};
    char *system = random_text(below(200)), *user = random_text(below(large ? 400000 : 2000));
    struct mr_chat *chat = make_chat(
        &model, below(2) ? system : NULL, user, below(2) ? "{\"type\":\"object\"}" : NULL);
    chat->max_tokens = (int)below(4096) + 1;
    struct mr_request request;
    struct mr_err err;
    CHECK_INT(mr_codec_of(provider.kind)->encode(&endpoint, chat, 1, &request, &err), 0);
    free(system);
    free(user);
    return request;
}

/* Any way `prompt` tokens may have been counted. */
static struct mr_usage random_usage(int64_t prompt, int64_t output)
{
    struct mr_usage usage = {.output = output};
    int64_t *const buckets[] = {
        &usage.input, &usage.cached, &usage.cache_write, &usage.cache_write_1h};
    for (int i = 0; i < 3; i++) {
        int64_t some = below(2) ? below(prompt + 1) : below(2) * prompt;
        *buckets[below(4)] += some;
        prompt -= some;
    }
    *buckets[below(4)] += prompt;
    return usage;
}

/* No tokenizer makes more tokens than there are bytes; what providers add of their own (the chat
 * template, words about the schema) is at most MR_HOLD_EXTRA_TOKENS. */
static void a_hold_is_never_exceeded(void)
{
    struct mr_prices prices = shipped();
    int64_t at_ms, tiers = 0;
    CHECK_INT(mr_time_parse(NOW, &at_ms), 0);
    for (size_t i = 0; i < prices.count * 6; i++) {
        struct mr_price row = prices.items[i % prices.count];
        char *star = strchr(row.model, '*');
        if (star)
            memcpy(star, "26", 3);
        struct mr_request request = random_request(&row, i % 6 == 0 && row.above_tokens > 0);
        int64_t max_tokens = request.chat->max_tokens, hold, cost;
        int64_t most = (int64_t)request.body.len + MR_HOLD_EXTRA_TOKENS;
        CHECK_INT(mr_chat_hold_tokens(&request), most);
        CHECK_INT(mr_money_hold(&prices, row.provider, row.model, at_ms,
                      mr_chat_hold_tokens(&request), max_tokens, &hold),
            0);
        for (int k = 0; k < 200; k++) {
            int64_t prompt = k == 0 ? most : below(most + 1);
            if (k % 3 == 1 && row.above_tokens > 0 && row.above_tokens < most)
                prompt = row.above_tokens + below(2); /* at the edge of a tier */
            struct mr_usage usage =
                random_usage(prompt, k == 0 ? max_tokens : below(max_tokens + 1));
            bool unknown;
            const struct mr_price *price =
                mr_price_find(&prices, row.provider, row.model, at_ms, prompt, &unknown);
            tiers += price->above_tokens > 0;
            CHECK_INT(mr_money_cost(&usage, price, &cost), 0);
            CHECK(cost <= hold);
        }
        mr_request_deinit(&request);
    }
    CHECK(tiers > 1000); /* the dearer tiers were reached */
    mr_prices_deinit(&prices);
}

TEST_MAIN(TEST(openai), TEST(those_like_openai), TEST(anthropic), TEST(custom),
    TEST(a_hold_is_never_exceeded))
