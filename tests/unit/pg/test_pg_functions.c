/* The set functions' rules, one by one. Jobs and calls are numbers: t.id makes uuids of them. */
#include "tests/unit/pg/pgtest.h"

#define ROWS(...) pgtest_rows(conn, __VA_ARGS__)

static void test_whole_life(void)
{
    PGconn *conn = pgtest_open_with_workers();
    CHECK_STR(ROWS("select t.claim(1, 1)"), "run/1/0/0");
    CHECK_STR(ROWS("select t.known(1, 1) #- '{summarize,since_ms}'"), "-");
    CHECK_STR(ROWS("select t.commit(1, 1, 2, step => 'extract', call => 10)"), "ok");
    CHECK_STR(ROWS("select t.calls(1)"), "summarize:open:0");
    ROWS("select t.settle(10)");
    CHECK_STR(
        ROWS("select t.commit(1, 1, 2, step => 'summarize', call => 11, call_step => 'entities')"),
        "ok");
    CHECK_STR(ROWS("select held_usd, cost_usd, step, state, attempts from job_overview"),
        "0.000000000500|0.000000000300|entities|running|2");
    CHECK_STR(ROWS("select step, state, cost_usd from job_steps order by step collate \"C\""),
        "entities|running|0.000000000000\nextract|done|0.000000000000\n"
        "summarize|done|0.000000000300");
    ROWS("select t.settle(11)");
    CHECK_STR(ROWS("select t.commit(1, 1, 2, 'done', step => 'entities')"), "ok");
    CHECK_STR(ROWS("select t.job(1), t.calls(1)"),
        "done/2/0/0|summarize:settled:300,entities:settled:300");
    CHECK_STR(ROWS("select step, output, cost_usd from results order by step"),
        "entities|{\"text\": \"x\"}|0.000000000300\nextract|{\"text\": \"x\"}|0.000000000000\n"
        "summarize|{\"text\": \"x\"}|0.000000000300");
    CHECK_STR(ROWS("select t.claim(2, 1)"), "done/-/-/600");
    CHECK_STR(ROWS("select tenant, jobs, calls, input_tokens, cost_usd from cost_by_tenant_day"),
        "acme|1|2|20|0.000000000600");
    PQfinish(conn);
}

static void test_saying_it_again(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    CHECK_STR(ROWS("select t.claim(1, 1)"), "run/2/0/0"); /* the answer was lost: no crash */
    for (int i = 0; i < 2; i++)
        CHECK_STR(ROWS("select t.commit(1, 1, 2, step => 'extract', call => 10)"), "ok");
    ROWS("select cancel(t.id(1))");
    /* What was written is not refused now. */
    CHECK_STR(ROWS("select t.commit(1, 1, 2, step => 'extract', call => 10)"), "ok");
    for (int i = 0; i < 2; i++) {
        ROWS("select t.settle(10)");
        CHECK_STR(ROWS("select t.commit(1, 1, 2, 'waiting', step => 'summarize')"), "ok");
    }
    CHECK_STR(ROWS("select t.job(1)"), "waiting/2/0/0");
    CHECK_STR(ROWS("select t.claim(1, 2)"), "run/1/0/0");
    for (int i = 0; i < 2; i++)
        CHECK_STR(
            ROWS("select t.commit(1, 2, 1, 'dead', step => 'extract', state => 'failed')"), "ok");
    CHECK_STR(ROWS("select t.commit(1, 2, 1, 'done')"), "stale");
    CHECK_STR(ROWS("select t.commit(2, 2, 1, 'dead')"), "stale");
    CHECK_STR(ROWS("select count(*) from calls"), "1");
    CHECK_STR(ROWS("select count(*) from steps"), "3");
    PQfinish(conn);
}

