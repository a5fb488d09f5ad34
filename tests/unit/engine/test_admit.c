#include "tests/unit/engine/fake.h"

static struct fake fake;

#define WALL INT64_C(1790000000000)

static void begin(const char *pipeline)
{
    fake_init(&fake, "");
    for (size_t i = 0; i < fake.config->npipelines; i++)
        fake.config->pipelines[i].steps[0].cache_ttl_ms = 3600000;
    fake_deliver(&fake, 1, 10, pipeline, "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
}

static void cap(enum mr_on_cap on_cap, int64_t wait_ms)
{
    struct mr_call_row *row = fake_admission(&fake, MR_ADMIT_CAPPED);
    row->on_cap = on_cap;
    row->wait_ms = wait_ms;
    snprintf(row->refusal, sizeof(row->refusal), "the day's cap of $1.00 is reached");
    fake_committed(&fake, MR_VERDICT_OK);
}

static void a_capped_job_parks_with_its_reason(void)
{
    begin("soft");
    cap(MR_ON_CAP_PARK, 5 * 3600 * 1000);
    CHECK_INT(fake.ncalls, 0);
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->move, MR_MOVE_WAITING);
    CHECK_INT(commit->nsettles, 0); /* nothing was written, so nothing is released */
    CHECK_INT(commit->error.class, MR_CLASS_CAPPED);
    CHECK_STR(commit->error.msg, "the day's cap of $1.00 is reached");
    CHECK_STR(commit->error_step, "soft");
    CHECK(commit->until_ms > WALL + 30000 && commit->until_ms <= WALL + 37502);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.published[0]->kind, MR_PUBLISH_DELAY);
    fake_deinit(&fake);
}

/* What the tenant's calls that are out do not use comes back. */
static void holds_of_calls_that_are_out_are_waited_for_here(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 1);
    fake_deliver(&fake, 2, 11, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    int ncommits = fake.ncommits;
    for (int i = 0; i < 5; i++) {
        cap(MR_ON_CAP_PARK, 3600 * 1000);
        CHECK_INT(fake.ncommits, ncommits); /* it does not leave */
        fake_pass(&fake, 2500);
        CHECK_INT(fake.ncommits, ++ncommits); /* and asks again */
        CHECK_INT(fake_commit(&fake)->nbegins, 1);
    }
    cap(MR_ON_CAP_PARK, 3600 * 1000);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    fake_deinit(&fake);
}

static void refuse(struct mr_call_row *row, int64_t wait_ms)
{
    row->admission = MR_ADMIT_CAPPED;
    row->on_cap = MR_ON_CAP_PARK;
    row->wait_ms = wait_ms;
}

/* Asking in turns, they would never leave the worker: one of them always has little left to wait.
 */
static void two_steps_that_wait_long_leave_together(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "pair", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake_commit(&fake)->nbegins, 2);
    refuse(fake_commit(&fake)->begins[0], 3600 * 1000);
    refuse(fake_commit(&fake)->begins[1], 20 * 1000);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncommits, 1); /* one of them asks again soon */
    fake_pass(&fake, 25 * 1000);
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    refuse(fake_commit(&fake)->begins[0], 3600 * 1000);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_CAPPED);
    CHECK(fake_commit(&fake)->until_ms > WALL + 25000 && /* until the first of them is due */
          fake_commit(&fake)->until_ms <= WALL + 37502);
    fake_deinit(&fake);
}

static void room_that_comes_soon_is_waited_for_here(void)
{
    begin("soft");
    cap(MR_ON_CAP_PARK, 0);
    CHECK_INT(fake.ncommits, 1);
    fake_pass(&fake, 999);
    CHECK_INT(fake.ncommits, 1);
    fake_pass(&fake, 300);
    CHECK_INT(fake.ncommits, 2);
    CHECK_INT(fake_commit(&fake)->begins[0]->attempt, 1); /* that was no attempt */
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 1);
    fake_deinit(&fake);
}

