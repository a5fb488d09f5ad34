/* Connecting, topology and publishing against a real broker (see broker.h). */
#include "tests/unit/amqp/broker.h"

#define LANE "millrace." POOL ".normal.0"
#define KEY POOL ".normal.0"

struct results {
    size_t count[4];
    char why[256];
};

static void on_result(void *ctx, void *token, enum mr_publish_result result, const char *why)
{
    struct results *results = ctx;
    results->count[result]++;
    snprintf(results->why, sizeof(results->why), "%s", why ? why : "");
    if (token)
        (*(int *)token)++;
}

static struct mr_publisher *publisher_new(struct broker *broker, struct results *results)
{
    struct mr_publisher *publisher;
    struct mr_err err;
    CHECK_INT(mr_publisher_new(broker_connect(broker), broker->config.publish_window, on_result,
                  results, &publisher, &err),
        0);
    return publisher;
}

static int publish(
    struct mr_publisher *publisher, const char *exchange, const char *key, void *token)
{
    struct mr_headers headers = {.id = mr_uuid_of_bytes(&token, sizeof(token)), .tenant = "t"};
    struct mr_err err;
    int rc = mr_publisher_publish(publisher, exchange, key, &headers, "{}", 2, true, token, &err);
    if (rc < 0)
        fprintf(stderr, "# publish: %s\n", err.msg);
    return rc;
}

static void settle(struct mr_publisher *publisher)
{
    struct mr_err err;
    for (int i = 0; i < 100 && mr_publisher_unconfirmed(publisher) > 0; i++)
        CHECK_INT(mr_publisher_poll(publisher, 100, &err), 0);
    CHECK_INT(mr_publisher_unconfirmed(publisher), 0);
}

static void topology_is_idempotent(void)
{
    struct broker *broker = broker_from_env();
    declare(broker);
    declare(broker);
    amqp_connection_state_t conn = broker_connect(broker);
    struct mr_err err;
    CHECK_INT(mr_amqp_check_exchanges(conn, &err), 0);
    mr_amqp_close(conn, true);
    broker_free(broker);
}

/* Some versions ask for the right to configure of whoever only looks. Nobody may look at "". */
static void who_may_not_look_goes_on(void)
{
    struct broker *broker = broker_from_env();
    amqp_connection_state_t conn = broker_connect(broker);
    struct mr_err err;
    CHECK_INT(mr_amqp_check_exchange(conn, "", &err), 0);
    CHECK_INT(mr_amqp_check_exchange(conn, "", &err), 0); /* on a new channel */
    CHECK_INT(mr_amqp_check_exchange(conn, "millrace.nowhere", &err), -ENOENT);
    CHECK(strstr(err.msg, "exchange millrace.nowhere does not exist: run `millrace init`"));
    mr_amqp_close(conn, false);
    broker_free(broker);
}

static void wrong_arguments_are_named(void)
{
    static const char *const pools[] = {"wrongargs"};
    struct broker *broker = broker_from_env();
    struct mr_err err;
    amqp_connection_state_t conn = broker_connect(broker);
    amqp_bytes_t queue = amqp_cstring_bytes("millrace.wrongargs.high.0");
    CHECK(amqp_queue_declare(conn, 1, queue, 0, 1, 0, 0, amqp_empty_table));
    CHECK_INT(mr_amqp_topology(conn, pools, 1, 1, &err), -EEXIST);
    CHECK(strstr(err.msg, "millrace.wrongargs.high.0"));
    CHECK(strstr(err.msg, "rabbitmqctl delete_queue millrace.wrongargs.high.0"));
    CHECK(strstr(err.msg, "millrace init"));
    mr_amqp_close(conn, false);
    conn = broker_connect(broker);
    CHECK(amqp_queue_delete(conn, 1, queue, 0, 0));
    mr_amqp_close(conn, true);
    broker_free(broker);
}

static void wrong_password(void)
{
    struct broker *broker = broker_from_env();
    static char user[] = "nobody";
    broker->config.user = user;
    amqp_connection_state_t conn;
    struct mr_err err;
    CHECK(mr_amqp_connect(&broker->config, "unit test", 1, &broker->random, &conn, &err) < 0);
    CHECK_INT(err.class, MR_CLASS_AUTH);
    CHECK(strstr(err.msg, "nobody"));
    broker_free(broker);
}

static void nobody_there(void)
{
    struct broker *broker = broker_from_env();
    static char dead[] = "127.0.0.1:1";
    char *hosts[] = {dead, dead};
    struct mr_strv saved = broker->config.hosts;
    broker->config.hosts = (struct mr_strv){.items = hosts, .count = 2};
    amqp_connection_state_t conn;
    struct mr_err err;
    CHECK(mr_amqp_connect(&broker->config, "unit test", 1, &broker->random, &conn, &err) < 0);
    CHECK_INT(err.class, MR_CLASS_NETWORK);
    CHECK(strstr(err.msg, "127.0.0.1:1"));
    /* One of several is enough. */
    hosts[1] = saved.items[0];
    for (int i = 0; i < 4; i++) {
        CHECK_INT(
            mr_amqp_connect(&broker->config, "unit test", 1, &broker->random, &conn, &err), 0);
        mr_amqp_close(conn, true);
    }
    broker->config.hosts = saved;
    broker_free(broker);
}

