/* LiteLLM's table: decimals stay decimals. */
#include "producer/decimal.h"
#include "producer/litellm.h"
#include "tests/unit/test.h"

#include <errno.h>

static const char table[] =
    "{\"sample_spec\": {\"litellm_provider\": \"one of ...\", \"input_cost_per_token\": 0},\n"
    " \"gpt-x\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"max_tokens\": 128000,\n"
    "  \"input_cost_per_token\": 1.5e-07, \"output_cost_per_token\": 6E-07,\n"
    "  \"input_cost_per_token_batches\": 7.5e-08, \"output_cost_per_token_batches\": 3e-07,\n"
    "  \"cache_read_input_token_cost\": 0.000000075, \"note\": \"costs 1e-3 \\\" 5\"},\n"
    " \"mistral/small\": {\"litellm_provider\": \"mistral\", \"input_cost_per_token\": 1e-06,\n"
    "  \"output_cost_per_token\": 3e-06, \"input_cost_per_token_above_200k_tokens\": 2e-06,\n"
    "  \"output_cost_per_token_above_200k_tokens\": 4e-06},\n"
    " \"dust\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": 1e-13,\n"
    "  \"output_cost_per_token\": 1e-06},\n"
    " \"picture\": {\"litellm_provider\": \"openai\", \"output_cost_per_image\": 0.04}}";

static void check_rate(const char *text, int want, int64_t pico)
{
    int64_t got = -1;
    CHECK_INT(mr_decimal_parse(text, &got), want);
    CHECK_INT(got, want == 0 ? pico : -1);
}

static void rates_are_exact(void)
{
    check_rate("1.5e-07", 0, 150000);
    check_rate("6E-07", 0, 600000);
    check_rate("0.000000075", 0, 75000);
    check_rate("0", 0, 0);
    check_rate("0.0", 0, 0);
    check_rate("2.8e-6", 0, 2800000);
    check_rate("1.00e-12", 0, 1);
    check_rate("10", 0, 10000000000000);
    check_rate("1.5e-12", -EINVAL, 0);
    check_rate("1e-13", -EINVAL, 0);
    check_rate("-1e-07", -EINVAL, 0);
    check_rate("1e", -EINVAL, 0);
    check_rate("1e-07x", -EINVAL, 0);
    check_rate(".", -EINVAL, 0);
    check_rate("", -EINVAL, 0);
    check_rate("1e40", -ERANGE, 0);
    check_rate("99999999999999999999", -ERANGE, 0);
}

static void rounding(void)
{
    int64_t got;
    CHECK_INT(mr_decimal_round("1.5e-12", &got), 0);
    CHECK_INT(got, 2);
    CHECK_INT(mr_decimal_round("0.0003000000000000004", &got), 0);
    CHECK_INT(got, 300000000);
    CHECK_INT(mr_decimal_round("2.9999999999999999e-05", &got), 0);
    CHECK_INT(got, 30000000);
    CHECK_INT(mr_decimal_round("x", &got), -EINVAL);
    CHECK_INT(mr_decimal_round("1e40", &got), -ERANGE);
}

static void models(void)
{
    struct mr_prices prices;
    struct mr_err err;
    int skipped;
    CHECK_INT(
        mr_litellm_parse(table, sizeof(table) - 1, NULL, 86400000, "here", &prices, &skipped, &err),
        0);
    CHECK_INT(prices.count, 3);
    CHECK_INT(skipped, 2);
    const struct mr_price *gpt = &prices.items[0], *small = gpt + 1, *tier = gpt + 2;
    CHECK_STR(gpt->provider, "openai");
    CHECK_STR(gpt->model, "gpt-x");
    CHECK_STR(gpt->source, "here");
    CHECK_INT(gpt->from_ms, 86400000);
    CHECK_INT(gpt->input, 150000);
    CHECK_INT(gpt->cached, 75000);
    CHECK_INT(gpt->cache_write, 150000);
    CHECK_INT(gpt->cache_write_1h, 150000);
    CHECK_INT(gpt->output, 600000);
    CHECK_INT(gpt->batch_percent, 50);
    CHECK_STR(small->model, "small");
    CHECK_INT(small->above_tokens, 0);
    CHECK_INT(small->batch_percent, 0);
    CHECK_INT(tier->above_tokens, 200000);
    CHECK_INT(tier->input, 2000000);
    CHECK_INT(tier->cached, 2000000); /* never less than what it stands for */
    CHECK_INT(tier->output, 4000000);
    mr_prices_deinit(&prices);
}

static void one_provider(void)
{
    struct mr_prices prices = {0};
    struct mr_err err;
    int skipped;
    CHECK_INT(
        mr_litellm_parse(table, sizeof(table) - 1, "mistral", 0, "", &prices, &skipped, &err), 0);
    CHECK_INT(prices.count, 2);
    CHECK_INT(skipped, 0);
    mr_prices_deinit(&prices);
    CHECK_INT(mr_litellm_parse(table, sizeof(table) - 1, "nobody", 0, "", &prices, &skipped, &err),
        -EINVAL);
    CHECK(strstr(err.msg, "no price") && strstr(err.msg, "nobody"));
    CHECK(!prices.items);
}

static void not_json(void)
{
    struct mr_prices prices = {0};
    struct mr_err err;
    int skipped;
    static const char *const wrong[] = {"{\"a\": {", "[1, 2]", "{\"a\": 1e}", "{\"a\": \"", "{}"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK(
            mr_litellm_parse(wrong[i], strlen(wrong[i]), NULL, 0, "", &prices, &skipped, &err) < 0);
    CHECK(!prices.items);
}

TEST_MAIN(TEST(rates_are_exact), TEST(rounding), TEST(models), TEST(one_provider), TEST(not_json))
