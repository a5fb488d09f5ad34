/* The body of a POST as jobs, and what became of them as an answer. No HTTP, no broker: pure. */
#pragma once

#include "producer/dispatch.h"
#include "producer/job.h"

enum mr_body_kind { MR_BODY_JSON, MR_BODY_NDJSON };

/* What a Content-Type (NULL: none) says; parameters such as charset are ignored. 0 or -EINVAL. */
#define MR_BODY_TYPES "application/json, application/x-ndjson"
int mr_body_kind(const char *content_type, enum mr_body_kind *ret) MR_CHECK;

/* Something that is wrong, as an HTTP status says it. */
#define MR_FIELD_MAX 96
struct mr_fault {
    unsigned status;          /* 0: nothing is wrong */
    char field[MR_FIELD_MAX]; /* "input.text"; "" when no field is to blame */
    char *detail;             /* owned */
};
void mr_fault_deinit(struct mr_fault *fault);

/* One job of a request. */
struct mr_entry {
    char id[MR_UUID_LEN];         /* "" when it is no job */
    struct mr_shipment *shipment; /* owned until it is put; NULL when it is no job */
    struct mr_fault fault;        /* status 0 once the broker has it, or while nothing is known */
    bool unknown;                 /* the fault is that it was not confirmed: it may run */
    struct mr_post post;
    /* The caller's: */
    void *owner;
    size_t len;
};

struct mr_body {
    struct mr_entry *entries;
    size_t count;
    bool single; /* one object, not a list of one */
};
void mr_body_deinit(struct mr_body *body); /* safe on a zeroed one */

/* Reads a body: an object, an array of them, or lines of them. Jobs are checked one by one: what is
 * wrong with one is its entry's fault. `key` is the header Idempotency-Key, or NULL. 0; 1 with
 * *ret_fault when the whole is wrong: no JSON, no jobs, too many, a key for several. May run on any
 * thread.
 *
 * A job with an idempotency key and no id of its own gets one that follows from tenant and key, so
 * that the same key has the same id whenever and wherever it is sent again. */
int mr_body_read(const struct mr_job_plan *plan, enum mr_body_kind kind, const char *bytes,
    size_t n, size_t max_jobs, const char *key, struct mr_body *ret,
    struct mr_fault *ret_fault) MR_CHECK;

/* The id that follows from a key. */
struct mr_uuid mr_id_of_key(const char *tenant, const char *key);

/* Writes what the broker (or the want of it) has made of the entry. */
void mr_entry_decide(struct mr_entry *entry, enum mr_post_fate fate, const char *why);

/* What is to be answered once all is decided. */
struct mr_verdict {
    unsigned status;              /* 202; 207 when entries differ; else the fault of all of them */
    const struct mr_fault *fault; /* of all of them: a problem; borrowed; NULL: no problem */
    json_t *json;                 /* the answer, or the problem's further members */
    bool retry;                   /* some may be sent again: Retry-After */
};
struct mr_verdict mr_body_verdict(const struct mr_body *body);
