/* From bytes in some charset to UTF-8. */
#pragma once

#include "worker/extract/extract.h"

/* Converters for every charset we know, opened while the file system can still be reached: glibc
 * loads them from disk. Only for bytes that are not UTF-8. Missing ones are left out. */
struct mr_charsets;
struct mr_charsets *mr_charsets_open(void);
struct mr_charsets *mr_charsets_free(struct mr_charsets *charsets);

/* Whether mr_charset_to_utf8 will want converters for these bytes. */
bool mr_charset_needs_converters(const char *bytes, size_t n);

/* Decides for one charset, in this order: byte order mark; UTF-8 if the bytes are valid UTF-8 with
 * characters beyond ASCII (text in another charset is so only by a rare accident, but a wrong
 * declaration is common); what is declared by the sender, then by the document itself (HTML meta,
 * XML declaration); statistics. Undecodable bytes become U+FFFD; too many of them, or control
 * characters, mean UNSUPPORTED (binary data). *ret_charset is static. When the bytes are UTF-8
 * already, *ret_bytes borrows them; else it points into buf. charsets may be NULL. */
int mr_charset_to_utf8(struct mr_charsets *charsets, const struct mr_source *source,
    struct mr_buf *buf, const char **ret_bytes, size_t *ret_n, const char **ret_charset,
    struct mr_err *why) MR_CHECK;
