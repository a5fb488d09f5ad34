/* Decimal numbers of other people's files, digit by digit and never through a float. */
#pragma once

#include "common/buf.h"

#include <stdint.h>

/* "1.5e-07", in units of 1e-12. 0; -EINVAL: no such number, negative, or finer than that; -ERANGE.
 */
int mr_decimal_parse(const char *text, int64_t *ret) MR_CHECK;
/* The same, but what is finer is rounded to the nearest. */
int mr_decimal_round(const char *text, int64_t *ret) MR_CHECK;

/* Appends JSON text in which every number outside a string has become a string, so that no parser
 * makes a float of it. 0, -EMSGSIZE, -ENOMEM. */
int mr_decimal_quote(const char *text, size_t n, struct mr_buf *buf) MR_CHECK;
