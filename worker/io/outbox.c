#include "worker/io/outbox.h"

#include "worker/io/backoff.h"
#include "worker/io/outbox_thread.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Messages waiting: beyond HIGH no new jobs are taken (and events dropped), until LOW. */
#define DEPTH_HIGH 8192
#define DEPTH_LOW 2048
#define CLOSE_GRACE_MS 2000

struct mr_outbox {
    struct mr_outbox_shared shared;
    struct mr_outbox_cb cb;
    struct mr_observe_ops observe;
    uv_loop_t *loop;
    uv_thread_t thread;
    uv_async_t async;
    uv_timer_t impatience; /* while closing */
    unsigned handles;      /* open ones */
    bool started, closing, pressed;
    size_t depth; /* taken over, not yet done with */
    void (*done)(void *ctx);
    void *done_ctx;
};

static void update_pressure(struct mr_outbox *outbox, bool blocked)
{
    bool pressed = blocked || outbox->depth > (outbox->pressed ? DEPTH_LOW : DEPTH_HIGH);
    if (pressed == outbox->pressed)
        return;
    outbox->pressed = pressed;
    outbox->cb.pressed(outbox->cb.ctx, pressed);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct mr_outbox *outbox = handle->data;
    if (--outbox->handles == 0 && outbox->done)
        outbox->done(outbox->done_ctx);
}

static void close_handles(struct mr_outbox *outbox)
{
    uv_close((uv_handle_t *)&outbox->async, on_handle_closed);
    uv_close((uv_handle_t *)&outbox->impatience, on_handle_closed);
}

static void observe(const struct mr_outbox *outbox, enum mr_publish_kind kind, size_t count,
    bool confirmed, int64_t took_us)
{
    mr_observe(&outbox->observe, &(struct mr_observation){.what = MR_OBSERVED_PUBLISH,
                                     .publish = {kind, confirmed, took_us, count}});
}

static void report(struct mr_outbox *outbox, struct mr_item_list *results)
{
    struct mr_item *item;
    while ((item = mr_item_pop(results))) {
        observe(
            outbox, item->publish->kind, 1, item->confirmed, item->confirmed ? item->took_us : -1);
        outbox->cb.published(
            outbox->cb.ctx, item->publish, item->confirmed, item->confirmed ? NULL : item->why);
        free(item);
    }
}

static void on_async(uv_async_t *async)
{
    struct mr_outbox *outbox = async->data;
    struct mr_outbox_shared *shared = &outbox->shared;
    struct mr_item_list results;
    mr_item_list_init(&results);

    uv_mutex_lock(&shared->lock);
    mr_item_splice(&results, &shared->results);
    size_t events = shared->events_done;
    outbox->depth -= results.count + events;
    shared->events_done = 0;
    bool blocked = shared->blocked, finished = shared->finished;
    uv_mutex_unlock(&shared->lock);

    if (finished && outbox->closing) {
        mr_item_list_free(&results);
        uv_thread_join(&outbox->thread);
        outbox->started = false;
        close_handles(outbox);
        return;
    }
    if (events > 0)
        observe(outbox, MR_PUBLISH_EVENT, events, true, -1);
    report(outbox, &results);
    update_pressure(outbox, blocked);
}

static void wake_thread(struct mr_outbox_shared *shared)
{
    uint64_t one = 1;
    ssize_t n = write(shared->wake_fd, &one, sizeof(one)); /* only fails when it is awake anyway */
    (void)n;
}

static void on_impatience(uv_timer_t *timer)
{
    struct mr_outbox *outbox = timer->data;
    uv_mutex_lock(&outbox->shared.lock);
    if (outbox->shared.socket_fd >= 0) /* ends a write that hangs */
        (void)shutdown(outbox->shared.socket_fd, SHUT_RDWR);
    uv_mutex_unlock(&outbox->shared.lock);
}

void mr_outbox_publish(struct mr_outbox *outbox, struct mr_publish *publish)
{
    struct mr_outbox_shared *shared = &outbox->shared;
    bool event = publish->kind == MR_PUBLISH_EVENT;
    struct mr_item *item = event && outbox->pressed ? NULL : calloc(1, sizeof(*item));
    if (!item) {
        /* Only an event may be lost. For the rest there is no answer but to stop: the leases go
         * back, and another worker with memory left takes them. */
        if (!event)
            abort();
        mr_publish_free(publish);
        return;
    }
    item->publish = publish;
    outbox->depth++;
    uv_mutex_lock(&shared->lock);
    bool was_empty = !shared->inbox.first;
    mr_item_push(&shared->inbox, item);
    bool blocked = shared->blocked;
    uv_mutex_unlock(&shared->lock);
    if (was_empty)
        wake_thread(shared);
    update_pressure(outbox, blocked);
}

