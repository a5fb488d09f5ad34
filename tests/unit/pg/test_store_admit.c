/* What the database says to calls that are to begin, as the engine reads it; and the small things
 * the store writes besides. One question at a time: ask() comes back with the answer. */
#include "tests/unit/pg/pgtest.h"
#include "worker/io/store.h"

#define ROWS(...) pgtest_rows(world.conn, __VA_ARGS__)

static struct {
    uv_loop_t loop;
    struct mr_config config;
    struct mr_store *store;
    struct mr_store_ops ops;
    PGconn *conn;
    bool answered, closed;
    int64_t lost_pico; /* what sweeps have told of */
} world;

void mr_engine_claimed(struct mr_engine *engine, struct mr_claim *claim)
{
    CHECK_INT(claim->verdict, MR_VERDICT_RUN);
    json_decref(claim->steps);
    world.answered = true;
}

void mr_engine_committed(struct mr_engine *engine, struct mr_commit *commit)
{
    CHECK_INT(commit->verdict, MR_VERDICT_OK);
    world.answered = true;
}

void mr_engine_rejected(struct mr_engine *engine, void *owner)
{
    CHECK(false);
}

void mr_engine_leased(struct mr_engine *engine, struct mr_lease *lease)
{
    abort(); /* test_store_lease.c */
}

static void wait_for_answer(void)
{
    while (!world.answered)
        uv_run(&world.loop, UV_RUN_ONCE);
    world.answered = false;
}

static struct mr_uuid id_of(unsigned char n)
{
    return (struct mr_uuid){.bytes = {[6] = 0x70, [8] = 0x80, [15] = n}};
}

static void observe(void *ctx, const struct mr_observation *what)
{
    CHECK_INT(what->what, MR_OBSERVED_BATCH);
    CHECK(what->batch.items > 0 && what->batch.took_us >= 0);
    world.lost_pico += what->batch.lost_pico;
}

static void open_world(unsigned char njobs)
{
    static const struct mr_log log = {2, MR_ERROR, "test"};
    const struct mr_world outside = {.clock = mr_clock_system(),
        .random = mr_random_system(),
        .observe = {observe, NULL},
        .log = &log,
        .worker = "test"};
    struct mr_err err;
    world.conn = pgtest_open();
    CHECK_INT(uv_loop_init(&world.loop), 0);
    pgtest_config(&world.config, false);
    CHECK_INT(mr_store_new(&world.loop, &world.config, &outside, &world.store, &err), 0);
    mr_store_start(world.store, (struct mr_engine *)&world);
    world.ops = mr_store_ops(world.store);
    for (unsigned char n = 1; n <= njobs; n++) {
        struct mr_envelope envelope = {
            .id = id_of(n), .tenant = "acme", .pipeline = "document", .priority = 5};
        struct mr_claim claim = {.owner = &world, .envelope = &envelope, .pipeline_version = 1};
        world.ops.claim(world.ops.ctx, &claim);
        wait_for_answer();
    }
}

static void on_closed(void *ctx)
{
    world.closed = true;
}

static void close_world(void)
{
    mr_store_close(world.store, on_closed, NULL);
    while (!world.closed)
        uv_run(&world.loop, UV_RUN_ONCE);
    world.store = mr_store_free(world.store);
    CHECK_INT(uv_loop_close(&world.loop), 0);
    PQfinish(world.conn);
}

static struct mr_call_row call(unsigned char n, int64_t hold, const char *key)
{
    struct mr_call_row row = {.id = id_of(n),
        .step = "summarize",
        .attempt = 1,
        .provider = "openai",
        .endpoint = "eu",
        .alias = "a",
        .model = "m",
        .route = "fallback 1",
        .hold_pico = hold,
        .timeout_ms = 60000};
    if (key) {
        row.cache_ttl_ms = 60000;
        memcpy(row.cache_key, key, strlen(key));
    }
    return row;
}

