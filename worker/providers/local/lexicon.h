/* The words the local provider knows, in seven languages, in one hash table built on first use.
 * Internal to providers/local. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    MR_LEX_STOP_EN = 1 << 0,
    MR_LEX_STOP_DE = 1 << 1,
    MR_LEX_STOP_FR = 1 << 2,
    MR_LEX_STOP_ES = 1 << 3,
    MR_LEX_STOP_IT = 1 << 4,
    MR_LEX_STOP_PT = 1 << 5,
    MR_LEX_STOP_NL = 1 << 6,
    MR_LEX_STOP = 0x7f,
    MR_LEX_ABBREVIATION = 1 << 7, /* the full stop behind it ends no sentence */
    MR_LEX_MONTH = 1 << 8,
    MR_LEX_FIRST_NAME = 1 << 9,
    MR_LEX_TITLE = 1 << 10,    /* Mr, Frau, President: a name follows */
    MR_LEX_PARTICLE = 1 << 11, /* von, de, van: inside a name */
    MR_LEX_ORG_WORD = 1 << 12, /* Ltd, University: makes what it stands in an organization */
    MR_LEX_ORG = 1 << 13,      /* an organization's own name */
    MR_LEX_PLACE = 1 << 14,
    MR_LEX_PLACE_WORD = 1 << 15, /* River, Lake, Straße */
    MR_LEX_NO_NAME = 1 << 16,    /* capitalised, yet nobody's name: days, languages, Monday */
    MR_LEX_SAID = 1 << 17,       /* a person said it */
    MR_LEX_IN = 1 << 18,         /* a place may follow */
    MR_LEX_GOOD = 1 << 19,
    MR_LEX_BAD = 1 << 20,
    MR_LEX_NOT = 1 << 21,
    MR_LEX_VERY = 1 << 22,
};

/* One list: words separated by blanks, lower case, '_' for the blank inside an entry. */
struct mr_word_list {
    uint32_t bits;
    const char *words;
};
extern const struct mr_word_list mr_lists_common[];
extern const struct mr_word_list mr_lists_names[];
extern const struct mr_word_list mr_lists_mood[];

/* Bits of the word or phrase with this hash (words joined by one blank); 0 = unknown. */
uint32_t mr_lexicon_find(uint64_t hash);
