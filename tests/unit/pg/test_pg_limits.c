/* lease_limits: buckets that never give more than they hold, whoever asks, and calls at once. */
#include "tests/unit/pg/pgtest.h"

#include <pthread.h>
#include <time.h>

#define ROWS(...) pgtest_rows(conn, __VA_ARGS__)

/* t.lease(worker, scope): one scope's answer; everything else has a default. Then time stands
 * still, until t.pass. */
static const char shorthand[] =
    "create function t.lease(w bigint, scope text, want bigint default 0, rpm bigint default 0,"
    "  tpm bigint default 0, most int default 0, want_tokens bigint default 0,"
    "  head bigint default 0, back bigint default 0, back_tokens bigint default 0,"
    "  flight int default 0, waiting int default 0, good int default 0, throttled int default 0,"
    "  pause bigint default 0, seen_rpm bigint default -1, seen_tpm bigint default -1,"
    "  still boolean default true)"
    " returns table (ord int, requests bigint, tokens bigint, rpm_share bigint, tpm_share bigint,"
    "  slots int, more_ms bigint, paused_ms bigint) language plpgsql as $$ begin"
    " return query select * from millrace.lease_limits(w, array[scope], array[rpm], array[tpm],"
    "  array[most], array[want], array[want_tokens], array[head], array[back],"
    "  array[back_tokens], array[flight], array[waiting], array[good], array[throttled],"
    "  array[pause], array[seen_rpm], array[seen_tpm]);"
    " if still then"
    "  update millrace.limits l set refilled_at = now() + interval '1 hour',"
    "   lowered_at = case when l.lowered_at is not null then now() + interval '1 hour' end;"
    "  update millrace.limit_users u set asked_at = now() + interval '1 hour' where u.worker = w;"
    " end if; end $$;"
    "create function t.pass(ms int) returns void language sql as $$"
    " update millrace.limits set refilled_at = clock_timestamp() - make_interval(secs => ms * "
    "0.001),"
    "  lowered_at = case when lowered_at is not null then"
    "   clock_timestamp() - make_interval(secs => ms * 0.001) end,"
    "  paused_until = paused_until - make_interval(secs => ms * 0.001) $$;";
#define PASS(ms) "select t.pass(" #ms ");"

static PGconn *open_limits(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("%s", shorthand);
    return conn;
}

static void test_no_limit(void)
{
    PGconn *conn = open_limits();
    CHECK_STR(ROWS("select * from t.lease(1, 'model:p/e/m', want => 5)"), "1|-1|-1|-1|-1|-1|0|0");
    CHECK_STR(ROWS("select * from t.lease(1, 'tenant:acme', want => 5)"), "1|-1|-1|-1|-1|-1|0|0");
    CHECK_STR(ROWS("select count(*) from limits"), "0");
    /* A tenant with a cap and no limit. */
    ROWS("select tenant_set('acme', 1000)");
    CHECK_STR(ROWS("select requests from t.lease(1, 'tenant:acme', want => 5)"), "-1");
    PQfinish(conn);
}

