/* Extracted text: valid UTF-8, no control characters but tab and newline, never more than its
 * maximum. Whatever readers put in, this is what comes out. */
#pragma once

#include "common/buf.h"

struct mr_text {
    struct mr_buf out;
    bool truncated;    /* something did not fit any more */
    bool space;        /* a space is due before the next word */
    unsigned newlines; /* line breaks due before the next word */
};

/* All puts: 0, MR_TEXT_FULL once the maximum is reached (then nothing more is taken), or -ENOMEM.
 */
#define MR_TEXT_FULL 1

void mr_text_init(struct mr_text *text, size_t max);
void mr_text_deinit(struct mr_text *text);

/* Running text: white space collapses to single spaces. */
int mr_text_words(struct mr_text *text, const char *bytes, size_t n) MR_CHECK;
/* Text whose layout matters: line ends become \n, a form feed an empty line, the rest stays. */
int mr_text_plain(struct mr_text *text, const char *bytes, size_t n) MR_CHECK;
/* A cell border in a table row. */
int mr_text_tab(struct mr_text *text) MR_CHECK;
/* At least this many line breaks before the next word; none at the very beginning. */
void mr_text_break(struct mr_text *text, unsigned newlines);
/* Cuts white space off the end. */
void mr_text_finish(struct mr_text *text);
/* Whether there is nothing but white space. */
bool mr_text_blank(const struct mr_text *text);
