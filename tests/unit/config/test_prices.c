#include "common/prices.h"

#include "common/clock.h"
#include "tests/unit/config/config_help.h"

static struct mr_prices shipped(void)
{
    struct mr_prices prices;
    struct mr_err err = {0};

    if (mr_prices_parse(NULL, &prices, &err) < 0) {
        fprintf(stderr, "# %s\n", err.msg);
        abort();
    }
    return prices;
}

static int64_t at(const char *time)
{
    int64_t ms;

    CHECK_INT(mr_time_parse(time, &ms), 0);
    return ms;
}

static const struct mr_price *find(const struct mr_prices *prices, const char *provider,
    const char *model, const char *time, int64_t prompt)
{
    bool unknown;
    const struct mr_price *price =
        mr_price_find(prices, provider, model, at(time), prompt, &unknown);

    CHECK(!unknown);
    return price;
}

#define NOW "2026-11-20T12:00:00Z"

static void golden_vector(void)
{
    struct mr_prices prices = shipped();
    const struct mr_usage usage = {.input = 3, .cache_write = 12304, .output = 550};
    const char *names[] = {"claude-3.7-sonnet", "claude-3-7-sonnet-20250219"};
    char text[MR_MONEY_LEN];
    int64_t pico;

    for (size_t i = 0; i < 2; i++) {
        const struct mr_price *price = find(&prices, "anthropic", names[i], NOW, 12307);
        CHECK_INT(price->cache_write_1h, 6000000);
        CHECK_INT(mr_money_cost(&usage, price, &pico), 0);
        mr_money_format(pico, text);
        CHECK_STR(text, "0.054399");
    }
    mr_prices_deinit(&prices);
}

static void tiers_and_dates(void)
{
    struct mr_prices p = shipped();

    CHECK_INT(find(&p, "anthropic", "claude-haiku-5.5", NOW, 100000)->input, 100000);
    CHECK_INT(find(&p, "anthropic", "claude-haiku-5-5-20261001", NOW, 100001)->input, 500000);
    CHECK_INT(find(&p, "gemini", "gemini-3.1-pro-preview", NOW, 200001)->output, 18000000);
    CHECK_INT(find(&p, "openai", "gpt-5.6-terra", NOW, 300000)->input, 4000000);
    CHECK_INT(find(&p, "openai", "gpt-5.6-terra", NOW, 300000)->output, 18000000);
    CHECK_INT(find(&p, "openai", "gpt-5.6-sol", NOW, 10)->output, 20000000);
    CHECK_INT(find(&p, "openai", "gpt-5.6-sol", "2026-11-22T00:00:00Z", 10)->output, 30000000);
    CHECK_INT(find(&p, "openai", "gpt-5.6-sol", "2026-11-22T00:00:00Z", 300000)->output, 45000000);
    CHECK_INT(find(&p, "gemini", "gemini-3.8-flash", NOW, 10)->input, 750000);
    CHECK_INT(find(&p, "gemini", "gemini-3.8-flash", "2027-01-01T00:00:00Z", 10)->input, 1500000);
    CHECK_INT(find(&p, "openai", "gpt-5.4", NOW, 10)->input, 2500000);
    CHECK_INT(find(&p, "openai", "gpt-5.4-mini-2026-03-05", NOW, 10)->input, 750000);
    CHECK_INT(find(&p, "mistral", "mistral-medium-3.5", NOW, 10)->cached, 1500000);
    CHECK_INT(find(&p, "local", "summary", "1970-01-01T00:00:00Z", 1 << 30)->output, 0);
    mr_prices_deinit(&p);
}

/* What the vendors charged when the list was made, row by row: provider, model, then input, cached,
 * cache write, 1-hour write, output and the batch factor. A kind it does not name (0) costs like
 * input.
 */
