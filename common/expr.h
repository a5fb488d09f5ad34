/* Conditions over a call that is about to be made: "prompt_bytes < 4000 && tenant != 'acme'".
 *
 *   expr    = and { "||" and }
 *   and     = term { "&&" term }
 *   term    = { "!" } primary | operand [ op operand ] | operand "in" "(" literal { "," literal }
 * ")" primary = "(" expr ")" | "true" | "false" | name operand = primary | number | 'string' op =
 * == != < <= > >= contains name    = prompt_bytes prompt_tokens max_tokens priority (numbers),
 * tenant pipeline step lane input_name input_type (strings), metadata.key or metadata['any key']
 *
 * A quote inside a string is written twice. Strings are compared byte by byte, numbers as doubles.
 * What is missing (metadata without that key, an input without a name) is equal to nothing: every
 * comparison with it is false, only != is true. So is one of a string with a number; where both
 * types are known beforehand, it is an error. Metadata by itself holds when it is true.
 *
 * Total and without side effects: compiled once to a bounded tree, evaluated in time linear in it;
 * any number of threads may evaluate one expression. */
#pragma once

#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define MR_EXPR_MAX 1024      /* bytes of text */
#define MR_EXPR_NODES_MAX 128 /* operators, names and literals */
#define MR_EXPR_DEPTH_MAX 32  /* parentheses and negations around each other */

struct mr_expr;

/* All borrowed. NULL = missing. */
struct mr_expr_vars {
    int64_t prompt_bytes; /* prompt_tokens is a quarter of it, rounded up */
    int64_t max_tokens;
    int priority;
    const char *tenant, *pipeline, *step, *lane;
    const char *input_name, *input_type;
    const json_t *metadata; /* object of strings, numbers and truths */
};

/* 0; -EINVAL, err says "column 7: expected a string, found '3'" (columns are characters, from 1);
 * -ENOMEM. */
int mr_expr_compile(const char *text, struct mr_expr **ret, struct mr_err *err) MR_CHECK;

bool mr_expr_true(const struct mr_expr *expr, const struct mr_expr_vars *vars);

struct mr_expr *mr_expr_free(struct mr_expr *expr);
