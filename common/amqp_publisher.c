/* Publishing with confirms: a window of messages in flight, each reported exactly once.
 *
 * The broker numbers publishes on a channel 1, 2, 3...; the ring holds what has been sent and not
 * yet confirmed, at [tag % window]. Confirms come out of order and for many at once. A message
 * nobody takes comes back whole (basic.return and its content) before its confirm. */
#include "common/amqp.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define CHANNEL 1
#define DEPTH_CHANNEL 2  /* its own: the broker closes it over a queue that is missing or secret */
#define RELEASE_EVERY 64 /* frames between two releases of the library's memory */

/* Reading costs two system calls, so it is not done for every publish; but often enough to see
 * connection.blocked before the socket is full, and long before a heartbeat is due: rabbitmq-c up
 * to 0.13 hangs in a publish whose receive deadline has passed. */
#define DRAIN_MESSAGES 32
#define DRAIN_BYTES (256u << 10)
#define DRAIN_NS (100 * 1000000ll)
/* Bytes the broker has not taken from us beyond which we do not write: rabbitmq-c writes block. */
#define UNSENT_MAX (1 << 20)

static const struct mr_uuid no_id;

struct entry {
    void *token;
    uint64_t route; /* hash of exchange and key */
    struct mr_uuid id;
    bool report;    /* still to be reported */
    bool confirmed; /* but an older one is not */
};

/* A message on its way back. */
struct returned {
    bool active, has_header;
    uint64_t route;
    uint64_t left; /* bytes of body still to come */
    char why[256];
};

