/* What millrace doctor asks RabbitMQ. */
#include "producer/doctor.h"
#include "producer/look.h"
#include "producer/pools.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TELL_MAX 10 /* missing queues told one by one */
#define INIT "run millrace init"

struct visit {
    struct mr_cli *cli;
    struct mr_look look;
    struct mr_findings *findings;
    size_t missing;
};

static void check_server(struct visit *visit)
{
    const amqp_table_t *properties = amqp_get_server_properties(visit->look.conn);
    char version[32] = "?";
    for (int i = 0; i < properties->num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->entries[i];
        if (entry->key.len == 7 && memcmp(entry->key.bytes, "version", 7) == 0 &&
            entry->value.kind == AMQP_FIELD_KIND_UTF8)
            snprintf(version, sizeof(version), "%.*s", (int)entry->value.value.bytes.len,
                (const char *)entry->value.value.bytes.bytes);
    }
    const struct mr_config_broker *broker = &visit->cli->config->broker;
    bool old = strtol(version, NULL, 10) < 4 && strncmp(version, "3.1", 3) != 0;
    mr_findings_add(visit->findings, old ? MR_LEVEL_FAIL : MR_LEVEL_OK, "broker",
        old ? "install RabbitMQ 3.10 or newer" : "", "RabbitMQ %s, virtual host %s, as %s%s",
        version, broker->vhost, broker->user, broker->tls ? ", encrypted" : "");
    char host[MR_HOST_MAX];
    int port;
    for (size_t i = 0; i < broker->hosts.count && !broker->tls; i++)
        if (mr_host_split(broker->hosts.items[i], 5672, host, &port, NULL) == 0 &&
            !mr_host_is_local(host))
            mr_findings_add(visit->findings, MR_LEVEL_WARN, "broker",
                "set broker.tls and broker.ca_file", "the connection to %s is not encrypted", host);
}

static void is_missing(struct visit *visit, const char *kind, const char *name)
{
    if (visit->missing++ < TELL_MAX)
        mr_findings_add(
            visit->findings, MR_LEVEL_FAIL, "topology", INIT, "%s %s is missing", kind, name);
}

static int check_exchanges(struct visit *visit, struct mr_err *err)
{
    char names[3 + MR_TIER_COUNT][MR_QUEUE_MAX] = {MR_EX_JOBS, MR_EX_DEAD, MR_EX_EVENTS};
    int r = 0;
    for (int tier = 0; tier < MR_TIER_COUNT; tier++)
        mr_tier_exchange((enum mr_tier)tier, names[3 + tier]);
    for (size_t i = 0; i < 3 + MR_TIER_COUNT && r == 0; i++) {
        bool missing = false;
        r = mr_look_exchange(&visit->look, names[i], &missing, err);
        if (r == 0 && missing)
            is_missing(visit, "exchange", names[i]);
    }
    return r;
}

/* The delay tiers' queues have their exchanges' names. */
static int check_tiers(struct visit *visit, struct mr_err *err)
{
    int r = 0;
    int64_t waiting = 0;
    for (int tier = 0; tier < MR_TIER_COUNT && r == 0; tier++) {
        char name[MR_QUEUE_MAX];
        struct mr_queue_facts facts = {0};
        mr_tier_exchange((enum mr_tier)tier, name);
        r = mr_look_queue(&visit->look, name, &facts, err);
        if (r == 0 && facts.missing)
            is_missing(visit, "queue", name);
        waiting += facts.messages;
    }
    if (r == 0)
        mr_findings_add(visit->findings, MR_LEVEL_OK, "delays", "", "%" PRId64 " message%s",
            waiting, waiting == 1 ? " waits" : "s wait");
    return r;
}

