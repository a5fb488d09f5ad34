#include "tests/unit/engine/routes.h"

static void an_endpoint_is_named(void)
{
    start("hard", false);
    CHECK_STR(begun()->endpoint, "a");
    CHECK_STR(begun()->route, "");
    fake_deinit(&fake);
}

static void calls_are_spread_by_weight(void)
{
    start("hard", false);
    struct mr_provider *provider = fake.config->providers;
    while (strcmp(provider->name, "p") != 0)
        provider++;
    provider->endpoints[1].weight = 3;
    size_t at_b = 0;
    for (int n = 2; n <= 8; n++) {
        fake_deliver(&fake, n, 10 + (uint64_t)n, "hard", "");
        fake_claimed(&fake, MR_VERDICT_RUN, NULL);
        at_b += strcmp(begun()->endpoint, "b") == 0;
    }
    CHECK_INT(at_b, 6); /* of eight calls in flight; the first one went to a */
    fake_deinit(&fake);
}

static void the_own_region_comes_first(void)
{
    start("hard", false);
    struct mr_provider *provider = fake.config->providers;
    while (strcmp(provider->name, "p") != 0)
        provider++;
    provider->endpoints[1].region = strdup("eu");
    fake.config->worker.region = strdup("eu");
    for (int n = 2; n <= 5; n++) {
        fake_deliver(&fake, n, 10 + (uint64_t)n, "hard", "");
        fake_claimed(&fake, MR_VERDICT_RUN, NULL);
        CHECK_STR(begun()->endpoint, "b");
    }
    fake_deinit(&fake);
}

static void an_overloaded_endpoint_is_left_after_its_tries(void)
{
    start("hard", true);
    use_up(503, 4);
    CHECK_STR(begun()->endpoint, "b"); /* at once, in the same commit as the settle */
    CHECK_INT(fake_commit(&fake)->nsettles, 1);
    use_up(503, 4);
    CHECK_STR(begun()->provider, "q");
    CHECK_STR(begun()->alias, "m");
    CHECK_STR(begun()->route, "fallback 1: p/m-1 overloaded");
    answer(200);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DONE);
    CHECK(!fake_commit(&fake)->steps[0]->degraded);
    fake_deinit(&fake);
}

static void who_does_not_answer_is_left_first(void)
{
    start("hard", false);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_lost_reply(&fake, MR_TRANSPORT_NOT_SENT);
    CHECK_STR(begun()->endpoint, "b");
    fake_deinit(&fake);
}

static void a_long_wait_is_none_where_there_is_another(void)
{
    start("hard", false);
    fake_committed(&fake, MR_VERDICT_OK);
    struct mr_reply reply = {.status = 429, .retry_after_ms = 300000, .should_retry = -1};
    mr_engine_replied(fake.engine, fake.calls[0], &reply);
    CHECK_STR(begun()->endpoint, "b");
    fake_deinit(&fake);
}

/* x-should-retry: false on its failures. */
static void say_never(int status)
{
    struct mr_reply reply = {.status = status, .retry_after_ms = -1, .should_retry = 0};
    fake_committed(&fake, MR_VERDICT_OK);
    mr_engine_replied(fake.engine, fake.calls[fake.ncalls - 1], &reply);
}

static void who_says_not_to_try_again_is_left_at_once(void)
{
    start("hard", true);
    say_never(500);
    CHECK_STR(begun()->endpoint, "b");
    say_never(503);
    CHECK_STR(begun()->route, "fallback 1: p/m-1 overloaded");
    say_never(500); /* still an outage: it parks */
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_SERVER);
    CHECK_INT(fake.ncalls, 3);
    fake_deinit(&fake);
}

static void a_gateway_that_gave_up_may_have_cost_money(void)
{
    start("hard", true);
    int64_t hold = begun()->hold_pico;
    answer(504);
    CHECK_INT(fake_commit(&fake)->nsettles, 1);
    CHECK_INT(fake_commit(&fake)->settles[0]->class, MR_CLASS_SERVER);
    CHECK_INT(fake_commit(&fake)->settles[0]->state, MR_CALL_AMBIGUOUS);
    CHECK(hold > 0 && fake_commit(&fake)->settles[0]->cost_pico == hold);
    fake_deinit(&fake);
    come_home("{\"hard\":{\"attempts\":9,\"paid\":4}}");
    answer(504);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    fake_deinit(&fake);
}

