#include "worker/io/caller.h"
#include "worker/io/caller_easy.h"
#include "worker/io/multi.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_EASY_MAX 1024 /* easy handles kept for the next calls */

/* curl looks for a connection to use again by walking through all it has, busy ones included: with
 * thousands in flight that is most of the work. So calls are spread over several multi handles,
 * each filled up to SHARD_FULL before the next one is begun, which bounds the walk and still lets
 * few calls share few connections. */
#define SHARD_FULL 128
#define SHARDS_MAX 64

struct shard {
    struct mr_multi *multi;
    unsigned calls;
};

struct mr_caller {
    uv_loop_t *loop;
    struct mr_clock clock;
    mr_caller_local *local;
    struct mr_engine *engine;
    struct shard shards[SHARDS_MAX];
    unsigned nshards;
    uv_timer_t turn;       /* reports `ended` on the next turn of the loop */
    struct mr_call *first; /* in flight, oldest first */
    struct mr_call *last;
    struct mr_call *ended; /* ended within an ops function, or aborted */
    struct mr_call **ended_end;
    size_t computing; /* local answers on threads */
    CURL *idle[IDLE_EASY_MAX];
    size_t nidle;
    bool closing;
    int handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void link_call(struct mr_caller *caller, struct mr_call *call)
{
    call->prev = caller->last;
    if (caller->last)
        caller->last->next = call;
    else
        caller->first = call;
    caller->last = call;
}

static void unlink_call(struct mr_caller *caller, struct mr_call *call)
{
    *(call->prev ? &call->prev->next : &caller->first) = call->next;
    *(call->next ? &call->next->prev : &caller->last) = call->prev;
    call->next = call->prev = NULL;
}

/* Takes back the easy handle and wipes what held the key. */
static void release_easy(struct mr_caller *caller, struct mr_call *call)
{
    if (!call->easy)
        return;
    mr_call_wipe(call);
    if (caller->nidle < IDLE_EASY_MAX && !call->tainted && !caller->closing)
        caller->idle[caller->nidle++] = call->easy;
    else
        curl_easy_cleanup(call->easy);
    call->easy = NULL;
}

static void free_call(struct mr_caller *caller, struct mr_call *call)
{
    release_easy(caller, call);
    mr_buf_deinit(&call->reply.body);
    json_decref(call->reply.local);
    free(call);
}

/* Hands the reply's contents to the engine. */
static void report(struct mr_caller *caller, struct mr_call *call)
{
    struct mr_reply reply = call->reply;
    void *token = call->token;
    call->reply.body = MR_BUF_INIT(0);
    call->reply.local = NULL;
    free_call(caller, call);
    mr_engine_replied(caller->engine, token, &reply);
}

static void on_turn(uv_timer_t *timer)
{
    struct mr_caller *caller = timer->data;
    struct mr_call *call = caller->ended;
    caller->ended = NULL;
    caller->ended_end = &caller->ended;
    while (call) {
        struct mr_call *next = call->next;
        call->next = NULL;
        report(caller, call);
        call = next;
    }
}

/* Reports an unlinked call, but not before the ops function that ended it has returned. */
static void report_later(struct mr_caller *caller, struct mr_call *call)
{
    call->next = NULL;
    *caller->ended_end = call;
    caller->ended_end = &call->next;
    uv_timer_start(&caller->turn, on_turn, 0, 0);
}

static void on_transfer_done(void *ctx, CURL *easy, CURLcode code)
{
    struct mr_caller *caller = ctx;
    char *private = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct mr_call *call = (struct mr_call *)(void *)private;
    caller->shards[call->shard].calls--;
    unlink_call(caller, call);
    mr_call_finish(call, code);
    report(caller, call);
}

/* ---- local answers ---- */

static void compute(uv_work_t *work)
{
    struct mr_call *call = work->data;
    call->local_rc =
        call->caller->local(call->request->chat, &call->reply.local, &call->reply.local_err);
    call->computed_ns = uv_hrtime();
}

static void maybe_closed(struct mr_caller *caller)
{
    if (caller->closing && caller->handles == 0 && caller->computing == 0)
        caller->closed(caller->closed_ctx);
}

static void on_computed(uv_work_t *work, int status)
{
    struct mr_call *call = work->data;
    struct mr_caller *caller = call->caller;
    caller->computing--;
    unlink_call(caller, call);
    if (caller->closing) {
        free_call(caller, call);
        maybe_closed(caller);
        return;
    }
    if (status == UV_ECANCELED) {
        call->reply.transport = MR_TRANSPORT_NOT_SENT;
        snprintf(call->reply.detail, sizeof(call->reply.detail), "given up before it was started");
    } else {
        call->reply.transport = MR_TRANSPORT_LOCAL;
        call->reply.latency_ms = (int64_t)((call->computed_ns - call->started_ns) / 1000000);
        if (call->local_rc == 0)
            call->reply.local_err.class = MR_CLASS_NONE;
    }
    report(caller, call);
}

static int start_local(struct mr_caller *caller, struct mr_call *call)
{
    call->work.data = call;
    int rc = uv_queue_work(caller->loop, &call->work, compute, on_computed);
    if (rc == 0)
        caller->computing++;
    return rc;
}

/* ---- ops ---- */

/* The first one with room; a new one; the least busy. Negative: there is none and cannot be. */
static int pick_shard(struct mr_caller *caller)
{
    unsigned best = 0;
    for (unsigned i = 0; i < caller->nshards; i++) {
        if (caller->shards[i].calls < SHARD_FULL)
            return (int)i;
        if (caller->shards[i].calls < caller->shards[best].calls)
            best = i;
    }
    struct shard *next = &caller->shards[caller->nshards];
    if (caller->nshards < SHARDS_MAX &&
        mr_multi_new(caller->loop, on_transfer_done, caller, &next->multi, NULL) == 0) {
        caller->handles++;
        return (int)caller->nshards++;
    }
    return caller->nshards > 0 ? (int)best : -ENOMEM;
}

static int start_http(struct mr_caller *caller, struct mr_call *call)
{
    if (caller->nidle > 0)
        call->easy = caller->idle[--caller->nidle];
    else
        call->easy = mr_call_easy_new();
    if (!call->easy)
        return -ENOMEM;
    int shard = pick_shard(caller);
    int rc = shard < 0 ? shard : mr_call_prepare(call);
    if (rc == 0)
        rc = mr_multi_add(caller->shards[shard].multi, call->easy);
    if (rc == 0) {
        call->shard = (unsigned)shard;
        caller->shards[shard].calls++;
    }
    return rc;
}

static void op_start(void *ctx, void *token, const struct mr_request *request)
{
    struct mr_caller *caller = ctx;
    assert(caller->engine && !caller->closing);
    struct mr_call *call = calloc(1, sizeof(*call));
    if (!call)
        abort(); /* a call that could not even be reported would hang its job for ever */
    call->caller = caller;
    call->clock = &caller->clock;
    call->token = token;
    call->request = request;
    call->reply.retry_after_ms = -1;
    call->reply.should_retry = -1;
    call->reply.body = MR_BUF_INIT(MR_REPLY_MAX);
    call->started_ns = uv_hrtime();
    int rc = request->url ? start_http(caller, call) : start_local(caller, call);
    if (rc == 0) {
        link_call(caller, call);
        return;
    }
    call->reply.transport = MR_TRANSPORT_NOT_SENT;
    if (!call->reply.detail[0])
        snprintf(call->reply.detail, sizeof(call->reply.detail), "cannot start the call: %s",
            strerror(-rc));
    report_later(caller, call);
}

static void take_out(struct mr_caller *caller, struct mr_call *call)
{
    mr_multi_remove(caller->shards[call->shard].multi, call->easy);
    caller->shards[call->shard].calls--;
    unlink_call(caller, call);
}

static void op_abort(void *ctx, void *token)
{
    struct mr_caller *caller = ctx;
    struct mr_call *call = caller->first;
    while (call && call->token != token)
        call = call->next;
    if (!call)
        return; /* it has ended and its report is on the way */
    if (!call->easy) {
        uv_cancel((uv_req_t *)&call->work); /* too late if it runs: then its answer comes */
        return;
    }
    take_out(caller, call);
    mr_call_give_up(call);
    report_later(caller, call);
}

struct mr_caller_ops mr_caller_ops(struct mr_caller *caller)
{
    return (struct mr_caller_ops){.start = op_start, .abort = op_abort, .ctx = caller};
}

/* ---- life ---- */

int mr_caller_new(uv_loop_t *loop, struct mr_clock clock, mr_caller_local *local,
    struct mr_caller **ret, struct mr_err *err)
{
    assert(loop && local && ret);
    struct mr_caller *caller = calloc(1, sizeof(*caller));
    if (!caller)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for the caller");
    caller->loop = loop;
    caller->clock = clock;
    caller->local = local;
    caller->ended_end = &caller->ended;
    int rc = mr_multi_new(loop, on_transfer_done, caller, &caller->shards[0].multi, err);
    if (rc != 0) {
        free(caller);
        return rc;
    }
    caller->nshards = 1;
    uv_timer_init(loop, &caller->turn);
    caller->turn.data = caller;
    caller->handles = 2; /* the timer and the first shard */
    *ret = caller;
    return 0;
}

void mr_caller_start(struct mr_caller *caller, struct mr_engine *engine)
{
    caller->engine = engine;
}

static void on_multi_closed(void *ctx)
{
    struct mr_caller *caller = ctx;
    caller->handles--;
    maybe_closed(caller);
}

static void on_turn_closed(uv_handle_t *handle)
{
    on_multi_closed(handle->data);
}

void mr_caller_close(struct mr_caller *caller, void (*closed)(void *ctx), void *ctx)
{
    caller->closing = true;
    caller->closed = closed;
    caller->closed_ctx = ctx;
    for (struct mr_call *call = caller->first, *next; call; call = next) {
        next = call->next;
        if (!call->easy) {
            uv_cancel((uv_req_t *)&call->work);
            continue;
        }
        take_out(caller, call);
        free_call(caller, call);
    }
    while (caller->ended) {
        struct mr_call *call = caller->ended;
        caller->ended = call->next;
        free_call(caller, call);
    }
    while (caller->nidle > 0)
        curl_easy_cleanup(caller->idle[--caller->nidle]);
    for (unsigned i = 0; i < caller->nshards; i++)
        mr_multi_close(caller->shards[i].multi, on_multi_closed, caller);
    uv_close((uv_handle_t *)&caller->turn, on_turn_closed);
}

struct mr_caller *mr_caller_free(struct mr_caller *caller)
{
    if (caller) {
        assert(caller->handles == 0 && caller->computing == 0);
        for (unsigned i = 0; i < caller->nshards; i++)
            mr_multi_free(caller->shards[i].multi);
        free(caller);
    }
    return NULL;
}
