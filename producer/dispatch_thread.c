/* One connection, many jobs. A job is "sent" once it may have reached the broker; from then on only
 * a confirm or a refusal makes certain what became of it. */
#include "producer/dispatch_thread.h"

#include "common/amqp.h"
#include "producer/shards.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_FIRST_MS 100
#define CONNECT_MAX_MS 5000
#define SLEEP_MAX_MS 500 /* far below any heartbeat/2 */
#define LOOK_MS 50       /* between two looks at time limits */
#define NACKS_MAX 4      /* then the connection is renewed: see amqp.h */

/* A job here. It outlives its report while the library may still tell of it. */
struct item {
    struct item *prev, *next; /* in the list it is in */
    struct mr_post *post;     /* NULL: reported */
    struct mr_shipment *shipment;
    int64_t until_ms;
    unsigned sends; /* on any connection */
};

struct items {
    struct item *first, *last;
};

struct dispatch {
    struct mr_dispatch_shared *shared;
    struct mr_clock clock;
    struct mr_random random;
    struct mr_publisher *publisher; /* NULL: no connection */
    struct mr_shards *shards;
    struct items ready;  /* to be published, or published again */
    struct items flying; /* published, the library knows them */
    struct mr_post_list reported;
    struct mr_err err; /* why there is no connection */
    unsigned nacks;
    unsigned failures; /* connects in a row */
    int64_t connect_ms, look_ms;
    bool renew;
};

static int64_t now_ms(const struct dispatch *d)
{
    return mr_mono_ms(&d->clock);
}

/* ---- lists ---- */

static void append(struct items *items, struct item *item)
{
    item->next = NULL;
    item->prev = items->last;
    if (items->last)
        items->last->next = item;
    else
        items->first = item;
    items->last = item;
}

static void take_out(struct items *items, struct item *item)
{
    if (item->prev)
        item->prev->next = item->next;
    else
        items->first = item->next;
    if (item->next)
        item->next->prev = item->prev;
    else
        items->last = item->prev;
}

/* ---- reports ---- */

static void report(struct dispatch *d, struct item *item, enum mr_post_fate fate, const char *why)
{
    struct mr_post *post = item->post;
    item->shipment = mr_shipment_free(item->shipment);
    item->post = NULL;
    if (!post)
        return;
    post->result.fate = fate;
    snprintf(post->result.why, sizeof(post->result.why), "%s", why);
    mr_post_list_push(&d->reported, post);
}

/* What is refused now may have got through on an earlier connection. */
static enum mr_post_fate refusal(const struct item *item)
{
    return item->sends > 1 ? MR_POST_UNKNOWN : MR_POST_NOT;
}

static void on_result(void *ctx, void *token, enum mr_publish_result result, const char *why)
{
    struct dispatch *d = ctx;
    struct item *item = token;
    take_out(&d->flying, item);
    switch (result) {
    case MR_PUBLISH_OK:
        report(d, item, MR_POST_CONFIRMED, "");
        break;
    case MR_PUBLISH_RETURNED:
        report(d, item, refusal(item), why ? why : "no queue takes it");
        break;
    case MR_PUBLISH_NACKED:
        d->renew |= ++d->nacks >= NACKS_MAX;
        report(d, item, refusal(item), "the queue is full or failing and refuses more");
        break;
    case MR_PUBLISH_LOST:
        if (item->post) {
            append(&d->ready, item);
            return;
        }
        break;
    }
    free(item);
}

/* ---- the connection ---- */

static int ask(void *ctx, const char *queue, struct mr_err *err)
{
    struct dispatch *d = ctx;
    return mr_publisher_ask(d->publisher, queue, mr_shards_answered, d->shards, err);
}

static void share_socket(struct dispatch *d, int fd)
{
    uv_mutex_lock(&d->shared->lock);
    d->shared->socket_fd = fd;
    uv_mutex_unlock(&d->shared->lock);
}

static void tell_state(struct dispatch *d, enum mr_dispatch_state state, const char *why)
{
    struct mr_dispatch_shared *shared = d->shared;
    uv_mutex_lock(&shared->lock);
    shared->state = state;
    snprintf(shared->why, sizeof(shared->why), "%s", why);
    uv_mutex_unlock(&shared->lock);
}

