/* A small HTTP/1.1 server on a libuv loop: routes, bounded bodies and clients, answers now or
 * later.
 *
 * Everything runs on the loop's thread. A request goes: head read -> route found -> admit() -> body
 * read -> the route's handle() -> exactly one answer, from within handle() or from any later
 * callback of the loop. What is wrong before handle() (no such path, wrong method, a body too long)
 * is answered here, as application/problem+json (RFC 9457).
 *
 * Nothing a client does is without a bound: connections in all and per address, 16 KiB of head, the
 * body of a request, the bodies of all requests together, and `timeout_ms` for each of: the wait
 * for a request, reading one, and sending its answer. Who is slower is cut off; others do not wait
 * for him. How long a handler may take is the handler's own business. */
#pragma once

#include "common/err.h"
#include "common/log.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct mr_httpd;
struct mr_httpd_request; /* from handle() until it is answered */

struct mr_route {
    const char *method; /* "GET" (which answers HEAD too), "POST" */
    const char *path;   /* "/v1/jobs", "/v1/jobs/{}/results": {} is one segment, at most once */
    size_t body_max;    /* bytes; 0: takes no body */
    bool quiet;         /* its access log is for debugging only: scrapes, probes */
    void (*handle)(void *ctx, struct mr_httpd_request *request);
};

#define MR_HTTPD_PARAM_MAX 128 /* bytes of what {} stands for, with its NUL */

/* Finds the route of a path (percent-decoded). NULL: none; then ret_allow (64 bytes) has the
 * methods the path would take, "GET, HEAD, POST", or is empty. Pure. */
#define MR_HTTPD_ALLOW_MAX 64
const struct mr_route *mr_httpd_route_find(const struct mr_route *routes, size_t n,
    const char *method, const char *path, char ret_param[static MR_HTTPD_PARAM_MAX],
    char ret_allow[static MR_HTTPD_ALLOW_MAX]);

struct mr_httpd_options {
    const char *listen; /* address or host name; the first address of it */
    int port;           /* 0: any free one */
    const struct mr_route *routes;
    size_t nroutes;
    void *ctx; /* of handle and admit */
    /* NULL, or called once the head has been read, before the body and before a 404: answers what
     * is not to go on, e.g. 401. */
    void (*admit)(void *ctx, struct mr_httpd_request *request);
    const struct mr_log *log; /* NULL: no access log */
    int connections_max;      /* further ones wait to be accepted */
    int per_address_max;      /* of one client address; more are closed at once; 0: no limit */
    int timeout_ms;           /* see above */
    size_t bodies_max;        /* bytes of all bodies held at a time; beyond it: 503 */
};

/* Listens, and answers from the next turn of the loop on. Options are copied, what they point at is
 * borrowed. 0 or negative with err ("127.0.0.1:8080: in use"). */
int mr_httpd_new(uv_loop_t *loop, const struct mr_httpd_options *options, struct mr_httpd **ret,
    struct mr_err *err) MR_CHECK;
/* The port it listens on. */
int mr_httpd_port(const struct mr_httpd *httpd);

/* Accepts nothing more, closes idle connections, answers what is open with Connection: close. After
 * grace_ms clients that still send or still receive are cut off. Calls done (from the loop) once
 * every request handed to a handler has been answered and all is closed; it may free. Once. */
void mr_httpd_stop(struct mr_httpd *httpd, int grace_ms, void (*done)(void *ctx), void *ctx);
/* NULL, or stopped with done called. Returns NULL. */
struct mr_httpd *mr_httpd_free(struct mr_httpd *httpd);

/* ---- reading a request; what is returned is valid until it is answered ---- */

const char *mr_httpd_header(const struct mr_httpd_request *request, const char *name);
const struct mr_route *mr_httpd_route(const struct mr_httpd_request *request); /* NULL: none */
/* The segment {} stands for; "" when there is none. */
const char *mr_httpd_param(const struct mr_httpd_request *request);
/* "?name=value", decoded; NULL when absent. */
const char *mr_httpd_query(const struct mr_httpd_request *request, const char *name);
/* NUL-terminated behind *ret_n. Before handle() it is empty. */
const char *mr_httpd_body(const struct mr_httpd_request *request, size_t *ret_n);
/* Frees it before the answer, once it has been understood. */
void mr_httpd_drop_body(struct mr_httpd_request *request);

/* ---- answering: exactly one of the three; the request is gone with it ---- */

/* A header of the answer to come; copied. At most 6, and 255 bytes each; more are left out. */
void mr_httpd_set_header(struct mr_httpd_request *request, const char *name, const char *value);
/* type lives for ever; body is malloc'd and taken over; NULL with n 0: no body, or no memory. */
void mr_httpd_answer(
    struct mr_httpd_request *request, unsigned status, const char *type, char *body, size_t n);
/* The value is taken over; NULL: no memory, which answers 500. */
void mr_httpd_json(struct mr_httpd_request *request, unsigned status, json_t *value);
/* application/problem+json: type, title, status, detail (the text), and the members of `extra`,
 * which is taken over; NULL: none. */
void mr_httpd_problem(struct mr_httpd_request *request, unsigned status, json_t *extra,
    const char *fmt, ...) MR_PRINTF(4, 5);
