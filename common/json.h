/* jansson with the limits hostile input needs. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <jansson.h>

/* Parses one JSON value: UTF-8, no duplicate keys, no NUL inside strings, at most max_depth levels
 * (a scalar is depth 0, [] and {} depth 1) and nothing but white space after it. err names line and
 * column. 0 or -EINVAL; *ret is the caller's reference. */
int mr_json_parse(
    const char *bytes, size_t n, unsigned max_depth, json_t **ret, struct mr_err *err) MR_CHECK;

/* Compact dump appended to buf. 0, -EMSGSIZE, -ENOMEM. */
int mr_json_dump(const json_t *value, struct mr_buf *buf) MR_CHECK;

/* Appends n bytes of valid UTF-8 as a JSON string, quotes included. 0, -EMSGSIZE, -ENOMEM. */
int mr_json_put_string(struct mr_buf *buf, const char *bytes, size_t n) MR_CHECK;

/* For MR_CLEANUP on a local json_t *. */
void mr_json_decrefp(json_t **value);

/* Length of the longest valid UTF-8 prefix of at most max bytes, never splitting a character. */
size_t mr_utf8_prefix(const char *bytes, size_t n, size_t max);
/* The same, counted in characters (code points). */
size_t mr_utf8_prefix_chars(const char *bytes, size_t n, size_t max_chars);
/* Whether all n bytes are valid UTF-8 (no surrogates, no overlong forms). */
int mr_utf8_valid(const char *bytes, size_t n);
/* Copies from (NULL: "") into size bytes, NUL included: all of it, or cut at a character, and never
 * more than is valid UTF-8. */
void mr_utf8_copy(char *to, size_t size, const char *from);
