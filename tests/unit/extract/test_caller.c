#include "common/custom.h"
#include "tests/unit/extract/server.h"
#include "tests/unit/test.h"
#include "worker/io/caller.h"
#include "worker/io/retry_after.h"

#include <errno.h>

/* The engine's side: collects replies. */
struct got {
    void *token;
    struct mr_reply reply;
};
static struct {
    struct got items[64];
    size_t count;
} got;
static bool in_ops;

void mr_engine_replied(struct mr_engine *engine, void *token, struct mr_reply *reply)
{
    CHECK(!in_ops);
    CHECK(got.count < 64);
    got.items[got.count++] = (struct got){token, *reply};
    uv_stop((uv_loop_t *)engine); /* the engine of these tests is their loop */
}

static int probed; /* 0: not yet; 1: well; -1: badly */

void mr_engine_probed(struct mr_engine *engine, void *token, bool ok)
{
    CHECK(!in_ops && token == &probed);
    probed = ok ? 1 : -1;
    uv_stop((uv_loop_t *)engine);
}

static int answer(const struct mr_chat *chat, json_t **ret, struct mr_err *err)
{
    (void)chat;
    (void)err;
    *ret = json_pack("{s:s}", "text", "local answer");
    return 0;
}

struct bench {
    uv_loop_t loop;
    struct mr_caller *caller;
    struct mr_caller_ops ops;
    struct test_server *server;
    struct mr_endpoint endpoint;
    struct mr_request requests[8];
};

static struct bench *setup(void)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct mr_err err;
    CHECK(b && uv_loop_init(&b->loop) == 0);
    CHECK_INT(mr_caller_new(&b->loop, mr_clock_system(), answer, &b->caller, &err), 0);
    mr_caller_start(b->caller, (struct mr_engine *)&b->loop);
    b->ops = mr_caller_ops(b->caller);
    b->server = test_server_new();
    b->endpoint.connect_timeout_ms = 2000;
    return b;
}

static void note_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void teardown(struct bench *b)
{
    bool closed = false;
    mr_caller_close(b->caller, note_closed, &closed);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    CHECK(closed);
    mr_caller_free(b->caller);
    CHECK_INT(uv_loop_close(&b->loop), 0);
    for (size_t i = 0; i < 8; i++) {
        free(b->requests[i].url);
        mr_buf_deinit(&b->requests[i].body);
    }
    for (size_t i = 0; i < got.count; i++) {
        mr_buf_deinit(&got.items[i].reply.body);
        json_decref(got.items[i].reply.local);
    }
    mr_secret_free(b->endpoint.key);
    test_server_free(b->server);
    free(b);
}

static void start(struct bench *b, int slot, const char *path, int64_t timeout_ms)
{
    struct mr_request *r = &b->requests[slot];
    char url[128];
    free(r->url);
    mr_buf_deinit(&r->body);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", test_server_port(b->server), path);
    r->endpoint = &b->endpoint;
    r->url = strdup(url);
    r->timeout_ms = timeout_ms;
    r->body = MR_BUF_INIT(1 << 20);
    CHECK_INT(mr_buf_puts(&r->body, "{\"model\":\"m\"}"), 0);
    in_ops = true;
    b->ops.start(b->ops.ctx, r, r);
    in_ops = false;
}

static struct mr_reply *wait_for(struct bench *b, size_t count)
{
    while (got.count < count)
        uv_run(&b->loop, UV_RUN_DEFAULT);
    return &got.items[count - 1].reply;
}

static void test_good_answer(void)
{
    struct bench *b = setup();
    start(b, 0, "/ok", 5000);
    struct mr_reply *reply = wait_for(b, 1);
    CHECK_INT(reply->transport, MR_TRANSPORT_OK);
    CHECK_INT(reply->status, 200);
    CHECK_STR(reply->body.data, "{\"ok\":true}");
    CHECK_STR(reply->content_type, "application/json");
    CHECK_STR(reply->request_id, "req-1");
    CHECK_INT(reply->retry_after_ms, -1);
    CHECK_INT(reply->should_retry, -1);
    CHECK(got.items[0].token == &b->requests[0]);
    CHECK(strstr(test_server_last(b->server), "POST /ok HTTP/1.1\r\n"));
    CHECK(strstr(test_server_last(b->server), "Content-Type: application/json\r\n"));
    CHECK(!strstr(test_server_last(b->server), "Authorization"));
    CHECK(!strstr(test_server_last(b->server), "Expect"));
    start(b, 1, "/ok", 5000);
    wait_for(b, 2);
    CHECK_INT(test_server_connections(b->server), 1); /* kept alive */
    teardown(b);
}

