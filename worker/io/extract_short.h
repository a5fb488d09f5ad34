/* The short cut for text that needs no parser, and the hints that lead to it. */
#pragma once

#include "worker/engine/world.h"

/* What a sender says of a document; "" = nothing. */
struct mr_hints {
    char ext[16];   /* lower case */
    char type[128]; /* media type without parameters */
    char charset[41];
};

/* From a file name and a declared media type ("Text/HTML; charset=latin1"), either of which may be
 * NULL. */
void mr_hints_read(struct mr_hints *ret, const char *name, const char *declared);

/* The media type of bytes that may be taken as they are; NULL when they need a parser or are not
 * UTF-8. Static. */
const char *mr_short_type(const struct mr_hints *hints, const char *bytes, size_t n);
/* Of inline text, which always may: "text/markdown" or "text/plain". */
const char *mr_short_text_type(const struct mr_hints *hints);

/* Fills ret (rc, err, output) from valid UTF-8. */
void mr_short_read(const char *bytes, size_t n, const char *media_type, int64_t max_text,
    struct mr_extract_result *ret);
