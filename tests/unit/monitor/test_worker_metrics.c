/* What happens in the engine, as it is counted. */
#include "tests/unit/engine/fake.h"
#include "worker/monitor/metrics.h"

#include <stdint.h>

static struct fake fake;
static struct mr_worker_metrics m;

#define WALL INT64_C(1790000000000)
#define CREATED ",\"created_at\":\"2026-09-21T14:13:18.500Z\"" /* WALL is 1.5 s later */
#define COST 52                                                /* of fake_good_body */

static void begin(const char *more)
{
    fake_init(&fake, more);
    CHECK_INT(mr_worker_metrics_init(&m, fake.engine->world.clock), 0);
    mr_worker_metrics_configure(&m, fake.config);
    fake.engine->world.observe = (struct mr_observe_ops){mr_worker_metrics_observe, &m};
}

static void end(void)
{
    fake_deinit(&fake);
    mr_worker_metrics_deinit(&m);
}

/* line: as it is written, without the line's end. */
static void check(const char *line)
{
    struct mr_buf out = MR_BUF_INIT(1 << 20);
    char whole[512];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    CHECK_INT(mr_metrics_write(m.metrics, &out), 0);
    if (!strstr(out.data, whole))
        fprintf(stderr, "# no %s in\n%s", line, out.data);
    CHECK(strstr(out.data, whole));
    mr_buf_deinit(&out);
}

static int64_t value(enum mr_family family)
{
    return mr_series_value(MR_AT(&m, family));
}

static void a_job_that_goes_well(void)
{
    begin("");
    check("millrace_jobs_total{pipeline=\"soft\",state=\"done\"} 0");
    check("ai_requests_total{model=\"m-1\",status=\"error\"} 0");
    fake_deliver(&fake, 1, 10, "soft", CREATED);
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    check("millrace_claims_total{verdict=\"run\"} 1");
    check("millrace_queue_age_seconds_sum{lane=\"normal\"} 1.5");
    CHECK_INT(value(MR_M_HELD), 0);
    int64_t hold = fake_commit(&fake)->begins[0]->hold_pico;
    fake_committed(&fake, MR_VERDICT_OK);
    check("millrace_holds_total{outcome=\"granted\"} 1");
    CHECK(hold > 0);
    CHECK_INT(value(MR_M_HELD), hold);
    fake_replied(&fake, 200, fake_good_body);
    /* The call has been answered; what it cost is told once SQL knows. */
    check("millrace_calls_total{provider=\"p\",model=\"m-1\",class=\"none\"} 1");
    check("ai_requests_total{model=\"m-1\",status=\"success\"} 1");
    check("ai_request_duration_seconds_count{model=\"m-1\"} 1");
    check("ai_tokens_total{type=\"input\"} 0");
    CHECK_INT(value(MR_M_HELD), hold);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(value(MR_M_HELD), 0);
    check("ai_tokens_total{type=\"input\"} 11");
    check("millrace_tokens_total{provider=\"p\",model=\"m-1\",type=\"output\"} 3");
    check("millrace_cost_dollars_total{provider=\"p\",model=\"m-1\"} 0.000000000052");
    check("millrace_tenant_cost_dollars_total{tenant=\"t\"} 0.000000000052");
    check("millrace_job_cost_dollars_sum{pipeline=\"soft\"} 0.000000000052");
    check("millrace_job_duration_seconds_sum{pipeline=\"soft\"} 1.5");
    check("millrace_steps_total{pipeline=\"soft\",step=\"soft\",state=\"done\"} 1");
    check("millrace_jobs_total{pipeline=\"soft\",state=\"done\"} 1");
    check("millrace_tenant_jobs_total{tenant=\"t\",state=\"done\"} 1");
    check("millrace_ambiguous_dollars_total{cause=\"answer_lost\"} 0");
    end();
}

static void failures(void)
{
    begin("");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_lost_reply(&fake, MR_TRANSPORT_NOT_SENT);
    check("millrace_calls_total{provider=\"p\",model=\"m-1\",class=\"network\"} 1");
    check("ai_requests_total{model=\"m-1\",status=\"error\"} 1");
    CHECK_INT(mr_series_value(MR_AT(&m, MR_M_AI_DURATION, "m-1")), 0);
    int64_t hold = fake_commit(&fake)->settles[0]->hold_pico;
    CHECK_INT(value(MR_M_HELD), hold);
    fake_committed(&fake, MR_VERDICT_OK);
    CHECK_INT(value(MR_M_HELD), 0);
    fake_pass(&fake, 1000);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_lost_reply(&fake, MR_TRANSPORT_AMBIGUOUS);
    fake_committed(&fake, MR_VERDICT_OK);
    check("millrace_calls_total{provider=\"p\",model=\"m-1\",class=\"ambiguous\"} 1");
    CHECK_INT(mr_series_value(MR_AT(&m, MR_M_AMBIGUOUS, "answer_lost")), hold);
    check("millrace_jobs_total{pipeline=\"soft\",state=\"done\"} 0");
    end();
}

