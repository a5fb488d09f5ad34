/* The store against a real database. In the test's own engine a job has 3 steps and 2 calls. */
#include "tests/unit/pg/pgtest.h"
#include "worker/io/store.h"

#include <endian.h>

struct driver;
struct job {
    struct driver *driver;
    struct mr_envelope envelope;
    struct mr_claim claim;
    struct mr_commit commit;
    struct mr_step_row row;
    struct mr_call_row calls[2];
    int stage;   /* 0 claim, 1-3 commits, 4 ended */
    int answers; /* to the question that is open: never more than one */
    bool poison_claim, poison_output;
    enum mr_verdict verdict; /* the last */
};

/* One worker: a loop's store and its jobs. As an engine it is opaque to the store. */
struct driver {
    uv_loop_t *loop;
    struct mr_store *store;
    struct job *jobs;
    size_t count, next, active, window, ended, stale, busy, rejected;
    json_t *output, *bad;
    uv_timer_t timer;
    int kills;
    PGconn *killer;
    bool closed, stop_when_done;
};

static struct driver *driver_of(struct mr_engine *engine)
{
    return (struct driver *)engine;
}

static void ask_claim(struct job *job)
{
    struct mr_store_ops ops = mr_store_ops(job->driver->store);
    job->claim = (struct mr_claim){
        .owner = job, .envelope = &job->envelope, .pipeline_version = 1, .steps = NULL};
    job->stage = 0;
    job->answers = 1;
    ops.claim(ops.ctx, &job->claim);
}

static struct mr_step_row step(struct job *job, const char *name)
{
    return (struct mr_step_row){.name = name,
        .state = MR_STEP_DONE,
        .attempts = 1,
        .output = job->poison_output ? job->driver->bad : job->driver->output,
        .ended_ms = 1000};
}

static void settle(struct job *job, struct mr_call_row *call)
{
    call->state = MR_CALL_SETTLED;
    call->cost_pico = 7;
    call->usage = (struct mr_usage){.input = 100, .output = 10};
    snprintf(call->message, sizeof(call->message), "not UTF-8: \xff");
    job->commit.settles[job->commit.nsettles++] = call;
}

static void begin(struct job *job, struct mr_call_row *call, const char *name)
{
    struct mr_clock clock = mr_clock_system();
    struct mr_random random = mr_random_system();
    *call = (struct mr_call_row){.id = mr_uuid7(&clock, &random),
        .step = name,
        .attempt = 1,
        .provider = "local",
        .alias = "a",
        .model = "m",
        .hold_pico = 9,
        .timeout_ms = 60000};
    job->commit.begins[job->commit.nbegins++] = call;
}

static void ask_commit(struct job *job)
{
    struct mr_store_ops ops = mr_store_ops(job->driver->store);
    static const char *const names[] = {"extract", "summarize", "entities"};
    job->commit =
        (struct mr_commit){.owner = job, .id = job->envelope.id, .epoch = job->claim.epoch};
    job->row = step(job, names[job->stage - 1]);
    job->commit.steps[job->commit.nsteps++] = &job->row;
    if (job->stage > 1)
        settle(job, &job->calls[job->stage - 2]);
    if (job->stage < 3)
        begin(job, &job->calls[job->stage - 1], names[job->stage]);
    else
        job->commit.move = MR_MOVE_DONE;
    job->answers = 1;
    ops.commit(ops.ctx, &job->commit);
}

static void start_more(struct driver *driver)
{
    while (driver->active < driver->window && driver->next < driver->count) {
        driver->active++;
        ask_claim(&driver->jobs[driver->next++]);
    }
    if (driver->ended == driver->count && driver->stop_when_done)
        uv_stop(driver->loop);
}

static void end(struct job *job)
{
    job->stage = 4;
    job->driver->ended++;
    job->driver->active--;
    start_more(job->driver);
}

void mr_engine_claimed(struct mr_engine *engine, struct mr_claim *claim)
{
    struct job *job = claim->owner;
    CHECK(driver_of(engine) == job->driver);
    CHECK_INT(job->answers--, 1);
    job->verdict = claim->verdict;
    json_decref(claim->steps);
    if (claim->verdict == MR_VERDICT_RUN) {
        job->stage = 1;
        ask_commit(job);
    } else if (claim->verdict == MR_VERDICT_BUSY) {
        job->driver->busy++;
        ask_claim(job);
    } else {
        end(job);
    }
}

