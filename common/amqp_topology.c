/* Exchanges, queues and bindings: what `millrace init` declares. Arguments carry only what
 * correctness needs, since they can never change on a queue that exists; what operators tune is set
 * by policy. */
#include "common/amqp.h"

#include <errno.h>
#include <string.h>

#define CHANNEL 1
#define ARGS_MAX 8

struct args {
    amqp_table_entry_t entries[ARGS_MAX];
    int count;
};

static void arg_text(struct args *args, const char *key, const char *text)
{
    args->entries[args->count++] = (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text)}};
}

static void arg_number(struct args *args, const char *key, int64_t number)
{
    args->entries[args->count++] = (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = number}};
}

/* A queue that is full refuses instead of dropping its oldest message; what it gives up reaches
 * `dead_letters` before it leaves the queue. Without a dead-letter routing key the message keeps
 * its own, "<pool>.<lane>.<n>". */
static void common_args(struct args *args, const char *dead_letters)
{
    arg_text(args, "x-queue-type", "quorum");
    arg_text(args, "x-overflow", "reject-publish");
    if (!dead_letters)
        return;
    arg_text(args, "x-dead-letter-exchange", dead_letters);
    arg_text(args, "x-dead-letter-strategy", "at-least-once");
}

static int declare_exchange(
    amqp_connection_state_t conn, const char *name, const char *type, struct mr_err *err)
{
    amqp_exchange_declare(conn, CHANNEL, amqp_cstring_bytes(name), amqp_cstring_bytes(type), 0, 1,
        0, 0, amqp_empty_table);
    int rc = mr_amqp_reply(amqp_get_rpc_reply(conn), "declaring it", err);
    if (rc == -EEXIST)
        return mr_err_set(err, rc, MR_CLASS_INVALID,
            "exchange %s exists, but not as a durable %s exchange: delete it in the RabbitMQ "
            "console and run `millrace init` again",
            name, type);
    return rc < 0 ? mr_err_prefix(err, rc, "exchange %s", name) : 0;
}

static int declare_queue(
    amqp_connection_state_t conn, const char *name, struct args *args, struct mr_err *err)
{
    amqp_table_t table = {.num_entries = args->count, .entries = args->entries};
    amqp_queue_declare(conn, CHANNEL, amqp_cstring_bytes(name), 0, 1, 0, 0, table);
    int rc = mr_amqp_reply(amqp_get_rpc_reply(conn), "declaring it", err);
    if (rc == -EEXIST) {
        struct mr_err said = *err;
        return mr_err_set(err, rc, MR_CLASS_INVALID,
            "queue %s exists with other arguments: let it run empty, then `rabbitmqctl "
            "delete_queue %s` and `millrace init` again (%s)",
            name, name, said.msg);
    }
    return rc < 0 ? mr_err_prefix(err, rc, "queue %s", name) : 0;
}

static int bind_queue(amqp_connection_state_t conn, const char *queue, const char *exchange,
    const char *key, struct mr_err *err)
{
    amqp_queue_bind(conn, CHANNEL, amqp_cstring_bytes(queue), amqp_cstring_bytes(exchange),
        amqp_cstring_bytes(key), amqp_empty_table);
    int rc = mr_amqp_reply(amqp_get_rpc_reply(conn), "binding it", err);
    return rc < 0 ? mr_err_prefix(err, rc, "queue %s", queue) : 0;
}

static int declare_exchanges(amqp_connection_state_t conn, struct mr_err *err)
{
    static const struct {
        const char *name, *type;
    } exchanges[] = {
        {MR_EX_JOBS, "direct"},
        {MR_EX_DEAD, "fanout"},
        {MR_EX_EVENTS, "topic"},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(exchanges) / sizeof(exchanges[0]); i++)
        rc = declare_exchange(conn, exchanges[i].name, exchanges[i].type, err);
    for (int tier = 0; rc == 0 && tier < MR_TIER_COUNT; tier++) {
        char name[MR_QUEUE_MAX];
        mr_tier_exchange((enum mr_tier)tier, name);
        rc = declare_exchange(conn, name, "fanout", err);
    }
    return rc;
}

static int declare_dead(amqp_connection_state_t conn, struct mr_err *err)
{
    struct args args = {0};
    common_args(&args, NULL);
    int rc = declare_queue(conn, MR_QUEUE_DEAD, &args, err);
    return rc < 0 ? rc : bind_queue(conn, MR_QUEUE_DEAD, MR_EX_DEAD, "", err);
}

