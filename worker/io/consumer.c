#include "worker/io/consumer.h"

#include "common/shard.h"
#include "worker/io/backoff.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define TICK_MS 250 /* far below any heartbeat/2 */
#define RETRY_BASE_MS 200
#define RETRY_MAX_MS 10000
#define RELEASE_EVERY 64 /* frames between two releases of the library's memory */
#define UNSENT_MAX 65536 /* bytes of acks the broker has not taken: wait, a write would block */

enum state {
    IDLE,       /* not started, or waiting to connect again */
    CONNECTING, /* on a libuv thread */
    UP,
    CLOSING, /* saying goodbye on a libuv thread, then closing handles */
};

/* The socket's poll handle outlives the connection until libuv has let go of it. */
struct link {
    uv_poll_t poll;
    struct mr_consumer *consumer;
};

static_assert(MR_LANE_COUNT * MR_LANE_SHARDS_MAX <= MR_CHANNELS_MAX, "a session names its channel");

struct mr_consumer {
    enum state state;
    bool closing, paused, drained;
    unsigned handles; /* open ones, which must be closed before done is called */
    uv_loop_t *loop;
    const struct mr_config_broker *broker;
    const char *name;
    const struct mr_log *log;
    struct mr_clock clock;
    struct mr_random random;
    struct mr_channel_cb cb;
    struct mr_channel *channels; /* one for each shard of each lane */
    unsigned nchannels;
    uint64_t sessions;
    amqp_connection_state_t conn;
    struct link *link;
    uv_timer_t tick, retry;
    uv_prepare_t prepare;
    uv_work_t work; /* at most one of connect and goodbye at a time */
    int connect_rc;
    struct mr_err connect_err;
    unsigned failures; /* in a row; a connection that did not last is one too */
    int64_t up_ms;     /* monotonic; since when */
    void (*done)(void *ctx);
    void *done_ctx;
};

static void connect_later(struct mr_consumer *consumer);

static int64_t now_ms(const struct mr_consumer *consumer)
{
    return mr_mono_ms(&consumer->clock);
}

/* ---- losing the connection ---- */

static void handle_closed(struct mr_consumer *consumer)
{
    assert(consumer->handles > 0);
    if (--consumer->handles == 0 && consumer->done)
        consumer->done(consumer->done_ctx);
}

static void on_handle_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void on_link_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    struct mr_consumer *consumer = link->consumer;
    free(link);
    handle_closed(consumer);
}

/* Takes the connection out of everything that uses it. libuv first, while the descriptor is ours.
 */
static amqp_connection_state_t detach(struct mr_consumer *consumer)
{
    amqp_connection_state_t conn = consumer->conn;
    consumer->conn = NULL;
    uv_close((uv_handle_t *)&consumer->link->poll, on_link_closed);
    consumer->link = NULL;
    for (unsigned i = 0; i < consumer->nchannels; i++) {
        consumer->channels[i].conn = NULL;
        mr_channel_shut(&consumer->channels[i]);
    }
    return conn;
}

static void lost(struct mr_consumer *consumer, const struct mr_err *why)
{
    mr_log(consumer->log, MR_WARN, "broker.consumer_lost", MR_STR("why", why->msg));
    consumer->state = IDLE;
    if (now_ms(consumer) - consumer->up_ms > RETRY_MAX_MS)
        consumer->failures = 0;
    mr_amqp_close(detach(consumer), false);
    connect_later(consumer);
}

/* ---- frames ---- */

static int on_frame(struct mr_consumer *consumer, const amqp_frame_t *frame, struct mr_err *err)
{
    if (frame->channel >= 1 && frame->channel <= consumer->nchannels)
        return mr_channel_on_frame(
            &consumer->channels[frame->channel - 1], frame, now_ms(consumer), err);
    if (frame->frame_type == AMQP_FRAME_METHOD &&
        frame->payload.method.id == AMQP_CONNECTION_CLOSE_METHOD)
        return mr_amqp_closed(consumer->conn, frame, "consuming", err);
    return 0;
}