struct mr_publisher {
    amqp_connection_state_t conn;
    mr_publish_cb *cb;
    void *ctx;
    struct entry *ring;
    uint64_t window;
    uint64_t oldest, next; /* tags: oldest unconfirmed, next to send */
    size_t unconfirmed;
    struct returned returned;
    bool blocked, broken, corked;
    bool asking; /* the second channel is open, or on its way */
    mr_depth_cb *depth_cb;
    void *depth_ctx;
    unsigned undrained; /* publishes since the last drain */
    size_t undrained_bytes;
    int64_t drained_ns;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* FNV-1a; tells routes in flight apart, so a collision costs nothing but a wrong word to a person.
 */
static uint64_t hash(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return (h ^ 0xff) * 0x100000001b3u;
}

static uint64_t route_of(amqp_bytes_t exchange, amqp_bytes_t key)
{
    return hash(hash(0xcbf29ce484222325u, exchange.bytes, exchange.len), key.bytes, key.len);
}

/* While corked the kernel sends full segments only, so a burst of publishes is few packets. */
static void cork(struct mr_publisher *publisher, int on)
{
    if (publisher->corked == (bool)on)
        return;
    (void)setsockopt(mr_publisher_fd(publisher), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
    publisher->corked = on;
}

static struct entry *entry_at(struct mr_publisher *publisher, uint64_t tag)
{
    return &publisher->ring[tag % publisher->window];
}

static void report(struct mr_publisher *publisher, struct entry *entry,
    enum mr_publish_result result, const char *why)
{
    if (!entry->report)
        return;
    entry->report = false;
    publisher->cb(publisher->ctx, entry->token, result, why);
}

static void confirm_one(struct mr_publisher *publisher, uint64_t tag, enum mr_publish_result result)
{
    struct entry *entry = entry_at(publisher, tag);
    if (entry->confirmed)
        return;
    entry->confirmed = true;
    publisher->unconfirmed--;
    report(publisher, entry, result,
        result == MR_PUBLISH_OK ? NULL : "the broker refused it: a queue is full or failing");
}

static int confirm(struct mr_publisher *publisher, uint64_t tag, bool multiple,
    enum mr_publish_result result, struct mr_err *err)
{
    if (tag == 0 && multiple)
        tag = publisher->next - 1;
    if (tag >= publisher->next)
        return mr_err_set(err, -EPROTO, MR_CLASS_NETWORK, "a confirm of a message never sent");
    if (tag < publisher->oldest)
        return 0;
    for (uint64_t t = multiple ? publisher->oldest : tag; t <= tag; t++)
        confirm_one(publisher, t, result);
    while (publisher->oldest < publisher->next && entry_at(publisher, publisher->oldest)->confirmed)
        publisher->oldest++;
    return 0;
}

static void return_begins(struct mr_publisher *publisher, const amqp_basic_return_t *m)
{
    struct returned *returned = &publisher->returned;
    *returned = (struct returned){.active = true, .route = route_of(m->exchange, m->routing_key)};
    struct mr_err text; /* for its tidy cut */
    mr_err_set(&text, 0, MR_CLASS_INVALID,
        "no queue takes key \"%.*s\" of exchange %.*s (%.*s): is that pool declared? see `millrace "
        "init`",
        (int)m->routing_key.len, (const char *)m->routing_key.bytes, (int)m->exchange.len,
        (const char *)m->exchange.bytes, (int)m->reply_text.len, (const char *)m->reply_text.bytes);
    snprintf(
        returned->why, sizeof(returned->why), "%.*s", (int)sizeof(returned->why) - 1, text.msg);
}

/* Two publishes alike in id and route are alike in fate too, so the first that fits is the one. */
static void return_header(struct mr_publisher *publisher, const amqp_frame_t *frame)
{
    struct returned *returned = &publisher->returned;
    struct mr_uuid id = no_id;
    if (mr_message_id(frame->payload.properties.decoded, &id) < 0)
        id = no_id;
    returned->has_header = true;
    returned->left = frame->payload.properties.body_size;
    for (uint64_t tag = publisher->oldest; tag < publisher->next; tag++) {
        struct entry *entry = entry_at(publisher, tag);
        if (!entry->confirmed && entry->report && entry->route == returned->route &&
            mr_uuid_equal(&entry->id, &id)) {
            report(publisher, entry, MR_PUBLISH_RETURNED, returned->why);
            break;
        }
    }
}

static int on_content(struct mr_publisher *publisher, const amqp_frame_t *frame, struct mr_err *err)
{
    struct returned *returned = &publisher->returned;
    bool header = frame->frame_type == AMQP_FRAME_HEADER;
    size_t n = header ? 0 : frame->payload.body_fragment.len;
    if (!returned->active || header == returned->has_header || n > returned->left)
        return mr_err_set(err, -EPROTO, MR_CLASS_NETWORK, "content out of order");
    if (header)
        return_header(publisher, frame);
    returned->left -= n;
    returned->active = returned->left > 0;
    return 0;
}

/* What is asked on the second channel, answered or refused: then it opens anew with the next
 * question, and the reason, which its close names, is nothing a publish depends on. */
static int on_depth(struct mr_publisher *publisher, const amqp_frame_t *frame)
{
    const amqp_method_t *method = &frame->payload.method;
    if (method->id == AMQP_QUEUE_DECLARE_OK_METHOD) {
        const amqp_queue_declare_ok_t *ok = method->decoded;
        publisher->depth_cb(publisher->depth_ctx, ok->queue, ok->message_count);
    } else if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        struct mr_err why;
        (void)!mr_amqp_closed(publisher->conn, frame, "asking for the depth of a queue", &why);
        publisher->asking = false;
        publisher->depth_cb(publisher->depth_ctx, amqp_empty_bytes, MR_DEPTH_UNKNOWN);
    }
    return 0;
}

static int on_method(struct mr_publisher *publisher, const amqp_frame_t *frame, struct mr_err *err)
{
    const amqp_method_t *method = &frame->payload.method;
    const amqp_basic_ack_t *ack;
    const amqp_basic_nack_t *nack;
    switch (method->id) {
    case AMQP_BASIC_ACK_METHOD:
        ack = method->decoded;
        return confirm(publisher, ack->delivery_tag, ack->multiple, MR_PUBLISH_OK, err);
    case AMQP_BASIC_NACK_METHOD:
        nack = method->decoded;
        return confirm(publisher, nack->delivery_tag, nack->multiple, MR_PUBLISH_NACKED, err);
    case AMQP_BASIC_RETURN_METHOD:
        return_begins(publisher, method->decoded);
        return 0;
    case AMQP_CONNECTION_BLOCKED_METHOD:
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        publisher->blocked = method->id == AMQP_CONNECTION_BLOCKED_METHOD;
        return 0;
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        return mr_amqp_closed(publisher->conn, frame, "publishing", err);
    default:
        return 0;
    }
}

static int on_frame(struct mr_publisher *publisher, const amqp_frame_t *frame, struct mr_err *err)
{
    switch (frame->frame_type) {
    case AMQP_FRAME_METHOD:
        if (frame->channel == DEPTH_CHANNEL)
            return on_depth(publisher, frame);
        return on_method(publisher, frame, err);
    case AMQP_FRAME_HEADER:
    case AMQP_FRAME_BODY:
        return on_content(publisher, frame, err);
    default:
        return 0;
    }
}

/* Reads until nothing is left, neither in the socket nor in the library's own buffers. */
static int drain(struct mr_publisher *publisher, int timeout_ms, struct mr_err *err)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    int rc = 0;
    for (unsigned frames = 1; rc == 0; frames++) {
        amqp_frame_t frame;
        int status = amqp_simple_wait_frame_noblock(publisher->conn, &frame, &timeout);
        timeout = (struct timeval){0};
        if (status == AMQP_STATUS_TIMEOUT)
            break;
        rc = status == AMQP_STATUS_OK ? on_frame(publisher, &frame, err)
                                      : mr_amqp_status(status, "publishing", err);
        if (frames % RELEASE_EVERY == 0)
            amqp_maybe_release_buffers(publisher->conn);
    }
    amqp_maybe_release_buffers(publisher->conn);
    publisher->undrained = 0;
    publisher->undrained_bytes = 0;
    publisher->drained_ns = now_ns();
    publisher->broken |= rc < 0;
    return rc;
}