/* Under a stale lease the money is still a fact; the begin was not written, so nothing is held. */
static void a_lost_lease(void)
{
    begin("");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_STALE);
    CHECK_INT(value(MR_M_HELD), 0);
    check("millrace_holds_total{outcome=\"granted\"} 0");
    end();
    begin("");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 200, fake_good_body);
    fake_committed(&fake, MR_VERDICT_STALE);
    CHECK_INT(value(MR_M_HELD), 0);
    CHECK_INT(mr_series_value(MR_AT(&m, MR_M_COST, "p", "m-1")), COST);
    check("millrace_jobs_total{pipeline=\"soft\",state=\"done\"} 0");
    end();
}

/* What the database never takes becomes ambiguous there, and so it does here. */
static void what_cannot_be_stored(void)
{
    begin("");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    int64_t hold = fake_commit(&fake)->begins[0]->hold_pico;
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 200, fake_good_body);
    fake_committed(&fake, MR_VERDICT_REFUSED);
    CHECK_INT(value(MR_M_HELD), hold);
    fake_committed(&fake, MR_VERDICT_REFUSED);
    CHECK_INT(value(MR_M_HELD), 0);
    CHECK_INT(mr_series_value(MR_AT(&m, MR_M_AMBIGUOUS, "answer_lost")), hold);
    fake_committed(&fake, MR_VERDICT_OK);
    check("millrace_jobs_total{pipeline=\"soft\",state=\"dead\"} 1");
    check("millrace_jobs_total{pipeline=\"soft\",state=\"done\"} 0");
    check("ai_tokens_total{type=\"output\"} 0");
    end();
}

static void ask(enum mr_admission admission)
{
    begin("");
    for (size_t i = 0; i < fake.config->npipelines; i++)
        fake.config->pipelines[i].steps[0].cache_ttl_ms = 3600000;
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    struct mr_call_row *row = fake_admission(&fake, admission);
    if (admission == MR_ADMIT_HIT) {
        row->hit = calloc(1, sizeof(*row->hit));
        row->hit->text = strdup("fine");
        row->hit->len = 4;
    }
    row->wait_ms = 3600000;
    fake_committed(&fake, MR_VERDICT_OK);
}

static void caches_and_caps(void)
{
    ask(MR_ADMIT_GO);
    check("millrace_cache_requests_total{result=\"miss\"} 1");
    check("millrace_cache_requests_total{result=\"hit\"} 0");
    end();
    ask(MR_ADMIT_HIT);
    check("millrace_cache_requests_total{result=\"miss\"} 0");
    check("millrace_cache_requests_total{result=\"hit\"} 1");
    check("millrace_holds_total{outcome=\"granted\"} 0");
    end();
    ask(MR_ADMIT_WAIT);
    check("millrace_cache_requests_total{result=\"miss\"} 0");
    end();
    ask(MR_ADMIT_CAPPED);
    check("millrace_holds_total{outcome=\"refused\"} 1");
    CHECK_INT(value(MR_M_HELD), 0);
    fake_committed(&fake, MR_VERDICT_OK);
    check("millrace_jobs_delayed_total{class=\"capped\"} 1");
    end();
}

static void cap_alerts(void)
{
    begin("");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    struct mr_commit *commit = fake_commit(&fake);
    commit->alerts[0] = (struct mr_cap_alert){.month = true};
    commit->alerts[1] = (struct mr_cap_alert){.reached = true};
    commit->nalerts = 2;
    fake_committed(&fake, MR_VERDICT_OK);
    check("millrace_cap_alert_timestamp_seconds{tenant=\"t\",period=\"month\",level=\"warning\"} "
          "1790000000");
    check("millrace_cap_alert_timestamp_seconds{tenant=\"t\",period=\"day\",level=\"reached\"} "
          "1790000000");
    end();
}

static void other_ends(void)
{
    begin("");
    fake_deliver_body(&fake, 1, "no job");
    mr_engine_rejected(fake.engine, fake.rejects[0]);
    check("millrace_messages_rejected_total 1");
    fake_deliver(&fake, 2, 2, "hard", "");
    fake_claimed(&fake, MR_VERDICT_CANCELLED, NULL);
    check("millrace_jobs_total{pipeline=\"hard\",state=\"cancelled\"} 1");
    fake_deliver(&fake, 3, 3, "hard", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, 400, "{\"error\":{\"message\":\"no\"}}");
    fake_committed(&fake, MR_VERDICT_OK);
    check("millrace_calls_total{provider=\"p\",model=\"m-1\",class=\"invalid\"} 1");
    check("millrace_steps_total{pipeline=\"hard\",step=\"hard\",state=\"failed\"} 1");
    check("millrace_jobs_total{pipeline=\"hard\",state=\"dead\"} 1");
    fake_deliver(&fake, 4, 4, "far", ""); /* for another pool */
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    fake_committed(&fake, MR_VERDICT_OK);
    check("millrace_jobs_delayed_total{class=\"none\"} 1");
    end();
}