static void drop(struct dispatch *d)
{
    /* What was in flight comes back behind what waits, and goes out again under its own id. */
    share_socket(d, -1);
    d->publisher = mr_publisher_free(d->publisher);
    mr_shards_lost(d->shards);
    d->nacks = 0;
    d->renew = false;
}

static void lose(struct dispatch *d)
{
    mr_log(d->shared->options.log, MR_WARN, "broker.lost", MR_STR("why", d->err.msg));
    drop(d);
    d->connect_ms = 0; /* at once: it may have been this connection only */
    d->failures = 0;
}

static void try_connect(struct dispatch *d)
{
    if (now_ms(d) < d->connect_ms)
        return;
    int r = mr_publisher_open(d->shared->options.broker, "millrace serve", &d->random, on_result, d,
        &d->publisher, &d->err);
    if (r == 0) {
        mr_log(d->shared->options.log, MR_INFO, "broker.connected");
        tell_state(d, MR_DISPATCH_UP, "");
        share_socket(d, mr_publisher_fd(d->publisher));
        d->failures = 0;
        return;
    }
    int64_t wait = CONNECT_FIRST_MS << (d->failures < 6 ? d->failures : 6);
    wait = wait < CONNECT_MAX_MS ? wait : CONNECT_MAX_MS;
    d->connect_ms = now_ms(d) + wait / 2 + (int64_t)mr_random_below(&d->random, (uint64_t)wait / 2);
    if (d->failures++ == 0)
        mr_log(d->shared->options.log, MR_WARN, "broker.unreachable", MR_STR("why", d->err.msg));
    tell_state(d, MR_DISPATCH_DOWN, d->err.msg);
}

/* ---- publishing ---- */

/* 0; 1 when it has to wait; negative when the connection is gone. */
static int publish(struct dispatch *d, struct item *item)
{
    struct mr_shipment *shipment = item->shipment;
    struct mr_headers headers = {.id = shipment->id,
        .tenant = shipment->tenant,
        .pipeline = shipment->pipeline,
        .priority = shipment->priority};
    struct mr_shard *shard;
    int r = mr_shards_choose(
        d->shards, shipment->tenant, shipment->pool, shipment->lane, now_ms(d), &shard, &d->err);
    if (r != 0)
        return r;
    r = mr_publisher_publish(d->publisher, MR_EX_JOBS, shard->key, &headers, shipment->body,
        shipment->len, true, item, &d->err);
    if (r == MR_PUBLISH_FULL)
        return r;
    item->sends++; /* even when it failed: half of it may be on the wire */
    if (r == 0)
        mr_shards_sent(shard);
    return r;
}

static int publish_ready(struct dispatch *d)
{
    while (d->ready.first && !d->renew) {
        struct item *item = d->ready.first;
        int r = publish(d, item);
        if (r != 0)
            return r < 0 ? r : 0;
        take_out(&d->ready, item);
        append(&d->flying, item);
    }
    return 0;
}

/* How long the eldest may hang before the connection is given up: not when the broker has said that
 * it takes nothing. */
static bool is_stuck(const struct dispatch *d, int64_t now)
{
    return d->flying.first && !mr_publisher_blocked(d->publisher) &&
           now > d->flying.first->until_ms + d->shared->options.timeout_ms;
}

static void look_at_limits(struct dispatch *d)
{
    int64_t now = now_ms(d);
    if (now < d->look_ms)
        return;
    d->look_ms = now + LOOK_MS;
    bool blocked = d->publisher && mr_publisher_blocked(d->publisher);
    const char *what = blocked ? "RabbitMQ has stopped taking messages (memory or disk alarm)"
                       : d->publisher  ? "RabbitMQ has not confirmed it in time"
                       : d->err.msg[0] ? d->err.msg
                                       : "no connection to RabbitMQ";
    for (struct item *item = d->flying.first; item; item = item->next)
        if (item->post && now >= item->until_ms)
            report(d, item, MR_POST_UNKNOWN, what);
    for (struct item *item = d->ready.first, *next; item; item = next) {
        next = item->next;
        /* Nobody needs to wait for a broker that has said no. */
        if (now < item->until_ms && (item->sends || (!blocked && (d->publisher || !d->failures))))
            continue;
        report(d, item, item->sends ? MR_POST_UNKNOWN : MR_POST_NOT, what);
        take_out(&d->ready, item);
        free(item);
    }
}

