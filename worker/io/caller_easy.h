/* One HTTP call: how its curl handle is set up and how its end is read. Used by caller.c alone. */
#pragma once

#include "worker/io/caller.h"
#include "worker/io/reply_headers.h"

#include <curl/curl.h>

struct mr_transfer {
    struct mr_caller *caller;
    struct mr_transfer *next, *prev;
    void *token;
    const struct mr_request *request; /* borrowed until the report */
    struct mr_reply reply;
    uint64_t started_ns;
    const struct mr_clock *clock; /* borrowed from the caller */
    /* HTTP */
    CURL *easy;
    unsigned shard;             /* the multi handle it is in */
    struct curl_slist *headers; /* holds the key: wiped by mr_transfer_wipe */
    char curl_words[CURL_ERROR_SIZE];
    bool reached;   /* a connection was ready and the request was begun */
    bool too_large; /* the answer exceeded MR_REPLY_MAX */
    bool doubled;   /* curl wanted to send the request a second time */
    struct mr_reply_headers heard;
    bool tainted;             /* the handle carries options that cannot be undone */
    struct mr_request *probe; /* owned: `request` asks a health path; NULL for a call */
    /* local */
    uv_work_t work;
    uint64_t computed_ns;
    int local_rc;
};

/* A handle with everything set that is the same for all calls. NULL: no memory. */
CURL *mr_transfer_easy_new(void);

/* The request for the endpoint's health path. NULL: no memory. */
struct mr_request *mr_probe_request(const struct mr_endpoint *endpoint);
struct mr_request *mr_probe_request_free(struct mr_request *request);

/* Sets what is this call's own: url, body, headers with the key, timeouts, CA. 0 or negative;
 * reply.detail may say why. */
int mr_transfer_prepare(struct mr_transfer *transfer) MR_CHECK;

/* Fills transfer->reply from the ended transfer. */
void mr_transfer_finish(struct mr_transfer *transfer, CURLcode code);

/* Fills transfer->reply of a transfer that was taken out unfinished. */
void mr_transfer_give_up(struct mr_transfer *transfer);

/* Detaches the handle from the call and wipes the headers. */
void mr_transfer_wipe(struct mr_transfer *transfer);
