/* The publishing thread against a real broker (see broker.h). */
#include "tests/unit/amqp/broker.h"
#include "worker/io/outbox.h"

#define COUNT 20000

static const struct mr_observe_ops nobody;

struct fixture {
    struct broker *broker;
    uv_loop_t loop;
    struct mr_outbox *outbox;
    uv_timer_t timer;
    unsigned char reports[COUNT];
    size_t reported, confirmed, until;
    char why[256];
    bool pressed;
    unsigned pressed_times;
    int sent; /* how far the burst is */
};

static void on_published(void *ctx, struct mr_publish *publish, bool confirmed, const char *why)
{
    struct fixture *fixture = ctx;
    size_t i = (size_t)(uintptr_t)publish->owner;
    CHECK(i < COUNT);
    fixture->reports[i]++;
    fixture->reported++;
    fixture->confirmed += confirmed;
    if (why)
        snprintf(fixture->why, sizeof(fixture->why), "%s", why);
    mr_publish_free(publish);
    if (fixture->reported >= fixture->until)
        uv_stop(&fixture->loop);
}

static void on_pressed(void *ctx, bool pressed)
{
    struct fixture *fixture = ctx;
    fixture->pressed = pressed;
    fixture->pressed_times += pressed;
}

static struct fixture *fixture_new(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct mr_outbox_cb cb = {on_published, on_pressed, fixture};
    struct mr_err err;
    fixture->broker = broker_from_env();
    declare(fixture->broker);
    CHECK_INT(uv_loop_init(&fixture->loop), 0);
    uv_timer_init(&fixture->loop, &fixture->timer);
    fixture->timer.data = fixture;
    CHECK_INT(mr_outbox_new(&fixture->loop, &fixture->broker->config, "unit test",
                  &fixture->broker->log, &cb, &nobody, &fixture->outbox, &err),
        0);
    CHECK_INT(mr_outbox_start(fixture->outbox, &err), 0);
    return fixture;
}

static struct mr_publish *message(int number, enum mr_publish_kind kind, const char *pool)
{
    struct mr_publish *publish = calloc(1, sizeof(*publish));
    publish->kind = kind;
    publish->owner = (void *)(uintptr_t)number;
    publish->id = mr_uuid_of_bytes(&number, sizeof(number));
    publish->lane = MR_LANE_NORMAL;
    publish->died_ms = 1795200000000;
    publish->class = MR_CLASS_INVALID;
    snprintf(publish->pool, sizeof(publish->pool), "%s", pool);
    snprintf(publish->tenant, sizeof(publish->tenant), "acme");
    snprintf(publish->event, sizeof(publish->event), "job.done");
    snprintf(publish->message, sizeof(publish->message), "no such pipeline");
    int n = asprintf(&publish->body_owned, "{\"n\":%d}", number);
    CHECK(n > 0);
    publish->len = (size_t)n;
    return publish;
}

static void on_deadline(uv_timer_t *timer)
{
    struct fixture *fixture = timer->data;
    fprintf(stderr, "# too late: %zu of %zu reported\n", fixture->reported, fixture->until);
    abort();
}

static void run_until(struct fixture *fixture, size_t reported)
{
    fixture->until = reported;
    uv_timer_start(&fixture->timer, on_deadline, 45000, 0);
    if (fixture->reported < reported)
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&fixture->timer);
}

