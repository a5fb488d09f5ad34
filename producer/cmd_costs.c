/* millrace costs: what was spent, by whom and on what. */
#include "producer/db.h"

#include <string.h>

/* The words of --by: what they group by, and how the column is called. */
struct grouping {
    const char *word, *sql;
};

static const struct grouping groupings[] = {
    {"tenant", "tenant"},
    {"day", "to_char(started_at at time zone 'UTC', 'YYYY-MM-DD')"},
    {"pipeline", "pipeline"},
    {"step", "pipeline || '/' || step"},
    {"model", "provider || '/' || model"},
    {"provider", "provider"},
};

static const struct mr_column columns[] = {
    {NULL, NULL, MR_CELL_TEXT}, /* named by --by */
    {"jobs", "JOBS", MR_CELL_INT},
    {"calls", "CALLS", MR_CELL_INT},
    {"input_tokens", "INPUT", MR_CELL_INT},
    {"cached_tokens", "CACHED", MR_CELL_INT},
    {"output_tokens", "OUTPUT", MR_CELL_INT},
    {"cost_usd", "COST", MR_CELL_USD},
    {"ambiguous_usd", "AMBIGUOUS", MR_CELL_USD},
};
#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char *group_sql(const char *word)
{
    for (size_t i = 0; i < sizeof(groupings) / sizeof(groupings[0]); i++)
        if (strcmp(groupings[i].word, word) == 0)
            return groupings[i].sql;
    return groupings[0].sql;
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    int64_t since;
    char time[MR_TIME_LEN], sql[1024], title[16];
    if (mr_args_time(&cli->args, "since", mr_wall_ms(&cli->clock), -1, 0, &since, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    const char *by = mr_args_text(&cli->args, "by", "tenant"),
               *params[] = {mr_db_time(since, time)};
    snprintf(sql, sizeof(sql),
        "select %s as what, count(distinct job_id), count(*), coalesce(sum(input_tokens), 0), "
        "coalesce(sum(cached_tokens), 0), coalesce(sum(output_tokens), 0), "
        "coalesce(sum(cost_usd), 0), coalesce(sum(ambiguous_usd), 0) from millrace.call_costs "
        "where ($1::timestamptz is null or started_at >= $1::timestamptz) group by 1 order by %s",
        group_sql(by), strcmp(by, "day") == 0 ? "1" : "7 desc, 1");
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_db_clearp)
    PGresult *result = conn ? mr_db_query(cli, conn, sql, 1, params) : NULL;
    if (!result)
        return MR_EXIT_UNREACHABLE;
    struct mr_column named[NCOLUMNS];
    memcpy(named, columns, sizeof(columns));
    for (size_t i = 0; i <= strlen(by); i++)
        title[i] = by[i] >= 'a' && by[i] <= 'z' ? (char)(by[i] - 'a' + 'A') : by[i];
    named[0].name = by;
    named[0].title = title;
    struct mr_rows rows = mr_db_rows(result, named, NCOLUMNS);
    mr_output_rows(cli, &rows, "no calls");
    return MR_EXIT_OK;
}

static const struct mr_option options[] = {
    {.name = "by",
        .type = MR_OPT_CHOICE,
        .arg = "WHAT",
        .choices = "tenant|day|pipeline|step|model|provider",
        .help = "Add up by tenant (the default), day (UTC), pipeline, step, model or provider"},
    {.name = "since",
        .type = MR_OPT_TIME,
        .arg = "TIME",
        .help = "Only calls begun after this time (RFC 3339) or within this duration (such as 7d)"},
    {NULL},
};

const struct mr_command mr_cmd_costs = {
    .name = "costs",
    .operands = "",
    .summary = "add up what calls have cost",
    .details =
        "Adds up the calls to providers and what they cost, dearest first. COST is what was "
        "settled; AMBIGUOUS is what calls may have cost whose answer never came, counted at their "
        "upper bound. INPUT leaves out the cached tokens.",
    .examples = "  millrace costs\n  millrace costs --by model --since 7d\n"
                "  millrace costs --by day -o json\n",
    .options = options,
    .output = mr_options_output,
    .run = run,
};
