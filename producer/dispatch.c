#include "producer/dispatch.h"

#include "producer/dispatch_thread.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct mr_dispatch {
    struct mr_dispatch_shared shared;
    uv_thread_t thread;
    uv_async_t async;
    uv_timer_t watch; /* while something is under way: does the thread hang in a write? */
    int handles;
    size_t under_way;
    void (*done)(void *ctx);
    void *done_ctx;
};

static void on_closed(uv_handle_t *handle)
{
    struct mr_dispatch *dispatch = handle->data;
    if (--dispatch->handles == 0)
        dispatch->done(dispatch->done_ctx);
}

/* A broker that has stopped reading lets a write hang for half a minute. Ended here, it is a lost
 * connection, and what it held is reported in time. */
static void on_watch(uv_timer_t *timer)
{
    struct mr_dispatch *dispatch = timer->data;
    struct mr_dispatch_shared *shared = &dispatch->shared;
    int64_t now = (int64_t)(uv_hrtime() / 1000000);
    uv_mutex_lock(&shared->lock);
    if (shared->socket_fd >= 0 && now - shared->turn_ms > shared->options.timeout_ms / 2)
        (void)shutdown(shared->socket_fd, SHUT_RDWR);
    uv_mutex_unlock(&shared->lock);
    if (dispatch->under_way == 0 && !shared->stop)
        uv_timer_stop(timer);
}

static void start_watch(struct mr_dispatch *dispatch)
{
    uint64_t every = (uint64_t)dispatch->shared.options.timeout_ms / 8 + 1;
    uv_timer_start(&dispatch->watch, on_watch, every, every);
}

static void on_async(uv_async_t *async)
{
    struct mr_dispatch *dispatch = async->data;
    struct mr_dispatch_shared *shared = &dispatch->shared;
    struct mr_post_list posts;
    mr_post_list_init(&posts);
    uv_mutex_lock(&shared->lock);
    mr_post_list_splice(&posts, &shared->outbox);
    bool finished = shared->finished;
    uv_mutex_unlock(&shared->lock);
    for (struct mr_post *post = posts.first, *next; post; post = next) {
        next = post->next; /* the callback may free it */
        dispatch->under_way--;
        shared->options.posted(shared->options.ctx, post);
    }
    if (finished && dispatch->done) {
        uv_thread_join(&dispatch->thread);
        uv_close((uv_handle_t *)&dispatch->async, on_closed);
        uv_close((uv_handle_t *)&dispatch->watch, on_closed);
    }
}

static void notify(void *ctx)
{
    struct mr_dispatch *dispatch = ctx;
    uv_async_send(&dispatch->async);
}

static void wake_thread(struct mr_dispatch *dispatch)
{
    uint64_t one = 1;
    ssize_t n = write(dispatch->shared.wake_fd, &one, sizeof(one)); /* fails when it is awake */
    (void)n;
}

int mr_dispatch_new(uv_loop_t *loop, const struct mr_dispatch_options *options,
    struct mr_dispatch **ret, struct mr_err *err)
{
    struct mr_dispatch *dispatch = calloc(1, sizeof(*dispatch));
    if (!dispatch)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    struct mr_dispatch_shared *shared = &dispatch->shared;
    shared->options = *options;
    shared->notify = notify;
    shared->notify_ctx = dispatch;
    mr_post_list_init(&shared->inbox);
    mr_post_list_init(&shared->outbox);
    shared->socket_fd = -1;
    shared->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = shared->wake_fd < 0 ? -errno : uv_mutex_init(&shared->lock);
    if (r == 0) {
        dispatch->async.data = dispatch->watch.data = dispatch;
        dispatch->handles = 2;
        uv_timer_init(loop, &dispatch->watch);
        r = uv_async_init(loop, &dispatch->async, on_async);
        if (r == 0)
            r = uv_thread_create(&dispatch->thread, mr_dispatch_thread, shared);
    }
    if (r < 0) /* the process ends with it */
        return mr_err_set(err, r, MR_CLASS_INTERNAL, "dispatcher: %s", uv_strerror(r));
    *ret = dispatch;
    return 0;
}

int mr_dispatch_ready(struct mr_dispatch *dispatch, struct mr_err *err)
{
    struct mr_dispatch_shared *shared = &dispatch->shared;
    int r = 0;
    uv_mutex_lock(&shared->lock);
    if (shared->state == MR_DISPATCH_DOWN)
        r = mr_err_set(err, -EAGAIN, MR_CLASS_NETWORK, "%s", shared->why);
    else if (shared->state == MR_DISPATCH_BLOCKED)
        r = mr_err_set(err, -EAGAIN, MR_CLASS_OVERLOADED,
            "RabbitMQ has stopped taking messages (memory or disk alarm)");
    uv_mutex_unlock(&shared->lock);
    return r;
}

void mr_dispatch_put(struct mr_dispatch *dispatch, struct mr_post *const *posts, size_t n)
{
    struct mr_dispatch_shared *shared = &dispatch->shared;
    uv_mutex_lock(&shared->lock);
    bool was_empty = !shared->inbox.first;
    for (size_t i = 0; i < n; i++)
        mr_post_list_push(&shared->inbox, posts[i]);
    uv_mutex_unlock(&shared->lock);
    dispatch->under_way += n;
    if (was_empty)
        wake_thread(dispatch);
    if (!uv_is_active((uv_handle_t *)&dispatch->watch))
        start_watch(dispatch);
}

void mr_dispatch_close(struct mr_dispatch *dispatch, void (*done)(void *ctx), void *ctx)
{
    dispatch->done = done;
    dispatch->done_ctx = ctx;
    uv_mutex_lock(&dispatch->shared.lock);
    dispatch->shared.stop = true;
    uv_mutex_unlock(&dispatch->shared.lock);
    wake_thread(dispatch);
    start_watch(dispatch);
}

struct mr_dispatch *mr_dispatch_free(struct mr_dispatch *dispatch)
{
    if (dispatch) {
        uv_mutex_destroy(&dispatch->shared.lock);
        close(dispatch->shared.wake_fd);
        free(dispatch);
    }
    return NULL;
}
