#include "worker/io/outbox_thread.h"

#include "worker/io/backoff.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define CONNECT_BASE_MS 200
#define CONNECT_MAX_MS 10000
#define REFUSED_BASE_MS 1000
#define REFUSED_MAX_MS 30000
#define REFUSALS_MAX 4   /* of one message by one connection */
#define SLEEP_MAX_MS 500 /* far below any heartbeat/2 */

struct outbox_thread {
    struct mr_outbox_shared *shared;
    struct mr_clock clock;
    struct mr_random random;
    struct mr_publisher *publisher; /* NULL without a connection */
    struct mr_item_list ready;
    struct mr_item_list waiting; /* refused, each until its retry_ms */
    struct mr_item_list lost;    /* while a publisher is freed */
    struct mr_item_list results;
    size_t events_done;
    /* After the broker has closed the channel (a message it cannot stand): what was in flight is
     * sent one by one, until the one that does it again is found. */
    size_t suspects;
    /* A channel the queue has told to refuse keeps refusing until it hears that there is room: it
     * never does when the limit was raised or lifted. Only a new connection asks again. */
    bool renew;
    unsigned failures;
    int64_t connect_ms; /* not before */
    int64_t stop_ms;    /* 0 = go on */
};

static int64_t now_ms(const struct outbox_thread *thread)
{
    return mr_mono_ms(&thread->clock);
}

static int64_t now_us(const struct outbox_thread *thread)
{
    return thread->clock.mono_ns(thread->clock.ctx) / 1000;
}

/* ---- results ---- */

static void done_with(
    struct outbox_thread *thread, struct mr_item *item, bool confirmed, const char *why)
{
    item->confirmed = confirmed;
    snprintf(item->why, sizeof(item->why), "%s", why ? why : "");
    if (item->suspect)
        thread->suspects--;
    item->suspect = false;
    mr_item_push(&thread->results, item);
}

static void on_result(void *ctx, void *token, enum mr_publish_result result, const char *why)
{
    struct outbox_thread *thread = ctx;
    struct mr_item *item = token;
    switch (result) {
    case MR_PUBLISH_OK:
        item->took_us = now_us(thread) - item->sent_us;
        done_with(thread, item, true, NULL);
        return;
    case MR_PUBLISH_RETURNED:
        done_with(thread, item, false, why);
        return;
    case MR_PUBLISH_NACKED:
        item->retry_ms = now_ms(thread) + mr_backoff_ms(&thread->random, item->refusals++,
                                              REFUSED_BASE_MS, REFUSED_MAX_MS);
        thread->renew |= item->refusals % REFUSALS_MAX == 0;
        mr_item_push(&thread->waiting, item);
        return;
    case MR_PUBLISH_LOST:
        mr_item_push(&thread->lost, item);
        return;
    }
}

/* ---- the connection ---- */

static void share_socket(struct outbox_thread *thread, int fd)
{
    uv_mutex_lock(&thread->shared->lock);
    thread->shared->socket_fd = fd;
    uv_mutex_unlock(&thread->shared->lock);
}

static void connect_later(struct outbox_thread *thread)
{
    thread->connect_ms = now_ms(thread) + mr_backoff_ms(&thread->random, thread->failures++,
                                              CONNECT_BASE_MS, CONNECT_MAX_MS);
}

/* What was in flight goes out again first. */
static void drop_publisher(struct outbox_thread *thread, const struct mr_err *why)
{
    struct mr_item *item;
    bool channel_closed = why && why->class != MR_CLASS_NETWORK;
    size_t in_flight = mr_publisher_unconfirmed(thread->publisher); /* events too */
    share_socket(thread, -1);
    thread->publisher = mr_publisher_free(thread->publisher);
    if (channel_closed && in_flight == 1 && thread->lost.count == 1) {
        done_with(thread, mr_item_pop(&thread->lost), false, why->msg);
    } else if (channel_closed) {
        for (item = thread->lost.first; item; item = item->next) {
            thread->suspects += !item->suspect;
            item->suspect = true;
        }
    }
    mr_item_splice(&thread->lost, &thread->ready);
    mr_item_splice(&thread->ready, &thread->lost);
}

static void lose(struct outbox_thread *thread, const struct mr_err *why)
{
    mr_log(thread->shared->log, MR_WARN, "broker.publisher_lost", MR_STR("why", why->msg),
        MR_INT("unconfirmed", (int64_t)mr_publisher_unconfirmed(thread->publisher)));
    drop_publisher(thread, why);
    connect_later(thread);
}

static void try_connect(struct outbox_thread *thread)
{
    struct mr_err err;
    if (now_ms(thread) < thread->connect_ms)
        return;
    if (mr_publisher_open(thread->shared->broker, thread->shared->worker, &thread->random,
            on_result, thread, &thread->publisher, &err) < 0) {
        mr_log(thread->shared->log, MR_WARN, "broker.unreachable", MR_STR("why", err.msg),
            MR_INT("failures", thread->failures));
        connect_later(thread);
        return;
    }
    share_socket(thread, mr_publisher_fd(thread->publisher));
}

