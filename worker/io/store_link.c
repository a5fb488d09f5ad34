/* One connection to the database: made on a thread, then read and written by the loop. */
#include "worker/io/store_int.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mr_store_link {
    uv_loop_t *loop;
    struct mr_store *store;
    const struct mr_config *config; /* the thread reads it too; nobody writes */
    const char *worker_name;
    const struct mr_store_link_events *events;

    uv_work_t work;
    bool connecting, closing;
    int64_t worker; /* 0: not registered; the thread's until it is done, like these two */
    PGconn *made;   /* NULL: failed, and why says so */
    struct mr_err why;

    PGconn *conn;
    uv_poll_t *poll; /* one for each connection: a handle cannot change its descriptor */
    size_t polls;    /* not closed yet */

    struct mr_store_segment segments[MR_STORE_SEGMENTS];
    size_t count, at;
};

struct mr_store_link *mr_store_link_new(uv_loop_t *loop, struct mr_store *store,
    const struct mr_config *config, const char *worker_name,
    const struct mr_store_link_events *events)
{
    struct mr_store_link *link = calloc(1, sizeof(*link));
    if (!link)
        return NULL;
    link->loop = loop;
    link->store = store;
    link->config = config;
    link->worker_name = worker_name;
    link->events = events;
    link->work.data = link;
    return link;
}

bool mr_store_link_busy(const struct mr_store_link *link)
{
    return link->conn && link->at < link->count;
}

bool mr_store_link_ready(const struct mr_store_link *link)
{
    return link->conn && link->at == link->count;
}

PGconn *mr_store_link_conn(const struct mr_store_link *link)
{
    return link->conn;
}

/* ---- on the thread ---- */

static void no_notice(void *ctx, const char *message)
{
}

/* One statement that gives one value (or none). */
static int query_int(PGconn *conn, const char *sql, const char *const *values, int count,
    int64_t *ret, struct mr_err *err)
{
    PGresult *result = PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        int rc = mr_pg_error(conn, result, "registering the worker", err);
        PQclear(result);
        return rc;
    }
    *ret = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return 0;
}

/* The worker keeps its id across connections; a database that does not know it (restored, another
 * one) gives a new one. */
static int register_worker(struct mr_store_link *link, PGconn *conn, struct mr_err *err)
{
    char id[32], pid[16], host[256] = "unknown";
    snprintf(id, sizeof(id), "%lld", (long long)link->worker);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    if (gethostname(host, sizeof(host) - 1) != 0)
        memcpy(host, "unknown", sizeof("unknown"));
    int64_t known = 0;
    int rc = 0;
    if (link->worker)
        rc = query_int(conn, "select millrace.worker_resume($1)::int", (const char *const[]){id}, 1,
            &known, err);
    if (rc == 0 && !known) {
        const char *const values[] = {
            link->worker_name, host, pid, link->config->worker.pool, MR_VERSION};
        return query_int(conn, "select millrace.worker_start($1, $2, $3, $4, $5)", values, 5,
            &link->worker, err);
    }
    if (rc == 0)
        rc = query_int(conn, "select count(millrace.worker_heartbeat($1))",
            (const char *const[]){id}, 1, &known, err);
    return rc;
}

static int prepare_statements(PGconn *conn, struct mr_err *err)
{
    for (int i = 0; i < MR_STORE_STATEMENTS; i++) {
        const struct mr_store_statement_def *def = &mr_store_statements[i];
        PGresult *result = PQprepare(conn, def->name, def->sql, def->ntypes, def->types);
        int rc = PQresultStatus(result) == PGRES_COMMAND_OK
                     ? 0
                     : mr_pg_error(conn, result, "preparing a statement", err);
        PQclear(result);
        if (rc < 0)
            return rc;
    }
    if (PQsetnonblocking(conn, 1) != 0 || PQenterPipelineMode(conn) != 1)
        return mr_pg_error(conn, NULL, "entering pipeline mode", err);
    return 0;
}

static void connect_on_thread(uv_work_t *work)
{
    struct mr_store_link *link = work->data;
    PGconn *conn = NULL;
    int rc =
        mr_pg_connect(&link->config->database, MR_PG_WORKER, "millrace-worker", &conn, &link->why);
    if (rc == 0) {
        PQsetNoticeProcessor(conn, no_notice, NULL);
        rc = mr_pg_check_version(conn, &link->why);
    }
    if (rc == 0)
        rc = register_worker(link, conn, &link->why);
    if (rc == 0)
        rc = prepare_statements(conn, &link->why);
    if (rc < 0 && conn) {
        PQfinish(conn);
        conn = NULL;
    }
    link->made = conn;
}

/* ---- on the loop ---- */

