#include "tests/unit/pg/pgtest.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_twice(void)
{
    PGconn *owner = pgtest_open();
    struct mr_err err;
    int applied = -1;
    CHECK_INT(mr_pg_migrate(owner, &applied, &err), 0);
    CHECK_INT(applied, 0);
    CHECK_INT(mr_pg_check_version(owner, &err), 0);
    PQfinish(owner);
}

static void test_racing_inits(void)
{
    PGconn *owner = pgtest_open();
    pgtest_rows(owner, "drop schema millrace cascade");
    const char *database = pgtest_database();
    char name[64];
    snprintf(name, sizeof(name), "%s", database);
    char conninfo[1024];
    snprintf(conninfo, sizeof(conninfo), "%s dbname=%s", getenv("MILLRACE_TEST_PG"), name);
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            PGconn *conn = PQconnectdb(conninfo);
            struct mr_err err = {0};
            int applied;
            int rc = mr_pg_migrate(conn, &applied, &err);
            if (rc < 0)
                fprintf(stderr, "# %s\n", err.msg);
            PQfinish(conn);
            _exit(rc < 0);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        waitpid(pids[i], &status, 0);
        CHECK_INT(status, 0);
    }
    CHECK_STR(
        pgtest_rows(owner, "select count(*) from millrace.migrations where version = 1"), "1");
    PQfinish(owner);
}

static void test_versions(void)
{
    PGconn *owner = pgtest_open();
    struct mr_err err;
    pgtest_rows(owner, "insert into migrations (version, name) values (9999, 'future')");
    CHECK_INT(mr_pg_check_version(owner, &err), -EPROTO);
    CHECK(strstr(err.msg, "install a newer one"));
    int applied;
    CHECK_INT(mr_pg_migrate(owner, &applied, &err), -EPROTO);
    pgtest_rows(owner, "delete from migrations");
    CHECK_INT(mr_pg_check_version(owner, &err), -EPROTO);
    CHECK(strstr(err.msg, "run `millrace init`"));
    pgtest_rows(owner, "drop schema millrace cascade");
    CHECK_INT(mr_pg_check_version(owner, &err), -EPROTO);
    CHECK(strstr(err.msg, "run `millrace init`"));
    PQfinish(owner);
}

static void test_privileges(void)
{
    PGconn *owner = pgtest_open();
    pgtest_shorthands(owner);
    PGconn *worker = pgtest_connect("millrace_worker");
    PGconn *producer = pgtest_connect("millrace_producer");
    PGconn *reader = pgtest_connect("millrace_reader");

    CHECK_STR(
        pgtest_fails(worker, "insert into jobs (id, state) values (t.id(1), 'queued')"), "42501");
    CHECK_STR(pgtest_fails(worker, "update jobs set state = 'done'"), "42501");
    CHECK_STR(pgtest_fails(worker, "delete from calls"), "42501");
    CHECK_STR(pgtest_fails(worker, "update tenants set cap_day_pico = null"), "42501");
    CHECK_STR(pgtest_fails(worker, "insert into prices default values"), "42501");
    CHECK_STR(
        pgtest_fails(worker, "select claim_duplicate(t.id(1), '', '', 1, 1, '', '{}')"), "42501");
    CHECK_STR(pgtest_rows(worker, "select t.claim(t.worker(), 1)"), "run/1/0/0");
    CHECK_STR(pgtest_rows(worker, "select count(*) from prices, migrations"), "0");

    CHECK_STR(pgtest_fails(producer, "select t.claim(1, 1)"), "42501");
    CHECK_STR(pgtest_rows(producer, "select cancel(t.id(1))"), "cancelling");
    CHECK_STR(pgtest_rows(producer, "select state from job_overview"), "running");

    CHECK_STR(pgtest_fails(reader, "select cancel(t.id(1))"), "42501");
    CHECK_STR(pgtest_fails(reader, "select * from jobs"), "42501");
    CHECK_STR(pgtest_fails(reader, "create table millrace.x ()"), "42501");
    for (int i = 0; i < 7; i++) {
        static const char *const views[] = {"job_overview", "job_steps", "results",
            "cost_by_tenant_day", "cost_by_model", "cost_by_pipeline_step", "dead_jobs"};
        pgtest_rows(reader, "select * from %s", views[i]);
        CHECK_STR(pgtest_fails(reader, "delete from %s", views[i]), "55000");
    }
    pgtest_rows(reader, "select * from call_costs");
    CHECK_STR(pgtest_fails(reader, "delete from call_costs"), "42501");
    PQfinish(reader);
    PQfinish(producer);
    PQfinish(worker);
    PQfinish(owner);
}

PG_TEST_MAIN(TEST(test_twice), TEST(test_racing_inits), TEST(test_versions), TEST(test_privileges))
