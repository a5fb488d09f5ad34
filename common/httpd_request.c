/* One request: from its first line to the answer, and what the library calls on the way.
 *
 * An answer known before the body has been read (401, 413) waits until it has: a client that still
 * sends would be reset and never see it. Only to one that asked first (Expect: 100-continue) it
 * goes out at once. */
#include "common/httpd_int.h"
#include "common/json.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_S "1" /* Retry-After while other bodies fill the memory */

/* ---- reading ---- */

const char *mr_httpd_header(const struct mr_httpd_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->conn->mhd, MHD_HEADER_KIND, name);
}

const struct mr_route *mr_httpd_route(const struct mr_httpd_request *request)
{
    return request->route;
}

const char *mr_httpd_param(const struct mr_httpd_request *request)
{
    return request->param;
}

const char *mr_httpd_query(const struct mr_httpd_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->conn->mhd, MHD_GET_ARGUMENT_KIND, name);
}

const char *mr_httpd_body(const struct mr_httpd_request *request, size_t *ret_n)
{
    *ret_n = request->body.len;
    return request->body.data ? request->body.data : "";
}

void mr_httpd_drop_body(struct mr_httpd_request *request)
{
    request->conn->httpd->bodies -= request->body.len;
    mr_buf_deinit(&request->body);
}

/* ---- answering ---- */

void mr_httpd_set_header(struct mr_httpd_request *request, const char *name, const char *value)
{
    if (request->nheaders == MR_HTTPD_HEADERS_MAX ||
        strlen(name) >= sizeof(request->headers[0].name) || strlen(value) >= MR_HTTPD_VALUE_MAX)
        return;
    size_t i = request->nheaders++;
    snprintf(request->headers[i].name, sizeof(request->headers[i].name), "%s", name);
    snprintf(request->headers[i].value, sizeof(request->headers[i].value), "%s", value);
}

void mr_httpd_answer(
    struct mr_httpd_request *request, unsigned status, const char *type, char *body, size_t n)
{
    if (request->phase >= MR_HTTPD_ANSWERED) { /* the first one stands */
        free(body);
        return;
    }
    bool parked = request->phase == MR_HTTPD_PARKED;
    request->phase = MR_HTTPD_ANSWERED;
    request->status = body || n == 0 ? status : MHD_HTTP_INTERNAL_SERVER_ERROR;
    request->type = type;
    request->answer = body;
    request->answer_len = body ? n : 0;
    mr_httpd_drop_body(request);
    if (parked) {
        request->conn->httpd->handled--;
        MHD_resume_connection(request->conn->mhd);
        mr_httpd_turn(request->conn->httpd);
    }
}

static void answer_json(
    struct mr_httpd_request *request, unsigned status, const char *type, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (text)
        mr_httpd_answer(request, status, type, text, strlen(text));
    else
        mr_httpd_answer(request, MHD_HTTP_INTERNAL_SERVER_ERROR, type, NULL, 0);
}

void mr_httpd_json(struct mr_httpd_request *request, unsigned status, json_t *value)
{
    answer_json(request, status, "application/json", value);
}

void mr_httpd_problem(
    struct mr_httpd_request *request, unsigned status, json_t *extra, const char *fmt, ...)
{
    char detail[MR_ERR_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(detail, sizeof(detail), fmt, args);
    va_end(args);
    size_t whole = n < 0 ? 0 : strnlen(detail, sizeof(detail));
    json_t *problem = json_pack("{s:s, s:s, s:i, s:o}", "type", "about:blank", "title",
        MHD_get_reason_phrase_for(status), "status", (int)status, "detail",
        json_stringn(detail, mr_utf8_prefix(detail, whole, whole)));
    if (problem && extra && json_object_update(problem, extra) < 0) {
        json_decref(problem);
        problem = NULL;
    }
    json_decref(extra);
    answer_json(request, status, "application/problem+json", problem);
}

/* Hands the answer to the library. MHD_NO closes the connection. */
static enum MHD_Result queue(struct mr_httpd_request *request)
{
    struct mr_httpd *httpd = request->conn->httpd;
    enum MHD_ResponseMemoryMode mode =
        request->answer ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        request->answer_len, request->answer ? request->answer : (char[]){""}, mode);
    if (!response)
        return MHD_NO;
    request->answer = NULL;
    enum MHD_Result r = MHD_YES;
    if (request->type && request->answer_len > 0)
        r = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, request->type);
    for (size_t i = 0; i < request->nheaders && r == MHD_YES; i++)
        r = MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
    if (httpd->stopping && r == MHD_YES)
        r = MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (r == MHD_YES)
        r = MHD_queue_response(request->conn->mhd, request->status, response);
    MHD_destroy_response(response);
    request->phase = MR_HTTPD_SENDING;
    mr_httpd_conn_touch(request->conn);
    return r;
}

/* ---- what the library calls ---- */

void *mr_httpd_on_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct mr_httpd_conn *conn = mr_httpd_conn_of(mhd);
    struct mr_httpd_request *request = conn ? calloc(1, sizeof(*request)) : NULL;
    if (!request)
        return NULL;
    request->conn = conn;
    request->begin_ns = uv_hrtime();
    conn->request = request;
    mr_httpd_conn_touch(conn);
    return request;
}

static bool asks_first(const struct mr_httpd_request *request)
{
    const char *expect = mr_httpd_header(request, MHD_HTTP_HEADER_EXPECT);
    return expect && strcasecmp(expect, "100-continue") == 0;
}

