#include "worker/io/backoff.h"
#include "worker/io/store_int.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_MIN_MS 100
#define RECONNECT_MAX_MS 10000
#define CONFLICT_MIN_MS 20
#define CONFLICT_MAX_MS 5000
#define CONFLICT_WHOLE_MAX                                                                         \
    3                      /* times a group repeats as it is: it may be its size that is wrong     \
                            */
#define TROUBLE_MIN_MS 500 /* errors no repetition is likely to mend: a missing function, a bug */
#define TROUBLE_MAX_MS 30000
#define STUCK_MS 90000 /* longer than any statement may take: the server does not answer */
#define GOODBYE_MS 1000
#define SWEEP_MS 30000

enum state { IDLE, RUNNING, LEAVING, CLOSING };

struct mr_store {
    struct mr_config *config; /* referenced */
    char worker_name[MR_NAME_MAX + 1];
    struct mr_clock clock;
    struct mr_random random;
    const struct mr_log *log;
    struct mr_observe_ops observe;
    struct mr_engine *engine;
    enum state state;
    struct mr_store_link *link;
    struct mr_store_params params;
    int64_t worker;

    uv_prepare_t prepare; /* sends what the turn has brought */
    uv_timer_t beat;
    uv_timer_t wake;   /* a group is due: there is nothing to do but to run a turn */
    uv_timer_t again;  /* connect; when leaving: enough of it */
    unsigned failures; /* connections in a row */
    bool beat_due;
    int64_t swept_ms;
    int64_t sent_us; /* the batch in flight: monotonic */

    struct mr_store_queues queues;