/* Until nothing is left: data in the buffers of the library or of OpenSSL wakes no poll. Sends
 * heartbeats and notices missing ones as a side effect. */
static int pump(struct mr_consumer *consumer, struct mr_err *err)
{
    int rc = 0;
    for (unsigned frames = 1; rc == 0; frames++) {
        amqp_frame_t frame;
        struct timeval zero = {0};
        int status = amqp_simple_wait_frame_noblock(consumer->conn, &frame, &zero);
        if (status == AMQP_STATUS_TIMEOUT)
            break;
        rc = status == AMQP_STATUS_OK ? on_frame(consumer, &frame, err)
                                      : mr_amqp_status(status, "consuming", err);
        if (frames % RELEASE_EVERY == 0)
            amqp_maybe_release_buffers(consumer->conn);
    }
    amqp_maybe_release_buffers(consumer->conn);
    return rc;
}

static int tick_channels(struct mr_consumer *consumer, struct mr_err *err)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < consumer->nchannels; i++) {
        consumer->channels[i].wanted = !consumer->paused && !consumer->drained;
        rc = mr_channel_tick(&consumer->channels[i], now_ms(consumer), err);
    }
    return rc;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mr_consumer *consumer = ((struct link *)poll->data)->consumer;
    struct mr_err err;
    if (pump(consumer, &err) < 0)
        lost(consumer, &err);
}

static void on_tick(uv_timer_t *timer)
{
    struct mr_consumer *consumer = timer->data;
    struct mr_err err;
    if (consumer->state == UP && pump(consumer, &err) < 0)
        lost(consumer, &err);
}

/* ---- acks ---- */