static int declare_tier(amqp_connection_state_t conn, enum mr_tier tier, struct mr_err *err)
{
    struct args args = {0};
    char name[MR_QUEUE_MAX];
    mr_tier_exchange(tier, name);
    common_args(&args, MR_EX_JOBS);
    arg_number(&args, "x-message-ttl", mr_tier_ms(tier));
    int rc = declare_queue(conn, name, &args, err);
    return rc < 0 ? rc : bind_queue(conn, name, name, "", err);
}

static int declare_shard(amqp_connection_state_t conn, const char *pool, enum mr_lane lane,
    int shard, struct mr_err *err)
{
    struct args args = {0};
    char queue[MR_QUEUE_MAX], key[MR_QUEUE_MAX];
    mr_lane_queue(pool, lane, shard, queue);
    mr_lane_key(pool, lane, shard, key);
    common_args(&args, MR_EX_DEAD);
    int rc = declare_queue(conn, queue, &args, err);
    return rc < 0 ? rc : bind_queue(conn, queue, MR_EX_JOBS, key, err);
}

static int declare_pool(
    amqp_connection_state_t conn, const char *pool, int lane_shards, struct mr_err *err)
{
    int rc = 0;
    for (int lane = 0; lane < MR_LANE_COUNT; lane++)
        for (int shard = 0; rc == 0 && shard < lane_shards; shard++)
            rc = declare_shard(conn, pool, (enum mr_lane)lane, shard, err);
    return rc;
}

int mr_amqp_topology(amqp_connection_state_t conn, const char *const *pools, size_t npools,
    int lane_shards, struct mr_err *err)
{
    struct mr_err local; /* the words of the broker are needed even if the caller wants none */
    err = err ? err : &local;
    int rc = declare_exchanges(conn, err);
    /* Targets before sources: an at-least-once queue whose target is missing builds up. */
    if (rc == 0)
        rc = declare_dead(conn, err);
    for (size_t i = 0; rc == 0 && i < npools; i++)
        rc = declare_pool(conn, pools[i], lane_shards, err);
    for (int tier = 0; rc == 0 && tier < MR_TIER_COUNT; tier++)
        rc = declare_tier(conn, (enum mr_tier)tier, err);
    return rc;
}

/* After the broker has closed it. */
static int open_again(amqp_connection_state_t conn, struct mr_err *err)
{
    amqp_channel_close_ok_t ok = {0};
    int rc = mr_amqp_status(amqp_send_method(conn, CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok),
        "closing a channel", err);
    if (rc < 0)
        return rc;
    amqp_channel_open(conn, CHANNEL);
    return mr_amqp_reply(amqp_get_rpc_reply(conn), "opening a channel", err);
}

int mr_amqp_check_exchange(amqp_connection_state_t conn, const char *name, struct mr_err *err)
{
    struct mr_err local;
    err = err ? err : &local;
    amqp_exchange_declare(conn, CHANNEL, amqp_cstring_bytes(name), amqp_cstring_bytes("direct"), 1,
        0, 0, 0, amqp_empty_table);
    int rc = mr_amqp_reply(amqp_get_rpc_reply(conn), "looking for it", err);
    if (rc == -ENOENT)
        return mr_err_set(
            err, rc, MR_CLASS_INVALID, "exchange %s does not exist: run `millrace init`", name);
    if (rc == -EACCES)
        rc = open_again(conn, err);
    return rc < 0 ? mr_err_prefix(err, rc, "exchange %s", name) : 0;
}

int mr_amqp_check_exchanges(amqp_connection_state_t conn, struct mr_err *err)
{
    char names[3 + MR_TIER_COUNT][MR_QUEUE_MAX] = {MR_EX_JOBS, MR_EX_DEAD, MR_EX_EVENTS};
    int rc = 0;
    for (int tier = 0; tier < MR_TIER_COUNT; tier++)
        mr_tier_exchange((enum mr_tier)tier, names[3 + tier]);
    for (size_t i = 0; rc == 0 && i < 3 + MR_TIER_COUNT; i++)
        rc = mr_amqp_check_exchange(conn, names[i], err);
    return rc;
}