static void test_fencing(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    CHECK_STR(ROWS("select t.claim(2, 1)"), "busy/-/-/-"); /* no open calls, but it lives */
    pgtest_let_die(conn, 1);
    CHECK_STR(ROWS("select t.claim(2, 1)"), "run/2/1/0");
    pgtest_let_die(conn, 2);
    CHECK_STR(ROWS("select t.commit(1, 1, 1, step => 'extract', call => 10)"), "stale");
    CHECK_STR(ROWS("select t.commit(1, 1, 1, 'done')"), "stale");
    CHECK_STR(ROWS("select t.commit(2, 9, 1)"), "stale"); /* no such job */
    CHECK_STR(ROWS("select (select count(*) from steps), (select count(*) from calls)"), "0|0");
    CHECK_STR(ROWS("select t.claim(1, 1)"), "run/3/2/0");
    CHECK_STR(ROWS("select t.commit(1, 1, 3, step => 'extract')"), "ok");
    pgtest_let_die(conn, 1);
    CHECK_STR(ROWS("select t.claim(2, 1)"), "run/4/1/0"); /* a finished step ends the row */
    PQfinish(conn);
}

static void test_busy_until_dead(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    ROWS("select t.commit(1, 1, 1, call => 10)");
    CHECK_STR(ROWS("select t.claim(2, 1)"), "busy/-/-/-");
    CHECK_STR(ROWS("select t.job(1)"), "running/1/0/0");
    PGconn *other = pgtest_connect("millrace_worker");
    pgtest_rows(other, "select worker_resume(1), worker_heartbeat(1)");
    pgtest_let_die(conn, 1);
    CHECK_STR(ROWS("select t.claim(2, 1)"), "busy/-/-/-"); /* the lock is held */
    pgtest_rows(other, "select pg_advisory_unlock_all()");
    ROWS("update workers set session_at = now() where id = 2");
    CHECK_STR(ROWS("select t.claim(2, 1)"), "busy/-/-/-"); /* the judge was away himself */
    pgtest_let_die(conn, 1);
    CHECK_STR(ROWS("select t.claim(2, 1)"), "run/2/1/500");
    CHECK_STR(ROWS("select t.calls(1)"), "summarize:ambiguous:500");
    CHECK_STR(ROWS("select t.known(2, 1) #- '{summarize,since_ms}'"),
        "{\"summarize\": {\"paid\": 1, \"attempts\": 1}}");
    CHECK_STR(ROWS("select ambiguous_usd from job_overview"), "0.000000000500");
    /* The late answer counts once, and only as money. */
    ROWS("select t.settle(10, 200)");
    ROWS("select t.settle(10, 400)");
    ROWS("select t.settle(10, 400, 'ambiguous')");
    CHECK_STR(ROWS("select t.calls(1), t.job(1)"), "summarize:settled:200|running/3/1/0");
    PQfinish(other);
    PQfinish(conn);
}

static void test_expired_call_protects_nothing(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    ROWS("select t.commit(1, 1, 1, call => 10, timeout_ms => -1000)");
    CHECK_STR(ROWS("select t.claim(2, 1)"), "busy/-/-/-"); /* its answer may be on its way here */
    ROWS("select t.claim(1, 2)");
    ROWS("select t.commit(1, 2, 1, call => 11, timeout_ms => -11000)");
    CHECK_STR(ROWS("select t.claim(2, 2)"), "run/2/1/500");
    ROWS("select t.commit(2, 2, 2, call => 12)");
    ROWS("select worker_stop(2)"); /* a clean end */
    CHECK_STR(ROWS("select t.claim(1, 2)"), "run/3/2/1000");
    PQfinish(conn);
}

static void test_locked_rows_are_busy(void)
{
    PGconn *conn = pgtest_open_with_workers();
    PGconn *other = pgtest_connect("");
    ROWS("select t.claim(1, 1), t.commit(1, 1, 1, call => 10), t.claim(1, 2)");
    pgtest_let_die(conn, 1);
    pgtest_rows(other, "begin; select from jobs where id = t.id(2) for update;"
                       "select from calls where id = t.id(10) for update");
    CHECK_STR(ROWS("select t.claim(2, 1)"), "busy/-/-/-");
    CHECK_STR(ROWS("select t.claim(2, 2)"), "busy/-/-/-");
    CHECK_STR(ROWS("select t.job(1), t.job(2), t.calls(1)"),
        "running/1/0/0|running/1/0/0|summarize:open:0");
    pgtest_rows(other, "rollback");
    CHECK_STR(ROWS("select t.claim(2, 1)"), "run/2/1/500");
    PQfinish(other);
    PQfinish(conn);
}

