#include "common/money.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICO 1000000000000ull /* pico-dollars in a dollar */
#define PLACES 12
#define PLACES_MIN 6

/* How well a row's model pattern fits: 0 not at all, SIZE_MAX exactly, else the prefix length + 1.
 */
static size_t fit(const struct mr_price *price, const char *provider, const char *model)
{
    if (strcmp(price->provider, provider) != 0)
        return 0;
    size_t n = strlen(price->model);
    if (n > 0 && price->model[n - 1] == '*')
        return strncmp(price->model, model, n - 1) == 0 ? n : 0;
    return strcmp(price->model, model) == 0 ? SIZE_MAX : 0;
}

static bool in_effect(const struct mr_price *price, int64_t at_ms)
{
    return price->from_ms <= at_ms && (price->to_ms == 0 || at_ms < price->to_ms);
}

/* Whether a row of fit `f` goes before the best one so far. */
static bool better(
    const struct mr_price *price, size_t f, const struct mr_price *best, size_t best_f)
{
    if (f != best_f)
        return f > best_f;
    if (price->above_tokens != best->above_tokens)
        return price->above_tokens > best->above_tokens;
    return price->from_ms > best->from_ms;
}

const struct mr_price *mr_price_find(const struct mr_prices *prices, const char *provider,
    const char *model, int64_t at_ms, int64_t prompt_tokens, bool *ret_unknown)
{
    const struct mr_price *best = NULL;
    size_t best_fit = 0;
    for (size_t i = 0; i < prices->count; i++) {
        const struct mr_price *price = &prices->items[i];
        if (!in_effect(price, at_ms) ||
            (price->above_tokens > 0 && prompt_tokens <= price->above_tokens))
            continue;
        size_t f = fit(price, provider, model);
        if (f == 0 || (best && !better(price, f, best, best_fit)))
            continue;
        best = price;
        best_fit = f;
    }
    *ret_unknown = !best;
    return best ? best : &prices->ceiling;
}

/* *sum += count * rate. */
static int add_cost(int64_t *sum, int64_t count, int64_t rate)
{
    int64_t part;
    if (count < 0)
        return -EINVAL;
    if (__builtin_mul_overflow(count, rate, &part) || __builtin_add_overflow(*sum, part, sum))
        return -ERANGE;
    return 0;
}

int mr_money_cost(const struct mr_usage *usage, const struct mr_price *price, int64_t *ret_pico)
{
    const int64_t parts[][2] = {{usage->input, price->input}, {usage->cached, price->cached},
        {usage->cache_write, price->cache_write}, {usage->cache_write_1h, price->cache_write_1h},
        {usage->output, price->output}};
    int64_t sum = 0;
    if (usage->reasoning < 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int r = add_cost(&sum, parts[i][0], parts[i][1]);
        if (r < 0)
            return r;
    }
    *ret_pico = sum;
    return 0;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Raises the rates to those a prompt of this many tokens would be charged at. */
static void raise_rates(const struct mr_prices *prices, const char *provider, const char *model,
    int64_t at_ms, int64_t tokens, int64_t *input, int64_t *output)
{
    bool unknown;
    const struct mr_price *price = mr_price_find(prices, provider, model, at_ms, tokens, &unknown);
    *input = max64(*input, max64(price->input, price->cached));
    *input = max64(*input, max64(price->cache_write, price->cache_write_1h));
    *output = max64(*output, price->output);
}

int mr_money_hold(const struct mr_prices *prices, const char *provider, const char *model,
    int64_t at_ms, int64_t prompt_bytes, int64_t max_tokens, int64_t *ret_pico)
{
    int64_t input = 0, output = 0, sum = 0;
    if (prompt_bytes < 0 || max_tokens < 0)
        return -ERANGE;
    /* The rates change only where a tier begins, so trying each beginning tries every size. */
    raise_rates(prices, provider, model, at_ms, 0, &input, &output);
    for (size_t i = 0; i < prices->count; i++) {
        const struct mr_price *price = &prices->items[i];
        if (price->above_tokens > 0 && price->above_tokens < prompt_bytes &&
            fit(price, provider, model) > 0)
            raise_rates(prices, provider, model, at_ms, price->above_tokens + 1, &input, &output);
    }
    if (add_cost(&sum, prompt_bytes, input) < 0 || add_cost(&sum, max_tokens, output) < 0)
        return -ERANGE;
    *ret_pico = sum;
    return 0;
}

void mr_money_format(int64_t pico, char ret[static MR_MONEY_LEN])
{
    uint64_t abs = pico < 0 ? -(uint64_t)pico : (uint64_t)pico;
    int n = snprintf(ret, MR_MONEY_LEN, "%s%" PRIu64 ".%012" PRIu64, pico < 0 ? "-" : "",
        abs / (uint64_t)PICO, abs % (uint64_t)PICO);
    for (int cut = 0; cut < PLACES - PLACES_MIN && ret[n - 1] == '0'; cut++)
        ret[--n] = '\0';
}

int mr_money_parse(const char *s, int64_t *ret_pico)
{
    int64_t v = 0;
    bool over = false;
    if (*s == '$')
        s++;
    const char *start = s;
    for (; *s >= '0' && *s <= '9'; s++)
        over |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v);
    if (s == start)
        return -EINVAL;
    int places = 0;
    if (*s == '.') {
        for (s++; *s >= '0' && *s <= '9' && places < PLACES; s++, places++)
            over |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v);
        if (places == 0)
            return -EINVAL;
    }
    if (*s != '\0')
        return -EINVAL;
    for (; places < PLACES; places++)
        over |= __builtin_mul_overflow(v, 10, &v);
    if (over)
        return -ERANGE;
    *ret_pico = v;
    return 0;
}

void mr_prices_deinit(struct mr_prices *prices)
{
    free(prices->items);
    *prices = (struct mr_prices){.items = NULL};
}
