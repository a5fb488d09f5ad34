#include "tests/unit/common/httpd_help.h"

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
    TEST(stops_gracefully), TEST(outlives_a_client), TEST(answers_at_once),
    TEST(says_who_is_in_the_way))
