/* What a provider would answer: bodies in OpenAI's and Anthropic's formats. Pure. */
#pragma once

#include "tests/standin/script.h"

#include <jansson.h>

enum mr_dialect { MR_DIALECT_OPENAI, MR_DIALECT_ANTHROPIC };

struct mr_bill {
    long input, cached, output; /* tokens; input without the cached ones */
};

/* Reads the request and makes the answer the plan wants: the body in buf (appended), what it costs
 * in *ret. `number` makes ids unique. 0, or negative when memory is short. */
int mr_answer_make(enum mr_dialect dialect, const json_t *request, const char *model,
    uint64_t number, const struct mr_plan *plan, struct mr_buf *buf, struct mr_bill *ret) MR_CHECK;

/* The body of an error response. */
int mr_answer_error(enum mr_dialect dialect, int status, const char *type, const char *message,
    struct mr_buf *buf) MR_CHECK;
