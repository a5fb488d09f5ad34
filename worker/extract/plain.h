/* Text that needs no parser: what it is by name and declaration. Shared by millrace-extract and by
 * the worker's own short cut. */
#pragma once

#include "worker/extract/text.h"

#include <stddef.h>

/* "text/plain", "text/markdown", "text/html" or NULL for what is not plain text, judged by the
 * declared media type (without parameters) and the lower-case extension, either of which may be "".
 * An extension beats a declared text/plain, which is what clients send when they do not know. */
const char *mr_plain_type(const char *declared, const char *ext);

/* Whether the first bytes look like an HTML page. */
bool mr_plain_looks_html(const char *bytes, size_t n);

/* Whether the bytes may be taken as text without looking for a charset: valid UTF-8 without NUL. */
bool mr_plain_is_utf8(const char *bytes, size_t n);

/* The first Markdown heading's text ("# Title" within the first lines). false: none. */
bool mr_plain_heading(const char *utf8, size_t n, const char **ret, size_t *ret_n);