/* One commit of a job: begins and settles may be NULL. */
static struct mr_commit ask(
    unsigned char job, struct mr_call_row *begins, struct mr_call_row *settles)
{
    struct mr_commit commit = {.owner = &world, .id = id_of(job), .epoch = 1};
    if (begins)
        commit.begins[commit.nbegins++] = begins;
    if (settles)
        commit.settles[commit.nsettles++] = settles;
    world.ops.commit(world.ops.ctx, &commit);
    wait_for_answer();
    return commit;
}

static void test_caps(void)
{
    open_world(2);
    ROWS("select tenant_set('acme', 1000, p_on_cap => 'degrade')");
    struct mr_call_row first = call(10, 700, NULL), second = call(11, 400, NULL),
                       third = call(12, 300, NULL), fourth = call(13, 1001, NULL);
    struct mr_commit commit = ask(1, &first, NULL);
    CHECK_INT(first.admission, MR_ADMIT_GO);
    CHECK_INT(commit.nalerts, 0);
    CHECK_STR(ROWS("select endpoint, route, hold_pico from calls"), "eu|fallback 1|700");
    commit = ask(2, &second, NULL);
    CHECK_INT(second.admission, MR_ADMIT_CAPPED);
    CHECK_INT(second.on_cap, MR_ON_CAP_DEGRADE);
    CHECK(!second.hopeless);
    CHECK(second.wait_ms > 0 && second.wait_ms <= 600000);
    CHECK(strstr(second.refusal, "$0.0000000003"));
    CHECK_INT(commit.nalerts, 1);
    CHECK(commit.alerts[0].reached && !commit.alerts[0].month);
    commit = ask(2, &third, NULL);
    CHECK_INT(third.admission, MR_ADMIT_GO);
    CHECK_INT(commit.nalerts, 1);
    CHECK(!commit.alerts[0].reached);
    ask(2, &fourth, NULL);
    CHECK_INT(fourth.admission, MR_ADMIT_CAPPED);
    CHECK(fourth.hopeless);
    first.state = MR_CALL_SETTLED;
    first.cost_pico = 1;
    ask(1, &second, &first); /* said again, with room */
    CHECK_INT(second.admission, MR_ADMIT_GO);
    CHECK_STR(ROWS("select spent_pico from spend where spent_pico > 0"), "701");
    close_world();
}

static void test_answers(void)
{
    open_world(3);
    struct mr_call_row owner = call(10, 5, "k"), other = call(11, 5, "k");
    ask(1, &owner, NULL);
    CHECK_INT(owner.admission, MR_ADMIT_GO);
    ask(2, &other, NULL);
    CHECK_INT(other.admission, MR_ADMIT_WAIT);
    CHECK_INT(other.wait_ms, 250);
    static const char text[] = "gr\xc3\xbc\xc3\x9f \"dich\" and no more";
    owner.state = MR_CALL_SETTLED;
    owner.cache_text = text;
    owner.cache_len = 13;
    snprintf(owner.served_model, sizeof(owner.served_model), "m-1");
    snprintf(owner.finish_reason, sizeof(owner.finish_reason), "stop");
    ask(1, NULL, &owner);
    for (int i = 0; i < 2; i++) { /* the second time without having read the first answer */
        ask(2, &other, NULL);
        CHECK_INT(other.admission, MR_ADMIT_HIT);
        CHECK_INT(other.hit->len, 13);
        CHECK_STR(other.hit->text, "gr\xc3\xbc\xc3\x9f \"dich\"");
        CHECK_STR(other.hit->served_model, "m-1");
        CHECK_STR(other.hit->finish_reason, "stop");
    }
    other.hit = mr_hit_free(other.hit);
    CHECK_STR(ROWS("select state, hold_pico, cached_from is not null from calls order by id"),
        "settled|5|f\nsettled|0|t");
    /* Texts the database cannot hold are for nobody else. */
    static const char *const bad[] = {"nul\0", "x\xff\xfe", NULL};
    for (int i = 0; i < 3; i++) {
        struct mr_call_row again = call((unsigned char)(20 + i), 5, "l");
        ask(3, &again, NULL);
        CHECK_INT(again.admission, MR_ADMIT_GO);
        again.state = MR_CALL_SETTLED;
        again.cache_text = bad[i];
        again.cache_len = 4;
        ask(3, NULL, &again);
    }
    CHECK_STR(ROWS("select count(*) from answers"), "1");
    close_world();
}

