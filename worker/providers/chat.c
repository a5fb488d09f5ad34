#include "worker/providers/chat.h"

#include "worker/providers/wire.h"

#include <stdlib.h>

struct mr_chat *mr_chat_free(struct mr_chat *chat)
{
    if (!chat)
        return NULL;
    for (size_t i = 0; i < chat->nmessages; i++)
        free(chat->messages[i].text);
    free(chat);
    return NULL;
}

void mr_answer_deinit(struct mr_answer *answer)
{
    free(answer->text);
    *answer = (struct mr_answer){0};
}

const struct mr_codec *mr_codec_of(enum mr_provider_kind kind)
{
    static const struct mr_codec *const codecs[] = {
        [MR_PROVIDER_LOCAL] = &mr_codec_local,
        [MR_PROVIDER_OPENAI] = &mr_codec_openai,
        [MR_PROVIDER_ANTHROPIC] = &mr_codec_anthropic,
        [MR_PROVIDER_CUSTOM] = &mr_codec_custom,
    };
    return (unsigned)kind < sizeof(codecs) / sizeof(codecs[0]) ? codecs[kind] : NULL;
}

int64_t mr_chat_prompt_bytes(const struct mr_request *request)
{
    /* A request body holds every message, the schema and the framing, and escapes only make it
     * longer: no tokenizer makes more tokens of it than it has bytes. */
    if (request->body.len > 0)
        return (int64_t)request->body.len;
    int64_t bytes = 0;
    for (size_t i = 0; request->chat && i < request->chat->nmessages; i++)
        bytes += (int64_t)request->chat->messages[i].len;
    return bytes;
}

int64_t mr_chat_hold_tokens(const struct mr_request *request)
{
    int64_t extra = request->url ? MR_HOLD_EXTRA_TOKENS : 0; /* local adds nothing */
    return mr_chat_prompt_bytes(request) + extra;
}
