#include "producer/litellm.h"
#include "common/json.h"
#include "producer/decimal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8
#define TEXT_MAX (64u << 20)
#define ROWS_MAX 100000

/* ---- models ---- */

struct reading {
    struct mr_prices prices;
    const char *provider, *source;
    int64_t from_ms;
    int skipped;
};

/* 1: there is one, 0: there is none, negative: there is one that cannot be had. */
static int rate(const json_t *model, const char *key, const char *suffix, int64_t *ret)
{
    char name[96];
    snprintf(name, sizeof(name), "%s%s", key, suffix);
    const char *text = json_string_value(json_object_get(model, name));
    if (!text)
        return 0;
    int r = mr_decimal_parse(text, ret);
    return r < 0 ? r : 1;
}

/* Rates that a tier does not name are those below it. */
static int read_rates(const json_t *model, const char *suffix, struct mr_price *price)
{
    int64_t *const targets[] = {
        &price->input, &price->output, &price->cached, &price->cache_write, &price->cache_write_1h};
    static const char *const keys[] = {"input_cost_per_token", "output_cost_per_token",
        "cache_read_input_token_cost", "cache_creation_input_token_cost",
        "cache_creation_input_token_cost_above_1hr"};
    int found = 0;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        int r = rate(model, keys[i], suffix, targets[i]);
        if (r < 0)
            return r;
        found |= r << i;
    }
    return found;
}

/* A factor counts only if it is the same whole one for both kinds of tokens. */
static int batch_percent(const json_t *model, const struct mr_price *price)
{
    int64_t input, output;
    if (rate(model, "input_cost_per_token", "_batches", &input) != 1 || price->input <= 0 ||
        rate(model, "output_cost_per_token", "_batches", &output) != 1 || input > price->input)
        return 0;
    int64_t percent = input * 100 / price->input;
    if (percent < 1 || percent * price->input != input * 100 ||
        percent * price->output != output * 100)
        return 0;
    return (int)percent;
}

static int append(struct reading *reading, const struct mr_price *price)
{
    struct mr_prices *prices = &reading->prices;
    if (prices->count >= ROWS_MAX)
        return -E2BIG;
    struct mr_price *items = reallocarray(prices->items, prices->count + 1, sizeof(*items));
    if (!items)
        return -ENOMEM;
    prices->items = items;
    items[prices->count++] = *price;
    return 0;
}

/* What the table does not name (-1) costs what is never less. */
static int append_filled(struct reading *reading, struct mr_price price)
{
    price.cached = price.cached < 0 ? price.input : price.cached;
    price.cache_write = price.cache_write < 0 ? price.input : price.cache_write;
    price.cache_write_1h = price.cache_write_1h < 0 ? price.cache_write : price.cache_write_1h;
    return append(reading, &price);
}

/* "input_cost_per_token_above_200k_tokens" and its sisters. */
static int add_tiers(struct reading *reading, const json_t *model, const struct mr_price *base)
{
    static const char head[] = "input_cost_per_token_above_";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)model, key, value)
    {
        char *end;
        if (strncmp(key, head, sizeof(head) - 1) != 0)
            continue;
        long thousands = strtol(key + sizeof(head) - 1, &end, 10);
        if (thousands < 1 || thousands > 100000 || strcmp(end, "k_tokens") != 0)
            continue;
        struct mr_price tier = *base;
        tier.above_tokens = 1000 * (int64_t)thousands;
        if (read_rates(model, key + sizeof("input_cost_per_token") - 1, &tier) < 0)
            return -EINVAL;
        int r = append_filled(reading, tier);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The table's own name for it, without the provider it repeats: "groq/llama" -> "llama". */
static const char *bare_name(const char *name, const char *provider)
{
    size_t n = strlen(provider);
    return strncmp(name, provider, n) == 0 && name[n] == '/' ? name + n + 1 : name;
}

static bool is_there(const struct mr_prices *prices, const struct mr_price *price)
{
    for (size_t i = 0; i < prices->count; i++)
        if (strcmp(prices->items[i].model, price->model) == 0 &&
            strcmp(prices->items[i].provider, price->provider) == 0)
            return true;
    return false;
}

/* 0, 1 for one that is skipped, or negative. */
static int add_model(struct reading *reading, const char *name, const json_t *model)
{
    struct mr_price price = {
        .from_ms = reading->from_ms, .cached = -1, .cache_write = -1, .cache_write_1h = -1};
    const char *provider = json_string_value(json_object_get(model, "litellm_provider"));
    if (!provider || strcmp(name, "sample_spec") == 0)
        return 0;
    if (reading->provider && strcmp(provider, reading->provider) != 0)
        return 0;
    name = bare_name(name, provider);
    size_t n = strlen(name);
    if (strlen(provider) >= sizeof(price.provider) || n >= sizeof(price.model) ||
        strchr(name, '*') || n == 0)
        return 1;
    int found = read_rates(model, "", &price);
    if (found < 0 || (found & 3) != 3)
        return 1;
    price.batch_percent = batch_percent(model, &price);
    memcpy(price.model, name, n + 1);
    snprintf(price.provider, sizeof(price.provider), "%s", provider);
    snprintf(price.source, sizeof(price.source), "%s", reading->source);
    if (is_there(&reading->prices, &price))
        return 1;
    size_t before = reading->prices.count;
    int r = append_filled(reading, price);
    if (r == 0)
        r = add_tiers(reading, model, &price);
    if (r == -EINVAL) {
        reading->prices.count = before;
        return 1;
    }
    return r;
}

int mr_litellm_parse(const char *text, size_t n, const char *provider, int64_t from_ms,
    const char *source, struct mr_prices *ret, int *ret_skipped, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf quoted = MR_BUF_INIT(TEXT_MAX);
    MR_CLEANUP(mr_json_decrefp) json_t *table = NULL;
    struct reading reading = {.provider = provider, .source = source, .from_ms = from_ms};
    const char *name;
    json_t *model;
    int r = mr_decimal_quote(text, n, &quoted);
    if (r < 0)
        return mr_err_set(err, r, MR_CLASS_INVALID, "%s", strerror(-r));
    r = mr_json_parse(quoted.data ? quoted.data : "", quoted.len, DEPTH_MAX, &table, err);
    if (r < 0)
        return r;
    json_object_foreach(table, name, model)
    {
        r = add_model(&reading, name, model);
        if (r < 0)
            break;
        reading.skipped += r;
    }
    if (r < 0 || reading.prices.count == 0) {
        mr_prices_deinit(&reading.prices);
        return mr_err_set(err, r < 0 ? r : -EINVAL, MR_CLASS_INVALID,
            "has no price that can be used%s%s%s%s: it must be like LiteLLM's "
            "model_prices_and_context_window.json",
            provider ? " of provider " : "", provider ? provider : "", r < 0 ? ": " : "",
            r < 0 ? strerror(-r) : "");
    }
    *ret = reading.prices;
    *ret_skipped = reading.skipped;
    return 0;
}