static void work(struct dispatch *d)
{
    int r = publish_ready(d);
    if (r == 0)
        r = mr_publisher_poll(d->publisher, 0, &d->err);
    if (r == 0 && is_stuck(d, now_ms(d)))
        r = mr_err_set(&d->err, -ETIMEDOUT, MR_CLASS_NETWORK, "confirms do not come");
    if (r < 0) {
        lose(d);
        return;
    }
    if (d->renew && mr_publisher_unconfirmed(d->publisher) == 0)
        drop(d);
    else
        tell_state(
            d, mr_publisher_blocked(d->publisher) ? MR_DISPATCH_BLOCKED : MR_DISPATCH_UP, "");
}

/* ---- the loop ---- */

static void take_in(struct dispatch *d, struct mr_post *posts)
{
    int64_t until = now_ms(d) + d->shared->options.timeout_ms;
    for (struct mr_post *post = posts, *next; post; post = next) {
        next = post->next;
        struct item *item = calloc(1, sizeof(*item));
        struct item nobody = {.post = post, .shipment = post->shipment};
        post->shipment = NULL;
        if (!item) {
            report(d, &nobody, MR_POST_NOT, "out of memory");
            continue;
        }
        *item = nobody;
        item->until_ms = until;
        append(&d->ready, item);
    }
}

/* Inbox in, results out. False: stop. */
static bool exchange(struct dispatch *d)
{
    struct mr_dispatch_shared *shared = d->shared;
    struct mr_post_list posts;
    uint64_t count;
    bool news = d->reported.first;
    ssize_t n = read(shared->wake_fd, &count, sizeof(count)); /* emptied before the look */
    (void)n;
    mr_post_list_init(&posts);
    uv_mutex_lock(&shared->lock);
    mr_post_list_splice(&posts, &shared->inbox);
    mr_post_list_splice(&shared->outbox, &d->reported);
    shared->turn_ms = now_ms(d);
    bool stop = shared->stop;
    uv_mutex_unlock(&shared->lock);
    if (news)
        shared->notify(shared->notify_ctx);
    take_in(d, posts.first);
    return !stop;
}

static void wait_for_news(const struct dispatch *d)
{
    struct pollfd fds[2] = {
        {.fd = d->shared->wake_fd, .events = POLLIN},
        {.fd = d->publisher ? mr_publisher_fd(d->publisher) : -1, .events = POLLIN},
    };
    int64_t wait = SLEEP_MAX_MS;
    if (!d->publisher && d->connect_ms - now_ms(d) < wait)
        wait = d->connect_ms - now_ms(d);
    if ((d->ready.first || d->flying.first) && wait > LOOK_MS)
        wait = LOOK_MS;
    (void)poll(fds, 2, wait < 0 ? 0 : (int)wait);
}

static void finish(struct dispatch *d)
{
    struct mr_dispatch_shared *shared = d->shared;
    drop(d);
    for (struct item *item = d->ready.first, *next; item; item = next) {
        next = item->next;
        report(d, item, item->sends ? MR_POST_UNKNOWN : MR_POST_NOT, "the service is stopping");
        free(item);
    }
    d->shards = mr_shards_free(d->shards);
    uv_mutex_lock(&shared->lock);
    mr_post_list_splice(&shared->outbox, &d->reported);
    shared->finished = true;
    uv_mutex_unlock(&shared->lock);
    shared->notify(shared->notify_ctx);
}

void mr_dispatch_thread(void *arg)
{
    struct mr_dispatch_shared *shared = arg;
    struct dispatch d = {
        .shared = shared, .clock = mr_clock_system(), .random = mr_random_system()};
    mr_post_list_init(&d.reported);
    if (mr_shards_new(shared->options.broker->lane_shards, ask, &d, &d.shards) < 0)
        abort(); /* no memory at the very beginning */
    while (exchange(&d)) {
        if (!d.publisher)
            try_connect(&d);
        if (d.publisher)
            work(&d);
        look_at_limits(&d);
        if (!d.reported.first)
            wait_for_news(&d);
    }
    finish(&d);
}
