#include "producer/status.h"

#include <stdlib.h>
#include <string.h>

static const struct mr_column job_columns[] = {
    {"job", "Job", MR_CELL_TEXT},
    {"state", "State", MR_CELL_TEXT},
    {"tenant", "Tenant", MR_CELL_TEXT},
    {"pipeline", "Pipeline", MR_CELL_TEXT},
    {"version", "Version", MR_CELL_INT},
    {"priority", "Priority", MR_CELL_INT},
    {"pool", "Pool", MR_CELL_TEXT},
    {"step", "At step", MR_CELL_TEXT},
    {"steps_done", "Steps done", MR_CELL_INT},
    {"attempts", "Calls", MR_CELL_INT},
    {"cost_usd", "Cost", MR_CELL_USD},
    {"held_usd", "Held", MR_CELL_USD},
    {"ambiguous_usd", "Ambiguous", MR_CELL_USD},
    {"redeliveries", "Redeliveries", MR_CELL_INT},
    {"replays", "Replays", MR_CELL_INT},
    {"worker", "Worker", MR_CELL_TEXT},
    {"created_at", "Created", MR_CELL_TIME},
    {"claimed_at", "Claimed", MR_CELL_TIME},
    {"ended_at", "Ended", MR_CELL_TIME},
    {"delay_until", "Waits until", MR_CELL_TIME},
    {"deadline", "Deadline", MR_CELL_TIME},
    {"error_class", "Error", MR_CELL_TEXT},
    {"error_step", "Failed step", MR_CELL_TEXT},
    {"error_message", "Message", MR_CELL_TEXT},
    {"duplicate_of", "Duplicate of", MR_CELL_TEXT},
    {"degraded", "Degraded", MR_CELL_BOOL},
    {"cancel_requested", "Cancelling", MR_CELL_BOOL},
    {"idempotency_key", "Key", MR_CELL_TEXT},
    {"metadata", "Metadata", MR_CELL_JSON},
};
#define NJOB (sizeof(job_columns) / sizeof(job_columns[0]))

static const struct mr_column step_columns[] = {
    {"job", NULL, MR_CELL_TEXT},
    {"step", "STEP", MR_CELL_TEXT},
    {"state", "STATE", MR_CELL_TEXT},
    {"attempts", "ATTEMPTS", MR_CELL_INT},
    {"ms", "SECONDS", MR_CELL_MS},
    {"cost_usd", "COST", MR_CELL_USD},
    {"degraded", "DEGRADED", MR_CELL_BOOL},
    {"cached", "CACHED", MR_CELL_BOOL},
    {"error_class", "ERROR", MR_CELL_TEXT},
    {"error_message", "MESSAGE", MR_CELL_TEXT},
    {"started_at", NULL, MR_CELL_TIME},
    {"ended_at", NULL, MR_CELL_TIME},
};
#define NSTEP (sizeof(step_columns) / sizeof(step_columns[0]))

static const char job_sql[] =
    "select job_id, state, tenant, pipeline, version, priority, pool, step, steps_done, attempts, "
    "cost_usd, held_usd, ambiguous_usd, redeliveries, replays, worker, "
    "millrace.utc(created_at), millrace.utc(claimed_at), millrace.utc(ended_at), "
    "millrace.utc(delay_until), millrace.utc(deadline), error_class, error_step, error_message, "
    "duplicate_of, degraded, cancel_requested, "
    "idempotency_key, metadata from millrace.job_overview "
    "where job_id = any($1::uuid[]) order by array_position($1::uuid[], job_id)";

static const char step_sql[] =
    "select job_id, step, state, attempts, "
    "(extract(epoch from coalesce(ended_at, now()) - started_at) * 1000)::bigint, cost_usd, "
    "degraded, cached, error_class, error_message, millrace.utc(started_at), "
    "millrace.utc(ended_at) from millrace.job_steps "
    "where job_id = any($1::uuid[]) order by array_position($1::uuid[], job_id), started_at, "
    "ended_at, array_position($2::text[], step), step";

static const char *slice_cell(const void *source, size_t row, size_t column)
{
    const struct mr_status_slice *slice = source;
    int at = (int)(slice->first + row);
    return PQgetisnull(slice->result, at, (int)column) ? NULL
                                                       : PQgetvalue(slice->result, at, (int)column);
}

/* The rows of one job; they stand together. */
struct mr_rows mr_status_steps(
    const struct mr_status *status, size_t row, struct mr_status_slice *slice)
{
    const PGresult *steps = status->steps;
    const char *job = PQgetvalue(status->jobs, (int)row, 0);
    struct mr_rows rows = {
        .columns = step_columns, .ncolumns = NSTEP, .cell = slice_cell, .source = slice};
    *slice = (struct mr_status_slice){.result = steps};
    for (int i = 0; i < PQntuples(steps); i++)
        if (strcmp(PQgetvalue(steps, i, 0), job) == 0 && rows.nrows++ == 0)
            slice->first = (size_t)i;
    return rows;
}

struct mr_rows mr_status_jobs(const struct mr_status *status)
{
    return mr_db_rows(status->jobs, job_columns, NJOB);
}

json_t *mr_status_json(const struct mr_status *status, size_t row)
{
    struct mr_status_slice slice;
    struct mr_rows jobs = mr_status_jobs(status), rows = mr_status_steps(status, row, &slice);
    json_t *job = mr_output_object(&jobs, row), *array = json_array();
    for (size_t k = 0; k < rows.nrows; k++)
        json_array_append_new(array, mr_output_object(&rows, k));
    json_object_set_new(job, "steps", array);
    return job;
}

int mr_status_read(PGconn *conn, const struct mr_config *config, const char *ids,
    struct mr_status *ret, struct mr_err *err)
{
    char *order = mr_db_step_order(config);
    const char *params[] = {ids, order};
    struct mr_status status = {NULL};
    int r = mr_db_ask(conn, job_sql, 1, params, &status.jobs, err);
    if (r == 0)
        r = mr_db_ask(conn, step_sql, 2, params, &status.steps, err);
    free(order);
    if (r < 0)
        mr_status_deinit(&status);
    else
        *ret = status;
    return r;
}

void mr_status_deinit(struct mr_status *status)
{
    mr_db_clearp(&status->jobs);
    mr_db_clearp(&status->steps);
}
