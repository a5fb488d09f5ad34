/* rabbitmq-c without its traps: connecting, topology, and publishing with confirms.
 * Everything here blocks at most for the configured timeouts and is used by one thread at a time.
 */
#pragma once

#include "common/buf.h"
#include "common/config.h"
#include "common/envelope.h"
#include "common/ids.h"

#include <stdbool.h>
#include <stdint.h>
/* From 0.12 on the old names of its headers are a #warning. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#else
#include <amqp.h>
#endif

#define MR_EX_JOBS "millrace.jobs"
#define MR_EX_DEAD "millrace.dead"
#define MR_EX_EVENTS "millrace.events"
#define MR_QUEUE_DEAD "millrace.dead"
#define MR_QUEUE_MAX 128 /* bytes of a queue or exchange name with its NUL */

enum mr_tier { MR_TIER_5S, MR_TIER_30S, MR_TIER_2M, MR_TIER_10M, MR_TIER_1H, MR_TIER_COUNT };
const char *mr_tier_name(enum mr_tier tier); /* "5s" */
int64_t mr_tier_ms(enum mr_tier tier);
/* The longest tier not longer than the wait (at least 5s): a job that comes home early is delayed
 * again. */
enum mr_tier mr_tier_for(int64_t wait_ms);

/* "millrace.delay.5s": the tier's exchange, and its queue. */
void mr_tier_exchange(enum mr_tier tier, char ret[static MR_QUEUE_MAX]);

/* One shard of a lane: "<pool>.<lane>.<n>" and "millrace.<pool>.<lane>.<n>". */
void mr_lane_key(const char *pool, enum mr_lane lane, int shard, char ret[static MR_QUEUE_MAX]);
void mr_lane_queue(const char *pool, enum mr_lane lane, int shard, char ret[static MR_QUEUE_MAX]);
/* The way back, whichever the shard. 0 or -EINVAL. */
int mr_lane_key_parse(
    const char *key, char ret_pool[static MR_NAME_MAX + 1], enum mr_lane *ret_lane) MR_CHECK;

/* Connects to the first host that answers, beginning at a random one: TLS verified, heartbeat, TCP
 * keepalive and user timeout, capabilities consumer_cancel_notify and connection.blocked, RPC and
 * handshake timeouts. Opens `channels` channels, 1...n. */
int mr_amqp_connect(const struct mr_config_broker *broker, const char *name, int channels,
    const struct mr_random *random, amqp_connection_state_t *ret, struct mr_err *err) MR_CHECK;
/* Closes politely with a bounded wait, or just drops a broken one; NULL is fine; returns NULL. */
amqp_connection_state_t mr_amqp_close(amqp_connection_state_t conn, bool polite);

/* Fills err from an RPC reply. Returns 0 if it was normal; -ECONNRESET or -ETIMEDOUT (class
 * NETWORK) when the connection is lost; -ENOENT, -EEXIST (406), -EACCES (class AUTH) or -EPROTO,
 * otherwise class INVALID, when the broker refused what was asked and only the channel is closed.
 */
int mr_amqp_reply(amqp_rpc_reply_t reply, const char *what, struct mr_err *err) MR_CHECK;
/* The same for a status of the library, and for a channel.close or connection.close that arrived
 * as a frame (which it answers with its -ok, as the protocol wants). */
int mr_amqp_status(int status, const char *what, struct mr_err *err) MR_CHECK;
int mr_amqp_closed(amqp_connection_state_t conn, const amqp_frame_t *frame, const char *what,
    struct mr_err *err) MR_CHECK;

/* Declares exchanges, the lanes of these pools (each of so many shards), delay tiers, the dead
 * queue and bindings. Idempotent; a queue that exists with other arguments gives an error that
 * names it and what to do.
 */
int mr_amqp_topology(amqp_connection_state_t conn, const char *const *pools, size_t npools,
    int lane_shards, struct mr_err *err) MR_CHECK;
/* Whether every exchange is there, without the right to declare one; channel 1. Publishing to a
 * missing one would close the channel under everything else in flight. 0, also when the broker lets
 * nobody look who may not declare (RabbitMQ 4.2.6 and 4.3.0); or -ENOENT with an err that says
 * `millrace init`. */
int mr_amqp_check_exchanges(amqp_connection_state_t conn, struct mr_err *err) MR_CHECK;
/* One of them. */
int mr_amqp_check_exchange(
    amqp_connection_state_t conn, const char *name, struct mr_err *err) MR_CHECK;

/* What a message carries besides its body. NULL strings and zero numbers are left out. */
struct mr_headers {
    struct mr_uuid id; /* message_id */
    const char *tenant, *pipeline;
    int priority; /* informational */
    int32_t hops; /* times published again by a worker (delay, hand-over); x-millrace-hops */
    int32_t
        replay; /* raised by one each time it is replayed from the dead queue; x-millrace-replay */
    /* dead letters only, for a person in the RabbitMQ console: */
    const char *step, *class, *message, *worker;
    int32_t attempts;
    int64_t died_ms;
    const char *spent_usd; /* decimal */
    const char *origin;    /* "<pool>.<lane>.<n>" it came from: a replay goes to that lane */
};

