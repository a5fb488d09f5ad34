#include "tests/unit/engine/fake.h"

static struct fake fake;

static void run_to_call(const char *extra)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", extra);
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_extracted(&fake, "The text.");
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 1);
}

static void nothing_leaves_before_its_intent_is_durable(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake.nextracts, 1);
    CHECK_INT(fake.ncommits, 0);
    fake_extracted(&fake, "The text.");
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->nsteps, 1); /* the checkpoint and the next intent together */
    CHECK_INT(commit->nbegins, 1);
    CHECK_INT(fake.ncalls, 0);
    CHECK(commit->begins[0]->hold_pico > 0);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 1);
    fake_deinit(&fake);
}

static void the_last_commit_has_money_result_and_end(void)
{
    run_to_call("");
    fake_replied(&fake, 200, fake_good_body);
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->nsettles, 1);
    CHECK_INT(commit->settles[0]->state, MR_CALL_SETTLED);
    CHECK_INT(commit->settles[0]->cost_pico, 52);
    CHECK_INT(commit->settles[0]->price_id, 7);
    CHECK_INT(commit->nsteps, 1);
    CHECK_INT(commit->move, MR_MOVE_DONE);
    CHECK_INT(fake.nacks, 0);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.nacks, 1);
    CHECK_STR(fake.events[0], "job.done");
    CHECK(mr_engine_idle(fake.engine));
    fake_deinit(&fake);
}

static void a_stale_lease_sends_nothing(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_extracted(&fake, "The text.");
    fake_committed(&fake, MR_VERDICT_STALE);
    CHECK_INT(fake.ncalls, 0);
    CHECK_INT(fake.nacks, 0);
    CHECK_INT(fake.nclaims, 2); /* its message may be the only one: it asks for a new lease */
    fake_claimed(&fake, MR_VERDICT_DONE, NULL);
    CHECK_INT(fake.nacks, 1);
    fake_deinit(&fake);
}

static void a_late_answer_still_settles_its_call(void)
{
    run_to_call("");
    mr_engine_session_lost(fake.engine, 1);
    fake_replied(&fake, 200, fake_good_body);
    CHECK_INT(fake.ncommits, 2);
    CHECK_INT(fake_commit(&fake)->settles[0]->cost_pico, 52);
    fake_committed(&fake, MR_VERDICT_STALE);
    CHECK_INT(fake.nacks, 0); /* there is nothing to ack */
    CHECK(mr_engine_idle(fake.engine));
    fake_deinit(&fake);
}

static void cancelled_at_begin_keeps_the_results(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_extracted(&fake, "The text.");
    fake_committed(&fake, MR_VERDICT_CANCELLED);
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(fake.ncommits, 2);
    CHECK_INT(commit->nsteps, 0); /* they were written with the refusal */
    CHECK_INT(commit->nbegins, 0);
    CHECK_INT(commit->move, MR_MOVE_CANCELLED);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.nacks, 1);
    CHECK_STR(fake.events[0], "job.cancelled");
    fake_deinit(&fake);
}

static void what_cannot_be_stored_dies_with_the_reason(void)
{
    run_to_call("");
    fake_replied(&fake, 200, fake_good_body);
    mr_err_set(&fake_commit(&fake)->err, 0, MR_CLASS_INVALID, "untranslatable character");
    fake_committed(&fake, MR_VERDICT_REFUSED);
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(fake.ncommits, 3);
    CHECK_INT(commit->nsettles, 1); /* the money is not lost with the result */
    CHECK_INT(commit->nsteps, 0);
    CHECK_INT(commit->move, MR_MOVE_DEAD);
    CHECK_STR(commit->error.msg, "untranslatable character");
    fake_committed(&fake, MR_VERDICT_OK);
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 1);
    fake_deinit(&fake);
}

static void refuse(const char *why)
{
    mr_err_set(&fake_commit(&fake)->err, 0, MR_CLASS_INVALID, "%s", why);
    fake_committed(&fake, MR_VERDICT_REFUSED);
}

