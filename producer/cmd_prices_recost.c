/* millrace prices recost: what calls cost by the prices of today's table. */
#include "producer/db.h"

#include <errno.h>
#include <string.h>

#define HOUR_MS 3600000ll
#define DAY_MS (24 * HOUR_MS)

static const struct mr_column columns[] = {
    {"provider", "PROVIDER", MR_CELL_TEXT},
    {"model", "MODEL", MR_CELL_TEXT},
    {"calls", "CALLS", MR_CELL_INT},
    {"changed", "CHANGED", MR_CELL_INT},
    {"unpriced", "UNPRICED", MR_CELL_INT},
    {"before_usd", "BEFORE", MR_CELL_USD},
    {"after_usd", "AFTER", MR_CELL_USD},
    {"difference_usd", "DIFFERENCE", MR_CELL_USD},
};
#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

/* One transaction writes a day at most; of the running month, where workers write the same tables,
 * only an hour. */
static int64_t piece_end(int64_t from, int64_t now)
{
    const int64_t piece = from < now - 31 * DAY_MS ? DAY_MS : HOUR_MS;
    return from - from % piece + piece;
}

static bool recost(struct mr_cli *cli, PGconn *conn, int64_t since, int64_t now)
{
    char from[MR_TIME_LEN], until[MR_TIME_LEN], input[24], output[24];
    const struct mr_config_money *money = &cli->config->money;
    snprintf(input, sizeof(input), "%lld", (long long)money->ceiling_input);
    snprintf(output, sizeof(output), "%lld", (long long)money->ceiling_output);
    const char *params[] = {from, until, mr_args_text(&cli->args, "tenant", NULL), input, output,
        mr_args_has(&cli->args, "dry-run") ? "f" : "t"};
    while (since <= now) {
        int64_t end = piece_end(since, now);
        mr_time_format(since, from);
        mr_time_format(end, until);
        MR_CLEANUP(mr_db_clearp)
        PGresult *result = mr_db_query(cli, conn,
            "insert into recost_sums select * from millrace.recost($1::timestamptz,"
            " $2::timestamptz, $3, $4::bigint, $5::bigint, $6::boolean)",
            6, params);
        if (!result) {
            if (strcmp(params[5], "t") == 0)
                mr_cli_note(cli, "calls begun before %s are done; run it again with --since %s",
                    from, from);
            return false;
        }
        since = end;
    }
    return true;
}

/* Nothing before the first call needs a look. */
static bool begin_at_first(struct mr_cli *cli, PGconn *conn, int64_t *since)
{
    char from[MR_TIME_LEN];
    const char *params[] = {from};
    mr_time_format(*since, from);
    MR_CLEANUP(mr_db_clearp)
    PGresult *result = mr_db_query(cli, conn,
        "select millrace.utc(date_trunc('milliseconds', min(started_at))) from millrace.calls"
        " where started_at >= $1::timestamptz",
        1, params);
    if (!result)
        return false;
    if (PQgetisnull(result, 0, 0))
        *since = INT64_MAX;
    else if (mr_time_parse(PQgetvalue(result, 0, 0), since) < 0)
        return false;
    return true;
}

static PGresult *work(struct mr_cli *cli, PGconn *conn, int64_t since)
{
    MR_CLEANUP(mr_db_clearp)
    PGresult *made = mr_db_query(cli, conn,
        "create temp table recost_sums (provider text, model text, calls bigint, changed bigint,"
        " unpriced bigint, before_pico numeric, after_pico numeric)",
        0, NULL);
    if (!made || !recost(cli, conn, since, mr_wall_ms(&cli->clock)))
        return NULL;
    return mr_db_query(cli, conn,
        "select provider, model, sum(calls), sum(changed), sum(unpriced),"
        " millrace.usd(sum(before_pico)), millrace.usd(sum(after_pico)),"
        " millrace.usd(sum(after_pico) - sum(before_pico)) from recost_sums group by 1, 2"
        " order by abs(sum(after_pico) - sum(before_pico)) desc, 1, 2",
        0, NULL);
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    int64_t since, now = mr_wall_ms(&cli->clock);
    int r = mr_args_time(&cli->args, "since", now, -1, -1, &since, &err);
    if (r == 0 && since < 0)
        r = mr_err_set(&err, -EINVAL, MR_CLASS_INVALID,
            "--since is missing: from when on calls are to be recosted, such as 7d or 2026-11-01");
    if (r < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open_owner(cli);
    MR_CLEANUP(mr_db_clearp) PGresult *sums = NULL;
    if (conn && begin_at_first(cli, conn, &since))
        sums = work(cli, conn, since);
    if (!sums)
        return MR_EXIT_UNREACHABLE;
    struct mr_rows rows = mr_db_rows(sums, columns, NCOLUMNS);
    mr_output_rows(cli, &rows, "no settled calls");
    if (mr_args_has(&cli->args, "dry-run"))
        mr_cli_note(cli, "nothing was written (--dry-run)");
    return MR_EXIT_OK;
}

static const struct mr_option options[] = {
    {.name = "since",
        .type = MR_OPT_TIME,
        .arg = "TIME",
        .help = "Calls begun from this time on (RFC 3339 or a date), or within this duration"},
    MR_OPTION_TENANT,
    {.name = "dry-run", .type = MR_OPT_FLAG, .help = "Only tell what would change"},
    {NULL},
};

const struct mr_command mr_cmd_prices_recost = {
    .name = "prices recost",
    .operands = "",
    .summary = "compute the cost of calls again from their usage",
    .details =
        "Computes what settled calls cost by the price table as it is now, with the prices that "
        "were in force when each was begun, and writes it where it differs: cost, price and the "
        "mark of a model without a price. Tokens are never touched, answers from the cache go on "
        "costing nothing, and ambiguous calls stay at their bound. The difference is added to "
        "what the tenants have spent of their caps in the same transaction; a cap may be exceeded "
        "by that.\n\n"
        "It works through a day at a time (of the last 31 days an hour, since workers wait "
        "for it), and can be repeated: a second run changes nothing. UNPRICED calls are charged at "
        "the ceiling. Like millrace init it needs the database's owner (database.owner_user).",
    .examples = "  millrace prices recost --since 2026-11-01 --dry-run\n"
                "  millrace prices recost --since 7d --tenant acme -o json\n",
    .options = options,
    .output = mr_options_output,
    .run = run,
};
