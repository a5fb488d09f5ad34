/* Just enough of three protocols to see where one message ends and the next begins, and which of
 * them a fault may be tied to. Pure: bytes in, lengths out. */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_proto { MR_PROTO_PG, MR_PROTO_AMQP, MR_PROTO_HTTP, MR_PROTO_COUNT };
enum mr_side { MR_SIDE_CLIENT, MR_SIDE_SERVER }; /* who speaks */

enum mr_point {
    MR_POINT_NONE,
    /* PostgreSQL, client: the Bind of the worker's prepared statement of that name */
    MR_POINT_CLAIM,
    MR_POINT_SETTLE,
    MR_POINT_COMMIT,
    MR_POINT_REJECT,
    MR_POINT_BEAT,
    MR_POINT_STATEMENT, /* ... of another name */
    MR_POINT_SYNC,      /* client: the end of a transaction */
    MR_POINT_READY,     /* server: its answer */
    /* AMQP: with header and body, where there are any */
    MR_POINT_PUBLISH,
    MR_POINT_ACK,
    MR_POINT_CONFIRM, /* server: basic.ack */
    MR_POINT_NACK,    /* server: basic.nack */
    MR_POINT_DELIVER, /* server */
    /* HTTP */
    MR_POINT_REQUEST,
    MR_POINT_RESPONSE,
    MR_POINT_COUNT
};

const char *mr_point_name(enum mr_point point);
enum mr_point mr_point_parse(const char *name); /* MR_POINT_COUNT: there is none */
enum mr_side mr_point_side(enum mr_point point);
/* What the server says to it; MR_POINT_NONE: nothing. */
enum mr_point mr_point_answer(enum mr_point point);

/* One direction of a connection. Zeroed: nothing was said yet. */
struct mr_wire {
    enum mr_proto proto;
    enum mr_side side;
    bool started;
};

/* Looks for one whole message at the head of the bytes. Returns its length; 0 when more bytes are
 * needed; negative when this is not the protocol. */
long mr_wire_next(
    struct mr_wire *wire, const char *bytes, size_t len, enum mr_point *ret_point) MR_CHECK;