static void test_duplicates(void)
{
    PGconn *conn = pgtest_open_with_workers();
    CHECK_STR(ROWS("select t.claim(1, 1, 'k')"), "run/1/0/0");
    CHECK_STR(ROWS("select t.claim(2, 2, 'k')"), "duplicate/-/-/-");
    CHECK_STR(ROWS("select t.claim(2, 2, 'k')"), "duplicate/-/-/-");
    CHECK_STR(ROWS("select t.claim(1, 3, 'k', tenant => 'other')"), "run/1/0/0");
    CHECK_STR(ROWS("select state, duplicate_of from job_overview where job_id = t.id(2)"),
        "cancelled|00000000-0000-7000-8000-000000000001");
    PQfinish(conn);
}

static void test_duplicates_inside_a_batch(void)
{
    PGconn *conn = pgtest_open_with_workers();
    /* Job 4 twice; 6 and 5 share a key (the older wins); 7 has the key of a known job; 8 is new. */
    ROWS("select t.claim(1, 1, 'known')");
    CHECK_STR(ROWS("select ord, verdict, epoch, error_message from millrace.claim(1, 3000, 'main',"
                   " array[t.id(4), t.id(6), t.id(4), t.id(5), t.id(7), t.id(8)],"
                   " array_fill('acme'::text, array[6]), array_fill('document'::text, array[6]),"
                   " array_fill(1, array[6]), array_fill(5, array[6]), array_fill(0, array[6]),"
                   " array[null, 'k', null, 'k', 'known', null],"
                   " array_fill('{}'::jsonb, array[6]), array_fill(0::bigint, array[6]),"
                   " array_fill(0::bigint, array[6])) order by ord"),
        "1|run|1|-\n2|duplicate|-|00000000-0000-7000-8000-000000000005\n3|busy|1|-\n4|run|1|-\n"
        "5|duplicate|-|00000000-0000-7000-8000-000000000001\n6|run|1|-");
    PQfinish(conn);
}

static void test_cancel(void)
{
    PGconn *conn = pgtest_open_with_workers();
    CHECK_STR(ROWS("select cancel(t.id(1))"), "cancelled"); /* nobody has seen it yet */
    CHECK_STR(ROWS("select cancel(t.id(1))"), "cancelled");
    CHECK_STR(ROWS("select t.job(1)"), "queued/0/0/0");
    CHECK_STR(ROWS("select t.claim(1, 1, 'k')"), "cancelled/-/-/-");
    CHECK_STR(ROWS("select t.claim(1, 1, 'k')"), "cancelled/-/-/0");
    CHECK_STR(ROWS("select tenant, state from job_overview"), "acme|cancelled");
    CHECK_STR(ROWS("select t.claim(1, 2, 'k')"), "run/1/0/0"); /* the key is free */
    CHECK_STR(ROWS("select cancel(t.id(2))"), "cancelling");
    CHECK_STR(ROWS("select t.commit(1, 2, 1, step => 'extract', call => 10)"), "cancelled");
    CHECK_STR(ROWS("select (select count(*) from steps), (select count(*) from calls)"), "1|0");
    CHECK_STR(ROWS("select t.commit(1, 2, 1, 'cancelled')"), "ok");
    CHECK_STR(ROWS("select cancel(t.id(2))"), "cancelled");
    ROWS("select t.claim(1, 3), t.commit(1, 3, 1, 'waiting')");
    CHECK_STR(ROWS("select cancel(t.id(3)), t.job(3)"), "cancelled|cancelled/1/0/0");
    CHECK_STR(ROWS("select t.claim(2, 3)"), "cancelled/-/-/0");
    ROWS("select t.claim(1, 4), cancel(t.id(4))");
    pgtest_let_die(conn, 1);
    CHECK_STR(ROWS("select t.claim(2, 4)"), "cancelled/-/-/-"); /* its worker is gone */
    ROWS("select t.claim(1, 5)");
    ROWS("select t.commit(1, 5, 1, 'done')");
    CHECK_STR(ROWS("select cancel(t.id(5))"), "done");
    PQfinish(conn);
}

