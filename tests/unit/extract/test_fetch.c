#include "tests/unit/extract/server.h"
#include "tests/unit/test.h"
#include "worker/io/fetch.h"

struct bench {
    uv_loop_t loop;
    struct mr_config_worker config;
    struct mr_fetcher *fetcher;
    struct test_server *server;
    bool done;
    struct mr_fetched got;
};

static void on_fetched(void *ctx, struct mr_fetched *fetched)
{
    struct bench *b = ctx;
    b->got = *fetched;
    fetched->body = MR_BUF_INIT(0);
    b->done = true;
    uv_stop(&b->loop);
}

static char allow_loopback[] = "127.0.0.1";

static struct bench *setup(bool allow)
{
    static char *items[] = {allow_loopback};
    struct bench *b = calloc(1, sizeof(*b));
    struct mr_err err;
    CHECK(b && uv_loop_init(&b->loop) == 0);
    b->config = (struct mr_config_worker){.extract_max_bytes = 100000, .fetch_http = true};
    if (allow)
        b->config.fetch_allow = (struct mr_strv){items, 1};
    CHECK_INT(mr_fetcher_new(&b->loop, &b->config, &b->fetcher, &err), 0);
    b->server = test_server_new();
    return b;
}

static void note_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void teardown(struct bench *b)
{
    bool closed = false;
    mr_fetcher_close(b->fetcher, note_closed, &closed);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    CHECK(closed);
    mr_fetcher_free(b->fetcher);
    CHECK_INT(uv_loop_close(&b->loop), 0);
    mr_buf_deinit(&b->got.body);
    test_server_free(b->server);
    free(b);
}

/* Fetches a path of the test's server, or a whole URL. */
static struct mr_fetched *fetch(struct bench *b, const char *what, int64_t timeout_ms)
{
    char url[256];
    struct mr_fetch *running;
    mr_buf_deinit(&b->got.body);
    b->got = (struct mr_fetched){0};
    b->done = false;
    if (what[0] == '/')
        snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", test_server_port(b->server), what);
    else
        snprintf(url, sizeof(url), "%s", what);
    if (mr_fetch_start(b->fetcher, url, timeout_ms, on_fetched, b, &running, &b->got.err) != 0) {
        b->got.rc = -1;
        return &b->got;
    }
    CHECK(!b->done); /* never from within */
    uv_run(&b->loop, UV_RUN_DEFAULT);
    CHECK(b->done);
    return &b->got;
}

static void check_fails(struct bench *b, const char *what, enum mr_class class, const char *message)
{
    struct mr_fetched *got = fetch(b, what, 5000);
    CHECK(got->rc != 0);
    if (!strstr(got->err.msg, message) || got->err.class != class)
        fprintf(stderr, "# %s: %s\n", what, got->err.msg);
    CHECK(strstr(got->err.msg, message));
    CHECK_STR(mr_class_name(got->err.class), mr_class_name(class));
}

static void test_document(void)
{
    struct bench *b = setup(true);
    test_server_add(b->server, "/a/Report.PDF", 200,
        "Content-Type: application/pdf; charset=\"utf-8\"\r\n", "%PDF", 4);
    struct mr_fetched *got = fetch(b, "/a/Report.PDF", 5000);
    CHECK_INT(got->rc, 0);
    CHECK_STR(got->body.data, "%PDF");
    CHECK_STR(got->hints.type, "application/pdf");
    CHECK_STR(got->hints.charset, "utf-8");
    CHECK_STR(got->hints.ext, "pdf");
    CHECK(!strstr(test_server_last(b->server), "Accept-Encoding"));
    CHECK(!strstr(test_server_last(b->server), "Cookie"));
    teardown(b);
}

static void test_statuses(void)
{
    static const struct {
        int status;
        enum mr_class class;
    } table[] = {{404, MR_CLASS_INVALID}, {410, MR_CLASS_INVALID}, {401, MR_CLASS_INVALID},
        {403, MR_CLASS_INVALID}, {400, MR_CLASS_INVALID}, {429, MR_CLASS_RATE_LIMITED},
        {500, MR_CLASS_SERVER}, {503, MR_CLASS_SERVER}, {408, MR_CLASS_SERVER}};
    struct bench *b = setup(true);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char path[32];
        snprintf(path, sizeof(path), "/status%d", table[i].status);
        test_server_add(b->server, path, table[i].status, "Retry-After: 3\r\n", "no", 2);
        check_fails(b, path, table[i].class, "");
    }
    CHECK_INT(fetch(b, "/status429", 5000)->retry_after_ms, 3000);
    teardown(b);
}