static void test_reason_of_waiting(void)
{
    open_world(1);
    struct mr_commit commit = {.owner = &world,
        .id = id_of(1),
        .epoch = 1,
        .move = MR_MOVE_WAITING,
        .error = {MR_CLASS_CAPPED, "no money"},
        .error_step = "summarize",
        .until_ms = 1900000000123,
        .pool = "main"};
    world.ops.commit(world.ops.ctx, &commit);
    wait_for_answer();
    CHECK_STR(ROWS("select state, error_class, error_message, error_step from job_overview"),
        "waiting|capped|no money|summarize");
    close_world();
}

static void test_breakers(void)
{
    open_world(1);
    struct mr_breaker_note note = {.provider = "openai",
        .endpoint = "eu",
        .state = MR_BREAKER_OPEN,
        .until_ms = 1900000000000,
        .why = {MR_CLASS_OVERLOADED, "503"}};
    static const char show[] = "select provider, endpoint, state, until is not null, why,"
                               " worker = (select max(id) from workers) from breakers";
    world.ops.note_breaker(world.ops.ctx, &note);
    ask(1, NULL, NULL); /* goes with it, or after it */
    ask(1, NULL, NULL);
    CHECK_STR(ROWS("%s", show), "openai|eu|open|t|503|t");
    note.state = MR_BREAKER_HALF_OPEN;
    note.until_ms = 0;
    note.why = (struct mr_err){0};
    world.ops.note_breaker(world.ops.ctx, &note);
    ask(1, NULL, NULL);
    ask(1, NULL, NULL);
    CHECK_STR(ROWS("%s", show), "openai|eu|half_open|f|503|t");
    note.state = MR_BREAKER_CLOSED;
    world.ops.note_breaker(world.ops.ctx, &note);
    ask(1, NULL, NULL);
    ask(1, NULL, NULL);
    CHECK_STR(ROWS("%s", show), "");
    close_world();
}

/* The store asks for a sweep with its heartbeats: what a dead worker has left open is found. */
static void test_sweep(void)
{
    open_world(0);
    pgtest_shorthands(world.conn);
    ROWS("select t.worker('gone'); select pg_advisory_unlock_all()");
    int64_t gone = strtoll(ROWS("select max(id) from workers"), NULL, 10);
    ROWS("select t.claim(%lld, 1)", (long long)gone);
    ROWS("select t.commit(%lld, 1, 1, call => 10, timeout_ms => -10000)", (long long)gone);
    ROWS("insert into breakers (worker, provider, endpoint, state) values (%lld, 'p', 'e', 'open')",
        (long long)gone);
    pgtest_let_die(world.conn, (int)gone);
    while (*ROWS("select count(*) from workers where swept_at is not null") == '0')
        uv_run(&world.loop, UV_RUN_ONCE);
    CHECK_STR(
        ROWS("select t.calls(1), (select count(*) from breakers)"), "summarize:ambiguous:500|0");
    CHECK_STR(ROWS("select t.job(1)"), "running/1/0/0"); /* a claim will find it */
    while (world.lost_pico == 0)
        uv_run(&world.loop, UV_RUN_ONCE);
    CHECK_INT(world.lost_pico, 500);
    close_world();
}

PG_TEST_MAIN(TEST(test_caps), TEST(test_answers), TEST(test_reason_of_waiting), TEST(test_breakers),
    TEST(test_sweep))