static void test_replay(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    ROWS("select t.commit(1, 1, 1, step => 'extract', call => 10)");
    ROWS("select t.settle(10)");
    ROWS("select t.commit(1, 1, 1, 'dead', step => 'summarize', state => 'failed')");
    CHECK_STR(ROWS("select step, error_class, attempts, spent_usd, steps_done from dead_jobs"),
        "summarize|invalid|1|0.000000000300|1");
    CHECK_STR(ROWS("select t.claim(1, 1)"), "dead/-/-/300");
    CHECK_STR(ROWS("select t.claim(1, 1, replay => 1)"), "run/2/0/300");
    CHECK_STR(ROWS("select t.known(1, 1, replay => 1)"),
        "{\"extract\": {\"class\": null, \"state\": \"done\", \"output\": {\"text\": \"x\"}, "
        "\"message\": null, \"attempts\": 1, \"degraded\": false}}");
    ROWS("select t.commit(1, 1, 3, 'dead')");
    CHECK_STR(
        ROWS("select t.claim(1, 1, replay => 1)"), "dead/-/-/300"); /* the same message again */
    CHECK_STR(ROWS("select t.claim(1, 1, replay => 2)"), "run/4/0/300");
    CHECK_STR(ROWS("select t.commit(1, 1, 4, 'done', step => 'summarize')"), "ok");
    CHECK_STR(ROWS("select state, error_class, replays from job_overview"), "done|-|2");
    PQfinish(conn);
}

static void test_replay_of_a_job_that_was_to_be_cancelled(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    CHECK_STR(ROWS("select cancel(t.id(1))"), "cancelling");
    ROWS("select t.commit(1, 1, 1, 'dead')"); /* a step failed before anybody looked */
    CHECK_STR(ROWS("select t.claim(1, 1)"), "dead/-/-/0");
    CHECK_STR(ROWS("select t.claim(1, 1, replay => 1)"), "run/2/0/0"); /* the later wish counts */
    CHECK_STR(ROWS("select t.commit(1, 1, 2, step => 'extract', call => 10)"), "ok");
    PQfinish(conn);
}

/* A worker that died between a step's failure and the job's end leaves the reason behind. */
static void test_a_failed_step_is_known(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    ROWS("select t.commit(1, 1, 1, step => 'extract', state => 'failed')");
    ROWS("update steps set error_class = 'invalid', error_message = 'no text'");
    pgtest_let_die(conn, 1);
    CHECK_STR(ROWS("select k->'extract'->>'state', k->'extract'->>'class',"
                   " k->'extract'->>'message' from t.known(2, 1) k"),
        "failed|invalid|no text");
    PQfinish(conn);
}

/* A job that was claimed when nobody knew its pipeline gets its version with the first who does. */
static void test_version_is_learnt_once(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    ROWS("update jobs set version = 0");
    ROWS("select t.claim(1, 1)");
    CHECK_STR(ROWS("select version from jobs"), "1");
    ROWS("update jobs set version = 7");
    ROWS("select t.claim(1, 1)");
    CHECK_STR(ROWS("select version from jobs"), "7");
    PQfinish(conn);
}

static void test_end_leaves_no_call_open(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    ROWS("select t.commit(1, 1, 1, call => 10)");
    ROWS("select t.commit(1, 1, 1, call => 11)");
    ROWS("select t.settle(11, 0, 'released')");
    CHECK_STR(ROWS("select t.commit(1, 1, 1, 'dead')"), "ok");
    CHECK_STR(ROWS("select t.calls(1)"), "summarize:ambiguous:500,summarize:released:0");
    ROWS("select t.settle(10, 123)");
    CHECK_STR(ROWS("select t.calls(1)"), "summarize:settled:123,summarize:released:0");
    PQfinish(conn);
}

