/* Text for terminals: nothing that comes from a document, a provider, the database or the broker
 * may move a cursor, change a colour or turn the writing direction. main() sets a UTF-8 LC_CTYPE
 * first. */
#pragma once

#include "common/buf.h"

/* LINE: everything on one line, a newline shows as \n. TEXT: newlines and tabs stay.
 * JSON: for text that is JSON already; what stands for itself in a string there is written \uXXXX.
 */
enum mr_safe { MR_SAFE_LINE, MR_SAFE_TEXT, MR_SAFE_JSON };

/* Appends the text with control characters (C0, DEL, C1), line separators, direction overrides and
 * broken UTF-8 written as escapes. 0, -EMSGSIZE, -ENOMEM. */
int mr_text_safe(struct mr_buf *buf, const char *s, size_t n, enum mr_safe mode) MR_CHECK;

/* Columns a terminal gives to safe text: wide characters count 2, combining ones 0. */
size_t mr_text_width(const char *s, size_t n);

/* Bytes of the longest beginning that fits into so many columns. */
size_t mr_text_fit(const char *s, size_t n, size_t columns);
