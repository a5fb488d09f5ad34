/* The server: its socket, the library on the loop, deadlines of connections, and the stop.
 *
 * libmicrohttpd keeps an epoll descriptor of its own; the loop waits on that one, and the library
 * runs when it is readable or when it asks for another turn. That a suspended connection is resumed
 * does not make it readable, so the answer itself asks for a turn. The library's own timeout counts
 * from the last byte, and a client that sends one now and then would stay for ever; deadlines are
 * ours instead. A connection is cut by shutting its socket down, which the library takes for the
 * client's doing. */
#include "common/httpd_int.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define POOL_BYTES (16 << 10) /* head of a request and of its answer */
#define SWEEP_MS 1000
#define STOP_SWEEP_MS 50
#define STOP_IDLE_MS 100 /* stopping: a request on its way may still arrive */
#define TURNS_MAX 8

static void run(struct mr_httpd *httpd);

/* ---- connections ---- */

struct mr_httpd_conn *mr_httpd_conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void mr_httpd_conn_touch(struct mr_httpd_conn *conn)
{
    struct mr_httpd *httpd = conn->httpd;
    conn->deadline_ms = uv_now(httpd->loop) + (uint64_t)httpd->options.timeout_ms;
}

static void conn_started(struct mr_httpd *httpd, struct MHD_Connection *mhd, void **context)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct mr_httpd_conn *conn = fd ? calloc(1, sizeof(*conn)) : NULL;
    if (!conn) {
        if (fd)
            shutdown(fd->connect_fd, SHUT_RDWR);
        return;
    }
    conn->httpd = httpd;
    conn->mhd = mhd;
    conn->fd = fd->connect_fd;
    conn->next = httpd->conns;
    if (conn->next)
        conn->next->prev = conn;
    httpd->conns = conn;
    mr_httpd_conn_touch(conn);
    *context = conn;
}

static void on_conn(
    void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code)
{
    struct mr_httpd *httpd = cls;
    struct mr_httpd_conn *conn = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_started(httpd, mhd, context);
        return;
    }
    if (!conn)
        return;
    if (conn->request)
        mr_httpd_request_end(conn->request, true);
    httpd->closed = true;
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        httpd->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    free(conn);
    *context = NULL;
}

static bool is_over(const struct mr_httpd *httpd, const struct mr_httpd_conn *conn, uint64_t now)
{
    if (conn->deadline_ms == UINT64_MAX)
        return false;
    if (now >= conn->deadline_ms)
        return true;
    if (!httpd->stopping)
        return false;
    return now >= httpd->cut_ms || (!conn->request && now >= httpd->stop_ms + STOP_IDLE_MS);
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct mr_httpd *httpd = handle->data;
    if (--httpd->open_handles == 0)
        httpd->done(httpd->done_ctx);
}

static void close_all(struct mr_httpd *httpd)
{
    uv_poll_stop(&httpd->poll);
    MHD_stop_daemon(httpd->daemon);
    httpd->daemon = NULL;
    uv_close((uv_handle_t *)&httpd->poll, on_closed);
    uv_close((uv_handle_t *)&httpd->due, on_closed);
    uv_close((uv_handle_t *)&httpd->sweep, on_closed);
}

static void stop_listening(struct mr_httpd *httpd)
{
    run(httpd); /* who has connected already is heard */
    int fd = MHD_quiesce_daemon(httpd->daemon);
    if (fd >= 0)
        close(fd);
}

/* ---- the loop ---- */

static void on_sweep(uv_timer_t *timer)
{
    struct mr_httpd *httpd = timer->data;
    uint64_t now = uv_now(httpd->loop);
    for (struct mr_httpd_conn *conn = httpd->conns; conn; conn = conn->next)
        if (is_over(httpd, conn, now))
            shutdown(conn->fd, SHUT_RDWR);
    run(httpd);
    if (httpd->stopping && !httpd->conns && httpd->handled == 0)
        close_all(httpd);
    else if (!httpd->stopping && !httpd->conns)
        uv_timer_stop(timer);
}

static void on_due(uv_timer_t *timer)
{
    run(timer->data);
}

void mr_httpd_turn(struct mr_httpd *httpd)
{
    uv_timer_start(&httpd->due, on_due, 0, 0);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    run(poll->data);
}