static void test_what_was_never_sent_is_no_attempt(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    ROWS("select t.commit(1, 1, 1, call => 10)");
    ROWS("select t.settle(10, 0, 'released')");
    CHECK_STR(ROWS("select t.commit(1, 1, 1, 'waiting')"), "ok");
    CHECK_STR(ROWS("select t.known(1, 1) #- '{summarize,since_ms}'"), "-");
    ROWS("select t.commit(1, 1, 2, call => 11)");
    ROWS("select t.settle(11)");
    CHECK_STR(ROWS("select t.known(1, 1) #- '{summarize,since_ms}'"),
        "{\"summarize\": {\"paid\": 1, \"attempts\": 1}}");
    PQfinish(conn);
}

/* When the step's patience began, in hours before now. */
#define SINCE                                                                                      \
    "select round((extract(epoch from now()) - (t.known(1, 1) #>> '{summarize,since_ms}')"         \
    "::numeric / 1000) / 3600, 2)"

static void test_no_patience_is_lost_under_a_cap(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    ROWS("select t.commit(1, 1, 1, call => 10)");
    ROWS("select t.settle(10)");
    ROWS("update calls set started_at = now() - interval '30 hours', recosted_at = now()");
    ROWS("select t.commit(1, 1, 1, 'waiting')");
    ROWS("update jobs set error_class = 'server', updated_at = now() - interval '28 hours'");
    CHECK_STR(ROWS(SINCE), "30.00");
    static const char *const since[] = {"22.00", "14.00"};
    for (int i = 0; i < 2; i++) { /* twice eight hours, parked */
        ROWS("select t.commit(1, 1, %d, 'waiting')", 2 + i);
        ROWS("update jobs set error_class = '%s', updated_at = now() - interval '8 hours'",
            i ? "limited" : "capped");
        CHECK_STR(ROWS(SINCE), since[i]);
    }
    /* Another step's patience is its own. */
    ROWS("select t.commit(1, 1, 4, 'waiting', 'extract')");
    CHECK_STR(ROWS(SINCE), "14.00");
    ROWS("select t.commit(1, 1, 5, 'waiting', 'summarize')");
    CHECK_STR(ROWS("select t.known(1, 1) #>> '{summarize,state}'"), "done");
    CHECK_STR(ROWS("select excused from jobs"), "-");
    PQfinish(conn);
}

static void test_waiting(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    pgtest_let_die(conn, 1);
    ROWS("select t.claim(2, 1)");
    CHECK_STR(ROWS("select verdict from commit_jobs(2, array[t.id(1)], array[2::bigint],"
                   "array['waiting'], array[null], array[null], array[null],"
                   "array[1900000000123], array['gpu'], '{}', '{}', '{}', '{}', '{}', '{}', '{}',"
                   "'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',"
                   "'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')"),
        "ok");
    CHECK_STR(ROWS("select pool, delay_until at time zone 'UTC', redeliveries from job_overview"),
        "gpu|2030-03-17 17:46:40.123|0");
    CHECK_STR(ROWS("select until_ms, epoch, redeliveries from claim(1, 3000, 'main',"
                   " array[t.id(1)], array['a'], array['d'], array[9], array[5], array[0],"
                   " array[null], array[null::jsonb], array[0::bigint], array[0::bigint])"),
        "1900000000123|3|0");
    PQfinish(conn);
}