static const struct {
    const char *provider, *model, *at;
    int64_t tokens;
    double rates[5];
    int batch;
} reference[] = {
    {"openai", "gpt-6-astra", NOW, 0, {10, 1, 12.5, 0, 50}, 50},
    {"openai", "gpt-6-astra", NOW, 272001, {20, 2, 25, 0, 75}, 50},
    {"openai", "gpt-6-sol", NOW, 272000, {2, 0.2, 2.5, 0, 10}, 50},
    {"openai", "gpt-6.1-sol", NOW, 0, {2, 0.1, 0, 0, 10}, 50},
    {"openai", "gpt-6-luna", NOW, 0, {0.1, 0.01, 0.125, 0, 0.5}, 50},
    {"openai", "gpt-5.6-sol", NOW, 0, {4, 0.4, 5, 0, 20}, 50},
    {"openai", "gpt-5.6-sol", "2026-11-22T00:00:00Z", 0, {5, 0.5, 6.25, 0, 30}, 50},
    {"openai", "gpt-5.6-terra", NOW, 0, {2, 0.2, 2.5, 0, 12}, 50},
    {"openai", "gpt-5.6-luna", NOW, 0, {0.2, 0.02, 0.25, 0, 1.2}, 50},
    {"openai", "gpt-5.4", NOW, 0, {2.5, 0.25, 0, 0, 15}, 50},
    {"openai", "gpt-5.4-mini", NOW, 0, {0.75, 0.075, 0, 0, 4.5}, 50},
    {"openai", "gpt-5.4-nano", NOW, 0, {0.2, 0.02, 0, 0, 1.25}, 50},
    {"openai", "gpt-4.1", NOW, 0, {2, 0.5, 0, 0, 8}, 50},
    {"openai", "gpt-4.1-mini", NOW, 0, {0.4, 0.1, 0, 0, 1.6}, 50},
    {"openai", "gpt-4o-mini", NOW, 0, {0.15, 0.075, 0, 0, 0.6}, 50},
    {"openai", "text-embedding-3-small", NOW, 0, {0.02, 0, 0, 0, 0}, 50},
    {"openai", "text-embedding-3-large", NOW, 0, {0.13, 0, 0, 0, 0}, 50},
    {"anthropic", "claude-fable-5.1", NOW, 0, {10, 0.25, 12.5, 20, 50}, 50},
    {"anthropic", "claude-opus-5.5", NOW, 0, {4, 0.2, 5, 8, 20}, 50},
    {"anthropic", "claude-opus-5", NOW, 0, {5, 0.5, 6.25, 10, 25}, 50},
    {"anthropic", "claude-opus-4-5-20251101", NOW, 0, {5, 0.5, 6.25, 10, 25}, 50},
    {"anthropic", "claude-sonnet-5.5", NOW, 0, {2, 0.1, 2.5, 4, 10}, 50},
    {"anthropic", "claude-haiku-5.5", NOW, 100000, {0.1, 0.01, 0.125, 0.2, 0.5}, 50},
    {"anthropic", "claude-haiku-5.5", NOW, 100001, {0.5, 0.05, 0.625, 1, 2.5}, 50},
    {"anthropic", "claude-haiku-4.5", NOW, 0, {1, 0.1, 1.25, 2, 5}, 50},
    {"gemini", "gemini-3.1-pro-preview", NOW, 200000, {2, 0.2, 0, 0, 12}, 50},
    {"gemini", "gemini-3.1-pro-preview", NOW, 200001, {4, 0.4, 0, 0, 18}, 50},
    {"gemini", "gemini-3.8-flash", NOW, 0, {0.75, 0.075, 0, 0, 3.75}, 50},
    {"gemini", "gemini-3.8-flash", "2027-01-01T00:00:00Z", 0, {1.5, 0.15, 0, 0, 7.5}, 50},
    {"gemini", "gemini-3.5-flash-lite", NOW, 0, {0.3, 0.03, 0, 0, 2.5}, 50},
    {"gemini", "gemini-2.5-flash-lite", NOW, 0, {0.1, 0.01, 0, 0, 0.4}, 50},
    {"mistral", "mistral-large-2512", NOW, 0, {0.5, 0.05, 0, 0, 1.5}, 50},
    {"mistral", "mistral-medium-3.5", NOW, 0, {1.5, 0, 0, 0, 7.5}, 50},
    {"mistral", "mistral-small-2603", NOW, 0, {0.15, 0.015, 0, 0, 0.6}, 50},
    {"deepseek", "deepseek-flash", NOW, 0, {0.3, 0.006, 0, 0, 1.2}, 0}, /* peak */
    {"deepseek", "deepseek-v4-pro", NOW, 0, {1.32, 0.044, 0, 0, 3.96}, 0},
    {"groq", "llama-3.3-70b", NOW, 0, {0.59, 0, 0, 0, 0.79}, 50},
    {"groq", "llama-3.1-8b", NOW, 0, {0.05, 0, 0, 0, 0.08}, 50},
    {"groq", "gpt-oss-120b", NOW, 0, {0.15, 0.075, 0, 0, 0.6}, 50},
};

static int64_t micro(double dollars, int64_t otherwise)
{
    return dollars > 0 ? (int64_t)(dollars * 1e6 + 0.5) : otherwise;
}

