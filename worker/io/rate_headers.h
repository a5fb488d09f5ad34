/* What providers say of their limits in the headers of every answer, in all the dialects known:
 *
 *   x-ratelimit-{limit,remaining,reset}-UNIT             OpenAI, Azure, Groq, Fireworks, vLLM
 * gateways x-ratelimit-{limit,remaining,reset}-UNIT-minute      Mistral, Cerebras
 *   {,x-}ratelimitbysize-{limit,remaining,reset}{,-minute}  Mistral (tokens)
 *   anthropic-ratelimit-UNIT-{limit,remaining,reset}     Anthropic
 *
 * Limits of an hour, a day or a month, and Anthropic's priority tier (beyond it the standard one
 * serves) are not limits of a minute and are passed over. A reset is a duration as Go prints it
 * ("6m0s", "12ms"), seconds, a Unix time, or RFC 3339. Pure. */
#pragma once

#include "worker/engine/world_caller.h"

enum mr_rate_unit {
    MR_RATE_REQUESTS,
    MR_RATE_TOKENS,       /* all tokens from here on */
    MR_RATE_TOKENS_USAGE, /* OpenAI: tokens_usage_based */
    MR_RATE_TOKENS_PROJECT,
    MR_RATE_TOKENS_INPUT,
    MR_RATE_TOKENS_OUTPUT,
    MR_RATE_UNITS,
};

/* Collected from one answer's headers, in any order. */
struct mr_rate_seen {
    struct mr_rate_headers units[MR_RATE_UNITS];
};

void mr_rate_seen_init(struct mr_rate_seen *seen);

/* Takes in a header if it is one of these; others and nonsense change nothing. name is n bytes, of
 * any case; wall_ms is now. */
void mr_rate_seen_note(
    struct mr_rate_seen *seen, const char *name, size_t n, const char *value, int64_t wall_ms);

/* What came of it. Where there are several token budgets, the one nearest to its end. A limit
 * without a number, or of 0 or -1 (Azure: "none"), says nothing, its remainder included. A reset
 * of over a minute shows that the limit is not one of a minute: then only the rest of it is told.
 */
void mr_rate_seen_read(const struct mr_rate_seen *seen, struct mr_rate_headers *ret_requests,
    struct mr_rate_headers *ret_tokens);
