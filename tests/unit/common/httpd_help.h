/* The server on a loop of its own, and a client on a thread that speaks plain sockets. */
#pragma once

#include "common/httpd.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 600
#define GRACE_MS 300
#define BODY_MAX 1000

struct fixture {
    uv_loop_t loop;
    struct mr_httpd *httpd;
    uv_async_t finished;
    uv_timer_t later;
    struct mr_httpd_request *parked;
    int later_ms; /* when parked requests are answered */
    void (*client)(struct fixture *f);
    bool stopped;
    int handled;
};

static inline int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- routes ---- */

static inline void hello(void *ctx, struct mr_httpd_request *request)
{
    mr_httpd_set_header(request, "X-Extra", "more");
    mr_httpd_answer(request, 200, "text/plain", strdup("hello"), 5);
}

static inline void item(void *ctx, struct mr_httpd_request *request)
{
    const char *query = mr_httpd_query(request, "q");
    mr_httpd_json(
        request, 200, json_pack("{s:s, s:s?}", "item", mr_httpd_param(request), "q", query));
}

static inline void echo(void *ctx, struct mr_httpd_request *request)
{
    struct fixture *f = ctx;
    size_t n;
    const char *body = mr_httpd_body(request, &n);
    f->handled++;
    mr_httpd_answer(request, 201, "text/plain", strndup(body, n), n);
}

static inline void on_later(uv_timer_t *timer)
{
    struct fixture *f = timer->data;
    mr_httpd_answer(f->parked, 202, "text/plain", strdup("late"), 4);
    f->parked = NULL;
}

static inline void park(void *ctx, struct mr_httpd_request *request)
{
    struct fixture *f = ctx;
    f->parked = request;
    uv_timer_start(&f->later, on_later, (uint64_t)f->later_ms, 0);
}

static inline void admit(void *ctx, struct mr_httpd_request *request)
{
    if (mr_httpd_header(request, "X-Bad"))
        mr_httpd_problem(request, 401, json_pack("{s:s}", "field", "X-Bad"), "go away, %s", "you");
}

static const struct mr_route routes[] = {
    {"GET", "/hello", 0, false, hello},
    {"GET", "/items/{}", 0, false, item},
    {"GET", "/items/{}/parts", 0, false, item},
    {"POST", "/echo", BODY_MAX, false, echo},
    {"POST", "/park", BODY_MAX, false, park},
};

/* ---- running both ---- */

static inline void on_stopped(void *ctx)
{
    struct fixture *f = ctx;
    f->stopped = true;
    uv_close((uv_handle_t *)&f->finished, NULL);
    uv_close((uv_handle_t *)&f->later, NULL);
}

static inline void on_finished(uv_async_t *async)
{
    struct fixture *f = async->data;
    mr_httpd_stop(f->httpd, GRACE_MS, on_stopped, f);
}

static inline void *client_thread(void *ctx)
{
    struct fixture *f = ctx;
    f->client(f);
    uv_async_send(&f->finished);
    return NULL;
}

static inline void serve(void (*client)(struct fixture *f), struct mr_httpd_options options)
{
    static struct fixture f;
    struct mr_err err;
    pthread_t thread;
    f.client = client;
    f.later_ms = f.later_ms ? f.later_ms : 50;
    options.listen = "127.0.0.1";
    options.routes = routes;
    options.nroutes = sizeof(routes) / sizeof(routes[0]);
    options.ctx = &f;
    options.admit = admit;
    options.connections_max = options.connections_max ? options.connections_max : 100;
    options.bodies_max = options.bodies_max ? options.bodies_max : 100000;
    CHECK(uv_loop_init(&f.loop) == 0);
    CHECK(uv_async_init(&f.loop, &f.finished, on_finished) == 0);
    CHECK(uv_timer_init(&f.loop, &f.later) == 0);
    f.finished.data = f.later.data = &f;
    if (!options.timeout_ms)
        options.timeout_ms = TIMEOUT_MS;
    CHECK_INT(mr_httpd_new(&f.loop, &options, &f.httpd, &err), 0);
    CHECK(pthread_create(&thread, NULL, client_thread, &f) == 0);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    CHECK(f.stopped);
    f.httpd = mr_httpd_free(f.httpd);
    CHECK(uv_loop_close(&f.loop) == 0);
}

/* ---- the client ---- */

static inline int dial(struct fixture *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)mr_httpd_port(f->httpd)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    return fd;
}

static inline void say(int fd, const char *text)
{
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Reads one answer, as long as its Content-Length says; "" when the connection was closed. */
static inline const char *hear(int fd, char ret[static 4096])
{
    size_t n = 0, whole = 4095;
    ret[0] = 0;
    while (n < whole) {
        ssize_t got = recv(fd, ret + n, whole - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
        ret[n] = 0;
        const char *end = strstr(ret, "\r\n\r\n"), *length = strstr(ret, "Content-Length: ");
        if (end && !length)
            break;
        if (end)
            whole = (size_t)(end + 4 - ret) + strtoul(length + 16, NULL, 10);
    }
    return ret;
}

static inline const char *ask(struct fixture *f, const char *request, char ret[static 4096])
{
    int fd = dial(f);
    say(fd, request);
    hear(fd, ret);
    close(fd);
    return ret;
}

#define STARTS(text, with) CHECK(strncmp(text, with, strlen(with)) == 0)
#define HAS(text, part)                                                                            \
    do {                                                                                           \
        if (!strstr(text, part)) {                                                                 \
            fprintf(stderr, "# no \"%s\" in \"%s\"\n", part, text);                                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
