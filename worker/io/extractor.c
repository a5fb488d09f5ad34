#include "worker/io/extractor.h"
#include "worker/io/extract_child.h"
#include "worker/io/extract_short.h"
#include "worker/io/fetch.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum stage { STAGE_FETCHING, STAGE_QUEUED, STAGE_RUNNING, STAGE_ENDED };

struct document {
    struct mr_extractor *extractor;
    struct document *next, *prev;
    void *token;
    enum stage stage;
    bool aborted;
    uint64_t started_ns;
    int64_t timeout_ms;
    const char *bytes; /* the envelope's, or fetched.data */
    size_t n;
    struct mr_buf fetched;
    struct mr_hints hints;
    struct mr_fetch *fetch;
    struct mr_child *child;
    struct mr_extract_result result;
};

struct list {
    struct document *first, *last;
};

struct mr_extractor {
    uv_loop_t *loop;
    struct mr_engine *engine;
    struct mr_fetcher *fetcher;
    char *program;
    int processes, memory_mb;
    int64_t max_bytes, max_text;
    struct list fetching, queued, running, ended;
    int children; /* processes there are, aborted ones too */
    uv_timer_t turn;
    bool closing;
    int handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* ---- lists and results ---- */

static struct list *list_of(struct document *doc)
{
    struct mr_extractor *extractor = doc->extractor;
    struct list *const lists[] = {
        &extractor->fetching, &extractor->queued, &extractor->running, &extractor->ended};
    return lists[doc->stage];
}

static void leave(struct document *doc)
{
    struct list *list = list_of(doc);
    *(doc->prev ? &doc->prev->next : &list->first) = doc->next;
    *(doc->next ? &doc->next->prev : &list->last) = doc->prev;
    doc->next = doc->prev = NULL;
}

static void enter(struct document *doc, enum stage stage)
{
    doc->stage = stage;
    struct list *list = list_of(doc);
    doc->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = doc;
    list->last = doc;
}

static void free_document(struct document *doc)
{
    mr_buf_deinit(&doc->fetched);
    json_decref(doc->result.output);
    free(doc);
}

static void on_turn(uv_timer_t *timer)
{
    struct mr_extractor *extractor = timer->data;
    struct document *doc;
    struct document *stop = extractor->ended.last; /* later ones wait for the next turn */
    while ((doc = extractor->ended.first)) {
        bool last = doc == stop;
        struct mr_extract_result result = doc->result;
        void *token = doc->token;
        doc->result.output = NULL;
        leave(doc);
        free_document(doc);
        mr_engine_extracted(extractor->engine, token, &result);
        if (last)
            break;
    }
    if (extractor->ended.first)
        uv_timer_start(&extractor->turn, on_turn, 0, 0);
}

/* The document, on no list now, has its result; it is reported on the next turn. */
static void end(struct document *doc)
{
    enter(doc, STAGE_ENDED);
    uv_timer_start(&doc->extractor->turn, on_turn, 0, 0);
}

#define fail(doc, class, ...)                                                                      \
    ((doc)->result.rc = mr_err_set(&(doc)->result.err, -1, class, __VA_ARGS__))

/* ---- with a child ---- */

static void run_queued(struct mr_extractor *extractor);

static void on_child_done(void *ctx, struct mr_child_result *result)
{
    struct document *doc = ctx;
    struct mr_extractor *extractor = doc->extractor;
    extractor->children--;
    leave(doc);
    if (extractor->closing) {
        json_decref(result->output);
        free_document(doc);
        if (extractor->handles == 0 && extractor->children == 0)
            extractor->closed(extractor->closed_ctx);
        return;
    }
    if (doc->aborted) {
        json_decref(result->output);
        fail(doc, MR_CLASS_CANCELLED, "given up while the document was read");
    } else {
        doc->result.rc = result->rc;
        doc->result.err = result->err;
        doc->result.output = result->output;
    }
    end(doc);
    run_queued(extractor);
}

static void run(struct document *doc)
{
    struct mr_extractor *extractor = doc->extractor;
    struct mr_child_spec spec = {
        .program = extractor->program,
        .bytes = doc->bytes,
        .n = doc->n,
        .ext = doc->hints.ext,
        .type = doc->hints.type,
        .charset = doc->hints.charset,
        .max_bytes = extractor->max_bytes,
        .max_text = extractor->max_text,
        .timeout_ms = doc->timeout_ms,
        .memory_mb = extractor->memory_mb,
    };
    leave(doc);
    if (mr_child_new(extractor->loop, &spec, on_child_done, doc, &doc->child, &doc->result.err) !=
        0) {
        doc->result.rc = -1;
        end(doc);
        return;
    }
    mr_buf_deinit(&doc->fetched); /* the child has its own copy */
    extractor->children++;
    enter(doc, STAGE_RUNNING);
}

static void run_queued(struct mr_extractor *extractor)
{
    while (extractor->children < extractor->processes && extractor->queued.first)
        run(extractor->queued.first);
}

/* Takes the short cut where no parser is needed; else the document, on no list now, queues. */
static void proceed(struct document *doc)
{
    struct mr_extractor *extractor = doc->extractor;
    if (doc->n == 0) {
        fail(doc, MR_CLASS_INVALID, "the document is empty");
    } else if ((int64_t)doc->n > extractor->max_bytes) {
        fail(doc, MR_CLASS_INVALID, "the document is larger than %lld bytes",
            (long long)extractor->max_bytes);
    } else {
        const char *type = mr_short_type(&doc->hints, doc->bytes, doc->n);
        if (!type) {
            enter(doc, STAGE_QUEUED);
            run_queued(extractor);
            return;
        }
        mr_short_read(doc->bytes, doc->n, type, extractor->max_text, &doc->result);
    }
    end(doc);
}

static void on_fetched(void *ctx, struct mr_fetched *fetched)
{
    struct document *doc = ctx;
    leave(doc);
    doc->fetch = NULL;
    if (fetched->rc != 0) {
        doc->result.rc = -1;
        doc->result.err = fetched->err;
        doc->result.retry_after_ms = fetched->retry_after_ms;
        end(doc);
        return;
    }
    doc->fetched = fetched->body;
    fetched->body = MR_BUF_INIT(0);
    doc->bytes = doc->fetched.data ? doc->fetched.data : "";
    doc->n = doc->fetched.len;
    doc->hints = fetched->hints;
    int64_t used_ms = (int64_t)((uv_hrtime() - doc->started_ns) / 1000000);
    doc->timeout_ms = used_ms + 1000 < doc->timeout_ms ? doc->timeout_ms - used_ms : 1000;
    proceed(doc);
}

/* ---- ops ---- */

static void start_fetch(struct document *doc, const char *url)
{
    struct mr_extractor *extractor = doc->extractor;
    if (mr_fetch_start(extractor->fetcher, url, doc->timeout_ms, on_fetched, doc, &doc->fetch,
            &doc->result.err) == 0) {
        enter(doc, STAGE_FETCHING);
        return;
    }
    doc->result.rc = -1;
    end(doc);
}

static void op_start(void *ctx, void *token, const struct mr_extract_job *job)
{
    struct mr_extractor *extractor = ctx;
    const struct mr_envelope *envelope = job->envelope;
    assert(extractor->engine && !extractor->closing);
    struct document *doc = calloc(1, sizeof(*doc));
    if (!doc)
        abort(); /* a document that could not even be reported would hang its job for ever */
    doc->extractor = extractor;
    doc->token = token;
    doc->timeout_ms = job->timeout_ms;
    doc->started_ns = uv_hrtime();
    doc->result.retry_after_ms = -1;
    doc->bytes = envelope->input;
    doc->n = envelope->input_len;
    if (envelope->input_kind == MR_INPUT_URL) {
        start_fetch(doc, envelope->input);
        return;
    }
    mr_hints_read(&doc->hints, envelope->input_name, envelope->input_media_type);
    if (envelope->input_kind == MR_INPUT_BYTES) {
        proceed(doc);
        return;
    }
    mr_short_read(
        doc->bytes, doc->n, mr_short_text_type(&doc->hints), extractor->max_text, &doc->result);
    end(doc);
}

/* Looks where it may be; a drain aborts in the order of starting, so it is found at the front. */
static struct document *find(struct mr_extractor *extractor, void *token)
{
    struct list *const lists[] = {&extractor->running, &extractor->queued, &extractor->fetching};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        for (struct document *doc = lists[i]->first; doc; doc = doc->next)
            if (doc->token == token)
                return doc;
    return NULL;
}

static void op_abort(void *ctx, void *token)
{
    struct document *doc = find(ctx, token);
    if (!doc)
        return; /* it has ended and its report is on the way */
    if (doc->stage == STAGE_RUNNING) {
        doc->aborted = true;
        mr_child_kill(doc->child);
        return;
    }
    leave(doc);
    if (doc->stage == STAGE_FETCHING)
        mr_fetch_cancel(doc->fetch);
    fail(doc, MR_CLASS_CANCELLED, "given up before the document was read");
    end(doc);
}

struct mr_extractor_ops mr_extractor_ops(struct mr_extractor *extractor)
{
    return (struct mr_extractor_ops){.start = op_start, .abort = op_abort, .ctx = extractor};
}

/* ---- life ---- */

/* Beside this program, where it is installed, and where it is built. */
static char *find_program(const char *given, struct mr_err *err)
{
    static const char *const places[] = {
        "/millrace-extract", "/../libexec/millrace/millrace-extract", "/extract/millrace-extract"};
    char path[PATH_MAX];
    if (given && access(given, X_OK) == 0)
        return strdup(given);
    ssize_t n = given ? -1 : readlink("/proc/self/exe", path, sizeof(path) - 64);
    while (n > 0 && path[n - 1] != '/')
        n--;
    for (size_t i = 0; n > 0 && i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path + n - 1, 64, "%s", places[i]);
        if (access(path, X_OK) == 0)
            return strdup(path);
    }
    mr_err_set(err, -ENOENT, MR_CLASS_INTERNAL, "cannot find the program millrace-extract%s%s",
        given ? ": " : " beside this one", given ? given : "");
    return NULL;
}

