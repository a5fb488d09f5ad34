#include "tests/standin/http.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define READ_BYTES 16384
#define HEAD_MAX 65536
#define BODY_MAX (64u << 20)

struct mr_http {
    uv_tcp_t listener;
    mr_http_handler *handler;
    void *ctx;
    struct mr_http_conn *conns;
    unsigned count, busy, max_busy;
};

struct mr_http_conn {
    uv_tcp_t tcp;
    uv_timer_t timer;
    struct mr_http *http;
    struct mr_http_conn *next, *prev;
    int handles;                              /* open uv handles; the memory goes with the last */
    bool busy;                                /* a request waits for its answer */
    bool closing, close_after_write, started; /* started: inside parse() already */
    struct mr_buf in, out;
    size_t consumed; /* bytes of `in` that belong to the request being answered */
    uv_write_t write;
};

static void serve(struct mr_http_conn *conn);

static void on_closed(uv_handle_t *handle)
{
    struct mr_http_conn *conn = handle->data;
    if (--conn->handles > 0)
        return;
    *(conn->prev ? &conn->prev->next : &conn->http->conns) = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    conn->http->count--;
    conn->http->busy -= conn->busy;
    mr_buf_deinit(&conn->in);
    mr_buf_deinit(&conn->out);
    free(conn);
}

static void conn_close(struct mr_http_conn *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
    uv_close((uv_handle_t *)&conn->timer, on_closed);
}

static void written(struct mr_http_conn *conn)
{
    if (conn->close_after_write) {
        conn_close(conn);
        return;
    }
    conn->busy = false;
    conn->http->busy--;
    conn->in.len -= conn->consumed;
    if (conn->in.len > 0)
        memmove(conn->in.data, conn->in.data + conn->consumed, conn->in.len);
    conn->consumed = 0;
    if (!conn->started)
        serve(conn);
}

static void on_written(uv_write_t *write, int status)
{
    struct mr_http_conn *conn = write->data;
    if (conn->closing)
        return;
    if (status < 0)
        conn_close(conn);
    else
        written(conn);
}

/* Sends conn->out: at once as far as the socket takes it. */
static void flush(struct mr_http_conn *conn)
{
    uv_buf_t buf = uv_buf_init(conn->out.data, (unsigned)conn->out.len);
    int n = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
    if (n < 0 && n != UV_EAGAIN) {
        conn_close(conn);
        return;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (sent == conn->out.len) {
        written(conn);
        return;
    }
    buf = uv_buf_init(conn->out.data + sent, (unsigned)(conn->out.len - sent));
    conn->write.data = conn;
    if (uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &buf, 1, on_written) < 0)
        conn_close(conn);
}

static void on_delay(uv_timer_t *timer)
{
    struct mr_http_conn *conn = timer->data;
    if (conn->out.len == 0)
        conn_close(conn);
    else
        flush(conn);
}

void mr_http_respond(struct mr_http_conn *conn, struct mr_http_response *response)
{
    assert(conn->busy);
    size_t all = response->body.len;
    size_t part =
        response->send >= 0 && (size_t)response->send < all ? (size_t)response->send : all;
    mr_buf_reset(&conn->out);
    conn->close_after_write = part < all;
    int r = 0;
    if (response->send >= 0) {
        r = mr_buf_printf(&conn->out,
            "HTTP/1.1 %d Scripted\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
            "x-request-id: standin\r\n%s\r\n",
            response->status, response->type, all, response->extra);
        if (r == 0 && part > 0)
            r = mr_buf_put(&conn->out, response->body.data, part);
    }
    mr_buf_deinit(&response->body);
    if (r != 0)
        mr_buf_reset(&conn->out);
    if (response->send == MR_HTTP_SILENCE || conn->closing)
        return;
    if (response->delay_ms > 0)
        uv_timer_start(&conn->timer, on_delay, (uint64_t)response->delay_ms, 0);
    else
        on_delay(&conn->timer);
}

/* Copies a header's value, cut to the room there is. */
static void copy(char *to, size_t size, const char *from, size_t n)
{
    n = n < size - 1 ? n : size - 1;
    memcpy(to, from, n);
    to[n] = '\0';
}

static void header(struct mr_http_request *request, const char *name, size_t n, const char *value,
    size_t len, size_t *ret_body, bool *ret_expect)
{
    if (n == 14 && strncasecmp(name, "content-length", n) == 0) {
        char *end;
        unsigned long long bytes = strtoull(value, &end, 10);
        *ret_body = end > value && bytes <= BODY_MAX ? (size_t)bytes : BODY_MAX + 1;
    } else if (n == 6 && strncasecmp(name, "expect", n) == 0) {
        *ret_expect = true;
    } else if ((n == 15 && strncasecmp(name, "x-millrace-call", n) == 0) ||
               (n == 19 && strncasecmp(name, "x-client-request-id", n) == 0)) {
        copy(request->call, sizeof(request->call), value, len);
    } else if (n == 13 && strncasecmp(name, "authorization", n) == 0) {
        bool bearer = len > 7 && strncasecmp(value, "bearer ", 7) == 0;
        copy(request->key, sizeof(request->key), value + (bearer ? 7 : 0), len - (bearer ? 7 : 0));
    } else if (n == 9 && strncasecmp(name, "x-api-key", n) == 0) {
        copy(request->key, sizeof(request->key), value, len);
    }
}

