/* The outbox's thread, and what it shares with the loop. Private to the outbox. */
#pragma once

#include "common/config.h"
#include "common/log.h"
#include "worker/io/outbox_item.h"

#include <uv.h>

struct mr_outbox_shared {
    /* Set before the thread starts. */
    const struct mr_config_broker *broker;
    const char *worker;
    const struct mr_log *log;
    int wake_fd;               /* eventfd: there is something in the inbox, or stop */
    void (*notify)(void *ctx); /* results, blocked or finished have changed */
    void *notify_ctx;

    uv_mutex_t lock;               /* for all below */
    struct mr_item_list inbox;     /* loop -> thread */
    struct mr_item_list results;   /* thread -> loop */
    struct mr_item_list leftovers; /* what the thread had when it ended */
    size_t events_done;
    bool blocked; /* by connection.blocked */
    bool stop;
    int64_t stop_grace_ms;
    bool finished;
    int socket_fd; /* -1 without a connection */
};

void mr_outbox_thread(void *shared);
