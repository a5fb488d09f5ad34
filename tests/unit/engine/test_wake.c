#include "common/clock.h"
#include "tests/unit/test.h"
#include "worker/engine/job.h"

#define COUNT 500

static void setup(struct mr_engine *engine, struct mr_job *jobs)
{
    engine->wakes = calloc(COUNT, sizeof(struct mr_job *));
    engine->wakes_cap = COUNT;
    for (size_t i = 0; i < COUNT; i++)
        jobs[i] = (struct mr_job){.engine = engine, .wake_ms = INT64_MAX, .heap_index = SIZE_MAX};
}

static void the_earliest_comes_first(void)
{
    static struct mr_engine engine;
    static struct mr_job jobs[COUNT];
    struct mr_random random = mr_random_system();
    setup(&engine, jobs);
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < COUNT; i++) /* set, move and take out at random */
            mr_wake_set(&jobs[i],
                mr_random_below(&random, 4) ? (int64_t)mr_random_below(&random, 1000) : INT64_MAX);
        size_t set = 0;
        for (size_t i = 0; i < COUNT; i++)
            set += jobs[i].wake_ms != INT64_MAX;
        CHECK_INT(engine.nwakes, set);
    }
    int64_t last = -1;
    for (struct mr_job *job; (job = mr_wake_due(&engine, 1000));) {
        CHECK(job->wake_ms >= last);
        last = job->wake_ms;
        mr_wake_set(job, INT64_MAX);
    }
    CHECK_INT(engine.nwakes, 0);
    free(engine.wakes);
}

static void nothing_is_due_early(void)
{
    static struct mr_engine engine;
    static struct mr_job jobs[COUNT];
    setup(&engine, jobs);
    mr_wake_set(&jobs[0], 50);
    CHECK(mr_wake_due(&engine, 49) == NULL);
    CHECK(mr_wake_due(&engine, 50) == &jobs[0]);
    free(engine.wakes);
}

TEST_MAIN(TEST(the_earliest_comes_first), TEST(nothing_is_due_early))