static void test_key_goes_on_the_wire_only(void)
{
    struct bench *b = setup();
    struct mr_err err;
    setenv("TEST_KEY", "sk-test-123", 1);
    CHECK_INT(mr_secret_from_env("TEST_KEY", &b->endpoint.key, &err), 0);
    b->requests[0].auth = MR_AUTH_BEARER;
    b->requests[1].auth = MR_AUTH_X_API_KEY;
    b->requests[1].headers[0] = (char *)"anthropic-version: 2023-06-01";
    start(b, 0, "/ok", 5000);
    wait_for(b, 1);
    CHECK(strstr(test_server_last(b->server), "Authorization: Bearer sk-test-123\r\n"));
    start(b, 1, "/ok", 5000);
    wait_for(b, 2);
    CHECK(strstr(test_server_last(b->server), "x-api-key: sk-test-123\r\n"));
    CHECK(strstr(test_server_last(b->server), "anthropic-version: 2023-06-01\r\n"));
    CHECK(!strstr(test_server_last(b->server), "Authorization"));
    b->requests[3].auth = MR_AUTH_API_KEY;
    start(b, 3, "/ok", 5000);
    wait_for(b, 3);
    CHECK(strstr(test_server_last(b->server), "\r\napi-key: sk-test-123\r\n"));
    struct mr_custom custom = {.key_header = (char *)"X-Token: token "};
    struct mr_provider provider = {.kind = MR_PROVIDER_CUSTOM, .custom = &custom};
    b->endpoint.provider = &provider;
    b->requests[4].auth = MR_AUTH_CUSTOM;
    start(b, 4, "/ok", 5000);
    wait_for(b, 4);
    CHECK(strstr(test_server_last(b->server), "X-Token: token sk-test-123\r\n"));
    b->requests[2].headers[0] = (char *)"evil: a\r\nX-Injected: b";
    start(b, 2, "/ok", 5000);
    CHECK_INT(wait_for(b, 5)->transport, MR_TRANSPORT_NOT_SENT);
    teardown(b);
}

static void test_retry_headers(void)
{
    struct bench *b = setup();
    start(b, 0, "/429", 5000);
    struct mr_reply *reply = wait_for(b, 1);
    CHECK_INT(reply->transport, MR_TRANSPORT_OK);
    CHECK_INT(reply->status, 429);
    CHECK_INT(reply->retry_after_ms, 1500); /* retry-after-ms wins over Retry-After */
    CHECK_INT(reply->should_retry, 0);
    CHECK_INT(mr_retry_after_parse("7", 1000, 0), 7000);
    CHECK_INT(mr_retry_after_parse("0.25", 1000, 0), 250);
    CHECK_INT(mr_retry_after_parse("1500.7", 1, 0), 1500);
    CHECK_INT(mr_retry_after_parse("99999999999999999999", 1000, 0), 366 * INT64_C(86400000));
    CHECK_INT(mr_retry_after_parse("12 apples", 1000, 0), -1);
    CHECK_INT(mr_retry_after_parse("soon", 1000, 0), -1);
    CHECK_INT(mr_retry_after_parse("Thu, 01 Jan 1970 00:01:00 GMT", 1000, 20000), 40000);
    CHECK_INT(mr_retry_after_parse("Thu, 01 Jan 1970 00:01:00 GMT", 1000, 90000), 0);
    teardown(b);
}

