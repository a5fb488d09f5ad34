/* Errors: what went wrong, whose fault it is, and what may be done about it.
 *
 * Functions that can fail return int: 0 is success; a negative errno value is fatal for the
 * operation and is forwarded unchanged; a positive value is an enum the function's header documents
 * and the caller must switch on. Text for people travels in struct mr_err, written where the error
 * is found. */
#pragma once

#include <stddef.h>

#define MR_CHECK __attribute__((warn_unused_result))
#define MR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MR_CLEANUP(fn) __attribute__((cleanup(fn)))

#define MR_ERR_MAX 512

/* Why a call, a step or a job failed. The names (mr_class_name) are the ones in SQL, logs and dead
 * letters. */
enum mr_class {
    MR_CLASS_NONE = 0,
    MR_CLASS_RATE_LIMITED, /* 429 throttle */
    MR_CLASS_OVERLOADED,   /* 503, 529 */
    MR_CLASS_NETWORK,      /* the request certainly did not reach the provider */
    MR_CLASS_AMBIGUOUS,    /* it may have: counted as spent at its hold */
    MR_CLASS_SERVER,       /* 500, 502, 504, HTML from a proxy */
    MR_CLASS_AUTH,         /* 401, 402, 403 */
    MR_CLASS_QUOTA,        /* insufficient_quota, spend limits */
    MR_CLASS_INVALID,      /* bad request, bad document, bad envelope, unknown pipeline */
    MR_CLASS_BAD_OUTPUT,   /* empty, truncated, not JSON, fails the schema */
    MR_CLASS_REFUSED,      /* content filter, refusal */
    MR_CLASS_CAPPED,       /* the tenant's cap leaves no room for the call's hold */
    MR_CLASS_LIMITED,      /* waits for its share of a limit the fleet keeps */
    MR_CLASS_UNAVAILABLE,  /* every route to a model is closed by its breaker */
    MR_CLASS_DEADLINE,     /* the job's own deadline has passed */
    MR_CLASS_REDELIVERED,  /* workers kept dying while they held this job */
    MR_CLASS_CANCELLED,
    MR_CLASS_INTERNAL, /* our own bug */
    MR_CLASS_COUNT
};

struct mr_err {
    enum mr_class class;
    char msg[MR_ERR_MAX]; /* one line of UTF-8 for a person; never a secret, never document text */
};

/* Returns the stable lower-case name, e.g. "rate_limited"; "unknown" for a value out of range. */
const char *mr_class_name(enum mr_class class);

/* Finds a class by name. Returns MR_CLASS_COUNT when there is none. */
enum mr_class mr_class_parse(const char *name);

/* Writes class and formatted text (cut to MR_ERR_MAX on a UTF-8 boundary, control characters
 * replaced by '?'). err may be NULL. Returns code, so that `return mr_err_set(err, -EINVAL, ...)`
 * reads as one step. */
int mr_err_set(struct mr_err *err, int code, enum mr_class class, const char *fmt, ...)
    MR_PRINTF(4, 5);

/* Puts "<prefix>: " before the text that is already there. err may be NULL. Returns code. */
int mr_err_prefix(struct mr_err *err, int code, const char *fmt, ...) MR_PRINTF(3, 4);