int mr_extractor_reload(
    struct mr_extractor *extractor, const struct mr_config_worker *config, struct mr_err *err)
{
    int rc = extractor->fetcher ? mr_fetcher_reload(extractor->fetcher, config, err) : 0;
    if (rc != 0)
        return rc;
    extractor->processes = config->extract_processes;
    extractor->memory_mb = config->extract_memory_mb;
    extractor->max_bytes = config->extract_max_bytes;
    extractor->max_text = config->extract_max_text;
    return 0;
}

int mr_extractor_new(uv_loop_t *loop, const struct mr_config_worker *config, const char *program,
    struct mr_extractor **ret, struct mr_err *err)
{
    struct mr_extractor *extractor = calloc(1, sizeof(*extractor));
    if (!extractor)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for the extractor");
    extractor->loop = loop;
    extractor->program = find_program(program, err);
    int rc = extractor->program ? mr_extractor_reload(extractor, config, err) : -ENOENT;
    if (rc == 0)
        rc = mr_fetcher_new(loop, config, &extractor->fetcher, err);
    if (rc != 0) {
        mr_extractor_free(extractor);
        return rc;
    }
    uv_timer_init(loop, &extractor->turn);
    extractor->turn.data = extractor;
    extractor->handles = 2; /* the timer and the fetcher */
    *ret = extractor;
    return 0;
}

