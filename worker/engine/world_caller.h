/* Providers as the engine sees them: a request goes out, exactly one reply comes back. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <jansson.h>
#include <stdint.h>

enum mr_auth {
    MR_AUTH_NONE,
    MR_AUTH_BEARER,
    MR_AUTH_X_API_KEY,
    MR_AUTH_API_KEY, /* Azure */
    MR_AUTH_CUSTOM,  /* behind the provider's own key_header */
};

struct mr_endpoint;
struct mr_chat;

/* What a codec makes of a chat call; the caller (io) sends it. Local: no url, `chat` is answered on
 * a thread. */
struct mr_request {
    const struct mr_endpoint *endpoint; /* borrowed from the job's configuration */
    struct mr_chat *chat;               /* owned; what was asked, codec-independent */
    char *url;                          /* NULL for local */
    struct mr_buf body;
    enum mr_auth auth; /* io adds the key itself */
    char *headers[8];  /* "anthropic-version: 2023-06-01"; owned, NULL-terminated */
    int64_t timeout_ms;
};
void mr_request_deinit(struct mr_request *request);

enum mr_transport {
    MR_TRANSPORT_OK,        /* an HTTP status was received, and the whole body */
    MR_TRANSPORT_NOT_SENT,  /* refused, DNS, TLS, reset before the body was sent */
    MR_TRANSPORT_AMBIGUOUS, /* timeout, reset, truncated body after (part of) the body was sent */
    MR_TRANSPORT_ABORTED,   /* we gave up (drain); ambiguous if it was sent */
    MR_TRANSPORT_LOCAL,     /* answered on this machine */
};

#define MR_REPLY_MAX (16u << 20)

/* What a provider says of its limits, in one unit; -1 = it does not say. */
struct mr_rate_headers {
    int64_t limit;     /* in a minute */
    int64_t remaining; /* until it is reset */
    int64_t reset_ms;  /* from now; -1 = it does not say */
};

#define MR_RATE_HEADERS_NONE ((struct mr_rate_headers){-1, -1, -1})

struct mr_reply {
    enum mr_transport transport;
    char detail[256]; /* curl's words */
    int status;
    struct mr_buf body;
    int64_t
        retry_after_ms; /* -1 = none; retry-after-ms first, then Retry-After as seconds or date */
    int should_retry;   /* x-should-retry: 1, 0, -1 = none */
    struct mr_rate_headers requests, tokens;
    char request_id[129], content_type[65];
    int64_t latency_ms;
    json_t *local; /* LOCAL: the answer object, owned; see providers/local.h */
    struct mr_err local_err;
};
void mr_reply_deinit(struct mr_reply *reply);

struct mr_caller_ops {
    /* request is borrowed until mr_engine_replied(token). */
    void (*start)(void *ctx, void *token, const struct mr_request *request);
    /* Gives up; mr_engine_replied still comes (ABORTED), on a later turn. */
    void (*abort)(void *ctx, void *token);
    /* GETs the endpoint's health path with its key, within five seconds; mr_engine_probed follows,
     * on a later turn, with whether the answer's status was below 500. The endpoint is borrowed
     * until this returns. */
    void (*probe)(void *ctx, void *token, const struct mr_endpoint *endpoint);
    void *ctx;
};