void mr_engine_committed(struct mr_engine *engine, struct mr_commit *commit)
{
    struct job *job = commit->owner;
    CHECK_INT(job->answers--, 1);
    job->verdict = commit->verdict;
    if (commit->verdict == MR_VERDICT_STALE) {
        job->driver->stale++;
        ask_claim(job);
    } else if (commit->verdict == MR_VERDICT_OK && job->stage++ < 3) {
        ask_commit(job);
    } else {
        end(job);
    }
}

void mr_engine_rejected(struct mr_engine *engine, void *owner)
{
    driver_of(engine)->rejected++;
    CHECK(owner == engine);
}

void mr_engine_leased(struct mr_engine *engine, struct mr_lease *lease)
{
    abort(); /* test_store_lease.c */
}

/* ---- setting up ---- */

static const struct mr_log log_errors = {2, MR_ERROR, "test"};
static const struct mr_log log_nothing = {2, MR_ERROR + 1, "test"};

static void driver_init(struct driver *driver, uv_loop_t *loop, size_t count, size_t window,
    const struct mr_log *log, struct mr_config *config)
{
    *driver =
        (struct driver){.loop = loop, .count = count, .window = window, .stop_when_done = true};
    driver->jobs = calloc(count, sizeof(driver->jobs[0]));
    driver->output = json_pack("{s:s}", "text", "what the document says, in short");
    driver->bad = json_pack("{s:s#}", "text", "nul\0here", 8);
    CHECK(driver->jobs && driver->output && driver->bad);
    for (size_t i = 0; i < count; i++) {
        struct job *job = &driver->jobs[i];
        job->driver = driver;
        job->envelope = (struct mr_envelope){.tenant = "acme",
            .pipeline = "document",
            .priority = 5,
            .metadata = json_object(),
            .created_ms = 1000};
        uint64_t id = htobe64(i + 1);
        memcpy(job->envelope.id.bytes + 8, &id, sizeof(id));
    }
    const struct mr_world world = {
        .clock = mr_clock_system(), .random = mr_random_system(), .log = log, .worker = "test"};
    struct mr_err err;
    CHECK_INT(mr_store_new(loop, config, &world, &driver->store, &err), 0);
    mr_store_start(driver->store, (struct mr_engine *)driver);
    start_more(driver);
}

static void on_closed(void *ctx)
{
    struct driver *driver = ctx;
    driver->closed = true;
}

static void driver_deinit(struct driver *driver)
{
    mr_store_close(driver->store, on_closed, driver);
    while (!driver->closed)
        uv_run(driver->loop, UV_RUN_ONCE);
    driver->store = mr_store_free(driver->store);
    for (size_t i = 0; i < driver->count; i++)
        json_decref(driver->jobs[i].envelope.metadata);
    free(driver->jobs);
    json_decref(driver->output);
    json_decref(driver->bad);
}

/* What must hold when n jobs have ended well, whoever ran them. */
static void check_books(PGconn *conn, size_t n)
{
    char want[64];
    snprintf(want, sizeof(want), "%zu|%zu", n, n);
    CHECK_STR(
        pgtest_rows(conn, "select count(*), count(*) filter (where state = 'done') from jobs"),
        want);
    snprintf(want, sizeof(want), "%zu", n * 3);
    CHECK_STR(pgtest_rows(conn, "select count(*) from steps where state = 'done'"), want);
    CHECK_STR(pgtest_rows(conn, "select count(*) from calls where state = 'open'"), "0");
}

/* ---- cases ---- */

static size_t storm_size(size_t usual)
{
    const char *jobs = getenv("MILLRACE_TEST_JOBS");
    return jobs ? (size_t)strtoul(jobs, NULL, 10) : usual;
}

/* A fresh database, a loop, and what a worker of it is configured with. */
static PGconn *open_all(uv_loop_t *loop, struct mr_config *config, bool unreachable)
{
    PGconn *conn = pgtest_open();
    CHECK_INT(uv_loop_init(loop), 0);
    pgtest_config(config, unreachable);
    return conn;
}