static void nobody_is_told_of_an_end_that_is_not_stored(void)
{
    run_to_call("");
    fake_replied(&fake, 200, fake_good_body);
    refuse("untranslatable character");
    refuse("out of range");
    CHECK_INT(fake.nevents + fake.npublished + fake.nacks, 0);
    CHECK_INT(fake.ncommits, 4); /* nothing but its end, in words of our own */
    CHECK_INT(fake_commit(&fake)->nsettles, 0);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_INTERNAL);
    CHECK(!strstr(fake_commit(&fake)->error.msg, "out of range"));
    refuse("out of range"); /* that is the database's own trouble: it may be mended */
    CHECK_INT(fake.ncommits, 4);
    CHECK_INT(fake.nevents + fake.npublished + fake.nacks, 0);
    fake_pass(&fake, 30000);
    CHECK_INT(fake.ncommits, 5);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_published(&fake, true);
    CHECK_STR(fake.events[0], "job.dead");
    CHECK_INT(fake.nacks, 1);
    fake_deinit(&fake);
}

/* What comes after the refusal is written without its words too. */
static void a_poisoned_job_settles_what_is_still_out(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "pair", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 200, fake_good_body);
    refuse("untranslatable character");
    fake_committed(&fake, MR_VERDICT_OK); /* its money */
    fake.ncalls--;
    fake_replied(&fake, 200, fake_good_body);
    CHECK_INT(fake_commit(&fake)->nsettles, 1);
    CHECK_STR(fake_commit(&fake)->settles[0]->served_model, "");
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_published(&fake, true);
    fake_deinit(&fake);
}

static void steps_are_announced_to_those_who_watch(void)
{
    run_to_call(",\"watch\":true");
    CHECK_INT(fake.nevents, 1);
    CHECK_STR(fake.events[0], "step.done");
    fake_deinit(&fake);
}

static void a_step_of_another_pool_is_handed_over(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "far", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    CHECK_STR(fake_commit(&fake)->pool, "gpu");
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.published[0]->kind, MR_PUBLISH_HOME);
    CHECK_STR(fake.published[0]->pool, "gpu");
    CHECK_INT(fake.nacks, 0);
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 1);
    fake_deinit(&fake);
}

static void an_old_lease_is_handed_over(void)
{
    run_to_call("");
    fake.now_ms += fake.config->worker.lease_max_ms;
    fake_replied(&fake, 429, "{}"); /* to be retried, but not by us */
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    fake_deinit(&fake);
}

static void the_deadline_stops_a_job_between_calls(void)
{
    run_to_call(
        ",\"deadline\":\"2026-09-21T14:13:40.000Z\""); /* 20 s after the fake's time began */
    fake_replied(&fake, 429, "{}");
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_NONE);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_pass(&fake, 20000);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_DEADLINE);
    fake_deinit(&fake);
}

/* The words of an answer may be what cannot be stored; its money can. */
static void a_lost_job_writes_its_money_without_the_words(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "pair", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 2);
    fake_replied(&fake, 200, fake_good_body);
    fake_committed(&fake, MR_VERDICT_STALE);
    fake.ncalls--;
    fake_replied(&fake, 200, fake_good_body);
    CHECK_STR(fake_commit(&fake)->settles[0]->served_model, "m-1");
    mr_err_set(&fake_commit(&fake)->err, 0, MR_CLASS_INVALID, "untranslatable character");
    int ncommits = fake.ncommits;
    fake_committed(&fake, MR_VERDICT_REFUSED);
    CHECK_INT(fake.ncommits, ncommits + 1);
    CHECK_INT(fake_commit(&fake)->nsettles, 1);
    CHECK_INT(fake_commit(&fake)->settles[0]->cost_pico, 52);
    CHECK_STR(fake_commit(&fake)->settles[0]->served_model, "");
    fake_committed(&fake, MR_VERDICT_STALE);
    CHECK_INT(fake.npublished, 0); /* it is another worker's to bury */
    fake_deinit(&fake);
}

TEST_MAIN(TEST(nothing_leaves_before_its_intent_is_durable),
    TEST(the_last_commit_has_money_result_and_end), TEST(a_stale_lease_sends_nothing),
    TEST(a_late_answer_still_settles_its_call), TEST(cancelled_at_begin_keeps_the_results),
    TEST(what_cannot_be_stored_dies_with_the_reason),
    TEST(nobody_is_told_of_an_end_that_is_not_stored),
    TEST(a_poisoned_job_settles_what_is_still_out), TEST(steps_are_announced_to_those_who_watch),
    TEST(a_step_of_another_pool_is_handed_over), TEST(an_old_lease_is_handed_over),
    TEST(the_deadline_stops_a_job_between_calls),
    TEST(a_lost_job_writes_its_money_without_the_words))
