/* The consuming connection against a real broker (see broker.h). */
#include "tests/unit/amqp/broker.h"
#include "worker/io/consumer.h"

#define MESSAGES_MAX 20000
#define CHANNELS (MR_LANE_COUNT * SHARDS)

/* Bodies are "<number>:" and then that number's low byte up to the length. */
struct fixture {
    struct broker *broker;
    uv_loop_t loop;
    struct mr_consumer *consumer;
    unsigned char seen[MESSAGES_MAX];
    size_t distinct, deliveries, redelivered, sessions_lost;
    size_t lanes[MR_LANE_COUNT], shards[SHARDS];
    struct mr_delivery *held[MESSAGES_MAX];
    size_t nheld;
    bool hold; /* keep deliveries instead of acking them */
    size_t until_distinct, until_deliveries, until_lost;
    uv_timer_t deadline;
};

static void stop_when_due(struct fixture *fixture)
{
    if (fixture->distinct >= fixture->until_distinct &&
        fixture->deliveries >= fixture->until_deliveries &&
        fixture->sessions_lost >= fixture->until_lost)
        uv_stop(&fixture->loop);
}

static int number_of(const struct mr_delivery *delivery)
{
    return (int)strtol(delivery->body, NULL, 10);
}

static void check_body(const struct mr_delivery *delivery, int *ret_number)
{
    int number = number_of(delivery);
    const char *end = strchr(delivery->body, ':');
    CHECK(end && number >= 0 && number < MESSAGES_MAX);
    for (const char *p = end + 1; p < delivery->body + delivery->len; p++)
        CHECK_INT((unsigned char)*p, number & 0xff);
    CHECK_INT(delivery->body[delivery->len], 0);
    *ret_number = number;
}

static void on_delivered(void *ctx, struct mr_delivery *delivery)
{
    struct fixture *fixture = ctx;
    int number;
    check_body(delivery, &number);
    fixture->distinct += !fixture->seen[number];
    fixture->seen[number] = 1;
    fixture->deliveries++;
    fixture->redelivered += delivery->redelivered;
    fixture->lanes[delivery->lane]++;
    fixture->shards[delivery->shard]++;
    if (fixture->hold) {
        fixture->held[fixture->nheld++] = delivery;
    } else {
        mr_consumer_ack(fixture->consumer, delivery->session, delivery->tag);
        mr_delivery_free(delivery);
    }
    stop_when_due(fixture);
}

static void on_lost(void *ctx, uint64_t session)
{
    struct fixture *fixture = ctx;
    fixture->sessions_lost++;
    stop_when_due(fixture);
}

static void on_deadline(uv_timer_t *timer)
{
    struct fixture *fixture = timer->data;
    fprintf(stderr, "# too late: %zu distinct, %zu deliveries, %zu sessions lost\n",
        fixture->distinct, fixture->deliveries, fixture->sessions_lost);
    abort();
}

static struct fixture *fixture_new(int slots)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct mr_channel_cb cb = {on_delivered, on_lost, fixture};
    struct mr_err err;
    fixture->broker = broker_from_env();
    declare(fixture->broker);
    CHECK_INT(uv_loop_init(&fixture->loop), 0);
    uv_timer_init(&fixture->loop, &fixture->deadline);
    fixture->deadline.data = fixture;
    CHECK_INT(mr_consumer_new(&fixture->loop, &fixture->broker->config, POOL, slots, "unit test",
                  &fixture->broker->log, &cb, &fixture->consumer, &err),
        0);
    mr_consumer_start(fixture->consumer);
    return fixture;
}

/* Until so many distinct messages, deliveries and lost sessions have been seen in all. */
static void run_until(struct fixture *fixture, size_t distinct, size_t deliveries, size_t lost)
{
    fixture->until_distinct = distinct;
    fixture->until_deliveries = deliveries;
    fixture->until_lost = lost;
    uv_timer_start(&fixture->deadline, on_deadline, 40000, 0);
    if (fixture->distinct < distinct || fixture->deliveries < deliveries ||
        fixture->sessions_lost < lost)
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&fixture->deadline);
}

