/* Results of jobs, shared by `results` and `enqueue --wait`. */
#pragma once

#include "producer/db.h"

/* Rows of the view results for these jobs (a uuid[] literal), in the order of the ids; step NULL =
 * all. 0, or as mr_pg_error with err. */
int mr_results_read(PGconn *conn, const struct mr_config *config, const char *ids, const char *step,
    PGresult **ret, struct mr_err *err) MR_CHECK;
/* The same; NULL: the user has been told why. */
PGresult *mr_results_query(
    struct mr_cli *cli, PGconn *conn, const char *ids, const char *step) MR_CHECK;
struct mr_rows mr_results_rows(const PGresult *results);

enum { MR_RC_JOB, MR_RC_STEP, MR_RC_OUTPUT, MR_RC_DEGRADED = 7, MR_RC_CACHED };

/* One step's output for people, indented: its text, or its JSON. Long ones are cut unless whole. */
void mr_results_print(struct mr_cli *cli, const PGresult *results, int row, bool whole);

/* The output as JSON; null when it cannot be read. */
json_t *mr_results_json(const PGresult *results, int row);
