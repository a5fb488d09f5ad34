/* A database of its own for each case, on the server MILLRACE_TEST_PG (a conninfo without password)
 * names. Without that variable the whole program is skipped. */
#pragma once

#include "common/pg.h"
#include "tests/unit/test.h"

#define PG_TEST_MAIN(...)                                                                          \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct mr_test tests[] = {__VA_ARGS__};                                       \
        return pgtest_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));                   \
    }
int pgtest_main(int argc, char **argv, const struct mr_test *tests, size_t count);

/* Makes the case's database, runs the migrations, and connects as the owner. */
PGconn *pgtest_open(void);
/* One more connection to the case's database, as this role ("" = the owner), with the search path a
 * program has. */
PGconn *pgtest_connect(const char *role);
const char *pgtest_database(void);

/* A worker's configuration for the case's database. It borrows statics: never free it. With
 * wrong_port nothing answers there. */
void pgtest_config(struct mr_config *ret, bool wrong_port);

/* Runs SQL that must work: rows as lines, columns parted by '|', NULL as "-". The text is static
 * and good until the call after the next three. */
const char *pgtest_rows(PGconn *conn, const char *fmt, ...) MR_PRINTF(2, 3);
/* Runs SQL that must fail, and returns its SQLSTATE. */
const char *pgtest_fails(PGconn *conn, const char *fmt, ...) MR_PRINTF(2, 3);

/* pgtest_open with the shorthands and workers 1, 2 and 3, none of which looks alive by its lock. */
PGconn *pgtest_open_with_workers(void);
/* Makes a worker look dead: an old heartbeat, and a judge whose own session is older still. */
void pgtest_let_die(PGconn *conn, int worker);

/* One-job shorthands over the set functions (schema t of the case's database). */
void pgtest_shorthands(PGconn *owner);