static void reference_rows(void)
{
    struct mr_prices p = shipped();

    for (size_t i = 0; i < sizeof(reference) / sizeof(reference[0]); i++) {
        const double *want = reference[i].rates;
        const struct mr_price *got = find(
            &p, reference[i].provider, reference[i].model, reference[i].at, reference[i].tokens);
        fprintf(stderr, "# %s\n", reference[i].model);
        CHECK_INT(got->input, micro(want[0], 0));
        CHECK_INT(got->cached, micro(want[1], got->input));
        CHECK_INT(got->cache_write, micro(want[2], got->input));
        CHECK_INT(got->cache_write_1h, micro(want[3], got->cache_write));
        CHECK_INT(got->output, micro(want[4], 0));
        CHECK_INT(got->batch_percent, reference[i].batch);
        CHECK(strstr(got->source, "202")); /* a date */
    }
    mr_prices_deinit(&p);
}

/* A family's cheap name must not cover a dearer sister. */
static void unknown_is_never_free(void)
{
    struct mr_prices p = shipped();
    struct mr_config *c = load_text("");
    const char *names[] = {"gpt-5.4-pro", "gpt-7", "claude-sonnet-5", "summary"};
    bool unknown;

    mr_prices_set_ceiling(&p, &c->money);
    for (size_t i = 0; i < 4; i++) {
        const struct mr_price *price =
            mr_price_find(&p, i == 2 ? "anthropic" : "openai", names[i], at(NOW), 10, &unknown);
        CHECK(unknown && price == &p.ceiling);
    }
    for (size_t i = 0; i < p.count; i++) {
        const struct mr_price *price = &p.items[i];
        CHECK(price->source[0]);
        CHECK(price->input < p.ceiling.input && price->output < p.ceiling.output);
        CHECK(price->cache_write < p.ceiling.cache_write);
        CHECK(price->cache_write_1h < p.ceiling.cache_write_1h);
        CHECK(price->cached <= price->input && price->cache_write_1h >= price->cache_write);
    }
    mr_config_unref(c);
    mr_prices_deinit(&p);
}

static void refuse(const char *text, const char *part)
{
    struct mr_prices prices = {0};
    struct mr_err err = {0};

    put_file("p.cfg", text);
    CHECK(mr_prices_parse("p.cfg", &prices, &err) < 0);
    CHECK(!prices.items);
    if (!strstr(err.msg, part)) {
        fprintf(stderr, "# \"%s\" lacks \"%s\"\n", err.msg, part);
        abort();
    }
}

#define ENTRY(more)                                                                                \
    "{ provider = \"p\"; models = [\"m\"]; input = \"1\"; output = \"2\"; " more " }"

static void errors_say_where(void)
{
    refuse("", "prices: ( ... )");
    refuse("prices: (3);", "must be a group");
    refuse("prices: ({ provider = \"p\"; models = [\"m\"]; input = \"1\"; });", "'output'");
    refuse("prices: (\n" ENTRY("") ",\n" ENTRY("") ");", "p.cfg:3: price of p 'm': is there twice");
    refuse("prices: (" ENTRY("inptu = \"1\";") ");", "did you mean 'input'?");
    refuse("prices: (" ENTRY("cached = 0.5;") ");", "as a string");
    refuse("prices: (" ENTRY("cached = \"-1\";") ");", "p.cfg:1: prices.cached");
    refuse("prices: (" ENTRY("batch_percent = 101;") ");", "prices.batch_percent");
    refuse("prices: (" ENTRY("from = \"soon\";") ");", "dates");
    refuse("prices: (" ENTRY("from = \"2026-02-01\"; to = \"2026-01-01\";") ");", "after");
    refuse("prices: ({ provider = \"p\"; models = [\"a*b\"]; input = \"1\"; output = \"2\"; });",
        "with '*'");
}

static void defaults_are_never_less(void)
{
    struct mr_prices prices;
    struct mr_err err = {0};

    put_file(
        "p.cfg", "prices: (" ENTRY("cache_write = \"3\"; from = \"2026-01-01T10:00:00Z\";") ");");
    CHECK_INT(mr_prices_parse("p.cfg", &prices, &err), 0);
    CHECK_INT(prices.count, 1);
    CHECK_INT(prices.items[0].cached, 1000000);
    CHECK_INT(prices.items[0].cache_write_1h, 3000000);
    CHECK_INT(prices.items[0].batch_percent, 0);
    CHECK_INT(prices.items[0].from_ms, at("2026-01-01T10:00:00Z"));
    mr_prices_deinit(&prices);
}

TEST_MAIN(TEST(golden_vector), TEST(tiers_and_dates), TEST(reference_rows),
    TEST(unknown_is_never_free), TEST(errors_say_where), TEST(defaults_are_never_less))