static void confirms(void)
{
    struct broker *broker = broker_from_env();
    struct results results = {0};
    struct mr_err err;
    int reported[1000] = {0};
    declare(broker);
    struct mr_publisher *publisher = publisher_new(broker, &results);
    for (int i = 0; i < 1000;) {
        int rc = publish(publisher, MR_EX_JOBS, KEY, &reported[i]);
        CHECK(rc >= 0);
        i += rc == 0;
        if (rc == MR_PUBLISH_FULL)
            CHECK_INT(mr_publisher_poll(publisher, 1000, &err), 0);
        CHECK(mr_publisher_unconfirmed(publisher) <= 256);
    }
    settle(publisher);
    CHECK_INT(results.count[MR_PUBLISH_OK], 1000);
    for (int i = 0; i < 1000; i++)
        CHECK_INT(reported[i], 1);
    mr_publisher_free(publisher);
    CHECK_INT(queue_length(broker, LANE), 1000);
    broker_free(broker);
}

static void returns(void)
{
    struct broker *broker = broker_from_env();
    struct results results = {0};
    struct mr_err err;
    int reported[20] = {0};
    declare(broker);
    struct mr_publisher *publisher = publisher_new(broker, &results);
    for (int i = 0; i < 20; i++)
        CHECK_INT(publish(publisher, MR_EX_JOBS, i % 4 == 1 ? "no.such" : KEY, &reported[i]), 0);
    /* A large one comes back in many frames. */
    char *body = calloc(1, 1 << 20);
    int large = 0;
    CHECK_INT(mr_publisher_publish(
                  publisher, MR_EX_JOBS, "no.such", NULL, body, 1 << 20, true, &large, &err),
        0);
    settle(publisher);
    CHECK_INT(results.count[MR_PUBLISH_OK], 15);
    CHECK_INT(results.count[MR_PUBLISH_RETURNED], 6);
    for (int i = 0; i < 20; i++)
        CHECK_INT(reported[i], 1);
    CHECK_INT(large, 1);
    free(body);
    mr_publisher_free(publisher);
    broker_free(broker);
}

static void events_are_not_reported(void)
{
    struct broker *broker = broker_from_env();
    struct results results = {0};
    struct mr_err err;
    declare(broker);
    struct mr_publisher *publisher = publisher_new(broker, &results);
    for (int i = 0; i < 100; i++)
        CHECK_INT(mr_publisher_publish(
                      publisher, MR_EX_EVENTS, "job.done.x", NULL, "{}", 2, false, NULL, &err),
            0);
    settle(publisher);
    mr_publisher_free(publisher);
    for (int i = 0; i < 4; i++)
        CHECK_INT(results.count[i], 0);
    broker_free(broker);
}

static void missing_exchange_closes_the_channel(void)
{
    struct broker *broker = broker_from_env();
    struct results results = {0};
    struct mr_err err = {0};
    int reported[2] = {0}, rc = 0;
    declare(broker);
    struct mr_publisher *publisher = publisher_new(broker, &results);
    CHECK_INT(publish(publisher, "millrace.nowhere", KEY, &reported[0]), 0);
    for (int i = 0; i < 20 && rc == 0; i++)
        rc = mr_publisher_poll(publisher, 100, &err);
    CHECK_INT(rc, -ENOENT);
    CHECK_INT(err.class, MR_CLASS_INVALID);
    CHECK(strstr(err.msg, "millrace.nowhere"));
    CHECK(publish(publisher, MR_EX_JOBS, KEY, &reported[1]) < 0);
    mr_publisher_free(publisher);
    CHECK_INT(results.count[MR_PUBLISH_LOST], 1);
    CHECK_INT(reported[0], 1);
    CHECK_INT(reported[1], 0);
    broker_free(broker);
}

struct depths {
    int answers;
    uint32_t ready;
    char queue[MR_QUEUE_MAX];
};

static void on_depth(void *ctx, amqp_bytes_t queue, uint32_t ready)
{
    struct depths *depths = ctx;
    depths->answers++;
    depths->ready = ready;
    snprintf(depths->queue, sizeof(depths->queue), "%.*s", (int)queue.len,
        queue.len ? (const char *)queue.bytes : "");
}

static void ask(struct mr_publisher *publisher, const char *queue, struct depths *depths)
{
    struct mr_err err;
    int before = depths->answers;
    CHECK_INT(mr_publisher_ask(publisher, queue, on_depth, depths, &err), 0);
    for (int i = 0; i < 100 && depths->answers == before; i++)
        CHECK_INT(mr_publisher_poll(publisher, 100, &err), 0);
    CHECK_INT(depths->answers, before + 1);
}