struct mr_outbox_view mr_outbox_view(struct mr_outbox *outbox)
{
    struct mr_outbox_shared *shared = &outbox->shared;
    struct mr_outbox_view view = {.backlog = outbox->depth};
    uv_mutex_lock(&shared->lock);
    view.connected = shared->socket_fd >= 0;
    view.blocked = shared->blocked;
    uv_mutex_unlock(&shared->lock);
    return view;
}

static void send_async(void *ctx)
{
    struct mr_outbox *outbox = ctx;
    uv_async_send(&outbox->async);
}

int mr_outbox_new(uv_loop_t *loop, const struct mr_config_broker *broker, const char *worker,
    const struct mr_log *log, const struct mr_outbox_cb *cb, const struct mr_observe_ops *observe,
    struct mr_outbox **ret, struct mr_err *err)
{
    struct mr_outbox *outbox = calloc(1, sizeof(*outbox));
    if (!outbox)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for the outbox");
    struct mr_outbox_shared *shared = &outbox->shared;
    shared->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shared->wake_fd < 0 || uv_mutex_init(&shared->lock) < 0) {
        int rc = -errno;
        if (shared->wake_fd >= 0)
            close(shared->wake_fd);
        free(outbox);
        return mr_err_set(err, rc, MR_CLASS_INTERNAL, "no descriptor for the outbox");
    }
    shared->broker = broker;
    shared->worker = worker;
    shared->log = log;
    shared->socket_fd = -1;
    shared->notify = send_async;
    shared->notify_ctx = outbox;
    mr_item_list_init(&shared->inbox);
    mr_item_list_init(&shared->results);
    mr_item_list_init(&shared->leftovers);
    outbox->loop = loop;
    outbox->cb = *cb;
    outbox->observe = *observe;
    *ret = outbox;
    return 0;
}

int mr_outbox_start(struct mr_outbox *outbox, struct mr_err *err)
{
    int rc = uv_async_init(outbox->loop, &outbox->async, on_async);
    if (rc < 0)
        return mr_err_set(err, rc, MR_CLASS_INTERNAL, "outbox: %s", uv_strerror(rc));
    uv_timer_init(outbox->loop, &outbox->impatience);
    outbox->handles = 2;
    outbox->async.data = outbox->impatience.data = outbox;
    rc = uv_thread_create(&outbox->thread, mr_outbox_thread, &outbox->shared);
    if (rc < 0) {
        close_handles(outbox);
        return mr_err_set(err, rc, MR_CLASS_INTERNAL, "outbox thread: %s", uv_strerror(rc));
    }
    outbox->started = true;
    return 0;
}

void mr_outbox_close(struct mr_outbox *outbox, void (*done)(void *ctx), void *ctx)
{
    assert(!outbox->closing);
    outbox->closing = true;
    outbox->done = done;
    outbox->done_ctx = ctx;
    if (!outbox->started) { /* never, or its thread could not be; then its handles are closing */
        if (outbox->handles == 0)
            done(ctx);
        return;
    }
    uv_mutex_lock(&outbox->shared.lock);
    outbox->shared.stop = true;
    outbox->shared.stop_grace_ms = CLOSE_GRACE_MS;
    uv_mutex_unlock(&outbox->shared.lock);
    wake_thread(&outbox->shared);
    uv_timer_start(&outbox->impatience, on_impatience, CLOSE_GRACE_MS + 500, 1000);
}

struct mr_outbox *mr_outbox_free(struct mr_outbox *outbox)
{
    if (!outbox)
        return NULL;
    assert(!outbox->started && outbox->handles == 0);
    struct mr_outbox_shared *shared = &outbox->shared;
    mr_item_list_free(&shared->inbox);
    mr_item_list_free(&shared->results);
    mr_item_list_free(&shared->leftovers);
    uv_mutex_destroy(&shared->lock);
    close(shared->wake_fd);
    free(outbox);
    return NULL;
}
