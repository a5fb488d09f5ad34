#include "tests/faultproxy/proxy.h"

#include "common/buf.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES 65536

struct peer {
    uv_tcp_t tcp;
    struct mr_wire wire; /* what it says */
    struct mr_buf in;    /* said, not passed on yet */
    size_t writes;       /* to it, under way */
    bool ended;          /* says nothing any more */
    bool pardoned;       /* its next message has met its rule already */
};

/* Peers by side: the client is the worker, the server its service. */
struct mr_conn {
    struct mr_proxy *proxy;
    struct mr_listener *listener;
    struct mr_conn *next, *prev;
    struct peer peers[2];
    uv_timer_t timer;
    uv_connect_t connect;
    int handles;
    bool connected, stalled, closing;
    struct mr_rule *waiting; /* for the answer number `due` */
    long asked, heard, due;
};

struct write {
    uv_write_t write;
    struct peer *to;
    char bytes[];
};

static void on_closed(uv_handle_t *handle)
{
    struct mr_conn *conn = handle->data;
    if (--conn->handles > 0)
        return;
    *(conn->prev ? &conn->prev->next : &conn->proxy->conns) = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    mr_buf_deinit(&conn->peers[0].in);
    mr_buf_deinit(&conn->peers[1].in);
    free(conn);
}

static void close_peer(struct peer *peer, bool reset)
{
    if (uv_is_closing((uv_handle_t *)&peer->tcp))
        return;
    if (!reset || uv_tcp_close_reset(&peer->tcp, on_closed) != 0)
        uv_close((uv_handle_t *)&peer->tcp, on_closed);
}

/* Reset: both ends learn of it the hard way. Otherwise what was passed on arrives first. */
static void end(struct mr_conn *conn, bool reset)
{
    if (!conn->closing)
        uv_close((uv_handle_t *)&conn->timer, on_closed);
    conn->closing = true;
    if (conn->waiting) /* in vain: it is the next message's turn */
        conn->waiting->spent = false;
    conn->waiting = NULL;
    for (int side = 0; side < 2; side++)
        if (reset || conn->peers[side].writes == 0)
            close_peer(&conn->peers[side], reset);
}

static void on_written(uv_write_t *write, int status)
{
    struct write *w = write->data;
    struct mr_conn *conn = w->to->tcp.data;
    w->to->writes--;
    if (conn->closing && w->to->writes == 0)
        close_peer(w->to, false);
    else if (status < 0 && !conn->closing)
        end(conn, true);
    free(w);
}

/* Passes bytes on to a peer. */
static void pass(struct mr_conn *conn, struct peer *to, const char *bytes, size_t n)
{
    uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)n);
    int sent = to->writes == 0 ? uv_try_write((uv_stream_t *)&to->tcp, &buf, 1) : 0;
    sent = sent < 0 ? 0 : sent; /* a broken connection shows at the write below */
    if ((size_t)sent == n)
        return;
    struct write *w = malloc(sizeof(*w) + n - (size_t)sent);
    if (!w)
        abort();
    memcpy(w->bytes, bytes + sent, n - (size_t)sent);
    w->to = to;
    w->write.data = w;
    buf = uv_buf_init(w->bytes, (unsigned)(n - (size_t)sent));
    to->writes++;
    if (uv_write(&w->write, (uv_stream_t *)&to->tcp, &buf, 1, on_written) < 0) {
        to->writes--;
        free(w);
        end(conn, true);
    }
}

/* ---- faults ---- */

static void pump(struct mr_conn *conn, enum mr_side side);

static void on_stall_over(uv_timer_t *timer)
{
    struct mr_conn *conn = timer->data;
    conn->stalled = false;
    pump(conn, MR_SIDE_CLIENT);
    pump(conn, MR_SIDE_SERVER);
}

static void stall(struct mr_conn *conn, long ms)
{
    conn->stalled = true;
    uv_timer_start(&conn->timer, on_stall_over, (uint64_t)ms, 0);
}

static void on_awake(uv_timer_t *timer)
{
    struct mr_slot *slot = timer->data;
    if (slot->stopped)
        kill(slot->stopped, SIGCONT);
    slot->stopped = 0;
}

static void signal_worker(struct mr_slot *slot, const struct mr_rule *rule)
{
    if (slot->pid == 0)
        return;
    if (rule->action == MR_ACTION_STOP) {
        kill(slot->pid, SIGSTOP);
        slot->stopped = slot->pid;
        uv_timer_start(&slot->awake, on_awake, (uint64_t)rule->arg, 0);
        return;
    }
    kill(slot->pid, rule->action == MR_ACTION_KILL ? SIGKILL : SIGTERM);
    slot->pid = 0;
}

/* A rule's fault happens at a message, which may have been passed on already. Returns whether the
 * message is done with; false: it stays where it is, or the connection has ended. */
