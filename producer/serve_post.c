/* POST /v1/jobs: nothing is said of a job before the broker has it, or has certainly not. */
#include "producer/serve.h"

#include <stdlib.h>
#include <string.h>

#define INLINE_BYTES                                                                               \
    (64 << 10) /* a longer body is read on the pool: it would hold up the others                   \
                */

struct batch {
    struct mr_serve *serve;
    struct mr_httpd_request *request;
    enum mr_body_kind kind;
    struct mr_body body;
    struct mr_fault fault; /* of the whole */
    size_t left;           /* jobs not reported yet */
    uv_work_t work;
};

static void batch_free(struct batch *batch)
{
    mr_body_deinit(&batch->body);
    mr_fault_deinit(&batch->fault);
    free(batch);
}

/* ---- answers ---- */

static json_t *field_json(const struct mr_fault *fault)
{
    return fault->field[0] ? json_pack("{s:s}", "field", fault->field) : NULL;
}

static void answer_fault(struct mr_httpd_request *request, const struct mr_fault *fault)
{
    mr_httpd_problem(request, fault->status, field_json(fault), "%s",
        fault->detail ? fault->detail : "out of memory");
}

static void not_now(struct mr_httpd_request *request, const char *seconds, const char *why)
{
    mr_httpd_set_header(request, "Retry-After", seconds);
    mr_httpd_problem(request, 503, NULL, "nothing was accepted: %s", why);
}

static void answer_batch(struct batch *batch)
{
    struct mr_httpd_request *request = batch->request;
    struct mr_verdict verdict = mr_body_verdict(&batch->body);
    const struct mr_fault *fault = verdict.fault;
    const char *detail = fault && fault->detail ? fault->detail : "";
    if (verdict.retry)
        mr_httpd_set_header(request, "Retry-After", MR_SERVE_DOWN_S);
    if (!fault)
        mr_httpd_json(request, verdict.status, verdict.json);
    else if (batch->body.single)
        mr_httpd_problem(request, verdict.status, verdict.json, "%s", detail);
    else
        mr_httpd_problem(request, verdict.status, verdict.json,
            "none of %zu jobs is confirmed; of the first: %s", batch->body.count, detail);
    batch_free(batch);
}

/* ---- publishing ---- */

void mr_serve_posted(void *ctx, struct mr_post *post)
{
    struct mr_serve *serve = ctx;
    struct mr_entry *entry = post->ctx;
    struct batch *batch = entry->owner;
    mr_entry_decide(entry, post->result.fate, post->result.why);
    serve->pending--;
    serve->pending_bytes -= entry->len;
    if (--batch->left == 0)
        answer_batch(batch);
}

/* Fills ret with what is to be published; returns how many, and their bytes. */
static size_t gather(struct batch *batch, struct mr_post **ret, size_t *ret_bytes)
{
    size_t n = 0;
    *ret_bytes = 0;
    for (size_t i = 0; i < batch->body.count; i++) {
        struct mr_entry *entry = &batch->body.entries[i];
        if (!entry->shipment)
            continue;
        entry->owner = batch;
        entry->len = entry->shipment->len;
        entry->post = (struct mr_post){.shipment = entry->shipment, .ctx = entry};
        *ret_bytes += entry->len;
        ret[n++] = &entry->post;
    }
    return n;
}

/* One that is too large by itself goes through while nothing else is on its way. */
static bool is_room(const struct mr_serve *serve, size_t n, size_t bytes)
{
    return serve->pending == 0 ||
           (serve->pending + n <= (size_t)serve->options->max_pending &&
               serve->pending_bytes + bytes <= 8 * (size_t)serve->options->max_body);
}

static void put(struct batch *batch)
{
    struct mr_serve *serve = batch->serve;
    struct mr_post **posts = calloc(batch->body.count, sizeof(struct mr_post *));
    size_t bytes = 0, n = posts ? gather(batch, posts, &bytes) : 0;
    if (!posts || (n > 0 && !is_room(serve, n, bytes))) {
        not_now(batch->request, MR_SERVE_RETRY_S, "too many jobs wait for RabbitMQ's confirms");
        batch_free(batch);
    } else if (n == 0) {
        answer_batch(batch);
    } else {
        batch->left = n;
        serve->pending += n;
        serve->pending_bytes += bytes;
        for (size_t i = 0; i < batch->body.count; i++)
            batch->body.entries[i].shipment = NULL; /* the posts have them */
        mr_dispatch_put(serve->dispatch, posts, n);
    }
    free(posts);
}

/* ---- reading ---- */

static void read_body(struct batch *batch)
{
    const struct mr_serve *serve = batch->serve;
    size_t n;
    const char *bytes = mr_httpd_body(batch->request, &n);
    const char *key = mr_httpd_header(batch->request, "Idempotency-Key");
    /* The fault says what r does. */
    int r = mr_body_read(&serve->plan, batch->kind, bytes, n, (size_t)serve->options->max_jobs, key,
        &batch->body, &batch->fault);
    (void)r;
}

static void go_on(struct batch *batch)
{
    mr_httpd_drop_body(batch->request);
    if (batch->fault.status == 0) {
        put(batch);
        return;
    }
    answer_fault(batch->request, &batch->fault);
    batch_free(batch);
}

static void on_work(uv_work_t *work)
{
    read_body(work->data);
}

static void on_read(uv_work_t *work, int status)
{
    go_on(work->data);
}

void mr_serve_post(void *ctx, struct mr_httpd_request *request)
{
    struct mr_serve *serve = ctx;
    struct mr_err err;
    enum mr_body_kind kind;
    size_t n;
    if (mr_body_kind(mr_httpd_header(request, "Content-Type"), &kind) < 0) {
        mr_httpd_set_header(request, "Accept", MR_BODY_TYPES);
        mr_httpd_problem(request, 415, NULL, "Content-Type must be one of " MR_BODY_TYPES);
        return;
    }
    if (mr_dispatch_ready(serve->dispatch, &err) < 0) {
        not_now(request, MR_SERVE_DOWN_S, err.msg);
        return;
    }
    struct batch *batch = calloc(1, sizeof(*batch));
    if (!batch) {
        mr_httpd_problem(request, 500, NULL, "out of memory");
        return;
    }
    *batch = (struct batch){.serve = serve, .request = request, .kind = kind, .work.data = batch};
    (void)mr_httpd_body(request, &n);
    if (n <= INLINE_BYTES) {
        read_body(batch);
        go_on(batch);
    } else if (uv_queue_work(&serve->loop, &batch->work, on_work, on_read) < 0) {
        abort(); /* only for arguments that are no good */
    }
}
