/* Going once through the queue of dead letters. What is not acked goes back when it is closed. */
#pragma once

#include "common/amqp.h"

struct mr_deadq {
    amqp_connection_state_t conn;
    int64_t left; /* messages still to be looked at; -1 before the first */
};

struct mr_dead_letter {
    uint64_t tag;
    struct mr_headers_copy headers;
    const char *body; /* as it came; valid until deinit */
    size_t len;
    amqp_message_t message;
};

int mr_deadq_open(const struct mr_config_broker *broker, const struct mr_random *random,
    struct mr_deadq *ret, struct mr_err *err) MR_CHECK;
void mr_deadq_close(struct mr_deadq *queue);

/* The next of the letters that were there at the first call. 1, 0 at the end, negative with err. */
int mr_deadq_next(struct mr_deadq *queue, struct mr_dead_letter *ret, struct mr_err *err) MR_CHECK;
void mr_dead_letter_deinit(struct mr_dead_letter *letter);

/* Removes a letter. 0 or negative with err. */
int mr_deadq_ack(struct mr_deadq *queue, uint64_t tag, struct mr_err *err) MR_CHECK;