static bool act(struct mr_conn *conn, const struct mr_rule *rule, enum mr_side side,
    const char *bytes, size_t n, bool passed)
{
    struct peer *to = &conn->peers[!side];
    struct mr_slot *slot = &conn->proxy->slots[conn->listener->slot];
    printf("fired %d %d %s %d\n", rule->id, conn->listener->slot, mr_action_name(rule->action),
        (int)slot->pid);
    fflush(stdout);
    switch (rule->action) {
    case MR_ACTION_KILL:
        signal_worker(slot, rule);
        end(conn, false);
        return false;
    case MR_ACTION_RESET:
        end(conn, true);
        return false;
    case MR_ACTION_CUT:
        if (!passed)
            pass(conn, to, bytes, n / 2);
        end(conn, false);
        return false;
    case MR_ACTION_STALL:
        stall(conn, rule->arg);
        conn->peers[side].pardoned = !passed;
        return passed;
    case MR_ACTION_TERM:
    case MR_ACTION_STOP:
        signal_worker(slot, rule);
        if (!passed)
            pass(conn, to, bytes, n);
        return !conn->closing;
    }
    return true;
}

/* ---- messages ---- */

static void count(struct mr_conn *conn, enum mr_point point)
{
    if (point == MR_POINT_SYNC || point == MR_POINT_REQUEST)
        conn->asked++;
    else if (point == MR_POINT_READY || point == MR_POINT_CONFIRM || point == MR_POINT_RESPONSE)
        conn->heard++;
}

/* The statements of a transaction come before its Sync; confirms have no numbers we would follow.
 */
static long answer_due(const struct mr_conn *conn, enum mr_point point)
{
    if (point == MR_POINT_PUBLISH)
        return conn->heard + 1;
    return conn->asked + (point != MR_POINT_SYNC && point != MR_POINT_REQUEST);
}

/* As act(). */
static bool message(
    struct mr_conn *conn, enum mr_side side, enum mr_point point, const char *bytes, size_t n)
{
    struct peer *from = &conn->peers[side], *to = &conn->peers[!side];
    struct mr_rule *rule = NULL, *waited = conn->waiting;
    if (from->pardoned) {
        from->pardoned = false;
    } else if (point != MR_POINT_NONE) {
        count(conn, point);
        int slot = conn->listener->slot;
        rule = mr_rules_meet(&conn->proxy->rules, slot, slot < conn->proxy->count - 1, point);
        if (waited && side == MR_SIDE_SERVER && point == mr_point_answer(waited->point) &&
            conn->heard >= conn->due) {
            conn->waiting = NULL;
            if (waited->when == MR_WHEN_LOST)
                return act(conn, waited, side, bytes, n, false);
            rule = waited;
        }
    }
    if (rule &&
        (rule->when == MR_WHEN_BEFORE || (rule->when == MR_WHEN_LOST && side == MR_SIDE_SERVER)))
        return act(conn, rule, side, bytes, n, false);
    pass(conn, to, bytes, n);
    if (conn->closing)
        return false;
    if (!rule)
        return true;
    if (side == MR_SIDE_CLIENT && rule->when != MR_WHEN_SENT && !conn->waiting &&
        mr_point_answer(point) != MR_POINT_NONE) {
        conn->waiting = rule;
        conn->due = answer_due(conn, point);
        return true;
    }
    return act(conn, rule, side, bytes, n, true);
}

