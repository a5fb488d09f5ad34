/* The world as the engine sees it: everything that leaves the engine goes through these ops,
 * everything that comes back arrives as one mr_engine_* call (engine.h). No ops function may call
 * back into the engine before it returns. io/ makes the ops real on one libuv loop; tests/sim makes
 * them a simulation with a virtual clock. */
#pragma once

#include "common/buf.h"
#include "common/clock.h"
#include "common/envelope.h"
#include "common/err.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/money.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- broker
 * ------------------------------------------------------------------------------------------------------
 */

/* One message on a lane, unacked. The consumer allocates it; the engine owns it after
 * mr_engine_delivered and frees it with mr_delivery_free. `session` tells connections apart: a tag
 * is only good on the session it came from. */
struct mr_delivery {
    uint64_t session;
    uint64_t tag;
    enum mr_lane lane;
    bool redelivered;
    int32_t hops;
    int32_t replay;
    char *body; /* NUL-terminated behind len */
    size_t len;
    /* the engine's: */
    struct mr_delivery *next;
    int64_t arrived_ms; /* monotonic */
};
struct mr_delivery *mr_delivery_free(struct mr_delivery *delivery);

enum mr_publish_kind {
    MR_PUBLISH_DEAD,  /* to millrace.dead */
    MR_PUBLISH_HOME,  /* to millrace.jobs: hand-over to `pool` */
    MR_PUBLISH_DELAY, /* to the tier for delay_ms, home to `pool` */
    MR_PUBLISH_EVENT, /* to millrace.events; never reported back */
};

/* Allocated by the engine, owned by the broker after publish() until mr_engine_published gives it
 * back (events: freed by the broker with mr_publish_free). The broker keeps trying across
 * reconnects until it is confirmed or refused. */
struct mr_publish {
    enum mr_publish_kind kind;
    void *owner; /* the engine's; opaque to the broker */
    struct mr_uuid id;
    char tenant[MR_NAME_MAX + 1], pipeline[MR_NAME_MAX + 1], pool[MR_NAME_MAX + 1];
    enum mr_lane lane;
    int priority;
    int32_t hops, replay;
    int64_t delay_ms;
    const char *
        body; /* HOME, DELAY, DEAD: borrowed from the job until reported back. EVENT: body_owned. */
    size_t len;
    char *body_owned;
    char event[32]; /* EVENT: "job.done", "job.dead", "step.done"; routing key is "<event>.<job id>"
                     */
    /* DEAD: the readable headers */
    char step[MR_NAME_MAX + 1];
    enum mr_class class;
    char message[MR_ERR_MAX];
    int32_t attempts;
    int64_t spent_pico;
    int64_t died_ms;
};
struct mr_publish *mr_publish_free(struct mr_publish *publish);

struct mr_broker_ops {
    /* Settles a delivery. A tag of a lost session is ignored. */
    void (*ack)(void *ctx, uint64_t session, uint64_t tag);
    void (*requeue)(void *ctx, uint64_t session, uint64_t tag); /* drain only */
    void (*publish)(void *ctx, struct mr_publish *publish);
    void *ctx;
};

/* ---- store
 * -------------------------------------------------------------------------------------------------------
 */

enum mr_verdict {
    MR_VERDICT_RUN,       /* claimed: the lease is ours at this epoch */
    MR_VERDICT_BUSY,      /* another living worker has calls open for it */
    MR_VERDICT_DONE,      /* already ended: ack and drop */
    MR_VERDICT_DEAD,      /* already dead: make sure a dead letter exists, then ack */
    MR_VERDICT_CANCELLED, /* cancelled (now or before): ack and drop */
    MR_VERDICT_DUPLICATE, /* same tenant and idempotency key as another job: recorded, ack and drop
                           */
    MR_VERDICT_OK,        /* commit: everything was written */
    MR_VERDICT_STALE,     /* commit: the lease is no longer ours; only money was written */
    MR_VERDICT_REFUSED,   /* the database can never store this (error text in err) */
};

