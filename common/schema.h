/* JSON Schema (draft 7): compile once, validate often, from any number of threads.
 *
 * Every keyword of draft 7 is understood, `format` and the content keywords as annotations.
 * Refused, by name: keywords of other drafts and misspelt ones ("x-..." is free), $id below the
 * root, and $ref to anything but "#..." in the same schema. Patterns are PCRE2 with ECMAScript's
 * meaning of \u and $, and with limits. tests/unit/common/test_schema_suite.c runs the official
 * test suite. */
#pragma once

#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct mr_schema;

/* Compiles the schema text; remote $ref is refused. `name` (a file name) leads the error. 0 or
 * -EINVAL. */
int mr_schema_compile(const char *text, size_t n, const char *name, struct mr_schema **ret,
    struct mr_err *err) MR_CHECK;

/* 0 when the document conforms, -EINVAL with the failing path and reason ("/people/0: expected
 * string, found number"); also when it is nested more than 64 levels deep, or too costly to check.
 */
int mr_schema_validate(
    const struct mr_schema *schema, const char *json, size_t n, struct mr_err *err) MR_CHECK;

/* The same for JSON that is parsed already (with a bounded depth). */
int mr_schema_validate_value(
    const struct mr_schema *schema, const json_t *value, struct mr_err *err) MR_CHECK;

/* The same schema as providers can hold a model to while it writes: objects closed, each property
 * typed, no references and few combinations; limits on length, size and form are told in the
 * descriptions instead. What conforms to the schema conforms to this one. NULL when the schema has
 * no such form. *ret_all_required: no property is optional. Borrowed. */
const char *mr_schema_narrow(const struct mr_schema *schema, bool *ret_all_required);

struct mr_schema *mr_schema_free(struct mr_schema *schema);
