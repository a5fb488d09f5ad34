#include "tests/unit/engine/fake.h"

static struct fake fake;

static void only_as_many_jobs_as_slots(void)
{
    fake_init(&fake, "worker: { slots = 2; };");
    for (int n = 1; n <= 5; n++)
        fake_deliver(&fake, n, (uint64_t)n, "doc", "");
    CHECK_INT(fake.nclaims, 2);
    fake_claimed(&fake, MR_VERDICT_DONE, NULL);
    CHECK_INT(fake.nclaims, 3);
    fake_deinit(&fake);
}

static void a_message_handed_back_is_adopted(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    mr_engine_session_lost(fake.engine, 1);
    fake_deliver(&fake, 1, 20, "soft", "");
    CHECK_INT(fake.nclaims, 1); /* it is running: no second lease */
    fake_replied(&fake, 200, fake_good_body);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.nacks, 1);
    CHECK_INT(fake.acks[0], 20);
    fake_deinit(&fake);
}

static void a_second_message_waits_for_the_end(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_deliver(&fake, 1, 11, "soft", "");
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 200, fake_good_body);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.nclaims, 2); /* now it is asked about */
    fake_claimed(&fake, MR_VERDICT_DONE, NULL);
    CHECK_INT(fake.nacks, 2);
    CHECK_INT(fake.acks[1], 11);
    fake_deinit(&fake);
}

/* The copy a job is handed over with may come back to us before the broker's confirm does. */
static void a_hand_over_to_ourselves_is_not_acked_for_the_original(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_BUSY, NULL);
    mr_engine_session_lost(fake.engine, 1);
    fake_deliver(&fake, 1, 20, "doc", "");
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 0);
    CHECK_INT(fake.nclaims, 2);
    fake_claimed(&fake, MR_VERDICT_DONE, NULL);
    CHECK_INT(fake.acks[0], 20);
    fake_deinit(&fake);
}

static void a_drain_gives_back_and_hands_over(void)
{
    fake_init(&fake, "worker: { slots = 1; };");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_deliver(&fake, 2, 11, "soft", ""); /* no slot: not started */
    mr_engine_drain(fake.engine, 1000);
    CHECK_INT(fake.nrequeues, 1);
    CHECK_INT(fake.requeues[0], 11);
    fake_replied(&fake, 429, "{}");
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK(!mr_engine_idle(fake.engine));
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 1);
    CHECK(mr_engine_idle(fake.engine));
    fake_deinit(&fake);
}

static void a_drain_does_not_send_what_was_just_begun(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    mr_engine_drain(fake.engine, 1000);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 0);
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(fake.ncommits, 2);
    CHECK_INT(commit->settles[0]->state, MR_CALL_RELEASED);
    CHECK_INT(commit->move, MR_MOVE_WAITING);
    fake_deinit(&fake);
}

static void patience_ends_with_the_grace_period(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    mr_engine_drain(fake.engine, 1000);
    CHECK_INT(mr_engine_next_tick(fake.engine), 1000);
    fake_pass(&fake, 999);
    CHECK_INT(fake.naborts, 0);
    fake_pass(&fake, 1);
    CHECK_INT(fake.naborts, 1);
    fake_lost_reply(&fake, MR_TRANSPORT_ABORTED);
    CHECK_INT(fake_commit(&fake)->settles[0]->state, MR_CALL_AMBIGUOUS);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    fake_deinit(&fake);
}

static void a_message_held_too_long_goes_back(void)
{
    fake_init(&fake, "worker: { slots = 1; };");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_deliver(&fake, 2, 11, "soft", "");
    CHECK_INT(mr_engine_next_tick(fake.engine), fake.config->worker.lease_max_ms);
    fake_pass(&fake, fake.config->worker.lease_max_ms);
    CHECK_INT(fake.nrequeues, 1);
    CHECK_INT(fake.requeues[0], 11);
    fake_deinit(&fake);
}

static void a_refused_publish_is_tried_again(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_BUSY, NULL);
    fake_published(&fake, false);
    CHECK_INT(fake.nacks, 0);
    CHECK_INT(fake.npublished, 1);
    fake_pass(&fake, 5000);
    CHECK_INT(fake.npublished, 2);
    fake_published(&fake, true);
    CHECK_INT(fake.nacks, 1);
    fake_deinit(&fake);
}

static void running_jobs_keep_their_configuration(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    struct mr_config *next;
    FILE *file = fopen("next.cfg", "we");
    CHECK(file && fputs("pipelines: ();", file) >= 0 && fclose(file) == 0);
    CHECK(mr_config_load("next.cfg", &next, NULL) == 0);
    mr_engine_reload(fake.engine, next, &fake.prices);
    mr_config_unref(next);
    fake_claimed(&fake, MR_VERDICT_RUN, NULL); /* "doc" is unknown to the new one */
    CHECK_INT(fake.nextracts, 1);
    fake_deliver(&fake, 2, 11, "doc", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    fake_deinit(&fake);
}

TEST_MAIN(TEST(only_as_many_jobs_as_slots), TEST(a_message_handed_back_is_adopted),
    TEST(a_second_message_waits_for_the_end),
    TEST(a_hand_over_to_ourselves_is_not_acked_for_the_original),
    TEST(a_drain_gives_back_and_hands_over), TEST(a_drain_does_not_send_what_was_just_begun),
    TEST(patience_ends_with_the_grace_period), TEST(a_message_held_too_long_goes_back),
    TEST(a_refused_publish_is_tried_again), TEST(running_jobs_keep_their_configuration))
