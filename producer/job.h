/* Makes jobs of what the user gives: text, URLs, documents, JSON lines. */
#pragma once

#include "common/config.h"
#include "producer/command.h"
#include "producer/sender.h"

/* What holds for every job of one command line. Strings and metadata borrowed; tenant and pipeline
 * are names that mr_name_check accepts. */
struct mr_job_plan {
    const struct mr_config *config;
    struct mr_clock clock;
    struct mr_random random;
    const char *tenant, *pipeline;
    int priority;
    json_t *metadata; /* object */
    const char *idempotency_key;
    int64_t deadline_ms; /* wall; 0 = none */
    bool watch;
};

/* Reads the command line of enqueue and checks it; metadata is the caller's to free. 0 or -EINVAL
 * with err. */
int mr_job_plan_read(struct mr_cli *cli, struct mr_job_plan *ret, struct mr_err *err) MR_CHECK;

/* Each makes one shipment, checked as a worker will check it. `source` is for messages. 0 or
 * negative with err, which names the field at fault. */
int mr_job_of_text(const struct mr_job_plan *plan, const char *source, const char *text, size_t n,
    struct mr_shipment **ret, struct mr_err *err) MR_CHECK;
int mr_job_of_url(const struct mr_job_plan *plan, const char *url, struct mr_shipment **ret,
    struct mr_err *err) MR_CHECK;
/* A document: plain text in UTF-8 travels as text, everything else as bytes with its name and media
 * type. `path` may have directories; NULL for none. */
int mr_job_of_document(const struct mr_job_plan *plan, const char *source, const char *path,
    const char *bytes, size_t n, struct mr_shipment **ret, struct mr_err *err) MR_CHECK;
/* One line of --jsonl: an envelope, in which v, id, tenant, pipeline, priority, created_at,
 * deadline and metadata may be missing and then come from the plan. */
int mr_job_of_line(const struct mr_job_plan *plan, const char *source, const char *line, size_t n,
    struct mr_shipment **ret, struct mr_err *err) MR_CHECK;

/* The same of an object that has been parsed already; what is missing is added to it. source "":
 * errors begin with the field. */
int mr_job_of_object(const struct mr_job_plan *plan, const char *source, json_t *object,
    struct mr_shipment **ret, struct mr_err *err) MR_CHECK;

/* The message for a document over the limit. Returns -EMSGSIZE. */
int mr_job_too_large(const struct mr_config *config, const char *source, struct mr_err *err);

/* Reads --metadata k=v options into *ret, an object the caller owns. 0 or -EINVAL with err. */
int mr_job_metadata(const struct mr_args *args, json_t **ret, struct mr_err *err) MR_CHECK;
