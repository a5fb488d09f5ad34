#include "producer/deadq.h"

#include <errno.h>

#define CHANNEL 1

int mr_deadq_open(const struct mr_config_broker *broker, const struct mr_random *random,
    struct mr_deadq *ret, struct mr_err *err)
{
    amqp_connection_state_t conn;
    int r = mr_amqp_connect(broker, "millrace dlq", 1, random, &conn, err);
    if (r == 0)
        *ret = (struct mr_deadq){.conn = conn, .left = -1};
    return r;
}

void mr_deadq_close(struct mr_deadq *queue)
{
    queue->conn = mr_amqp_close(queue->conn, true);
}

int mr_deadq_next(struct mr_deadq *queue, struct mr_dead_letter *ret, struct mr_err *err)
{
    if (queue->left == 0)
        return 0;
    amqp_maybe_release_buffers(queue->conn);
    amqp_rpc_reply_t reply =
        amqp_basic_get(queue->conn, CHANNEL, amqp_cstring_bytes(MR_QUEUE_DEAD), 0);
    int r = mr_amqp_reply(reply, "reading the queue " MR_QUEUE_DEAD, err);
    if (r < 0)
        return r;
    if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD) {
        queue->left = 0;
        return 0;
    }
    const amqp_basic_get_ok_t *ok = reply.reply.decoded;
    struct mr_dead_letter letter = {.tag = ok->delivery_tag};
    queue->left = queue->left < 0 ? ok->message_count : queue->left - 1;
    r = mr_amqp_reply(
        amqp_read_message(queue->conn, CHANNEL, &letter.message, 0), "reading a dead letter", err);
    if (r < 0)
        return r;
    letter.body = letter.message.body.bytes;
    letter.len = letter.message.body.len;
    if (mr_headers_decode(&letter.message.properties, &letter.headers) < 0) {
        amqp_destroy_message(&letter.message);
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    }
    *ret = letter;
    return 1;
}

void mr_dead_letter_deinit(struct mr_dead_letter *letter)
{
    mr_headers_copy_deinit(&letter->headers);
    amqp_destroy_message(&letter->message);
}

int mr_deadq_ack(struct mr_deadq *queue, uint64_t tag, struct mr_err *err)
{
    int status = amqp_basic_ack(queue->conn, CHANNEL, tag, 0);
    return status == AMQP_STATUS_OK ? 0 : mr_amqp_status(status, "removing a dead letter", err);
}
