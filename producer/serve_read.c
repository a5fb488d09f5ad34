/* Answers from the database. libpq's calls wait, so they run on threads of the loop's pool: on all
 * but one of its four, which is left to what needs no database. */
#include "producer/serve.h"

#include "producer/results.h"
#include "producer/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 3
#define QUEUE_MAX 1000
#define QUEUE_MS 10000 /* who has waited for so long is not read for any more */

enum question { ASK_STATUS, ASK_RESULTS };

struct read {
    struct read *next; /* while it waits */
    struct mr_reader *reader;
    struct mr_httpd_request *request;
    enum question question;
    char id[MR_UUID_LEN];
    char *step; /* results of this one only; owned, or NULL */
    uint64_t since_ms;
    uv_work_t work;
    /* the outcome */
    int r;      /* 0, -ENOENT: no such job, or as mr_pg_error */
    char *text; /* JSON, owned */
    struct mr_err err;
};

struct mr_reader {
    struct mr_serve *serve;
    struct read *first, **last; /* waiting */
    size_t waiting, running;
    uv_mutex_t lock; /* for idle */
    PGconn *idle[THREADS];
    size_t nidle;
};

/* ---- on a thread of the pool ---- */

static PGconn *take_idle(struct mr_reader *reader)
{
    uv_mutex_lock(&reader->lock);
    PGconn *conn = reader->nidle ? reader->idle[--reader->nidle] : NULL;
    uv_mutex_unlock(&reader->lock);
    return conn;
}

static void give_back(struct mr_reader *reader, PGconn *conn)
{
    uv_mutex_lock(&reader->lock);
    if (PQstatus(conn) == CONNECTION_OK && reader->nidle < THREADS) {
        reader->idle[reader->nidle++] = conn;
        conn = NULL;
    }
    uv_mutex_unlock(&reader->lock);
    PQfinish(conn);
}

static int open_conn(const struct mr_config *config, PGconn **ret, struct mr_err *err)
{
    PGconn *conn = NULL;
    PGresult *ignored = NULL;
    int r = mr_pg_connect(&config->database, MR_PG_CLIENT, "millrace serve", &conn, err);
    if (r == 0)
        r = mr_pg_check_version(conn, err);
    if (r == 0)
        r = mr_db_ask(conn, "set statement_timeout = '10s'", 0, NULL, &ignored, err);
    PQclear(ignored);
    if (r < 0)
        PQfinish(conn);
    else
        *ret = conn;
    return r;
}

static int dump(json_t *value, char **ret)
{
    *ret = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    return *ret ? 0 : -ENOMEM;
}

static int read_status(struct read *read, PGconn *conn, const char *ids)
{
    MR_CLEANUP(mr_status_deinit) struct mr_status status = {NULL};
    int r = mr_status_read(conn, read->reader->serve->config, ids, &status, &read->err);
    if (r < 0)
        return r;
    if (PQntuples(status.jobs) == 0)
        return -ENOENT;
    return read->question == ASK_STATUS ? dump(mr_status_json(&status, 0), &read->text) : 0;
}

static int read_results(struct read *read, PGconn *conn, const char *ids)
{
    MR_CLEANUP(mr_db_clearp) PGresult *results = NULL;
    int r =
        mr_results_read(conn, read->reader->serve->config, ids, read->step, &results, &read->err);
    if (r < 0)
        return r;
    struct mr_rows rows = mr_results_rows(results);
    if (rows.nrows == 0 && (r = read_status(read, conn, ids)) < 0)
        return r; /* none yet, or no such job? */
    json_t *array = json_array();
    for (size_t i = 0; i < rows.nrows; i++)
        json_array_append_new(array, mr_output_object(&rows, i));
    return dump(array, &read->text);
}

static int ask(struct read *read, PGconn *conn)
{
    char ids[MR_UUID_LEN + 2];
    snprintf(ids, sizeof(ids), "{%s}", read->id);
    return read->question == ASK_STATUS ? read_status(read, conn, ids)
                                        : read_results(read, conn, ids);
}

