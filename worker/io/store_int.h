/* The store's parts among themselves: store.c (batches, life), store_queue.c (what waits),
 * store_write.c (items to parameters), store_send.c (statements), store_link.c (one connection),
 * store_read.c (rows to answers). */
#pragma once

#include "common/pg.h"
#include "worker/io/store.h"

#define MR_STORE_BATCH_MAX 500 /* items of one transaction */
#define MR_STORE_ARRAYS_MAX 40 /* parameters of one statement */

/* ---- what waits ---- */

struct mr_store_reject { /* owned: the engine does not wait with the body */
    void *owner;
    struct mr_uuid id;
    char tenant[MR_NAME_MAX + 1], pipeline[MR_NAME_MAX + 1];
    struct mr_err why;
    int64_t bytes;
    char head[257];
};

enum mr_store_kind {
    MR_STORE_CLAIMS,
    MR_STORE_COMMITS,
    MR_STORE_REJECTS,
    MR_STORE_NOTES,
    MR_STORE_LEASES,
    MR_STORE_KINDS
};

union mr_store_item {
    struct mr_claim *claim;
    struct mr_commit *commit;
    struct mr_store_reject *reject; /* owned */
    struct mr_breaker_note *note;   /* owned */
    struct mr_lease *lease;         /* one at a time */
};

/* Items of one kind that are sent together, in one transaction. A group that failed comes again as
 * it is, or halved. */
struct mr_store_group {
    struct mr_store_group *next;
    enum mr_store_kind kind;
    unsigned tries; /* failed ones */
    int64_t due_ms; /* monotonic; not before */
    size_t count;
    union mr_store_item items[];
};

/* store_queue.c: what the engine has said and the database has not answered. */
struct mr_store_queues {
    struct { /* in the order of arrival */
        union mr_store_item *items;
        size_t count, cap;
    } fresh[MR_STORE_KINDS];
    struct mr_store_group *groups; /* sent before, in no order */
};
/* What the engine hands over must reach the database. A worker that cannot remember it had better
 * die: then its leases go back, and what was not written runs again. Never NULL. */
void *mr_store_must(void *memory);
void mr_store_queues_deinit(struct mr_store_queues *queues);
void mr_store_push(
    struct mr_store_queues *queues, enum mr_store_kind kind, union mr_store_item item);
/* What is kept is a copy. */
void mr_store_push_reject(struct mr_store_queues *queues, void *owner,
    const struct mr_envelope_salvage *who, const struct mr_err *why, const char *body, size_t len);
void mr_store_push_note(struct mr_store_queues *queues, const struct mr_breaker_note *note);
/* Gives every item of an answered group back to the engine, which may say new things meanwhile. */
void mr_store_deliver(struct mr_engine *engine, struct mr_store_group *group);
const char *mr_store_kind_name(enum mr_store_kind kind); /* "claim" */
/* A group that is due again, else the oldest fresh items; NULL: nothing to send. The caller's. */
struct mr_store_group *mr_store_next(
    struct mr_store_queues *queues, enum mr_store_kind kind, int64_t now_ms);
void mr_store_put_back(struct mr_store_queues *queues, struct mr_store_group *group);
/* Puts back two halves; the group must have two items. */
void mr_store_put_back_split(struct mr_store_queues *queues, struct mr_store_group *group);
/* Items that are not with the database. */
size_t mr_store_waiting(const struct mr_store_queues *queues);
/* When the first group that was sent before is due; INT64_MAX: there is none. */
int64_t mr_store_next_due(const struct mr_store_queues *queues);

/* ---- what is sent ---- */

enum mr_store_statement {
    MR_STORE_CLAIM,
    MR_STORE_SETTLE,
    MR_STORE_COMMIT,
    MR_STORE_REJECT,
    MR_STORE_NOTE,
    MR_STORE_LEASE,
    MR_STORE_BEAT,
    MR_STORE_SWEEP,
    MR_STORE_STOP,
    MR_STORE_STATEMENTS
};

struct mr_store_statement_def {
    const char *name;
    const char *sql;
    const Oid *types;
    int ntypes;
};
extern const struct mr_store_statement_def mr_store_statements[MR_STORE_STATEMENTS];

