/* What JSON Schema means by number, type and equal. Depth is bounded by the parsers' limits. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum mr_schema_type { /* in the order of set_type()'s names */
    MR_SCHEMA_NULL = 1,
    MR_SCHEMA_BOOLEAN = 2,
    MR_SCHEMA_INTEGER = 4, /* a number without fraction: 1.0 too */
    MR_SCHEMA_NUMBER = 8,
    MR_SCHEMA_STRING = 16,
    MR_SCHEMA_ARRAY = 32,
    MR_SCHEMA_OBJECT = 64
};

/* The bits of enum mr_schema_type that this value has. */
unsigned mr_schema_types_of(const json_t *value);

/* Whether a number has no fraction. */
bool mr_schema_integral(const json_t *number);

/* -1, 0, 1; exact for integers against reals. */
int mr_schema_compare(const json_t *a, const json_t *b);
bool mr_schema_multiple(const json_t *number, const json_t *of);

/* Deep equality; 1 equals 1.0. Takes one off *budget for every value compared; false when it is
 * used up, which the caller must look at. */
bool mr_schema_equal(const json_t *a, const json_t *b, size_t *budget);
