#include "worker/engine/job.h"

#include <assert.h>
#include <stdlib.h>

static void place(struct mr_engine *engine, size_t at, struct mr_job *job)
{
    engine->wakes[at] = job;
    job->heap_index = at;
}

static void sift_up(struct mr_engine *engine, size_t at)
{
    struct mr_job *job = engine->wakes[at];
    while (at > 0 && engine->wakes[(at - 1) / 2]->wake_ms > job->wake_ms) {
        place(engine, at, engine->wakes[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(engine, at, job);
}

static void sift_down(struct mr_engine *engine, size_t at)
{
    struct mr_job *job = engine->wakes[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= engine->nwakes)
            break;
        if (child + 1 < engine->nwakes &&
            engine->wakes[child + 1]->wake_ms < engine->wakes[child]->wake_ms)
            child++;
        if (engine->wakes[child]->wake_ms >= job->wake_ms)
            break;
        place(engine, at, engine->wakes[child]);
        at = child;
    }
    place(engine, at, job);
}

static void take_out(struct mr_engine *engine, struct mr_job *job)
{
    size_t at = job->heap_index;
    struct mr_job *last = engine->wakes[--engine->nwakes];
    job->heap_index = SIZE_MAX;
    if (last == job)
        return;
    place(engine, at, last);
    sift_up(engine, at);
    sift_down(engine, last->heap_index);
}

void mr_wake_set(struct mr_job *job, int64_t mono_ms)
{
    struct mr_engine *engine = job->engine;
    if (job->wake_ms == mono_ms)
        return;
    job->wake_ms = mono_ms;
    if (mono_ms == INT64_MAX) {
        take_out(engine, job);
        return;
    }
    if (job->heap_index == SIZE_MAX) {
        assert(engine->nwakes < engine->wakes_cap); /* room for every slot was made at the start */
        place(engine, engine->nwakes++, job);
    }
    sift_up(engine, job->heap_index);
    sift_down(engine, job->heap_index);
}

struct mr_job *mr_wake_due(struct mr_engine *engine, int64_t now_ms)
{
    return engine->nwakes > 0 && engine->wakes[0]->wake_ms <= now_ms ? engine->wakes[0] : NULL;
}
