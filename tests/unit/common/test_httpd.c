/* The server on a loop of its own, and a client on a thread that speaks plain sockets. */
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

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- routes ---- */

static void hello(void *ctx, struct mr_httpd_request *request)
{
    mr_httpd_set_header(request, "X-Extra", "more");
    mr_httpd_answer(request, 200, "text/plain", strdup("hello"), 5);
}

static void item(void *ctx, struct mr_httpd_request *request)
{
    const char *query = mr_httpd_query(request, "q");
    mr_httpd_json(
        request, 200, json_pack("{s:s, s:s?}", "item", mr_httpd_param(request), "q", query));
}

static void echo(void *ctx, struct mr_httpd_request *request)
{
    struct fixture *f = ctx;
    size_t n;
    const char *body = mr_httpd_body(request, &n);
    f->handled++;
    mr_httpd_answer(request, 201, "text/plain", strndup(body, n), n);
}

static void on_later(uv_timer_t *timer)
{
    struct fixture *f = timer->data;
    mr_httpd_answer(f->parked, 202, "text/plain", strdup("late"), 4);
    f->parked = NULL;
}

static void park(void *ctx, struct mr_httpd_request *request)
{
    struct fixture *f = ctx;
    f->parked = request;
    uv_timer_start(&f->later, on_later, (uint64_t)f->later_ms, 0);
}

static void admit(void *ctx, struct mr_httpd_request *request)
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

static void on_stopped(void *ctx)
{
    struct fixture *f = ctx;
    f->stopped = true;
    uv_close((uv_handle_t *)&f->finished, NULL);
    uv_close((uv_handle_t *)&f->later, NULL);
}

static void on_finished(uv_async_t *async)
{
    struct fixture *f = async->data;
    mr_httpd_stop(f->httpd, GRACE_MS, on_stopped, f);
}

static void *client_thread(void *ctx)
{
    struct fixture *f = ctx;
    f->client(f);
    uv_async_send(&f->finished);
    return NULL;
}

static void serve(void (*client)(struct fixture *f), struct mr_httpd_options options)
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

static int dial(struct fixture *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)mr_httpd_port(f->httpd)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    return fd;
}

