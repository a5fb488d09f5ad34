#include "tests/faultproxy/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MESSAGE_MAX (256u << 20)

static const struct {
    const char *name;
    enum mr_side side;
    enum mr_point answer;
} points[MR_POINT_COUNT] = {
    [MR_POINT_NONE] = {"none", MR_SIDE_CLIENT, MR_POINT_NONE},
    [MR_POINT_CLAIM] = {"claim", MR_SIDE_CLIENT, MR_POINT_READY},
    [MR_POINT_SETTLE] = {"settle", MR_SIDE_CLIENT, MR_POINT_READY},
    [MR_POINT_COMMIT] = {"commit", MR_SIDE_CLIENT, MR_POINT_READY},
    [MR_POINT_REJECT] = {"reject", MR_SIDE_CLIENT, MR_POINT_READY},
    [MR_POINT_BEAT] = {"beat", MR_SIDE_CLIENT, MR_POINT_READY},
    [MR_POINT_STATEMENT] = {"statement", MR_SIDE_CLIENT, MR_POINT_READY},
    [MR_POINT_SYNC] = {"sync", MR_SIDE_CLIENT, MR_POINT_READY},
    [MR_POINT_READY] = {"ready", MR_SIDE_SERVER, MR_POINT_NONE},
    [MR_POINT_PUBLISH] = {"publish", MR_SIDE_CLIENT, MR_POINT_CONFIRM},
    [MR_POINT_ACK] = {"ack", MR_SIDE_CLIENT, MR_POINT_NONE},
    [MR_POINT_CONFIRM] = {"confirm", MR_SIDE_SERVER, MR_POINT_NONE},
    [MR_POINT_NACK] = {"nack", MR_SIDE_SERVER, MR_POINT_NONE},
    [MR_POINT_DELIVER] = {"deliver", MR_SIDE_SERVER, MR_POINT_NONE},
    [MR_POINT_REQUEST] = {"request", MR_SIDE_CLIENT, MR_POINT_RESPONSE},
    [MR_POINT_RESPONSE] = {"response", MR_SIDE_SERVER, MR_POINT_NONE},
};

const char *mr_point_name(enum mr_point point)
{
    return points[point].name;
}

enum mr_point mr_point_parse(const char *name)
{
    int i = 0;
    while (i < MR_POINT_COUNT && strcmp(points[i].name, name) != 0)
        i++;
    return (enum mr_point)i;
}

enum mr_side mr_point_side(enum mr_point point)
{
    return points[point].side;
}

enum mr_point mr_point_answer(enum mr_point point)
{
    return points[point].answer;
}

static uint32_t be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static unsigned be16(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (unsigned)u[0] << 8 | u[1];
}

/* ---- PostgreSQL ---- */

/* Bind: portal, statement, ... */
static enum mr_point bind_point(const char *body, size_t len)
{
    const char *end = body + len;
    const char *portal = memchr(body, '\0', len);
    const char *name = portal ? portal + 1 : end;
    if (!memchr(name, '\0', (size_t)(end - name)))
        return MR_POINT_NONE;
    enum mr_point point = mr_point_parse(name);
    return point >= MR_POINT_CLAIM && point <= MR_POINT_BEAT ? point
           : *name                                           ? MR_POINT_STATEMENT
                                                             : MR_POINT_NONE;
}

static long pg_next(struct mr_wire *wire, const char *bytes, size_t len, enum mr_point *ret)
{
    size_t head = !wire->started && wire->side == MR_SIDE_CLIENT ? 0 : 1;
    if (len < head + 4)
        return 0;
    size_t size = be32(bytes + head);
    if (size < 4 || size > MESSAGE_MAX)
        return -EPROTO;
    if (len < head + size)
        return 0;
    if (head == 0)
        wire->started = be32(bytes + 4) >> 16 == 3; /* else a wish for TLS: another one follows */
    else if (wire->side == MR_SIDE_CLIENT && *bytes == 'B')
        *ret = bind_point(bytes + 5, size - 4);
    else if (wire->side == MR_SIDE_CLIENT && (*bytes == 'S' || *bytes == 'Q'))
        *ret = MR_POINT_SYNC;
    else if (wire->side == MR_SIDE_SERVER && *bytes == 'Z')
        *ret = MR_POINT_READY;
    return (long)(head + size);
}

/* ---- AMQP ---- */