static void run(struct mr_httpd *httpd)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    enum MHD_Result waits = MHD_YES;
    for (int i = 0; i < TURNS_MAX && waits == MHD_YES && wait_ms == 0; i++) {
        httpd->closed = false;
        MHD_run(httpd->daemon);
        waits = MHD_get_timeout(httpd->daemon, &wait_ms);
        /* At its limit of connections the library does not listen, and after one has been closed it
         * thinks of it in the next turn only. */
        if (httpd->closed) {
            waits = MHD_YES;
            wait_ms = 0;
        }
    }
    if (waits == MHD_YES)
        uv_timer_start(&httpd->due, on_due, wait_ms, 0);
    else
        uv_timer_stop(&httpd->due);
    if (httpd->conns && !httpd->stopping && !uv_is_active((uv_handle_t *)&httpd->sweep)) {
        uint64_t every = (uint64_t)httpd->options.timeout_ms / 4 + 1;
        every = every < SWEEP_MS ? every : SWEEP_MS;
        uv_timer_start(&httpd->sweep, on_sweep, every, every);
    }
}

static void on_stop(uv_timer_t *timer)
{
    stop_listening(timer->data);
    uv_timer_start(timer, on_sweep, 0, STOP_SWEEP_MS);
}

void mr_httpd_stop(struct mr_httpd *httpd, int grace_ms, void (*done)(void *ctx), void *ctx)
{
    httpd->stopping = true;
    httpd->stop_ms = uv_now(httpd->loop);
    httpd->cut_ms = httpd->stop_ms + (uint64_t)grace_ms;
    httpd->done = done;
    httpd->done_ctx = ctx;
    uv_timer_start(&httpd->sweep, on_stop, 0, 0); /* never from within a callback of the library */
}

struct mr_httpd *mr_httpd_free(struct mr_httpd *httpd)
{
    free(httpd);
    return NULL;
}

/* ---- the beginning ---- */

static int listen_on(const struct addrinfo *at)
{
    int on = 1, off = 0;
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

/* The listening socket, or negative with err. */
static int open_socket(const struct mr_httpd_options *options, struct mr_err *err)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    snprintf(port, sizeof(port), "%d", options->port);
    int r = getaddrinfo(options->listen, port, &hints, &found);
    if (r != 0)
        return mr_err_set(err, -EADDRNOTAVAIL, MR_CLASS_INVALID, "cannot listen on %s: %s",
            options->listen, gai_strerror(r));
    int fd = listen_on(found);
    freeaddrinfo(found);
    if (fd == -EADDRINUSE)
        return mr_err_set(err, fd, MR_CLASS_INVALID,
            "cannot listen on %s port %d: another program does", options->listen, options->port);
    if (fd < 0)
        return mr_err_set(err, fd, MR_CLASS_INVALID, "cannot listen on %s port %d: %s",
            options->listen, options->port, strerror(-fd));
    return fd;
}

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at = {0};
    socklen_t n = sizeof(at);
    if (getsockname(fd, &at.any, &n) < 0)
        return 0;
    return ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
}

static void MR_PRINTF(2, 0) on_complaint(void *cls, const char *fmt, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof(text), fmt, args);
    mr_log(cls, MR_DEBUG, "http.library", MR_STR("text", text));
}

static struct MHD_Daemon *start(struct mr_httpd *httpd, int fd)
{
    const struct mr_httpd_options *options = &httpd->options;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    if (options->log)
        flags |= MHD_USE_ERROR_LOG;
    struct MHD_OptionItem logger[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_complaint, (void *)(uintptr_t)options->log},
        {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(flags, 0, NULL, NULL, mr_httpd_on_request, httpd, MHD_OPTION_ARRAY,
        options->log ? logger : logger + 1, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->connections_max,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)options->per_address_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_CONNECTION, on_conn, httpd, MHD_OPTION_URI_LOG_CALLBACK, mr_httpd_on_line,
        httpd, MHD_OPTION_NOTIFY_COMPLETED, mr_httpd_on_completed, httpd, MHD_OPTION_END);
}

int mr_httpd_new(uv_loop_t *loop, const struct mr_httpd_options *options, struct mr_httpd **ret,
    struct mr_err *err)
{
    struct mr_httpd *httpd = calloc(1, sizeof(*httpd));
    if (!httpd)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    httpd->loop = loop;
    httpd->options = *options;
    int fd = open_socket(options, err);
    if (fd < 0) {
        free(httpd);
        return fd;
    }
    httpd->port = port_of(fd);
    httpd->daemon = start(httpd, fd);
    const union MHD_DaemonInfo *epoll =
        httpd->daemon ? MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!epoll || uv_poll_init(loop, &httpd->poll, epoll->epoll_fd) < 0) {
        if (httpd->daemon)
            MHD_stop_daemon(httpd->daemon);
        else
            close(fd);
        free(httpd);
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "the HTTP server cannot be started");
    }
    uv_timer_init(loop, &httpd->due);
    uv_timer_init(loop, &httpd->sweep);
    httpd->open_handles = 3;
    httpd->poll.data = httpd->due.data = httpd->sweep.data = httpd;
    uv_poll_start(&httpd->poll, UV_READABLE, on_poll);
    *ret = httpd;
    return 0;
}

int mr_httpd_port(const struct mr_httpd *httpd)
{
    return httpd->port;
}
