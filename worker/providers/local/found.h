/* The entities found in a document. Internal to providers/local. */
#pragma once

#include "common/buf.h"
#include "worker/providers/local/text.h"

enum mr_entity {
    MR_ENTITY_PERSON,
    MR_ENTITY_ORGANIZATION,
    MR_ENTITY_LOCATION,
    MR_ENTITY_DATE,
    MR_ENTITY_MONEY,
    MR_ENTITY_PERCENT,
    MR_ENTITY_EMAIL,
    MR_ENTITY_URL,
    MR_ENTITY_PHONE,
    MR_ENTITY_IBAN,
    MR_ENTITY_CARD,
    MR_ENTITY_OTHER,
};

#define MR_FOUND_MAX 2000        /* occurrences in a document */
#define MR_ENTITIES_MAX 500      /* different ones in the answer, as the schema says */
#define MR_ENTITY_BYTES_MAX 300u /* a longer match is no entity */

struct mr_span {
    uint32_t at, len; /* bytes */
    enum mr_entity entity;
};

struct mr_found {
    struct mr_span spans[MR_FOUND_MAX];
    size_t count;
    unsigned char *taken; /* a byte per byte of the document: 1 = inside a span */
};

/* Notes a span unless it overlaps one that is there, or there are too many. Returns whether it did.
 */
bool mr_found_add(struct mr_found *found, size_t at, size_t len, enum mr_entity entity);

/* Addresses, numbers, dates and sums: what has a form of its own, checked by its validator. The
 * bytes must be valid UTF-8. 0, or -ENOMEM. */
int mr_patterns_find(const char *bytes, size_t len, struct mr_found *found) MR_CHECK;

/* People, organizations and places, among the words that are not taken yet. */
void mr_names_find(const struct mr_local_text *text, struct mr_found *found);

/* Appends {"entities":[...]} after schemas/entities.schema.json: in order of appearance, each once.
 * 0, -ENOMEM, -EMSGSIZE. */
int mr_found_write(struct mr_found *found, const char *bytes, struct mr_buf *buf) MR_CHECK;