static void on_pause_over(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void run_for(struct fixture *fixture, uint64_t ms)
{
    fixture->until_distinct = SIZE_MAX;
    uv_timer_start(&fixture->deadline, on_pause_over, ms, 0);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
}

static void on_closed(void *ctx)
{
    struct fixture *fixture = ctx;
    uv_close((uv_handle_t *)&fixture->deadline, NULL);
}

static void fixture_free(struct fixture *fixture)
{
    mr_consumer_close(fixture->consumer, on_closed, fixture);
    while (uv_run(&fixture->loop, UV_RUN_DEFAULT) != 0)
        ; /* an uv_stop may be left over */
    CHECK_INT(uv_loop_close(&fixture->loop), 0);
    mr_consumer_free(fixture->consumer);
    for (size_t i = 0; i < fixture->nheld; i++)
        mr_delivery_free(fixture->held[i]);
    broker_free(fixture->broker);
    free(fixture);
}

static void ignore_result(void *ctx, void *token, enum mr_publish_result result, const char *why)
{
    CHECK_INT(result, MR_PUBLISH_OK);
}

/* Message i goes to lane i % 3, and there to the shards in turn; the length of each is chosen by
 * `length`. */
static void send_all(struct broker *broker, int first, int last, size_t (*length)(int number))
{
    struct mr_publisher *publisher;
    struct mr_err err;
    char *body = malloc(20 << 20), key[MR_QUEUE_MAX];
    CHECK_INT(
        mr_publisher_new(broker_connect(broker), 256, ignore_result, NULL, &publisher, &err), 0);
    for (int i = first; i < last;) {
        int n = snprintf(body, 16, "%d:", i);
        memset(body + n, i & 0xff, length(i));
        mr_lane_key(POOL, (enum mr_lane)(i % MR_LANE_COUNT), i / MR_LANE_COUNT % SHARDS, key);
        int rc = mr_publisher_publish(
            publisher, MR_EX_JOBS, key, NULL, body, (size_t)n + length(i), true, NULL, &err);
        CHECK(rc >= 0);
        i += rc == 0;
        if (rc == MR_PUBLISH_FULL)
            CHECK_INT(mr_publisher_poll(publisher, 1000, &err), 0);
    }
    while (mr_publisher_unconfirmed(publisher) > 0)
        CHECK_INT(mr_publisher_poll(publisher, 1000, &err), 0);
    mr_publisher_free(publisher);
    free(body);
}

static size_t tiny(int number)
{
    return (size_t)number % 50;
}

static size_t mixed(int number)
{
    return number % 20 < 3 ? 1 << 20 : (size_t)number % 50;
}

static size_t too_large(int number)
{
    return number == 1 ? MR_MESSAGE_MAX + 1 : 10;
}

static void check_queues(struct broker *broker, uint32_t expected)
{
    char queue[MR_QUEUE_MAX];
    uint32_t sum = 0;
    for (int i = 0; i < MR_LANE_COUNT * SHARDS; i++) {
        mr_lane_queue(POOL, (enum mr_lane)(i / SHARDS), i % SHARDS, queue);
        sum += queue_length(broker, queue);
    }
    CHECK_INT(sum, expected);
}

static void prefetches(void)
{
    CHECK_INT(mr_channel_prefetch(MR_LANE_HIGH, 256), 256);
    CHECK_INT(mr_channel_prefetch(MR_LANE_NORMAL, 256), 154);
    CHECK_INT(mr_channel_prefetch(MR_LANE_LOW, 256), 52);
    CHECK_INT(mr_channel_prefetch(MR_LANE_LOW, 1), 1);
    CHECK_INT(mr_channel_prefetch(MR_LANE_HIGH, 5000), 2000);
}

static void huge_and_tiny_on_many_channels(void)
{
    struct fixture *fixture = fixture_new(50);
    send_all(fixture->broker, 0, 600, mixed);
    run_until(fixture, 600, 600, 0);
    for (int lane = 0; lane < MR_LANE_COUNT; lane++)
        CHECK_INT(fixture->lanes[lane], 200);
    for (int shard = 0; shard < SHARDS; shard++)
        CHECK_INT(fixture->shards[shard], 300);
    run_for(fixture, 300);
    struct broker *broker = fixture->broker;
    mr_consumer_drain(fixture->consumer);
    run_for(fixture, 300);
    check_queues(broker, 0);
    CHECK_INT(fixture->deliveries, 600);
    fixture_free(fixture);
}

/* Acks in random order: whatever is coalesced, exactly the acked ones are gone. */
static void acks_are_exact(void)
{
    struct fixture *fixture = fixture_new(1000);
    fixture->hold = true;
    send_all(fixture->broker, 0, 600, tiny);
    run_until(fixture, 600, 600, 0);
    unsigned char acked[600] = {0};
    for (int i = 0; i < 400;) {
        size_t k = mr_random_below(&fixture->broker->random, 600);
        if (acked[k])
            continue;
        acked[k] = 1;
        mr_consumer_ack(fixture->consumer, fixture->held[k]->session, fixture->held[k]->tag);
        if (++i % 37 == 0)
            run_for(fixture, 5);
    }
    run_for(fixture, 100);
    uint64_t old_session = fixture->held[0]->session, old_tag = fixture->held[0]->tag;
    ADMIN("close_all_connections", "unit test");
    run_until(fixture, 0, 800, CHANNELS);
    CHECK_INT(fixture->redelivered, 200);
    for (size_t i = 600; i < 800; i++) { /* exactly those that were not acked */
        int number = number_of(fixture->held[i]);
        for (size_t k = 0; k < 600; k++)
            if (acked[k])
                CHECK(number_of(fixture->held[k]) != number);
    }
    mr_consumer_ack(fixture->consumer, old_session, old_tag); /* void: must not hurt */
    run_for(fixture, 500);
    CHECK_INT(fixture->sessions_lost, CHANNELS);
    fixture_free(fixture);
}

/* A drain gives back in the turn it begins in: not one message may come a second time. */
static void requeue_gives_back(void)
{
    struct fixture *fixture = fixture_new(100);
    fixture->hold = true;
    send_all(fixture->broker, 0, 30, tiny);
    run_until(fixture, 30, 30, 0);
    mr_consumer_drain(fixture->consumer);
    for (int i = 0; i < 30; i++)
        mr_consumer_requeue(fixture->consumer, fixture->held[i]->session, fixture->held[i]->tag);
    run_for(fixture, 600);
    CHECK_INT(fixture->deliveries, 30);
    check_queues(fixture->broker, 30);
    fixture_free(fixture);
}

static void pause_and_resume(void)
{
    struct fixture *fixture = fixture_new(100);
    send_all(fixture->broker, 0, 30, tiny);
    run_until(fixture, 30, 30, 0);
    mr_consumer_pause(fixture->consumer, true);
    run_for(fixture, 600);
    send_all(fixture->broker, 30, 60, tiny);
    run_for(fixture, 300);
    CHECK_INT(fixture->deliveries, 30);
    mr_consumer_pause(fixture->consumer, false);
    run_until(fixture, 60, 60, 0);
    CHECK_INT(fixture->sessions_lost, 0);
    fixture_free(fixture);
}

/* The loop goes on meanwhile, so that acks and heartbeats leave. And the queue is declared right
 * after a consume has been refused: none is on its way then, to a queue that is not quite there. */
static void deleted_queue_comes_back(void)
{
    struct fixture *fixture = fixture_new(100);
    send_all(fixture->broker, 0, 3, tiny);
    run_until(fixture, 3, 3, 0);
    pid_t pid =
        admin(false, (const char *const[]){"delete_queue", "millrace." POOL ".low.0", NULL});
    run_until(fixture, 0, 0, 1);
    waitpid(pid, NULL, 0);
    declare(fixture->broker);
    send_all(fixture->broker, 6, 9, tiny); /* shard 0 again */
    run_until(fixture, 6, 6, 0);
    CHECK(fixture->sessions_lost <= 3); /* the shard that had no queue; never the others */
    CHECK_INT(fixture->redelivered, 0);
    fixture_free(fixture);
}

static void survives_restart(void)
{
    struct fixture *fixture = fixture_new(100);
    fixture->hold = true;
    send_all(fixture->broker, 0, 60, tiny);
    run_until(fixture, 60, 60, 0);
    fixture->hold = false;
    pid_t pid = admin(false, (const char *const[]){"stop_app", NULL});
    run_until(fixture, 0, 0, CHANNELS);
    waitpid(pid, NULL, 0);
    ADMIN("start_app");
    run_until(fixture, 60, 120, CHANNELS);
    CHECK_INT(fixture->redelivered, 60);
    run_for(fixture, 300);
    check_queues(fixture->broker, 0);
    fixture_free(fixture);
}

static void too_large_is_dead_lettered(void)
{
    struct fixture *fixture = fixture_new(100);
    /* RabbitMQ 4 takes no larger ones unless it is told to; 3.10 takes them, and ignores this. */
    ADMIN("eval", "persistent_term:put(max_message_size, 134217728).");
    send_all(fixture->broker, 0, 6, too_large);
    run_until(fixture, 5, 5, 0);
    for (int i = 0; i < 50 && queue_length(fixture->broker, MR_QUEUE_DEAD) == 0; i++)
        run_for(fixture, 100);
    CHECK_INT(queue_length(fixture->broker, MR_QUEUE_DEAD), 1);
    CHECK_INT(fixture->sessions_lost, 0);
    fixture_free(fixture);
}

static void on_closed_unstarted(void *ctx)
{
    *(bool *)ctx = true;
}

static void closes_without_a_start(void)
{
    struct mr_log log = {.fd = 2, .level = MR_ERROR, .program = "test"};
    struct mr_channel_cb cb = {on_delivered, on_lost, NULL};
    struct mr_config_broker broker = {.lane_shards = SHARDS};
    struct mr_consumer *consumer;
    struct mr_err err;
    uv_loop_t loop;
    bool closed = false;
    CHECK_INT(uv_loop_init(&loop), 0);
    CHECK_INT(mr_consumer_new(&loop, &broker, POOL, 1, "unit test", &log, &cb, &consumer, &err), 0);
    mr_consumer_close(consumer, on_closed_unstarted, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(closed);
    mr_consumer_free(consumer);
    CHECK_INT(uv_loop_close(&loop), 0);
}

TEST_MAIN(TEST(prefetches), TEST(closes_without_a_start), TEST(huge_and_tiny_on_many_channels),
    TEST(acks_are_exact), TEST(requeue_gives_back), TEST(pause_and_resume),
    TEST(deleted_queue_comes_back), TEST(survives_restart), TEST(too_large_is_dead_lettered))
