/* LiteLLM's public price table, model_prices_and_context_window.json, as prices of ours. */
#pragma once

#include "common/money.h"

/* Parses the text of the table. Its numbers are dollars a token such as 1.5e-07; they are read as
 * decimals, digit by digit, never as floats. Each model gives a row, and one more for every
 * "_above_200k_tokens" rate it has. Only rows of `provider` (NULL: of all); all are in effect from
 * from_ms on. *ret_skipped counts models that cannot be had: priced by something other than tokens,
 * by fractions of a pico-dollar, or with a name too long. `source` is what rows say they come from.
 * 0 or negative with err. */
int mr_litellm_parse(const char *text, size_t n, const char *provider, int64_t from_ms,
    const char *source, struct mr_prices *ret, int *ret_skipped, struct mr_err *err) MR_CHECK;
