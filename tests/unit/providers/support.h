/* Chats and replies for the tests of the codecs. */
#pragma once

#include "tests/unit/test.h"
#include "worker/providers/chat.h"

#include <stdlib.h>
#include <string.h>

static inline struct mr_chat *make_chat(
    const struct mr_model *model, const char *system, const char *user, const char *schema)
{
    struct mr_chat *chat = calloc(1, sizeof(*chat));
    CHECK(chat);
    chat->model = model;
    chat->schema_text = schema;
    chat->schema_name = "my.step";
    chat->max_tokens = 100;
    const char *texts[] = {system, user};
    for (size_t i = 0; i < 2; i++) {
        if (!texts[i])
            continue;
        struct mr_chat_message *message = &chat->messages[chat->nmessages++];
        message->role = i == 0 ? MR_ROLE_SYSTEM : MR_ROLE_USER;
        message->text = strdup(texts[i]);
        message->len = message->data_len = strlen(texts[i]);
    }
    return chat;
}

static inline struct mr_reply make_reply(int status, const char *body)
{
    struct mr_reply reply = {
        .transport = MR_TRANSPORT_OK, .status = status, .retry_after_ms = -1, .should_retry = -1};
    mr_buf_init(&reply.body, MR_REPLY_MAX);
    if (body)
        CHECK(mr_buf_puts(&reply.body, body) == 0);
    return reply;
}

/* Random JSON-like junk, and mutations of `seed`: nothing may crash. */
static inline void decode_junk(
    const struct mr_codec *codec, const struct mr_request *request, const char *seed)
{
    unsigned state = 12345;
    for (int round = 0; round < 20000; round++) {
        char bytes[1024];
        size_t n = strlen(seed) < sizeof(bytes) ? strlen(seed) : sizeof(bytes) - 1;
        memcpy(bytes, seed, n);
        for (int i = 0; i <= round % 4; i++) {
            state = state * 1103515245u + 12345u;
            bytes[(state >> 8) % n] = (char)(state >> 24);
        }
        struct mr_reply reply = make_reply(round % 3 ? 200 : 500, NULL);
        CHECK(mr_buf_put(&reply.body, bytes, round % 5 ? n : (state >> 16) % n) == 0);
        struct mr_answer answer;
        codec->decode(request, &reply, &answer);
        CHECK(answer.class != MR_CLASS_NONE || answer.len > 0);
        CHECK(answer.usage.input >= 0 && answer.usage.cached >= 0 && answer.usage.output >= 0);
        mr_answer_deinit(&answer);
        mr_reply_deinit(&reply);
    }
}
