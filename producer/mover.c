#include "producer/mover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_MS 100
#define SILENCE_MS 30000 /* without a confirm */

int mr_moved_by_id(const void *a, const void *b)
{
    const struct mr_moved *x = a, *y = b;
    return memcmp(x->id.bytes, y->id.bytes, sizeof(x->id.bytes));
}

static struct mr_moved *find(struct mr_mover *m, const struct mr_headers_copy *headers)
{
    struct mr_moved key = {.id = headers->headers.id};
    return headers->has_id ? bsearch(&key, m->items, m->nitems, sizeof(key), mr_moved_by_id) : NULL;
}

/* The letter is gone only once its copy is safe. */
static void on_confirm(void *ctx, void *token, enum mr_publish_result result, const char *why)
{
    struct mr_mover *m = ctx;
    struct mr_moved *item = token;
    m->confirm_ms = mr_mono_ms(&m->cli->clock);
    if (result == MR_PUBLISH_OK) {
        item->outcome =
            mr_deadq_ack(&m->queue, item->tag, &m->err) == 0 ? MR_MOVED_GONE : MR_MOVED_FAILED;
        why = m->err.msg;
    } else {
        item->outcome = MR_MOVED_FAILED;
    }
    if (item->outcome == MR_MOVED_FAILED)
        item->why = strdup(why ? why : "not confirmed");
}

/* The lane the job came from; a letter that does not say goes to the start of its pipeline. */
static void origin_of(struct mr_mover *m, const struct mr_headers *headers,
    char ret_pool[static MR_NAME_MAX + 1], enum mr_lane *ret_lane)
{
    if (headers->origin && mr_lane_key_parse(headers->origin, ret_pool, ret_lane) == 0)
        return;
    const struct mr_pipeline *pipeline =
        headers->pipeline ? mr_config_pipeline(m->cli->config, headers->pipeline, 0) : NULL;
    int priority = headers->priority >= 1 && headers->priority <= 10 ? headers->priority
                                                                     : MR_ENVELOPE_DEFAULT_PRIORITY;
    snprintf(ret_pool, MR_NAME_MAX + 1, "%s", pipeline ? pipeline->steps[0].pool : "main");
    *ret_lane = mr_lane_of_priority(priority);
}

static int poll_publisher(struct mr_mover *m, int wait_ms)
{
    int r = mr_publisher_poll(m->publisher, wait_ms, &m->err);
    if (r == 0 && mr_mono_ms(&m->cli->clock) - m->confirm_ms > SILENCE_MS)
        r = mr_err_set(&m->err, -ETIMEDOUT, MR_CLASS_NETWORK,
            "RabbitMQ has confirmed nothing for %d s", SILENCE_MS / 1000);
    return r;
}

/* Above both what the letter and what the database say, or a worker takes it for an old copy. */
static int32_t next_replay(
    struct mr_mover *m, const struct mr_moved *item, const struct mr_headers *h)
{
    long known = strtol(PQgetvalue(m->jobs, item->row, MR_DC_REPLAYS), NULL, 10);
    long last = known > h->replay ? known : h->replay;
    return (int32_t)last + 1;
}

static int ask(void *ctx, const char *queue, struct mr_err *err)
{
    struct mr_mover *m = ctx;
    return mr_publisher_ask(m->publisher, queue, mr_shards_answered, m->shards, err);
}

static int try_publish(struct mr_mover *m, struct mr_moved *item,
    const struct mr_dead_letter *letter, const struct mr_headers *headers)
{
    char pool[MR_NAME_MAX + 1];
    enum mr_lane lane;
    struct mr_shard *shard;
    origin_of(m, &letter->headers.headers, pool, &lane);
    int r = mr_shards_choose(m->shards, headers->tenant ? headers->tenant : "", pool, lane,
        mr_mono_ms(&m->cli->clock), &shard, &m->err);
    if (r != 0)
        return r;
    r = mr_publisher_publish(m->publisher, MR_EX_JOBS, shard->key, headers, letter->body,
        letter->len, true, item, &m->err);
    if (r == 0)
        mr_shards_sent(shard);
    return r;
}

static int publish(struct mr_mover *m, struct mr_moved *item, const struct mr_dead_letter *letter)
{
    const struct mr_headers *old = &letter->headers.headers;
    struct mr_headers headers = {.id = old->id,
        .tenant = old->tenant,
        .pipeline = old->pipeline,
        .priority = old->priority,
        .replay = next_replay(m, item, old)};
    if (mr_publisher_unconfirmed(m->publisher) == 0)
        m->confirm_ms = mr_mono_ms(&m->cli->clock);
    for (;;) {
        int r = try_publish(m, item, letter, &headers);
        if (r <= 0)
            return r;
        r = poll_publisher(m, SLICE_MS);
        if (r < 0)
            return r;
    }
}

static int settle(struct mr_mover *m, struct mr_moved *item)
{
    while (item->outcome == MR_MOVED_SENT) {
        int r = poll_publisher(m, SLICE_MS);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take(struct mr_mover *m, const struct mr_dead_letter *letter)
{
    struct mr_moved *item = find(m, &letter->headers);
    if (!item)
        return 0;                            /* goes back when the queue is closed */
    if (item->outcome != MR_MOVED_WAITING) { /* a second letter of the same job */
        int r = settle(m, item);
        return r == 0 && item->outcome == MR_MOVED_GONE
                   ? mr_deadq_ack(&m->queue, letter->tag, &m->err)
                   : r;
    }
    m->open--;
    item->tag = letter->tag;
    if (m->replay) {
        item->outcome = MR_MOVED_SENT;
        int r = publish(m, item, letter);
        if (r < 0)
            item->outcome = MR_MOVED_FAILED;
        return r;
    }
    int r = mr_deadq_ack(&m->queue, letter->tag, &m->err);
    item->outcome = r == 0 ? MR_MOVED_GONE : MR_MOVED_FAILED;
    return r;
}

static int go_through(struct mr_mover *m)
{
    struct mr_dead_letter letter;
    int r = 0;
    while (m->open > 0 && (r = mr_deadq_next(&m->queue, &letter, &m->err)) > 0) {
        r = take(m, &letter);
        mr_dead_letter_deinit(&letter);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; r == 0 && i < m->nitems; i++)
        r = settle(m, &m->items[i]);
    return r;
}

static int open_publisher(struct mr_mover *m)
{
    amqp_connection_state_t conn;
    const struct mr_config_broker *broker = &m->cli->config->broker;
    int r = mr_shards_new(broker->lane_shards, ask, m, &m->shards);
    if (r < 0)
        return mr_err_set(&m->err, r, MR_CLASS_INTERNAL, "out of memory");
    r = mr_amqp_connect(broker, "millrace dlq", 1, &m->cli->random, &conn, &m->err);
    if (r < 0)
        return r;
    return mr_publisher_new(conn, broker->publish_window, on_confirm, m, &m->publisher, &m->err);
}

int mr_mover_run(struct mr_mover *m)
{
    int r = mr_deadq_open(&m->cli->config->broker, &m->cli->random, &m->queue, &m->err);
    if (r < 0)
        return r;
    if (m->replay)
        r = open_publisher(m);
    if (r == 0)
        r = go_through(m);
    struct mr_err err = m->err; /* freeing reports what is still open, and may write to it */
    m->publisher = mr_publisher_free(m->publisher);
    m->shards = mr_shards_free(m->shards);
    mr_deadq_close(&m->queue);
    m->err = err;
    return r;
}
