/* A provider whose requests and answers are described in the configuration (kind "custom"). Pure.
 */
#pragma once

#include "common/config.h"

/* Everything is owned. A path says where in the answer's JSON something stands: "usage.input",
 * "choices[0].message.content"; [*] is every item, for texts that come in pieces. NULL = the answer
 * does not say it. */
struct mr_custom {
    char *path;             /* behind base_url; {{model}} is the model's name, URL-encoded */
    char *key_header;       /* what the key is sent behind, e.g. "api-key: " */
    struct mr_strv headers; /* "Name: value", at most MR_CUSTOM_HEADERS_MAX */
    char *body; /* JSON with {{model}} {{system}} {{user}} {{max_tokens}} {{schema}}, each
                   written as a JSON value; {{schema}} is null where none is asked for */
    char *text, *finish, *served_model;
    char *input, *cached, *cache_write, *output; /* token counts */
    char *error;                                 /* the provider's words when it failed */
    struct mr_strv ok, length, refused;          /* what finish may say, in any case */
    bool usage_inclusive; /* input counts cached and cache_write tokens too */
};

#define MR_CUSTOM_HEADERS_MAX 6

struct mr_custom *mr_custom_free(struct mr_custom *custom);

/* Whether calls can be made by it: the body is JSON once filled in, and says {{user}} and
 * {{max_tokens}} (without a limit nothing is known of the cost); paths and headers can be read;
 * text is there; finish comes with the words for ok. 0 or -EINVAL with the key's name in err. */
int mr_custom_check(const struct mr_custom *custom, struct mr_err *err) MR_CHECK;

enum mr_custom_slot {
    MR_CUSTOM_END, /* nothing more: what stands before it is the rest of the template */
    MR_CUSTOM_MODEL,
    MR_CUSTOM_SYSTEM,
    MR_CUSTOM_USER,
    MR_CUSTOM_MAX_TOKENS,
    MR_CUSTOM_SCHEMA,
    MR_CUSTOM_UNKNOWN,
};

/* The next {{...}} of a template: *ret_n bytes stand before it. Moves *at behind it. */
enum mr_custom_slot mr_custom_next(const char **at, size_t *ret_n);

/* Calls found for each value the path leads to, in order. */
typedef void mr_custom_found(void *ctx, const json_t *value);
void mr_custom_walk(const json_t *root, const char *path, mr_custom_found *found, void *ctx);
/* The first of them, or NULL; path may be NULL. */
const json_t *mr_custom_first(const json_t *root, const char *path);
