#include "worker/io/store_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void *mr_store_must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

void mr_store_push(
    struct mr_store_queues *queues, enum mr_store_kind kind, union mr_store_item item)
{
    size_t count = queues->fresh[kind].count;
    if (count == queues->fresh[kind].cap) {
        size_t cap = count ? count * 2 : 64;
        queues->fresh[kind].items =
            mr_store_must(reallocarray(queues->fresh[kind].items, cap, sizeof(item)));
        queues->fresh[kind].cap = cap;
    }
    queues->fresh[kind].items[count] = item;
    queues->fresh[kind].count = count + 1;
}

static struct mr_store_group *group_new(
    enum mr_store_kind kind, const union mr_store_item *items, size_t count)
{
    size_t bytes = count * sizeof(items[0]);
    struct mr_store_group *group = mr_store_must(calloc(1, sizeof(struct mr_store_group) + bytes));
    group->kind = kind;
    group->count = count;
    memcpy(group->items, items, bytes);
    return group;
}

void mr_store_put_back(struct mr_store_queues *queues, struct mr_store_group *group)
{
    mr_store_unread(group);
    group->next = queues->groups;
    queues->groups = group;
}

void mr_store_put_back_split(struct mr_store_queues *queues, struct mr_store_group *group)
{
    assert(group->count > 1);
    size_t half = group->count / 2;
    struct mr_store_group *rest = group_new(group->kind, group->items + half, group->count - half);
    rest->tries = group->tries;
    rest->due_ms = group->due_ms;
    group->count = half;
    mr_store_put_back(queues, rest);
    mr_store_put_back(queues, group);
}

struct mr_store_group *mr_store_next(
    struct mr_store_queues *queues, enum mr_store_kind kind, int64_t now_ms)
{
    for (struct mr_store_group **at = &queues->groups; *at; at = &(*at)->next)
        if ((*at)->kind == kind && (*at)->due_ms <= now_ms) {
            struct mr_store_group *group = *at;
            *at = group->next;
            group->next = NULL;
            return group;
        }
    union mr_store_item *items = queues->fresh[kind].items;
    size_t all = queues->fresh[kind].count;
    size_t count = all < MR_STORE_BATCH_MAX ? all : MR_STORE_BATCH_MAX;
    if (count == 0)
        return NULL;
    struct mr_store_group *group = group_new(kind, items, count);
    memmove(items, items + count, (all - count) * sizeof(items[0]));
    queues->fresh[kind].count = all - count;
    return group;
}

int64_t mr_store_next_due(const struct mr_store_queues *queues)
{
    int64_t due = INT64_MAX;
    for (const struct mr_store_group *group = queues->groups; group; group = group->next)
        due = group->due_ms < due ? group->due_ms : due;
    return due;
}

size_t mr_store_waiting(const struct mr_store_queues *queues)
{
    size_t count = 0;
    for (int kind = 0; kind < MR_STORE_KINDS; kind++)
        count += queues->fresh[kind].count;
    for (const struct mr_store_group *group = queues->groups; group; group = group->next)
        count += group->count;
    return count;
}

const char *mr_store_kind_name(enum mr_store_kind kind)
{
    static const char *const names[MR_STORE_KINDS] = {"claim", "commit", "reject", "note", "lease"};
    return names[kind];
}

void mr_store_push_reject(struct mr_store_queues *queues, void *owner,
    const struct mr_envelope_salvage *who, const struct mr_err *why, const char *body, size_t len)
{
    struct mr_store_reject *reject = mr_store_must(calloc(1, sizeof(*reject)));
    reject->owner = owner;
    reject->id = who->id;
    memcpy(reject->tenant, who->tenant, sizeof(reject->tenant));
    memcpy(reject->pipeline, who->pipeline, sizeof(reject->pipeline));
    reject->why = *why;
    reject->bytes = (int64_t)len;
    /* The beginning, for a person: what is no printable ASCII becomes a point. */
    size_t n = len < sizeof(reject->head) - 1 ? len : sizeof(reject->head) - 1;
    for (size_t i = 0; i < n; i++)
        reject->head[i] = body[i] >= 0x20 && body[i] < 0x7f ? body[i] : '.';
    mr_store_push(queues, MR_STORE_REJECTS, (union mr_store_item){.reject = reject});
}

void mr_store_push_note(struct mr_store_queues *queues, const struct mr_breaker_note *note)
{
    struct mr_breaker_note *copy = mr_store_must(malloc(sizeof(*copy)));
    *copy = *note;
    mr_store_push(queues, MR_STORE_NOTES, (union mr_store_item){.note = copy});
}

void mr_store_deliver(struct mr_engine *engine, struct mr_store_group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (group->kind == MR_STORE_CLAIMS) {
            mr_engine_claimed(engine, group->items[i].claim);
        } else if (group->kind == MR_STORE_COMMITS) {
            mr_engine_committed(engine, group->items[i].commit);
        } else if (group->kind == MR_STORE_NOTES) {
            free(group->items[i].note);
        } else if (group->kind == MR_STORE_LEASES) {
            mr_engine_leased(engine, group->items[i].lease);
        } else {
            void *owner = group->items[i].reject->owner;
            free(group->items[i].reject);
            mr_engine_rejected(engine, owner);
        }
    free(group);
}

/* What the store owns; the rest is the engine's. */
static void free_items(enum mr_store_kind kind, union mr_store_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (kind == MR_STORE_REJECTS)
            free(items[i].reject);
        else if (kind == MR_STORE_NOTES)
            free(items[i].note);
}

void mr_store_queues_deinit(struct mr_store_queues *queues)
{
    for (int kind = 0; kind < MR_STORE_KINDS; kind++) {
        free_items((enum mr_store_kind)kind, queues->fresh[kind].items, queues->fresh[kind].count);
        free(queues->fresh[kind].items);
    }
    for (struct mr_store_group *group = queues->groups, *next; group; group = next) {
        next = group->next;
        free_items(group->kind, group->items, group->count);
        free(group);
    }
    *queues = (struct mr_store_queues){0};
}
