#include "producer/dlq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct mr_column mr_dlq_columns[MR_DC_COUNT] = {
    [MR_DC_JOB] = {"job", "JOB", MR_CELL_TEXT},
    [MR_DC_CLASS] = {"error_class", "ERROR", MR_CELL_TEXT},
    [MR_DC_STEP] = {"step", "STEP", MR_CELL_TEXT},
    [MR_DC_TENANT] = {"tenant", "TENANT", MR_CELL_TEXT},
    [MR_DC_PIPELINE] = {"pipeline", "PIPELINE", MR_CELL_TEXT},
    [MR_DC_SPENT] = {"spent_usd", "SPENT", MR_CELL_USD},
    [MR_DC_DIED] = {"died_at", "DIED", MR_CELL_TIME},
    [MR_DC_MESSAGE] = {"error_message", "MESSAGE", MR_CELL_TEXT},
    [MR_DC_ATTEMPTS] = {"attempts", NULL, MR_CELL_INT},
    [MR_DC_STEPS_DONE] = {"steps_done", NULL, MR_CELL_INT},
    [MR_DC_REPLAYS] = {"replays", NULL, MR_CELL_INT},
    [MR_DC_WORKER] = {"worker", NULL, MR_CELL_TEXT},
    [MR_DC_VERSION] = {"version", NULL, MR_CELL_INT},
    [MR_DC_LATE] = {"deadline_passed", NULL, MR_CELL_BOOL},
    [MR_DC_STEPS_LEFT_OUT] = {"steps_skipped", NULL, MR_CELL_INT},
};

#define SKIPPED                                                                                    \
    "(select count(*) from millrace.job_steps s where s.job_id = d.job_id and s.state = "          \
    "'skipped')"

static const char select_sql[] =
    "select d.job_id, d.error_class, d.step, d.tenant, d.pipeline, d.spent_usd, "
    "millrace.utc(d.died_at), d.error_message, d.attempts, d.steps_done, d.replays, d.worker, "
    "o.version, "
    "coalesce(o.deadline <= now(), false), " SKIPPED
    " from millrace.dead_jobs d left join millrace.job_overview o using (job_id) "
    "where ($1::uuid[] is null or d.job_id = any($1::uuid[])) "
    "and ($2::text is null or d.tenant = $2) "
    "and ($3::text is null or d.pipeline = $3) "
    "and ($4::text is null or d.error_class = $4) "
    "and ($5::timestamptz is null or d.died_at >= $5::timestamptz) "
    "order by d.died_at desc, d.job_id limit $6::bigint";

int mr_dlq_filter(struct mr_cli *cli, struct mr_dlq_filter *ret, struct mr_err *err)
{
    struct mr_dlq_filter filter = {.tenant = mr_args_text(&cli->args, "tenant", NULL),
        .pipeline = mr_args_text(&cli->args, "pipeline", NULL),
        .class = mr_args_text(&cli->args, "class", NULL)};
    if (filter.class && mr_class_parse(filter.class) == MR_CLASS_COUNT)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "--class %s: is no class of errors; see the ERROR column of millrace dlq list",
            filter.class);
    int r =
        mr_args_time(&cli->args, "since", mr_wall_ms(&cli->clock), -1, 0, &filter.since_ms, err);
    if (r == 0)
        *ret = filter;
    return r;
}

PGresult *mr_dlq_select(
    struct mr_cli *cli, PGconn *conn, const struct mr_dlq_filter *filter, enum mr_exit *ret_code)
{
    char time[MR_TIME_LEN], number[24], *ids = NULL;
    *ret_code = MR_EXIT_USAGE;
    if (cli->args.noperands) {
        ids = mr_db_ids(cli, cli->args.operands, cli->args.noperands);
        if (!ids)
            return NULL;
    }
    snprintf(number, sizeof(number), "%lld", (long long)filter->limit);
    const char *params[] = {ids, filter->tenant, filter->pipeline, filter->class,
        mr_db_time(filter->since_ms, time), filter->limit ? number : NULL};
    PGresult *jobs = mr_db_query(cli, conn, select_sql, 6, params);
    free(ids);
    *ret_code = jobs ? MR_EXIT_OK : MR_EXIT_UNREACHABLE;
    return jobs;
}

static int number(const PGresult *jobs, int row, int column)
{
    return PQgetisnull(jobs, row, column) ? 0
                                          : (int)strtol(PQgetvalue(jobs, row, column), NULL, 10);
}

void mr_dlq_foresee(
    struct mr_cli *cli, const PGresult *jobs, int row, int *ret_reuses, int *ret_runs)
{
    int done = number(jobs, row, MR_DC_STEPS_DONE);
    const struct mr_pipeline *pipeline = mr_config_pipeline(
        cli->config, PQgetvalue(jobs, row, MR_DC_PIPELINE), number(jobs, row, MR_DC_VERSION));
    int left =
        pipeline ? (int)pipeline->nsteps - done - number(jobs, row, MR_DC_STEPS_LEFT_OUT) : -1;
    *ret_reuses = done;
    *ret_runs = pipeline && left < 0 ? 0 : left;
}

void mr_dlq_foresee_words(
    struct mr_cli *cli, const PGresult *jobs, int row, char ret[static MR_DLQ_WORDS])
{
    int reuses, runs;
    mr_dlq_foresee(cli, jobs, row, &reuses, &runs);
    int n = snprintf(
        ret, MR_DLQ_WORDS, "will reuse %d step%s and run ", reuses, reuses == 1 ? "" : "s");
    if (runs >= 0)
        n += snprintf(ret + n, MR_DLQ_WORDS - (size_t)n, "%d", runs);
    else
        n += snprintf(ret + n, MR_DLQ_WORDS - (size_t)n, "the rest (unknown pipeline)");
    if (PQgetvalue(jobs, row, MR_DC_LATE)[0] == 't')
        snprintf(
            ret + n, MR_DLQ_WORDS - (size_t)n, "; its deadline has passed, so it will die again");
}