void mr_extractor_start(struct mr_extractor *extractor, struct mr_engine *engine)
{
    extractor->engine = engine;
}

static void on_part_closed(void *ctx)
{
    struct mr_extractor *extractor = ctx;
    if (--extractor->handles == 0 && extractor->children == 0)
        extractor->closed(extractor->closed_ctx);
}

static void on_turn_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void drop_all(struct list *list)
{
    while (list->first) {
        struct document *doc = list->first;
        leave(doc);
        free_document(doc);
    }
}

void mr_extractor_close(struct mr_extractor *extractor, void (*closed)(void *ctx), void *ctx)
{
    extractor->closing = true;
    extractor->closed = closed;
    extractor->closed_ctx = ctx;
    for (struct document *doc = extractor->running.first; doc; doc = doc->next)
        mr_child_kill(doc->child);
    mr_fetcher_close(extractor->fetcher, on_part_closed, extractor);
    drop_all(&extractor->fetching);
    drop_all(&extractor->queued);
    drop_all(&extractor->ended);
    uv_close((uv_handle_t *)&extractor->turn, on_turn_closed);
}

struct mr_extractor *mr_extractor_free(struct mr_extractor *extractor)
{
    if (extractor) {
        assert(extractor->handles == 0 && extractor->children == 0);
        mr_fetcher_free(extractor->fetcher);
        free(extractor->program);
        free(extractor);
    }
    return NULL;
}
