/* Answers that equal calls share, and who waits for whom. */
#include "tests/unit/pg/pgtest.h"

#define ROWS(...) pgtest_rows(conn, __VA_ARGS__)
#define ASK "select verdict, words from t.rows(1, "

static PGconn *open_jobs(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, n) from generate_series(1, 6) n");
    ROWS("select t.claim(1, 9, tenant => 'other')");
    return conn;
}

static void test_one_asks_others_wait(void)
{
    PGconn *conn = open_jobs();
    CHECK_STR(ROWS(ASK "1, 1, call => 10, key => 'k')"), "ok|-");
    CHECK_STR(ROWS(ASK "2, 1, call => 11, key => 'k')"), "wait|-\nok|-");
    CHECK_STR(ROWS(ASK "2, 1, call => 12, key => 'other')"), "ok|-");
    CHECK_STR(ROWS(ASK "9, 1, call => 19, key => 'k')"), "ok|-"); /* another tenant's */
    /* Said again, each is told the same. */
    CHECK_STR(ROWS(ASK "1, 1, call => 10, key => 'k')"), "ok|-");
    CHECK_STR(ROWS(ASK "2, 1, call => 11, key => 'k')"), "wait|-\nok|-");
    CHECK_STR(ROWS("select t.calls(1), t.calls(2)"), "summarize:open:0|summarize:open:0");
    CHECK_STR(ROWS(ASK "1, 1, ended => 10, key => 'k', answer => 'forty-two')"), "ok|-");
    CHECK_STR(ROWS(ASK "1, 1, ended => 10, key => 'k', answer => 'forty-two')"), "ok|-");
    for (int i = 0; i < 2; i++)
        CHECK_STR(ROWS("select verdict, words, served_model from"
                       " t.rows(1, 3, 1, call => 13, key => 'k', hold => 500)"),
            "hit|forty-two|summary-1\nok|-|-");
    CHECK_STR(ROWS("select t.calls(3)"), "summarize:settled:0");
    CHECK_STR(
        ROWS("select hold_pico, cached_from = t.id(10) from calls where id = t.id(13)"), "0|t");
    CHECK_STR(ROWS("select calls, hits, cost_usd from cost_by_tenant_day where tenant = 'acme'"),
        "3|1|0.000000000300");
    PQfinish(conn);
}

/* Two of one batch, even of one job. */
static void test_twice_at_once(void)
{
    PGconn *conn = open_jobs();
    CHECK_STR(ROWS("select verdict, right(refused::text, 2) from t.rows(1, 1, 1,"
                   " calls => array[11, 10], key => 'k')"),
        "wait|10\nok|-");
    CHECK_STR(ROWS("select right(call_id::text, 2) from answers"), "11");
    PQfinish(conn);
}

/* A worker dies after a hit and before its step's end: the next one is told again, and one counts.
 */
static void test_a_hit_counts_once(void)
{
    PGconn *conn = open_jobs();
    ROWS(ASK "1, 1, call => 10, key => 'k')");
    ROWS(ASK "1, 1, ended => 10, key => 'k', answer => 'a')");
    CHECK_STR(ROWS(ASK "2, 1, call => 11, key => 'k')"), "hit|a\nok|-");
    CHECK_STR(ROWS(ASK "2, 1, call => 12, key => 'k', call_step => 'entities')"), "hit|a\nok|-");
    pgtest_let_die(conn, 1);
    CHECK_STR(ROWS("select t.claim(2, 2)"), "run/2/1/0");
    CHECK_STR(ROWS(ASK "2, 1, call => 13, key => 'k')"), "stale|-");
    CHECK_STR(ROWS("select verdict from t.rows(2, 2, 2, call => 14, key => 'k')"), "hit\nok");
    CHECK_STR(ROWS("select string_agg(right(id::text, 2), ',' order by id) from calls"
                   " where cached_from is not null"),
        "12,14");
    ROWS("select t.commit(2, 2, 2, step => 'summarize')");
    ROWS("select t.commit(2, 2, 2, step => 'entities', state => 'failed')"); /* it was no good */
    CHECK_STR(ROWS("select step, cached from job_steps where job_id = t.id(2) order by step"),
        "entities|f\nsummarize|t");
    PQfinish(conn);
}

static void test_no_answer_came(void)
{
    PGconn *conn = open_jobs();
    static const char *const ends[] = {"call_state => 'released', answer => 'x'",
        "call_state => 'ambiguous', answer => 'x'", "answer => null"};
    for (int i = 0; i < 3; i++) {
        CHECK_STR(ROWS(ASK "1, 1, call => %d, key => 'k')", 10 + i), "ok|-");
        CHECK_STR(ROWS(ASK "1, 1, ended => %d, key => 'k', %s)", 10 + i, ends[i]), "ok|-");
        CHECK_STR(ROWS("select count(*) from answers"), "0");
    }
    /* The one who should have brought it is gone. */
    CHECK_STR(ROWS(ASK "2, 1, call => 20, key => 'k', timeout_ms => -10000)"), "ok|-");
    CHECK_STR(ROWS(ASK "3, 1, call => 21, key => 'k')"), "ok|-");
    /* It comes after all, when the place is another's. */
    CHECK_STR(ROWS(ASK "2, 1, ended => 20, key => 'k', answer => 'late')"), "ok|-");
    CHECK_STR(ROWS(ASK "4, 1, call => 22, key => 'k')"), "wait|-\nok|-");
    CHECK_STR(
        ROWS(ASK "3, 1, 'dead')"), "ok|-"); /* its job has ended: nobody waits for that call */
    CHECK_STR(ROWS(ASK "4, 1, call => 22, key => 'k')"), "ok|-");
    PQfinish(conn);
}