static void test_legal_moves(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("select t.claim(1, 1)");
    CHECK_STR(pgtest_fails(conn, "update jobs set state = 'queued'"), "23514");
    ROWS("select t.commit(1, 1, 1, 'dead')");
    CHECK_STR(pgtest_fails(conn, "update jobs set state = 'running', ended_at = null"), "23514");
    CHECK_STR(pgtest_fails(conn, "update jobs set state = 'done'"), "23514");
    ROWS("update jobs set state = 'running', ended_at = null, replays = 1");
    ROWS("update jobs set state = 'done', ended_at = now()");
    CHECK_STR(pgtest_fails(conn, "update jobs set state = 'running', ended_at = null"), "23514");
    CHECK_STR(pgtest_fails(conn, "update jobs set pool = 'x'"), "23514");
    ROWS("select t.claim(1, 2), t.commit(1, 2, 1, call => 10), t.settle(10)");
    ROWS("select t.commit(1, 2, 1, call => 10)");
    ROWS("select t.settle(10)");
    CHECK_STR(pgtest_fails(conn, "update calls set state = 'open'"), "23514");
    CHECK_STR(pgtest_fails(conn, "update calls set cost_pico = 0"), "23514");
    PQfinish(conn);
}

static void test_rejects(void)
{
    PGconn *conn = pgtest_open_with_workers();
    const char *sql =
        "select reject(1, array[t.id(1), t.id(1), t.id(2)], array[null, null, 'acme'],"
        "array[null, null, 'document'], array['invalid', 'invalid', 'invalid'],"
        "array['not JSON', 'not JSON', 'bad'], array[3::bigint, 3, 4],"
        "array['abc', 'abc', 'abcd'])";
    ROWS("%s", sql);
    ROWS("%s", sql);
    CHECK_STR(
        ROWS("select times, message, head from rejects order by id"), "4|not JSON|abc\n2|bad|abcd");
    CHECK_STR(ROWS("select job_id, error_message, worker from dead_jobs order by job_id limit 1"),
        "00000000-0000-7000-8000-000000000001|not JSON|one");
    PQfinish(conn);
}

/* Two words about one endpoint in a batch, and one about another. */
static const char *noted(PGconn *conn, const char *first, const char *last)
{
    ROWS("select note_breakers(1, array['p', 'p', 'q'], array['a', 'a', 'a'],"
         "array['%s', '%s', 'open'], array[0::bigint, 0, 0], array[null, null, 'down'])",
        first, last);
    return ROWS("select provider, state from breakers order by provider");
}

static void test_the_last_word_about_a_breaker_counts(void)
{
    PGconn *conn = pgtest_open_with_workers();
    CHECK_STR(noted(conn, "open", "half_open"), "p|half_open\nq|open");
    CHECK_STR(noted(conn, "half_open", "closed"), "q|open");
    CHECK_STR(noted(conn, "closed", "open"), "p|open\nq|open");
    PQfinish(conn);
}

/* Of an endpoint that is not configured any more nobody will ever say that it is well. */
static void test_old_breakers_go(void)
{
    PGconn *conn = pgtest_open_with_workers();
    ROWS("insert into breakers values (1, 'p', 'gone', 'half_open', now() - interval '25 hours', "
         "null),"
         " (1, 'p', 'idle', 'open', now() - interval '25 hours', now() - interval '24 hours 1 s'),"
         " (1, 'p', 'purse', 'open', now() - interval '25 hours', now() - interval '23 hours'),"
         " (1, 'p', 'now', 'open', now() - interval '23 hours', null)");
    ROWS("select sweep(1, 3000)");
    CHECK_STR(ROWS("select endpoint from breakers order by 1"), "now\npurse");
    PQfinish(conn);
}

PG_TEST_MAIN(TEST(test_whole_life), TEST(test_saying_it_again), TEST(test_fencing),
    TEST(test_busy_until_dead), TEST(test_expired_call_protects_nothing),
    TEST(test_locked_rows_are_busy), TEST(test_duplicates), TEST(test_duplicates_inside_a_batch),
    TEST(test_cancel), TEST(test_replay), TEST(test_replay_of_a_job_that_was_to_be_cancelled),
    TEST(test_a_failed_step_is_known), TEST(test_version_is_learnt_once),
    TEST(test_end_leaves_no_call_open), TEST(test_no_patience_is_lost_under_a_cap),
    TEST(test_waiting), TEST(test_what_was_never_sent_is_no_attempt), TEST(test_legal_moves),
    TEST(test_rejects), TEST(test_the_last_word_about_a_breaker_counts), TEST(test_old_breakers_go))
