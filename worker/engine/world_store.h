/* The store as the engine sees it: a lease is claimed, commits are written under it. */
#pragma once

#include "common/envelope.h"
#include "common/err.h"
#include "common/ids.h"
#include "common/money.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum mr_verdict {
    MR_VERDICT_RUN,       /* claimed: the lease is ours at this epoch */
    MR_VERDICT_BUSY,      /* another living worker holds it: ask again later */
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
