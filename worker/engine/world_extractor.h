/* Extraction as the engine sees it: a document goes out, text or a reason comes back. */
#pragma once

#include "common/envelope.h"
#include "common/err.h"

#include <jansson.h>
#include <stdint.h>

struct mr_extract_job {
    const struct mr_envelope *envelope; /* borrowed until mr_engine_extracted */
    int64_t timeout_ms;
};

struct mr_extract_result {
    int rc; /* 0, or -1 with err: class INVALID (the document's fault),
               NETWORK/SERVER/RATE_LIMITED... (the fetch), INTERNAL */
    struct mr_err err;
    int64_t retry_after_ms; /* -1 = none */
    json_t *
        output; /* {"text":"...","media_type":"application/pdf","charset":"utf-8","title":...,"pages":3,"bytes":123,"truncated":false};
                   owned */
};

struct mr_extractor_ops {
    void (*start)(void *ctx, void *token, const struct mr_extract_job *job);
    void (*abort)(void *ctx, void *token); /* as above */
    void *ctx;
};
