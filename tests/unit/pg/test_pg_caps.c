/* Caps: what is held, settled and released, and who is refused. Amounts are pico-dollars. */
#include "tests/unit/pg/pgtest.h"

#define ROWS(...) pgtest_rows(conn, __VA_ARGS__)
/* What a commit says besides its verdict. */
#define SAID "select verdict, on_cap, hopeless, words from t.rows("

static PGconn *open_capped(const char *settings)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select tenant_set('acme', %s)", settings);
    ROWS("select t.claim(1, n) from generate_series(1, 5) n");
    return conn;
}

static void test_hold_then_cost(void)
{
    PGconn *conn = open_capped("p_cap_day_pico => 1000, p_cap_month_pico => 5000");
    CHECK_STR(ROWS("select t.commit(1, 1, 1, call => 10)"), "ok");
    CHECK_STR(ROWS("select t.spend()"), "day:500,month:500");
    CHECK_STR(ROWS("select verdict from t.rows(1, 1, 1, step => 'summarize', ended => 10)"), "ok");
    CHECK_STR(ROWS("select t.spend()"), "day:300,month:300");
    ROWS("select t.commit(1, 1, 1, call => 11)");
    ROWS("select verdict from t.rows(1, 1, 1, ended => 11, call_state => 'released')");
    CHECK_STR(ROWS("select t.spend()"), "day:300 warned,month:300"); /* it was 800 */
    ROWS("select t.commit(1, 1, 1, call => 12)");
    ROWS("select verdict from t.rows(1, 1, 1, ended => 12, call_state => 'ambiguous')");
    CHECK_STR(ROWS("select t.spend(), t.wrong()"), "day:800 warned,month:800|0");
    /* Its answer comes after all, to a worker that has lost the job, and for less. */
    ROWS("select t.claim(1, 1)");
    CHECK_STR(ROWS("select verdict from t.rows(1, 1, 1, ended => 12, cost => 100)"), "stale");
    CHECK_STR(ROWS("select t.spend(), t.wrong()"), "day:400 warned,month:400|0");
    PQfinish(conn);
}

static void test_refused(void)
{
    PGconn *conn = open_capped("p_cap_day_pico => 1000, p_on_cap => 'degrade'");
    CHECK_STR(ROWS(SAID "1, 1, 1, calls => array[10, 11], hold => 600)"),
        "capped|degrade|f|the tenant's cap of $0.000000001 a day leaves $0.0000000004, and this"
        " call may cost $0.0000000006\nreached|-|-|day\nok|-|-|-");
    CHECK_STR(ROWS("select t.calls(1), t.spend()"), "summarize:open:0|day:600 reached");
    /* The steps of a job whose call is refused are kept, and told once is enough. */
    CHECK_STR(ROWS(SAID "1, 2, 1, step => 'extract', call => 12, hold => 401)"),
        "capped|degrade|f|the tenant's cap of $0.000000001 a day leaves $0.0000000004, and this"
        " call may cost $0.000000000401\nok|-|-|-");
    CHECK_STR(ROWS("select count(*) from steps"), "1");
    /* What fits exactly fits; what costs nothing always does. */
    CHECK_STR(ROWS(SAID "1, 2, 1, call => 13, hold => 400)"), "warned|-|-|day\nok|-|-|-");
    CHECK_STR(ROWS(SAID "1, 2, 1, call => 14, hold => 0)"), "ok|-|-|-");
    CHECK_STR(ROWS("select wait_ms between 1 and 600000 from t.rows(1, 3, 1, call => 15, hold => 1)"
                   " where refused = t.id(15)"),
        "t");
    CHECK_STR(ROWS("select hopeless from t.rows(1, 3, 1, call => 15, hold => 1001)"
                   " where refused = t.id(15)"),
        "t");
    ROWS("select tenant_set('acme', p_on_cap => 'park')"); /* the cap may be raised some day */
    CHECK_STR(ROWS("select hopeless from t.rows(1, 3, 1, call => 15, hold => 1001)"
                   " where refused = t.id(15)"),
        "f");
    CHECK_STR(ROWS("select t.spend(), t.wrong()"), "day:1000 warned reached|0");
    PQfinish(conn);
}

