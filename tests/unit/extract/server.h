/* A small HTTP server on a thread of the test, for what a real one will not do on demand: paths say
 * how it behaves (see server.c). */
#pragma once

#include <stddef.h>

struct test_server;

struct test_server *test_server_new(void); /* listens on 127.0.0.1, a free port */
int test_server_port(const struct test_server *server);
void test_server_stop(struct test_server *server); /* closes the listening socket */
void test_server_free(struct test_server *server);

int test_server_connections(struct test_server *server);
int test_server_count(struct test_server *server, const char *path); /* requests seen */
const char *test_server_last(struct test_server *server);            /* head of the last request */

/* Serves this answer at this path: extra is further header lines, each ending in CRLF. */
void test_server_add(struct test_server *server, const char *path, int status, const char *extra,
    const char *body, size_t n);