#define MR_HEADER_TENANT "x-millrace-tenant"
#define MR_HEADER_HOPS "x-millrace-hops"
#define MR_HEADER_REPLAY "x-millrace-replay"
#define MR_HEADERS_COUNT 13

/* Headers on their way out: what props points at lives here and in the struct mr_headers. */
struct mr_properties {
    amqp_basic_properties_t props;
    amqp_table_entry_t entries[MR_HEADERS_COUNT];
    char id[MR_UUID_LEN], time[MR_TIME_LEN];
};
/* Persistent JSON with these headers; NULL = none. */
void mr_headers_encode(const struct mr_headers *headers, struct mr_properties *ret);

/* Headers of a delivered message, copied: they outlive the frame. What is missing or of a strange
 * type is NULL or zero. A message the broker dead-lettered itself gets class, message and origin
 * from its x-first-death headers. */
struct mr_headers_copy {
    struct mr_headers headers;
    bool has_id; /* message_id is a UUID */
    char *text;  /* owned; what the strings point into */
};
int mr_headers_decode(const amqp_basic_properties_t *props, struct mr_headers_copy *ret) MR_CHECK;
void mr_headers_copy_deinit(struct mr_headers_copy *copy); /* safe on a zeroed struct */
/* One number without a copy: MR_HEADER_HOPS, MR_HEADER_REPLAY. 0 when absent or negative. */
int32_t mr_header_number(const amqp_basic_properties_t *props, const char *name);
/* One text without an allocation, cut to n-1 bytes: MR_HEADER_TENANT. Empty when absent. */
void mr_header_text(const amqp_basic_properties_t *props, const char *name, char *ret, size_t n);
/* 0, or -EINVAL when there is no message id or it is no UUID. */
int mr_message_id(const amqp_basic_properties_t *props, struct mr_uuid *ret) MR_CHECK;

/* Publishing with confirms on channel 1 of its own connection. No thread, no reconnect: the owner
 * does that. */
struct mr_publisher;
enum mr_publish_result { MR_PUBLISH_OK, MR_PUBLISH_RETURNED, MR_PUBLISH_NACKED, MR_PUBLISH_LOST };
/* A connection that got a NACK may get nothing else from that queue even when its limit is raised
 * later: after a few, connect again. */
typedef void mr_publish_cb(void *ctx, void *token, enum mr_publish_result result, const char *why);

/* Takes ownership of conn (also on error), puts channel 1 in confirm mode. `cb` is called exactly
 * once for each accepted publish, from within publish, poll or free (then as LOST). */
int mr_publisher_new(amqp_connection_state_t conn, int window, mr_publish_cb *cb, void *ctx,
    struct mr_publisher **ret, struct mr_err *err) MR_CHECK;
/* The same with a connection of its own: connects as `name` and sees that the exchanges are there.
 */
int mr_publisher_open(const struct mr_config_broker *broker, const char *name,
    const struct mr_random *random, mr_publish_cb *cb, void *ctx, struct mr_publisher **ret,
    struct mr_err *err) MR_CHECK;
struct mr_publisher *mr_publisher_free(struct mr_publisher *publisher);

/* Drains inbound frames, then publishes one persistent message. mandatory => confirm and return are
 * reported for token; not mandatory (events) => fire and forget, cb is not called. Body and headers
 * are copied to the socket before return. 0; MR_PUBLISH_FULL (1) when the window is full or the
 * broker has sent connection.blocked: poll first; negative: the connection is unusable, free it
 * (which reports LOST) and connect again. */
#define MR_PUBLISH_FULL 1
int mr_publisher_publish(struct mr_publisher *publisher, const char *exchange, const char *key,
    const struct mr_headers *headers, const char *body, size_t n, bool mandatory, void *token,
    struct mr_err *err) MR_CHECK;

/* Handles whatever frames have arrived, waiting up to timeout_ms for the first one; also sends
 * heartbeats, so call it at least every heartbeat/2. 0, or negative as above. */
int mr_publisher_poll(struct mr_publisher *publisher, int timeout_ms, struct mr_err *err) MR_CHECK;
/* Asks how many messages of a queue are ready; the answer comes from within poll or publish,
 * through cb: its number, or MR_DEPTH_UNKNOWN when the broker does not say. Then queue is empty,
 * and all that is still being asked gets no other answer. cb and ctx stay until the next call. 0,
 * or negative as above. */
#define MR_DEPTH_UNKNOWN UINT32_MAX
typedef void mr_depth_cb(void *ctx, amqp_bytes_t queue, uint32_t ready);
int mr_publisher_ask(struct mr_publisher *publisher, const char *queue, mr_depth_cb *cb, void *ctx,
    struct mr_err *err) MR_CHECK;
size_t mr_publisher_unconfirmed(const struct mr_publisher *publisher);
bool mr_publisher_blocked(const struct mr_publisher *publisher);
int mr_publisher_fd(const struct mr_publisher *publisher);