/* A smaller call behind a dear one may still fit; another tenant does not feel any of it. */
static void test_each_by_itself(void)
{
    PGconn *conn = open_capped("p_cap_month_pico => 1000");
    ROWS("select t.claim(1, 9, tenant => 'other')");
    CHECK_STR(ROWS("select string_agg(verdict || coalesce(right(call::text, 2), ''), ',') from"
                   " commit_jobs(1, array[t.id(1), t.id(9), t.id(2)], array[1, 1, 1]::bigint[],"
                   " array['none', 'none', 'none'], array_fill(null::text, array[3]),"
                   " array_fill(null::text, array[3]), array_fill(null::text, array[3]),"
                   " array[0, 0, 0]::bigint[], array_fill(null::text, array[3]),"
                   " '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',"
                   " array[1, 1, 2, 3], array[t.id(10), t.id(11), t.id(12), t.id(13)],"
                   " array_fill('s'::text, array[4]), array_fill(1, array[4]),"
                   " array_fill('p'::text, array[4]), array_fill('e'::text, array[4]),"
                   " array_fill('a'::text, array[4]), array_fill('m'::text, array[4]),"
                   " array_fill(null::text, array[4]), array[700, 400, 9000, 300]::bigint[],"
                   " array_fill(0::bigint, array[4]), array_fill(false, array[4]),"
                   " array_fill(1000::bigint, array[4]), array_fill(null::bytea, array[4]),"
                   " '{}', '{}', '{}', '{}', '{}')"),
        "capped11,warned,reached,ok,ok,ok");
    CHECK_STR(
        ROWS("select string_agg(right(id::text, 2), ',' order by id) from calls"), "10,12,13");
    CHECK_STR(
        ROWS("select t.spend(), t.spend('other'), t.wrong()"), "month:1000 warned reached|-|0");
    PQfinish(conn);
}

static void test_cap_of_a_job(void)
{
    PGconn *conn = open_capped("p_cap_job_pico => 1000");
    CHECK_STR(ROWS("select t.commit(1, 1, 1, call => 10, hold => 800)"), "ok");
    CHECK_STR(ROWS("select t.spend()"), "-");
    /* The first one's hold may come back. */
    CHECK_STR(ROWS("select verdict, hopeless, wait_ms from t.rows(1, 1, 1, call => 11)"),
        "capped|f|1000\nok|-|-");
    ROWS("select verdict from t.rows(1, 1, 1, ended => 10, cost => 600)");
    CHECK_STR(ROWS(SAID "1, 1, 1, call => 12)"),
        "capped|park|t|the tenant's cap of $0.000000001 a job leaves $0.0000000004, and this call"
        " may cost $0.0000000005\nok|-|-|-");
    CHECK_STR(ROWS("select t.commit(1, 1, 1, call => 13, hold => 400)"), "ok");
    CHECK_STR(ROWS("select t.commit(1, 2, 1, call => 14, hold => 1000), t.calls(1)"),
        "ok|summarize:settled:600,summarize:open:0");
    PQfinish(conn);
}

/* The answer was lost: the same words again are answered as before, and nothing counts twice. */
static void test_saying_it_again(void)
{
    PGconn *conn = open_capped("p_cap_day_pico => 1000");
    for (int i = 0; i < 3; i++)
        CHECK_STR(
            ROWS("select t.commit(1, 1, 1, step => 'extract', call => 10, hold => 900)"), "ok");
    CHECK_STR(ROWS("select t.spend()"), "day:900 warned");
    for (int i = 0; i < 3; i++)
        CHECK_STR(ROWS("select t.commit(1, 2, 1, call => 11), t.calls(2)"), "ok|-");
    for (int i = 0; i < 3; i++) {
        CHECK_STR(ROWS("select verdict from t.rows(1, 1, 1, step => 'summarize', ended => 10,"
                       " call => 12, hold => 650)"),
            "ok");
        CHECK_STR(ROWS("select t.spend(), t.wrong()"), "day:950 warned reached|0");
    }
    PQfinish(conn);
}

/* Open calls become ambiguous, whoever finds them, and the counter does not move. */
static void test_ambiguous_moves_nothing(void)
{
    PGconn *conn = open_capped("p_cap_day_pico => 5000");
    ROWS("select t.commit(1, n, 1, call => 10 + n, timeout_ms => -10000)"
         " from generate_series(1, 3) n");
    CHECK_STR(ROWS("select t.commit(1, 1, 1, 'dead')"), "ok");
    pgtest_let_die(conn, 1);
    CHECK_STR(ROWS("select t.claim(2, 2)"), "run/2/1/500");
    ROWS("select sweep(2, 3000)");
    CHECK_STR(ROWS("select count(*) from calls where state = 'ambiguous'"), "3");
    CHECK_STR(ROWS("select t.spend(), t.wrong()"), "day:1500|0");
    /* The dead worker was not: it settles all three, and they count once. */
    for (int i = 0; i < 2; i++)
        ROWS("select verdict from generate_series(1, 3) n,"
             " t.rows(1, n, 1, ended => 10 + n, cost => 100)");
    CHECK_STR(ROWS("select t.spend(), t.wrong()"), "day:300|0");
    PQfinish(conn);
}

