/* The Retry-After header, in all the forms servers send it. */
#pragma once

#include <stdint.h>

/* "2", "1.5" in units of scale_ms, cut to whole milliseconds; or an HTTP date, as the wait from
 * wall_ms on (0 if past). At most a year. -1 when it is neither. */
int64_t mr_retry_after_parse(const char *value, int64_t scale_ms, int64_t wall_ms);
