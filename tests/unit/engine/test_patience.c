/* How long an outage is waited for, and how many calls a step may pay. */
#include "tests/unit/engine/routes.h"

static void an_outage_parks_the_job(void)
{
    start("hard", false);
    use_up(503, 4);
    use_up(503, 4);
    const struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->move, MR_MOVE_WAITING);
    CHECK_INT(commit->error.class, MR_CLASS_OVERLOADED);
    CHECK_STR(commit->error_step, "hard");
    fake_deinit(&fake);
}

static int64_t parked_ms(const char *known)
{
    come_home(known);
    use_up(503, 4);
    use_up(503, 4);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    int64_t ms = fake_commit(&fake)->until_ms - WALL - fake.now_ms;
    fake_deinit(&fake);
    return ms;
}

static void the_longer_it_lasts_the_longer_the_waits(void)
{
    int64_t ms = parked_ms(NULL); /* its own tries have lasted three minutes by then */
    CHECK(ms > 120000 && ms <= 150001);
    ms = parked_ms("{\"hard\":{\"attempts\":40,\"since_ms\":1789998200000}}");
    CHECK(ms > 600000 && ms <= 750001);
    struct mr_random random = mr_random_system();
    static const int64_t by_hops[] = {30000, 30000, 30000, 120000, 120000, 120000, 600000};
    for (int hops = 0; hops < 7; hops++) {
        ms = mr_retry_park_ms(0, hops, &random);
        CHECK(ms > by_hops[hops] && ms <= by_hops[hops] * 5 / 4 + 1);
    }
}

static void patience_ends(void)
{
    /* Its tries here last three minutes at most; the patience is 24 hours. */
    come_home("{\"hard\":{\"attempts\":40,\"since_ms\":1789913900000}}"); /* and 5 minutes to go */
    use_up(503, 4);
    use_up(503, 4);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    fake_deinit(&fake);
    come_home("{\"hard\":{\"attempts\":40,\"since_ms\":1789913500000}}");
    use_up(503, 4);
    use_up(503, 4);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_OVERLOADED);
    CHECK(strncmp(fake_commit(&fake)->error.msg, "in vain for 86", 14) == 0);
    fake_deinit(&fake);
}

static void no_wait_goes_beyond_the_patience(void)
{
    come_home("{\"hard\":{\"attempts\":4,\"since_ms\":1789913900000}}"); /* 5 minutes to go */
    for (int endpoint = 0; endpoint < 2; endpoint++) {
        struct mr_reply reply = {
            .status = 429, .retry_after_ms = 30 * INT64_C(86400000), .should_retry = -1};
        fake_committed(&fake, MR_VERDICT_OK);
        mr_engine_replied(fake.engine, fake.calls[endpoint], &reply);
    }
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    CHECK_INT(fake_commit(&fake)->until_ms, 1789913900000 + INT64_C(86400000));
    fake_deinit(&fake);
}

static void calls_that_cost_nothing_use_up_no_attempts(void)
{
    come_home("{\"hard\":{\"attempts\":40,\"paid\":4}}");
    answer(503);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_NONE);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_pass(&fake, 30000);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_lost_reply(&fake, MR_TRANSPORT_AMBIGUOUS); /* the fifth that may have */
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_AMBIGUOUS);
    fake_deinit(&fake);
    come_home("{\"hard\":{\"attempts\":40,\"paid\":5}}");
    CHECK_INT(fake.ncalls, 0);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    fake_deinit(&fake);
}

TEST_MAIN(TEST(an_outage_parks_the_job), TEST(the_longer_it_lasts_the_longer_the_waits),
    TEST(patience_ends), TEST(no_wait_goes_beyond_the_patience),
    TEST(calls_that_cost_nothing_use_up_no_attempts))