static void test_buckets(void)
{
    PGconn *conn = open_limits();
    /* Ten a second: at first a second's worth is there. */
    CHECK_STR(ROWS("select requests, tokens, rpm_share, slots from"
                   " t.lease(1, 'model:p/e/m', want => 50, rpm => 600)"),
        "10|-1|600|-1");
    CHECK_STR(ROWS("select requests, more_ms between 1 and 100 from"
                   " t.lease(1, 'model:p/e/m', want => 1, rpm => 600)"),
        "0|t");
    CHECK_STR(
        ROWS(PASS(500) "select requests from t.lease(1, 'model:p/e/m', want => 4, rpm => 600)"),
        "4");
    CHECK_STR(ROWS("select requests from t.lease(1, 'model:p/e/m', want => 4, rpm => 600)"), "1");
    /* What is given back can be had again; more than a second's worth is never there. */
    CHECK_STR(
        ROWS("select requests from t.lease(1, 'model:p/e/m', want => 9, rpm => 600, back => 7)"),
        "7");
    CHECK_STR(
        ROWS(PASS(60000) "select requests from t.lease(1, 'model:p/e/m', want => 90, rpm => 600)"),
        "10");
    /* One in ten seconds. */
    CHECK_STR(ROWS("select requests from t.lease(1, 'model:p/e/slow', want => 9, rpm => 6)"), "1");
    CHECK_STR(ROWS("select requests, more_ms between 9900 and 10000 from"
                   " t.lease(1, 'model:p/e/slow', want => 9, rpm => 6)"),
        "0|t");
    /* A tenant's figures are in its row, and win. */
    ROWS("select tenant_set('acme', p_rpm => 60, p_tpm => 6000)");
    CHECK_STR(ROWS("select requests, tokens, rpm_share, tpm_share from"
                   " t.lease(1, 'tenant:acme', want => 9, want_tokens => 500)"),
        "1|100|60|6000");
    PQfinish(conn);
}

static void test_tokens(void)
{
    PGconn *conn = open_limits();
    /* 100 a second. One that needs 250 takes them, and they have to come in before another. */
    CHECK_STR(ROWS("select requests, tokens from t.lease(1, 'model:p/e/m', tpm => 6000,"
                   " want_tokens => 900, head => 250)"),
        "-1|250");
    CHECK_STR(ROWS("select tokens, more_ms between 1400 and 1510 from t.lease(1, 'model:p/e/m',"
                   " tpm => 6000, want_tokens => 10, head => 10)"),
        "0|t");
    /* It used only 50: the rest comes back. */
    CHECK_STR(ROWS("select tokens from t.lease(1, 'model:p/e/m', tpm => 6000, want_tokens => 40,"
                   " back_tokens => 200)"),
        "40");
    /* It used 100 more than it was granted. */
    CHECK_STR(ROWS("select tokens from t.lease(1, 'model:p/e/m', tpm => 6000, want_tokens => 40,"
                   " back_tokens => -100)"),
        "0");
    PQfinish(conn);
}

static void test_shares(void)
{
    PGconn *conn = open_limits();
    ROWS("select t.lease(1, 'model:p/e/m', want => 50, rpm => 600, waiting => 50)");
    CHECK_STR(
        ROWS(PASS(60000) "select requests, rpm_share from t.lease(2, 'model:p/e/m', want => 50,"
                         " rpm => 600, waiting => 50)"),
        "5|300");
    ROWS("update limit_users set asked_at = now() - interval '6 seconds' where worker = 1");
    CHECK_STR(
        ROWS(PASS(60000) "select requests, rpm_share from t.lease(2, 'model:p/e/m', want => 50,"
                         " rpm => 600, waiting => 50)"),
        "10|600");
    CHECK_STR(ROWS("select scope, rpm, requests_left, learned, waiting, workers from"
                   " limit_overview"),
        "model:p/e/m|600|0|f|50|1");
    PQfinish(conn);
}

static void test_learned(void)
{
    PGconn *conn = open_limits();
    /* Headers, where nothing is set; another worker hears of it. */
    CHECK_STR(ROWS("select requests, tokens from t.lease(1, 'model:p/e/m', want => 50,"
                   " want_tokens => 5000, seen_rpm => 600, seen_tpm => 60000)"),
        "10|1000");
    CHECK_STR(ROWS("select rpm_share from t.lease(2, 'model:p/e/m')"), "600");
    CHECK_STR(ROWS("select learned from limit_overview"), "t");
    CHECK_STR(ROWS("select rpm_share from t.lease(2, 'model:p/e/m', seen_rpm => 1200)"), "1200");
    /* What is set wins. */
    CHECK_STR(ROWS("select rpm_share from t.lease(2, 'model:p/e/m', rpm => 60)"), "60");
    PQfinish(conn);
}

