/* millrace status: where jobs stand, step by step. */
#include "producer/db.h"

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

/* Part of a result as rows of its own. */
struct slice {
    const PGresult *result;
    size_t first;
};

static const char *slice_cell(const void *source, size_t row, size_t column)
{
    const struct slice *slice = source;
    int at = (int)(slice->first + row);
    return PQgetisnull(slice->result, at, (int)column) ? NULL
                                                       : PQgetvalue(slice->result, at, (int)column);
}

/* The rows of one job; they stand together. */
static struct mr_rows steps_of(const PGresult *steps, const char *job, struct slice *slice)
{
    struct mr_rows rows = {
        .columns = step_columns, .ncolumns = NSTEP, .cell = slice_cell, .source = slice};
    *slice = (struct slice){.result = steps};
    for (int i = 0; i < PQntuples(steps); i++)
        if (strcmp(PQgetvalue(steps, i, 0), job) == 0 && rows.nrows++ == 0)
            slice->first = (size_t)i;
    return rows;
}

static void print_json(struct mr_cli *cli, const struct mr_rows *jobs, const PGresult *steps)
{
    struct mr_list list;
    mr_list_begin(&list, cli);
    for (size_t i = 0; i < jobs->nrows; i++) {
        struct slice slice;
        struct mr_rows rows = steps_of(steps, jobs->cell(jobs->source, i, 0), &slice);
        json_t *job = mr_output_object(jobs, i), *array = json_array();
        for (size_t k = 0; k < rows.nrows; k++)
            json_array_append_new(array, mr_output_object(&rows, k));
        json_object_set_new(job, "steps", array);
        mr_list_add(&list, job);
    }
    mr_list_end(&list);
}

static void print_text(struct mr_cli *cli, const struct mr_rows *jobs, const PGresult *steps)
{
    for (size_t i = 0; i < jobs->nrows; i++) {
        struct slice slice;
        struct mr_rows rows = steps_of(steps, jobs->cell(jobs->source, i, 0), &slice);
        if (i > 0)
            fputc('\n', cli->out);
        mr_output_record(cli, jobs, i);
        if (rows.nrows > 0) {
            fputc('\n', cli->out);
            mr_output_rows(cli, &rows, "");
        }
    }
}

static enum mr_exit run(struct mr_cli *cli)
{
    char *ids = mr_db_ids(cli, cli->args.operands, cli->args.noperands);
    if (!ids)
        return MR_EXIT_USAGE;
    char *order = mr_db_step_order(cli->config);
    const char *params[] = {ids, order};
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_db_clearp) PGresult *jobs = NULL;
    MR_CLEANUP(mr_db_clearp) PGresult *steps = NULL;
    if (conn)
        jobs = mr_db_query(cli, conn, job_sql, 1, params);
    if (jobs)
        steps = mr_db_query(cli, conn, step_sql, 2, params);
    free(order);
    free(ids);
    if (!steps)
        return MR_EXIT_UNREACHABLE;
    struct mr_rows rows = mr_db_rows(jobs, job_columns, NJOB);
    if (cli->format == MR_FORMAT_JSON)
        print_json(cli, &rows, steps);
    else
        print_text(cli, &rows, steps);
    size_t missing = mr_db_missing(cli, jobs,
        "is not in the database: either no worker has taken it from its queue yet, or the id is "
        "wrong");
    return missing ? MR_EXIT_FAILED : MR_EXIT_OK;
}

const struct mr_command mr_cmd_status = {
    .name = "status",
    .operands = "JOB...",
    .summary = "show where jobs stand, step by step",
    .details =
        "Shows state, cost, worker and errors of each job, and its steps with their "
        "attempts, seconds and cost. A job appears in the database when a worker takes it; "
        "until then it waits in its queue and is not found here; millrace explain says what waits "
        "there, and why a job waits.",
    .examples = "  millrace status 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000\n"
                "  millrace status -o json $(cat ids.txt)\n",
    .output = mr_options_output,
    .min_operands = 1,
    .max_operands = MR_OPERANDS_ANY,
    .run = run,
};