static void on_work(uv_work_t *work)
{
    struct read *read = work->data;
    struct mr_reader *reader = read->reader;
    PGconn *conn;
    /* A connection that waited may have died; each such one is tried once. */
    while ((conn = take_idle(reader))) {
        read->r = ask(read, conn);
        bool lost = read->r < 0 && PQstatus(conn) != CONNECTION_OK;
        give_back(reader, conn);
        if (!lost)
            return;
    }
    read->r = open_conn(reader->serve->config, &conn, &read->err);
    if (read->r < 0)
        return;
    read->r = ask(read, conn);
    give_back(reader, conn);
}

/* ---- on the loop ---- */

static void answer(struct read *read)
{
    struct mr_httpd_request *request = read->request;
    if (read->r == 0) {
        mr_httpd_answer(request, 200, "application/json", read->text, strlen(read->text));
        read->text = NULL;
    } else if (read->r == -ENOENT) {
        mr_httpd_problem(request, 404, NULL,
            "no job %s: either no worker has taken it from its queue yet, or the id is wrong",
            read->id);
    } else {
        mr_log(read->reader->serve->log, MR_WARN, "database.failed", MR_STR("why", read->err.msg));
        mr_httpd_set_header(request, "Retry-After", MR_SERVE_DOWN_S);
        mr_httpd_problem(request, 503, NULL, "the database cannot be read");
    }
}

static void read_free(struct read *read)
{
    free(read->step);
    free(read->text);
    free(read);
}

static void start_next(struct mr_reader *reader);

static void on_done(uv_work_t *work, int status)
{
    struct read *read = work->data;
    struct mr_reader *reader = read->reader;
    answer(read);
    read_free(read);
    reader->running--;
    start_next(reader);
}

static void start_next(struct mr_reader *reader)
{
    while (reader->first && reader->running < THREADS) {
        struct read *read = reader->first;
        reader->first = read->next;
        if (!reader->first)
            reader->last = &reader->first;
        reader->waiting--;
        if (uv_now(&reader->serve->loop) - read->since_ms > QUEUE_MS) {
            read->r = mr_err_set(&read->err, -ETIMEDOUT, MR_CLASS_NETWORK, "too many wait for it");
            answer(read);
            read_free(read);
            continue;
        }
        reader->running++;
        if (uv_queue_work(&reader->serve->loop, &read->work, on_work, on_done) < 0)
            abort(); /* only for arguments that are no good */
    }
}

static void put(struct mr_serve *serve, struct mr_httpd_request *request, enum question question)
{
    struct mr_reader *reader = serve->reader;
    const char *step = mr_httpd_query(request, "step");
    struct mr_uuid id;
    if (mr_uuid_parse(mr_httpd_param(request), &id) < 0) {
        mr_httpd_problem(request, 404, NULL,
            "%s is not a job id, which looks like 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000",
            mr_httpd_param(request));
        return;
    }
    struct read *read = reader->waiting < QUEUE_MAX ? calloc(1, sizeof(*read)) : NULL;
    if (!read) {
        mr_httpd_set_header(request, "Retry-After", MR_SERVE_RETRY_S);
        mr_httpd_problem(request, 503, NULL, "too many requests wait for the database");
        return;
    }
    read->reader = reader;
    read->request = request;
    read->question = question;
    read->step = step && question == ASK_RESULTS ? strdup(step) : NULL;
    read->since_ms = uv_now(&serve->loop);
    read->work.data = read;
    mr_uuid_format(&id, read->id);
    *reader->last = read;
    reader->last = &read->next;
    reader->waiting++;
    start_next(reader);
}

void mr_serve_status(void *ctx, struct mr_httpd_request *request)
{
    put(ctx, request, ASK_STATUS);
}

void mr_serve_results(void *ctx, struct mr_httpd_request *request)
{
    put(ctx, request, ASK_RESULTS);
}

struct mr_reader *mr_reader_new(struct mr_serve *serve)
{
    struct mr_reader *reader = calloc(1, sizeof(*reader));
    if (!reader || uv_mutex_init(&reader->lock) < 0) {
        free(reader);
        return NULL;
    }
    reader->serve = serve;
    reader->last = &reader->first;
    return reader;
}

struct mr_reader *mr_reader_free(struct mr_reader *reader)
{
    if (reader) {
        while (reader->nidle > 0)
            PQfinish(reader->idle[--reader->nidle]);
        uv_mutex_destroy(&reader->lock);
        free(reader);
    }
    return NULL;
}
