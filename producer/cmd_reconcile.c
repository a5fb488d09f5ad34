/* millrace reconcile: what a provider says it billed against what we have on record. */
#include "producer/decimal.h"
#include "producer/reconcile.h"

#include <stdlib.h>
#include <string.h>

static const struct mr_column call_columns[] = {
    {"finding", "FINDING", MR_CELL_TEXT},
    {"line", "LINE", MR_CELL_INT},
    {"request_id", "REQUEST", MR_CELL_TEXT},
    {"call", "CALL", MR_CELL_TEXT},
    {"model", "MODEL", MR_CELL_TEXT},
    {"theirs_input", "IN", MR_CELL_INT},
    {"ours_input", "OURS", MR_CELL_INT},
    {"theirs_output", "OUT", MR_CELL_INT},
    {"ours_output", "OURS", MR_CELL_INT},
    {"theirs_usd", "COST", MR_CELL_USD},
    {"ours_usd", "OURS", MR_CELL_USD},
    {"job", NULL, MR_CELL_TEXT},
};
static const struct mr_column day_columns[] = {
    {"finding", "FINDING", MR_CELL_TEXT},
    {"day", "DAY", MR_CELL_TEXT},
    {"model", "MODEL", MR_CELL_TEXT},
    {"theirs_calls", "CALLS", MR_CELL_INT},
    {"ours_calls", "OURS", MR_CELL_INT},
    {"theirs_input", "IN", MR_CELL_INT},
    {"ours_input", "OURS", MR_CELL_INT},
    {"theirs_output", "OUT", MR_CELL_INT},
    {"ours_output", "OURS", MR_CELL_INT},
    {"theirs_usd", "COST", MR_CELL_USD},
    {"ours_usd", "OURS", MR_CELL_USD},
    {"ambiguous_usd", "AMBIGUOUS", MR_CELL_USD},
};
#define NCOLUMNS (sizeof(call_columns) / sizeof(call_columns[0]))

static const struct mr_column sum_columns[] = {
    {"finding", "FINDING", MR_CELL_TEXT},
    {"count", "COUNT", MR_CELL_INT},
    {"theirs_usd", "THEIRS", MR_CELL_USD},
    {"ours_usd", "OURS", MR_CELL_USD},
    {"difference_usd", "DIFFERENCE", MR_CELL_USD},
};
#define NSUMS (sizeof(sum_columns) / sizeof(sum_columns[0]))

static const char calls_sql[] =
    "select finding, line, request_id, call_id, model, theirs_input, ours_input, theirs_output,"
    " ours_output, theirs_usd, ours_usd, job_id from findings where finding is not null"
    " order by finding, line, call_id";
static const char days_sql[] =
    "select finding, day, model, theirs_calls, ours_calls, theirs_input, ours_input, theirs_output,"
    " ours_output, theirs_usd, ours_usd, ambiguous_usd from findings where finding is not null"
    " order by day, model";
static const char totals_sql[] =
    "select coalesce(finding, 'the same'), count(*), coalesce(sum(theirs_usd), 0),"
    " coalesce(sum(ours_usd), 0), coalesce(sum(theirs_usd), 0) - coalesce(sum(ours_usd), 0)"
    " from findings group by finding order by finding nulls first";

static json_t *array_of(const struct mr_rows *rows)
{
    json_t *array = json_array();
    for (size_t i = 0; i < rows->nrows; i++)
        json_array_append_new(array, mr_output_object(rows, i));
    return array;
}

static enum mr_exit tell(struct mr_cli *cli, PGconn *conn, bool sums)
{
    MR_CLEANUP(mr_db_clearp) PGresult *found = NULL;
    MR_CLEANUP(mr_db_clearp)
    PGresult *totals = mr_db_query(cli, conn, totals_sql, 0, NULL);
    if (totals)
        found = mr_db_query(cli, conn, sums ? days_sql : calls_sql, 0, NULL);
    if (!found)
        return MR_EXIT_UNREACHABLE;
    struct mr_rows rows = mr_db_rows(found, sums ? day_columns : call_columns, NCOLUMNS),
                   sum_rows = mr_db_rows(totals, sum_columns, NSUMS);
    if (cli->format == MR_FORMAT_JSON) {
        mr_output_json(cli, json_pack("{s:s, s:o, s:o}", "compared", sums ? "days" : "calls",
                                "totals", array_of(&sum_rows), "findings", array_of(&rows)));
    } else {
        if (rows.nrows > 0) {
            mr_output_rows(cli, &rows, "");
            fputc('\n', cli->out);
        }
        mr_output_rows(cli, &sum_rows, "the export has no rows, and there are no calls");
    }
    return rows.nrows > 0 ? MR_EXIT_FAILED : MR_EXIT_OK;
}