static void test_many_jobs(void)
{
    uv_loop_t loop;
    struct mr_config config;
    struct driver driver;
    PGconn *conn = open_all(&loop, &config, false);
    size_t n = storm_size(2000);
    driver_init(&driver, &loop, n, 500, &log_errors, &config);
    uv_run(&loop, UV_RUN_DEFAULT);
    check_books(conn, n);
    CHECK_INT(driver.stale + driver.busy, 0);
    CHECK_STR(pgtest_rows(conn, "select count(*), sum(cost_pico), sum(input_tokens) from calls"),
        pgtest_rows(conn, "select %zu, %zu, %zu", n * 2, n * 14, n * 200));
    CHECK_STR(pgtest_rows(conn, "select message from calls limit 1"), "not UTF-8: ");
    driver_deinit(&driver);
    CHECK_STR(pgtest_rows(conn, "select stopped_at is not null from workers"), "t");
    CHECK_INT(uv_loop_close(&loop), 0);
    PQfinish(conn);
}

static void test_poison_stands_alone(void)
{
    uv_loop_t loop;
    struct mr_config config;
    struct driver driver;
    PGconn *conn = open_all(&loop, &config, false);
    driver_init(&driver, &loop, 300, 300, &log_nothing, &config);
    driver.jobs[17].envelope.priority = 40000; /* smallint: 22003 */
    driver.jobs[100].poison_output = true;     /* \u0000 in JSON: 22P05 */
    driver.jobs[299].poison_output = true;
    uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < 300; i++)
        CHECK_INT(driver.jobs[i].verdict,
            i == 17 || i == 100 || i == 299 ? MR_VERDICT_REFUSED : MR_VERDICT_OK);
    CHECK_INT(driver.jobs[17].stage, 4);
    CHECK(strstr(driver.jobs[17].claim.err.msg, "22003"));
    CHECK(strstr(driver.jobs[100].commit.err.msg, "22P05"));
    CHECK_STR(pgtest_rows(conn, "select state, count(*) from jobs group by 1 order by 1"),
        "done|297\nrunning|2");
    driver_deinit(&driver);
    uv_loop_close(&loop);
    PQfinish(conn);
}

static void kill_backend(uv_timer_t *timer)
{
    struct driver *driver = timer->data;
    pgtest_rows(driver->killer, "select pg_terminate_backend(pid) from pg_stat_activity"
                                " where application_name = 'millrace-worker'"
                                " and datname = current_database()");
    if (--driver->kills == 0)
        uv_close((uv_handle_t *)timer, NULL);
}

/* The connection dies again and again, wherever it is; nothing is lost or written twice. */
static void test_lost_connections(void)
{
    uv_loop_t loop;
    struct mr_config config;
    struct driver driver;
    PGconn *conn = open_all(&loop, &config, false);
    size_t n = storm_size(8000);
    driver_init(&driver, &loop, n, 200, &log_nothing, &config);
    driver.killer = pgtest_connect("");
    driver.kills = 12;
    driver.timer.data = &driver;
    uv_timer_init(&loop, &driver.timer);
    uv_timer_start(&driver.timer, kill_backend, 37, 61);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (!uv_is_closing((uv_handle_t *)&driver.timer))
        uv_close((uv_handle_t *)&driver.timer, NULL);
    check_books(conn, n);
    CHECK_INT(driver.stale + driver.busy, 0);
    CHECK_STR(pgtest_rows(conn, "select count(*) from calls where state = 'settled'"),
        pgtest_rows(conn, "select %zu", n * 2));
    CHECK_STR(pgtest_rows(conn, "select count(*) from workers"), "1");
    PQfinish(driver.killer);
    driver_deinit(&driver);
    uv_loop_close(&loop);
    PQfinish(conn);
}

/* Two workers are handed the same messages: each job ends once, and every call has its row. */
static void test_race(void)
{
    PGconn *conn = pgtest_open();
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct mr_config config;
    pgtest_config(&config, false);
    struct driver drivers[2];
    for (int i = 0; i < 2; i++) {
        driver_init(&drivers[i], &loop, 1500, 150, &log_errors, &config);
        drivers[i].stop_when_done = false;
    }
    while (drivers[0].ended + drivers[1].ended < 3000)
        uv_run(&loop, UV_RUN_ONCE);
    check_books(conn, 1500);
    CHECK_STR(pgtest_rows(conn, "select count(*) from (select job_id, step from calls"
                                " where state = 'settled' group by 1, 2 having count(*) > 1) x"),
        "0");
    CHECK_STR(pgtest_rows(conn, "select sum(conflicts + deadlocks) from pg_stat_database join"
                                " pg_stat_database_conflicts using (datid)"
                                " where pg_stat_database.datname = current_database()"),
        "0");
    driver_deinit(&drivers[0]);
    driver_deinit(&drivers[1]);
    uv_loop_close(&loop);
    PQfinish(conn);
}