static void pump(struct mr_conn *conn, enum mr_side side)
{
    struct peer *from = &conn->peers[side];
    size_t at = 0;
    while (!conn->stalled && !conn->closing && conn->connected && at < from->in.len) {
        enum mr_point point = MR_POINT_NONE;
        long n = mr_wire_next(&from->wire, from->in.data + at, from->in.len - at, &point);
        if (n == 0)
            break;
        if (n < 0) {
            printf("lost %d %d %d\n", conn->listener->slot, (int)conn->listener->proto, (int)side);
            fflush(stdout);
            end(conn, true);
            break;
        }
        if (!message(conn, side, point, from->in.data + at, (size_t)n))
            break;
        at += (size_t)n;
    }
    from->in.len -= at;
    if (at > 0 && from->in.len > 0)
        memmove(from->in.data, from->in.data + at, from->in.len);
    if (from->ended && !conn->stalled && !conn->closing && conn->connected) {
        if (from->in.len > 0)
            pass(conn, &conn->peers[!side], from->in.data, from->in.len);
        end(conn, false);
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    struct mr_conn *conn = handle->data;
    struct peer *peer = &conn->peers[handle == (uv_handle_t *)&conn->peers[1].tcp];
    char *room = mr_buf_reserve(&peer->in, READ_BYTES);
    *ret = uv_buf_init(room, room ? READ_BYTES : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct mr_conn *conn = stream->data;
    enum mr_side side =
        stream == (uv_stream_t *)&conn->peers[1].tcp ? MR_SIDE_SERVER : MR_SIDE_CLIENT;
    if (conn->closing || n == 0)
        return;
    if (n > 0) {
        conn->peers[side].in.len += (size_t)n;
    } else {
        uv_read_stop(stream);
        conn->peers[side].ended = true;
        if (n != UV_EOF && !conn->stalled) { /* reset at one end: reset at the other */
            end(conn, true);
            return;
        }
    }
    pump(conn, side);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct mr_conn *conn = connect->data;
    if (conn->closing)
        return;
    if (status < 0 ||
        uv_read_start((uv_stream_t *)&conn->peers[MR_SIDE_SERVER].tcp, on_alloc, on_read) < 0) {
        end(conn, true);
        return;
    }
    conn->connected = true;
    pump(conn, MR_SIDE_CLIENT);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct mr_listener *listener = stream->data;
    struct mr_proxy *proxy = listener->proxy;
    struct mr_conn *conn = status < 0 ? NULL : calloc(1, sizeof(*conn));
    if (!conn)
        return;
    *conn = (struct mr_conn){.proxy = proxy, .listener = listener, .next = proxy->conns};
    if (conn->next)
        conn->next->prev = conn;
    proxy->conns = conn;
    conn->heard =
        listener->proto == MR_PROTO_PG ? -1 : 0; /* a session begins with one of its own */
    for (int side = 0; side < 2; side++) {
        struct peer *peer = &conn->peers[side];
        peer->wire = (struct mr_wire){.proto = listener->proto, .side = (enum mr_side)side};
        mr_buf_init(&peer->in, 512u << 20);
        uv_tcp_init(proxy->loop, &peer->tcp);
        peer->tcp.data = conn;
        uv_tcp_nodelay(&peer->tcp, 1);
    }
    uv_timer_init(proxy->loop, &conn->timer);
    conn->timer.data = conn->connect.data = conn;
    conn->handles = 3;
    if (uv_accept(stream, (uv_stream_t *)&conn->peers[MR_SIDE_CLIENT].tcp) < 0 ||
        uv_read_start((uv_stream_t *)&conn->peers[MR_SIDE_CLIENT].tcp, on_alloc, on_read) < 0 ||
        uv_tcp_connect(&conn->connect, &conn->peers[MR_SIDE_SERVER].tcp,
            (const struct sockaddr *)&proxy->services[listener->proto], on_connected) < 0) {
        end(conn, true);
        return;
    }
    uint64_t now = uv_now(proxy->loop);
    if (listener->stalled_until > now)
        stall(conn, (long)(listener->stalled_until - now));
}

/* ---- outside ---- */

static int listen_at(struct mr_listener *listener, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int size = sizeof(address), r = uv_tcp_init(loop, &listener->tcp);
    listener->tcp.data = listener;
    if (r == 0)
        r = uv_ip4_addr("127.0.0.1", 0, &address);
    if (r == 0)
        r = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)&address, 0);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&listener->tcp, 1024, on_connection);
    if (r == 0)
        r = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&address, &size);
    listener->port = ntohs(address.sin_port);
    return r;
}

int mr_proxy_listen(struct mr_proxy *proxy, uv_loop_t *loop, int slots)
{
    proxy->loop = loop;
    proxy->count = slots;
    for (int i = 0; i < slots; i++) {
        struct mr_slot *slot = &proxy->slots[i];
        int r = uv_timer_init(loop, &slot->awake);
        slot->awake.data = slot;
        for (int proto = 0; r == 0 && proto < MR_PROTO_COUNT; proto++) {
            slot->listeners[proto].proxy = proxy;
            slot->listeners[proto].slot = i;
            slot->listeners[proto].proto = (enum mr_proto)proto;
            r = listen_at(&slot->listeners[proto], loop);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

void mr_proxy_drop(struct mr_proxy *proxy, int slot, enum mr_proto proto)
{
    for (struct mr_conn *conn = proxy->conns; conn; conn = conn->next)
        if (conn->listener == &proxy->slots[slot].listeners[proto])
            end(conn, true);
}

void mr_proxy_stall(struct mr_proxy *proxy, int slot, enum mr_proto proto, long ms)
{
    struct mr_listener *listener = &proxy->slots[slot].listeners[proto];
    listener->stalled_until = uv_now(proxy->loop) + (uint64_t)ms;
    for (struct mr_conn *conn = proxy->conns; conn; conn = conn->next)
        if (conn->listener == listener && !conn->closing)
            stall(conn, ms);
}

void mr_proxy_reset(struct mr_proxy *proxy)
{
    proxy->rules.count = 0;
    for (int i = 0; i < proxy->count; i++)
        for (int proto = 0; proto < MR_PROTO_COUNT; proto++)
            proxy->slots[i].listeners[proto].stalled_until = 0;
    for (struct mr_conn *conn = proxy->conns; conn; conn = conn->next) {
        conn->waiting = NULL;
        if (conn->stalled && !conn->closing)
            uv_timer_start(&conn->timer, on_stall_over, 0, 0);
    }
}