static int check_lanes(struct visit *visit, const char *pool, struct mr_err *err)
{
    struct mr_queue_facts *lanes = calloc(MR_LANES_MAX, sizeof(*lanes));
    size_t count = 0;
    int64_t waiting = 0, consumers = 0;
    if (!lanes)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    int r = mr_look_lanes(
        &visit->look, visit->cli->config->broker.lane_shards, pool, 0, NULL, lanes, &count, err);
    for (size_t i = 0; i < count && r == 0; i++) {
        if (lanes[i].missing)
            is_missing(visit, "queue", lanes[i].name);
        waiting += lanes[i].messages;
        consumers += lanes[i].consumers;
    }
    free(lanes);
    if (r < 0)
        return r;
    bool alone = waiting > 0 && consumers == 0;
    mr_findings_add(visit->findings, alone ? MR_LEVEL_WARN : MR_LEVEL_OK, "lanes",
        alone ? "start millrace-worker with worker.pool of this name" : "",
        "pool %s: %" PRId64 " message%s%s", pool, waiting, waiting == 1 ? " waits" : "s wait",
        alone ? ", and no worker consumes them" : "");
    return 0;
}

static int check_dead(struct visit *visit, struct mr_err *err)
{
    struct mr_queue_facts facts = {0};
    int r = mr_look_queue(&visit->look, MR_QUEUE_DEAD, &facts, err);
    if (r == 0 && facts.missing)
        is_missing(visit, "queue", MR_QUEUE_DEAD);
    else if (r == 0)
        mr_findings_add(visit->findings, facts.messages ? MR_LEVEL_WARN : MR_LEVEL_OK, "dead",
            facts.messages ? "millrace dlq list; then millrace dlq replay or drop" : "",
            "%" PRId64 " dead letter%s", facts.messages, facts.messages == 1 ? "" : "s");
    return r;
}

/* Declaring what is there compares its arguments, and changes nothing. */
static void check_arguments(struct visit *visit, const struct mr_pools *pools)
{
    struct mr_err err;
    if (visit->missing > TELL_MAX)
        mr_findings_add(visit->findings, MR_LEVEL_FAIL, "topology", INIT,
            "%zu more queues or exchanges are missing", visit->missing - TELL_MAX);
    if (visit->missing > 0)
        return;
    int r = mr_amqp_topology(
        visit->look.conn, pools->names, pools->count, visit->cli->config->broker.lane_shards, &err);
    if (r == -EACCES)
        mr_findings_add(visit->findings, MR_LEVEL_OK, "topology", "",
            "every exchange and queue is there; their arguments were not compared, which takes a "
            "user who may configure millrace.*");
    else if (r < 0)
        mr_findings_add(visit->findings, MR_LEVEL_FAIL, "topology",
            "make it as millrace init would, when it is empty", "%s", err.msg);
    else
        mr_findings_add(visit->findings, MR_LEVEL_OK, "topology", "",
            "exchanges, queues and their arguments are as millrace init makes them");
}

static int check_all(struct visit *visit, const struct mr_pools *pools, struct mr_err *err)
{
    int r = check_exchanges(visit, err);
    for (size_t i = 0; i < pools->count && r == 0; i++)
        r = check_lanes(visit, pools->names[i], err);
    if (r == 0)
        r = check_tiers(visit, err);
    if (r == 0)
        r = check_dead(visit, err);
    return r;
}

void mr_doctor_broker(struct mr_cli *cli, struct mr_findings *findings)
{
    struct visit visit = {.cli = cli, .findings = findings};
    struct mr_pools pools = {0};
    struct mr_err err;
    int r = mr_look_open(cli, &visit.look, &err);
    if (r < 0) {
        mr_findings_add(findings, MR_LEVEL_FAIL, "broker",
            "see the section broker of the configuration: millrace config print", "%s", err.msg);
        return;
    }
    check_server(&visit);
    r = mr_pools_list(cli->config, &pools) < 0
            ? mr_err_set(&err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory")
            : check_all(&visit, &pools, &err);
    if (r == 0)
        check_arguments(&visit, &pools);
    else
        mr_findings_add(
            findings, MR_LEVEL_FAIL, "broker", "millrace doctor once more", "%s", err.msg);
    mr_pools_deinit(&pools);
    mr_look_close(&visit.look);
}
