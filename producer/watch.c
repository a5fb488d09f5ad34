#include "producer/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL 1
#define QUEUE_LENGTH 100000 /* events kept for a client that is busy; the oldest go first */
#define SINGLE_MAX 64       /* jobs that get a binding of their own */
#define BATCH_MAX 1000      /* events of one poll */

struct mr_watch {
    amqp_connection_state_t conn;
    char queue[MR_QUEUE_MAX];
    size_t bound;
};

static int declare(struct mr_watch *watch, struct mr_err *err)
{
    amqp_table_entry_t limit = {.key = amqp_cstring_bytes("x-max-length"),
        .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = QUEUE_LENGTH}};
    amqp_table_t arguments = {.num_entries = 1, .entries = &limit};
    amqp_queue_declare(
        watch->conn, CHANNEL, amqp_cstring_bytes(watch->queue), 0, 0, 1, 1, arguments);
    return mr_amqp_reply(amqp_get_rpc_reply(watch->conn), "declaring a queue for events", err);
}

static int consume(struct mr_watch *watch, struct mr_err *err)
{
    amqp_basic_consume(watch->conn, CHANNEL, amqp_cstring_bytes(watch->queue), amqp_empty_bytes, 0,
        1, 1, amqp_empty_table);
    return mr_amqp_reply(amqp_get_rpc_reply(watch->conn), "consuming events", err);
}

int mr_watch_new(const struct mr_config_broker *broker, const struct mr_random *random,
    struct mr_watch **ret, struct mr_err *err)
{
    struct mr_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    uint8_t name[8];
    random->fill(random->ctx, name, sizeof(name));
    size_t n = (size_t)snprintf(watch->queue, sizeof(watch->queue), "millrace.wait.");
    for (size_t i = 0; i < sizeof(name); i++)
        n += (size_t)snprintf(watch->queue + n, sizeof(watch->queue) - n, "%02x", name[i]);
    int r = mr_amqp_connect(broker, "millrace wait", 1, random, &watch->conn, err);
    if (r == 0)
        r = declare(watch, err);
    if (r == 0)
        r = consume(watch, err);
    if (r < 0) {
        mr_watch_free(watch);
        return r;
    }
    *ret = watch;
    return 0;
}

struct mr_watch *mr_watch_free(struct mr_watch *watch)
{
    if (watch)
        mr_amqp_close(watch->conn, true);
    free(watch);
    return NULL;
}

void mr_watch_add(struct mr_watch *watch, const struct mr_uuid *id)
{
    char key[MR_UUID_LEN + 8] = "#", text[MR_UUID_LEN];
    if (watch->bound > SINGLE_MAX)
        return;
    if (watch->bound++ < SINGLE_MAX) {
        mr_uuid_format(id, text);
        snprintf(key, sizeof(key), "*.*.%s", text);
    }
    struct mr_err err; /* a connection that breaks here is found broken by the next poll */
    amqp_queue_bind(watch->conn, CHANNEL, amqp_cstring_bytes(watch->queue),
        amqp_cstring_bytes(MR_EX_EVENTS), amqp_cstring_bytes(key), amqp_empty_table);
    (void)!mr_amqp_reply(amqp_get_rpc_reply(watch->conn), "binding", &err);
}

/* The key says all there is to know: <event>.<job id>. */
static bool id_of_key(amqp_bytes_t key, struct mr_uuid *ret)
{
    char text[MR_UUID_LEN];
    if (key.len < MR_UUID_LEN - 1)
        return false;
    memcpy(text, (const char *)key.bytes + key.len - (MR_UUID_LEN - 1), MR_UUID_LEN - 1);
    text[MR_UUID_LEN - 1] = '\0';
    return mr_uuid_parse(text, ret) == 0;
}

int mr_watch_poll(struct mr_watch *watch, int timeout_ms,
    void (*heard)(void *ctx, const struct mr_uuid *id), void *ctx, struct mr_err *err)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    for (int i = 0; i < BATCH_MAX; i++) {
        amqp_frame_t frame;
        struct mr_uuid id;
        amqp_maybe_release_buffers(watch->conn);
        int status = amqp_simple_wait_frame_noblock(watch->conn, &frame, &timeout);
        timeout = (struct timeval){0};
        if (status == AMQP_STATUS_TIMEOUT)
            return 0;
        if (status != AMQP_STATUS_OK)
            return mr_err_set(err, -ECONNRESET, MR_CLASS_NETWORK, "listening for events: %s",
                amqp_error_string2(status));
        if (frame.frame_type != AMQP_FRAME_METHOD)
            continue; /* headers and bodies are of no interest */
        if (frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
            const amqp_basic_deliver_t *deliver = frame.payload.method.decoded;
            if (id_of_key(deliver->routing_key, &id))
                heard(ctx, &id);
        } else if (frame.payload.method.id == AMQP_BASIC_CANCEL_METHOD ||
                   frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD ||
                   frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD) {
            return mr_err_set(
                err, -ECONNRESET, MR_CLASS_NETWORK, "listening for events: closed by RabbitMQ");
        }
    }
    return 0;
}
