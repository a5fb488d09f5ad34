/* Deliveries that wait for a slot: a line for each tenant in each lane.
 *
 * Within a lane the tenant with the fewest running jobs starts next, those with equally many take
 * turns, and a tenant's own deliveries start in the order of their arrival. So somebody who brings
 * ten jobs while another's thousands wait gets the slots that fall free until both run as many. */
#pragma once

#include "worker/engine/world_broker.h"

#include <stddef.h>

#define MR_LANES_BUCKETS 1024 /* a power of two */

/* One tenant in one lane: there as long as it waits or runs. */
struct mr_line {
    struct mr_line *next; /* in its bucket */
    struct mr_delivery *head, *tail;
    size_t running;    /* jobs started and not ended */
    size_t calls;      /* of these, with a provider right now */
    uint64_t turn;     /* the lower, the longer ago it came or had a start */
    size_t heap_index; /* in the lane's heap; SIZE_MAX: nothing waits */
    enum mr_lane lane;
    char tenant[];
};

struct mr_lane_line {
    struct mr_delivery *head, *tail; /* all that wait, by arrival */
    size_t count;
    struct mr_line **heap; /* lines in which something waits, the next to start on top */
    size_t nheap, heap_cap;
    int credit; /* per cent of a start owed to the lanes below */
};

struct mr_lanes {
    struct mr_lane_line lanes[MR_LANE_COUNT];
    struct mr_line *buckets[MR_LANES_BUCKETS];
    uint64_t turns;
};

/* A lane's share of the slots: all, 60 %, 20 %, rounded up. No tenant runs more than that in a lane
 * of one worker: what is over is there for whoever comes next, without a wait. */
int mr_lanes_share(enum mr_lane lane, int slots);

/* In the order of arrival: one that was let in before goes in front. 0, or -ENOMEM: not taken. */
int mr_lanes_push(struct mr_lanes *lanes, struct mr_delivery *delivery) MR_CHECK;
/* The next delivery to start: the highest lane first, but of the starts that lanes below wait for,
 * reserved_percent go to them. NULL when nothing waits that may start. */
struct mr_delivery *mr_lanes_pop(struct mr_lanes *lanes, int slots, int reserved_percent);
/* Its job runs now, until mr_lanes_ended. NULL without memory: it is not counted then. */
struct mr_line *mr_lanes_started(struct mr_lanes *lanes, const struct mr_delivery *delivery);
void mr_lanes_ended(struct mr_lanes *lanes, struct mr_line *line); /* NULL is fine */

/* Takes out one delivery that arrived before this time, or (INT64_MAX) any; NULL when there is
 * none. */
struct mr_delivery *mr_lanes_take_older(struct mr_lanes *lanes, int64_t arrived_before_ms);
void mr_lanes_drop_session(struct mr_lanes *lanes, uint64_t session);
size_t mr_lanes_count(const struct mr_lanes *lanes);
/* Nothing waits or runs any more. */
void mr_lanes_deinit(struct mr_lanes *lanes);