struct mr_claim {
    void *owner;
    const struct mr_envelope *envelope; /* borrowed until mr_engine_claimed */
    int pipeline_version;               /* what this worker would run a new job with */
    int32_t replay;
    /* answer, written by the store: */
    enum mr_verdict verdict;
    int64_t epoch;
    int version;      /* the pipeline version the job keeps */
    int redeliveries; /* crashes in a row without a finished step */
    int64_t spent_pico;
    int64_t until_ms;  /* jobs.delay_until as wall ms, when the job was waiting for it; 0 = none */
    json_t *steps;     /* NULL for a new job, else
                          {"extract":{"state":"done","output":{...}},"summarize":{"attempts":2}};
                          states: done, skipped, failed. Owned by the claim. */
    struct mr_err err; /* REFUSED, DEAD: class and message (and dead_step) */
    char dead_step[MR_NAME_MAX + 1];
};

enum mr_call_state { MR_CALL_OPEN, MR_CALL_SETTLED, MR_CALL_RELEASED, MR_CALL_AMBIGUOUS };

/* One paid call: its intent (begin) and its end (settle). */
struct mr_call_row {
    struct mr_uuid id;
    const char *step; /* borrowed from the pipeline */
    int attempt;      /* 1... */
    char provider[MR_NAME_MAX + 1], alias[MR_NAME_MAX + 1], model[129];
    int64_t hold_pico;
    int64_t price_id; /* 0 = ceiling */
    bool price_unknown;
    int64_t timeout_ms; /* the call protects the job against claims this long after begin */
    /* settle: */
    enum mr_call_state state; /* SETTLED: cost known; RELEASED: certainly not billed, cost 0;
                                 AMBIGUOUS: cost = hold */
    struct mr_usage usage;
    int64_t cost_pico;
    enum mr_class class; /* NONE when it went well */
    char message[MR_ERR_MAX];
    int http_status; /* 0 = none */
    char request_id[129], served_model[129], finish_reason[33];
    int64_t latency_ms;
};

/* A step that has ended. */
struct mr_step_row {
    const char *name;
    enum { MR_STEP_DONE, MR_STEP_SKIPPED, MR_STEP_FAILED } state;
    const json_t *output; /* borrowed from the job until committed; NULL unless done */
    bool degraded;
    int attempts;
    int64_t started_ms, ended_ms; /* wall */
    enum mr_class class;
    char message[MR_ERR_MAX];
};

enum mr_move { MR_MOVE_NONE, MR_MOVE_DONE, MR_MOVE_DEAD, MR_MOVE_CANCELLED, MR_MOVE_WAITING };

#define MR_COMMIT_MAX 32

/* Everything one turn says about one job, written in one transaction with the rest of the turn's
 * batch: first the money (settles, whatever the epoch), then, under the epoch, steps, begins and
 * the move. If a begin is refused or the epoch is stale, none of steps, begins and move is written,
 * and no call may be sent. */
struct mr_commit {
    void *owner;
    struct mr_uuid id;
    int64_t epoch;
    struct mr_call_row *settles[MR_COMMIT_MAX]; /* borrowed until mr_engine_committed */
    size_t nsettles;
    struct mr_step_row steps[MR_COMMIT_MAX];
    size_t nsteps;
    struct mr_call_row *begins[MR_COMMIT_MAX];
    size_t nbegins;
    enum mr_move move;
    /* DEAD */
    struct mr_err error;
    char error_step[MR_NAME_MAX + 1];
    /* WAITING */
    int64_t until_ms; /* wall; 0 = at once */
    char pool[MR_NAME_MAX + 1];
    /* answer: */
    enum mr_verdict
        verdict; /* OK, STALE, CANCELLED (flag was raised; nothing but money written), REFUSED */
    struct mr_err err;
};

/* Both keep their argument until mr_engine_claimed / mr_engine_committed gives it back; while the
 * database is away they wait. */
