#include "worker/engine/lanes.h"

#include "common/shard.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mr_lanes_share(enum mr_lane lane, int slots)
{
    static const int percent[MR_LANE_COUNT] = {
        [MR_LANE_HIGH] = 100, [MR_LANE_NORMAL] = 60, [MR_LANE_LOW] = 20};
    return (int)(((int64_t)slots * percent[lane] + 99) / 100);
}

/* ---- a lane's heap: whose turn it is ---- */

static bool before(const struct mr_line *a, const struct mr_line *b)
{
    return a->running != b->running ? a->running < b->running : a->turn < b->turn;
}

static void place(struct mr_lane_line *lane, size_t index, struct mr_line *line)
{
    lane->heap[index] = line;
    line->heap_index = index;
}

/* Its running jobs or its turn have changed. */
static void resift(struct mr_lane_line *lane, struct mr_line *line)
{
    size_t at = line->heap_index;
    for (size_t up; at > 0 && before(line, lane->heap[up = (at - 1) / 2]); at = up)
        place(lane, at, lane->heap[up]);
    for (size_t down; (down = 2 * at + 1) < lane->nheap; at = down) {
        if (down + 1 < lane->nheap && before(lane->heap[down + 1], lane->heap[down]))
            down++;
        if (!before(lane->heap[down], line))
            break;
        place(lane, at, lane->heap[down]);
    }
    place(lane, at, line);
}

static int heap_add(struct mr_lane_line *lane, struct mr_line *line)
{
    if (lane->nheap == lane->heap_cap) {
        size_t cap = lane->heap_cap ? lane->heap_cap * 2 : 16;
        struct mr_line **heap = reallocarray(lane->heap, cap, sizeof(struct mr_line *));
        if (!heap)
            return -ENOMEM;
        lane->heap = heap;
        lane->heap_cap = cap;
    }
    place(lane, lane->nheap++, line);
    resift(lane, line);
    return 0;
}

static void heap_remove(struct mr_lane_line *lane, struct mr_line *line)
{
    size_t at = line->heap_index;
    struct mr_line *last = lane->heap[--lane->nheap];
    line->heap_index = SIZE_MAX;
    if (last == line)
        return;
    place(lane, at, last);
    resift(lane, last);
}

/* ---- lines ---- */

static struct mr_line **bucket_of(struct mr_lanes *lanes, enum mr_lane lane, const char *tenant)
{
    return &lanes->buckets[(mr_tenant_hash(tenant) + lane) & (MR_LANES_BUCKETS - 1)];
}

static struct mr_line *line_of(struct mr_lanes *lanes, enum mr_lane lane, const char *tenant)
{
    struct mr_line **bucket = bucket_of(lanes, lane, tenant), *line = *bucket;
    while (line && (line->lane != lane || strcmp(line->tenant, tenant) != 0))
        line = line->next;
    if (line)
        return line;
    size_t n = strlen(tenant) + 1;
    line = calloc(1, sizeof(*line) + n);
    if (!line)
        return NULL;
    line->lane = lane;
    line->heap_index = SIZE_MAX;
    line->turn = ++lanes->turns;
    memcpy(line->tenant, tenant, n);
    line->next = *bucket;
    *bucket = line;
    return line;
}

static void drop_if_idle(struct mr_lanes *lanes, struct mr_line *line)
{
    if (line->head || line->running > 0)
        return;
    struct mr_line **at = bucket_of(lanes, line->lane, line->tenant);
    while (*at != line)
        at = &(*at)->next;
    *at = line->next;
    free(line);
}

/* Keeps the line in order of arrival, and its lane too; late ones are rare. */
static void insert(struct mr_lane_line *lane, struct mr_line *line, struct mr_delivery *delivery)
{
    struct mr_delivery **at = &line->head, *prev = lane->tail;
    if (line->tail && line->tail->arrived_ms <= delivery->arrived_ms)
        at = &line->tail->line_next;
    while (*at && (*at)->arrived_ms <= delivery->arrived_ms)
        at = &(*at)->line_next;
    delivery->line_next = *at;
    *at = delivery;
    if (!delivery->line_next)
        line->tail = delivery;

    while (prev && prev->arrived_ms > delivery->arrived_ms)
        prev = prev->prev;
    delivery->prev = prev;
    delivery->next = prev ? prev->next : lane->head;
    *(prev ? &prev->next : &lane->head) = delivery;
    *(delivery->next ? &delivery->next->prev : &lane->tail) = delivery;
    lane->count++;
}

/* Takes out a delivery; the lane's oldest and a tenant's next are both at the head of their line.
 */
