/* Steps that wait for a share of the fleet's limits. */
#include "tests/unit/engine/fake.h"

static struct fake fake;
static struct mr_lease *lease; /* out */
static size_t leases;

static void on_lease(void *ctx, struct mr_lease *asked)
{
    CHECK(!lease);
    lease = asked;
    leases++;
}

static void start(void)
{
    fake_init(&fake, "");
    fake.engine->world.store.lease = on_lease;
    lease = NULL;
}

static void deliver(int n)
{
    fake_deliver(&fake, n, 10 + (uint64_t)n, "hard", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
}

static const struct mr_lease_row *row_of(const char *scope)
{
    CHECK(lease);
    for (size_t i = 0; i < lease->count; i++)
        if (strcmp(lease->rows[i].scope, scope) == 0)
            return &lease->rows[i];
    return NULL;
}

/* The database says: so many requests of the model, of which this worker may have so many a minute;
 * of the tenant it knows nothing. */
static void grant(int64_t requests, int64_t share)
{
    CHECK(lease);
    for (size_t i = 0; i < lease->count; i++) {
        struct mr_lease_row *row = &lease->rows[i];
        bool model = strncmp(row->scope, "model:", 6) == 0;
        row->requests = model ? requests : MR_LEASE_NONE;
        row->rpm_share = model ? share : MR_LEASE_NONE;
        row->tokens = row->tpm_share = row->slots = MR_LEASE_NONE;
        row->more_ms = row->paused_ms = 0;
    }
    struct mr_lease *answer = lease;
    lease = NULL;
    mr_engine_leased(fake.engine, answer);
}

static void a_call_waits_for_its_share(void)
{
    start();
    deliver(1);
    CHECK_INT(fake.ncommits, 0);
    fake_pass(&fake, 0);
    const struct mr_lease_row *model = row_of("model:p/p/m-1");
    CHECK(model && row_of("tenant:t"));
    CHECK_INT(model->want_requests, 1);
    CHECK_INT(model->waiting, 1);
    CHECK(model->head_tokens > 1024); /* max_tokens, and its prompt */
    grant(1, 60);
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncalls, 1);
    fake_replied(&fake, 200, fake_good_body);
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_DONE);
    fake_deinit(&fake);
}

static void without_limits_it_asks_once(void)
{
    start();
    deliver(1);
    fake_pass(&fake, 0);
    grant(MR_LEASE_NONE, MR_LEASE_NONE);
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    for (int n = 2; n < 20; n++) {
        deliver(n);
        CHECK_INT(fake_commit(&fake)->nbegins, 1);
        fake_pass(&fake, 100);
    }
    CHECK_INT(leases, 1);
    fake_deinit(&fake);
}

static void what_is_not_admitted_gives_its_share_back(void)
{
    start();
    deliver(1);
    fake_pass(&fake, 0);
    grant(1, 60);
    deliver(2); /* nothing is left for it */
    CHECK_INT(fake.ncommits, 1);
    struct mr_call_row *begin = fake_admission(&fake, MR_ADMIT_CAPPED);
    begin->wait_ms = 5000;
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.ncommits, 2); /* the second has it at once */
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    fake_deinit(&fake);
}

static void who_has_to_wait_long_leaves_its_slot(void)
{
    start();
    deliver(1);
    fake_pass(&fake, 0);
    grant(1, 1); /* one a minute */
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    deliver(2);
    const struct mr_commit *commit = fake_commit(&fake);
    CHECK_INT(commit->move, MR_MOVE_WAITING);
    CHECK_INT(commit->error.class, MR_CLASS_LIMITED);
    CHECK_STR(commit->error.msg, "limit of model:p/p/m-1: its turn comes in about 60 s");
    CHECK_STR(commit->error_step, "hard");
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(fake.published[0]->kind, MR_PUBLISH_DELAY);
    CHECK_INT(fake.published[0]->delay_ms, 60000);
    fake_published(&fake, true);
    CHECK_INT(mr_limits_waiting(fake.engine->limits), 0);
    fake_deinit(&fake);
}

static void a_cancelled_job_leaves_the_line(void)
{
    start();
    fake_deliver(&fake, 1, 10, "hard", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_pass(&fake, 0);
    CHECK_INT(mr_limits_waiting(fake.engine->limits), 1);
    mr_engine_drain(fake.engine, 1000); /* it is for another worker now */
    CHECK_INT(fake_commit(&fake)->move, MR_MOVE_WAITING);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_published(&fake, true);
    CHECK_INT(mr_limits_waiting(fake.engine->limits), 0);
    grant(1, 60);
    CHECK(mr_engine_idle(fake.engine));
    fake_deinit(&fake);
}

static void a_refusal_is_told_at_once(void)
{
    start();
    deliver(1);
    fake_pass(&fake, 0);
    grant(MR_LEASE_NONE, MR_LEASE_NONE);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 429, "{\"error\":{\"message\":\"slow down\",\"type\":\"requests\"}}");
    fake_pass(&fake, 0);
    const struct mr_lease_row *model = row_of("model:p/p/m-1");
    CHECK_INT(model->throttled, 1);
    CHECK_INT(model->in_flight, 0);
    CHECK_INT(model->successes, 0);
    fake_deinit(&fake);
}

/* An endpoint somebody waits for is busy, though no call is there. */
static void another_endpoint_has_limits_of_its_own(void)
{
    fake_init_bare(&fake, "providers: ({ name = \"p\"; kind = \"openai\"; endpoints = (\n"
                          "    { name = \"a\"; base_url = \"http://127.0.0.1:1/v1\"; },\n"
                          "    { name = \"b\"; base_url = \"http://127.0.0.1:2/v1\"; }); });\n"
                          "models: ({ alias = \"m\"; provider = \"p\"; model = \"m-1\"; });\n");
    fake.engine->world.store.lease = on_lease;
    lease = NULL;
    for (int n = 1; n <= 4; n++)
        deliver(n);
    fake_pass(&fake, 0);
    CHECK_INT(row_of("model:p/a/m-1")->waiting, 2);
    CHECK_INT(row_of("model:p/b/m-1")->waiting, 2);
    fake_deinit(&fake);
}

static void the_local_provider_has_no_limits(void)
{
    fake_init_bare(
        &fake, "models: ({ alias = \"m\"; provider = \"local\"; model = \"summary\"; });\n");
    fake.engine->world.store.lease = on_lease;
    lease = NULL;
    deliver(1);
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    fake_pass(&fake, 0);
    CHECK(!lease);
    fake_deinit(&fake);
}

TEST_MAIN(TEST(a_call_waits_for_its_share), TEST(without_limits_it_asks_once),
    TEST(what_is_not_admitted_gives_its_share_back), TEST(who_has_to_wait_long_leaves_its_slot),
    TEST(a_cancelled_job_leaves_the_line), TEST(a_refusal_is_told_at_once),
    TEST(another_endpoint_has_limits_of_its_own), TEST(the_local_provider_has_no_limits))
