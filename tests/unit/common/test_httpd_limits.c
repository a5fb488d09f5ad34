/* What no client can make grow, or last. */
#include "tests/unit/common/httpd_help.h"

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

TEST_MAIN(TEST(bounds_a_body), TEST(bounds_a_head), TEST(cuts_off_slow_clients),
    TEST(bounds_all_bodies_together), TEST(limits_one_address), TEST(lets_others_wait),
    TEST(takes_the_place_of_idle_ones))