static struct mr_delivery *unlink_delivery(struct mr_lanes *lanes, struct mr_delivery *delivery)
{
    struct mr_lane_line *lane = &lanes->lanes[delivery->lane];
    struct mr_line *line = line_of(lanes, delivery->lane, delivery->tenant);
    struct mr_delivery *prev = NULL;
    assert(line && line->head); /* it waits, so its line is there */
    for (struct mr_delivery *at = line->head; at != delivery; at = at->line_next)
        prev = at;
    *(prev ? &prev->line_next : &line->head) = delivery->line_next;
    if (!delivery->line_next)
        line->tail = prev;

    *(delivery->prev ? &delivery->prev->next : &lane->head) = delivery->next;
    *(delivery->next ? &delivery->next->prev : &lane->tail) = delivery->prev;
    delivery->next = delivery->prev = delivery->line_next = NULL;
    lane->count--;
    if (!line->head) {
        heap_remove(lane, line);
        drop_if_idle(lanes, line);
    }
    return delivery;
}

int mr_lanes_push(struct mr_lanes *lanes, struct mr_delivery *delivery)
{
    assert(delivery->lane < MR_LANE_COUNT);
    struct mr_lane_line *lane = &lanes->lanes[delivery->lane];
    struct mr_line *line = line_of(lanes, delivery->lane, delivery->tenant);
    if (!line)
        return -ENOMEM;
    if (!line->head && heap_add(lane, line) < 0) {
        drop_if_idle(lanes, line);
        return -ENOMEM;
    }
    insert(lane, line, delivery);
    return 0;
}

/* ---- starting ---- */

/* NULL too when all who wait run their share: the one on top runs the least. */
static struct mr_line *next_line(const struct mr_lane_line *lane, enum mr_lane which, int slots)
{
    struct mr_line *line = lane->nheap > 0 ? lane->heap[0] : NULL;
    return line && line->running < (size_t)mr_lanes_share(which, slots) ? line : NULL;
}

struct mr_delivery *mr_lanes_pop(struct mr_lanes *lanes, int slots, int reserved_percent)
{
    struct mr_line *next[MR_LANE_COUNT];
    int below = 0;
    for (int i = 0; i < MR_LANE_COUNT; i++)
        below += (next[i] = next_line(&lanes->lanes[i], (enum mr_lane)i, slots)) != NULL;
    for (int i = 0; i < MR_LANE_COUNT; i++) {
        struct mr_lane_line *lane = &lanes->lanes[i];
        if (!next[i])
            continue;
        if (--below > 0) {
            if (lane->credit >= 100) {
                lane->credit -= 100;
                continue; /* this start is theirs */
            }
            lane->credit += reserved_percent;
        }
        return unlink_delivery(lanes, next[i]->head);
    }
    return NULL;
}

struct mr_line *mr_lanes_started(struct mr_lanes *lanes, const struct mr_delivery *delivery)
{
    struct mr_line *line = line_of(lanes, delivery->lane, delivery->tenant);
    if (!line)
        return NULL;
    line->running++;
    line->turn = ++lanes->turns;
    if (line->heap_index != SIZE_MAX)
        resift(&lanes->lanes[line->lane], line);
    return line;
}

void mr_lanes_ended(struct mr_lanes *lanes, struct mr_line *line)
{
    if (!line)
        return;
    assert(line->running > 0);
    line->running--;
    if (line->heap_index != SIZE_MAX)
        resift(&lanes->lanes[line->lane], line);
    drop_if_idle(lanes, line);
}

/* ---- the others ---- */

struct mr_delivery *mr_lanes_take_older(struct mr_lanes *lanes, int64_t arrived_before_ms)
{
    for (int i = 0; i < MR_LANE_COUNT; i++) {
        struct mr_delivery *oldest = lanes->lanes[i].head;
        if (oldest && oldest->arrived_ms < arrived_before_ms)
            return unlink_delivery(lanes, oldest);
    }
    return NULL;
}

void mr_lanes_drop_session(struct mr_lanes *lanes, uint64_t session)
{
    for (int i = 0; i < MR_LANE_COUNT; i++)
        for (struct mr_delivery *at = lanes->lanes[i].head, *next; at; at = next) {
            next = at->next;
            if (at->session == session)
                mr_delivery_free(unlink_delivery(lanes, at));
        }
}

size_t mr_lanes_count(const struct mr_lanes *lanes)
{
    size_t count = 0;
    for (int i = 0; i < MR_LANE_COUNT; i++)
        count += lanes->lanes[i].count;
    return count;
}

void mr_lanes_deinit(struct mr_lanes *lanes)
{
    for (int i = 0; i < MR_LANE_COUNT; i++) {
        assert(lanes->lanes[i].count == 0);
        free(lanes->lanes[i].heap);
    }
    for (size_t i = 0; i < MR_LANES_BUCKETS; i++)
        assert(!lanes->buckets[i]);
    *lanes = (struct mr_lanes){0};
}
