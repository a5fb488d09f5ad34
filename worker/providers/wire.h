/* What the HTTP codecs share: writing JSON straight into the request, and reading the replies that
 * are not answers. Internal to providers/. */
#pragma once

#include "worker/providers/chat.h"
#include "worker/providers/classify.h"

#define MR_REQUEST_MAX (32u << 20) /* bytes of a request body */

extern const struct mr_codec mr_codec_openai;
extern const struct mr_codec mr_codec_anthropic;
extern const struct mr_codec mr_codec_custom;
extern const struct mr_codec mr_codec_local;

/* Appends a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD. 0, -EMSGSIZE,
 * -ENOMEM. */
int mr_wire_string(struct mr_buf *buf, const char *s, size_t n) MR_CHECK;

/* Appends the text of all messages of a role as one JSON string, an empty line between them. */
int mr_wire_messages(struct mr_buf *buf, const struct mr_chat *chat, enum mr_chat_role role,
    const char *more) MR_CHECK;
/* The same for all roles: instructions and `more`, then the rest. */
int mr_wire_all(struct mr_buf *buf, const struct mr_chat *chat, const char *more) MR_CHECK;
bool mr_wire_has(const struct mr_chat *chat, enum mr_chat_role role);

/* Appends ,"key":value for each of the model's params that `accepts` lists and `reserved` does not
 * (both end with NULL). */
int mr_wire_params(struct mr_buf *buf, const json_t *params, const char *const *accepts,
    const char *const *reserved) MR_CHECK;
bool mr_wire_listed(const char *const *list, const char *word); /* list ends with NULL */

/* What the model is told about the schema when the provider does not enforce it; malloc'd, NULL
 * without memory. */
char *mr_wire_instruction(const struct mr_chat *chat);

/* Begins a request with the key sent as auth, and ends it: url is base_url and path. rc is what
 * became of the body; when it is negative the request is let go of. 0 with *ret, or negative with
 * err filled. */
struct mr_request mr_wire_begin(const struct mr_endpoint *endpoint, struct mr_chat *chat,
    enum mr_auth auth, int64_t timeout_ms);
int mr_wire_end(struct mr_request *request, const char *path, int rc, struct mr_request *ret,
    struct mr_err *err) MR_CHECK;

/* Starts an answer, and finishes it at once when the reply holds none: transport failures, error
 * statuses, error objects (also inside a 200), pages, unreadable bodies. Returns the parsed body of
 * a success (caller's reference), else NULL with *ret complete. */
json_t *mr_wire_open(
    const struct mr_request *request, const struct mr_reply *reply, struct mr_answer *ret);
/* The same; what stands at the path (common/custom.h; NULL: nowhere) is an error's words too. */
json_t *mr_wire_open_at(const struct mr_request *request, const struct mr_reply *reply,
    const char *path, struct mr_answer *ret);

/* Marks the answer as failed. The provider's key is blotted out should the text contain it. */
void mr_wire_fail(struct mr_answer *answer, const struct mr_request *request, enum mr_class class,
    const char *fmt, ...) MR_PRINTF(4, 5);

/* Judges the text of an answer that is otherwise good: trims it, takes NULs out, and copies it;
 * empty = bad_output. */
void mr_wire_text(
    struct mr_answer *answer, const struct mr_request *request, const char *text, size_t n);

/* A token count, itself or of the usage object; -1 when absent, not a number or nonsense. The last:
 * 0 then. */
int64_t mr_wire_number(const json_t *value);
int64_t mr_wire_count(const json_t *object, const char *key);
int64_t mr_wire_count_or_0(const json_t *object, const char *key);

/* Usage when the provider sent none: a token for every three bytes, rounded up. */
void mr_wire_estimate(struct mr_answer *answer, const struct mr_request *request, size_t text_len);

/* Keeps the model that answered, and what else bears on its price, as "model (priority)": a word
 * that says nothing of the kind ("default", "standard") is left out. */
void mr_wire_served(struct mr_answer *answer, const json_t *model, const json_t *tier);

/* The answer was cut at its max_tokens. */
void mr_wire_cut(struct mr_answer *answer, const struct mr_request *request);

/* Copies at most size - 1 bytes of a JSON string, cut at a character; "" when it is no string. */
void mr_wire_copy(char *ret, size_t size, const json_t *string);