static void test_old_answers(void)
{
    PGconn *conn = open_jobs();
    ROWS(ASK "1, 1, call => 10, key => 'k')");
    ROWS(ASK "1, 1, ended => 10, key => 'k', answer => 'a', ttl_ms => 5000)");
    CHECK_STR(ROWS("select expires_at - now() between '4 s' and '5 s' from answers"), "t");
    CHECK_STR(ROWS(ASK "2, 1, call => 11, key => 'k')"), "hit|a\nok|-");
    ROWS("update answers set expires_at = now()");
    /* The hit's answer was lost on its way, and is too old now: the call is made. */
    CHECK_STR(ROWS(ASK "2, 1, call => 11, key => 'k')"), "ok|-");
    CHECK_STR(ROWS("select t.calls(2)"), "summarize:open:0");
    ROWS(ASK "2, 1, ended => 11, key => 'k', answer => 'b')");
    ROWS("select sweep(1, 3000)");
    CHECK_STR(ROWS("select text from answers"), "b");
    ROWS("update answers set expires_at = now() - interval '11 minutes'");
    ROWS("select sweep(1, 3000)");
    CHECK_STR(ROWS("select count(*) from answers"), "0");
    PQfinish(conn);
}

/* Two take over the answer of a call that is gone, at the same moment: the one sees what was there
 * before the other, and locks the row after it. */
static void test_one_takes_over(void)
{
    PGconn *conn = open_jobs(), *other = pgtest_connect("");
    ROWS("insert into answers select 'acme', k::bytea, t.id(90), state, x, null, null, now()"
         " from (values ('a', 'pending', null), ('b', 'pending', null), ('c', 'ready', 'old'))"
         " v (k, state, x)");
    /* Whoever writes to a waits at this door, with what it has seen of b and c. */
    ROWS("create function t.door() returns trigger language plpgsql as $$ begin"
         " perform pg_advisory_xact_lock(78); return new; end $$");
    ROWS("create trigger door before update on answers for each row when (new.key = 'a')"
         " execute function t.door()");
    ROWS("select pg_advisory_lock(78)");
    static const char ask[] = "select item, verdict from answers_ask(array[1, 2, 3],"
                              " array[t.id(21), t.id(22), t.id(23)], array['acme', 'acme', 'acme'],"
                              " array['a', 'b', 'c']::bytea[], array[60000, 60000, 60000], '{}')";
    pgtest_rows(other, "set enable_hashjoin = off; set enable_mergejoin = off");
    CHECK(PQsendQuery(other, ask));
    while (
        *ROWS("select count(*) from pg_locks where locktype = 'advisory' and not granted") == '0')
        ROWS("select pg_sleep(0.01)");
    CHECK_STR(ROWS(ASK "2, 1, call => 31, key => 'b')"), "ok|-");
    CHECK_STR(ROWS(ASK "3, 1, call => 32, key => 'c')"), "ok|-");
    ROWS("select pg_advisory_unlock(78)");
    PGresult *result = PQgetResult(other);
    CHECK_INT(PQntuples(result), 2); /* 1 is to ask, 2 and 3 wait */
    CHECK_STR(PQgetvalue(result, 0, 1), "wait");
    PQclear(result);
    CHECK(!PQgetResult(other));
    CHECK_STR(ROWS("select string_agg(right(call_id::text, 2), ',' order by key) from answers"),
        "21,31,32");
    PQfinish(other);
    PQfinish(conn);
}

/* They come faster than the sweep takes them away. */
static void test_the_table_does_not_grow_for_ever(void)
{
    PGconn *conn = open_jobs();
    ROWS("insert into answers select 'acme', n::text::bytea, t.id(90), 'ready', 'x', null, null,"
         " now() - interval '11 minutes' from generate_series(1, 5) n");
    for (int i = 0; i < 3; i++) {
        ROWS(ASK "1, 1, call => %d, key => 'k%d')", 10 + i, i);
        ROWS(ASK "1, 1, ended => %d, key => 'k%d', answer => 'a')", 10 + i, i);
    }
    CHECK_STR(ROWS("select count(*), count(*) filter (where text = 'a') from answers"), "3|3");
    PQfinish(conn);
}

/* A cap refuses the call that was to bring the answer: nobody may wait for it. A hit costs nothing
 * and is not refused. */
static void test_under_a_cap(void)
{
    PGconn *conn = open_jobs();
    ROWS("select tenant_set('acme', 700)");
    ROWS(ASK "1, 1, call => 10, key => 'k')");
    ROWS(ASK "1, 1, ended => 10, cost => 500, key => 'k', answer => 'a')");
    CHECK_STR(
        ROWS("select verdict from t.rows(1, 2, 1, call => 11, key => 'l')"), "capped\nreached\nok");
    CHECK_STR(ROWS("select verdict from t.rows(1, 2, 1, call => 12, key => 'l', hold => 200)"),
        "warned\nok");
    CHECK_STR(ROWS(ASK "3, 1, call => 13, key => 'k')"), "hit|a\nok|-");
    CHECK_STR(ROWS("select t.wrong(), count(*) from answers"), "0|2");
    PQfinish(conn);
}

PG_TEST_MAIN(TEST(test_one_asks_others_wait), TEST(test_twice_at_once),
    TEST(test_a_hit_counts_once), TEST(test_no_answer_came), TEST(test_old_answers),
    TEST(test_one_takes_over), TEST(test_the_table_does_not_grow_for_ever), TEST(test_under_a_cap))