static void test_refused_is_not_sent(void)
{
    struct bench *b = setup();
    test_server_stop(b->server);
    start(b, 0, "/ok", 5000);
    struct mr_reply *reply = wait_for(b, 1);
    CHECK_INT(reply->transport, MR_TRANSPORT_NOT_SENT);
    CHECK(reply->detail[0]);
    teardown(b);
}

static void test_bad_names_and_urls_are_not_sent(void)
{
    struct bench *b = setup();
    start(b, 0, "/ok", 5000);
    wait_for(b, 1);
    struct mr_request *r = &b->requests[1];
    r->endpoint = &b->endpoint;
    r->timeout_ms = 5000;
    r->url = strdup("https://no-such-host.invalid/v1");
    b->ops.start(b->ops.ctx, r, r);
    CHECK_INT(wait_for(b, 2)->transport, MR_TRANSPORT_NOT_SENT);
    free(r->url);
    r->url = strdup("gopher://127.0.0.1/");
    b->ops.start(b->ops.ctx, r, r);
    CHECK_INT(wait_for(b, 3)->transport, MR_TRANSPORT_NOT_SENT);
    free(r->url);
    char url[64]; /* TLS to a server that speaks none */
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/ok", test_server_port(b->server));
    r->url = strdup(url);
    b->ops.start(b->ops.ctx, r, r);
    CHECK_INT(wait_for(b, 4)->transport, MR_TRANSPORT_NOT_SENT);
    teardown(b);
}

static void test_ambiguous_ends(void)
{
    static const char *const paths[] = {"/close", "/cut", "/hang", "/big"};
    struct bench *b = setup();
    for (int i = 0; i < 4; i++) {
        start(b, i, paths[i], strcmp(paths[i], "/hang") == 0 ? 300 : 10000);
        struct mr_reply *reply = wait_for(b, (size_t)i + 1);
        CHECK_INT(reply->transport, MR_TRANSPORT_AMBIGUOUS);
        CHECK(reply->detail[0]);
    }
    CHECK_STR(got.items[3].reply.detail, "the answer is larger than 16 MiB");
    teardown(b);
}

/* Left alone, curl would send this one twice. */
static void test_closed_kept_alive_connection_is_not_repeated(void)
{
    struct bench *b = setup();
    start(b, 0, "/ok", 5000);
    wait_for(b, 1);
    start(b, 1, "/close", 5000);
    struct mr_reply *reply = wait_for(b, 2);
    CHECK_INT(reply->transport, MR_TRANSPORT_AMBIGUOUS);
    CHECK_STR(reply->detail, "the provider closed the connection without an answer");
    CHECK_INT(test_server_count(b->server, "/close"), 1);
    start(b, 2, "/ok", 5000);
    CHECK_INT(wait_for(b, 3)->transport, MR_TRANSPORT_OK);
    teardown(b);
}

/* One that hangs must not hold up its neighbour, on a connection that nothing is known about yet.
 */
static void test_calls_do_not_wait_for_each_other(void)
{
    struct bench *b = setup();
    start(b, 0, "/hang", 2000);
    start(b, 1, "/ok", 2000);
    CHECK_INT(wait_for(b, 1)->transport, MR_TRANSPORT_OK);
    CHECK(got.items[0].reply.latency_ms < 1000);
    CHECK_INT(wait_for(b, 2)->transport, MR_TRANSPORT_AMBIGUOUS);
    teardown(b);
}

/* Closed by the server while idle: noticed before anything is sent, so a new connection is made. */
static void test_idle_close_is_not_an_error(void)
{
    struct bench *b = setup();
    start(b, 0, "/ok-then-close", 5000);
    wait_for(b, 1);
    struct timespec pause = {.tv_nsec = 100000000};
    nanosleep(&pause, NULL);
    start(b, 1, "/ok", 5000);
    CHECK_INT(wait_for(b, 2)->transport, MR_TRANSPORT_OK);
    teardown(b);
}

static void test_redirects_are_not_followed(void)
{
    struct bench *b = setup();
    start(b, 0, "/redirect", 5000);
    struct mr_reply *reply = wait_for(b, 1);
    CHECK_INT(reply->transport, MR_TRANSPORT_OK);
    CHECK_INT(reply->status, 302);
    CHECK_INT(test_server_count(b->server, "/ok"), 0);
    teardown(b);
}

