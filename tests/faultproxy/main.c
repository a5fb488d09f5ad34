/* Faults on the wire: stands between workers and PostgreSQL, RabbitMQ and the provider.
 *
 *   millrace-faultproxy SLOTS PG-PORT AMQP-PORT HTTP-PORT      (services on 127.0.0.1)
 *
 * Workers have all slots but the last, which is for whoever else there is. First it prints a line
 * with the ports of each slot: "PG AMQP HTTP PG AMQP HTTP ...". Then it is told on its standard
 * input, a command a line, and ends with it: pid SLOT PID                              who works at
 * that slot; 0: nobody rule ID SLOT|* POINT K WHEN ACTION ARG    the K-th POINT at SLOT (wire.h,
 * rules.h) drop SLOT pg|amqp|http                    resets every connection stall SLOT
 * pg|amqp|http MS                lets nothing through reset forgets rules and stalls ping "pong":
 * all before it is in force and says "fired ID SLOT ACTION PID" on its standard output when a rule
 * comes true. */
#include "tests/faultproxy/proxy.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct control {
    struct mr_proxy *proxy;
    uv_poll_t poll;
    char line[4096];
    size_t len;
};

static int proto_of(const char *name)
{
    static const char *const names[] = {"pg", "amqp", "http"};
    for (int i = 0; i < MR_PROTO_COUNT; i++)
        if (name && strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static bool outside(struct mr_proxy *proxy, const char *what, int slot, char *rest)
{
    const char *word = strtok_r(NULL, " ", &rest);
    const char *arg = strtok_r(NULL, " ", &rest);
    if (slot < 0 || slot >= proxy->count || !word)
        return false;
    if (strcmp(what, "pid") == 0) {
        proxy->slots[slot].pid = (pid_t)strtol(word, NULL, 10);
        return true;
    }
    int proto = proto_of(word);
    if (proto < 0)
        return false;
    if (strcmp(what, "drop") == 0)
        mr_proxy_drop(proxy, slot, (enum mr_proto)proto);
    else if (strcmp(what, "stall") == 0 && arg)
        mr_proxy_stall(proxy, slot, (enum mr_proto)proto, strtol(arg, NULL, 10));
    else
        return false;
    return true;
}

static void command(struct mr_proxy *proxy, char *line)
{
    bool good = true;
    if (strncmp(line, "rule ", 5) == 0) {
        good = mr_rules_add(&proxy->rules, line + 5) == 0;
    } else if (strcmp(line, "reset") == 0) {
        mr_proxy_reset(proxy);
    } else if (strcmp(line, "ping") == 0) {
        puts("pong");
    } else {
        char *rest = line;
        const char *what = strtok_r(NULL, " ", &rest);
        const char *slot = strtok_r(NULL, " ", &rest);
        good = what && slot && outside(proxy, what, (int)strtol(slot, NULL, 10), rest);
    }
    if (!good)
        printf("wrong %s\n", line);
    fflush(stdout);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
    struct control *control = poll->data;
    ssize_t n = status < 0 ? 0
                           : read(STDIN_FILENO, control->line + control->len,
                                 sizeof(control->line) - 1 - control->len);
    if (n <= 0) {
        uv_stop(poll->loop);
        return;
    }
    control->len += (size_t)n;
    char *line = control->line, *end;
    control->line[control->len] = '\0';
    while ((end = strchr(line, '\n'))) {
        *end = '\0';
        command(control->proxy, line);
        line = end + 1;
    }
    control->len -= (size_t)(line - control->line);
    memmove(control->line, line, control->len);
}

int main(int argc, char **argv)
{
    static struct mr_proxy proxy;
    static struct control control = {.proxy = &proxy};
    uv_loop_t loop;
    int slots = argc == 5 ? (int)strtol(argv[1], NULL, 10) : 0;
    if (slots < 1 || slots > MR_SLOTS_MAX) {
        fputs("Usage: millrace-faultproxy SLOTS PG-PORT AMQP-PORT HTTP-PORT\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int r = uv_loop_init(&loop);
    for (int i = 0; r == 0 && i < MR_PROTO_COUNT; i++)
        r = uv_ip4_addr("127.0.0.1", (int)strtol(argv[2 + i], NULL, 10), &proxy.services[i]);
    if (r == 0)
        r = mr_proxy_listen(&proxy, &loop, slots);
    if (r == 0)
        r = uv_poll_init(&loop, &control.poll, STDIN_FILENO);
    control.poll.data = &control;
    if (r == 0)
        r = uv_poll_start(&control.poll, UV_READABLE, on_input);
    if (r < 0) {
        fprintf(stderr, "faultproxy: %s\n", uv_strerror(r));
        return 1;
    }
    for (int i = 0; i < slots; i++)
        for (int proto = 0; proto < MR_PROTO_COUNT; proto++)
            printf("%d%c", proxy.slots[i].listeners[proto].port,
                i == slots - 1 && proto == MR_PROTO_COUNT - 1 ? '\n' : ' ');
    fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0; /* with everything it has: the kernel closes it */
}
