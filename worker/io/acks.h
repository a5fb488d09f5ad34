/* The unsettled deliveries of one channel, and how to settle many of them in few frames. Pure. */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_ack_slot {
    uint64_t tag;
    enum { MR_SLOT_HELD, MR_SLOT_ACK, MR_SLOT_REQUEUE } want;
};

struct mr_acks {
    struct mr_ack_slot *slots; /* ascending tags */
    size_t count, cap;
    size_t wanted; /* slots that are not just held */
};

/* A delivery has arrived; tags ascend. 0 or -ENOMEM. */
int mr_acks_add(struct mr_acks *acks, uint64_t tag) MR_CHECK;

/* To be settled with the next flush; a tag that is not held is ignored. */
void mr_acks_want(struct mr_acks *acks, uint64_t tag, bool requeue);

/* Emits everything wanted: one ack with `multiple` for the acked prefix (nothing older is held, so
 * it names nothing else), then single frames. Stops at the first negative return of emit and
 * returns it; the connection is lost then, and so are the tags. */
typedef int mr_acks_emit(void *ctx, uint64_t tag, bool multiple, bool requeue);
int mr_acks_flush(struct mr_acks *acks, mr_acks_emit *emit, void *ctx) MR_CHECK;

void mr_acks_clear(struct mr_acks *acks); /* forgets all, keeps the memory */
void mr_acks_deinit(struct mr_acks *acks);