/* Other workers may have calls of the tenant out, whose holds come back. */
static void cap_until_it_gives_up(enum mr_on_cap on_cap)
{
    for (int i = 0; i < 2; i++) {
        int ncommits = fake.ncommits;
        cap(on_cap, 0);
        CHECK_INT(fake.ncommits, ncommits);
        fake_pass(&fake, 2500);
        CHECK_INT(fake.ncommits, ncommits + 1);
    }
    cap(on_cap, 0);
}

static void a_capped_job_dies_where_the_tenant_wants_it(void)
{
    begin("soft"); /* and although the step might be skipped */
    cap_until_it_gives_up(MR_ON_CAP_DEAD);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_CAPPED);
    CHECK_INT(fake_commit(&fake)->steps[0]->attempts, 0);
    fake_deinit(&fake);
}

static void what_can_never_fit_does_not_park(void)
{
    begin("soft");
    fake_admission(&fake, MR_ADMIT_CAPPED)->hopeless = true;
    cap(MR_ON_CAP_PARK, 0);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    fake_deinit(&fake);
}

static void a_capped_step_degrades_if_it_has_a_task(void)
{
    begin("mild");
    cap_until_it_gives_up(MR_ON_CAP_DEGRADE);
    CHECK_STR(fake_commit(&fake)->begins[0]->provider, "local");
    fake_deinit(&fake);
    begin("soft");
    cap_until_it_gives_up(MR_ON_CAP_DEGRADE);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_CAPPED);
    fake_deinit(&fake);
}

static void answer_from_cache(const char *text)
{
    struct mr_call_row *row = fake_admission(&fake, MR_ADMIT_HIT);
    row->hit = calloc(1, sizeof(*row->hit));
    row->hit->text = strdup(text);
    row->hit->len = strlen(text);
    fake_committed(&fake, MR_VERDICT_OK);
}

static void a_hit_is_an_answer_without_a_call(void)
{
    begin("soft");
    CHECK_INT(fake_commit(&fake)->begins[0]->cache_ttl_ms, 3600000);
    answer_from_cache("as before");
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(fake.ncalls, 0);
    CHECK_INT(commit->nsettles, 0);
    CHECK_INT(commit->nsteps, 1);
    CHECK_INT(commit->steps[0]->attempts, 0);
    CHECK_STR(json_string_value(json_object_get(commit->steps[0]->output, "text")), "as before");
    CHECK_INT(commit->move, MR_MOVE_DONE);
    fake_deinit(&fake);
}

static void a_hit_that_is_no_good_is_not_asked_for_again(void)
{
    begin("soft");
    answer_from_cache("");
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    CHECK_INT(fake_commit(&fake)->begins[0]->cache_ttl_ms, 0);
    CHECK_INT(fake_commit(&fake)->begins[0]->attempt, 1);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 200, fake_good_body);
    CHECK(!fake_commit(&fake)->settles[0]->cache_text);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DONE);
    fake_deinit(&fake);
}

static void a_good_answer_is_shared(void)
{
    begin("soft");
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 200, fake_good_body);
    CHECK_STR(fake_commit(&fake)->settles[0]->cache_text, "fine");
    CHECK_INT(fake_commit(&fake)->settles[0]->cache_len, 4);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK(mr_engine_idle(fake.engine));
    fake_deinit(&fake);
}

static void a_bad_answer_is_not_shared(void)
{
    begin("soft");
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 429, "{}");
    CHECK(!fake_commit(&fake)->settles[0]->cache_text);
    fake_deinit(&fake);
}

