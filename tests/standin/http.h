/* A small HTTP/1.1 server on a libuv loop: keep-alive, one request at a time on a connection. Only
 * for tests: bodies need a Content-Length. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct mr_http;
struct mr_http_conn;

/* Valid until the request is answered. Strings are never NULL. */
struct mr_http_request {
    char method[8], path[256], call[65], key[257];
    const char *body;
    size_t len;
};

/* Called once for each request; the handler must end it with exactly one of the functions below, at
 * once or later. `request` may be used until this returns. */
typedef void mr_http_handler(
    void *ctx, struct mr_http_conn *conn, const struct mr_http_request *request);

/* Listens on port (0 = any) of an IPv4 address; *ret_port says which. 0 or a negative uv error. */
int mr_http_new(uv_loop_t *loop, const char *listen, int port, mr_http_handler *handler, void *ctx,
    struct mr_http **ret, int *ret_port) MR_CHECK;
/* Stops listening and closes every connection; the memory goes when the loop has run dry. */
void mr_http_close(struct mr_http *http);
struct mr_http *mr_http_free(struct mr_http *http);
/* Connections; requests being answered now; the most there ever were at once. */
unsigned mr_http_connections(const struct mr_http *http);
unsigned mr_http_busy(const struct mr_http *http);
unsigned mr_http_max_busy(const struct mr_http *http);

/* What is sent after delay_ms. `send` bytes of the body are, then, if that is not all of it, the
 * connection is closed; -1 = nothing at all, not even a header, just closed; -2 = silence for ever.
 */
struct mr_http_response {
    int status;
    const char *type;
    const char *extra; /* more header lines, each with its CRLF, or "" */
    struct mr_buf body;
    long send;
    long delay_ms;
};
#define MR_HTTP_ALL __LONG_MAX__
#define MR_HTTP_HANGUP (-1L)
#define MR_HTTP_SILENCE (-2L)

/* Takes ownership of the body. */
void mr_http_respond(struct mr_http_conn *conn, struct mr_http_response *response);
