/* One message in the outbox, lists of them, and where each kind goes. Private to the outbox. */
#pragma once

#include "common/amqp.h"
#include "worker/engine/world_broker.h"

struct mr_item {
    struct mr_item *next;
    struct mr_publish *publish;
    unsigned refusals; /* nacks so far */
    int64_t retry_ms;  /* monotonic; waits until then after a nack */
    bool suspect;      /* was in flight when the broker closed the channel */
    int64_t sent_us;   /* monotonic; the last time */
    int64_t took_us;   /* confirmed: how long after that */
    bool confirmed;
    char why[256]; /* why not */
};

struct mr_item_list {
    struct mr_item *first, **end; /* end: where the next one is hooked in */
    size_t count;
};

static inline void mr_item_list_init(struct mr_item_list *list)
{
    *list = (struct mr_item_list){.end = &list->first};
}

static inline void mr_item_push(struct mr_item_list *list, struct mr_item *item)
{
    item->next = NULL;
    *list->end = item;
    list->end = &item->next;
    list->count++;
}

static inline struct mr_item *mr_item_pop(struct mr_item_list *list)
{
    struct mr_item *item = list->first;
    if (!item)
        return NULL;
    list->first = item->next;
    if (!list->first)
        list->end = &list->first;
    list->count--;
    return item;
}

/* Moves all of `from` behind `to`. */
static inline void mr_item_splice(struct mr_item_list *to, struct mr_item_list *from)
{
    if (!from->first)
        return;
    *to->end = from->first;
    to->end = from->end;
    to->count += from->count;
    mr_item_list_init(from);
}

/* Frees the items and what they publish. */
void mr_item_list_free(struct mr_item_list *list);

/* Hands the item to the publisher; returns what mr_publisher_publish returns. */
int mr_item_publish(const struct mr_item *item, const char *worker, struct mr_publisher *publisher,
    struct mr_err *err) MR_CHECK;
