#include "tests/unit/test.h"
#include "worker/engine/job.h"

/* extract -> left, right -> join */
static struct mr_pipeline diamond = {
    .nsteps = 4, .steps = {{.after = 0}, {.after = 1}, {.after = 1}, {.after = 6}}};

static void branches_run_side_by_side_and_join(void)
{
    static struct mr_step steps[4];
    static struct mr_job job;
    job.pipeline = &diamond;
    job.steps = steps;
    CHECK_INT(mr_dag_ready(&job, 0), 1);
    job.steps[0].state = MR_STEP_EXTRACTING;
    CHECK_INT(mr_dag_ready(&job, 0), 0);
    job.steps[0].state = MR_STEP_ENDED;
    CHECK_INT(mr_dag_ready(&job, 0), 6);
    job.steps[1].state = MR_STEP_ENDED;
    job.steps[2].state = MR_STEP_CALLING;
    CHECK_INT(mr_dag_ready(&job, 0), 0);
    job.steps[2].state = MR_STEP_ENDED;
    CHECK_INT(mr_dag_ready(&job, 0), 8);
    CHECK_INT(mr_dag_ended(&job), 7);
}

static void a_back_off_ends_at_its_time(void)
{
    static struct mr_step steps[4];
    static struct mr_job job;
    job.pipeline = &diamond;
    job.steps = steps;
    job.steps[0].state = MR_STEP_ENDED;
    job.steps[1].state = job.steps[2].state = MR_STEP_BACKOFF;
    job.steps[1].retry_at_ms = 100;
    job.steps[2].retry_at_ms = 70;
    CHECK_INT(mr_dag_next_retry(&job), 70);
    CHECK_INT(mr_dag_ready(&job, 69), 0);
    CHECK_INT(mr_dag_ready(&job, 70), 4);
    CHECK_INT(mr_dag_ready(&job, 100), 6);
}

static void nothing_to_wait_for(void)
{
    static struct mr_step steps[4];
    static struct mr_job job;
    job.pipeline = &diamond;
    job.steps = steps;
    CHECK(mr_dag_next_retry(&job) == INT64_MAX);
}

TEST_MAIN(TEST(branches_run_side_by_side_and_join), TEST(a_back_off_ends_at_its_time),
    TEST(nothing_to_wait_for))
