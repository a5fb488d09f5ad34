/* mr_store_ops on PostgreSQL: one connection, one pipelined batch in flight at a time.
 *
 * Whatever the engine says while a batch is in flight makes the next one. A batch is up to seven
 * transactions: claims; settles and commits; rejects; notes; leases; the heartbeat; now and then a
 * sweep.
 * Claims go alone so that they never wait for a row while they hold one another worker waits for
 * (sql/routines).
 *
 * Nothing is ever dropped. When the connection is lost, what was not answered is said again on the
 * next one; the SQL functions answer a repetition as they did the first time. A transaction the
 * database refuses as data (SQLSTATE classes 22, 23, 54) is halved until the guilty item stands
 * alone, which then is REFUSED. Other errors are repeated with a growing pause, halved too, so that
 * one item the database chokes on does not hold up the others.
 *
 * Connecting blocks (name lookup, several hosts, TLS) and so happens on a thread of libuv's pool.
 */
#pragma once

#include "common/config.h"
#include "worker/engine/engine.h"

#include <uv.h>

struct mr_store;

/* config is referenced: database, and of worker its pool, heartbeat_ms and dead_after_ms. Of the
 * world its clock, random and worker name are copied, and log is borrowed. 0, or negative with err.
 * Connects to nothing yet. */
int mr_store_new(uv_loop_t *loop, struct mr_config *config, const struct mr_world *world,
    struct mr_store **ret, struct mr_err *err) MR_CHECK;
struct mr_store_ops mr_store_ops(struct mr_store *store);

/* Begins to connect, and goes on trying for ever. */
void mr_store_start(struct mr_store *store, struct mr_engine *engine);

/* The worker's id in millrace.workers; 0 before the first connection. */
int64_t mr_store_worker(const struct mr_store *store);

/* How it stands with the database. */
struct mr_store_view {
    bool connected;
    int64_t silent_ms; /* how long the batch in flight has been without an answer; 0: none is */
    size_t waiting;    /* items it has not been told, or has not answered */
};
struct mr_store_view mr_store_view(const struct mr_store *store);

/* Says goodbye to the database if it is there (bounded by a second, so that the worker's calls
 * protect nothing any more), drops what is still unanswered, closes all handles, then calls closed.
 * mr_store_free after that; it takes NULL and returns NULL. */
void mr_store_close(struct mr_store *store, void (*closed)(void *ctx), void *ctx);
struct mr_store *mr_store_free(struct mr_store *store);
