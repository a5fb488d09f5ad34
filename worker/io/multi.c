#include "worker/io/multi.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define ROUNDS_MAX 8 /* epoll_waits in a row before other work of the loop gets its turn */

struct mr_multi {
    CURLM *curl;
    int epoll;
    uv_poll_t poll;   /* watches epoll */
    uv_timer_t timer; /* curl's one timeout */
    int handles;      /* open loop handles */
    mr_multi_done *done;
    void *ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void report_ended(struct mr_multi *multi)
{
    int left;
    CURLMsg *msg;
    while ((msg = curl_multi_info_read(multi->curl, &left))) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURL *easy = msg->easy_handle;
        CURLcode code = msg->data.result;
        curl_multi_remove_handle(multi->curl, easy); /* msg is void now */
        multi->done(multi->ctx, easy, code);
    }
}

static void on_events(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct mr_multi *multi = poll->data;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct epoll_event ready[EVENTS_MAX];
        int n = epoll_wait(multi->epoll, ready, EVENTS_MAX, 0);
        if (n <= 0)
            return;
        for (int i = 0; i < n; i++) {
            int mask = 0, running;
            if (ready[i].events & (EPOLLIN | EPOLLHUP))
                mask |= CURL_CSELECT_IN;
            if (ready[i].events & EPOLLOUT)
                mask |= CURL_CSELECT_OUT;
            if (ready[i].events & EPOLLERR)
                mask |= CURL_CSELECT_ERR;
            curl_multi_socket_action(multi->curl, ready[i].data.fd, mask, &running);
        }
        report_ended(multi);
        if (n < EVENTS_MAX)
            return;
    }
}

static void on_timeout(uv_timer_t *timer)
{
    struct mr_multi *multi = timer->data;
    int running;
    curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    report_ended(multi);
}

/* curl says what it wants to know about a socket. The last argument is non-NULL for sockets that
 * are in the epoll set. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known)
{
    (void)easy;
    struct mr_multi *multi = ctx;
    struct epoll_event event = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(multi->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    int op = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(multi->epoll, op, fd, &event) != 0) {
        op = op == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        if (epoll_ctl(multi->epoll, op, fd, &event) != 0)
            return -1;
    }
    if (!known)
        curl_multi_assign(multi->curl, fd, multi);
    return 0;
}

static int on_timer(CURLM *curl, long ms, void *ctx)
{
    (void)curl;
    struct mr_multi *multi = ctx;
    if (ms < 0) {
        uv_timer_stop(&multi->timer);
        return 0;
    }
    if (ms > 0) /* the loop's idea of now may be old: curl would be woken too early */
        uv_update_time(multi->timer.loop);
    uv_timer_start(&multi->timer, on_timeout, (uint64_t)ms, 0);
    return 0;
}

static int setup_curl(struct mr_multi *multi)
{
    multi->curl = curl_multi_init();
    if (!multi->curl)
        return -ENOMEM;
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    return 0;
}

int mr_multi_new(
    uv_loop_t *loop, mr_multi_done *done, void *ctx, struct mr_multi **ret, struct mr_err *err)
{
    assert(loop && done && ret);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "cannot initialise libcurl");
    struct mr_multi *multi = calloc(1, sizeof(*multi));
    if (!multi) {
        curl_global_cleanup();
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for the HTTP client");
    }
    multi->done = done;
    multi->ctx = ctx;
    multi->epoll = epoll_create1(EPOLL_CLOEXEC);
    int rc = multi->epoll < 0 ? -errno : setup_curl(multi);
    if (rc == 0)
        rc = uv_poll_init(loop, &multi->poll, multi->epoll);
    if (rc != 0) {
        mr_multi_free(multi);
        return mr_err_set(
            err, rc, MR_CLASS_INTERNAL, "cannot start the HTTP client: %s", strerror(-rc));
    }
    uv_timer_init(loop, &multi->timer);
    multi->poll.data = multi;
    multi->timer.data = multi;
    multi->handles = 2;
    uv_poll_start(&multi->poll, UV_READABLE, on_events);
    *ret = multi;
    return 0;
}

int mr_multi_add(struct mr_multi *multi, CURL *easy)
{
    return curl_multi_add_handle(multi->curl, easy) == CURLM_OK ? 0 : -ENOMEM;
}

void mr_multi_remove(struct mr_multi *multi, CURL *easy)
{
    curl_multi_remove_handle(multi->curl, easy);
}

static void on_close(uv_handle_t *handle)
{
    struct mr_multi *multi = handle->data;
    if (--multi->handles == 0 && multi->closed)
        multi->closed(multi->closed_ctx);
}

void mr_multi_close(struct mr_multi *multi, void (*closed)(void *ctx), void *ctx)
{
    multi->closed = closed;
    multi->closed_ctx = ctx;
    curl_multi_cleanup(multi->curl);
    multi->curl = NULL;
    uv_poll_stop(&multi->poll);
    uv_close((uv_handle_t *)&multi->poll, on_close);
    uv_close((uv_handle_t *)&multi->timer, on_close);
}

struct mr_multi *mr_multi_free(struct mr_multi *multi)
{
    if (!multi)
        return NULL;
    assert(multi->handles == 0);
    if (multi->curl)
        curl_multi_cleanup(multi->curl);
    if (multi->epoll >= 0)
        close(multi->epoll);
    free(multi);
    curl_global_cleanup();
    return NULL;
}
