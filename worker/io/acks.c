#include "worker/io/acks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int mr_acks_add(struct mr_acks *acks, uint64_t tag)
{
    assert(acks->count == 0 || acks->slots[acks->count - 1].tag < tag);
    if (acks->count == acks->cap) {
        size_t cap = acks->cap ? acks->cap * 2 : 64;
        struct mr_ack_slot *slots = reallocarray(acks->slots, cap, sizeof(*slots));
        if (!slots)
            return -ENOMEM;
        acks->slots = slots;
        acks->cap = cap;
    }
    acks->slots[acks->count++] = (struct mr_ack_slot){.tag = tag};
    return 0;
}

static int by_tag(const void *a, const void *b)
{
    uint64_t x = ((const struct mr_ack_slot *)a)->tag, y = ((const struct mr_ack_slot *)b)->tag;
    return (x > y) - (x < y);
}

void mr_acks_want(struct mr_acks *acks, uint64_t tag, bool requeue)
{
    struct mr_ack_slot key = {.tag = tag}, *slot = NULL;
    if (acks->count > 0)
        slot = bsearch(&key, acks->slots, acks->count, sizeof(key), by_tag);
    if (!slot || slot->want != MR_SLOT_HELD)
        return;
    slot->want = requeue ? MR_SLOT_REQUEUE : MR_SLOT_ACK;
    acks->wanted++;
}

int mr_acks_flush(struct mr_acks *acks, mr_acks_emit *emit, void *ctx)
{
    if (acks->wanted == 0)
        return 0;
    size_t prefix = 0, kept = 0;
    while (prefix < acks->count && acks->slots[prefix].want == MR_SLOT_ACK)
        prefix++;
    int rc = prefix > 0 ? emit(ctx, acks->slots[prefix - 1].tag, prefix > 1, false) : 0;
    for (size_t i = prefix; rc >= 0 && i < acks->count; i++) {
        struct mr_ack_slot slot = acks->slots[i];
        if (slot.want == MR_SLOT_HELD)
            acks->slots[kept++] = slot;
        else
            rc = emit(ctx, slot.tag, false, slot.want == MR_SLOT_REQUEUE);
    }
    if (rc < 0)
        return rc;
    acks->count = kept;
    acks->wanted = 0;
    return 0;
}

void mr_acks_clear(struct mr_acks *acks)
{
    acks->count = 0;
    acks->wanted = 0;
}

void mr_acks_deinit(struct mr_acks *acks)
{
    free(acks->slots);
    *acks = (struct mr_acks){0};
}