static void check_length(struct mr_httpd_request *request)
{
    const char *length = mr_httpd_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    size_t max = request->route->body_max;
    if (length && strtoull(length, NULL, 10) > max)
        mr_httpd_problem(request, MHD_HTTP_CONTENT_TOO_LARGE, NULL,
            "the body has %.20s bytes; at most %zu are taken", length, max);
}

static void on_head(struct mr_httpd *httpd, struct mr_httpd_request *request, const char *path)
{
    char allow[MR_HTTPD_ALLOW_MAX];
    request->phase = MR_HTTPD_BODY;
    request->route = mr_httpd_route_find(httpd->options.routes, httpd->options.nroutes,
        request->method, path, request->param, allow);
    if (httpd->options.admit)
        httpd->options.admit(httpd->options.ctx, request);
    if (request->phase != MR_HTTPD_BODY)
        return;
    if (request->route) {
        request->body = MR_BUF_INIT(request->route->body_max);
        check_length(request);
    } else if (allow[0]) {
        mr_httpd_set_header(request, MHD_HTTP_HEADER_ALLOW, allow);
        mr_httpd_problem(request, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, "this path takes %s", allow);
    } else {
        mr_httpd_problem(request, MHD_HTTP_NOT_FOUND, NULL, "there is no such path");
    }
}

static void on_bytes(
    struct mr_httpd *httpd, struct mr_httpd_request *request, const char *bytes, size_t n)
{
    request->read += n;
    if (request->phase != MR_HTTPD_BODY)
        return;
    if (httpd->bodies + n > httpd->options.bodies_max) {
        mr_httpd_set_header(request, MHD_HTTP_HEADER_RETRY_AFTER, BUSY_S);
        mr_httpd_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, NULL,
            "too many bytes of other requests are being worked on");
        return;
    }
    int r = mr_buf_put(&request->body, bytes, n);
    if (r == 0)
        httpd->bodies += n;
    else if (r == -EMSGSIZE)
        mr_httpd_problem(request, MHD_HTTP_CONTENT_TOO_LARGE, NULL,
            "the body is too long; at most %zu bytes are taken", request->body.max);
    else
        mr_httpd_problem(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, "out of memory");
}

static void on_whole(struct mr_httpd *httpd, struct mr_httpd_request *request)
{
    request->phase = MR_HTTPD_HANDLING;
    request->route->handle(httpd->options.ctx, request);
    if (request->phase != MR_HTTPD_HANDLING)
        return;
    request->phase = MR_HTTPD_PARKED;
    request->conn->deadline_ms = UINT64_MAX;
    httpd->handled++;
    MHD_suspend_connection(request->conn->mhd);
}

enum MHD_Result mr_httpd_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_n, void **state)
{
    struct mr_httpd *httpd = cls;
    struct mr_httpd_request *request = *state;
    if (!request)
        return MHD_NO; /* no memory */
    if (request->phase == MR_HTTPD_HEAD) {
        snprintf(request->method, sizeof(request->method), "%s", method);
        snprintf(request->path, sizeof(request->path), "%s", url);
        on_head(httpd, request, url);
        return request->phase == MR_HTTPD_ANSWERED && asks_first(request) ? queue(request)
                                                                          : MHD_YES;
    }
    if (*upload_n > 0) {
        on_bytes(httpd, request, upload, *upload_n);
        *upload_n = 0;
        return MHD_YES;
    }
    if (request->phase == MR_HTTPD_BODY)
        on_whole(httpd, request);
    return request->phase == MR_HTTPD_ANSWERED ? queue(request) : MHD_YES;
}

/* ---- the end ---- */

static void peer_of(struct MHD_Connection *mhd, char *ret, size_t n)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    socklen_t len = 0;
    if (address)
        len = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                             : sizeof(struct sockaddr_in);
    if (!address || getnameinfo(address, len, ret, (socklen_t)n, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(ret, n, "?");
}

static void tell(const struct mr_httpd_request *request, bool cut)
{
    const struct mr_log *log = request->conn->httpd->options.log;
    enum mr_level level = request->route && request->route->quiet ? MR_DEBUG : MR_INFO;
    char peer[64];
    if (!log || level < log->level || request->phase == MR_HTTPD_HEAD)
        return;
    peer_of(request->conn->mhd, peer, sizeof(peer));
    mr_log(log, level, cut ? "http.cut" : "http.request", MR_STR("peer", peer),
        MR_STR("method", request->method), MR_STR("path", request->path),
        MR_INT("status", request->status), MR_INT("bytes_in", (int64_t)request->read),
        MR_INT("bytes_out", (int64_t)request->answer_len),
        MR_INT("us", (int64_t)((uv_hrtime() - request->begin_ns) / 1000)));
}

void mr_httpd_request_end(struct mr_httpd_request *request, bool cut)
{
    tell(request, cut);
    mr_httpd_drop_body(request);
    request->conn->request = NULL;
    free(request->answer);
    free(request);
}

void mr_httpd_on_completed(
    void *cls, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode code)
{
    struct mr_httpd_request *request = *state;
    if (!request)
        return;
    *state = NULL;
    mr_httpd_conn_touch(request->conn);
    mr_httpd_request_end(request, code != MHD_REQUEST_TERMINATED_COMPLETED_OK);
}
