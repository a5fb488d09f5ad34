/* The store as the engine sees it: a lease is claimed, commits are written under it. */
#pragma once

#include "common/envelope.h"
#include "common/err.h"
#include "common/ids.h"
#include "common/money.h"
#include "worker/limits/lease.h"

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
    int64_t lost_pico; /* of them: calls of a dead worker that this claim has found open */
    int64_t until_ms;  /* jobs.delay_until as wall ms, when the job was waiting for it; 0 = none */
    json_t *steps;     /* NULL for a new job, else
                          {"extract":{"state":"done","output":{...}},
                           "summarize":{"attempts":2,"paid":1,"since_ms":1790000000000}};
                          states: done, skipped, failed. paid: calls that may have cost money;
                          since_ms: when the first was begun. Owned by the claim. */
    struct mr_err err; /* REFUSED, DEAD; RUN before until_ms: what it waits for */
    char error_step[MR_NAME_MAX + 1]; /* DEAD, RUN: the step err is about */
};

/* What the database says to a call that is to begin. */
enum mr_admission {
    MR_ADMIT_GO,     /* its intent and its hold are written: send it */
    MR_ADMIT_CAPPED, /* its hold does not fit under a cap; nothing of it was written */
    MR_ADMIT_HIT,    /* answered before: the row is settled at nothing, the text is in `answer` */
    MR_ADMIT_WAIT,   /* the same call is out for another job: nothing was written, ask again */
};

/* What a tenant's cap does to a job. The names in SQL: park, dead, degrade. */
enum mr_on_cap { MR_ON_CAP_PARK, MR_ON_CAP_DEAD, MR_ON_CAP_DEGRADE };

enum mr_call_state { MR_CALL_OPEN, MR_CALL_SETTLED, MR_CALL_RELEASED, MR_CALL_AMBIGUOUS };

/* An answer from the cache. */
struct mr_hit {
    char *text; /* owned */
    size_t len;
    char served_model[129], finish_reason[33];
};
struct mr_hit *mr_hit_free(struct mr_hit *hit);

/* A tenant has come near its cap, or to it. The first commit that sees it tells. */
struct mr_cap_alert {
    bool reached; /* a call was refused; else 80 per cent are spent */
    bool month;   /* else day */
};

/* One paid call: its intent (begin) and its end (settle). */
struct mr_call_row {
    struct mr_uuid id;
    const char *step; /* borrowed from the pipeline */
    int attempt;      /* 1... */
    char provider[MR_NAME_MAX + 1], endpoint[MR_NAME_MAX + 1], alias[MR_NAME_MAX + 1], model[129];
    char route[129]; /* why this model and not the alias's own: a rule or a fallback; "" = it is */
    unsigned char cache_key[32]; /* SHA-256; counts when cache_ttl_ms > 0 */
    int64_t cache_ttl_ms;        /* 0: the answer is nobody else's */
    int64_t hold_pico;
    int64_t price_id; /* 0 = ceiling */
    bool price_unknown;
    int64_t timeout_ms; /* the call protects the job against claims this long after begin */
    /* begin's answer: */
    enum mr_admission admission;
    enum mr_on_cap on_cap;    /* CAPPED */
    bool hopeless;            /* CAPPED: no amount of waiting makes room */
    int64_t wait_ms;          /* CAPPED, WAIT: worth asking again after this */
    char refusal[MR_ERR_MAX]; /* CAPPED: which cap, and how much of it is left */
    struct mr_hit *hit;       /* HIT: owned */
    /* settle: */
    const char *cache_text; /* settled without a class: what equal calls get; borrowed until
                               committed; NULL = nothing for the cache */
    size_t cache_len;
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
 * the move. Under a stale epoch none of steps, begins and move is written, and no call may be sent.
 * A begin that is not admitted does not keep the steps from being written. */
struct mr_commit {
    void *owner;
    struct mr_uuid id;
    int64_t epoch;
    struct mr_call_row *settles[MR_COMMIT_MAX]; /* all borrowed until mr_engine_committed */
    size_t nsettles;
    const struct mr_step_row *steps[MR_COMMIT_MAX];
    size_t nsteps;
    struct mr_call_row *begins[MR_COMMIT_MAX];
    size_t nbegins;
    enum mr_move move;
    /* DEAD; WAITING: what it waits for (class NONE: nothing, it changes hands) */
    struct mr_err error;
    char error_step[MR_NAME_MAX + 1];
    /* WAITING */
    int64_t until_ms; /* wall; 0 = at once */
    char pool[MR_NAME_MAX + 1];
    /* answer: */
    enum mr_verdict verdict; /* OK (each begin: see its admission), STALE, CANCELLED (flag was
                                raised; begins and move were not written), REFUSED */
    struct mr_cap_alert alerts[4];
    size_t nalerts;
    struct mr_err err;
};

enum mr_breaker_state { MR_BREAKER_CLOSED, MR_BREAKER_OPEN, MR_BREAKER_HALF_OPEN };

struct mr_breaker_note { /* copied by the store */
    char provider[MR_NAME_MAX + 1], endpoint[MR_NAME_MAX + 1];
    enum mr_breaker_state state;
    int64_t until_ms;  /* wall; OPEN: when calls are let through again */
    struct mr_err why; /* OPEN: the last failure */
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
    /* The state of an endpoint's breaker, for people to see; never reported back, may be lost. */
    void (*note_breaker)(void *ctx, const struct mr_breaker_note *note);
    /* Asks for shares of the fleet's limits; mr_engine_leased gives it back. NULL: there are none.
     */
    void (*lease)(void *ctx, struct mr_lease *lease);
    void *ctx;
};