static void say(int fd, const char *text)
{
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Reads one answer, as long as its Content-Length says; "" when the connection was closed. */
static const char *hear(int fd, char ret[static 4096])
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

static const char *ask(struct fixture *f, const char *request, char ret[static 4096])
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

/* ---- cases ---- */

static void finds_routes(void)
{
    char param[MR_HTTPD_PARAM_MAX], allow[MR_HTTPD_ALLOW_MAX], path[300];
    size_t n = sizeof(routes) / sizeof(routes[0]);
    CHECK(mr_httpd_route_find(routes, n, "GET", "/hello", param, allow) == &routes[0]);
    CHECK(mr_httpd_route_find(routes, n, "HEAD", "/hello", param, allow) == &routes[0]);
    CHECK(mr_httpd_route_find(routes, n, "GET", "/items/7", param, allow) == &routes[1]);
    CHECK_STR(param, "7");
    CHECK(mr_httpd_route_find(routes, n, "GET", "/items/7/parts", param, allow) == &routes[2]);
    CHECK_STR(param, "7");
    static const char *const none[] = {
        "", "/", "/hell", "/hello/", "/items", "/items/", "/items//parts", "/items/7/part"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        CHECK(!mr_httpd_route_find(routes, n, "GET", none[i], param, allow));
        CHECK_STR(allow, "");
        CHECK_STR(param, "");
    }
    CHECK(!mr_httpd_route_find(routes, n, "DELETE", "/hello", param, allow));
    CHECK_STR(allow, "GET, HEAD");
    CHECK(!mr_httpd_route_find(routes, n, "GET", "/echo", param, allow));
    CHECK_STR(allow, "POST");
    snprintf(path, sizeof(path), "/items/%0*d", MR_HTTPD_PARAM_MAX - 1, 1);
    CHECK(mr_httpd_route_find(routes, n, "GET", path, param, allow) == &routes[1]);
    snprintf(path, sizeof(path), "/items/%0*d", MR_HTTPD_PARAM_MAX, 1);
    CHECK(!mr_httpd_route_find(routes, n, "GET", path, param, allow));
}

static void client_answers(struct fixture *f)
{
    char text[4096];
    int fd = dial(f);
    for (int i = 0; i < 3; i++) { /* on one connection */
        say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        hear(fd, text);
        STARTS(text, "HTTP/1.1 200 ");
        HAS(text, "Content-Type: text/plain\r\n");
        HAS(text, "X-Extra: more\r\n");
        HAS(text, "\r\n\r\nhello");
    }
    say(fd, "GET /items/a%20b?q=x%26y HTTP/1.1\r\nHost: a\r\n\r\n");
    HAS(hear(fd, text), "{\"item\":\"a b\",\"q\":\"x&y\"}");
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    hear(fd, text);
    STARTS(text, "HTTP/1.1 201 ");
    HAS(text, "\r\n\r\nabc");
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    HAS(hear(fd, text), "\r\n\r\nabc");
    say(fd, "POST /park HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    HAS(hear(fd, text), "\r\n\r\nlate");
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    HAS(hear(fd, text), "\r\n\r\nhello");
    close(fd);
}

static void answers_now_and_later(void)
{
    serve(client_answers, (struct mr_httpd_options){0});
}

static void client_refuses(struct fixture *f)
{
    char text[4096];
    ask(f, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", text);
    STARTS(text, "HTTP/1.1 404 ");
    HAS(text, "Content-Type: application/problem+json\r\n");
    HAS(text, "\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,");
    ask(f, "DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n", text);
    STARTS(text, "HTTP/1.1 405 ");
    HAS(text, "Allow: POST\r\n");
    ask(f, "GET /nothing HTTP/1.1\r\nHost: a\r\nX-Bad: 1\r\n\r\n", text);
    STARTS(text, "HTTP/1.1 401 ");
    HAS(text, "\"detail\":\"go away, you\",\"field\":\"X-Bad\"}");
    ask(f, "POST /echo HTTP/1.1\r\nHost: a\r\nX-Bad: 1\r\nContent-Length: 3\r\n\r\nabc", text);
    STARTS(text, "HTTP/1.1 401 ");
    ask(f, "nonsense\r\n\r\n", text);
    CHECK(!text[0] || strncmp(text, "HTTP/1.1 400 ", 13) == 0);
    CHECK_INT(f->handled, 0);
}

static void refuses_what_is_wrong(void)
{
    serve(client_refuses, (struct mr_httpd_options){0});
}

static void client_long(struct fixture *f)
{
    char text[4096], big[3 * BODY_MAX], request[4 * BODY_MAX];
    memset(big, 'x', sizeof(big));
    int fd = dial(f);
    snprintf(request, sizeof(request),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%.*s", BODY_MAX, BODY_MAX,
        big);
    say(fd, request);
    STARTS(hear(fd, text), "HTTP/1.1 201 ");
    snprintf(request, sizeof(request),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%.*s", sizeof(big),
        (int)sizeof(big), big);
    say(fd, request);
    hear(fd, text);
    STARTS(text, "HTTP/1.1 413 ");
    HAS(text, "3000 bytes; at most 1000 are taken");
    snprintf(request, sizeof(request),
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%.*s\r\n0\r\n"
        "\r\n",
        sizeof(big), (int)sizeof(big), big);
    say(fd, request); /* the same connection still: what was too long has been read */
    STARTS(hear(fd, text), "HTTP/1.1 413 ");
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
            "99999999\r\n\r\n");
    STARTS(hear(fd, text), "HTTP/1.1 413 ");
    close(fd);
    fd = dial(f);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    STARTS(hear(fd, text), "HTTP/1.1 413 ");
    close(fd);
    CHECK_INT(f->handled, 1);
}

static void bounds_a_body(void)
{
    serve(client_long, (struct mr_httpd_options){0});
}

static void client_head(struct fixture *f)
{
    char text[4096], line[1100];
    int fd = dial(f);
    memset(line, 'a', 1000);
    memcpy(line, "X-", 2);
    memcpy(line + 998, ":b\r\n", 5);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 20; i++)
        if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
            break;
    hear(fd, text);
    if (text[0]) /* or it was reset while it still sent */
        STARTS(text, "HTTP/1.1 431 ");
    close(fd);
}

static void bounds_a_head(void)
{
    serve(client_head, (struct mr_httpd_options){0});
}

/* Sends one byte now and then until the other side has had enough. Returns how long it bore it. */
static int64_t trickle(struct fixture *f, int fd, const char *bytes)
{
    char text[4096];
    int64_t begin = now_ms();
    for (size_t i = 0; now_ms() - begin < 20000; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (send(fd, &bytes[i % strlen(bytes)], 1, MSG_NOSIGNAL) < 0 || poll(&p, 1, 20) > 0)
            break;
        if (i % 10 == 0) /* and others do not wait for it */
            STARTS(ask(f, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", text), "HTTP/1.1 200 ");
    }
    return now_ms() - begin;
}

static void client_slow(struct fixture *f)
{
    int fd = dial(f);
    int64_t bore = trickle(f, fd, "GET/x");
    CHECK(bore >= TIMEOUT_MS - 20 && bore < 15000);
    close(fd);
    fd = dial(f);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\n");
    bore = trickle(f, fd, "a: b\r\n");
    CHECK(bore >= TIMEOUT_MS - 20 && bore < 15000);
    close(fd);
    fd = dial(f);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n");
    bore = trickle(f, fd, "abc");
    CHECK(bore >= TIMEOUT_MS - 20 && bore < 15000);
    close(fd);
    CHECK_INT(f->handled, 0);
}

static void cuts_off_slow_clients(void)
{
    serve(client_slow, (struct mr_httpd_options){0});
}

static void client_bodies(struct fixture *f)
{
    char text[4096];
    int slow = dial(f), second = dial(f);
    say(slow, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcde");
    ask(f, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", text); /* so it has been read by now */
    say(second, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef");
    hear(second, text);
    STARTS(text, "HTTP/1.1 503 ");
    HAS(text, "Retry-After: 1\r\n");
    say(slow, "f");
    STARTS(hear(slow, text), "HTTP/1.1 201 ");
    say(second, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef");
    STARTS(hear(second, text), "HTTP/1.1 201 ");
    close(slow);
    close(second);
}

static void bounds_all_bodies_together(void)
{
    serve(client_bodies, (struct mr_httpd_options){.bodies_max = 10});
}

static void client_crowd(struct fixture *f)
{
    char text[4096];
    int first = dial(f), second = dial(f), third = dial(f);
    say(first, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    STARTS(hear(first, text), "HTTP/1.1 200 ");
    say(second, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    STARTS(hear(second, text), "HTTP/1.1 200 ");
    (void)!send(third, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 32, MSG_NOSIGNAL);
    CHECK_STR(hear(third, text), "");
    close(first);
    close(second);
    close(third);
}

static void limits_one_address(void)
{
    serve(client_crowd, (struct mr_httpd_options){.per_address_max = 2});
}

static void client_queue(struct fixture *f)
{
    char text[4096];
    int first = dial(f), second = dial(f), third = dial(f);
    say(first, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    STARTS(hear(first, text), "HTTP/1.1 200 ");
    say(second, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    STARTS(hear(second, text), "HTTP/1.1 200 ");
    say(third, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    close(first);
    STARTS(hear(third, text), "HTTP/1.1 200 "); /* its turn has come */
    close(second);
    close(third);
}

static void lets_others_wait(void)
{
    serve(client_queue, (struct mr_httpd_options){.connections_max = 2});
}

static void client_idle(struct fixture *f)
{
    char text[4096];
    int idle[5];
    for (size_t i = 0; i < 5; i++)
        idle[i] = dial(f);
    STARTS(ask(f, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", text), "HTTP/1.1 200 ");
    for (size_t i = 0; i < 5; i++)
        close(idle[i]);
}

static void takes_the_place_of_idle_ones(void)
{
    serve(client_idle, (struct mr_httpd_options){.connections_max = 2});
}

static int stop_fd[3];

static void client_before_stop(struct fixture *f)
{
    char text[4096];
    f->later_ms = 400; /* longer than idle connections live, longer than the grace */
    stop_fd[0] = dial(f);
    stop_fd[1] = dial(f);
    stop_fd[2] = dial(f);
    say(stop_fd[0], "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    STARTS(hear(stop_fd[0], text), "HTTP/1.1 200 ");
    say(stop_fd[1], "POST /park HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    say(stop_fd[2], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    ask(f, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", text);
}

static void stops_gracefully(void)
{
    char text[4096];
    int64_t begin = now_ms();
    serve(client_before_stop, (struct mr_httpd_options){0});
    CHECK(now_ms() - begin >= 380); /* it has waited for its handler */
    CHECK_STR(hear(stop_fd[0], text), "");
    hear(stop_fd[1], text);
    STARTS(text, "HTTP/1.1 202 ");
    HAS(text, "Connection: close\r\n");
    CHECK_STR(hear(stop_fd[2], text), "");
}

static void client_waits(struct fixture *f)
{
    char text[4096];
    int64_t begin = now_ms();
    int fd = dial(f);
    for (int i = 0; i < 20; i++) {
        say(fd, "POST /park HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        STARTS(hear(fd, text), "HTTP/1.1 202 ");
    }
    CHECK(now_ms() - begin < 15000); /* and not with the next look at deadlines */
    close(fd);
}

static void answers_at_once(void)
{
    serve(client_waits, (struct mr_httpd_options){.timeout_ms = 60000});
}

static void client_gone(struct fixture *f)
{
    char text[4096];
    int fd = dial(f);
    say(fd, "POST /park HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    close(fd); /* while its handler works */
    STARTS(ask(f, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", text), "HTTP/1.1 200 ");
}

static void outlives_a_client(void)
{
    serve(client_gone, (struct mr_httpd_options){0});
}

static void says_who_is_in_the_way(void)
{
    uv_loop_t loop;
    struct mr_err err;
    struct mr_httpd *httpd = NULL;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, 1) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
    struct mr_httpd_options options = {.listen = "127.0.0.1",
        .port = ntohs(at.sin_port),
        .connections_max = 10,
        .timeout_ms = 1000};
    CHECK(uv_loop_init(&loop) == 0);
    CHECK_INT(mr_httpd_new(&loop, &options, &httpd, &err), -EADDRINUSE);
    HAS(err.msg, "another program does");
    options.listen = "no such host.invalid";
    CHECK_INT(mr_httpd_new(&loop, &options, &httpd, &err), -EADDRNOTAVAIL);
    CHECK(uv_loop_close(&loop) == 0);
    close(fd);
}

TEST_MAIN(TEST(finds_routes), TEST(answers_now_and_later), TEST(refuses_what_is_wrong),
    TEST(bounds_a_body), TEST(bounds_a_head), TEST(cuts_off_slow_clients),
    TEST(bounds_all_bodies_together), TEST(limits_one_address), TEST(lets_others_wait),
    TEST(takes_the_place_of_idle_ones), TEST(stops_gracefully), TEST(outlives_a_client),
    TEST(answers_at_once), TEST(says_who_is_in_the_way))
