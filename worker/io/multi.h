/* A curl multi handle driven by one libuv loop: any number of transfers in flight, no threads, no
 * polling. Its sockets live in an epoll set of their own that the loop watches as one descriptor,
 * so that starting and ending a transfer costs no loop handles. */
#pragma once

#include "common/err.h"

#include <curl/curl.h>
#include <uv.h>

struct mr_multi;

/* A transfer has ended; easy is already out of the multi handle and the callee's again. Called from
 * the loop, never from within mr_multi_add or mr_multi_remove; may call both. */
typedef void mr_multi_done(void *ctx, CURL *easy, CURLcode code);

/* 0, -ENOMEM or another negative errno with err. */
int mr_multi_new(uv_loop_t *loop, mr_multi_done *done, void *ctx, struct mr_multi **ret,
    struct mr_err *err) MR_CHECK;

/* Starts the transfer on the next turn of the loop. 0 or -ENOMEM. */
int mr_multi_add(struct mr_multi *multi, CURL *easy) MR_CHECK;

/* Gives a transfer up; it will not be reported. */
void mr_multi_remove(struct mr_multi *multi, CURL *easy);

/* Closes idle connections and loop handles, then calls closed. All transfers must have been
 * removed. mr_multi_free after that; it takes NULL and returns NULL. */
void mr_multi_close(struct mr_multi *multi, void (*closed)(void *ctx), void *ctx);
struct mr_multi *mr_multi_free(struct mr_multi *multi);