    unsigned open_handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static int64_t now_us(const struct mr_store *store)
{
    return store->clock.mono_ns(store->clock.ctx) / 1000;
}

static void put_back(struct mr_store *store, struct mr_store_group *group)
{
    mr_store_put_back(&store->queues, group);
}

static void on_wake(uv_timer_t *timer)
{
}

/* Nothing of the group was written. */
static void group_failed(struct mr_store *store, struct mr_store_group *group,
    enum mr_pg_fault fault, const struct mr_err *why)
{
    if (fault == MR_PG_DATA && group->count == 1) {
        mr_log(store->log, MR_ERROR, "store.refused", MR_STR("why", why->msg));
        mr_store_refuse(group, why);
        mr_store_deliver(store->engine, group);
        return;
    }
    int64_t pause = 0;
    if (fault != MR_PG_DATA) {
        bool conflict = fault == MR_PG_CONFLICT;
        pause =
            mr_backoff_ms(&store->random, group->tries, conflict ? CONFLICT_MIN_MS : TROUBLE_MIN_MS,
                conflict ? CONFLICT_MAX_MS : TROUBLE_MAX_MS);
        group->tries++;
        mr_log(store->log, conflict ? MR_WARN : MR_ERROR, "store.repeat", MR_STR("why", why->msg),
            MR_INT("items", (int64_t)group->count), MR_INT("tries", group->tries),
            MR_INT("pause_ms", pause));
    }
    group->due_ms = mr_mono_ms(&store->clock) + pause;
    if (group->count > 1 && (fault != MR_PG_CONFLICT || group->tries > CONFLICT_WHOLE_MAX))
        mr_store_put_back_split(&store->queues, group);
    else
        put_back(store, group);
}

/* ---- sending ---- */

static void arm_wake(struct mr_store *store)
{
    int64_t due = mr_store_next_due(&store->queues), now = mr_mono_ms(&store->clock);
    if (due == INT64_MAX)
        uv_timer_stop(&store->wake);
    else
        uv_timer_start(&store->wake, on_wake, due > now ? (uint64_t)(due - now) : 0, 0);
}

static void connection_failed(struct mr_store *store, const struct mr_err *why);

static struct mr_store_caller caller_of(const struct mr_store *store)
{
    return (struct mr_store_caller){
        store->worker, store->config->worker.dead_after_ms, store->config->worker.pool};
}

/* Adds the group's transaction to the batch. False: the connection is unusable. */
static bool add_group(struct mr_store *store, struct mr_store_group *group,
    struct mr_store_segment *segments, size_t *count)
{
    const struct mr_store_caller caller = caller_of(store);
    struct mr_store_segment *segment = &segments[*count];
    struct mr_err err;
    *segment = (struct mr_store_segment){.group = group};
    int rc = mr_store_send_group(mr_store_link_conn(store->link), &store->params, &caller, group,
        segment->statements, &segment->count, &err);
    if (rc == 0) {
        (*count)++;
        return true;
    }
    if (rc != -ECONNRESET) {
        group_failed(store, group, rc == -ENOMEM ? MR_PG_CONFLICT : MR_PG_DATA, &err);
        return true;
    }
    put_back(store, group);
    return false;
}

static bool add_simple(struct mr_store *store, enum mr_store_statement statement,
    struct mr_store_segment *segments, size_t *count)
{
    const struct mr_store_caller caller = caller_of(store);
    segments[(*count)++] = (struct mr_store_segment){.statements = {statement}, .count = 1};
    return mr_store_send_simple(mr_store_link_conn(store->link), statement, &caller) == 0;
}

/* The heartbeat and, with one of them now and then, the sweep. */
static bool add_beat(
    struct mr_store *store, int64_t now, struct mr_store_segment *segments, size_t *count)
{
    store->beat_due = false;
    if (!add_simple(store, MR_STORE_BEAT, segments, count))
        return false;
    if (now - store->swept_ms < SWEEP_MS)
        return true;
    store->swept_ms = now;
    return add_simple(store, MR_STORE_SWEEP, segments, count);
}

static void flush(struct mr_store *store)
{
    struct mr_store_segment segments[MR_STORE_SEGMENTS];
    size_t count = 0;
    bool usable = true;
    int64_t now = mr_mono_ms(&store->clock);
    for (int kind = 0; kind < MR_STORE_KINDS && usable; kind++) {
        struct mr_store_group *group = mr_store_next(&store->queues, (enum mr_store_kind)kind, now);
        if (group)
            usable = add_group(store, group, segments, &count);
    }
    if (usable && store->beat_due)
        usable = add_beat(store, now, segments, &count);
    if (usable && count > 0) {
        store->sent_us = now_us(store);
        mr_store_link_sent(store->link, segments, count);
    } else if (!usable) {
        struct mr_err why;
        mr_pg_error(mr_store_link_conn(store->link), NULL, "lost the database", &why);
        for (size_t i = 0; i < count; i++)
            if (segments[i].group)
                put_back(store, segments[i].group);
        mr_store_link_drop(store->link);
        connection_failed(store, &why);
    }
    arm_wake(store);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct mr_store *store = prepare->data;
    if (store->state == RUNNING && mr_store_link_ready(store->link))
        flush(store);
}

/* ---- the connection ---- */

static void on_again(uv_timer_t *timer)
{
    struct mr_store *store = timer->data;
    mr_store_link_open(store->link);
}

static void connection_failed(struct mr_store *store, const struct mr_err *why)
{
    if (store->state != RUNNING)
        return;
    int64_t pause =
        mr_backoff_ms(&store->random, store->failures++, RECONNECT_MIN_MS, RECONNECT_MAX_MS);
    mr_log(store->log, MR_WARN, "store.lost", MR_STR("why", why->msg), MR_INT("pause_ms", pause));
    uv_timer_start(&store->again, on_again, (uint64_t)pause, 0);
}

static void on_up(struct mr_store *store, int64_t worker)
{
    store->worker = worker;
    mr_log(store->log, MR_INFO, "store.connected", MR_INT("worker", worker));
}

static void finish_leaving(struct mr_store *store);

static void on_down(struct mr_store *store, const struct mr_err *why)
{
    if (store->state == LEAVING)
        finish_leaving(store);
    else
        connection_failed(store, why);
}

static void say_goodbye(struct mr_store *store)
{
    struct mr_store_segment segment;
    size_t count = 0;
    store->sent_us = now_us(store);
    if (add_simple(store, MR_STORE_STOP, &segment, &count))
        mr_store_link_sent(store->link, &segment, 1);
    else
        finish_leaving(store);
}

static void observe(const struct mr_store *store, const struct mr_store_segment *segment)
{
    mr_observe(&store->observe,
        &(struct mr_observation){.what = MR_OBSERVED_BATCH,
            .batch = {.kind = segment->group ? mr_store_kind_name(segment->group->kind)
                                             : mr_store_statements[segment->statements[0]].name,
                .items = segment->group ? segment->group->count : 1,
                .took_us = now_us(store) - store->sent_us,
                .failed = segment->failed,
                .lost_pico = segment->lost_pico}});
}

static void on_ended(struct mr_store *store, const struct mr_store_segment *segment)
{
    observe(store, segment);
    if (!segment->failed)
        store->failures = 0; /* not before: a connection that does not last is a failure too */
    if (segment->group && !segment->failed)
        mr_store_deliver(store->engine, segment->group);
    else if (segment->group)
        group_failed(store, segment->group, segment->fault, &segment->err);
    else if (segment->failed)
        mr_log(store->log, MR_WARN, "store.heartbeat", MR_STR("why", segment->err.msg));
    if (store->state == RUNNING)
        arm_wake(store);
    if (store->state != LEAVING || mr_store_link_busy(store->link))
        return;
    if (segment->group || segment->statements[0] != MR_STORE_STOP)
        say_goodbye(store);
    else
        finish_leaving(store);
}

static void on_beat(uv_timer_t *timer)
{
    struct mr_store *store = timer->data;
    store->beat_due = true;
    if (store->state != RUNNING || !mr_store_link_busy(store->link) ||
        now_us(store) - store->sent_us < STUCK_MS * INT64_C(1000))
        return;
    struct mr_err why;
    mr_err_set(
        &why, 0, MR_CLASS_NETWORK, "the database has not answered for %d s", STUCK_MS / 1000);
    mr_store_link_drop(store->link);
    connection_failed(store, &why);
}

/* ---- what the engine says ---- */

static void push(struct mr_store *store, enum mr_store_kind kind, union mr_store_item item)
{
    mr_store_push(&store->queues, kind, item);
}

static void op_claim(void *ctx, struct mr_claim *claim)
{
    claim->steps = NULL;
    push(ctx, MR_STORE_CLAIMS, (union mr_store_item){.claim = claim});
}

static void op_commit(void *ctx, struct mr_commit *commit)
{
    push(ctx, MR_STORE_COMMITS, (union mr_store_item){.commit = commit});
}

static void op_reject(void *ctx, void *owner, const struct mr_envelope_salvage *who,
    const struct mr_err *why, const char *body, size_t len)
{
    struct mr_store *store = ctx;
    mr_store_push_reject(&store->queues, owner, who, why, body, len);
}

static void op_note_breaker(void *ctx, const struct mr_breaker_note *note)
{
    struct mr_store *store = ctx;
    mr_store_push_note(&store->queues, note);
}

static void op_lease(void *ctx, struct mr_lease *lease)
{
    push(ctx, MR_STORE_LEASES, (union mr_store_item){.lease = lease});
}

struct mr_store_ops mr_store_ops(struct mr_store *store)
{
    return (struct mr_store_ops){.claim = op_claim,
        .commit = op_commit,
        .reject = op_reject,
        .note_breaker = op_note_breaker,
        .lease = op_lease,
        .ctx = store};
}

/* ---- life ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct mr_store *store = handle->data;
    if (--store->open_handles == 0 && store->closed)
        store->closed(store->closed_ctx);
}

static void on_link_closed(struct mr_store *store)
{
    uv_close((uv_handle_t *)&store->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&store->beat, on_handle_closed);
    uv_close((uv_handle_t *)&store->wake, on_handle_closed);
    uv_close((uv_handle_t *)&store->again, on_handle_closed);
}

static const struct mr_store_link_events link_events = {
    .up = on_up,
    .put_back = put_back,
    .down = on_down,
    .ended = on_ended,
    .closed = on_link_closed,
};

int mr_store_new(uv_loop_t *loop, struct mr_config *config, const struct mr_world *world,
    struct mr_store **ret, struct mr_err *err)
{
    struct mr_store *store = calloc(1, sizeof(*store));
    if (!store)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    memcpy(store->worker_name, world->worker, sizeof(store->worker_name));
    store->clock = world->clock;
    store->random = world->random;
    store->log = world->log;
    store->observe = world->observe;
    store->link = mr_store_link_new(loop, store, config, store->worker_name, &link_events);
    if (!store->link) {
        free(store);
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    }
    store->config = mr_config_ref(config);
    store->swept_ms = -SWEEP_MS; /* the first heartbeat asks for one */
    mr_store_params_init(&store->params);
    store->prepare.data = store->beat.data = store->wake.data = store->again.data = store;
    uv_prepare_init(loop, &store->prepare);
    uv_timer_init(loop, &store->beat);
    uv_timer_init(loop, &store->wake);
    uv_timer_init(loop, &store->again);
    store->open_handles = 4;
    *ret = store;
    return 0;
}