struct mr_store_params {
    struct mr_pg_array arrays[MR_STORE_STATEMENTS][MR_STORE_ARRAYS_MAX];
    struct mr_buf json; /* scratch */
};
void mr_store_params_init(struct mr_store_params *params);
void mr_store_params_deinit(struct mr_store_params *params);

/* Where the parts of a commit begin among its arrays. */
enum {
    MR_STORE_OF_JOBS = 0,
    MR_STORE_OF_STEPS = 8,
    MR_STORE_OF_CALLS = 18,
    MR_STORE_OF_SETTLED = 32,
    MR_STORE_OF_ANSWERS = 33
};
/* Adds the group's items to the parameters. 0, -EMSGSIZE or -ENOMEM. */
int mr_store_write(struct mr_store_params *params, const struct mr_store_group *group) MR_CHECK;

struct mr_store_caller { /* the scalars of every statement */
    int64_t worker, dead_after_ms;
    const char *pool;
};

/* Makes the group's parameters and queues its statements and a sync. Fills ret_sent with what was
 * queued. 0; -EMSGSIZE: too large for one batch, or for one item when it stands alone; -ENOMEM;
 * -ECONNRESET: the connection is unusable. */
int mr_store_send_group(PGconn *conn, struct mr_store_params *params,
    const struct mr_store_caller *caller, const struct mr_store_group *group,
    enum mr_store_statement ret_sent[static 2], size_t *ret_nsent, struct mr_err *err) MR_CHECK;
/* BEAT, SWEEP or STOP. 0 or -ECONNRESET. */
int mr_store_send_simple(
    PGconn *conn, enum mr_store_statement statement, const struct mr_store_caller *caller) MR_CHECK;

/* Writes a result's answers into the group's items. 0, or -EPROTO when it does not fit them. */
int mr_store_read(enum mr_store_statement statement, const PGresult *result,
    struct mr_store_group *group, struct mr_err *err) MR_CHECK;
/* Forgets what the database has answered to a try that was rolled back. */
void mr_store_unread(struct mr_store_group *group);
/* Makes the answer of a group of one REFUSED. */
void mr_store_refuse(struct mr_store_group *group, const struct mr_err *why);

/* ---- one connection ---- */

struct mr_store_segment {         /* one transaction of the batch in flight */
    struct mr_store_group *group; /* NULL: heartbeat, sweep or goodbye */
    enum mr_store_statement statements[2];
    size_t count, at; /* statements[at] is the one whose result is next */
    bool failed;
    enum mr_pg_fault fault;
    struct mr_err err;
    int64_t lost_pico; /* SWEEP: what calls of dead workers may have cost */
};

struct mr_store_link;
/* Called from the loop. */
struct mr_store_link_events {
    void (*up)(struct mr_store *store, int64_t worker);
    /* A group that was not answered; before down, or from drop. */
    void (*put_back)(struct mr_store *store, struct mr_store_group *group);
    void (*down)(struct mr_store *store, const struct mr_err *why); /* dropped already */
    /* A transaction has ended, one way or the other; its group is the store's again. */
    void (*ended)(struct mr_store *store, const struct mr_store_segment *segment);
    void (*closed)(struct mr_store *store);
};
#define MR_STORE_SEGMENTS (MR_STORE_KINDS + 2)

struct mr_store_link *mr_store_link_new(uv_loop_t *loop, struct mr_store *store,
    const struct mr_config *config, const char *worker_name,
    const struct mr_store_link_events *events);
/* Connects on a thread; `up` or `down` follows. The first time the worker is registered. */
void mr_store_link_open(struct mr_store_link *link);
bool mr_store_link_ready(const struct mr_store_link *link); /* connected, nothing in flight */
bool mr_store_link_busy(const struct mr_store_link *link);  /* a batch is in flight */
PGconn *mr_store_link_conn(const struct mr_store_link *link);
/* Sends what was queued; its segments end one by one. */
void mr_store_link_sent(
    struct mr_store_link *link, const struct mr_store_segment *segments, size_t count);
/* Drops the connection. put_back is called for what was in flight, down is not. */
void mr_store_link_drop(struct mr_store_link *link);
/* Drops, waits for a connection attempt to give up, then calls closed. */
void mr_store_link_close(struct mr_store_link *link);
struct mr_store_link *mr_store_link_free(struct mr_store_link *link);