static void test_pause(void)
{
    PGconn *conn = open_limits();
    CHECK_STR(ROWS("select requests, slots, more_ms between 15000 and 20000, paused_ms = more_ms"
                   " from t.lease(1, 'model:p/e/m', want => 5, pause => 20000)"),
        "-1|-1|t|t");
    CHECK_STR(ROWS("select requests, paused_ms > 10000 from t.lease(2, 'model:p/e/m', want => 5,"
                   " rpm => 600)"),
        "0|t");
    CHECK_STR(
        ROWS(PASS(20000) "select requests, paused_ms from t.lease(2, 'model:p/e/m', want => 5,"
                         " rpm => 600)"),
        "5|0");
    PQfinish(conn);
}

#define FIGURE "select concurrency from limits"

/* Half on a refusal, once a second; one more for each window of successes. */
static void test_concurrency(void)
{
    PGconn *conn = open_limits();
    ROWS("select t.lease(1, 'model:p/e/m', flight => 10, throttled => 10)");
    CHECK_STR(ROWS(FIGURE), "30"); /* the two others may have as many */
    CHECK_STR(ROWS("select slots from t.lease(1, 'model:p/e/m', flight => 10, waiting => 20,"
                   " throttled => 5)"),
        "30");
    CHECK_STR(ROWS(FIGURE), "30");
    for (int i = 0; i < 6; i++)
        ROWS(PASS(
            1001) "select t.lease(1, 'model:p/e/m', flight => 10, waiting => 20, throttled => 1)");
    CHECK_STR(ROWS(FIGURE), "1");
    ROWS("select t.lease(1, 'model:p/e/m', flight => 1, waiting => 20, good => 1)");
    CHECK_STR(ROWS(FIGURE), "2");
    ROWS("select t.lease(1, 'model:p/e/m', flight => 2, waiting => 20, good => 1)");
    CHECK_STR(ROWS(FIGURE), "2");
    ROWS("select t.lease(1, 'model:p/e/m', flight => 2, waiting => 20, good => 6)");
    CHECK_STR(ROWS(FIGURE), "4");
    /* Nobody needs more: nothing is learned by it. */
    ROWS("select t.lease(1, 'model:p/e/m', flight => 1, good => 50)");
    CHECK_STR(ROWS(FIGURE), "4");
    /* Never above what is set. */
    ROWS("select t.lease(1, 'model:p/e/m', flight => 4, waiting => 9, good => 500, most => 6)");
    CHECK_STR(ROWS(FIGURE), "6");
    PQfinish(conn);
}

#define SLOTS(w, flight, waiting)                                                                  \
    ROWS("select slots from t.lease(%d, 'model:p/e/m', most => 8, flight => %d, waiting => %d)",   \
        w, flight, waiting)

static void test_slots(void)
{
    PGconn *conn = open_limits();
    CHECK_STR(SLOTS(1, 0, 20), "8");
    CHECK_STR(SLOTS(2, 0, 20), "0"); /* all are taken */
    CHECK_STR(SLOTS(1, 8, 20), "4"); /* it starts no more until it is down to its part */
    CHECK_STR(SLOTS(2, 0, 20), "0");
    CHECK_STR(SLOTS(1, 5, 20), "4");
    CHECK_STR(SLOTS(2, 0, 20), "3");
    CHECK_STR(SLOTS(1, 4, 20), "4");
    CHECK_STR(SLOTS(2, 3, 20), "4");
    CHECK_STR(SLOTS(1, 0, 0), "1"); /* it needs no more */
    CHECK_STR(SLOTS(2, 4, 20), "7");
    PQfinish(conn);
}