static int check_usable(const struct mr_publisher *publisher, struct mr_err *err)
{
    if (publisher->broken)
        return mr_err_set(
            err, -ECONNRESET, MR_CLASS_NETWORK, "publishing: the connection is already lost");
    return 0;
}

static bool drain_due(const struct mr_publisher *publisher)
{
    return publisher->undrained >= DRAIN_MESSAGES || publisher->undrained_bytes >= DRAIN_BYTES ||
           now_ns() - publisher->drained_ns >= DRAIN_NS;
}

static bool is_full(const struct mr_publisher *publisher)
{
    int unsent = 0;
    if (publisher->blocked || publisher->next - publisher->oldest >= publisher->window)
        return true;
    return publisher->undrained == 0 && ioctl(mr_publisher_fd(publisher), SIOCOUTQ, &unsent) == 0 &&
           unsent > UNSENT_MAX;
}

int mr_publisher_new(amqp_connection_state_t conn, int window, mr_publish_cb *cb, void *ctx,
    struct mr_publisher **ret, struct mr_err *err)
{
    assert(conn && cb && window > 0);
    amqp_confirm_select(conn, CHANNEL);
    int rc = mr_amqp_reply(amqp_get_rpc_reply(conn), "asking for confirms", err);
    struct mr_publisher *publisher = rc < 0 ? NULL : calloc(1, sizeof(*publisher));
    struct entry *ring = publisher ? calloc((size_t)window, sizeof(*ring)) : NULL;
    if (!ring) {
        free(publisher);
        mr_amqp_close(conn, false);
        return rc < 0 ? rc : mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory to publish");
    }
    *publisher = (struct mr_publisher){.conn = conn,
        .cb = cb,
        .ctx = ctx,
        .ring = ring,
        .window = (uint64_t)window,
        .oldest = 1,
        .next = 1};
    *ret = publisher;
    return 0;
}