static void on_pause_over(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void run_for(struct fixture *fixture, uint64_t ms)
{
    fixture->until = SIZE_MAX;
    uv_timer_start(&fixture->timer, on_pause_over, ms, 0);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
}

static void on_closed(void *ctx)
{
    struct fixture *fixture = ctx;
    uv_close((uv_handle_t *)&fixture->timer, NULL);
}

static void fixture_free(struct fixture *fixture)
{
    uv_timer_stop(&fixture->timer);
    mr_outbox_close(fixture->outbox, on_closed, fixture);
    while (uv_run(&fixture->loop, UV_RUN_DEFAULT) != 0)
        ; /* an uv_stop may be left over */
    CHECK_INT(uv_loop_close(&fixture->loop), 0);
    mr_outbox_free(fixture->outbox);
    broker_free(fixture->broker);
    free(fixture);
}

static void count_body(amqp_bytes_t body, unsigned *counts)
{
    char text[64] = "";
    CHECK(body.len > 5 && body.len < sizeof(text));
    memcpy(text, body.bytes, body.len);
    long n = strtol(text + 5, NULL, 10);
    CHECK(n >= 0 && n < COUNT);
    counts[n]++;
}

/* Takes everything from a queue; counts how often each number is there. */
static void empty_queue(struct broker *broker, const char *queue, unsigned *counts)
{
    uint32_t left = queue_length(broker, queue);
    amqp_connection_state_t conn = broker_connect(broker);
    CHECK(amqp_basic_consume(
        conn, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 1, 0, amqp_empty_table));
    while (left > 0) {
        amqp_frame_t frame;
        struct timeval timeout = {.tv_sec = 5};
        CHECK_INT(amqp_simple_wait_frame_noblock(conn, &frame, &timeout), AMQP_STATUS_OK);
        if (frame.frame_type != AMQP_FRAME_BODY)
            continue;
        count_body(frame.payload.body_fragment, counts);
        left--;
        amqp_maybe_release_buffers(conn);
    }
    mr_amqp_close(conn, true);
}

static void every_kind_arrives(void)
{
    struct fixture *fixture = fixture_new();
    mr_outbox_publish(fixture->outbox, message(1, MR_PUBLISH_HOME, POOL));
    mr_outbox_publish(fixture->outbox, message(2, MR_PUBLISH_DELAY, POOL));
    mr_outbox_publish(fixture->outbox, message(3, MR_PUBLISH_DEAD, POOL));
    mr_outbox_publish(fixture->outbox, message(4, MR_PUBLISH_EVENT, POOL));
    run_until(fixture, 3);
    CHECK_INT(fixture->confirmed, 3);
    CHECK_INT(queue_length(fixture->broker, MR_QUEUE_DEAD), 1);
    CHECK_INT(queue_length(fixture->broker, "millrace.delay.5s"), 1);
    run_for(fixture, 6500); /* the delayed one comes home */
    CHECK_INT(queue_length(fixture->broker, "millrace." POOL ".normal.0"), 2);
    fixture_free(fixture);
}

static void unknown_pool_is_refused(void)
{
    struct fixture *fixture = fixture_new();
    mr_outbox_publish(fixture->outbox, message(1, MR_PUBLISH_HOME, "nowhere"));
    mr_outbox_publish(fixture->outbox, message(2, MR_PUBLISH_HOME, POOL));
    run_until(fixture, 2);
    CHECK_INT(fixture->confirmed, 1);
    CHECK(strstr(fixture->why, "nowhere.normal.0"));
    fixture_free(fixture);
}

/* Dead letters hold up to RabbitMQ 4's 16 MiB; a message the broker cannot stand closes the channel
 * under all the others in flight. */
static void poison_is_found(void)
{
    struct fixture *fixture = fixture_new();
    size_t n = 130u << 20;
    for (int i = 0; i < 100; i++) {
        struct mr_publish *publish = message(i, MR_PUBLISH_HOME, POOL);
        if (i == 50) {
            publish->body_owned = realloc(publish->body_owned, n);
            memset(publish->body_owned, ' ', n);
            publish->len = n;
        }
        mr_outbox_publish(fixture->outbox, publish);
    }
    run_until(fixture, 100);
    for (int i = 0; i < 100; i++)
        CHECK_INT(fixture->reports[i], 1);
    CHECK_INT(fixture->confirmed, 99);
    CHECK(strstr(fixture->why, "size"));
    fixture_free(fixture);
}

static void full_queue_is_waited_out(void)
{
    struct fixture *fixture = fixture_new();
    ADMIN("set_policy", "unit-full", "^millrace[.]" POOL "[.]normal[.]0$", "{\"max-length\":10}",
        "--priority", "90");
    run_for(fixture, 500);
    for (int i = 0; i < 500; i++)
        mr_outbox_publish(fixture->outbox, message(i, MR_PUBLISH_HOME, POOL));
    run_for(fixture, 1000);
    CHECK(fixture->reported < 500);
    ADMIN("clear_policy", "unit-full");
    run_until(fixture, 500);
    CHECK_INT(fixture->confirmed, 500);
    fixture_free(fixture);
}

static void alarm_presses(void)
{
    struct fixture *fixture = fixture_new();
    ADMIN("set_vm_memory_high_watermark", "0.00001");
    for (int i = 0; i < 50 && !fixture->pressed; i++) {
        mr_outbox_publish(fixture->outbox, message(i, MR_PUBLISH_HOME, POOL));
        fixture->sent++;
        run_for(fixture, 100);
    }
    CHECK(fixture->pressed);
    mr_outbox_publish(fixture->outbox, message(99, MR_PUBLISH_EVENT, POOL)); /* dropped */
    ADMIN("set_vm_memory_high_watermark", "0.4");
    run_until(fixture, (size_t)fixture->sent);
    run_for(fixture, 1000);
    CHECK(!fixture->pressed);
    fixture_free(fixture);
}

static void on_send(uv_timer_t *timer)
{
    struct fixture *fixture = timer->data;
    for (int i = 0; i < 200 && fixture->sent < COUNT; i++)
        mr_outbox_publish(fixture->outbox, message(fixture->sent++, MR_PUBLISH_HOME, POOL));
    if (fixture->sent == COUNT)
        uv_close((uv_handle_t *)timer, NULL);
}

static void restart_loses_nothing(void)
{
    struct fixture *fixture = fixture_new();
    uv_timer_t sender;
    uv_timer_init(&fixture->loop, &sender);
    sender.data = fixture;
    uv_timer_start(&sender, on_send, 1, 5);
    run_until(fixture, 2000);
    pid_t pid = admin(false, (const char *const[]){"stop_app", NULL});
    run_for(fixture, 1500);
    waitpid(pid, NULL, 0);
    pid = admin(false, (const char *const[]){"start_app", NULL});
    run_until(fixture, COUNT);
    waitpid(pid, NULL, 0);
    CHECK_INT(fixture->confirmed, COUNT);
    for (int i = 0; i < COUNT; i++)
        CHECK_INT(fixture->reports[i], 1);
    unsigned *counts = calloc(COUNT, sizeof(*counts));
    empty_queue(fixture->broker, "millrace." POOL ".normal.0", counts);
    for (int i = 0; i < COUNT; i++)
        CHECK(counts[i] >= 1);
    free(counts);
    fixture_free(fixture);
}

static void close_without_a_broker(void)
{
    struct fixture *fixture = fixture_new();
    ADMIN("stop_app");
    mr_outbox_publish(fixture->outbox, message(1, MR_PUBLISH_HOME, POOL));
    run_for(fixture, 50);
    fixture_free(fixture);
    ADMIN("start_app");
}

static void on_closed_unstarted(void *ctx)
{
    *(bool *)ctx = true;
}

static void closes_without_a_start(void)
{
    struct mr_log log = {.fd = 2, .level = MR_ERROR, .program = "test"};
    struct mr_outbox_cb cb = {on_published, on_pressed, NULL};
    struct mr_config_broker broker = {0};
    struct mr_outbox *outbox;
    struct mr_err err;
    uv_loop_t loop;
    bool closed = false;
    CHECK_INT(uv_loop_init(&loop), 0);
    CHECK_INT(mr_outbox_new(&loop, &broker, "unit test", &log, &cb, &nobody, &outbox, &err), 0);
    mr_outbox_close(outbox, on_closed_unstarted, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(closed);
    mr_outbox_free(outbox);
    CHECK_INT(uv_loop_close(&loop), 0);
}

TEST_MAIN(TEST(closes_without_a_start), TEST(every_kind_arrives), TEST(unknown_pool_is_refused),
    TEST(poison_is_found), TEST(full_queue_is_waited_out), TEST(alarm_presses),
    TEST(restart_loses_nothing), TEST(close_without_a_broker))
