#include "worker/io/outbox_item.h"

#include "common/money.h"

#include <stdlib.h>

void mr_item_list_free(struct mr_item_list *list)
{
    struct mr_item *item;
    while ((item = mr_item_pop(list))) {
        mr_publish_free(item->publish);
        free(item);
    }
}

static void route_of(const struct mr_publish *publish, char exchange[static MR_QUEUE_MAX],
    char key[static MR_QUEUE_MAX])
{
    char id[MR_UUID_LEN];
    mr_lane_key(publish->pool, publish->lane, publish->shard, key);
    switch (publish->kind) {
    case MR_PUBLISH_DEAD:
        snprintf(exchange, MR_QUEUE_MAX, "%s", MR_EX_DEAD);
        return;
    case MR_PUBLISH_HOME:
        snprintf(exchange, MR_QUEUE_MAX, "%s", MR_EX_JOBS);
        return;
    case MR_PUBLISH_DELAY:
        mr_tier_exchange(mr_tier_for(publish->delay_ms), exchange);
        return;
    case MR_PUBLISH_EVENT:
        mr_uuid_format(&publish->id, id);
        snprintf(exchange, MR_QUEUE_MAX, "%s", MR_EX_EVENTS);
        snprintf(
            key, MR_QUEUE_MAX, "%s.%s", publish->event, publish->of_tenant ? publish->tenant : id);
        return;
    }
}

static const char *text_or_null(const char *text)
{
    return text[0] ? text : NULL;
}

int mr_item_publish(const struct mr_item *item, const char *worker, struct mr_publisher *publisher,
    struct mr_err *err)
{
    const struct mr_publish *publish = item->publish;
    bool event = publish->kind == MR_PUBLISH_EVENT;
    char exchange[MR_QUEUE_MAX], key[MR_QUEUE_MAX], spent[MR_MONEY_LEN];
    struct mr_headers headers = {.id = publish->id,
        .tenant = text_or_null(publish->tenant),
        .pipeline = text_or_null(publish->pipeline)};
    route_of(publish, exchange, key);
    if (!event) {
        headers.priority = publish->priority;
        headers.hops = publish->hops;
        headers.replay = publish->replay;
    }
    if (publish->kind == MR_PUBLISH_DEAD) {
        mr_money_format(publish->spent_pico, spent);
        headers.step = text_or_null(publish->step);
        headers.class = mr_class_name(publish->class);
        headers.message = text_or_null(publish->message);
        headers.worker = worker;
        headers.attempts = publish->attempts;
        headers.died_ms = publish->died_ms;
        headers.spent_usd = spent;
        headers.origin = key;
    }
    return mr_publisher_publish(publisher, exchange, key, &headers,
        publish->body_owned ? publish->body_owned : publish->body, publish->len, !event,
        event ? NULL : (void *)(uintptr_t)item, err);
}
