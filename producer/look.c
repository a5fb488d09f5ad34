#include "producer/look.h"

#include <errno.h>
#include <string.h>

#define CHANNEL 1

int mr_look_open(struct mr_cli *cli, struct mr_look *ret, struct mr_err *err)
{
    return mr_amqp_connect(&cli->config->broker, "millrace", 1, &cli->random, &ret->conn, err);
}

void mr_look_close(struct mr_look *look)
{
    look->conn = mr_amqp_close(look->conn, true);
}

/* What the broker said to a passive declaration. It closes the channel over what it does not know;
 * then there is a new one. */
static int answer(struct mr_look *look, const char *what, bool *ret_missing, struct mr_err *err)
{
    amqp_channel_close_ok_t ok = {0};
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(look->conn);
    int r = mr_amqp_reply(reply, what, err);
    *ret_missing = r == -ENOENT;
    if (r == 0 || reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION ||
        reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return r;
    if (amqp_send_method(look->conn, CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok) == 0) {
        amqp_channel_open(look->conn, CHANNEL);
        struct mr_err opened;
        int again = mr_amqp_reply(amqp_get_rpc_reply(look->conn), "opening a channel", &opened);
        if (again < 0)
            return again;
    }
    return r == -ENOENT ? 0 : r;
}

int mr_look_queue(
    struct mr_look *look, const char *name, struct mr_queue_facts *ret, struct mr_err *err)
{
    char what[MR_QUEUE_MAX + 16];
    struct mr_queue_facts facts = {0};
    amqp_maybe_release_buffers(look->conn);
    const amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        look->conn, CHANNEL, amqp_cstring_bytes(name), 1, 0, 0, 0, amqp_empty_table);
    if (ok) {
        facts.messages = ok->message_count;
        facts.consumers = ok->consumer_count;
    }
    snprintf(what, sizeof(what), "queue %s", name);
    int r = answer(look, what, &facts.missing, err);
    if (r < 0)
        return r;
    snprintf(facts.name, sizeof(facts.name), "%s", name);
    *ret = facts;
    return 0;
}

int mr_look_exchange(struct mr_look *look, const char *name, bool *ret_missing, struct mr_err *err)
{
    char what[MR_QUEUE_MAX + 16];
    amqp_maybe_release_buffers(look->conn);
    amqp_exchange_declare(look->conn, CHANNEL, amqp_cstring_bytes(name),
        amqp_cstring_bytes("direct"), 1, 0, 0, 0, amqp_empty_table);
    snprintf(what, sizeof(what), "exchange %s", name);
    return answer(look, what, ret_missing, err);
}

static int one_lane(struct mr_look *look, const char *pool, enum mr_lane lane, int shard,
    struct mr_queue_facts *ret, size_t *count, struct mr_err *err)
{
    char name[MR_QUEUE_MAX];
    mr_lane_queue(pool, lane, shard, name);
    int r = mr_look_queue(look, name, &ret[*count], err);
    *count += r == 0;
    return r;
}

int mr_look_lanes(struct mr_look *look, int lane_shards, const char *pool, int priority,
    const char *tenant, struct mr_queue_facts *ret, size_t *ret_count, struct mr_err *err)
{
    size_t count = 0;
    int r = 0, pair[2];
    if (tenant) {
        enum mr_lane lane = mr_lane_of_priority(priority);
        mr_shard_pair(tenant, lane_shards, pair);
        r = one_lane(look, pool, lane, pair[0], ret, &count, err);
        if (r == 0 && pair[1] != pair[0])
            r = one_lane(look, pool, lane, pair[1], ret, &count, err);
    } else {
        for (int lane = 0; lane < MR_LANE_COUNT; lane++)
            for (int shard = 0; shard < lane_shards && shard < MR_LANE_SHARDS_MAX && r == 0;
                 shard++)
                r = one_lane(look, pool, (enum mr_lane)lane, shard, ret, &count, err);
    }
    *ret_count = count;
    return r;
}
