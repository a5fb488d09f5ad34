/* How the stand-in provider behaves, said in a few words.
 *
 * A script is a list of operations joined by '+': op[=value][@percent][*count]
 *
 *   delay=MS or delay=MS-MS
 *       answers that much later (adds up with other delays)
 *   error=STATUS
 *       an error in the provider's format: 400 401 402 403 404 413 429 500 502 503 504 529
 *   quota
 *       429 with insufficient_quota
 *   retry_after=SECONDS
 *       with error: the header Retry-After
 *   ratelimit=REQUESTS/TOKENS or ratelimit=REQUESTS/TOKENS/SECONDS
 *       what it takes in a minute, kept as buckets that fill steadily and hold so many seconds'
 *       worth (default 60); 0 = no limit. Tokens are those billed. Every answer has the
 *       provider's rate limit headers; above the limit it is a 429 with retry-after
 *   hangup=before|after
 *       closes the connection without an answer, before or after billing
 *   hang=before|after
 *       never answers
 *   truncate
 *       half of the body, then closes; billed
 *   malformed, empty, refusal, length, html
 *       the answer is broken JSON, has no text, refuses, was cut by max_tokens (all billed), or is
 *       a proxy's HTML page with 502
 *   cached=PERCENT
 *       share of the prompt billed as read from the cache
 *   output=TOKENS
 *       output tokens billed
 *   nousage
 *       the answer does not say what was used
 *
 * @percent: only that share of the requests, chosen by the seed; *count: only the first so many. Of
 * several outcomes the first that applies wins. A request's script is the one set by control for
 * its model, else what follows '+' in the model's name: "small+delay=200+error=429@10". */
#pragma once

#include "common/buf.h"
#include "tests/standin/bucket.h"

#include <stdbool.h>
#include <stdint.h>

enum mr_outcome {
    MR_OUTCOME_OK,
    MR_OUTCOME_ERROR,
    MR_OUTCOME_QUOTA,
    MR_OUTCOME_HANGUP_BEFORE,
    MR_OUTCOME_HANGUP_AFTER,
    MR_OUTCOME_HANG_BEFORE,
    MR_OUTCOME_HANG_AFTER,
    MR_OUTCOME_TRUNCATE,
    MR_OUTCOME_MALFORMED,
    MR_OUTCOME_EMPTY,
    MR_OUTCOME_REFUSAL,
    MR_OUTCOME_LENGTH,
    MR_OUTCOME_HTML,
    MR_OUTCOME_LIMITED, /* above ratelimit */
};

#define MR_SCRIPT_OPS 16

struct mr_script {
    struct mr_script_op {
        int kind;
        long value, upper, burst_s;
        int percent;
        long left; /* -1 = always */
    } ops[MR_SCRIPT_OPS];
    int nops;
    uint64_t requests; /* so far, for the choice by percent */
    struct mr_bucket request_bucket, token_bucket;
};

/* What to do with one request. */
struct mr_plan {
    enum mr_outcome outcome;
    int status;
    long delay_ms, retry_after_s;                     /* retry_after_s: -1 = none */
    long cached_percent, output_tokens;               /* -1 = the natural number */
    long requests_a_minute, tokens_a_minute, burst_s; /* 0 = no limit */
    bool no_usage;
};

/* Parses text (""  = always answer well). 0, or -EINVAL with what is wrong in err. */
int mr_script_parse(const char *text, struct mr_script *ret, struct mr_err *err) MR_CHECK;

/* Decides about the next request; counts down the script's counters. */
void mr_script_next(struct mr_script *script, uint64_t seed, struct mr_plan *ret);

const char *mr_outcome_name(enum mr_outcome outcome);
/* Whether a request that ends so costs money. */
bool mr_outcome_billed(enum mr_outcome outcome);
