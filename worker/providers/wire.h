/* What the HTTP codecs share: writing JSON straight into the request, and reading the replies that
 * are not answers. Internal to providers/. */
#pragma once

#include "worker/providers/chat.h"
#include "worker/providers/classify.h"

#define MR_REQUEST_MAX (32u << 20) /* bytes of a request body */

extern const struct mr_codec mr_codec_openai;
extern const struct mr_codec mr_codec_anthropic;
extern const struct mr_codec mr_codec_local;

/* Appends a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD. 0, -EMSGSIZE,
 * -ENOMEM. */
int mr_wire_string(struct mr_buf *buf, const char *s, size_t n) MR_CHECK;

/* Appends the text of all messages of a role as one JSON string, an empty line between them. */
int mr_wire_messages(struct mr_buf *buf, const struct mr_chat *chat, enum mr_chat_role role,
    const char *more) MR_CHECK;
bool mr_wire_has(const struct mr_chat *chat, enum mr_chat_role role);

/* Appends ,"key":value for each of the model's params that `accepts` lists and `reserved` does not
 * (both end with NULL). */
int mr_wire_params(struct mr_buf *buf, const json_t *params, const char *const *accepts,
    const char *const *reserved) MR_CHECK;
bool mr_wire_listed(const char *const *list, const char *word); /* list ends with NULL */

/* Ends an encode that failed: frees what the request holds. Returns code with err filled. */
int mr_wire_refuse(struct mr_request *request, int code, struct mr_err *err);

/* Starts an answer, and finishes it at once when the reply holds none: transport failures, error
 * statuses, error objects (also inside a 200), pages, unreadable bodies. Returns the parsed body of
 * a success (caller's reference), else NULL with *ret complete. */
json_t *mr_wire_open(
    const struct mr_request *request, const struct mr_reply *reply, struct mr_answer *ret);

/* Marks the answer as failed. The provider's key is blotted out should the text contain it. */
void mr_wire_fail(struct mr_answer *answer, const struct mr_request *request, enum mr_class class,
    const char *fmt, ...) MR_PRINTF(4, 5);

/* Judges the text of an answer that is otherwise good: trims it, takes NULs out, and copies it;
 * empty = bad_output. */
void mr_wire_text(
    struct mr_answer *answer, const struct mr_request *request, const char *text, size_t n);

/* A token count of the usage object; -1 when absent, not a number or nonsense. */
int64_t mr_wire_count(const json_t *object, const char *key);

/* Usage when the provider sent none: a token for every three bytes, rounded up. */
void mr_wire_estimate(struct mr_answer *answer, const struct mr_request *request, size_t text_len);

/* Copies at most size - 1 bytes of a JSON string, cut at a character; "" when it is no string. */
void mr_wire_copy(char *ret, size_t size, const json_t *string);