static void test_caps_come_and_go(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, n) from generate_series(1, 5) n");
    ROWS("select t.commit(1, 1, 1, call => 10), t.commit(1, 2, 1, call => 11)");
    CHECK_STR(ROWS("select t.spend()"), "-"); /* no cap, no counter */
    ROWS("select t.settle(10)");
    ROWS("select tenant_set('acme', 1000)");
    CHECK_STR(ROWS("select t.spend()"), "day:800");
    CHECK_STR(ROWS("select t.commit(1, 3, 1, call => 12), t.calls(3)"), "ok|-");
    ROWS("select verdict from t.rows(1, 2, 1, ended => 11, cost => 100)");
    CHECK_STR(ROWS("select t.spend(), t.wrong()"), "day:400 reached|0");
    ROWS("select tenant_set('acme', p_change => '{cap_day}')");
    CHECK_STR(ROWS("select t.spend()"), "-");
    ROWS("select t.commit(1, 3, 1, call => 13, hold => 5000)");
    ROWS("select tenant_set('acme', 1000, 100000)");
    CHECK_STR(ROWS("select t.wrong(), spent_pico from spend where period = 'month' and"
                   " starts = period_start('month', now())"),
        "0|5400");
    CHECK_STR(ROWS("select t.commit(1, 4, 1, call => 14, hold => 1), t.calls(4)"), "ok|-");
    ROWS("select verdict from t.rows(1, 3, 1, ended => 13, cost => 0)");
    ROWS("select t.commit(1, 4, 1, call => 15, hold => 600)");
    CHECK_STR(ROWS("select t.calls(4), t.wrong()"), "summarize:open:0|0");
    /* A change of one thing leaves the others, also what is on record. */
    ROWS("select tenant_set('acme', p_on_cap => 'dead', p_rpm => 5)");
    CHECK_STR(ROWS("select cap_day_usd, cap_month_usd, cap_job_usd, on_cap, rpm, tpm, day_held_usd,"
                   " day_settled_usd, day_reached_at is null from tenant_overview"),
        "0.000000001000|0.000000100000|-|dead|5|-|0.000000000600|0.000000000400|f");
    ROWS("select tenant_set('acme', 100000)"); /* room again: what was told may be told again */
    CHECK_STR(ROWS("select day_warned_at, day_reached_at from tenant_overview"), "-|-");
    CHECK_STR(pgtest_fails(conn, "select tenant_set('acme', p_change => '{colour}')"), "22023");
    CHECK_STR(pgtest_fails(conn, "select tenant_set('acme', p_cap_day_pico => -1)"), "23514");
    PQfinish(conn);
}

/* A call belongs to the day it was begun in, whenever it ends. */
static void test_midnight(void)
{
    PGconn *conn = open_capped("p_cap_day_pico => 1000, p_cap_month_pico => 100000");
    ROWS("select t.commit(1, 1, 1, call => 10, hold => 900)");
    ROWS("set session_replication_role = replica; update calls set started_at = started_at"
         " - interval '1 day'; set session_replication_role = origin");
    /* Yesterday has a counter too, from when the cap was set. */
    ROWS("update spend set spent_pico = case starts when period_start('day', now()) then 0 else 900"
         " end where period = 'day'");
    ROWS("select t.commit(1, 2, 1, call => 11, hold => 1000)");
    CHECK_STR(ROWS("select t.calls(2)"), "summarize:open:0");
    ROWS("select verdict from t.rows(1, 1, 1, ended => 10, cost => 100)");
    CHECK_STR(
        ROWS("select spent_pico from spend where period = 'day' order by starts"), "100\n1000");
    CHECK_STR(ROWS("select t.commit(1, 3, 1, call => 12, hold => 1), t.calls(3)"), "ok|-");
    PQfinish(conn);
}

