/* What the cases against a real broker share. They are skipped unless
 *   MILLRACE_TEST_AMQP=host:port:user:passwordfile       a broker that is the tests' own
 *   MILLRACE_TEST_RABBITMQCTL=path                       a command that administers it
 * are set. MILLRACE_TEST_AMQP_CA=path: the port speaks TLS with a certificate of this CA. */
#pragma once

#include "common/amqp.h"
#include "common/log.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOL "unittest"
#define SHARDS 2

struct broker {
    struct mr_config_broker config;
    char *text, *host;
    struct mr_random random;
    struct mr_log log;
};

static inline struct broker *broker_from_env(void)
{
    const char *env = getenv("MILLRACE_TEST_AMQP");
    if (!env)
        exit(MR_TEST_SKIP);
    struct broker *broker = calloc(1, sizeof(*broker));
    CHECK(broker);
    broker->text = strdup(env);
    char *fields[4] = {0}, *rest = broker->text;
    for (int i = 0; i < 4; i++)
        CHECK((fields[i] = strsep(&rest, ":")));
    CHECK(asprintf(&broker->host, "%s:%s", fields[0], fields[1]) > 0);
    static char slash[] = "/";
    broker->config = (struct mr_config_broker){.hosts = {.items = &broker->host, .count = 1},
        .vhost = slash,
        .user = fields[2],
        .password_file = fields[3],
        .heartbeat_s = 10,
        .connect_timeout_ms = 3000,
        .publish_window = 256,
        .lane_shards = SHARDS,
        .tls = getenv("MILLRACE_TEST_AMQP_CA") != NULL,
        .ca_file = getenv("MILLRACE_TEST_AMQP_CA")};
    broker->random = mr_random_system();
    broker->log = (struct mr_log){
        .fd = 2, .level = getenv("VERBOSE") ? MR_DEBUG : MR_ERROR, .program = "test"};
    return broker;
}

static inline void broker_free(struct broker *broker)
{
    free(broker->text);
    free(broker->host);
    free(broker);
}

static inline amqp_connection_state_t broker_connect(struct broker *broker)
{
    amqp_connection_state_t conn;
    struct mr_err err;
    if (mr_amqp_connect(&broker->config, "unit test", 1, &broker->random, &conn, &err) < 0)
        fprintf(stderr, "# %s\n", err.msg), abort();
    return conn;
}

/* Runs rabbitmqctl; the arguments end with NULL. Starts it without waiting when wait is false. */
static inline pid_t admin(bool wait, const char *const *args)
{
    const char *ctl = getenv("MILLRACE_TEST_RABBITMQCTL");
    const char *argv[16] = {ctl};
    if (!ctl)
        exit(MR_TEST_SKIP);
    for (int i = 0; args[i]; i++) {
        CHECK(i < 14);
        argv[i + 1] = args[i];
    }
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(2, 1);
        execv(ctl, (char *const *)(uintptr_t)argv);
        _exit(99);
    }
    int status = 0;
    if (wait) {
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK_INT(status, 0);
    }
    return pid;
}
#define ADMIN(...) ((void)admin(true, (const char *const[]){__VA_ARGS__, NULL}))

/* An empty topology with one pool, POOL. */
static inline void declare(struct broker *broker)
{
    static const char *const pools[] = {POOL};
    struct mr_err err;
    amqp_connection_state_t conn = broker_connect(broker);
    if (mr_amqp_topology(conn, pools, 1, SHARDS, &err) < 0)
        fprintf(stderr, "# %s\n", err.msg), abort();
    char names[1 + MR_LANE_COUNT * SHARDS + MR_TIER_COUNT][MR_QUEUE_MAX] = {MR_QUEUE_DEAD};
    for (int i = 0; i < MR_LANE_COUNT * SHARDS; i++)
        mr_lane_queue(POOL, (enum mr_lane)(i / SHARDS), i % SHARDS, names[1 + i]);
    for (int i = 0; i < MR_TIER_COUNT; i++)
        mr_tier_exchange((enum mr_tier)i, names[1 + MR_LANE_COUNT * SHARDS + i]);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK(amqp_queue_purge(conn, 1, amqp_cstring_bytes(names[i])));
    mr_amqp_close(conn, true);
}

/* Messages ready in a queue. */
static inline uint32_t queue_length(struct broker *broker, const char *queue)
{
    amqp_connection_state_t conn = broker_connect(broker);
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(conn, 1, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    CHECK(ok);
    uint32_t n = ok->message_count;
    mr_amqp_close(conn, true);
    return n;
}