int mr_publisher_open(const struct mr_config_broker *broker, const char *name,
    const struct mr_random *random, mr_publish_cb *cb, void *ctx, struct mr_publisher **ret,
    struct mr_err *err)
{
    amqp_connection_state_t conn;
    int rc = mr_amqp_connect(broker, name, 1, random, &conn, err);
    if (rc < 0)
        return rc;
    rc = mr_amqp_check_exchanges(conn, err);
    if (rc < 0) {
        mr_amqp_close(conn, rc != -ECONNRESET && rc != -ETIMEDOUT);
        return rc;
    }
    return mr_publisher_new(conn, broker->publish_window, cb, ctx, ret, err);
}

struct mr_publisher *mr_publisher_free(struct mr_publisher *publisher)
{
    if (!publisher)
        return NULL;
    cork(publisher, 0);
    mr_amqp_close(publisher->conn, !publisher->broken);
    for (uint64_t tag = publisher->oldest; tag < publisher->next; tag++)
        report(publisher, entry_at(publisher, tag), MR_PUBLISH_LOST,
            "the connection was lost before the broker confirmed it");
    free(publisher->ring);
    free(publisher);
    return NULL;
}

int mr_publisher_publish(struct mr_publisher *publisher, const char *exchange, const char *key,
    const struct mr_headers *headers, const char *body, size_t n, bool mandatory, void *token,
    struct mr_err *err)
{
    amqp_bytes_t to = amqp_cstring_bytes(exchange), by = amqp_cstring_bytes(key);
    struct mr_properties properties;
    int rc = check_usable(publisher, err);
    if (rc == 0 && drain_due(publisher))
        rc = drain(publisher, 0, err);
    if (rc < 0)
        return rc;
    if (is_full(publisher))
        return MR_PUBLISH_FULL;

    cork(publisher, 1);
    mr_headers_encode(headers, &properties);
    int status = amqp_basic_publish(publisher->conn, CHANNEL, to, by, mandatory, 0,
        &properties.props, (amqp_bytes_t){.len = n, .bytes = (void *)(uintptr_t)body});
    if (status != AMQP_STATUS_OK) {
        publisher->broken = true; /* half a message may be on the wire */
        return mr_amqp_status(status, "publishing", err);
    }
    *entry_at(publisher, publisher->next++) = (struct entry){.token = token,
        .route = route_of(to, by),
        .id = headers ? headers->id : no_id,
        .report = mandatory};
    publisher->unconfirmed++;
    publisher->undrained++;
    publisher->undrained_bytes += n;
    return 0;
}

int mr_publisher_poll(struct mr_publisher *publisher, int timeout_ms, struct mr_err *err)
{
    int rc = check_usable(publisher, err);
    if (rc < 0)
        return rc;
    cork(publisher, 0);
    return drain(publisher, timeout_ms, err);
}

/* Passive declares are the one way AMQP has to see a depth. Opening the channel is not waited for:
 * the broker takes one frame after the other. */
int mr_publisher_ask(struct mr_publisher *publisher, const char *queue, mr_depth_cb *cb, void *ctx,
    struct mr_err *err)
{
    amqp_channel_open_t open = {0};
    amqp_queue_declare_t declare = {.queue = amqp_cstring_bytes(queue), .passive = 1};
    int rc = check_usable(publisher, err), status = AMQP_STATUS_OK;
    if (rc < 0)
        return rc;
    if (!publisher->asking)
        status = amqp_send_method(publisher->conn, DEPTH_CHANNEL, AMQP_CHANNEL_OPEN_METHOD, &open);
    if (status == AMQP_STATUS_OK)
        status =
            amqp_send_method(publisher->conn, DEPTH_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &declare);
    publisher->asking = true;
    publisher->depth_cb = cb;
    publisher->depth_ctx = ctx;
    publisher->broken |= status != AMQP_STATUS_OK;
    return mr_amqp_status(status, "asking for the depth of a queue", err);
}

size_t mr_publisher_unconfirmed(const struct mr_publisher *publisher)
{
    return publisher->unconfirmed;
}

bool mr_publisher_blocked(const struct mr_publisher *publisher)
{
    return publisher->blocked;
}

int mr_publisher_fd(const struct mr_publisher *publisher)
{
    return amqp_get_sockfd(publisher->conn);
}
