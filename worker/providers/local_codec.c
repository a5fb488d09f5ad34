/* The local provider has no wire format: the request carries the chat itself, and the reply carries
 * what mr_local_answer made of it. */
#include "worker/providers/wire.h"

#include <string.h>

static int encode(const struct mr_endpoint *endpoint, struct mr_chat *chat, int64_t timeout_ms,
    struct mr_request *ret, struct mr_err *err)
{
    *ret = (struct mr_request){
        .endpoint = endpoint, .chat = chat, .auth = MR_AUTH_NONE, .timeout_ms = timeout_ms};
    return 0;
}

/* It costs nothing, but usage is still counted, at a token for four bytes, so that reports of a
 * degraded or offline fleet show work and not zeros. */
static int64_t tokens(int64_t bytes)
{
    return (bytes + 3) / 4;
}

static void decode(
    const struct mr_request *request, const struct mr_reply *reply, struct mr_answer *ret)
{
    *ret = (struct mr_answer){.retry_after_ms = -1};
    if (reply->transport != MR_TRANSPORT_LOCAL) {
        const struct mr_fault fault = {.transport = reply->transport, .should_retry = -1};
        mr_wire_fail(ret, request, mr_classify(&fault), "%s",
            reply->detail[0] ? reply->detail : "given up before it was answered");
        return;
    }
    const json_t *text = json_object_get(reply->local, "text");
    if (!json_is_string(text)) {
        enum mr_class class = reply->local_err.class;
        mr_wire_fail(ret, request, class != MR_CLASS_NONE ? class : MR_CLASS_INTERNAL, "%s",
            reply->local_err.msg[0] ? reply->local_err.msg : "no answer was made");
        return;
    }
    ret->billed = true;
    ret->usage = (struct mr_usage){.input = tokens(mr_chat_prompt_bytes(request)),
        .output = tokens((int64_t)json_string_length(text))};
    memcpy(ret->finish_reason, "stop", sizeof("stop"));
    mr_wire_text(ret, request, json_string_value(text), json_string_length(text));
}

const struct mr_codec mr_codec_local = {.name = "local", .encode = encode, .decode = decode};
