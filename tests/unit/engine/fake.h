/* A world that only takes notes: what the engine asked for lies here until the test answers. */
#pragma once

#include "tests/unit/test.h"
#include "worker/engine/job.h"

#define FAKE_MAX 64

struct fake {
    int64_t now_ms; /* both clocks */
    struct mr_engine *engine;
    struct mr_config *config;
    struct mr_prices prices;
    struct mr_log log;

    uint64_t acks[FAKE_MAX], requeues[FAKE_MAX]; /* tags */
    size_t nacks, nrequeues;
    struct mr_publish *published[FAKE_MAX]; /* not events; the test answers each once */
    size_t npublished;
    char events[FAKE_MAX][32]; /* "job.done" */
    size_t nevents;
    char news[512]; /* body of the last one */
    struct mr_claim *claims[FAKE_MAX];
    size_t nclaims;
    struct mr_commit *commits[FAKE_MAX];
    size_t ncommits;
    void *rejects[FAKE_MAX];
    struct mr_err reject_why;
    size_t nrejects;
    void *calls[FAKE_MAX]; /* tokens */
    const struct mr_request *requests[FAKE_MAX];
    size_t ncalls, naborts;
    void *probes[FAKE_MAX]; /* tokens */
    size_t nprobes;
    const struct mr_endpoint *probed; /* the last one */
    struct mr_breaker_note notes[FAKE_MAX];
    size_t nnotes;
    void *extracts[FAKE_MAX];
    size_t nextracts;
};

/* The engine with pipeline `doc` (extract, then chat step `sum`, pool main), `far` (one chat step
 * in pool gpu), `split` (steps `far` in pool gpu and `near` beside each other) and `hard`, `soft`
 * and `mild` (one chat step with on_error = fail, skip or degrade). more: extra configuration text,
 * or "". */
void fake_init(struct fake *fake, const char *more);
/* The same pipelines; alias `m` and its provider are the test's own. */
void fake_init_bare(struct fake *fake, const char *providers);
void fake_deinit(struct fake *fake);

/* A message of job n (1...) with this tag; extra goes into the JSON object, e.g. ",\"watch\":true".
 */
void fake_deliver(struct fake *fake, int n, uint64_t tag, const char *pipeline, const char *extra);
void fake_deliver_body(struct fake *fake, uint64_t tag, const char *body);

/* Answers the last claim, commit, call, extraction or publish. */
void fake_claimed(struct fake *fake, enum mr_verdict verdict, const char *steps_json);
void fake_committed(struct fake *fake, enum mr_verdict verdict);
/* Sets the answer to the last commit's one begin; then say fake_committed. */
struct mr_call_row *fake_admission(struct fake *fake, enum mr_admission admission);
void fake_extracted(struct fake *fake, const char *text);
void fake_replied(struct fake *fake, int status, const char *body);
void fake_lost_reply(struct fake *fake, enum mr_transport transport);
void fake_published(struct fake *fake, bool confirmed);
/* Lets time pass and ticks. */
void fake_pass(struct fake *fake, int64_t ms);

/* The last one; its contents are good until it is answered. */
struct mr_commit *fake_commit(struct fake *fake);

extern const char fake_good_body[]; /* answers "fine", 11 tokens in, 3 out: 52 pico-dollars */
