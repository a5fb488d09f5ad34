/* The job envelope: the JSON body of every message on a lane, as schemas/job.schema.json says. */
#pragma once

#include "common/buf.h"
#include "common/ids.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define MR_ENVELOPE_VERSION 1
#define MR_ENVELOPE_MAX_DEPTH 8 /* levels of JSON nesting, the envelope's own object included */
#define MR_ENVELOPE_DEFAULT_PRIORITY 5
#define MR_METADATA_MAX 64         /* entries */
#define MR_METADATA_KEY_MAX 64     /* characters */
#define MR_METADATA_VALUE_MAX 4096 /* characters of a string */
#define MR_IDEMPOTENCY_KEY_MAX 255 /* characters */
#define MR_INPUT_NAME_MAX 255      /* characters */
#define MR_MEDIA_TYPE_MAX 255      /* bytes */
#define MR_URL_MAX 2048            /* bytes */

enum mr_lane { MR_LANE_HIGH, MR_LANE_NORMAL, MR_LANE_LOW, MR_LANE_COUNT };

/* 8-10 high, 4-7 normal, 1-3 low. */
enum mr_lane mr_lane_of_priority(int priority);
const char *mr_lane_name(enum mr_lane lane); /* "high" */

enum mr_input_kind { MR_INPUT_TEXT, MR_INPUT_BYTES, MR_INPUT_URL };

/* {"v":1,"id":"...","tenant":"acme","pipeline":"document","priority":5,"created_at":"...Z",
 *  "input":{"text":"..."} | {"base64":"...","name":"a.pdf","media_type":"application/pdf"} |
 * {"url":"https://..."}, "metadata":{"k":"v"}, "idempotency_key":"...", "deadline":"...Z",
 * "watch":true} v comes first; id, tenant, pipeline, input are required. */
struct mr_envelope {
    struct mr_uuid id;
    char tenant[MR_NAME_MAX + 1];
    char pipeline[MR_NAME_MAX + 1];
    int priority;          /* 1-10 */
    int64_t created_ms;    /* wall ms; 0 when absent */
    int64_t deadline_ms;   /* wall ms; 0 = none */
    char *idempotency_key; /* NULL = none; 1 to 255 characters */
    json_t *metadata;      /* object of strings, numbers and booleans; never NULL */
    bool watch;            /* somebody waits: publish an event per finished step too */
    enum mr_input_kind input_kind;
    char *input; /* text, decoded bytes or URL; NUL-terminated behind input_len */
    size_t input_len;
    char *input_name;       /* file name without directories, or NULL */
    char *input_media_type; /* as declared, or NULL */
};

/* Parses and checks everything the schema says (a body that holds a later version is refused with
 * the version this build understands). Every error names the field. On error *ret is untouched.
 * Whatever the result, ret_salvage (may be NULL) gets what a dead letter needs: the id when the
 * body is JSON with a readable one, else mr_uuid_of_bytes of the body; tenant and pipeline when
 * they are valid names, else "". 0 or -EINVAL / -ENOMEM. */
struct mr_envelope_salvage {
    struct mr_uuid id;
    char tenant[MR_NAME_MAX + 1];
    char pipeline[MR_NAME_MAX + 1];
};
int mr_envelope_parse(const char *body, size_t n, struct mr_envelope *ret,
    struct mr_envelope_salvage *ret_salvage, struct mr_err *err) MR_CHECK;

/* Appends the JSON body. Bytes are base64 unless input_kind says text. 0, -EMSGSIZE, -ENOMEM. */
int mr_envelope_write(const struct mr_envelope *envelope, struct mr_buf *buf) MR_CHECK;

/* Checks one built by hand (the producer): the same rules and messages as parse. 0 or -EINVAL. */
int mr_envelope_check(const struct mr_envelope *envelope, struct mr_err *err) MR_CHECK;

void mr_envelope_deinit(struct mr_envelope *envelope); /* safe on a zeroed struct */
