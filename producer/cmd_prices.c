/* millrace prices list: what providers charge, and from when. */
#include "producer/db.h"

static const struct mr_column columns[] = {
    {"id", NULL, MR_CELL_INT},
    {"provider", "PROVIDER", MR_CELL_TEXT},
    {"model", "MODEL", MR_CELL_TEXT},
    {"above_tokens", "ABOVE", MR_CELL_INT},
    {"input", "INPUT", MR_CELL_DECIMAL},
    {"cached", "CACHED", MR_CELL_DECIMAL},
    {"cache_write", "WRITE", MR_CELL_DECIMAL},
    {"cache_write_1h", "1H", MR_CELL_DECIMAL},
    {"output", "OUTPUT", MR_CELL_DECIMAL},
    {"batch_percent", "BATCH%", MR_CELL_INT},
    {"effective_from", "FROM", MR_CELL_TEXT},
    {"effective_to", "TO", MR_CELL_TEXT},
    {"source", "SOURCE", MR_CELL_TEXT},
};
#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char sql[] =
    "select price_id, provider, model, above_tokens, input_usd, cached_usd, cache_write_usd,"
    " cache_write_1h_usd, output_usd, batch_percent,"
    " regexp_replace(millrace.utc(effective_from), 'T00:00:00.000Z$', ''),"
    " regexp_replace(millrace.utc(effective_to), 'T00:00:00.000Z$', ''), source"
    " from millrace.price_list where ($1::text is null or provider = $1)"
    " and ($2::text is null or model = $2"
    "   or right(model, 1) = '*' and starts_with($2, left(model, -1)))"
    " and ($3::boolean or coalesce(effective_from <= coalesce($4::timestamptz, now()), true)"
    "   and coalesce(effective_to > coalesce($4::timestamptz, now()), true))"
    " order by provider, model, above_tokens nulls first, effective_from nulls first";

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    int64_t at;
    char time[MR_TIME_LEN];
    if (mr_args_time(&cli->args, "at", mr_wall_ms(&cli->clock), 1, 0, &at, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    const char *params[] = {mr_args_text(&cli->args, "provider", NULL),
        mr_args_text(&cli->args, "model", NULL), mr_args_has(&cli->args, "all") ? "t" : "f",
        mr_db_time(at, time)};
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_db_clearp)
    PGresult *result = conn ? mr_db_query(cli, conn, sql, 4, params) : NULL;
    if (!result)
        return MR_EXIT_UNREACHABLE;
    struct mr_rows rows = mr_db_rows(result, columns, NCOLUMNS);
    mr_output_rows(cli, &rows,
        "no price: calls of such models are charged at money.ceiling_input and "
        "money.ceiling_output");
    return PQntuples(result) ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static const struct mr_option options[] = {
    {.name = "provider", .type = MR_OPT_TEXT, .arg = "NAME", .help = "Only this provider's"},
    {.name = "model",
        .letter = 'm',
        .type = MR_OPT_TEXT,
        .arg = "NAME",
        .help = "Only what this model may be charged at, also by a beginning of its name"},
    {.name = "at",
        .type = MR_OPT_TIME,
        .arg = "TIME",
        .help = "In effect at this time (RFC 3339, a date, or a duration from now) instead of now"},
    {.name = "all", .type = MR_OPT_FLAG, .help = "Also those of the past and the future"},
    {NULL},
};

const struct mr_command mr_cmd_prices_list = {
    .name = "prices list",
    .operands = "",
    .summary = "show what providers charge",
    .details =
        "Shows the prices in effect, in dollars a million tokens: uncached prompt tokens (INPUT), "
        "those read from the provider's cache (CACHED), written to it for five minutes (WRITE) or "
        "an hour (1H), and all OUTPUT. ABOVE: the rates when the whole prompt is larger than this "
        "many tokens. BATCH%: what a call through the batch API costs, in per cent of all "
        "these.\n\n"
        "A model is charged by its own name before the longest beginning (such as gpt-5.4*), by "
        "the highest tier that fits, and by the latest price of several. The exit code is 1 when "
        "there is none.",
    .examples = "  millrace prices list --provider anthropic\n"
                "  millrace prices list --model gpt-5.4-mini --at 2026-12-01 -o json\n",
    .options = options,
    .output = mr_options_output,
    .run = run,
};
