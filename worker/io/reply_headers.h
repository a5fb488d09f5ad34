/* The headers of a provider's answer that are kept. Pure. */
#pragma once

#include "worker/io/rate_headers.h"

struct mr_reply_headers {
    int64_t retry_after_ms; /* -1 = none */
    bool retry_after_exact; /* it came as retry-after-ms, which goes before Retry-After */
    int should_retry;       /* x-should-retry: 1, 0, -1 = none */
    char content_type[65], request_id[129];
    unsigned id_rank; /* of request_id's header among those it may come in; 0 = none yet */
    struct mr_rate_seen rates;
};

void mr_reply_headers_init(struct mr_reply_headers *headers);

/* Takes in one line as it came, a status line included: what stood before that belonged to a 1xx.
 * Values are cut to their printable part. wall_ms is now. */
void mr_reply_headers_line(
    struct mr_reply_headers *headers, const char *line, size_t n, int64_t wall_ms);

/* Fills what of the reply comes from headers. */
void mr_reply_headers_read(const struct mr_reply_headers *headers, struct mr_reply *reply);
