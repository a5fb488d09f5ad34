/* Money in integer pico-dollars (1e-12 USD), never a float. A price of N micro-dollars per million
 * tokens is exactly N pico-dollars per token, so cost = tokens x price without rounding. */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exclusive buckets: a token is counted in one of them only. */
struct mr_usage {
    int64_t input;          /* uncached prompt tokens */
    int64_t cached;         /* prompt tokens read from the provider's cache */
    int64_t cache_write;    /* written to it, 5-minute (or only) kind */
    int64_t cache_write_1h; /* written to it, 1-hour kind */
    int64_t output;         /* all billed output, reasoning included */
    int64_t reasoning;      /* informational part of output; never priced on its own */
};

/* One row of the price table. Rates are pico-dollars per token. */
struct mr_price {
    int64_t id; /* prices.id in SQL; 0 for the configured ceiling */
    char provider[65];
    char model[129];        /* exact name, or a prefix that ends in '*' */
    int64_t from_ms, to_ms; /* effective [from, to), wall ms; to 0 = open */
    int64_t above_tokens; /* tier: applies when the whole prompt exceeds this many tokens; 0 = base
                             tier */
    int64_t input, cached, cache_write, cache_write_1h, output;
    int batch_percent; /* of these rates, for a call through the batch API; 0 = it has none */
    char source[128];  /* where the rates were read, and when; informational */
};

struct mr_prices {
    struct mr_price *items;
    size_t count;
    struct mr_price ceiling; /* what an unknown model is held and charged at */
};

/* The row for this provider and model at this time and prompt size: an exact model beats the
 * longest prefix, the highest matching tier wins, then the latest from_ms. When there is none:
 * &prices->ceiling and *ret_unknown = true, since an unknown model is never free. Never NULL. */
const struct mr_price *mr_price_find(const struct mr_prices *prices, const char *provider,
    const char *model, int64_t at_ms, int64_t prompt_tokens, bool *ret_unknown);

/* Exact cost. 0, -EINVAL for a negative bucket, -ERANGE beyond int64. */
int mr_money_cost(
    const struct mr_usage *usage, const struct mr_price *price, int64_t *ret_pico) MR_CHECK;

/* Upper bound for a call: every prompt byte a token at the dearest input rate of any tier reachable
 * with that size, plus max_tokens of output. 0 or -ERANGE. */
int mr_money_hold(const struct mr_prices *prices, const char *provider, const char *model,
    int64_t at_ms, int64_t prompt_bytes, int64_t max_tokens, int64_t *ret_pico) MR_CHECK;

/* Decimal dollars with 12 places cut of trailing zeros to at least 6: "0.054399". */
#define MR_MONEY_LEN 32
void mr_money_format(int64_t pico, char ret[static MR_MONEY_LEN]);

/* "1.50", "$0.25", up to 12 decimals. 0, -EINVAL, -ERANGE. */
int mr_money_parse(const char *s, int64_t *ret_pico) MR_CHECK;

void mr_prices_deinit(struct mr_prices *prices);