static enum mr_exit run(struct mr_cli *cli)
{
    const char *path = mr_args_text(&cli->args, "file", NULL),
               *tolerance = mr_args_text(&cli->args, "tolerance", "0");
    int64_t pico;
    bool sums = false;
    if (!path || mr_decimal_parse(tolerance, &pico) < 0) {
        mr_cli_error(cli,
            path ? "--tolerance %s: must be dollars such as 0.0001"
                 : "--file is missing: the provider's usage export",
            tolerance);
        return MR_EXIT_USAGE;
    }
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open_owner(cli);
    enum mr_exit code = conn ? mr_reconcile(cli, conn, path, &sums) : MR_EXIT_UNREACHABLE;
    return code == MR_EXIT_OK ? tell(cli, conn, sums) : code;
}

static const struct mr_option options[] = {
    {.name = "file",
        .letter = 'f',
        .type = MR_OPT_FILE,
        .arg = "FILE",
        .help = "The provider's usage export: CSV with a heading, or a JSON object a line"},
    {.name = "provider",
        .type = MR_OPT_TEXT,
        .arg = "NAME",
        .help = "Compare with the calls to this provider only; else with those of the providers "
                "that the export's calls went to"},
    {.name = "tolerance",
        .type = MR_OPT_TEXT,
        .arg = "USD",
        .help = "Costs that are this close are the same; 0.000001 unless given"},
    {NULL},
};

const struct mr_command mr_cmd_reconcile = {
    .name = "reconcile",
    .operands = "",
    .summary = "compare a provider's usage export with the calls on record",
    .details =
        "Puts a provider's own list of requests beside the calls on record, and lists what "
        "differs: "
        "theirs only (billed, but no call of ours); ours only (settled here, but not billed, "
        "within "
        "the time the export covers); tokens differ; cost differs; billed twice; released, billed "
        "(we took it for free); ambiguous, billed (its answer was lost; now its cost is known) and "
        "ambiguous, not billed (it counts at its bound towards caps, and need not). Totals follow. "
        "The exit code is 1 when anything differs. Nothing is changed, but it takes "
        "the database's owner (database.owner_user): the comparison happens in temporary tables, "
        "which other roles may not make.\n\n"
        "Columns are found by their names; capitals, blanks and dashes do not matter, the order "
        "neither, and others are ignored. A call is found by our own id, which was sent along as "
        "X-Client-Request-Id: client_request_id, x_client_request_id, call_id, custom_id; else by "
        "the provider's: request_id, x_request_id, generation_id, id. Model: model, model_id, "
        "model_name, snapshot_id. Time (RFC 3339, a date, or seconds since 1970; without a zone it "
        "is UTC): time, timestamp, created_at, created, started_at, start_time, date, day. Prompt "
        "tokens, with or without cached ones: input_tokens, prompt_tokens, tokens_prompt, "
        "uncached_input_tokens, n_context_tokens_total. Cached ones: cached_tokens, "
        "input_cached_tokens, cached_input_tokens, cache_read_input_tokens. Output: output_tokens, "
        "completion_tokens, tokens_completion, n_generated_tokens_total. Dollars: cost, cost_usd, "
        "total_cost, amount, amount_usd, amount_value, usage_usd. In JSON they may stand one level "
        "deeper, as in {\"usage\":{\"input_tokens\":5}}.\n\n"
        "An export without ids, of sums by day (UTC) and model, is compared as that, with the "
        "number "
        "of requests from requests, num_requests, num_model_requests, n_requests or calls; its "
        "cost "
        "may lie anywhere between what was settled and that with what is ambiguous.",
    .examples = "  millrace reconcile --file usage.csv --provider openai\n"
                "  millrace reconcile --file generations.jsonl -o json\n",
    .options = options,
    .output = mr_options_output,
    .run = run,
};
