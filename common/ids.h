/* Identifiers: UUIDs (RFC 9562) for jobs and calls, and the rules names must obey. */
#pragma once

#include "common/clock.h"
#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_UUID_LEN 37 /* text with its NUL */
#define MR_NAME_MAX 64 /* tenant, pipeline, step, pool, model alias: bytes, without NUL */

struct mr_uuid {
    uint8_t bytes[16];
};

/* Version 7: 48 bits of wall time in ms, then randomness. */
struct mr_uuid mr_uuid7(const struct mr_clock *clock, const struct mr_random *random);

/* Version 8 from SHA-256 of the bytes: the same bytes give the same id (messages that carry no
 * usable id). */
struct mr_uuid mr_uuid_of_bytes(const void *bytes, size_t n);

void mr_uuid_format(const struct mr_uuid *id, char ret[static MR_UUID_LEN]);

/* Accepts exactly the 36-character form, either case. 0 or -EINVAL. */
int mr_uuid_parse(const char *s, struct mr_uuid *ret) MR_CHECK;

bool mr_uuid_equal(const struct mr_uuid *a, const struct mr_uuid *b);

/* [A-Za-z0-9][A-Za-z0-9._-]{0,63}. `what` names the field in the error ("tenant"). 0 or -EINVAL. */
int mr_name_check(const char *what, const char *name, struct mr_err *err) MR_CHECK;
