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
    uv_timer_t turn;           /* reports `ended` on the next turn of the loop */
    struct mr_transfer *first; /* in flight, oldest first */
    struct mr_transfer *last;
    struct mr_transfer *ended; /* ended within an ops function, or aborted */
    struct mr_transfer **ended_end;
    size_t computing; /* local answers on threads */
    CURL *idle[IDLE_EASY_MAX];
    size_t nidle;
    bool closing;
    int handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void link_transfer(struct mr_caller *caller, struct mr_transfer *transfer)
{
    transfer->prev = caller->last;
    if (caller->last)
        caller->last->next = transfer;
    else
        caller->first = transfer;
    caller->last = transfer;
}

static void unlink_transfer(struct mr_caller *caller, struct mr_transfer *transfer)
{
    *(transfer->prev ? &transfer->prev->next : &caller->first) = transfer->next;
    *(transfer->next ? &transfer->next->prev : &caller->last) = transfer->prev;
    transfer->next = transfer->prev = NULL;
}

/* Takes back the easy handle and wipes what held the key. */
static void release_easy(struct mr_caller *caller, struct mr_transfer *transfer)
{
    if (!transfer->easy)
        return;
    mr_transfer_wipe(transfer);
    if (caller->nidle < IDLE_EASY_MAX && !transfer->tainted && !caller->closing)
        caller->idle[caller->nidle++] = transfer->easy;
    else
        curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
}

static void free_transfer(struct mr_caller *caller, struct mr_transfer *transfer)
{
    release_easy(caller, transfer);
    mr_buf_deinit(&transfer->reply.body);
    json_decref(transfer->reply.local);
    mr_probe_request_free(transfer->probe);
    free(transfer);
}

/* Hands the reply's contents to the engine. */
static void report(struct mr_caller *caller, struct mr_transfer *transfer)
{
    struct mr_reply reply = transfer->reply;
    void *token = transfer->token;
    if (transfer->probe) {
        free_transfer(caller, transfer);
        mr_engine_probed(
            caller->engine, token, reply.transport == MR_TRANSPORT_OK && reply.status < 500);
        return;
    }
    transfer->reply.body = MR_BUF_INIT(0);
    transfer->reply.local = NULL;
    free_transfer(caller, transfer);
    mr_engine_replied(caller->engine, token, &reply);
}

static void on_turn(uv_timer_t *timer)
{
    struct mr_caller *caller = timer->data;
    struct mr_transfer *transfer = caller->ended;
    caller->ended = NULL;
    caller->ended_end = &caller->ended;
    while (transfer) {
        struct mr_transfer *next = transfer->next;
        transfer->next = NULL;
        report(caller, transfer);
        transfer = next;
    }
}

/* Reports an unlinked call, but not before the ops function that ended it has returned. */
static void report_later(struct mr_caller *caller, struct mr_transfer *transfer)
{
    transfer->next = NULL;
    *caller->ended_end = transfer;
    caller->ended_end = &transfer->next;
    uv_timer_start(&caller->turn, on_turn, 0, 0);
}

static void on_transfer_done(void *ctx, CURL *easy, CURLcode code)
{
    struct mr_caller *caller = ctx;
    char *private = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct mr_transfer *transfer = (struct mr_transfer *)(void *)private;
    caller->shards[transfer->shard].calls--;
    unlink_transfer(caller, transfer);
    mr_transfer_finish(transfer, code);
    report(caller, transfer);
}

/* ---- local answers ---- */

static void compute(uv_work_t *work)
{
    struct mr_transfer *transfer = work->data;
    transfer->local_rc = transfer->caller->local(
        transfer->request->chat, &transfer->reply.local, &transfer->reply.local_err);
    transfer->computed_ns = uv_hrtime();
}

static void maybe_closed(struct mr_caller *caller)
{
    if (caller->closing && caller->handles == 0 && caller->computing == 0)
        caller->closed(caller->closed_ctx);
}

static void on_computed(uv_work_t *work, int status)
{
    struct mr_transfer *transfer = work->data;
    struct mr_caller *caller = transfer->caller;
    caller->computing--;
    unlink_transfer(caller, transfer);
    if (caller->closing) {
        free_transfer(caller, transfer);
        maybe_closed(caller);
        return;
    }
    if (status == UV_ECANCELED) {
        transfer->reply.transport = MR_TRANSPORT_NOT_SENT;
        snprintf(transfer->reply.detail, sizeof(transfer->reply.detail),
            "given up before it was started");
    } else {
        transfer->reply.transport = MR_TRANSPORT_LOCAL;
        transfer->reply.latency_ms =
            (int64_t)((transfer->computed_ns - transfer->started_ns) / 1000000);
        if (transfer->local_rc == 0)
            transfer->reply.local_err.class = MR_CLASS_NONE;
    }
    report(caller, transfer);
}

