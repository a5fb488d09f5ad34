#include "tests/unit/engine/fake.h"

static struct fake fake;

static void ended_jobs_are_acked_and_dropped(void)
{
    static const enum mr_verdict ended[] = {
        MR_VERDICT_DONE, MR_VERDICT_CANCELLED, MR_VERDICT_DUPLICATE};
    fake_init(&fake, "");
    for (size_t i = 0; i < 3; i++) {
        fake_deliver(&fake, 1, 10 + i, "doc", "");
        fake_claimed(&fake, ended[i], NULL);
        CHECK_INT(fake.nacks, i + 1);
        CHECK_INT(fake.acks[i], 10 + i);
    }
    CHECK_INT(fake.npublished, 0);
    CHECK(mr_engine_idle(fake.engine));
    fake_deinit(&fake);
}

static void a_busy_job_is_looked_at_again_later(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_BUSY, NULL);
    CHECK_INT(fake.npublished, 1);
    CHECK_INT(fake.published[0]->kind, MR_PUBLISH_DELAY);
    CHECK_INT(fake.published[0]->hops, 1);
    CHECK_INT(fake.nacks, 0); /* not before the copy is confirmed */
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 1);
    fake_deinit(&fake);
}

static void a_dead_job_gets_its_dead_letter(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake.claims[0]->err.class = MR_CLASS_REFUSED;
    snprintf(fake.claims[0]->err.msg, MR_ERR_MAX, "no");
    snprintf(fake.claims[0]->error_step, MR_NAME_MAX, "sum");
    fake_claimed(&fake, MR_VERDICT_DEAD, NULL);
    CHECK_INT(fake.published[0]->kind, MR_PUBLISH_DEAD);
    CHECK_INT(fake.published[0]->class, MR_CLASS_REFUSED);
    CHECK_STR(fake.published[0]->step, "sum");
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 1);
    fake_deinit(&fake);
}

static void finished_steps_are_not_run_again(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_RUN,
        "{\"extract\":{\"state\":\"done\",\"output\":{\"text\":\"From "
        "before.\"}},\"sum\":{\"attempts\":2}}");
    CHECK_INT(fake.nextracts, 0);
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    CHECK_INT(fake_commit(&fake)->begins[0]->attempt, 3);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 1);
    CHECK(strstr(fake.requests[0]->body.data, "From before."));
    fake_deinit(&fake);
}

static void an_unknown_pipeline_is_dead(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "nope", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK(strstr(fake_commit(&fake)->error.msg, "unknown pipeline \"nope\""));
    fake_deinit(&fake);
}

static void a_job_that_kills_workers_is_dead(void)
{
    fake_init(&fake, "worker: { max_redeliveries = 3; };");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake.claims[0]->redeliveries = 4;
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_REDELIVERED);
    CHECK_INT(fake.nextracts, 0);
    fake_deinit(&fake);
}

static void a_job_home_early_goes_on_waiting(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake.claims[0]->until_ms = INT64_C(1790000000000) + 90000;
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    CHECK_INT(fake_commit(&fake)->until_ms, INT64_C(1790000000000) + 90000);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.published[0]->kind, MR_PUBLISH_DELAY);
    CHECK_INT(fake.published[0]->delay_ms, 90000);
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 1);
    fake_deinit(&fake);
}

static void junk_is_recorded_before_it_is_buried(void)
{
    fake_init(&fake, "");
    fake_deliver_body(&fake, 10, "{\"v\":1,\"oops\"");
    CHECK_INT(fake.nrejects, 1);
    CHECK_INT(fake.npublished, 0);
    mr_engine_rejected(fake.engine, fake.rejects[0]);
    CHECK_INT(fake.published[0]->kind, MR_PUBLISH_DEAD);
    CHECK_INT(fake.nacks, 0);
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 1);
    fake_deinit(&fake);
}

static void what_sql_cannot_store_is_rejected(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    mr_err_set(&fake.claims[0]->err, 0, MR_CLASS_INVALID, "bad bytes");
    fake_claimed(&fake, MR_VERDICT_REFUSED, NULL);
    CHECK_INT(fake.nrejects, 1);
    CHECK_STR(fake.reject_why.msg, "bad bytes");
    fake_deinit(&fake);
}

TEST_MAIN(TEST(ended_jobs_are_acked_and_dropped), TEST(a_busy_job_is_looked_at_again_later),
    TEST(a_dead_job_gets_its_dead_letter), TEST(finished_steps_are_not_run_again),
    TEST(an_unknown_pipeline_is_dead), TEST(a_job_that_kills_workers_is_dead),
    TEST(a_job_home_early_goes_on_waiting), TEST(junk_is_recorded_before_it_is_buried),
    TEST(what_sql_cannot_store_is_rejected))
