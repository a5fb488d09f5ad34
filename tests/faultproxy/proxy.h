/* Connections between the workers' ports and the services, each message met by the rules. */
#pragma once

#include "tests/faultproxy/rules.h"

#include <netinet/in.h>
#include <sys/types.h>
#include <uv.h>

#define MR_SLOTS_MAX 16

struct mr_proxy;

struct mr_listener {
    uv_tcp_t tcp;
    struct mr_proxy *proxy;
    int slot, port;
    enum mr_proto proto;
    uint64_t stalled_until; /* of the loop's clock: connections made before then stall too */
};

/* A slot is the place of one worker at a time, with ports of its own. */
struct mr_slot {
    struct mr_listener listeners[MR_PROTO_COUNT];
    pid_t pid;        /* 0: nobody, or already killed */
    uv_timer_t awake; /* SIGCONT to ... */
    pid_t stopped;    /* ... this one; 0: nobody */
};

struct mr_proxy {
    uv_loop_t *loop;
    struct mr_slot slots[MR_SLOTS_MAX];
    int count;
    struct sockaddr_in services[MR_PROTO_COUNT];
    struct mr_rules rules;
    struct mr_conn *conns;
};

/* Opens three ports on loopback for each slot. 0 or a negative uv error. */
int mr_proxy_listen(struct mr_proxy *proxy, uv_loop_t *loop, int slots) MR_CHECK;

/* Faults that wait for no message, at every connection of a slot and protocol. */
void mr_proxy_drop(struct mr_proxy *proxy, int slot, enum mr_proto proto);
void mr_proxy_stall(struct mr_proxy *proxy, int slot, enum mr_proto proto, long ms);
/* No rules, no stalls; connections stay. */
void mr_proxy_reset(struct mr_proxy *proxy);