/* ---- publishing ---- */

/* Back to the ready ones whose time has come; returns when the next one's comes. */
static int64_t wake_waiting(struct outbox_thread *thread)
{
    struct mr_item_list still;
    struct mr_item *item;
    int64_t next = INT64_MAX;
    mr_item_list_init(&still);
    while ((item = mr_item_pop(&thread->waiting))) {
        if (item->retry_ms <= now_ms(thread)) {
            mr_item_push(&thread->ready, item);
            continue;
        }
        next = item->retry_ms < next ? item->retry_ms : next;
        mr_item_push(&still, item);
    }
    mr_item_splice(&thread->waiting, &still);
    return next;
}

static int publish_ready(struct outbox_thread *thread, struct mr_err *err)
{
    while (thread->ready.first && !thread->renew) {
        struct mr_item *item = thread->ready.first;
        bool event = item->publish->kind == MR_PUBLISH_EVENT;
        if (thread->suspects > 0 && mr_publisher_unconfirmed(thread->publisher) > 0)
            return 0;
        item->sent_us = now_us(thread);
        int rc = mr_item_publish(item, thread->shared->worker, thread->publisher, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        mr_item_pop(&thread->ready);
        if (event) {
            mr_publish_free(item->publish);
            free(item);
            thread->events_done++;
        }
    }
    return 0;
}

static void work(struct outbox_thread *thread)
{
    struct mr_err err;
    int rc = publish_ready(thread, &err);
    if (rc == 0)
        rc = mr_publisher_poll(thread->publisher, 0, &err);
    if (rc < 0) {
        lose(thread, &err);
    } else if (mr_publisher_unconfirmed(thread->publisher) == 0) {
        thread->failures = 0;
        if (thread->renew)
            drop_publisher(thread, NULL);
        thread->renew = false;
    }
}

/* ---- the loop ---- */

/* Inbox in, results out. */
static void exchange(struct outbox_thread *thread)
{
    struct mr_outbox_shared *shared = thread->shared;
    bool blocked = thread->publisher && mr_publisher_blocked(thread->publisher);
    bool news = thread->results.first || thread->events_done > 0;
    uint64_t count;
    ssize_t n =
        read(shared->wake_fd, &count, sizeof(count)); /* nonblocking; emptied before a look */
    (void)n;

    uv_mutex_lock(&shared->lock);
    mr_item_splice(&thread->ready, &shared->inbox);
    mr_item_splice(&shared->results, &thread->results);
    shared->events_done += thread->events_done;
    news |= shared->blocked != blocked;
    shared->blocked = blocked;
    if (shared->stop && thread->stop_ms == 0)
        thread->stop_ms = now_ms(thread) + shared->stop_grace_ms;
    uv_mutex_unlock(&shared->lock);

    thread->events_done = 0;
    if (news)
        shared->notify(shared->notify_ctx);
}

static bool has_stopped(const struct outbox_thread *thread)
{
    if (thread->stop_ms == 0)
        return false;
    bool idle = !thread->ready.first && !thread->waiting.first &&
                (!thread->publisher || mr_publisher_unconfirmed(thread->publisher) == 0);
    return idle || !thread->publisher || now_ms(thread) >= thread->stop_ms;
}

static void wait_for_news(const struct outbox_thread *thread, int64_t until_ms)
{
    struct pollfd fds[2] = {
        {.fd = thread->shared->wake_fd, .events = POLLIN},
        {.fd = thread->publisher ? mr_publisher_fd(thread->publisher) : -1, .events = POLLIN},
    };
    if (!thread->publisher && thread->connect_ms < until_ms)
        until_ms = thread->connect_ms;
    int64_t wait = until_ms - now_ms(thread);
    (void)poll(fds, 2, wait < 0 ? 0 : wait < SLEEP_MAX_MS ? (int)wait : SLEEP_MAX_MS);
}

static void finish(struct outbox_thread *thread)
{
    struct mr_outbox_shared *shared = thread->shared;
    if (thread->publisher)
        drop_publisher(thread, NULL);
    uv_mutex_lock(&shared->lock);
    mr_item_splice(&shared->leftovers, &thread->ready);
    mr_item_splice(&shared->leftovers, &thread->waiting);
    mr_item_splice(&shared->results, &thread->results);
    shared->finished = true;
    uv_mutex_unlock(&shared->lock);
    shared->notify(shared->notify_ctx);
}

void mr_outbox_thread(void *arg)
{
    struct outbox_thread thread = {
        .shared = arg, .clock = mr_clock_system(), .random = mr_random_system()};
    mr_item_list_init(&thread.ready);
    mr_item_list_init(&thread.waiting);
    mr_item_list_init(&thread.lost);
    mr_item_list_init(&thread.results);
    for (;;) {
        exchange(&thread);
        if (has_stopped(&thread))
            break;
        if (!thread.publisher)
            try_connect(&thread);
        int64_t next = wake_waiting(&thread);
        if (thread.publisher)
            work(&thread);
        if (!thread.results.first)
            wait_for_news(&thread, next);
    }
    finish(&thread);
}
