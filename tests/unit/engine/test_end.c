#include "tests/unit/engine/fake.h"

static struct fake fake;

static void die(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_extracted(&fake, "The text.");
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 400, "{\"error\":{\"message\":\"no such model\"}}");
    fake_committed(&fake, MR_VERDICT_OK);
}

static void a_dead_letter_says_what_happened(void)
{
    die();
    CHECK_INT(fake.npublished, 1);
    const struct mr_publish *letter = fake.published[0];
    CHECK_INT(letter->kind, MR_PUBLISH_DEAD);
    CHECK_STR(letter->tenant, "t");
    CHECK_STR(letter->pipeline, "doc");
    CHECK_STR(letter->step, "sum");
    CHECK_INT(letter->class, MR_CLASS_INVALID);
    CHECK(strstr(letter->message, "no such model"));
    CHECK_INT(letter->attempts, 2);                      /* one extraction, one call */
    CHECK(strstr(letter->body, "\"pipeline\":\"doc\"")); /* the message as it came */
    fake_published(&fake, true);
    CHECK(mr_engine_idle(fake.engine));
    fake_deinit(&fake);
}

static void the_first_failure_is_the_reason(void)
{
    die();
    CHECK_STR(fake.events[0], "job.dead");
    struct mr_job *job = mr_engine_find(fake.engine, &fake.published[0]->id);
    mr_job_fail(job, "other", MR_CLASS_DEADLINE, "too late");
    CHECK_STR(job->error_step, "sum");
    CHECK_INT(job->error.class, MR_CLASS_INVALID);
    fake_deinit(&fake);
}

static void nothing_is_acked_before_the_letter_is_safe(void)
{
    die();
    CHECK_INT(fake.nacks, 0);
    mr_engine_session_lost(fake.engine, 1); /* and then there is nothing left to ack */
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 0);
    fake_deinit(&fake);
}

TEST_MAIN(TEST(a_dead_letter_says_what_happened), TEST(the_first_failure_is_the_reason),
    TEST(nothing_is_acked_before_the_letter_is_safe))
