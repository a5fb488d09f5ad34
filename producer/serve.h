/* `millrace serve`: the producer as an HTTP service. One loop; publishing on the dispatcher's
 * thread, reading from the database on the pool's. Shared by the serve_*.c files. */
#pragma once

#include "common/httpd.h"
#include "common/log.h"
#include "common/secret.h"
#include "producer/serve_body.h"

#define MR_SERVE_ROUTES 3
#define MR_SERVE_RETRY_S "1" /* Retry-After when it is a matter of moments */
#define MR_SERVE_DOWN_S "5"  /* when the broker or the database is away */

struct mr_reader;

struct mr_serve {
    uv_loop_t loop;
    const struct mr_config *config;
    const struct mr_config_serve *options; /* of config, but for the command line */
    const struct mr_log *log;
    struct mr_secret *token; /* NULL: none is asked for */
    struct mr_job_plan plan;
    struct mr_route routes[MR_SERVE_ROUTES];
    struct mr_httpd *httpd;
    struct mr_dispatch *dispatch;
    struct mr_reader *reader;
    size_t pending, pending_bytes; /* jobs that wait for the broker */
    uv_signal_t term, interrupt;
    bool stopping;
};

/* Runs until SIGTERM or SIGINT, and until everything that was begun has been answered. 0 or
 * negative with err when it cannot start. token is taken over. */
int mr_serve_run(const struct mr_config *config, const struct mr_config_serve *options,
    struct mr_secret *token, const struct mr_log *log, struct mr_err *err) MR_CHECK;

/* serve_admit.c: 401 without the token; without one configured 403 for a request that was meant for
 * another host, as a page in a browser can be made to send. */
void mr_serve_admit(void *ctx, struct mr_httpd_request *request);

/* serve_post.c: POST /v1/jobs. */
void mr_serve_post(void *ctx, struct mr_httpd_request *request);
void mr_serve_posted(void *ctx, struct mr_post *post);

/* serve_read.c: GET /v1/jobs/{id} and its results. */
struct mr_reader *mr_reader_new(struct mr_serve *serve) MR_CHECK;
struct mr_reader *mr_reader_free(struct mr_reader *reader); /* NULL, or with nothing under way */
void mr_serve_status(void *ctx, struct mr_httpd_request *request);
void mr_serve_results(void *ctx, struct mr_httpd_request *request);
