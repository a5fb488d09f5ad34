/* Fetching a document by URL without becoming somebody's way into the network behind the worker:
 * https only (http by configuration), usual ports, no user names, no proxy, no cookies, no
 * credentials; each address is judged as its socket is opened (address.h); at most three redirects,
 * each checked like the first URL; bounded in size, time and slowness; nothing compressed. */
#pragma once

#include "common/buf.h"
#include "common/config.h"
#include "worker/io/extract_short.h"

#include <uv.h>

#define MR_FETCH_REDIRECTS 3
#define MR_FETCH_URL_MAX 8192

struct mr_fetcher;
struct mr_fetch;

struct mr_fetched {
    int rc; /* 0, or -1 with err: INVALID (the URL's fault: forbidden, not found, too large, no
               document), RATE_LIMITED, SERVER, NETWORK (worth another try), INTERNAL */
    struct mr_err err;
    int64_t retry_after_ms; /* -1 = none */
    struct mr_buf body;
    struct mr_hints hints; /* media type and charset as sent, extension of the last URL's path */
};

/* fetched->body may be taken (leave an empty buffer behind). The fetch is gone afterwards. */
typedef void mr_fetch_done(void *ctx, struct mr_fetched *fetched);

int mr_fetcher_new(uv_loop_t *loop, const struct mr_config_worker *config, struct mr_fetcher **ret,
    struct mr_err *err) MR_CHECK;
/* Fetches started from now on follow the new configuration. */
int mr_fetcher_reload(
    struct mr_fetcher *fetcher, const struct mr_config_worker *config, struct mr_err *err) MR_CHECK;
/* Cancels everything in flight without a report. */
void mr_fetcher_close(struct mr_fetcher *fetcher, void (*closed)(void *ctx), void *ctx);
struct mr_fetcher *mr_fetcher_free(struct mr_fetcher *fetcher);

/* 0, and done is called on a later turn; or -1 with err (INVALID: the URL is not acceptable). */
int mr_fetch_start(struct mr_fetcher *fetcher, const char *url, int64_t timeout_ms,
    mr_fetch_done *done, void *ctx, struct mr_fetch **ret, struct mr_err *err) MR_CHECK;
/* done will not be called. */
void mr_fetch_cancel(struct mr_fetch *fetch);