static void cork(struct mr_consumer *consumer, int on)
{
    (void)setsockopt(amqp_get_sockfd(consumer->conn), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static int flush(struct mr_consumer *consumer, struct mr_err *err)
{
    size_t wanted = 0;
    int rc = 0;
    for (unsigned i = 0; i < consumer->nchannels; i++)
        wanted += consumer->channels[i].acks.wanted;
    if (wanted == 0)
        return 0;
    if (wanted > 1)
        cork(consumer, 1);
    for (unsigned i = 0; rc == 0 && i < consumer->nchannels; i++)
        rc = mr_channel_flush(&consumer->channels[i], err);
    if (wanted > 1)
        cork(consumer, 0);
    return rc;
}

/* Once a turn, before the loop sleeps. A lane is cancelled before its messages are given back: else
 * the broker would hand them out to us again at once, over and over. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct mr_consumer *consumer = prepare->data;
    struct mr_err err;
    int unsent = 0;
    if (consumer->state != UP)
        return;
    if (ioctl(amqp_get_sockfd(consumer->conn), SIOCOUTQ, &unsent) == 0 && unsent > UNSENT_MAX)
        return; /* until the timer wakes the loop */
    if (tick_channels(consumer, &err) < 0 || flush(consumer, &err) < 0)
        lost(consumer, &err);
}

static void want(struct mr_consumer *consumer, uint64_t session, uint64_t tag, bool requeue)
{
    struct mr_channel *channel = &consumer->channels[mr_session_index(session)];
    if (session != 0 && channel->session == session)
        mr_acks_want(&channel->acks, tag, requeue);
}

void mr_consumer_ack(struct mr_consumer *consumer, uint64_t session, uint64_t tag)
{
    want(consumer, session, tag, false);
}

void mr_consumer_requeue(struct mr_consumer *consumer, uint64_t session, uint64_t tag)
{
    want(consumer, session, tag, true);
}

/* ---- connecting ---- */

static void close_handles(struct mr_consumer *consumer)
{
    uv_close((uv_handle_t *)&consumer->tick, on_handle_closed);
    uv_close((uv_handle_t *)&consumer->retry, on_handle_closed);
    uv_close((uv_handle_t *)&consumer->prepare, on_handle_closed);
}

static int attach(struct mr_consumer *consumer, struct mr_err *err)
{
    struct link *link = calloc(1, sizeof(*link));
    int rc = link ? uv_poll_init(consumer->loop, &link->poll, amqp_get_sockfd(consumer->conn))
                  : UV_ENOMEM;
    if (rc < 0) {
        free(link);
        return mr_err_set(err, rc, MR_CLASS_INTERNAL, "watching the socket: %s", uv_strerror(rc));
    }
    link->consumer = consumer;
    link->poll.data = link;
    consumer->link = link;
    consumer->handles++;
    consumer->state = UP;
    consumer->up_ms = now_ms(consumer);
    for (unsigned i = 0; i < consumer->nchannels; i++) {
        consumer->channels[i].conn = consumer->conn;
        consumer->channels[i].retry_ms = 0;
    }
    rc = uv_poll_start(&link->poll, UV_READABLE | UV_DISCONNECT, on_poll);
    if (rc < 0)
        return mr_err_set(err, rc, MR_CLASS_INTERNAL, "watching the socket: %s", uv_strerror(rc));
    mr_log(consumer->log, MR_INFO, "broker.consuming", MR_INT("queues", consumer->nchannels));
    return pump(consumer, err);
}

static void connect_on_thread(uv_work_t *work)
{
    struct mr_consumer *consumer = work->data;
    consumer->connect_rc = mr_amqp_connect(consumer->broker, consumer->name, 0, &consumer->random,
        &consumer->conn, &consumer->connect_err);
}

static void on_connected(uv_work_t *work, int status)
{
    struct mr_consumer *consumer = work->data;
    consumer->state = IDLE;
    if (consumer->closing) {
        consumer->conn = mr_amqp_close(consumer->conn, false);
        close_handles(consumer);
        return;
    }
    if (status == 0 && consumer->connect_rc == 0)
        consumer->connect_rc = attach(consumer, &consumer->connect_err);
    if (status == 0 && consumer->connect_rc == 0)
        return;
    if (consumer->state == UP) {
        lost(consumer, &consumer->connect_err);
        return;
    }
    consumer->conn = mr_amqp_close(consumer->conn, false);
    mr_log(consumer->log, MR_WARN, "broker.unreachable", MR_STR("why", consumer->connect_err.msg),
        MR_INT("failures", consumer->failures));
    connect_later(consumer);
}

static void on_retry(uv_timer_t *timer)
{
    struct mr_consumer *consumer = timer->data;
    assert(consumer->state == IDLE);
    consumer->state = CONNECTING;
    if (uv_queue_work(consumer->loop, &consumer->work, connect_on_thread, on_connected) < 0) {
        consumer->state = IDLE;
        connect_later(consumer);
    }
}

static void connect_later(struct mr_consumer *consumer)
{
    int64_t wait =
        mr_backoff_ms(&consumer->random, consumer->failures++, RETRY_BASE_MS, RETRY_MAX_MS);
    uv_timer_start(&consumer->retry, on_retry, (uint64_t)wait, 0);
}

/* ---- life ---- */

int mr_consumer_new(uv_loop_t *loop, const struct mr_config_broker *broker, const char *pool,
    int slots, const char *name, const struct mr_log *log, const struct mr_channel_cb *cb,
    struct mr_consumer **ret, struct mr_err *err)
{
    struct mr_consumer *consumer = calloc(1, sizeof(*consumer));
    unsigned n = MR_LANE_COUNT * (unsigned)broker->lane_shards;
    struct mr_channel *channels = consumer ? calloc(n, sizeof(*channels)) : NULL;
    if (!channels) {
        free(consumer);
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for the consumer");
    }
    consumer->channels = channels;
    consumer->nchannels = n;
    consumer->loop = loop;
    consumer->broker = broker;
    consumer->name = name;
    consumer->log = log;
    consumer->clock = mr_clock_system();
    consumer->random = mr_random_system();
    consumer->cb = *cb;
    for (unsigned i = 0; i < n; i++) {
        struct mr_channel *channel = &channels[i];
        channel->index = i;
        channel->lane = (enum mr_lane)(i % MR_LANE_COUNT);
        channel->shard = (int)(i / MR_LANE_COUNT);
        channel->prefetch = mr_channel_prefetch(channel->lane, slots);
        channel->sessions = &consumer->sessions;
        channel->cb = &consumer->cb;
        channel->log = log;
        channel->random = &consumer->random;
        mr_lane_queue(pool, channel->lane, channel->shard, channel->queue);
    }
    *ret = consumer;
    return 0;
}

void mr_consumer_start(struct mr_consumer *consumer)
{
    assert(consumer->handles == 0);
    uv_timer_init(consumer->loop, &consumer->tick);
    uv_timer_init(consumer->loop, &consumer->retry);
    uv_prepare_init(consumer->loop, &consumer->prepare);
    consumer->handles = 3;
    consumer->tick.data = consumer->retry.data = consumer->prepare.data = consumer->work.data =
        consumer;
    uv_timer_start(&consumer->tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(&consumer->retry, on_retry, 0, 0);
    uv_prepare_start(&consumer->prepare, on_prepare);
}

void mr_consumer_pause(struct mr_consumer *consumer, bool paused)
{
    if (consumer->paused == paused)
        return;
    consumer->paused = paused;
    mr_log(consumer->log, MR_WARN, paused ? "broker.paused" : "broker.resumed");
}

struct mr_consumer_view mr_consumer_view(const struct mr_consumer *consumer)
{
    struct mr_consumer_view view = {.connected = consumer->state == UP,
        .paused = consumer->paused,
        .queues = consumer->nchannels};
    for (unsigned i = 0; i < consumer->nchannels && view.connected; i++)
        view.consuming += consumer->channels[i].state == MR_CHANNEL_CONSUMING;
    return view;
}

void mr_consumer_drain(struct mr_consumer *consumer)
{
    consumer->drained = true;
}

static void goodbye_on_thread(uv_work_t *work)
{
    struct mr_consumer *consumer = work->data;
    consumer->conn = mr_amqp_close(consumer->conn, true);
}

static void on_goodbye(uv_work_t *work, int status)
{
    close_handles(work->data);
}

void mr_consumer_close(struct mr_consumer *consumer, void (*done)(void *ctx), void *ctx)
{
    struct mr_err err;
    assert(!consumer->closing);
    consumer->closing = true;
    consumer->done = done;
    consumer->done_ctx = ctx;
    if (consumer->handles == 0) { /* never started */
        done(ctx);
        return;
    }
    uv_timer_stop(&consumer->retry);
    if (consumer->state == CONNECTING)
        return; /* on_connected goes on */
    if (consumer->state != UP) {
        close_handles(consumer);
        return;
    }
    consumer->state = CLOSING;
    bool polite = flush(consumer, &err) == 0;
    amqp_connection_state_t conn = detach(consumer);
    if (polite) {
        consumer->conn = conn;
        polite = uv_queue_work(consumer->loop, &consumer->work, goodbye_on_thread, on_goodbye) == 0;
    }
    if (!polite) {
        consumer->conn = mr_amqp_close(conn, false);
        close_handles(consumer);
    }
}

struct mr_consumer *mr_consumer_free(struct mr_consumer *consumer)
{
    if (!consumer)
        return NULL;
    assert(consumer->handles == 0);
    for (unsigned i = 0; i < consumer->nchannels; i++)
        mr_channel_deinit(&consumer->channels[i]);
    free(consumer->channels);
    free(consumer);
    return NULL;
}
