/* Base64 (RFC 4648, section 4): the standard alphabet, padded, without line breaks. */
#pragma once

#include "common/buf.h"

/* Appends the encoding of n bytes. 0, -EMSGSIZE, -ENOMEM. */
int mr_base64_encode(const void *bytes, size_t n, struct mr_buf *buf) MR_CHECK;

/* Decodes strictly: no white space, no missing padding. *ret is malloc'd and NUL-terminated behind
 * *ret_n bytes. 0, -EINVAL, -ENOMEM. */
int mr_base64_decode(const char *text, size_t n, char **ret, size_t *ret_n) MR_CHECK;