/* One place, two workers: they take turns. */
static void test_turns(void)
{
    PGconn *conn = open_limits();
#define ONE(w, flight, waiting)                                                                    \
    ROWS("select slots from t.lease(%d, 'model:p/e/m', most => 1, flight => %d, waiting => %d)",   \
        w, flight, waiting)
    CHECK_STR(ONE(1, 0, 5), "1");
    CHECK_STR(ONE(2, 0, 5), "0");
    CHECK_STR(ONE(1, 1, 5), "0");
    CHECK_STR(ONE(1, 0, 5), "0"); /* it had one */
    CHECK_STR(ONE(2, 0, 5), "1");
    CHECK_STR(ONE(1, 0, 5), "0");
    PQfinish(conn);
}

/* ---- many at once ---- */

#define CLIENTS 8
#define RUN_MS 4000

struct client {
    pthread_t thread;
    PGconn *conn;
    int64_t granted, asked;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *ask_all_the_time(void *arg)
{
    struct client *client = arg;
    for (int64_t end = now_ms() + RUN_MS; now_ms() < end; client->asked++) {
        PGresult *result = PQexec(client->conn,
            "select requests from t.lease(pg_backend_pid(), 'model:p/e/m', want => 40,"
            " rpm => 6000, waiting => 40, still => false)");
        CHECK(PQresultStatus(result) == PGRES_TUPLES_OK);
        client->granted += strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        PQclear(result);
    }
    return NULL;
}

static void test_never_more(void)
{
    PGconn *conn = open_limits();
    struct client clients[CLIENTS] = {0};
    for (int i = 0; i < CLIENTS; i++)
        clients[i].conn = pgtest_connect("");
    int64_t began = now_ms(), granted = 0, asked = 0, least = INT64_MAX;
    for (int i = 0; i < CLIENTS; i++)
        CHECK(pthread_create(&clients[i].thread, NULL, ask_all_the_time, &clients[i]) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        granted += clients[i].granted;
        asked += clients[i].asked;
        least = clients[i].granted < least ? clients[i].granted : least;
        PQfinish(clients[i].conn);
    }
    int64_t took = now_ms() - began;
    printf("# %lld granted in %lld ms to %d connections that asked %lld times; least %lld\n",
        (long long)granted, (long long)took, CLIENTS, (long long)asked, (long long)least);
    CHECK(granted <= 100 + took / 10); /* a burst, and a hundred a second */
    CHECK(granted >= 100 + (took - 1000) / 10 * 9 / 10);
    CHECK(least >= granted / CLIENTS / 4);
    PQfinish(conn);
}

/* Whoever asks for the same scopes in another order waits, and no more. */
static void *ask_both(void *arg)
{
    struct client *client = arg;
    const char *both =
        client->asked ? "array['model:a', 'model:b']" : "array['model:b', 'model:a']";
    char sql[512];
    snprintf(sql, sizeof(sql),
        "select millrace.lease_limits(1, %s, '{600,600}', '{0,0}', '{0,0}', '{1,1}', '{0,0}',"
        " '{0,0}', '{0,0}', '{0,0}', '{0,0}', '{0,0}', '{0,0}', '{0,0}', '{0,0}', '{-1,-1}',"
        " '{-1,-1}')",
        both);
    for (int i = 0; i < 200; i++) {
        PGresult *result = PQexec(client->conn, sql);
        CHECK(PQresultStatus(result) == PGRES_TUPLES_OK);
        CHECK_INT(PQntuples(result), 2);
        PQclear(result);
    }
    return NULL;
}

static void test_order(void)
{
    PGconn *conn = open_limits();
    struct client clients[2] = {{.asked = 0}, {.asked = 1}};
    for (int i = 0; i < 2; i++) {
        clients[i].conn = pgtest_connect("");
        CHECK(pthread_create(&clients[i].thread, NULL, ask_both, &clients[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(clients[i].thread, NULL);
        PQfinish(clients[i].conn);
    }
    PQfinish(conn);
}

PG_TEST_MAIN(TEST(test_no_limit), TEST(test_buckets), TEST(test_tokens), TEST(test_shares),
    TEST(test_learned), TEST(test_pause), TEST(test_concurrency), TEST(test_slots),
    TEST(test_turns), TEST(test_never_more), TEST(test_order))