static void equal_calls_have_equal_keys(void)
{
    unsigned char key[32];
    begin("soft");
    memcpy(key, fake_commit(&fake)->begins[0]->cache_key, sizeof(key));
    fake_deliver(&fake, 2, 11, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK(memcmp(key, fake_commit(&fake)->begins[0]->cache_key, sizeof(key)) == 0);
    fake_deliver(&fake, 3, 12, "doc", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_extracted(&fake, "Some text.");
    CHECK(memcmp(key, fake_commit(&fake)->begins[0]->cache_key, sizeof(key)) != 0);
    fake_deinit(&fake);
}

static void an_equal_call_is_waited_for_longer_and_longer(void)
{
    static const int64_t waits[] = {250, 500, 1000, 2000, 2000};
    begin("soft");
    for (size_t i = 0; i < 5; i++) {
        fake_admission(&fake, MR_ADMIT_WAIT);
        fake_committed(&fake, MR_VERDICT_OK);
        CHECK_INT(fake.ncommits, i + 1);
        fake_pass(&fake, waits[i] - 1);
        CHECK_INT(fake.ncommits, i + 1);
        fake_pass(&fake, waits[i] / 4 + 1);
        CHECK_INT(fake.ncommits, i + 2);
    }
    CHECK_INT(fake_commit(&fake)->begins[0]->attempt, 1);
    answer_from_cache("from the other");
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DONE);
    fake_deinit(&fake);
}

static void a_refusal_keeps_no_result_from_being_written(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_extracted(&fake, "The text.");
    CHECK_INT(fake_commit(&fake)->nsteps, 1);
    cap(MR_ON_CAP_PARK, 60000);
    CHECK_INT(fake_commit(&fake)->nsteps, 0); /* not again */
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    fake_deinit(&fake);
}

/* Each pool knows of its own back-off only: at once, they would hand the job to and fro for ever.
 */
static void a_job_that_waits_here_does_not_rush_elsewhere(void)
{
    begin("split");
    cap(MR_ON_CAP_PARK, 20000);
    CHECK_INT(fake.ncommits, 1); /* a short wait is spent here */
    fake_deinit(&fake);
    begin("split");
    cap(MR_ON_CAP_PARK, 600000);
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->move, MR_MOVE_WAITING);
    CHECK_STR(commit->pool, "gpu");
    CHECK_INT(commit->until_ms, WALL + 30000);
    CHECK_INT(commit->error.class, MR_CLASS_CAPPED);
    fake_deinit(&fake);
}

static void a_drain_does_not_ask_again(void)
{
    begin("soft");
    mr_engine_drain(fake.engine, 1000);
    cap(MR_ON_CAP_PARK, 60000);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_NONE); /* it changes hands */
    CHECK_INT(fake_commit(&fake)->until_ms, 0);
    fake_deinit(&fake);
}

static void alerts_are_told(void)
{
    begin("soft");
    struct mr_commit *commit = fake_commit(&fake);
    commit->alerts[0] = (struct mr_cap_alert){.reached = false, .month = true};
    commit->alerts[1] = (struct mr_cap_alert){.reached = true};
    commit->nalerts = 2;
    cap(MR_ON_CAP_PARK, 60000);
    CHECK_INT(fake.nevents, 2);
    CHECK_STR(fake.events[0], "cap.warning");
    CHECK_STR(fake.events[1], "cap.reached");
    CHECK(strstr(fake.news, "\"event\":\"cap.reached\",\"tenant\":\"t\",\"period\":\"day\""));
    fake_deinit(&fake);
}

TEST_MAIN(TEST(a_capped_job_parks_with_its_reason), TEST(room_that_comes_soon_is_waited_for_here),
    TEST(holds_of_calls_that_are_out_are_waited_for_here),
    TEST(two_steps_that_wait_long_leave_together),
    TEST(a_capped_job_dies_where_the_tenant_wants_it), TEST(what_can_never_fit_does_not_park),
    TEST(a_capped_step_degrades_if_it_has_a_task), TEST(a_hit_is_an_answer_without_a_call),
    TEST(a_hit_that_is_no_good_is_not_asked_for_again), TEST(a_good_answer_is_shared),
    TEST(a_bad_answer_is_not_shared), TEST(equal_calls_have_equal_keys),
    TEST(an_equal_call_is_waited_for_longer_and_longer),
    TEST(a_refusal_keeps_no_result_from_being_written),
    TEST(a_job_that_waits_here_does_not_rush_elsewhere), TEST(a_drain_does_not_ask_again),
    TEST(alerts_are_told))
