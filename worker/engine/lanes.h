/* Deliveries that wait for a slot, a line for each lane. */
#pragma once

#include "worker/engine/world_broker.h"

#include <stddef.h>

struct mr_lanes {
    struct mr_delivery *head[MR_LANE_COUNT], *tail[MR_LANE_COUNT];
    size_t count[MR_LANE_COUNT];
    int credit[MR_LANE_COUNT]; /* per cent of a start owed to the lanes below */
};
/* In the order of arrival: one that was let in before goes in front. */
void mr_lanes_push(struct mr_lanes *lanes, struct mr_delivery *delivery);
/* The next delivery to start: the highest lane first, but of the starts that lanes below wait for,
 * reserved_percent go to them. NULL when nothing waits. */
struct mr_delivery *mr_lanes_pop(struct mr_lanes *lanes, int reserved_percent);
/* Takes out one delivery that arrived before this time, or (INT64_MAX) any; NULL when there is
 * none. */
struct mr_delivery *mr_lanes_take_older(struct mr_lanes *lanes, int64_t arrived_before_ms);
void mr_lanes_drop_session(struct mr_lanes *lanes, uint64_t session);
size_t mr_lanes_count(const struct mr_lanes *lanes);
