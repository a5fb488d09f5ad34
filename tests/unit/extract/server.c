#include "tests/unit/extract/server.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEEN_MAX 64
#define PAGES_MAX 32

struct page {
    char path[128];
    int status;
    char extra[512];
    char *body;
    size_t n;
};

struct test_server {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t lock;
    atomic_bool stopping;
    int connections, seen;
    char paths[SEEN_MAX][128];
    char last[8192], last_copy[8192];
    struct page pages[PAGES_MAX];
    size_t npages;
    struct conn *open; /* each with a thread of its own */
};

struct conn {
    struct test_server *server;
    struct conn *next;
    pthread_t thread;
    int fd;
};

static void send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

static void send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

static void wait_for_peer(int fd)
{
    char sink[256];
    while (recv(fd, sink, sizeof(sink), 0) > 0)
        ;
}

static void send_big(int fd)
{
    static char block[65536];
    send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n");
    memset(block, 'x', sizeof(block));
    for (size_t sent = 0; sent < 20000000; sent += sizeof(block))
        send_all(fd, block, sizeof(block));
}

static void send_page(int fd, const struct page *page)
{
    char head[1024];
    snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n", page->status,
        page->n, page->extra);
    send_text(fd, head);
    send_all(fd, page->body, page->n);
}

/* Sends a body for ever, one byte at a time. */
static void send_slowly(int fd)
{
    send_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n");
    struct timespec pause = {.tv_nsec = 50000000};
    while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
        nanosleep(&pause, NULL);
}

/* Answers one request. Returns whether the connection stays open. */
static bool answer(struct conn *conn, const char *path)
{
    struct test_server *server = conn->server;
    for (size_t i = 0; i < server->npages; i++)
        if (strcmp(server->pages[i].path, path) == 0) {
            send_page(conn->fd, &server->pages[i]);
            return true;
        }
    if (strncmp(path, "/ok", 3) == 0) {
        send_text(conn->fd,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req-1\r\n"
            "Content-Length: 11\r\n\r\n{\"ok\":true}");
        return strcmp(path, "/ok-then-close") != 0;
    }
    if (strcmp(path, "/429") == 0)
        send_text(conn->fd, "HTTP/1.1 429 Too Many\r\nRetry-After: 9\r\nretry-after-ms: 1500\r\n"
                            "x-should-retry: false\r\nContent-Length: 0\r\n\r\n");
    else if (strcmp(path, "/redirect") == 0)
        send_text(conn->fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    else if (strcmp(path, "/cut") == 0)
        send_text(conn->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"cut\"");
    else if (strcmp(path, "/big") == 0)
        send_big(conn->fd);
    else if (strcmp(path, "/slow") == 0)
        send_slowly(conn->fd);
    else if (strcmp(path, "/hang") == 0)
        wait_for_peer(conn->fd);
    return strcmp(path, "/429") == 0 || strcmp(path, "/redirect") == 0;
}

/* Reads one request, head and body, into buf. Returns false when the peer is gone. */
static bool read_request(int fd, char *buf, size_t size)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, buf + len, size - len - 1, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        buf[len] = '\0';
        char *end = strstr(buf, "\r\n\r\n");
        if (!end)
            continue;
        const char *length = strcasestr(buf, "Content-Length: ");
        size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
        if (len >= (size_t)(end + 4 - buf) + body)
            return true;
    }
}

static void *serve_conn(void *arg)
{
    struct conn *conn = arg;
    char *buf = malloc(8192);
    char path[128] = "";
    do {
        if (!read_request(conn->fd, buf, 8192))
            break;
        const char *at = strchr(buf, ' ');
        size_t n = at ? strcspn(at + 1, " \r\n") : 0;
        snprintf(path, sizeof(path), "%.*s", (int)n, at ? at + 1 : "");
        pthread_mutex_lock(&conn->server->lock);
        if (conn->server->seen < SEEN_MAX)
            memcpy(conn->server->paths[conn->server->seen++], path, sizeof(path));
        snprintf(conn->server->last, sizeof(conn->server->last), "%s", buf);
        pthread_mutex_unlock(&conn->server->lock);
    } while (answer(conn, path));
    shutdown(conn->fd, SHUT_RDWR);
    free(buf);
    return NULL;
}

static void *serve(void *arg)
{
    struct test_server *server = arg;
    for (;;) {
        struct pollfd ready = {.fd = server->fd, .events = POLLIN};
        poll(&ready, 1, 20);
        if (server->stopping)
            return NULL;
        int fd = ready.revents ? accept4(server->fd, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd < 0)
            continue;
        pthread_mutex_lock(&server->lock);
        server->connections++;
        pthread_mutex_unlock(&server->lock);
        struct conn *conn = calloc(1, sizeof(*conn));
        conn->server = server;
        conn->fd = fd;
        conn->next = server->open;
        server->open = conn;
        CHECK(pthread_create(&conn->thread, NULL, serve_conn, conn) == 0);
    }
}

struct test_server *test_server_new(void)
{
    struct test_server *server = calloc(1, sizeof(*server));
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(server->fd, (struct sockaddr *)&addr, len) == 0 && listen(server->fd, 64) == 0);
    CHECK(getsockname(server->fd, (struct sockaddr *)&addr, &len) == 0);
    server->port = ntohs(addr.sin_port);
    pthread_mutex_init(&server->lock, NULL);
    CHECK(pthread_create(&server->thread, NULL, serve, server) == 0);
    return server;
}

int test_server_port(const struct test_server *server)
{
    return server->port;
}

void test_server_stop(struct test_server *server)
{
    if (server->stopping)
        return;
    server->stopping = true;
    pthread_join(server->thread, NULL);
    close(server->fd);
}

void test_server_free(struct test_server *server)
{
    test_server_stop(server);
    for (struct conn *conn = server->open, *next; conn; conn = next) {
        next = conn->next;
        shutdown(conn->fd, SHUT_RDWR);
        pthread_join(conn->thread, NULL);
        close(conn->fd);
        free(conn);
    }
    for (size_t i = 0; i < server->npages; i++)
        free(server->pages[i].body);
    free(server);
}

int test_server_connections(struct test_server *server)
{
    pthread_mutex_lock(&server->lock);
    int count = server->connections;
    pthread_mutex_unlock(&server->lock);
    return count;
}

int test_server_count(struct test_server *server, const char *path)
{
    int count = 0;
    pthread_mutex_lock(&server->lock);
    for (int i = 0; i < server->seen; i++)
        count += strcmp(server->paths[i], path) == 0;
    pthread_mutex_unlock(&server->lock);
    return count;
}

const char *test_server_last(struct test_server *server)
{
    pthread_mutex_lock(&server->lock);
    memcpy(server->last_copy, server->last, sizeof(server->last));
    pthread_mutex_unlock(&server->lock);
    return server->last_copy;
}

void test_server_add(struct test_server *server, const char *path, int status, const char *extra,
    const char *body, size_t n)
{
    CHECK(server->npages < PAGES_MAX);
    struct page *page = &server->pages[server->npages];
    snprintf(page->path, sizeof(page->path), "%s", path);
    snprintf(page->extra, sizeof(page->extra), "%s", extra);
    page->status = status;
    page->body = malloc(n + 1);
    memcpy(page->body, body, n);
    page->n = n;
    server->npages++;
}