static void test_abort(void)
{
    struct bench *b = setup();
    start(b, 0, "/hang", 60000);
    while (test_server_count(b->server, "/hang") == 0)
        uv_run(&b->loop, UV_RUN_NOWAIT);
    in_ops = true;
    b->ops.abort(b->ops.ctx, &b->requests[0]);
    b->ops.abort(b->ops.ctx, &b->requests[0]); /* twice does nothing */
    in_ops = false;
    CHECK_INT(wait_for(b, 1)->transport, MR_TRANSPORT_ABORTED);
    start(b, 1, "/hang", 60000);
    b->ops.abort(b->ops.ctx, &b->requests[1]); /* before the loop turned */
    CHECK_INT(wait_for(b, 2)->transport, MR_TRANSPORT_NOT_SENT);
    teardown(b);
}

static int probe(struct bench *b, const char *path)
{
    b->endpoint.health = (char *)path;
    probed = 0;
    in_ops = true;
    b->ops.probe(b->ops.ctx, &probed, &b->endpoint);
    in_ops = false;
    b->endpoint.health = NULL;
    while (probed == 0)
        uv_run(&b->loop, UV_RUN_DEFAULT);
    return probed;
}

static void test_health_is_asked_for(void)
{
    struct bench *b = setup();
    struct mr_provider provider = {.name = (char *)"p", .kind = MR_PROVIDER_OPENAI};
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", test_server_port(b->server));
    b->endpoint.provider = &provider;
    b->endpoint.base_url = url;
    setenv("TEST_KEY", "sk-test-123", 1);
    CHECK_INT(mr_secret_from_env("TEST_KEY", &b->endpoint.key, NULL), 0);
    CHECK_INT(probe(b, "/ok"), 1);
    CHECK(strstr(test_server_last(b->server), "GET /ok HTTP/1.1\r\n"));
    CHECK(strstr(test_server_last(b->server), "Authorization: Bearer sk-test-123\r\n"));
    CHECK_INT(probe(b, "/429"), 1); /* it is there, if busy */
    start(b, 0, "/ok", 5000);
    wait_for(b, 1);
    CHECK(strstr(test_server_last(b->server), "POST /ok HTTP/1.1\r\n"));
    snprintf(url, sizeof(url), "http://127.0.0.1:1"); /* nobody is there */
    CHECK_INT(probe(b, "/ok"), -1);
    teardown(b);
}

static void test_local(void)
{
    struct bench *b = setup();
    struct mr_request *r = &b->requests[0];
    r->endpoint = &b->endpoint;
    in_ops = true;
    b->ops.start(b->ops.ctx, r, r);
    in_ops = false;
    struct mr_reply *reply = wait_for(b, 1);
    CHECK_INT(reply->transport, MR_TRANSPORT_LOCAL);
    CHECK_STR(json_string_value(json_object_get(reply->local, "text")), "local answer");
    b->ops.start(b->ops.ctx, r, r); /* closing while it is computed */
    teardown(b);
}

static void test_close_in_flight(void)
{
    struct bench *b = setup();
    for (int i = 0; i < 8; i++)
        start(b, i, "/hang", 60000);
    for (int i = 0; i < 20; i++)
        uv_run(&b->loop, UV_RUN_NOWAIT);
    teardown(b);
    CHECK_INT(got.count, 0);
}

TEST_MAIN(TEST(test_good_answer), TEST(test_key_goes_on_the_wire_only), TEST(test_retry_headers),
    TEST(test_refused_is_not_sent), TEST(test_bad_names_and_urls_are_not_sent),
    TEST(test_ambiguous_ends), TEST(test_closed_kept_alive_connection_is_not_repeated),
    TEST(test_calls_do_not_wait_for_each_other), TEST(test_idle_close_is_not_an_error),
    TEST(test_redirects_are_not_followed), TEST(test_abort), TEST(test_health_is_asked_for),
    TEST(test_local), TEST(test_close_in_flight))