static void test_redirects(void)
{
    struct bench *b = setup(true);
    test_server_add(b->server, "/3", 301, "Location: /2\r\n", "", 0);
    test_server_add(b->server, "/2", 302, "Location: /1\r\n", "", 0);
    test_server_add(b->server, "/1", 307, "Location: /doc.txt\r\n", "", 0);
    test_server_add(b->server, "/doc.txt", 200, "Content-Type: text/plain\r\n", "hello", 5);
    test_server_add(b->server, "/4", 308, "Location: /3\r\n", "", 0);
    test_server_add(b->server, "/loop", 302, "Location: /loop\r\n", "", 0);
    test_server_add(b->server, "/nowhere", 302, "", "", 0);
    test_server_add(b->server, "/file", 302, "Location: file:///etc/passwd\r\n", "", 0);
    test_server_add(b->server, "/meta", 302, "Location: http://169.254.169.254/latest/\r\n", "", 0);
    test_server_add(b->server, "/ula", 302, "Location: http://[fd00:ec2::254]/\r\n", "", 0);
    test_server_add(b->server, "/octal", 302, "Location: http://0251.0376.0251.0376/\r\n", "", 0);
    test_server_add(b->server, "/user", 302, "Location: http://a:b@127.0.0.1/\r\n", "", 0);
    test_server_add(b->server, "/port", 302, "Location: http://127.0.0.2:22/\r\n", "", 0);
    struct mr_fetched *got = fetch(b, "/3", 5000);
    CHECK_INT(got->rc, 0);
    CHECK_STR(got->body.data, "hello");
    CHECK_STR(got->hints.ext, "txt");
    check_fails(b, "/4", MR_CLASS_INVALID, "redirected more than 3 times");
    check_fails(b, "/loop", MR_CLASS_INVALID, "redirected more than 3 times");
    check_fails(b, "/nowhere", MR_CLASS_INVALID, "redirects to nowhere");
    check_fails(b, "/file", MR_CLASS_INVALID, "after a redirect: ");
    check_fails(b, "/meta", MR_CLASS_INVALID,
        "after a redirect: the URL leads to a forbidden address: link-local");
    check_fails(b, "/ula", MR_CLASS_INVALID, "forbidden address: private");
    check_fails(b, "/octal", MR_CLASS_INVALID, "forbidden address: link-local");
    check_fails(b, "/user", MR_CLASS_INVALID, "user name");
    check_fails(b, "/port", MR_CLASS_INVALID, "port 22");
    teardown(b);
}

/* Whatever the spelling, the socket's address decides. */
static void test_forbidden_addresses(void)
{
    static const char *const urls[] = {"http://127.0.0.1/", "http://localhost/", "http://127.1/",
        "http://0x7f000001/", "http://0x7f.0.0.1/", "http://2130706433/", "http://0177.0.0.1/",
        "http://017700000001/", "http://0/", "http://0.0.0.0/", "http://[::1]/", "http://[::]/",
        "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:127.0.0.1]/", "http://169.254.169.254/", "http://0xa9fea9fe/",
        "http://2852039166/", "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/",
        "http://100.64.0.1/", "http://[fe80::1]/", "http://[fc00::1]/", "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/", "http://255.255.255.255/", "http://224.0.0.1/",
        "http://127.0.0.1:8080/", "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/"};
    struct bench *b = setup(false);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        check_fails(b, urls[i], MR_CLASS_INVALID, "");
    CHECK_INT(test_server_connections(b->server), 0);
    teardown(b);
}

static void test_bodies(void)
{
    struct bench *b = setup(true);
    char *big = malloc(200000);
    memset(big, 'x', 200000);
    test_server_add(b->server, "/big", 200, "Content-Type: text/plain\r\n", big, 200000);
    test_server_add(b->server, "/png", 200, "Content-Type: image/png\r\n", "x", 1);
    test_server_add(
        b->server, "/gzip", 200, "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", "x", 1);
    test_server_add(b->server, "/none", 200, "", "x", 1);
    check_fails(b, "/big", MR_CLASS_INVALID, "larger than 100000 bytes");
    check_fails(b, "/png", MR_CLASS_INVALID, "no document but image/png");
    check_fails(b, "/gzip", MR_CLASS_INVALID, "compressed");
    CHECK_INT(fetch(b, "/none", 5000)->rc, 0);
    check_fails(b, "/close", MR_CLASS_NETWORK, "");
    check_fails(b, "/cut", MR_CLASS_NETWORK, "");
    CHECK(fetch(b, "/slow", 400)->rc != 0);
    CHECK_INT(b->got.err.class, MR_CLASS_NETWORK);
    CHECK(fetch(b, "/hang", 300)->rc != 0);
    CHECK_INT(b->got.err.class, MR_CLASS_NETWORK);
    check_fails(b, "https://no-such-host.invalid/", MR_CLASS_NETWORK, "");
    free(big);
    teardown(b);
}

static void test_cancel(void)
{
    struct bench *b = setup(true);
    struct mr_fetch *running;
    struct mr_err err;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/hang", test_server_port(b->server));
    CHECK_INT(mr_fetch_start(b->fetcher, url, 60000, on_fetched, b, &running, &err), 0);
    for (int i = 0; i < 10; i++)
        uv_run(&b->loop, UV_RUN_NOWAIT);
    mr_fetch_cancel(running);
    CHECK_INT(mr_fetch_start(b->fetcher, url, 60000, on_fetched, b, &running, &err), 0);
    teardown(b); /* closing cancels the second */
}

TEST_MAIN(TEST(test_document), TEST(test_statuses), TEST(test_redirects),
    TEST(test_forbidden_addresses), TEST(test_bodies), TEST(test_cancel))