static void test_rejects(void)
{
    uv_loop_t loop;
    struct mr_config config;
    struct driver driver;
    PGconn *conn = open_all(&loop, &config, false);
    driver_init(&driver, &loop, 0, 0, &log_errors, &config);
    struct mr_store_ops ops = mr_store_ops(driver.store);
    struct mr_err why = {MR_CLASS_INVALID, "not JSON"};
    struct mr_envelope_salvage who = {.id = {{1}}}, other = {.id = {{2}}, .tenant = "acme"};
    ops.reject(ops.ctx, &driver, &who, &why, "a\0\xff\n'b", 6);
    ops.reject(ops.ctx, &driver, &who, &why, "a\0\xff\n'b", 6);
    ops.reject(ops.ctx, &driver, &other, &why, "", 0);
    while (driver.rejected < 3)
        uv_run(&loop, UV_RUN_ONCE);
    CHECK_STR(pgtest_rows(conn, "select tenant, class, message, bytes, head, times from rejects"
                                " order by id"),
        "-|invalid|not JSON|6|a...'b|2\nacme|invalid|not JSON|0||1");
    driver_deinit(&driver);
    uv_loop_close(&loop);
    PQfinish(conn);
}

static void test_heartbeat_and_lock(void)
{
    uv_loop_t loop;
    struct mr_config config;
    struct driver driver;
    PGconn *conn = open_all(&loop, &config, false);
    driver_init(&driver, &loop, 1, 1, &log_errors, &config);
    uv_run(&loop, UV_RUN_DEFAULT);
    int64_t id = mr_store_worker(driver.store);
    CHECK(id > 0);
    pgtest_rows(conn, "update workers set heartbeat_at = now() - interval '1 hour'");
    CHECK_STR(pgtest_rows(conn, "select worker_alive(%lld, 0, '3 s')", (long long)id), "t");
    for (int i = 0; i < 600; i++) {
        uv_run(&loop, UV_RUN_ONCE);
        if (*pgtest_rows(conn, "select heartbeat_at > now() - interval '2 s' from workers") == 't')
            break;
        CHECK(i < 500);
    }
    driver_deinit(&driver);
    CHECK_STR(pgtest_rows(conn, "select worker_alive(%lld, 0, '3 s')", (long long)id), "f");
    uv_loop_close(&loop);
    PQfinish(conn);
}

/* No database: what is asked waits, and closing does not hang. */
static void test_no_database(void)
{
    uv_loop_t loop;
    struct mr_config config;
    struct driver driver;
    PGconn *conn = open_all(&loop, &config, true);
    driver_init(&driver, &loop, 5, 5, &log_nothing, &config);
    struct mr_store_ops ops = mr_store_ops(driver.store);
    struct mr_err why = {MR_CLASS_INVALID, "not JSON"};
    struct mr_envelope_salvage who = {.id = {{1}}};
    ops.reject(ops.ctx, &driver, &who, &why, "abc", 3);
    uint64_t until = uv_now(&loop) + 700;
    while (uv_now(&loop) < until)
        uv_run(&loop, UV_RUN_ONCE);
    CHECK_INT(driver.ended, 0);
    driver_deinit(&driver);
    CHECK_INT(uv_loop_close(&loop), 0);
    PQfinish(conn);
}

/* A connection may fail after the worker was registered: it is not registered again. */
static void test_registers_once(void)
{
    uv_loop_t loop;
    struct mr_config config;
    struct driver driver;
    PGconn *conn = open_all(&loop, &config, false);
    pgtest_rows(conn, "alter function reject rename to no_reject"); /* cannot be prepared */
    driver_init(&driver, &loop, 1, 1, &log_nothing, &config);
    uint64_t until = uv_now(&loop) + 1000;
    while (uv_now(&loop) < until)
        uv_run(&loop, UV_RUN_ONCE);
    CHECK_STR(pgtest_rows(conn, "select count(*) from workers"), "1");
    pgtest_rows(conn, "alter function no_reject rename to reject");
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(driver.ended, 1);
    CHECK_STR(pgtest_rows(conn, "select count(*) from workers"), "1");
    driver_deinit(&driver);
    uv_loop_close(&loop);
    PQfinish(conn);
}

PG_TEST_MAIN(TEST(test_many_jobs), TEST(test_poison_stands_alone), TEST(test_lost_connections),
    TEST(test_race), TEST(test_rejects), TEST(test_heartbeat_and_lock), TEST(test_no_database),
    TEST(test_registers_once))
