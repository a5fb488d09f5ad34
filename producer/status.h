/* Where jobs stand: what `status` prints and the service answers. */
#pragma once

#include "producer/db.h"

struct mr_status {
    PGresult *jobs, *steps;
};

/* Of these jobs (a uuid[] literal) those the database knows, in the order of the ids, and their
 * steps. 0, or as mr_pg_error with err. */
int mr_status_read(PGconn *conn, const struct mr_config *config, const char *ids,
    struct mr_status *ret, struct mr_err *err) MR_CHECK;
void mr_status_deinit(struct mr_status *status); /* safe on a zeroed one */

struct mr_rows mr_status_jobs(const struct mr_status *status);

/* The steps of one of these rows. */
struct mr_status_slice {
    const PGresult *result;
    size_t first;
};
struct mr_rows mr_status_steps(
    const struct mr_status *status, size_t row, struct mr_status_slice *slice);

/* A job with its steps, as `millrace status -o json` prints it. */
json_t *mr_status_json(const struct mr_status *status, size_t row);
