#include "producer/sender.h"

#include "producer/shards.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (32 << 20) /* bodies on their way, in all */
#define SLICE_MS 100         /* the longest wait without a look at signals */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 5000
#define STALL_NOTE_MS 2000 /* when a silence is worth a word */

struct mr_sender {
    struct mr_sender_world world;
    struct mr_publisher *publisher; /* NULL while there is no connection */
    struct mr_shards *shards;
    struct mr_shipment *first, **last;      /* to be published, or published again */
    struct mr_shipment *eldest, **youngest; /* in the order of put, those sent back left out */
    size_t held, bytes;                     /* not reported yet, published or not */
    int64_t progress_ms;                    /* when the broker last took something */
    int64_t connect_ms;                     /* not to be tried before */
    int64_t backoff_ms;
    bool noted; /* the user knows that nothing moves */
    bool given_up;
    struct mr_err err; /* why there is no connection */
};

static int64_t now_ms(const struct mr_sender *s)
{
    return mr_mono_ms(&s->world.clock);
}

/* Between a half and the whole of it, so that many clients do not come back at once. */
static int64_t jitter(const struct mr_sender *s, int64_t ms)
{
    return ms / 2 + (int64_t)mr_random_below(&s->world.random, (uint64_t)(ms / 2 + 1));
}

struct mr_shipment *mr_shipment_free(struct mr_shipment *shipment)
{
    if (shipment) {
        free(shipment->body);
        free(shipment->source);
        free(shipment->why);
        free(shipment);
    }
    return NULL;
}

static void report(struct mr_sender *s, struct mr_shipment *shipment)
{
    assert(s->held > 0);
    s->held--;
    s->bytes -= shipment->len;
    s->world.fate(s->world.fate_ctx, shipment, shipment->fate, shipment->why ? shipment->why : "");
    mr_shipment_free(shipment);
}

static void report_in_order(struct mr_sender *s)
{
    while (s->eldest && s->eldest->decided) {
        struct mr_shipment *eldest = s->eldest;
        s->eldest = eldest->younger;
        if (!s->eldest)
            s->youngest = &s->eldest;
        report(s, eldest);
    }
}

static void decide(
    struct mr_sender *s, struct mr_shipment *shipment, enum mr_fate fate, const char *why)
{
    shipment->decided = true;
    shipment->fate = fate;
    shipment->why = *why ? strdup(why) : NULL;
    if (shipment->nacks > 0)
        report(s, shipment);
    else
        report_in_order(s);
}

/* Nobody waits for one whose queue is full. */
static void leave_order(struct mr_sender *s, struct mr_shipment *shipment)
{
    struct mr_shipment **at = &s->eldest;
    while (*at != shipment)
        at = &(*at)->younger;
    *at = shipment->younger;
    if (!*at)
        s->youngest = at;
    report_in_order(s);
}

static void append(struct mr_sender *s, struct mr_shipment *shipment)
{
    shipment->next = NULL;
    *s->last = shipment;
    s->last = &shipment->next;
}

static struct mr_shipment *take_first(struct mr_sender *s)
{
    struct mr_shipment *shipment = s->first;
    s->first = shipment->next;
    if (!s->first)
        s->last = &s->first;
    return shipment;
}

static void moved(struct mr_sender *s)
{
    s->progress_ms = now_ms(s);
    s->noted = false;
}

