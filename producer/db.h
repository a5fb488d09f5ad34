/* The database as commands use it: one connection, text results, errors told to the user. */
#pragma once

#include "common/pg.h"
#include "producer/output.h"

/* Connects as the millrace command's own role and checks that the schema is the one this build
 * knows. NULL: the user has been told why; the command exits with MR_EXIT_UNREACHABLE. */
PGconn *mr_db_open(struct mr_cli *cli) MR_CHECK;

/* The same as the database's owner, for what only `millrace init` and its like may do. */
PGconn *mr_db_open_owner(struct mr_cli *cli) MR_CHECK;

/* Runs one statement with text parameters (NULL = null). NULL: the user has been told why. */
PGresult *mr_db_query(
    struct mr_cli *cli, PGconn *conn, const char *sql, int n, const char *const *params) MR_CHECK;

/* Tells the user of an error r of the database; if a right is missing to what was opened as the
 * owner, whom to connect as. Returns what the command exits with. */
enum mr_exit mr_db_tell(struct mr_cli *cli, int r, const struct mr_err *err);

/* The same without a user to tell. 0, or as mr_pg_error with err. */
int mr_db_ask(PGconn *conn, const char *sql, int n, const char *const *params, PGresult **ret,
    struct mr_err *err) MR_CHECK;

/* For MR_CLEANUP. */
void mr_db_closep(PGconn **conn);
void mr_db_clearp(PGresult **result);

/* The rows of a result whose columns stand in the order of `columns`. */
struct mr_rows mr_db_rows(const PGresult *result, const struct mr_column *columns, size_t ncolumns);

/* The operands as a uuid[] literal. An operand that is no job id is reported, and nothing returned.
 */
char *mr_db_ids(struct mr_cli *cli, const char *const *operands, size_t n) MR_CHECK;

/* Says of each operand that no row of the result is about (first column) "ID <what>". Returns how
 * many there are. */
size_t mr_db_missing(struct mr_cli *cli, const PGresult *result, const char *what);

/* The names of all configured steps as a text[] literal, each pipeline's in order: what tells apart
 * steps of one millisecond. NULL without memory, which sorts them by name. */
char *mr_db_step_order(const struct mr_config *config) MR_CHECK;

/* Formats a time parameter ("" buffer and NULL for ms 0). */
const char *mr_db_time(int64_t ms, char buf[static MR_TIME_LEN]);