void mr_store_start(struct mr_store *store, struct mr_engine *engine)
{
    assert(store->state == IDLE);
    store->engine = engine;
    store->state = RUNNING;
    uint64_t beat = (uint64_t)store->config->worker.heartbeat_ms;
    uv_prepare_start(&store->prepare, on_prepare);
    uv_timer_start(&store->beat, on_beat, beat, beat);
    mr_store_link_open(store->link);
}

int64_t mr_store_worker(const struct mr_store *store)
{
    return store->worker;
}

struct mr_store_view mr_store_view(const struct mr_store *store)
{
    bool busy = mr_store_link_busy(store->link);
    return (struct mr_store_view){
        .connected = mr_store_link_conn(store->link) != NULL,
        .silent_ms = busy ? (now_us(store) - store->sent_us) / 1000 : 0,
        .waiting = mr_store_waiting(&store->queues),
    };
}

static void finish_leaving(struct mr_store *store)
{
    if (store->state != LEAVING)
        return;
    store->state = CLOSING;
    uv_timer_stop(&store->again);
    mr_store_link_close(store->link);
}

static void on_enough(uv_timer_t *timer)
{
    finish_leaving(timer->data);
}

void mr_store_close(struct mr_store *store, void (*closed)(void *ctx), void *ctx)
{
    assert(store->state == IDLE || store->state == RUNNING);
    store->closed = closed;
    store->closed_ctx = ctx;
    store->state = LEAVING;
    uv_timer_stop(&store->beat);
    uv_timer_stop(&store->wake);
    /* Even with nobody to say goodbye to, the end comes on a later turn. */
    bool there = mr_store_link_ready(store->link) || mr_store_link_busy(store->link);
    uv_timer_start(&store->again, on_enough, there ? GOODBYE_MS : 0, 0);
    if (mr_store_link_ready(store->link))
        say_goodbye(store);
}

struct mr_store *mr_store_free(struct mr_store *store)
{
    if (!store)
        return NULL;
    assert(store->open_handles == 0);
    mr_store_link_free(store->link);
    mr_store_queues_deinit(&store->queues);
    mr_store_params_deinit(&store->params);
    mr_config_unref(store->config);
    free(store);
    return NULL;
}
