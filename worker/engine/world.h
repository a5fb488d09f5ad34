/* The world as the engine sees it: everything that leaves the engine goes through these ops,
 * everything that comes back arrives as one mr_engine_* call (engine.h). No ops function may call
 * back into the engine before it returns. io/ makes the ops real on one libuv loop; tests/sim makes
 * them a simulation with a virtual clock. */
#pragma once

#include "common/clock.h"
#include "common/log.h"
#include "worker/engine/world_broker.h"
#include "worker/engine/world_caller.h"
#include "worker/engine/world_extractor.h"
#include "worker/engine/world_observe.h"
#include "worker/engine/world_store.h"

struct mr_world {
    struct mr_clock clock;
    struct mr_random random;
    struct mr_broker_ops broker;
    struct mr_store_ops store;
    struct mr_caller_ops caller;
    struct mr_extractor_ops extractor;
    struct mr_observe_ops observe;
    const struct mr_log *log;
    char worker[MR_NAME_MAX + 1]; /* shown in dead letters and logs: "<host>:<pid>" made a name */
};