/* A queue that is missing costs the second channel only, which opens again by itself. */
static void depths_are_told(void)
{
    struct broker *broker = broker_from_env();
    struct results results = {0};
    struct depths depths = {0};
    int reported[10] = {0};
    declare(broker);
    struct mr_publisher *publisher = publisher_new(broker, &results);
    ask(publisher, LANE, &depths);
    CHECK_INT(depths.ready, 0);
    CHECK_STR(depths.queue, LANE);
    for (int i = 0; i < 5; i++)
        CHECK_INT(publish(publisher, MR_EX_JOBS, KEY, &reported[i]), 0);
    ask(publisher, "millrace.nowhere", &depths);
    CHECK(depths.ready == MR_DEPTH_UNKNOWN);
    CHECK_STR(depths.queue, "");
    for (int i = 5; i < 10; i++)
        CHECK_INT(publish(publisher, MR_EX_JOBS, KEY, &reported[i]), 0);
    settle(publisher);
    ask(publisher, LANE, &depths);
    CHECK_INT(depths.ready, 10);
    CHECK_INT(results.count[MR_PUBLISH_OK], 10);
    mr_publisher_free(publisher);
    broker_free(broker);
}

static void full_queue_nacks(void)
{
    struct broker *broker = broker_from_env();
    struct results results = {0};
    struct mr_err err;
    int reported[200] = {0};
    declare(broker);
    ADMIN("set_policy", "unit-full", "^millrace[.]" POOL "[.]normal[.]0$", "{\"max-length\":10}",
        "--priority", "90");
    poll(NULL, 0, 500); /* until the queue has it */
    struct mr_publisher *publisher = publisher_new(broker, &results);
    for (int i = 0; i < 200; i++) {
        CHECK_INT(publish(publisher, MR_EX_JOBS, KEY, &reported[i]), 0);
        if (i % 20 == 19)
            CHECK_INT(mr_publisher_poll(publisher, 100, &err), 0);
    }
    settle(publisher);
    ADMIN("clear_policy", "unit-full");
    CHECK(results.count[MR_PUBLISH_NACKED] > 0);
    CHECK_INT(results.count[MR_PUBLISH_NACKED] + results.count[MR_PUBLISH_OK], 200);
    size_t kept = results.count[MR_PUBLISH_OK];
    mr_publisher_free(publisher);
    CHECK_INT(queue_length(broker, LANE), kept);
    broker_free(broker);
}

static void alarm_blocks(void)
{
    struct broker *broker = broker_from_env();
    struct results results = {0};
    struct mr_err err;
    int reported[300] = {0}, sent = 0, rc = 0;
    declare(broker);
    struct mr_publisher *publisher = publisher_new(broker, &results);
    ADMIN("set_vm_memory_high_watermark", "0.00001");
    for (int i = 0; i < 50 && !mr_publisher_blocked(publisher); i++) {
        rc = publish(publisher, MR_EX_JOBS, KEY, &reported[sent]);
        CHECK(rc >= 0);
        sent += rc == 0;
        CHECK_INT(mr_publisher_poll(publisher, 100, &err), 0);
    }
    CHECK(mr_publisher_blocked(publisher));
    CHECK_INT(publish(publisher, MR_EX_JOBS, KEY, &reported[sent]), MR_PUBLISH_FULL);
    ADMIN("set_vm_memory_high_watermark", "0.4");
    settle(publisher);
    CHECK(!mr_publisher_blocked(publisher));
    CHECK_INT(results.count[MR_PUBLISH_OK], sent);
    mr_publisher_free(publisher);
    broker_free(broker);
}

static void killed_connection(void)
{
    struct broker *broker = broker_from_env();
    struct results results = {0};
    struct mr_err err = {0};
    int reported[10] = {0}, rc = 0;
    declare(broker);
    struct mr_publisher *publisher = publisher_new(broker, &results);
    CHECK_INT(publish(publisher, MR_EX_JOBS, KEY, &reported[0]), 0);
    settle(publisher);
    ADMIN("close_all_connections", "unit test");
    for (int i = 0; i < 50 && rc == 0; i++)
        rc = mr_publisher_poll(publisher, 100, &err);
    CHECK(rc < 0);
    CHECK_INT(err.class, MR_CLASS_NETWORK);
    mr_publisher_free(publisher);
    broker_free(broker);
}

TEST_MAIN(TEST(topology_is_idempotent), TEST(who_may_not_look_goes_on),
    TEST(wrong_arguments_are_named), TEST(wrong_password), TEST(nobody_there), TEST(confirms),
    TEST(returns), TEST(events_are_not_reported), TEST(missing_exchange_closes_the_channel),
    TEST(depths_are_told), TEST(full_queue_nacks), TEST(alarm_blocks), TEST(killed_connection))