struct mr_store_ops {
    void (*claim)(void *ctx, struct mr_claim *claim);
    void (*commit)(void *ctx, struct mr_commit *commit);
    /* A message that is no job (unparsable, schema violation): a row in `rejects`. Reported by
     * mr_engine_rejected. */
    void (*reject)(void *ctx, void *owner, const struct mr_envelope_salvage *who,
        const struct mr_err *why, const char *body, size_t len);
    void *ctx;
};

/* ---- providers
 * ---------------------------------------------------------------------------------------------------
 */

enum mr_auth { MR_AUTH_NONE, MR_AUTH_BEARER, MR_AUTH_X_API_KEY };

struct mr_provider;
struct mr_chat;

/* What a codec makes of a chat call; the caller (io) sends it. Local: no url, `chat` is answered on
 * a thread. */
struct mr_request {
    const struct mr_provider *provider; /* borrowed from the job's configuration */
    struct mr_chat *chat;               /* owned; what was asked, codec-independent */
    char *url;                          /* NULL for local */
    struct mr_buf body;
    enum mr_auth auth; /* io adds the key itself */
    char *headers[8];  /* "anthropic-version: 2023-06-01"; owned, NULL-terminated */
    int64_t timeout_ms;
};
void mr_request_deinit(struct mr_request *request);

enum mr_transport {
    MR_TRANSPORT_OK,        /* an HTTP status was received, and the whole body */
    MR_TRANSPORT_NOT_SENT,  /* refused, DNS, TLS, reset before the body was sent */
    MR_TRANSPORT_AMBIGUOUS, /* timeout, reset, truncated body after (part of) the body was sent */
    MR_TRANSPORT_ABORTED,   /* we gave up (drain); ambiguous if it was sent */
    MR_TRANSPORT_LOCAL,     /* answered on this machine */
};

#define MR_REPLY_MAX (16u << 20)

struct mr_reply {
    enum mr_transport transport;
    char detail[256]; /* curl's words */
    int status;
    struct mr_buf body;
    int64_t
        retry_after_ms; /* -1 = none; retry-after-ms first, then Retry-After as seconds or date */
    int should_retry;   /* x-should-retry: 1, 0, -1 = none */
    char request_id[129], content_type[65];
    int64_t latency_ms;
    json_t *local; /* LOCAL: the answer object, owned; see providers/local.h */
    struct mr_err local_err;
};
void mr_reply_deinit(struct mr_reply *reply);

struct mr_caller_ops {
    /* request is borrowed until mr_engine_replied(token). */
    void (*start)(void *ctx, void *token, const struct mr_request *request);
    /* Gives up; mr_engine_replied still comes (ABORTED), on a later turn. */
    void (*abort)(void *ctx, void *token);
    void *ctx;
};

/* ---- extraction
 * --------------------------------------------------------------------------------------------------
 */

struct mr_extract_job {
    const struct mr_envelope *envelope; /* borrowed until mr_engine_extracted */
    int64_t timeout_ms;
};

struct mr_extract_result {
    int rc; /* 0, or -1 with err: class INVALID (the document's fault),
               NETWORK/SERVER/RATE_LIMITED... (the fetch), INTERNAL */
    struct mr_err err;
    int64_t retry_after_ms; /* -1 = none */
    json_t *
        output; /* {"text":"...","media_type":"application/pdf","charset":"utf-8","title":...,"pages":3,"bytes":123,"truncated":false};
                   owned */
};

struct mr_extractor_ops {
    void (*start)(void *ctx, void *token, const struct mr_extract_job *job);
    void (*abort)(void *ctx, void *token); /* as above */
    void *ctx;
};

struct mr_world {
    struct mr_clock clock;
    struct mr_random random;
    struct mr_broker_ops broker;
    struct mr_store_ops store;
    struct mr_caller_ops caller;
    struct mr_extractor_ops extractor;
    const struct mr_log *log;
    char worker[MR_NAME_MAX + 1]; /* shown in dead letters and logs: "<host>:<pid>" made a name */
};
