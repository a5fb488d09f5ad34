/* millrace jobs list: jobs by state, tenant, pipeline and age. */
#include "producer/db.h"

static const struct mr_column columns[] = {
    {"job", "JOB", MR_CELL_TEXT},
    {"state", "STATE", MR_CELL_TEXT},
    {"tenant", "TENANT", MR_CELL_TEXT},
    {"pipeline", "PIPELINE", MR_CELL_TEXT},
    {"steps_done", "DONE", MR_CELL_INT},
    {"step", "AT STEP", MR_CELL_TEXT},
    {"cost_usd", "COST", MR_CELL_USD},
    {"created_at", "CREATED", MR_CELL_TIME},
    {"error_class", "ERROR", MR_CELL_TEXT},
    {"error_message", NULL, MR_CELL_TEXT},
    {"priority", NULL, MR_CELL_INT},
    {"pool", NULL, MR_CELL_TEXT},
    {"worker", NULL, MR_CELL_TEXT},
    {"ended_at", NULL, MR_CELL_TIME},
};
#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char sql[] =
    "select job_id, state, tenant, pipeline, steps_done, step, cost_usd,"
    " millrace.utc(created_at), error_class, error_message, priority, pool,"
    " worker, millrace.utc(ended_at) from millrace.job_overview"
    " where ($1::text is null or state = $1) and ($2::text is null or tenant = $2)"
    " and ($3::text is null or pipeline = $3)"
    " and ($4::timestamptz is null or created_at >= $4::timestamptz)"
    " order by created_at desc, job_id desc limit $5::int";

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    int64_t since;
    char time[MR_TIME_LEN], limit[24];
    if (mr_args_time(&cli->args, "since", mr_wall_ms(&cli->clock), -1, 0, &since, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    snprintf(limit, sizeof(limit), "%lld", (long long)mr_args_number(&cli->args, "limit", 50));
    const char *params[] = {mr_args_text(&cli->args, "state", NULL),
        mr_args_text(&cli->args, "tenant", NULL), mr_args_text(&cli->args, "pipeline", NULL),
        mr_db_time(since, time), limit};
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_db_clearp)
    PGresult *result = conn ? mr_db_query(cli, conn, sql, 5, params) : NULL;
    if (!result)
        return MR_EXIT_UNREACHABLE;
    struct mr_rows rows = mr_db_rows(result, columns, NCOLUMNS);
    mr_output_rows(cli, &rows, "no such jobs");
    return MR_EXIT_OK;
}

static const struct mr_option options[] = {
    {.name = "state",
        .letter = 's',
        .type = MR_OPT_CHOICE,
        .arg = "STATE",
        .choices = "queued|running|waiting|done|dead|cancelled",
        .help = "Only jobs in this state: queued, running, waiting, done, dead or cancelled"},
    MR_OPTION_TENANT,
    MR_OPTION_PIPELINE,
    {.name = "since",
        .type = MR_OPT_TIME,
        .arg = "TIME",
        .help = "Only jobs created after this time (RFC 3339) or within this duration (such as "
                "24h)"},
    MR_OPTION_LIMIT("the newest first"),
    {NULL},
};

const struct mr_command mr_cmd_jobs_list = {
    .name = "jobs list",
    .operands = "",
    .summary = "list jobs, the newest first",
    .details = "Lists the jobs that workers have taken so far, the newest first. Jobs that still "
               "wait in their queues are not among them.",
    .examples = "  millrace jobs list --state running\n"
                "  millrace jobs list --tenant acme --since 24h --limit 1000 -o json\n",
    .options = options,
    .output = mr_options_output,
    .run = run,
};