static void a_bad_credential_is_left_and_told(void)
{
    start("hard", true);
    answer(401);
    CHECK_INT(fake.nnotes, 1);
    CHECK_INT(fake.notes[0].state, MR_BREAKER_OPEN);
    CHECK_STR(fake.notes[0].provider, "p");
    CHECK_STR(fake.notes[0].endpoint, "a");
    CHECK_INT(fake.notes[0].until_ms, WALL + 60000);
    CHECK_STR(begun()->endpoint, "b");
    answer(401);
    CHECK_STR(begun()->provider, "q");
    answer(401); /* everybody has answered, and nobody will do better later */
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_AUTH);
    fake_deinit(&fake);
}

static const char empty[] =
    "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"content\":\"  \"}}],"
    "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":1}}";
static const char refusal[] =
    "{\"choices\":[{\"finish_reason\":\"content_filter\",\"message\":{\"content\":\"\"}}],"
    "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":1}}";

static void say(const char *body)
{
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 200, body);
}

static void a_bad_answer_gets_one_more_try_then_the_next_model(void)
{
    start("hard", true);
    say(empty);
    CHECK_STR(begun()->provider, "p");
    say(empty);
    CHECK_STR(begun()->provider, "q"); /* not the other endpoint: the model is the same there */
    CHECK_STR(begun()->route, "fallback 1: p/m-1 bad_output");
    say(empty);
    say(empty);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_BAD_OUTPUT);
    fake_deinit(&fake);
}

static void a_refusal_is_taken_to_one_other_model(void)
{
    start("hard", true);
    say(refusal);
    CHECK_STR(begun()->route, "fallback 1: p/m-1 refused");
    say(refusal);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DEAD);
    CHECK_INT(fake_commit(&fake)->error.class, MR_CLASS_REFUSED);
    fake_deinit(&fake);
}