enum { FRAME_METHOD = 1, FRAME_HEADER = 2, FRAME_BODY = 3, FRAME_EXTRA = 8 };

static long frame(const char *bytes, size_t len)
{
    if (len < FRAME_EXTRA)
        return 0;
    size_t size = be32(bytes + 3);
    if (size > MESSAGE_MAX)
        return -EPROTO;
    if (len < size + FRAME_EXTRA)
        return 0;
    return (unsigned char)bytes[size + 7] == 0xCE ? (long)(size + FRAME_EXTRA) : -EPROTO;
}

/* Header and body frames behind a method frame of `at` bytes: the whole content's length. Frames of
 * another channel in between end it early, which only makes the point a little smaller. */
static long content(const char *bytes, size_t len, size_t at)
{
    unsigned channel = be16(bytes + 1);
    uint64_t left = 1;
    bool header = false;
    while (left > 0) {
        long n = frame(bytes + at, len - at);
        if (n <= 0)
            return n;
        int type = bytes[at];
        if (be16(bytes + at + 1) != channel || type != (header ? FRAME_BODY : FRAME_HEADER) ||
            (!header && n < FRAME_EXTRA + 12))
            return (long)at;
        if (header)
            left -= (uint64_t)n - FRAME_EXTRA < left ? (uint64_t)n - FRAME_EXTRA : left;
        else
            left = (uint64_t)be32(bytes + at + 11) << 32 | be32(bytes + at + 15);
        header = true;
        at += (size_t)n;
    }
    return (long)at;
}

static enum mr_point method_point(enum mr_side side, const char *body)
{
    if (be16(body) != 60) /* basic */
        return MR_POINT_NONE;
    switch (be16(body + 2)) {
    case 40:
        return side == MR_SIDE_CLIENT ? MR_POINT_PUBLISH : MR_POINT_NONE;
    case 60:
        return side == MR_SIDE_SERVER ? MR_POINT_DELIVER : MR_POINT_NONE;
    case 80:
        return side == MR_SIDE_CLIENT ? MR_POINT_ACK : MR_POINT_CONFIRM;
    case 120:
        return side == MR_SIDE_SERVER ? MR_POINT_NACK : MR_POINT_NONE;
    default:
        return MR_POINT_NONE;
    }
}

static long amqp_next(struct mr_wire *wire, const char *bytes, size_t len, enum mr_point *ret)
{
    if (!wire->started && wire->side == MR_SIDE_CLIENT) {
        if (len < 8)
            return 0;
        wire->started = true;
        return memcmp(bytes, "AMQP", 4) == 0 ? 8 : -EPROTO;
    }
    long n = frame(bytes, len);
    if (n <= 0 || bytes[0] != FRAME_METHOD || n < FRAME_EXTRA + 4)
        return n;
    enum mr_point point = method_point(wire->side, bytes + 7);
    if (point == MR_POINT_PUBLISH || point == MR_POINT_DELIVER)
        n = content(bytes, len, (size_t)n);
    if (n > 0)
        *ret = point;
    return n;
}

/* ---- HTTP ---- */

static long http_next(struct mr_wire *wire, const char *bytes, size_t len, enum mr_point *ret)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end)
        return len > (1u << 20) ? -EPROTO : 0;
    size_t size = (size_t)(end - bytes) + 4;
    bool interim = wire->side == MR_SIDE_SERVER && len > 9 && bytes[9] == '1';
    for (const char *line = memchr(bytes, '\n', size); line && line < end;
         line = memchr(line, '\n', (size_t)(end + 4 - line))) {
        line++;
        if (strncasecmp(line, "content-length:", 15) == 0)
            size += strtoul(line + 15, NULL, 10);
    }
    if (size > MESSAGE_MAX)
        return -EPROTO;
    if (len < size)
        return 0;
    if (!interim)
        *ret = wire->side == MR_SIDE_CLIENT ? MR_POINT_REQUEST : MR_POINT_RESPONSE;
    return (long)size;
}

long mr_wire_next(struct mr_wire *wire, const char *bytes, size_t len, enum mr_point *ret_point)
{
    *ret_point = MR_POINT_NONE;
    if (len == 0)
        return 0;
    if (wire->proto == MR_PROTO_PG)
        return pg_next(wire, bytes, len, ret_point);
    return wire->proto == MR_PROTO_AMQP ? amqp_next(wire, bytes, len, ret_point)
                                        : http_next(wire, bytes, len, ret_point);
}
