#include "worker/engine/lanes.h"

#include <assert.h>
#include <stdlib.h>

void mr_lanes_push(struct mr_lanes *lanes, struct mr_delivery *delivery)
{
    enum mr_lane lane = delivery->lane;
    assert(lane < MR_LANE_COUNT);
    struct mr_delivery **at = &lanes->head[lane], *tail = lanes->tail[lane];
    if (tail && tail->arrived_ms <= delivery->arrived_ms)
        at = &tail->next;
    while (*at && (*at)->arrived_ms <= delivery->arrived_ms)
        at = &(*at)->next;
    delivery->next = *at;
    *at = delivery;
    if (!delivery->next)
        lanes->tail[lane] = delivery;
    lanes->count[lane]++;
}

/* Takes `at` out of the lane; prev is the one before it, NULL at the head. */
static struct mr_delivery *unlink_delivery(
    struct mr_lanes *lanes, int lane, struct mr_delivery *prev, struct mr_delivery *at)
{
    if (prev)
        prev->next = at->next;
    else
        lanes->head[lane] = at->next;
    if (!at->next)
        lanes->tail[lane] = prev;
    at->next = NULL;
    lanes->count[lane]--;
    return at;
}

struct mr_delivery *mr_lanes_pop(struct mr_lanes *lanes, int reserved_percent)
{
    size_t below = mr_lanes_count(lanes);
    for (int lane = 0; lane < MR_LANE_COUNT; lane++) {
        below -= lanes->count[lane];
        if (!lanes->head[lane])
            continue;
        if (below > 0) {
            if (lanes->credit[lane] >= 100) {
                lanes->credit[lane] -= 100;
                continue; /* this start is theirs */
            }
            lanes->credit[lane] += reserved_percent;
        }
        return unlink_delivery(lanes, lane, NULL, lanes->head[lane]);
    }
    return NULL;
}

struct mr_delivery *mr_lanes_take_older(struct mr_lanes *lanes, int64_t arrived_before_ms)
{
    /* A lane is in order of arrival, so its head is its oldest. */
    for (int lane = 0; lane < MR_LANE_COUNT; lane++)
        if (lanes->head[lane] && lanes->head[lane]->arrived_ms < arrived_before_ms)
            return unlink_delivery(lanes, lane, NULL, lanes->head[lane]);
    return NULL;
}

void mr_lanes_drop_session(struct mr_lanes *lanes, uint64_t session)
{
    for (int lane = 0; lane < MR_LANE_COUNT; lane++) {
        struct mr_delivery *prev = NULL;
        for (struct mr_delivery *at = lanes->head[lane], *next; at; at = next) {
            next = at->next;
            if (at->session == session)
                mr_delivery_free(unlink_delivery(lanes, lane, prev, at));
            else
                prev = at;
        }
    }
}

size_t mr_lanes_count(const struct mr_lanes *lanes)
{
    size_t count = 0;
    for (int lane = 0; lane < MR_LANE_COUNT; lane++)
        count += lanes->count[lane];
    return count;
}