/* Reads the head [p, end). 0 or -EINVAL. */
static int parse_head(const char *p, const char *end, struct mr_http_request *request,
    size_t *ret_body, bool *ret_expect)
{
    const char *space = memchr(p, ' ', (size_t)(end - p));
    const char *second = space ? memchr(space + 1, ' ', (size_t)(end - space - 1)) : NULL;
    if (!second)
        return -EINVAL;
    copy(request->method, sizeof(request->method), p, (size_t)(space - p));
    copy(request->path, sizeof(request->path), space + 1, (size_t)(second - space - 1));
    const char *line = memchr(second, '\n', (size_t)(end - second));
    while (line && ++line < end) {
        const char *eol = memchr(line, '\r', (size_t)(end - line));
        const char *colon = eol ? memchr(line, ':', (size_t)(eol - line)) : NULL;
        if (!colon)
            break;
        const char *value = colon + 1;
        while (value < eol && *value == ' ')
            value++;
        header(request, line, (size_t)(colon - line), value, (size_t)(eol - value), ret_body,
            ret_expect);
        line = eol + 1;
    }
    return *ret_body > BODY_MAX ? -EINVAL : 0;
}

/* Takes one whole request out of conn->in. 1 = done, 0 = more bytes needed, negative = close. */
static int serve_one(struct mr_http_conn *conn)
{
    const char *start = conn->in.data;
    const char *blank = memmem(start, conn->in.len, "\r\n\r\n", 4);
    if (!blank)
        return conn->in.len > HEAD_MAX ? -EINVAL : 0;
    struct mr_http_request request = {.len = 0};
    size_t body = 0, head = (size_t)(blank - start) + 4;
    bool expect = false;
    if (parse_head(start, blank + 2, &request, &body, &expect) != 0)
        return -EINVAL;
    if (conn->in.len < head + body) {
        if (expect && conn->in.len == head) {
            uv_buf_t go = uv_buf_init((char *)(uintptr_t) "HTTP/1.1 100 Continue\r\n\r\n", 25);
            if (uv_try_write((uv_stream_t *)&conn->tcp, &go, 1) != 25)
                return -EIO;
        }
        return 0;
    }
    request.body = start + head;
    request.len = body;
    conn->consumed = head + body;
    conn->busy = true;
    if (++conn->http->busy > conn->http->max_busy)
        conn->http->max_busy = conn->http->busy;
    conn->http->handler(conn->http->ctx, conn, &request);
    return 1;
}

static void serve(struct mr_http_conn *conn)
{
    conn->started = true;
    int r = 1;
    while (r > 0 && !conn->busy && !conn->closing && conn->in.len > 0)
        r = serve_one(conn);
    conn->started = false;
    if (r < 0)
        conn_close(conn);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct mr_http_conn *conn = handle->data;
    char *room = mr_buf_reserve(&conn->in, READ_BYTES);
    *ret = uv_buf_init(room, room ? READ_BYTES : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct mr_http_conn *conn = stream->data;
    if (n < 0) {
        conn_close(conn);
        return;
    }
    conn->in.len += (size_t)n;
    if (!conn->busy)
        serve(conn);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct mr_http *http = listener->data;
    struct mr_http_conn *conn = status < 0 ? NULL : calloc(1, sizeof(*conn));
    if (!conn)
        return;
    mr_buf_init(&conn->in, HEAD_MAX + BODY_MAX + READ_BYTES);
    mr_buf_init(&conn->out, BODY_MAX);
    conn->http = http;
    conn->next = http->conns;
    if (conn->next)
        conn->next->prev = conn;
    http->conns = conn;
    http->count++;
    conn->handles = 2;
    conn->tcp.data = conn->timer.data = conn;
    int r = uv_tcp_init(listener->loop, &conn->tcp);
    r = r < 0 ? r : uv_timer_init(listener->loop, &conn->timer);
    assert(r == 0); /* neither can fail with these arguments */
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) < 0 ||
        uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) < 0)
        conn_close(conn);
    else
        uv_tcp_nodelay(&conn->tcp, 1);
}

int mr_http_new(uv_loop_t *loop, const char *listen, int port, mr_http_handler *handler, void *ctx,
    struct mr_http **ret, int *ret_port)
{
    struct mr_http *http = calloc(1, sizeof(*http));
    if (!http)
        return UV_ENOMEM;
    *http = (struct mr_http){.handler = handler, .ctx = ctx};
    struct sockaddr_in address;
    int length = sizeof(address);
    int r = uv_tcp_init(loop, &http->listener);
    http->listener.data = http;
    if (r == 0)
        r = uv_ip4_addr(listen, port, &address);
    if (r == 0)
        r = uv_tcp_bind(&http->listener, (struct sockaddr *)&address, 0);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&http->listener, 4096, on_connection);
    if (r == 0)
        r = uv_tcp_getsockname(&http->listener, (struct sockaddr *)&address, &length);
    if (r == 0) {
        *ret = http;
        *ret_port = ntohs(address.sin_port);
    } else {
        free(http); /* the program ends: nobody runs the loop again */
    }
    return r;
}

void mr_http_close(struct mr_http *http)
{
    uv_close((uv_handle_t *)&http->listener, NULL);
    for (struct mr_http_conn *conn = http->conns; conn; conn = conn->next)
        conn_close(conn);
}

struct mr_http *mr_http_free(struct mr_http *http)
{
    free(http);
    return NULL;
}

unsigned mr_http_connections(const struct mr_http *http)
{
    return http->count;
}

unsigned mr_http_busy(const struct mr_http *http)
{
    return http->busy;
}

unsigned mr_http_max_busy(const struct mr_http *http)
{
    return http->max_busy;
}
