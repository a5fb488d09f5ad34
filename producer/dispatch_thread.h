/* The dispatcher's thread, and what it shares with the loop. Private to the dispatcher. */
#pragma once

#include "producer/dispatch.h"

enum mr_dispatch_state {
    MR_DISPATCH_STARTING, /* the first connection is being tried */
    MR_DISPATCH_UP,
    MR_DISPATCH_BLOCKED, /* connection.blocked */
    MR_DISPATCH_DOWN,
};

struct mr_post_list {
    struct mr_post *first, **end;
};
static inline void mr_post_list_init(struct mr_post_list *list)
{
    *list = (struct mr_post_list){.end = &list->first};
}
static inline void mr_post_list_push(struct mr_post_list *list, struct mr_post *post)
{
    post->next = NULL;
    *list->end = post;
    list->end = &post->next;
}
static inline void mr_post_list_splice(struct mr_post_list *to, struct mr_post_list *from)
{
    if (!from->first)
        return;
    *to->end = from->first;
    to->end = from->end;
    mr_post_list_init(from);
}

struct mr_dispatch_shared {
    /* Set before the thread starts. */
    struct mr_dispatch_options options;
    int wake_fd; /* eventfd: there is something in the inbox, or stop */
    void (*notify)(void *ctx);
    void *notify_ctx;

    uv_mutex_t lock;            /* for all below */
    struct mr_post_list inbox;  /* loop -> thread */
    struct mr_post_list outbox; /* thread -> loop: with their results */
    enum mr_dispatch_state state;
    char why[256];   /* DOWN: why there is no connection */
    int socket_fd;   /* -1 without a connection */
    int64_t turn_ms; /* monotonic: when the thread last came by */
    bool stop, finished;
};

void mr_dispatch_thread(void *shared);