static void what_a_dead_worker_may_have_spent(void)
{
    begin("");
    fake_deliver(&fake, 1, 10, "soft", "");
    fake.claims[0]->lost_pico = 700;
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    check("millrace_ambiguous_dollars_total{cause=\"worker_lost\"} 0.0000000007");
    mr_observe(&fake.engine->world.observe, &(struct mr_observation){.what = MR_OBSERVED_BATCH,
                                                .batch = {"sweep", 1, 900, false, 300}});
    check("millrace_ambiguous_dollars_total{cause=\"worker_lost\"} 0.000000001");
    end();
}

static void services(void)
{
    begin("");
    const struct mr_observe_ops *ops = &fake.engine->world.observe;
    mr_observe(ops, &(struct mr_observation){
                        .what = MR_OBSERVED_BATCH, .batch = {"commit", 20, 1234, false, 0}});
    mr_observe(ops, &(struct mr_observation){
                        .what = MR_OBSERVED_BATCH, .batch = {"commit", 10, 2000, true, 0}});
    check("millrace_database_batch_items_bucket{kind=\"commit\",le=\"10\"} 1");
    check("millrace_database_batch_items_bucket{kind=\"commit\",le=\"20\"} 2");
    check("millrace_database_transaction_seconds_sum{kind=\"commit\"} 0.003234");
    check("millrace_database_failures_total{kind=\"commit\"} 1");
    mr_observe(ops, &(struct mr_observation){
                        .what = MR_OBSERVED_PUBLISH, .publish = {MR_PUBLISH_EVENT, true, -1, 7}});
    mr_observe(ops, &(struct mr_observation){
                        .what = MR_OBSERVED_PUBLISH, .publish = {MR_PUBLISH_DEAD, true, 1500, 1}});
    mr_observe(ops, &(struct mr_observation){
                        .what = MR_OBSERVED_PUBLISH, .publish = {MR_PUBLISH_HOME, false, -1, 1}});
    check("millrace_published_total{kind=\"event\"} 7");
    check("millrace_published_total{kind=\"dead\"} 1");
    check("millrace_publish_confirm_seconds_sum{kind=\"dead\"} 0.0015");
    check("millrace_publish_refused_total{kind=\"home\"} 1");
    end();
}

/* The same tenants have a name in every family. */
static void tenants_are_few(void)
{
    begin("worker: { metrics_tenants = 2; };");
    for (int i = 0; i < 10; i++) {
        struct mr_envelope job = {.pipeline = "soft"};
        struct mr_observation what = {.what = MR_OBSERVED_END, .job = &job};
        snprintf(job.tenant, sizeof(job.tenant), "t%d", i % 5);
        what.end.move = i < 5 ? MR_MOVE_DONE : MR_MOVE_DEAD;
        mr_observe(&fake.engine->world.observe, &what);
    }
    check("millrace_tenant_jobs_total{tenant=\"t0\",state=\"dead\"} 1");
    check("millrace_tenant_jobs_total{tenant=\"t1\",state=\"done\"} 1");
    check("millrace_tenant_jobs_total{tenant=\"other\",state=\"done\"} 3");
    check("millrace_tenant_jobs_total{tenant=\"other\",state=\"dead\"} 3");
    CHECK_STR(mr_worker_metrics_tenant(&m, "t1"), "t1");
    CHECK_STR(mr_worker_metrics_tenant(&m, "t2"), "other");
    end();
}

static void each_limit(void *ctx, const struct mr_limits_view *view)
{
    CHECK(view);
    ++*(int *)ctx;
}

static void breakers_and_limits_are_shown(void)
{
    begin("breaker: { failures = 2; open = \"10s\"; };");
    int limits = 0;
    mr_engine_limits(fake.engine, each_limit, &limits);
    CHECK_INT(limits, 0);
    CHECK_INT(mr_engine_breaker(fake.engine, "p", "p"), MR_BREAKER_CLOSED);
    fake_deliver(&fake, 1, 10, "soft", "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
    for (int i = 0; i < 2; i++) {
        fake_committed(&fake, MR_VERDICT_OK);
        fake_lost_reply(&fake, MR_TRANSPORT_NOT_SENT);
        fake_committed(&fake, MR_VERDICT_OK);
        fake_pass(&fake, 1000);
    }
    CHECK_INT(mr_engine_breaker(fake.engine, "p", "p"), MR_BREAKER_OPEN);
    fake.now_ms += 10000; /* nobody has tried again, but somebody might */
    CHECK_INT(mr_engine_breaker(fake.engine, "p", "p"), MR_BREAKER_HALF_OPEN);
    CHECK_INT(mr_engine_breaker(fake.engine, "p", "other"), MR_BREAKER_CLOSED);
    end();
}

TEST_MAIN(TEST(a_job_that_goes_well), TEST(failures), TEST(a_lost_lease),
    TEST(what_cannot_be_stored), TEST(caches_and_caps), TEST(cap_alerts), TEST(other_ends),
    TEST(what_a_dead_worker_may_have_spent), TEST(services), TEST(tenants_are_few),
    TEST(breakers_and_limits_are_shown))
