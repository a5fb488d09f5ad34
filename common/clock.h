/* Time and chance as inputs, so that tests and the simulator can own them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Milliseconds since 1970 UTC, for records; nanoseconds of a clock that never jumps, for intervals.
 */
struct mr_clock {
    int64_t (*wall_ms)(void *ctx);
    int64_t (*mono_ns)(void *ctx);
    void *ctx;
};

/* Fills n bytes. The system source never fails (it aborts if the kernel has no randomness). */
struct mr_random {
    void (*fill)(void *ctx, void *bytes, size_t n);
    void *ctx;
};

struct mr_clock mr_clock_system(void);
struct mr_random mr_random_system(void);

/* A uniform integer in [0, limit); limit > 0. */
uint64_t mr_random_below(const struct mr_random *random, uint64_t limit);

static inline int64_t mr_mono_ms(const struct mr_clock *clock)
{
    return clock->mono_ns(clock->ctx) / 1000000;
}

static inline int64_t mr_wall_ms(const struct mr_clock *clock)
{
    return clock->wall_ms(clock->ctx);
}

/* RFC 3339 UTC with milliseconds, e.g. 2026-11-20T18:00:00.123Z. */
#define MR_TIME_LEN 25
void mr_time_format(int64_t wall_ms, char ret[static MR_TIME_LEN]);

/* Parses RFC 3339 (any offset, 'T' or space, optional fraction). 0 or -EINVAL. */
int mr_time_parse(const char *s, int64_t *ret_wall_ms) __attribute__((warn_unused_result));

/* The same, or a date alone: "2026-11-22" is its first moment in UTC. 0 or -EINVAL. */
int mr_date_parse(const char *s, int64_t *ret_wall_ms) __attribute__((warn_unused_result));

/* Parses "250ms", "30s", "10m", "2h", "7d". 0, -EINVAL, -ERANGE. */
int mr_duration_parse(const char *s, int64_t *ret_ms) __attribute__((warn_unused_result));