/* A full queue: again a little later, for as long as the user wants to wait. */
static void nacked(struct mr_sender *s, struct mr_shipment *shipment)
{
    int64_t now = now_ms(s), wait = BACKOFF_FIRST_MS << (shipment->nacks < 6 ? shipment->nacks : 6);
    if (now - shipment->first_ms > s->world.timeout_ms) {
        decide(s, shipment, MR_FATE_REFUSED, "the queue is full and refuses more");
        return;
    }
    if (shipment->nacks++ == 0)
        leave_order(s, shipment);
    shipment->retry_ms = now + jitter(s, wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
    append(s, shipment);
}

static void on_result(void *ctx, void *token, enum mr_publish_result result, const char *why)
{
    struct mr_sender *s = ctx;
    struct mr_shipment *shipment = token;
    switch (result) {
    case MR_PUBLISH_OK:
        moved(s);
        decide(s, shipment, MR_FATE_CONFIRMED, "");
        return;
    case MR_PUBLISH_RETURNED:
        moved(s);
        decide(s, shipment, MR_FATE_REFUSED, why ? why : "no queue takes it; run millrace init");
        return;
    case MR_PUBLISH_NACKED:
        nacked(s, shipment);
        return;
    case MR_PUBLISH_LOST:
        append(s, shipment);
        return;
    }
}

static int ask(void *ctx, const char *queue, struct mr_err *err)
{
    struct mr_sender *s = ctx;
    return mr_publisher_ask(s->publisher, queue, mr_shards_answered, s->shards, err);
}

/* Once. */
static int connect_now(struct mr_sender *s)
{
    return mr_publisher_open(s->world.broker, "millrace enqueue", &s->world.random, on_result, s,
        &s->publisher, &s->err);
}

static int64_t grow_backoff(struct mr_sender *s)
{
    s->backoff_ms = s->backoff_ms * 2 < BACKOFF_MAX_MS ? s->backoff_ms * 2 : BACKOFF_MAX_MS;
    return jitter(s, s->backoff_ms);
}

static void note_absence(struct mr_sender *s)
{
    char text[MR_ERR_MAX + 96];
    snprintf(text, sizeof(text), "RabbitMQ cannot be reached (%s); trying for up to %lld s",
        s->err.msg, (long long)(s->world.timeout_ms / 1000));
    s->world.note(s->world.note_ctx, text);
    s->noted = true;
}

/* What no host says may pass; what one says, such as that the password is wrong, stays so. */
static int connect_first(struct mr_sender *s)
{
    const int64_t deadline = now_ms(s) + s->world.timeout_ms;
    int r;
    s->backoff_ms = BACKOFF_FIRST_MS;
    while ((r = connect_now(s)) < 0 && s->err.class == MR_CLASS_NETWORK) {
        int64_t left = deadline - now_ms(s), wait = grow_backoff(s);
        if (left <= 0)
            return r;
        if (!s->noted)
            note_absence(s);
        wait = now_ms(s) + (wait < left ? wait : left);
        for (int64_t rest; (rest = wait - now_ms(s)) > 0;) {
            mr_signals_wait(s->world.signals, -1, -1, rest < SLICE_MS ? (int)rest : SLICE_MS);
            if (mr_signals_hit(s->world.signals))
                return mr_err_set(&s->err, -EINTR, MR_CLASS_CANCELLED, "interrupted");
        }
    }
    if (r == 0 && s->noted)
        s->world.note(s->world.note_ctx, "connected to RabbitMQ");
    s->noted = false;
    return r;
}

static void give_up(struct mr_sender *s, const char *why)
{
    s->given_up = true;
    s->publisher = mr_publisher_free(s->publisher); /* brings the unconfirmed ones back */
    while (s->first)
        decide(s, take_first(s), MR_FATE_FAILED, why);
}

static void lost(struct mr_sender *s)
{
    char text[MR_ERR_MAX + 96];
    s->publisher = mr_publisher_free(s->publisher);
    mr_shards_lost(s->shards);
    s->backoff_ms = BACKOFF_FIRST_MS;
    s->connect_ms = now_ms(s) + jitter(s, s->backoff_ms);
    snprintf(text, sizeof(text),
        "connection to RabbitMQ lost (%s); connecting again for up to %lld s", s->err.msg,
        (long long)(s->world.timeout_ms / 1000));
    s->world.note(s->world.note_ctx, text);
    s->noted = true;
}

static void reconnect(struct mr_sender *s, int wait_ms)
{
    int64_t left = s->connect_ms - now_ms(s);
    if (left > 0) {
        mr_signals_wait(s->world.signals, -1, -1, left < wait_ms ? (int)left : wait_ms);
        return;
    }
    if (connect_now(s) == 0) {
        s->world.note(s->world.note_ctx, "connected to RabbitMQ again");
        return;
    }
    s->connect_ms = now_ms(s) + grow_backoff(s);
}

/* 0, 1 when it has to wait (the window is full, or how deep its shards are is not known yet), or
 * negative as mr_publisher_publish. */
static int publish(struct mr_sender *s, struct mr_shipment *shipment, int64_t now)
{
    struct mr_headers headers = {.id = shipment->id,
        .tenant = shipment->tenant,
        .pipeline = shipment->pipeline,
        .priority = shipment->priority};
    struct mr_shard *shard;
    int r = mr_shards_choose(
        s->shards, shipment->tenant, shipment->pool, shipment->lane, now, &shard, &s->err);
    if (r != 0)
        return r;
    r = mr_publisher_publish(s->publisher, MR_EX_JOBS, shard->key, &headers, shipment->body,
        shipment->len, true, shipment, &s->err);
    if (r == 0)
        mr_shards_sent(shard);
    return r;
}

/* Publishes what is due. Negative: the connection is gone. */
static int publish_due(struct mr_sender *s)
{
    int64_t now = now_ms(s);
    for (size_t n = s->held; s->first && n > 0; n--) {
        struct mr_shipment *shipment = take_first(s);
        if (shipment->retry_ms > now) {
            append(s, shipment);
            continue;
        }
        int r = publish(s, shipment, now);
        if (r != 0) { /* full, or the connection is gone: back where it was */
            shipment->next = s->first;
            s->first = shipment;
            if (!shipment->next)
                s->last = &shipment->next;
            return r < 0 ? r : 0;
        }
    }
    return 0;
}

static void judge_silence(struct mr_sender *s)
{
    int64_t silence = now_ms(s) - s->progress_ms;
    char text[MR_ERR_MAX + 96];
    if (s->held == 0 || silence < STALL_NOTE_MS)
        return;
    bool blocked = s->publisher && mr_publisher_blocked(s->publisher);
    const char *what = blocked ? "RabbitMQ has stopped taking messages (memory or disk alarm)"
                               : "RabbitMQ does not answer";
    if (silence < s->world.timeout_ms) {
        if (!s->noted) {
            snprintf(text, sizeof(text), "%s; waiting for up to %lld s", what,
                (long long)(s->world.timeout_ms / 1000));
            s->world.note(s->world.note_ctx, text);
        }
        s->noted = true;
        return;
    }
    snprintf(text, sizeof(text), "not confirmed within %lld s: %s",
        (long long)(s->world.timeout_ms / 1000), s->publisher ? what : s->err.msg);
    give_up(s, text);
}

/* One round: publish, hear what the broker says, look at the time. */
static int turn(struct mr_sender *s, int wait_ms)
{
    if (!s->publisher) {
        reconnect(s, wait_ms);
    } else {
        int r = publish_due(s);
        if (r == 0)
            r = mr_publisher_poll(s->publisher, wait_ms, &s->err);
        if (r < 0)
            lost(s);
    }
    judge_silence(s);
    return s->given_up ? -ENOTCONN : 0;
}

int mr_sender_new(const struct mr_sender_world *world, struct mr_sender **ret, struct mr_err *err)
{
    struct mr_sender *s = calloc(1, sizeof(*s));
    if (!s)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    s->world = *world;
    s->last = &s->first;
    s->youngest = &s->eldest;
    int r = mr_shards_new(world->broker->lane_shards, ask, s, &s->shards);
    if (r < 0) {
        free(s);
        return mr_err_set(err, r, MR_CLASS_INTERNAL, "out of memory");
    }
    r = connect_first(s);
    if (r < 0) {
        *err = s->err;
        mr_shards_free(s->shards);
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct mr_sender *mr_sender_free(struct mr_sender *s)
{
    if (s) {
        give_up(s, "interrupted before it was confirmed");
        mr_shards_free(s->shards);
        free(s);
    }
    return NULL;
}

static bool is_full(const struct mr_sender *s)
{
    return s->held >= (size_t)s->world.broker->publish_window ||
           (s->held > 1 && s->bytes > BYTES_MAX);
}

int mr_sender_put(struct mr_sender *s, struct mr_shipment *shipment)
{
    shipment->first_ms = now_ms(s);
    shipment->retry_ms = 0;
    if (s->held++ == 0)
        moved(s);
    s->bytes += shipment->len;
    append(s, shipment);
    *s->youngest = shipment;
    s->youngest = &shipment->younger;
    if (s->given_up) {
        give_up(s, s->err.msg);
        return -ENOTCONN;
    }
    if (s->publisher && publish_due(s) < 0)
        lost(s);
    while (is_full(s)) {
        if (mr_signals_hit(s->world.signals))
            return -EINTR;
        int r = turn(s, SLICE_MS);
        if (r < 0)
            return r;
    }
    return mr_signals_hit(s->world.signals) ? -EINTR : 0;
}

int mr_sender_wait(struct mr_sender *s, int fd)
{
    for (;;) {
        if (mr_signals_hit(s->world.signals))
            return -EINTR;
        int r = turn(s, 0);
        if (r < 0)
            return r;
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, 0) != 0)
            return 0;
        s->world.idle(s->world.note_ctx);
        mr_signals_wait(
            s->world.signals, fd, s->publisher ? mr_publisher_fd(s->publisher) : -1, SLICE_MS);
    }
}

int mr_sender_flush(struct mr_sender *s, int64_t grace_ms)
{
    int64_t start = now_ms(s);
    bool before = mr_signals_hit(s->world.signals);
    while (s->held > 0) {
        if (!before && mr_signals_hit(s->world.signals))
            return -EINTR;
        if (before && now_ms(s) - start > grace_ms)
            return -EINTR;
        int r = turn(s, SLICE_MS);
        if (r < 0)
            return r;
    }
    return s->given_up ? -ENOTCONN : 0;
}
