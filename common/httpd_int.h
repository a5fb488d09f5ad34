/* What the files of the HTTP server share. Internal to common/httpd*.c. */
#pragma once

#include "common/buf.h"
#include "common/httpd.h"

#include <microhttpd.h>
#include <stdbool.h>

#define MR_HTTPD_HEADERS_MAX 6
#define MR_HTTPD_VALUE_MAX 256

struct mr_httpd_conn {
    struct mr_httpd *httpd;
    struct mr_httpd_conn *prev, *next;
    struct MHD_Connection *mhd;
    int fd;
    struct mr_httpd_request *request; /* NULL: it waits for one */
    uint64_t deadline_ms; /* of the loop's time; UINT64_MAX: a handler has the request */
};

enum mr_httpd_phase {
    MR_HTTPD_HEAD,     /* its first line is known, no more */
    MR_HTTPD_BODY,     /* its route is known */
    MR_HTTPD_HANDLING, /* handle() is running */
    MR_HTTPD_PARKED,   /* handle() has returned without an answer: suspended */
    MR_HTTPD_ANSWERED, /* the answer is here; what is still to be read is thrown away */
    MR_HTTPD_SENDING,  /* the answer is the library's */
};

struct mr_httpd_request {
    struct mr_httpd_conn *conn;
    enum mr_httpd_phase phase;
    const struct mr_route *route;
    char method[16], path[128]; /* for the log; cut */
    char param[MR_HTTPD_PARAM_MAX];
    struct mr_buf body;
    uint64_t begin_ns;
    size_t read; /* bytes of the body, those thrown away too */
    /* the answer */
    unsigned status;
    const char *type;
    char *answer;
    size_t answer_len;
    size_t nheaders;
    struct {
        char name[48], value[MR_HTTPD_VALUE_MAX];
    } headers[MR_HTTPD_HEADERS_MAX];
};

struct mr_httpd {
    uv_loop_t *loop;
    struct mr_httpd_options options;
    struct MHD_Daemon *daemon;
    int port;
    uv_poll_t poll;   /* the library's epoll descriptor */
    uv_timer_t due;   /* when the library wants to run without an event */
    uv_timer_t sweep; /* looks at deadlines while there are connections, and drives the stop */
    struct mr_httpd_conn *conns;
    bool closed;    /* a connection has been, in this turn of the library */
    size_t bodies;  /* bytes of all bodies held */
    size_t handled; /* requests that wait for their handler's answer */
    bool stopping;
    uint64_t stop_ms, cut_ms; /* stopping: since when; when slow clients are cut off */
    void (*done)(void *ctx);
    void *done_ctx;
    int open_handles;
};

/* httpd_request.c: the library's callbacks; cls is the server. */
void *mr_httpd_on_line(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result mr_httpd_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_n, void **state);
void mr_httpd_on_completed(
    void *cls, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode code);
/* Tells the log and frees. cut: the client has not got the whole answer. */
void mr_httpd_request_end(struct mr_httpd_request *request, bool cut);

/* httpd.c */
struct mr_httpd_conn *mr_httpd_conn_of(struct MHD_Connection *mhd);
/* The library has something to do that it has not seen yet: in the next turn of the loop. */
void mr_httpd_turn(struct mr_httpd *httpd);
/* The time for the next phase of this connection begins. */
void mr_httpd_conn_touch(struct mr_httpd_conn *conn);
