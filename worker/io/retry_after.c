#include "worker/io/retry_after.h"

#include <curl/curl.h>
#include <time.h>

#define RETRY_AFTER_MAX_MS (366 * INT64_C(86400000))

int64_t mr_retry_after_parse(const char *value, int64_t scale_ms, int64_t wall_ms)
{
    int64_t ms = 0, unit = scale_ms;
    const char *p = value;
    if (*p < '0' || *p > '9') {
        time_t at = curl_getdate(value, NULL);
        if (at < 0)
            return -1;
        int64_t wait = (int64_t)at * 1000 - wall_ms;
        return wait < 0 ? 0 : wait > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : wait;
    }
    for (; *p >= '0' && *p <= '9' && ms <= RETRY_AFTER_MAX_MS; p++)
        ms = ms * 10 + (*p - '0') * scale_ms;
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++) {
            unit /= 10;
            ms += (*p - '0') * unit;
        }
    if (ms > RETRY_AFTER_MAX_MS)
        return RETRY_AFTER_MAX_MS;
    return *p == '\0' ? ms : -1;
}