static int start_local(struct mr_caller *caller, struct mr_transfer *transfer)
{
    transfer->work.data = transfer;
    int rc = uv_queue_work(caller->loop, &transfer->work, compute, on_computed);
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

static int start_http(struct mr_caller *caller, struct mr_transfer *transfer)
{
    if (caller->nidle > 0)
        transfer->easy = caller->idle[--caller->nidle];
    else
        transfer->easy = mr_transfer_easy_new();
    if (!transfer->easy)
        return -ENOMEM;
    int shard = pick_shard(caller);
    int rc = shard < 0 ? shard : mr_transfer_prepare(transfer);
    if (rc == 0)
        rc = mr_multi_add(caller->shards[shard].multi, transfer->easy);
    if (rc == 0) {
        transfer->shard = (unsigned)shard;
        caller->shards[shard].calls++;
    }
    return rc;
}

static struct mr_transfer *new_transfer(
    struct mr_caller *caller, void *token, const struct mr_request *request)
{
    assert(caller->engine && !caller->closing);
    struct mr_transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        abort(); /* a call that could not even be reported would hang its job for ever */
    transfer->caller = caller;
    transfer->clock = &caller->clock;
    transfer->token = token;
    transfer->request = request;
    mr_reply_headers_init(&transfer->heard);
    mr_reply_headers_read(&transfer->heard, &transfer->reply);
    transfer->reply.body = MR_BUF_INIT(MR_REPLY_MAX);
    transfer->started_ns = uv_hrtime();
    return transfer;
}

/* rc: of the attempt to start it. */
static void started(struct mr_caller *caller, struct mr_transfer *transfer, int rc)
{
    if (rc == 0) {
        link_transfer(caller, transfer);
        return;
    }
    transfer->reply.transport = MR_TRANSPORT_NOT_SENT;
    if (!transfer->reply.detail[0])
        snprintf(transfer->reply.detail, sizeof(transfer->reply.detail),
            "cannot start the call: %s", strerror(-rc));
    report_later(caller, transfer);
}

static void op_start(void *ctx, void *token, const struct mr_request *request)
{
    struct mr_caller *caller = ctx;
    struct mr_transfer *transfer = new_transfer(caller, token, request);
    started(caller, transfer,
        request->url ? start_http(caller, transfer) : start_local(caller, transfer));
}

static void op_probe(void *ctx, void *token, const struct mr_endpoint *endpoint)
{
    struct mr_caller *caller = ctx;
    struct mr_request *request = mr_probe_request(endpoint);
    if (!request)
        abort(); /* as above: it has to be answered */
    struct mr_transfer *transfer = new_transfer(caller, token, request);
    transfer->probe = request;
    started(caller, transfer, start_http(caller, transfer));
}

static void take_out(struct mr_caller *caller, struct mr_transfer *transfer)
{
    mr_multi_remove(caller->shards[transfer->shard].multi, transfer->easy);
    caller->shards[transfer->shard].calls--;
    unlink_transfer(caller, transfer);
}

static void op_abort(void *ctx, void *token)
{
    struct mr_caller *caller = ctx;
    struct mr_transfer *transfer = caller->first;
    while (transfer && transfer->token != token)
        transfer = transfer->next;
    if (!transfer)
        return; /* it has ended and its report is on the way */
    if (!transfer->easy) {
        uv_cancel((uv_req_t *)&transfer->work); /* too late if it runs: then its answer comes */
        return;
    }
    take_out(caller, transfer);
    mr_transfer_give_up(transfer);
    report_later(caller, transfer);
}

struct mr_caller_ops mr_caller_ops(struct mr_caller *caller)
{
    return (struct mr_caller_ops){
        .start = op_start, .abort = op_abort, .probe = op_probe, .ctx = caller};
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
    for (struct mr_transfer *transfer = caller->first, *next; transfer; transfer = next) {
        next = transfer->next;
        if (!transfer->easy) {
            uv_cancel((uv_req_t *)&transfer->work);
            continue;
        }
        take_out(caller, transfer);
        free_transfer(caller, transfer);
    }
    while (caller->ended) {
        struct mr_transfer *transfer = caller->ended;
        caller->ended = transfer->next;
        free_transfer(caller, transfer);
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
