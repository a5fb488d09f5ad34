/* Calls to providers: mr_caller_ops on curl, and the local provider on worker threads.
 *
 * What has been sent is money, so the caller never lets curl send a request twice on its own. Left
 * alone, curl repeats a POST when a kept-alive connection is closed before the first byte of the
 * answer. That is a guess that the provider has not seen it; the provider may as well have died
 * while working on it, and the second try would be billed with no row in `calls`. So a repetition
 * is allowed only while not one byte of the request has left; otherwise the call ends as AMBIGUOUS
 * and the engine, the only owner of retries, decides. To make that rare, connections idle for more
 * than MR_CALLER_IDLE_S seconds are not used again: common servers (uvicorn, node) close theirs
 * after five.
 *
 *   NOT_SENT   no byte of the body was handed to the kernel: DNS, connect, TLS, a bad CA file
 *   AMBIGUOUS  some of it was, and no complete answer came (timeout, reset, cut or oversized body);
 *              status and headers are filled as far as they came
 *   ABORTED    the same, because the engine gave up; given up before sending it is NOT_SENT
 *   OK         status, headers and the whole body are there
 */
#pragma once

#include "worker/engine/engine.h"

#include <uv.h>

#define MR_CALLER_IDLE_S 4
#define MR_CALLER_LIFETIME_S 600 /* so that a changed DNS answer is noticed */

struct mr_caller;

/* Answers a chat without network: mr_local_answer of worker/providers/local.h. Runs on a thread of
 * libuv's pool. 0 with the answer object, or negative with err. */
typedef int mr_caller_local(const struct mr_chat *chat, json_t **ret, struct mr_err *err);

/* 0, or negative with err. clock is used to read Retry-After dates. */
int mr_caller_new(uv_loop_t *loop, struct mr_clock clock, mr_caller_local *local,
    struct mr_caller **ret, struct mr_err *err) MR_CHECK;
struct mr_caller_ops mr_caller_ops(struct mr_caller *caller);
void mr_caller_start(struct mr_caller *caller, struct mr_engine *engine);

/* Drops whatever is still in flight without a report, waits for local answers being computed, then
 * calls closed. mr_caller_free after that; it takes NULL and returns NULL. */
void mr_caller_close(struct mr_caller *caller, void (*closed)(void *ctx), void *ctx);
struct mr_caller *mr_caller_free(struct mr_caller *caller);
