/* A look at the broker that changes nothing: which queues and exchanges there are, and how deep. */
#pragma once

#include "common/amqp.h"
#include "common/shard.h"
#include "producer/command.h"

struct mr_look {
    amqp_connection_state_t conn;
};

struct mr_queue_facts {
    char name[MR_QUEUE_MAX];
    bool missing;
    int64_t messages; /* ready: not those that workers hold */
    int64_t consumers;
};

int mr_look_open(struct mr_cli *cli, struct mr_look *ret, struct mr_err *err) MR_CHECK;
void mr_look_close(struct mr_look *look); /* safe on a zeroed one */

/* 0, also when it is missing, or negative: the connection is unusable. */
int mr_look_queue(struct mr_look *look, const char *name, struct mr_queue_facts *ret,
    struct mr_err *err) MR_CHECK;
int mr_look_exchange(
    struct mr_look *look, const char *name, bool *ret_missing, struct mr_err *err) MR_CHECK;

/* The queues a job of this tenant may wait in: its two shards of the lane, or with tenant NULL
 * every shard of every lane of the pool. ret has room for MR_LANES_MAX; *ret_count tells how many.
 */
#define MR_LANES_MAX ((size_t)MR_LANE_COUNT * MR_LANE_SHARDS_MAX)
int mr_look_lanes(struct mr_look *look, int lane_shards, const char *pool, int priority,
    const char *tenant, struct mr_queue_facts *ret, size_t *ret_count, struct mr_err *err) MR_CHECK;
