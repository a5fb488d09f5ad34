#include "common/money.h"
#include "tests/unit/test.h"

#include <errno.h>

#define DAY 86400000ll

static struct mr_price rows[] = {
    {.id = 1, .provider = "openai", .model = "gpt-4*", .input = 10, .output = 20},
    {.id = 2, .provider = "openai", .model = "gpt-4.1*", .input = 30, .output = 40},
    {.id = 3, .provider = "openai", .model = "gpt-4.1-mini", .input = 5, .output = 6},
    {.id = 4, .provider = "openai", .model = "tiered", .input = 100, .cached = 10, .output = 300},
    {.id = 5,
        .provider = "openai",
        .model = "tiered",
        .above_tokens = 1000,
        .input = 200,
        .cache_write = 250,
        .output = 450},
    {.id = 6, .provider = "openai", .model = "moved", .to_ms = 10 * DAY, .input = 1},
    {.id = 7, .provider = "openai", .model = "moved", .from_ms = 10 * DAY, .input = 2},
    {.id = 8, .provider = "other", .model = "*", .input = 9},
};

static struct mr_prices table(void)
{
    return (struct mr_prices){.items = rows,
        .count = sizeof(rows) / sizeof(rows[0]),
        .ceiling = {.input = 1000, .output = 5000}};
}

static int64_t find(const char *provider, const char *model, int64_t at, int64_t tokens)
{
    struct mr_prices prices = table();
    bool unknown;
    const struct mr_price *price = mr_price_find(&prices, provider, model, at, tokens, &unknown);
    CHECK(unknown == (price == &prices.ceiling));
    return price->id;
}

static void finds_the_price(void)
{
    CHECK_INT(find("openai", "gpt-4o", 1, 1), 1);
    CHECK_INT(find("openai", "gpt-4.1", 1, 1), 2);
    CHECK_INT(find("openai", "gpt-4.1-mini", 1, 1), 3);
    CHECK_INT(find("openai", "gpt-4.1-mini-2025", 1, 1), 2);
    CHECK_INT(find("openai", "tiered", 1, 1000), 4);
    CHECK_INT(find("openai", "tiered", 1, 1001), 5);
    CHECK_INT(find("openai", "moved", 10 * DAY - 1, 1), 6);
    CHECK_INT(find("openai", "moved", 10 * DAY, 1), 7);
    CHECK_INT(find("other", "anything", 1, 1), 8);
    CHECK_INT(find("openai", "unheard-of", 1, 1), 0);
    CHECK_INT(find("nobody", "gpt-4o", 1, 1), 0);
}

static void costs_are_exact(void)
{
    struct mr_price price = {.input = 3000000,
        .cached = 300000,
        .cache_write = 3750000,
        .cache_write_1h = 6000000,
        .output = 15000000};
    struct mr_usage usage = {.input = 1000,
        .cached = 2000,
        .cache_write = 10,
        .cache_write_1h = 20,
        .output = 300,
        .reasoning = 100};
    int64_t pico = 0;
    CHECK_INT(mr_money_cost(&usage, &price, &pico), 0);
    CHECK_INT(pico, 3000000000 + 600000000 + 37500000 + 120000000 + 4500000000);
    usage.output = -1;
    CHECK_INT(mr_money_cost(&usage, &price, &pico), -EINVAL);
    usage.output = INT64_MAX / 2;
    CHECK_INT(mr_money_cost(&usage, &price, &pico), -ERANGE);
    usage.output = 0;
    usage.reasoning = -1;
    CHECK_INT(mr_money_cost(&usage, &price, &pico), -EINVAL);
}

static int64_t hold(const char *model, int64_t bytes, int64_t max_tokens)
{
    struct mr_prices prices = table();
    int64_t pico = -1;
    CHECK_INT(mr_money_hold(&prices, "openai", model, 1, bytes, max_tokens, &pico), 0);
    return pico;
}

static void a_hold_is_an_upper_bound(void)
{
    CHECK_INT(hold("gpt-4o", 100, 10), 100 * 10 + 10 * 20);
    CHECK_INT(hold("tiered", 1000, 10), 1000 * 100 + 10 * 300);
    CHECK_INT(hold("tiered", 1001, 10), 1001 * 250 + 10 * 450);
    CHECK_INT(hold("unheard-of", 10, 10), 10 * 1000 + 10 * 5000);
    struct mr_prices prices = table();
    for (int64_t tokens = 0; tokens < 3000; tokens += 7) {
        bool unknown;
        int64_t cost;
        struct mr_usage usage = {.cache_write = tokens, .output = 50};
        const struct mr_price *price =
            mr_price_find(&prices, "openai", "tiered", 1, tokens, &unknown);
        CHECK_INT(mr_money_cost(&usage, price, &cost), 0);
        CHECK(cost <= hold("tiered", 3000, 50));
        CHECK(cost <= hold("tiered", tokens, 50));
    }
    int64_t pico;
    CHECK_INT(mr_money_hold(&prices, "openai", "gpt-4o", 1, INT64_MAX, INT64_MAX, &pico), -ERANGE);
    CHECK_INT(mr_money_hold(&prices, "openai", "gpt-4o", 1, -1, 1, &pico), -ERANGE);
}

static void formats_money(void)
{
    static const struct {
        int64_t pico;
        const char *text;
    } cases[] = {{0, "0.000000"}, {54399000000, "0.054399"}, {54399000001, "0.054399000001"},
        {1500000000000, "1.500000"}, {1, "0.000000000001"}, {10, "0.00000000001"},
        {-2500000000000, "-2.500000"}, {INT64_MAX, "9223372.036854775807"},
        {INT64_MIN, "-9223372.036854775808"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[MR_MONEY_LEN];
        mr_money_format(cases[i].pico, text);
        CHECK_STR(text, cases[i].text);
    }
}

static void parses_money(void)
{
    static const struct {
        const char *text;
        int r;
        int64_t pico;
    } cases[] = {{"1.50", 0, 1500000000000}, {"$0.25", 0, 250000000000}, {"0", 0, 0},
        {"0.000000000001", 0, 1}, {"12", 0, 12000000000000}, {"", -EINVAL, 0}, {"$", -EINVAL, 0},
        {".5", -EINVAL, 0}, {"5.", -EINVAL, 0}, {"-1", -EINVAL, 0}, {"1,5", -EINVAL, 0},
        {"1e3", -EINVAL, 0}, {"0.0000000000001", -EINVAL, 0}, {"1 ", -EINVAL, 0},
        {"9223372.036854775807", 0, INT64_MAX}, {"9223372.036854775808", -ERANGE, 0},
        {"99999999999999999999999", -ERANGE, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t pico = 0;
        CHECK_INT(mr_money_parse(cases[i].text, &pico), cases[i].r);
        CHECK_INT(pico, cases[i].pico);
    }
}

TEST_MAIN(TEST(finds_the_price), TEST(costs_are_exact), TEST(a_hold_is_an_upper_bound),
    TEST(formats_money), TEST(parses_money))