static void maybe_closed(struct mr_store_link *link)
{
    if (link->closing && !link->connecting && link->polls == 0) {
        link->closing = false;
        link->events->closed(link->store);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct mr_store_link *link = handle->data;
    free(handle);
    link->polls--;
    maybe_closed(link);
}

void mr_store_link_drop(struct mr_store_link *link)
{
    if (!link->conn)
        return;
    uv_close((uv_handle_t *)link->poll, on_poll_closed);
    link->poll = NULL;
    PQfinish(link->conn);
    link->conn = NULL;
    size_t at = link->at, count = link->count;
    link->at = link->count = 0;
    for (; at < count; at++)
        if (link->segments[at].group)
            link->events->put_back(link->store, link->segments[at].group);
}

static void lost(struct mr_store_link *link, const PGresult *result)
{
    struct mr_err why;
    mr_pg_error(link->conn, result, "lost the database", &why);
    mr_store_link_drop(link);
    link->events->down(link->store, &why);
}

static void take_result(struct mr_store_segment *segment, const PGconn *conn, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (segment->failed || status == PGRES_PIPELINE_ABORTED)
        return;
    segment->fault = MR_PG_BUG;
    if (status != PGRES_TUPLES_OK) {
        segment->failed = true;
        segment->fault = mr_pg_fault(result);
        mr_pg_error(conn, result, "writing to the database", &segment->err);
    } else if (segment->group) {
        segment->failed = mr_store_read(segment->statements[segment->at], result, segment->group,
                              &segment->err) < 0;
    } else if (segment->statements[segment->at] == MR_STORE_SWEEP) {
        segment->lost_pico = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    }
}

/* One result, or the NULL behind each statement's. False: the connection is gone, or another one
 * has taken its place. */
static bool take(struct mr_store_link *link, PGresult *result, unsigned *nulls)
{
    const PGconn *conn = link->conn;
    struct mr_store_segment *segment = &link->segments[link->at];
    if (!result) {
        segment->at++;
        if (++*nulls < 2)
            return true;
        lost(link, NULL); /* libpq knows of nothing in flight */
        return false;
    }
    *nulls = 0;
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        link->at++;
        struct mr_store_segment ended = *segment;
        link->events->ended(link->store, &ended);
        return link->conn == conn;
    }
    bool gone = PQresultStatus(result) == PGRES_FATAL_ERROR && mr_pg_fault(result) == MR_PG_LOST;
    if (gone)
        lost(link, result);
    else if (segment->at < segment->count)
        take_result(segment, conn, result);
    PQclear(result);
    return !gone;
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* Writes what libpq has queued and asks to be woken for the rest. */
static bool flush_out(struct mr_store_link *link)
{
    int left = PQflush(link->conn);
    return left >= 0 &&
           uv_poll_start(link->poll, UV_READABLE | (left ? UV_WRITABLE : 0), on_poll) == 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mr_store_link *link = poll->data;
    if (status < 0 || !PQconsumeInput(link->conn) || PQstatus(link->conn) == CONNECTION_BAD) {
        lost(link, NULL);
        return;
    }
    unsigned nulls = 0;
    while (!PQisBusy(link->conn) && link->at < link->count)
        if (!take(link, PQgetResult(link->conn), &nulls))
            return;
    if (PQstatus(link->conn) == CONNECTION_BAD || !flush_out(link))
        lost(link, NULL);
}

void mr_store_link_sent(
    struct mr_store_link *link, const struct mr_store_segment *segments, size_t count)
{
    assert(link->conn && link->at == link->count && count <= MR_STORE_SEGMENTS);
    memcpy(link->segments, segments, count * sizeof(segments[0]));
    link->at = 0;
    link->count = count;
    if (!flush_out(link))
        lost(link, NULL);
}

static int watch(struct mr_store_link *link)
{
    uv_poll_t *poll = malloc(sizeof(*poll));
    if (!poll)
        return -ENOMEM;
    int rc = uv_poll_init(link->loop, poll, PQsocket(link->conn));
    if (rc < 0) {
        free(poll);
        return rc;
    }
    poll->data = link;
    link->poll = poll;
    link->polls++;
    return uv_poll_start(poll, UV_READABLE, on_poll);
}

static void on_connected(uv_work_t *work, int status)
{
    struct mr_store_link *link = work->data;
    PGconn *made = link->made;
    link->made = NULL;
    link->connecting = false;
    if (link->closing || !made) {
        if (made)
            PQfinish(made);
        if (link->closing)
            maybe_closed(link);
        else
            link->events->down(link->store, &link->why);
        return;
    }
    link->conn = made;
    link->at = link->count = 0;
    if (watch(link) == 0) {
        link->events->up(link->store, link->worker);
        return;
    }
    struct mr_err why;
    mr_err_set(&why, 0, MR_CLASS_INTERNAL, "cannot watch the database's socket");
    if (link->poll) {
        mr_store_link_drop(link);
    } else {
        PQfinish(made);
        link->conn = NULL;
    }
    link->events->down(link->store, &why);
}

void mr_store_link_open(struct mr_store_link *link)
{
    assert(!link->conn && !link->connecting && !link->closing);
    link->connecting = true;
    int rc = uv_queue_work(link->loop, &link->work, connect_on_thread, on_connected);
    assert(rc == 0);
    (void)rc;
}

void mr_store_link_close(struct mr_store_link *link)
{
    mr_store_link_drop(link);
    link->closing = true;
    if (link->connecting)
        uv_cancel((uv_req_t *)&link->work); /* on_connected comes either way */
    maybe_closed(link);
}

struct mr_store_link *mr_store_link_free(struct mr_store_link *link)
{
    if (link)
        assert(!link->conn && !link->connecting && link->polls == 0);
    free(link);
    return NULL;
}