static void a_rule_chooses_the_model(void)
{
    init("choose = ({ when = \"metadata.small\"; use = \"n\"; });");
    fake_deliver(&fake, 1, 10, "hard", ",\"metadata\":{\"small\":true}");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_STR(begun()->provider, "q");
    CHECK_STR(begun()->alias, "m");
    CHECK_STR(begun()->route, "rule: metadata.small");
    fake_deliver(&fake, 2, 11, "hard", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_STR(begun()->provider, "p");
    CHECK_STR(begun()->route, "");
    fake_deinit(&fake);
    init("choose = ({ when = \"prompt_bytes < 11\"; use = \"n\"; });"); /* "Some text." is 10 */
    fake_deliver(&fake, 1, 10, "hard", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_STR(begun()->provider, "q");
    fake_deinit(&fake);
}

static void the_last_link_may_be_local(void)
{
    init("fallback = [\"n\"];"); /* "local" asks for a task in every pipeline that may come to it */
    const struct mr_model *local = NULL;
    struct mr_model *m = fake.config->models;
    for (size_t i = 0; i < fake.config->nmodels; i++)
        if (strcmp(fake.config->models[i].alias, "local") == 0)
            local = &fake.config->models[i];
    while (strcmp(m->alias, "m") != 0)
        m++;
    m->fallback[0] = local;
    fake_deliver(&fake, 1, 10, "hard", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    answer(401);
    answer(401);
    CHECK_STR(begun()->provider, "local");
    CHECK_STR(begun()->route, "fallback 1: p/m-1 auth");
    fake_committed(&fake, MR_VERDICT_OK);
    struct mr_reply reply = {
        .transport = MR_TRANSPORT_LOCAL, .local = json_pack("{s:s}", "text", "well")};
    mr_engine_replied(fake.engine, fake.calls[fake.ncalls - 1], &reply);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DONE);
    CHECK(fake_commit(&fake)->steps[0]->degraded);
    fake_deinit(&fake);
}

/* Five failures on each endpoint, by other jobs. */
static void break_all(void)
{
    for (int n = 100; n < 110; n++) {
        fake_deliver(&fake, n, (uint64_t)n, "hard", "");
        fake_claimed(&fake, MR_VERDICT_RUN, NULL);
        answer(500);
    }
    CHECK_INT(fake.nnotes, 2);
}

static void closed_routes_strand_a_job(void)
{
    come_home(NULL);
    answer(200);
    break_all();
    size_t calls = fake.ncalls;
    fake_deliver(&fake, 2, 11, "hard", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake.ncalls, calls);
    const struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->move, MR_MOVE_WAITING);
    CHECK_INT(commit->error.class, MR_CLASS_UNAVAILABLE);
    CHECK(commit->until_ms >= WALL + fake.now_ms + 60000);
    fake_deliver(&fake, 3, 12, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DONE); /* skipped: that is what it wants */
    fake_deliver(&fake, 4, 13, "mild", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_STR(begun()->provider, "local");
    CHECK_STR(begun()->route, "degraded: unavailable");
    fake_deinit(&fake);
}

static void waiting_jobs_go_elsewhere_when_it_opens(void)
{
    start("hard", true);
    answer(500); /* waits two seconds for another try at a */
    fake_committed(&fake, MR_VERDICT_OK);
    size_t commits = fake.ncommits;
    for (int n = 100; fake.nnotes == 0; n++) {
        fake_deliver(&fake, n, (uint64_t)n, "hard", "");
        fake_claimed(&fake, MR_VERDICT_RUN, NULL);
        bool at_a = strcmp(begun()->endpoint, "a") == 0;
        answer(at_a ? 500 : 200);
        fake_committed(&fake, MR_VERDICT_OK);
        commits = fake.ncommits;
    }
    fake_pass(&fake, 1);
    CHECK(fake.ncommits > commits);
    CHECK_STR(begun()->endpoint, "b");
    fake_deinit(&fake);
}

static void health_is_asked_while_it_is_open(void)
{
    come_home(NULL);
    answer(200);
    break_all();
    int64_t opened = fake.now_ms;
    CHECK(mr_engine_next_tick(fake.engine) <= opened + 5000);
    fake_pass(&fake, 4999);
    CHECK_INT(fake.nprobes, 0);
    fake_pass(&fake, 1);
    CHECK_INT(fake.nprobes, 1); /* b has no health path */
    CHECK_STR(fake.probed->name, "a");
    mr_engine_probed(fake.engine, fake.probes[0], false);
    fake_pass(&fake, 5000);
    CHECK_INT(fake.nprobes, 2);
    mr_engine_probed(fake.engine, fake.probes[1], true);
    CHECK_INT(fake.notes[2].state, MR_BREAKER_HALF_OPEN);
    fake_deliver(&fake, 2, 11, "hard", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    CHECK_STR(begun()->endpoint, "a");
    fake_deinit(&fake);
}

static void a_call_that_is_taken_back_leaves_its_place(void)
{
    start("hard", false);
    CHECK_INT(fake.engine->breakers->in_flight + fake.engine->breakers->next->in_flight, 1);
    fake_committed(&fake, MR_VERDICT_STALE);
    CHECK_INT(fake.engine->breakers->in_flight + fake.engine->breakers->next->in_flight, 0);
    fake_deinit(&fake);
}

TEST_MAIN(TEST(an_endpoint_is_named), TEST(calls_are_spread_by_weight),
    TEST(the_own_region_comes_first), TEST(an_overloaded_endpoint_is_left_after_its_tries),
    TEST(who_does_not_answer_is_left_first), TEST(a_long_wait_is_none_where_there_is_another),
    TEST(who_says_not_to_try_again_is_left_at_once),
    TEST(a_gateway_that_gave_up_may_have_cost_money), TEST(a_bad_credential_is_left_and_told),
    TEST(a_bad_answer_gets_one_more_try_then_the_next_model),
    TEST(a_refusal_is_taken_to_one_other_model), TEST(a_rule_chooses_the_model),
    TEST(the_last_link_may_be_local), TEST(closed_routes_strand_a_job),
    TEST(waiting_jobs_go_elsewhere_when_it_opens), TEST(health_is_asked_while_it_is_open),
    TEST(a_call_that_is_taken_back_leaves_its_place))
