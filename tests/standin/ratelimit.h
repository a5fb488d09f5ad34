/* The stand-in's limits: whether a request may pass, and what its headers say of it. */
#pragma once

#include "common/clock.h"
#include "tests/standin/answer.h"

#define MR_LIMIT_HEADERS 1024

/* Takes the request's share from the script's buckets. When there is not enough, nothing is taken
 * and the plan becomes MR_OUTCOME_LIMITED, status 429. Writes the dialect's header lines, each with
 * its CRLF, or "". */
void mr_ratelimit_apply(struct mr_script *script, enum mr_dialect dialect,
    const struct mr_bill *bill, const struct mr_clock *clock, struct mr_plan *plan,
    char ret_headers[static MR_LIMIT_HEADERS]);
