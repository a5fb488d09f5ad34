#include "tests/unit/engine/fake.h"

static struct fake fake;

static int64_t hold;      /* of the call that was begun, */
static struct mr_uuid id; /* and its id */

static void run_to_call(const char *pipeline)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, pipeline, "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    hold = fake_commit(&fake)->begins[0]->hold_pico;
    id = fake_commit(&fake)->begins[0]->id;
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 1);
}

static void a_bad_document_ends_the_job(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "doc", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_extracted(&fake, NULL);
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->move, MR_MOVE_DEAD);
    CHECK_STR(commit->error_step, "extract");
    CHECK_INT(commit->steps[0]->state, MR_STEP_FAILED);
    fake_deinit(&fake);
}

static void a_throttled_call_costs_nothing_and_is_tried_again(void)
{
    run_to_call("soft");
    fake_replied(&fake, 429, "{}");
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->settles[0]->state, MR_CALL_RELEASED);
    CHECK_INT(commit->settles[0]->cost_pico, 0);
    CHECK_INT(commit->settles[0]->class, MR_CLASS_RATE_LIMITED);
    CHECK_INT(commit->move, MR_MOVE_NONE);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_pass(&fake, 900);
    CHECK_INT(fake.ncommits, 2);
    fake_pass(&fake, 400); /* one second and at most a quarter */
    CHECK_INT(fake.ncommits, 3);
    CHECK_INT(fake_commit(&fake)->begins[0]->attempt, 2);
    fake_deinit(&fake);
}

static void a_lost_answer_counts_at_its_hold(void)
{
    run_to_call("soft");
    fake_lost_reply(&fake, MR_TRANSPORT_AMBIGUOUS);
    CHECK_INT(fake_commit(&fake)->settles[0]->state, MR_CALL_AMBIGUOUS);
    CHECK_INT(fake_commit(&fake)->settles[0]->cost_pico, hold);
    fake_deinit(&fake);
}

static void a_request_that_never_left_is_released(void)
{
    run_to_call("soft");
    fake_lost_reply(&fake, MR_TRANSPORT_NOT_SENT);
    CHECK_INT(fake_commit(&fake)->settles[0]->state, MR_CALL_RELEASED);
    CHECK_INT(fake_commit(&fake)->settles[0]->class, MR_CLASS_NETWORK);
    fake_deinit(&fake);
}

static void a_step_may_be_skipped(void)
{
    run_to_call("soft");
    fake_replied(&fake, 400, "{\"error\":{\"message\":\"no such model\"}}");
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->steps[0]->state, MR_STEP_SKIPPED);
    CHECK_INT(commit->steps[0]->class, MR_CLASS_INVALID);
    CHECK_INT(commit->move, MR_MOVE_DONE);
    fake_deinit(&fake);
}

static void an_empty_answer_is_paid_and_tried_once_more(void)
{
    static const char empty[] =
        "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"content\":\"  \"}}],"
        "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":1}}";
    run_to_call("soft");
    fake_replied(&fake, 200, empty);
    CHECK_INT(fake_commit(&fake)->settles[0]->cost_pico, 32);
    CHECK_INT(fake_commit(&fake)->settles[0]->class, MR_CLASS_BAD_OUTPUT);
    CHECK_INT(fake_commit(&fake)->nbegins, 1); /* at once: waiting would not help */
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 2);
    fake_replied(&fake, 200, empty);
    CHECK_INT(fake_commit(&fake)->steps[0]->state, MR_STEP_SKIPPED);
    fake_deinit(&fake);
}

static void a_long_wait_leaves_the_worker(void)
{
    run_to_call("soft");
    struct mr_reply reply = {.status = 429, .retry_after_ms = 300000, .should_retry = -1};
    mr_engine_replied(fake.engine, fake.calls[0], &reply);
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->nsettles, 1);
    CHECK_INT(commit->move, MR_MOVE_WAITING);
    CHECK_INT(commit->until_ms, INT64_C(1790000000000) + 300000);
    fake_deinit(&fake);
}

static void a_step_may_degrade(void)
{
    run_to_call("mild");
    fake_replied(&fake, 400, "{}");
    struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->settles[0]->state, MR_CALL_RELEASED);
    CHECK_INT(commit->nbegins, 1);
    CHECK_STR(commit->begins[0]->provider, "local");
    CHECK_STR(commit->begins[0]->model, "summary");
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 2);
    CHECK_INT(fake.requests[1]->endpoint->provider->kind, MR_PROVIDER_LOCAL);
    struct mr_reply reply = {
        .transport = MR_TRANSPORT_LOCAL, .local = json_pack("{s:s}", "text", "well")};
    mr_engine_replied(fake.engine, fake.calls[1], &reply);
    commit = fake_commit(&fake);
    CHECK_INT(commit->move, MR_MOVE_DONE);
    CHECK_INT(commit->steps[0]->state, MR_STEP_DONE);
    CHECK(commit->steps[0]->degraded);
    fake_deinit(&fake);
}

/* Whether the last of its calls failed here, or with a worker that died of something else. */
static void a_used_up_budget_degrades_it_too(void)
{
    fake_init(&fake, "");
    fake_deliver(&fake, 1, 10, "mild", "");
    fake_claimed(&fake, MR_VERDICT_RUN, "{\"mild\":{\"attempts\":50,\"paid\":50}}");
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    CHECK_STR(fake_commit(&fake)->begins[0]->provider, "local");
    fake_deinit(&fake);
}

static void a_degraded_step_may_fail_too(void)
{
    run_to_call("mild");
    fake_replied(&fake, 400, "{}");
    fake_committed(&fake, MR_VERDICT_OK);
    struct mr_reply reply = {.transport = MR_TRANSPORT_LOCAL};
    (void)!mr_err_set(&reply.local_err, 0, MR_CLASS_INVALID, "no such task");
    mr_engine_replied(fake.engine, fake.calls[1], &reply);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_STR(fake_commit(&fake)->error.msg, "no such task");
    fake_deinit(&fake);
}

static void every_request_names_its_call(void)
{
    char want[80], text[MR_UUID_LEN];
    run_to_call("soft");
    mr_uuid_format(&id, text);
    snprintf(want, sizeof(want), "X-Client-Request-Id: %s", text);
    bool found = false;
    for (size_t i = 0; fake.requests[0]->headers[i]; i++)
        found |= strcmp(fake.requests[0]->headers[i], want) == 0;
    CHECK(found);
    fake_deinit(&fake);
}

TEST_MAIN(TEST(a_bad_document_ends_the_job),
    TEST(a_throttled_call_costs_nothing_and_is_tried_again), TEST(a_lost_answer_counts_at_its_hold),
    TEST(a_request_that_never_left_is_released), TEST(a_step_may_be_skipped),
    TEST(a_step_may_degrade), TEST(a_used_up_budget_degrades_it_too),
    TEST(a_degraded_step_may_fail_too), TEST(an_empty_answer_is_paid_and_tried_once_more),
    TEST(a_long_wait_leaves_the_worker), TEST(every_request_names_its_call))
