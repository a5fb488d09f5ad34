/* Moves dead letters out of their queue: replays them to where they came from, or drops them. A
 * letter is removed only once what is to follow is safe; all others stay where they are. */
#pragma once

#include "common/amqp.h"
#include "producer/deadq.h"
#include "producer/dlq.h"
#include "producer/shards.h"

enum mr_moved_outcome { MR_MOVED_WAITING, MR_MOVED_SENT, MR_MOVED_GONE, MR_MOVED_FAILED };

/* One dead job that is to be moved. */
struct mr_moved {
    struct mr_uuid id;
    int row;
    enum mr_moved_outcome outcome;
    uint64_t tag; /* of its letter */
    char *why;    /* it failed */
};

struct mr_mover {
    struct mr_cli *cli;
    const PGresult *jobs;
    bool replay;            /* else drop */
    struct mr_moved *items; /* sorted by id */
    size_t nitems, open;    /* open: letters not found yet */
    struct mr_deadq queue;
    struct mr_publisher *publisher; /* replay only */
    struct mr_shards *shards;       /* likewise */
    int64_t confirm_ms;
    struct mr_err err;
};

/* Orders struct mr_moved by id, for qsort. */
int mr_moved_by_id(const void *a, const void *b);

/* Goes through the queue once, for all items that wait. 0, or negative with mover->err when broker
 * or connection gave up; the items say how far it came. */
int mr_mover_run(struct mr_mover *mover) MR_CHECK;