/* Who sets the first cap waits for those who have begun, and those who come wait for him. */
static void test_setting_shuts_the_door(void)
{
    PGconn *conn = pgtest_open_with_workers(), *other = pgtest_connect("");
    ROWS("select t.claim(1, 1), t.claim(1, 2)");
    ROWS("begin");
    ROWS("select t.commit(1, 1, 1, call => 10)");
    CHECK_STR(
        pgtest_fails(other, "set lock_timeout = '50ms'; select tenant_set('acme', 600)"), "55P03");
    CHECK(PQsendQuery(other, "set lock_timeout = '20s'; select millrace.tenant_set('acme', 600)"));
    while (
        *ROWS("select count(*) from pg_locks where not granted and relation = 'calls'::regclass") ==
        '0')
        ;
    ROWS("commit");
    for (PGresult *result; (result = PQgetResult(other)); PQclear(result))
        CHECK(PQresultStatus(result) == PGRES_TUPLES_OK ||
              PQresultStatus(result) == PGRES_COMMAND_OK);
    CHECK_STR(ROWS("select t.commit(1, 2, 1, call => 11), t.calls(2)"), "ok|-");
    CHECK_STR(ROWS("select t.wrong()"), "0");
    PQfinish(other);
    PQfinish(conn);
}

/* Calls of long ago are added up before the door is shut: what happens to them until then counts.
 */
static void test_a_first_cap_knows_old_calls(void)
{
    PGconn *conn = pgtest_open_with_workers(), *other = pgtest_connect("");
    ROWS("select t.claim(1, 1), t.commit(1, 1, 1, call => 10)");
    ROWS("insert into calls (id, job_id, step, attempt, epoch, worker, tenant, pipeline, provider,"
         " endpoint, alias, model, state, hold_pico, cost_pico, price_unknown, started_at, "
         "expires_at)"
         " select t.id(100 + n), t.id(2), 'x', 1, 1, 1, 'acme', 'd', 'p', 'e', 'a', 'm',"
         " (array['open', 'settled', 'released', 'ambiguous'])[n %% 4 + 1], 7 * n,"
         " (array[0, 3, 0, 7])[n %% 4 + 1] * n, false, now() - n * interval '20 minutes', now()"
         " from generate_series(1, 300) n");
    ROWS("begin");
    ROWS("select t.settle(104), t.settle(107), t.settle(204), t.settle(207)");
    ROWS("select t.commit(1, 1, 1, call => 11)");
    CHECK(PQsendQuery(other, "select millrace.tenant_set('acme', 600, 700)"));
    while (
        *ROWS("select count(*) from pg_locks where not granted and relation = 'calls'::regclass") ==
        '0')
        ;
    ROWS("commit");
    for (PGresult *result; (result = PQgetResult(other)); PQclear(result))
        CHECK(PQresultStatus(result) == PGRES_TUPLES_OK);
    CHECK_STR(ROWS("select t.wrong(), count(*) > 2 from spend where spent_pico > 1000"), "0|t");
    /* Raised, or taken away and set again. */
    ROWS("select tenant_set('acme', 601)");
    ROWS("select tenant_set('acme', p_change => '{cap_day, cap_month}')");
    CHECK_STR(ROWS("select count(*) from spend"), "0");
    ROWS("select tenant_set('acme', p_cap_month_pico => 700)");
    CHECK_STR(ROWS("select t.wrong(), max(period) from spend"), "0|month");
    PQfinish(other);
    PQfinish(conn);
}

/* The answer to a commit is lost, and its job is cancelled before the worker says it again. The
 * call that was begun must be sent: taken back, its hold would stay for ever, as an ambiguous call.
 */
static void test_a_begun_call_is_not_cancelled(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select tenant_set('acme', 700)");
    ROWS("select t.claim(1, 1)");
    for (int i = 0; i < 2; i++) {
        CHECK_STR(ROWS("select verdict from t.rows(1, 1, 1, calls => array[10, 11])"
                       " where verdict <> 'reached' order by verdict"),
            "capped\nok");
        ROWS("select cancel(t.id(1))");
    }
    CHECK_STR(ROWS("select t.commit(1, 1, 1, call => 12)"), "cancelled");
    PQfinish(conn);
}

PG_TEST_MAIN(TEST(test_hold_then_cost), TEST(test_refused), TEST(test_each_by_itself),
    TEST(test_cap_of_a_job), TEST(test_saying_it_again), TEST(test_ambiguous_moves_nothing),
    TEST(test_caps_come_and_go), TEST(test_midnight), TEST(test_setting_shuts_the_door),
    TEST(test_a_first_cap_knows_old_calls), TEST(test_a_begun_call_is_not_cancelled))
