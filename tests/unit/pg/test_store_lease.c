/* A lease through the store to a real database and back. */
#include "tests/unit/pg/pgtest.h"
#include "worker/io/store.h"

static uv_loop_t loop;
static int leased;
static bool closed;

/* The loop passes for the engine. */
void mr_engine_leased(struct mr_engine *engine, struct mr_lease *lease)
{
    CHECK((void *)engine == &loop);
    leased++;
}

/* None of these is asked for. */
void mr_engine_claimed(struct mr_engine *engine, struct mr_claim *claim)
{
    abort();
}
void mr_engine_committed(struct mr_engine *engine, struct mr_commit *commit)
{
    abort();
}
void mr_engine_rejected(struct mr_engine *engine, void *owner)
{
    abort();
}

static void on_closed(void *ctx)
{
    closed = true;
}

static void test_there_and_back(void)
{
    static struct mr_lease lease = {.count = 3}; /* not in the order of their names */
    static const struct mr_log log = {2, MR_ERROR, "test"};
    PGconn *conn = pgtest_open();
    struct mr_world world = {
        .clock = mr_clock_system(), .random = mr_random_system(), .log = &log, .worker = "test"};
    struct mr_config config;
    struct mr_store *store;
    struct mr_err err;
    pgtest_rows(conn, "select tenant_set('acme', p_rpm => 120, p_tpm => 60000)");
    pgtest_config(&config, false);
    uv_loop_init(&loop);
    CHECK(mr_store_new(&loop, &config, &world, &store, &err) == 0);
    mr_store_start(store, (struct mr_engine *)&loop);

    lease.rows[0] = (struct mr_lease_row){.scope = "tenant:acme",
        .want_requests = 5,
        .want_tokens = 4000,
        .head_tokens = 1500,
        .waiting = 5,
        .seen_rpm = MR_LEASE_NONE,
        .seen_tpm = MR_LEASE_NONE};
    lease.rows[1] = (struct mr_lease_row){.scope = "tenant:free",
        .want_requests = 5,
        .seen_rpm = MR_LEASE_NONE,
        .seen_tpm = MR_LEASE_NONE};
    lease.rows[2] = (struct mr_lease_row){.scope = "model:p/e/m",
        .rpm = 600,
        .concurrency = 4,
        .want_requests = 20,
        .in_flight = 1,
        .waiting = 20,
        .seen_rpm = 60,
        .seen_tpm = MR_LEASE_NONE};
    struct mr_store_ops ops = mr_store_ops(store);
    ops.lease(ops.ctx, &lease);
    while (leased < 1)
        uv_run(&loop, UV_RUN_ONCE);
    CHECK(!lease.refused);
    CHECK_INT(lease.rows[0].requests, 2);
    CHECK_INT(lease.rows[0].tokens, 1500);
    CHECK_INT(lease.rows[0].rpm_share, 120);
    CHECK_INT(lease.rows[0].tpm_share, 60000);
    CHECK_INT(lease.rows[0].slots, MR_LEASE_NONE);
    CHECK(lease.rows[0].more_ms > 0);
    CHECK_INT(lease.rows[1].requests, MR_LEASE_NONE);
    CHECK_INT(lease.rows[1].slots, MR_LEASE_NONE);
    CHECK_INT(lease.rows[2].requests, 10);
    CHECK_INT(lease.rows[2].tokens, MR_LEASE_NONE);
    CHECK_INT(lease.rows[2].slots, 4);
    CHECK_INT(lease.rows[2].paused_ms, 0);

    mr_store_close(store, on_closed, NULL);
    while (!closed)
        uv_run(&loop, UV_RUN_ONCE);
    uv_run(&loop, UV_RUN_DEFAULT);
    mr_store_free(store);
    CHECK(uv_loop_close(&loop) == 0);
    PQfinish(conn);
}

PG_TEST_MAIN(TEST(test_there_and_back))
