/* A chat call and its answer, independent of any provider's wire format; and the table of codecs.
 * Pure. */
#pragma once

#include "common/config.h"
#include "common/money.h"
#include "worker/engine/world.h"

enum mr_chat_role { MR_ROLE_SYSTEM, MR_ROLE_USER };

struct mr_chat_message {
    enum mr_chat_role role;
    char *text; /* owned UTF-8 */
    size_t len;
    size_t data_at, data_len; /* the document inside text, without the fence around it */
};

#define MR_CHAT_MESSAGES_MAX 16

/* What is asked. */
struct mr_chat {
    const struct mr_model *model;   /* borrowed from the job's configuration */
    const char *schema_text;        /* borrowed; NULL = plain text wanted */
    const struct mr_schema *schema; /* borrowed; schema_text compiled, or NULL */
    const char *schema_name;        /* borrowed step name */
    const char *task;               /* borrowed; for local */
    int max_tokens;
    struct mr_chat_message messages[MR_CHAT_MESSAGES_MAX];
    size_t nmessages;
};
struct mr_chat *mr_chat_free(struct mr_chat *chat);

/* What came of it, normalised. */
struct mr_answer {
    enum mr_class class; /* NONE: text is good. Otherwise why not; message says it in the provider's
                            words */
    char message[MR_ERR_MAX];
    bool billed; /* usage counts (also for bad_output and refused) */
    struct mr_usage
        usage; /* when the provider sent none although billed: estimated, usage_estimated set */
    bool usage_estimated;
    char *text; /* owned; trimmed answer text (JSON text when a schema was asked for) */
    size_t len;
    /* The model that answered; behind it, in brackets, a service tier or region that is priced
     * apart: "gpt-6-sol (priority)". */
    char served_model[129];
    char finish_reason[33];
    int64_t retry_after_ms; /* -1 = none */
    bool leave;             /* failed: it is of no use to ask the same endpoint again */
    bool unsure;            /* failed: it may be billed all the same, nobody knows for how much */
};
void mr_answer_deinit(struct mr_answer *answer);

struct mr_codec {
    const char *name;
    /* Builds the request from chat (takes ownership of chat, also on error). 0 or negative with
     * err. */
    int (*encode)(const struct mr_endpoint *endpoint, struct mr_chat *chat, int64_t timeout_ms,
        struct mr_request *ret, struct mr_err *err);
    /* Reads any reply at all, however broken. Always fills *ret. */
    void (*decode)(
        const struct mr_request *request, const struct mr_reply *reply, struct mr_answer *ret);
};

/* Never NULL for a kind config accepts. */
const struct mr_codec *mr_codec_of(enum mr_provider_kind kind);

/* Bytes of all messages plus the codec's framing. */
int64_t mr_chat_prompt_bytes(const struct mr_request *request);

/* Prompt tokens a hold is taken on: one a byte, and what the provider may add of its own, which is
 * billed too: the chat template (a few tokens a message; gpt-oss's is about 100), words about the
 * output format (Anthropic), a system prompt of the gateway. Nobody publishes a bound; the longest
 * known is Anthropic's for tools, about 350 tokens. */
#define MR_HOLD_EXTRA_TOKENS 512
int64_t mr_chat_hold_tokens(const struct mr_request *request);
