/* JSON Schema (draft 7): compile once, validate often. valijson behind one small C++ file. */
#pragma once

#include "common/err.h"

#include <jansson.h>
#include <stddef.h>

struct mr_schema;

/* Compiles the schema text; remote $ref is refused. `name` (a file name) leads the error. 0 or
 * -EINVAL. */
int mr_schema_compile(const char *text, size_t n, const char *name, struct mr_schema **ret,
    struct mr_err *err) MR_CHECK;

/* 0 when the document conforms, -EINVAL with the failing path and reason ("/people/0: expected
 * string"). */
int mr_schema_validate(
    const struct mr_schema *schema, const char *json, size_t n, struct mr_err *err) MR_CHECK;

struct mr_schema *mr_schema_free(struct mr_schema *schema);
