#include "worker/providers/chat.h"

#include <stdlib.h>

void mr_request_deinit(struct mr_request *request)
{
    mr_chat_free(request->chat);
    free(request->url);
    mr_buf_deinit(&request->body);
    for (size_t i = 0; i < sizeof(request->headers) / sizeof(request->headers[0]); i++)
        free(request->headers[i]);
    *request = (struct mr_request){0};
}

void mr_reply_deinit(struct mr_reply *reply)
{
    mr_buf_deinit(&reply->body);
    json_decref(reply->local);
    *reply = (struct mr_reply){0};
}
