/* A document as the local provider sees it: words and sentences over UTF-8 bytes, in any language
 * written with spaces (and, roughly, in those without). Internal to providers/local. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_WORDS_MAX 65536     /* per document; what follows is not looked at */
#define MR_SENTENCES_MAX 8192  /* the same */
#define MR_SENTENCE_BYTES 1200 /* a longer one is broken at a word */

enum mr_shape {
    MR_SHAPE_CAPITAL = 1, /* begins with an upper-case letter */
    MR_SHAPE_ALL_CAPS = 2,
    MR_SHAPE_DIGITS = 4, /* digits only */
    MR_SHAPE_ONE = 8,    /* a single character */
    MR_SHAPE_FIRST = 16, /* begins its sentence */
};

struct mr_word {
    uint32_t at, len; /* bytes */
    uint32_t bits;    /* what mr_lexicon knows of it: MR_LEX_... */
    uint32_t shape;
    uint64_t hash; /* of its lower-case letters */
    uint64_t stem; /* of the first six of them: a stem of sorts in all languages */
};

struct mr_sentence {
    uint32_t at, len;       /* bytes, without white space around */
    uint32_t first, nwords; /* its words */
    bool fragment;          /* no full stop: a heading, a list item, the end of a cut text */
};

struct mr_local_text {
    const char *bytes; /* borrowed */
    size_t len;
    struct mr_word *words;
    size_t nwords;
    struct mr_sentence *sentences;
    size_t nsentences;
    unsigned language; /* the MR_LEX_STOP_... bit with the most stop words; 0 = cannot tell */
};

/* Takes the text apart. Any bytes will do. 0 or -ENOMEM. */
int mr_local_text_init(struct mr_local_text *ret, const char *bytes, size_t len) MR_CHECK;
void mr_local_text_deinit(struct mr_local_text *text);

/* Lower case of a character of the Latin, Greek and Cyrillic scripts; others as they are. */
uint32_t mr_local_text_lower(uint32_t c);

/* Appends bytes as tidy UTF-8: runs of white space and control characters become one blank, what is
 * no UTF-8 becomes U+FFFD. */
int mr_local_text_tidy(struct mr_buf *buf, const char *bytes, size_t n) MR_CHECK;

#define MR_HASH_INIT UINT64_C(14695981039346656037)
static inline uint64_t mr_hash_add(uint64_t hash, uint32_t c)
{
    return (hash ^ c) * UINT64_C(1099511628211);
}
