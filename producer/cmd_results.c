/* millrace results: what the steps of a job have brought. */
#include "common/json.h"
#include "producer/results.h"
#include "producer/text.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 1500 /* of a long output, unless all of it is wanted */
#define OUTPUT_MAX (64u << 20)

static const struct mr_column columns[] = {
    {"job", NULL, MR_CELL_TEXT},
    {"step", NULL, MR_CELL_TEXT},
    {"output", NULL, MR_CELL_JSON},
    {"tenant", NULL, MR_CELL_TEXT},
    {"pipeline", NULL, MR_CELL_TEXT},
    {"cost_usd", NULL, MR_CELL_USD},
    {"attempts", NULL, MR_CELL_INT},
    {"degraded", NULL, MR_CELL_BOOL},
    {"cached", NULL, MR_CELL_BOOL},
    {"ended_at", NULL, MR_CELL_TIME},
};
#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char select_sql[] =
    "select job_id, step, output, tenant, pipeline, cost_usd, attempts, degraded, cached, "
    "millrace.utc(ended_at) from millrace.results where job_id = any($1::uuid[]) and ($2::text is "
    "null or step = $2) "
    "order by array_position($1::uuid[], job_id), ended_at, array_position($3::text[], step), step";

int mr_results_read(PGconn *conn, const struct mr_config *config, const char *ids, const char *step,
    PGresult **ret, struct mr_err *err)
{
    char *order = mr_db_step_order(config);
    const char *params[] = {ids, step, order};
    int r = mr_db_ask(conn, select_sql, 3, params, ret, err);
    free(order);
    return r;
}

PGresult *mr_results_query(struct mr_cli *cli, PGconn *conn, const char *ids, const char *step)
{
    struct mr_err err;
    PGresult *results;
    int r = mr_results_read(conn, cli->config, ids, step, &results, &err);
    if (r == 0)
        return results;
    mr_db_tell(cli, r, &err);
    return NULL;
}

struct mr_rows mr_results_rows(const PGresult *results)
{
    return mr_db_rows(results, columns, NCOLUMNS);
}

json_t *mr_results_json(const PGresult *results, int row)
{
    json_t *value = json_loads(PQgetvalue(results, row, MR_RC_OUTPUT), JSON_DECODE_ANY, NULL);
    return value ? value : json_null();
}

/* Every line indented, so that no document can pass its text off as ours. */
static void put_indented(struct mr_cli *cli, const char *text, size_t n)
{
    while (n > 0) {
        const char *end = memchr(text, '\n', n);
        size_t len = end ? (size_t)(end - text) : n;
        MR_CLEANUP(mr_buf_deinit) struct mr_buf safe = MR_BUF_INIT(OUTPUT_MAX);
        if (mr_text_safe(&safe, text, len, MR_SAFE_TEXT) == 0)
            fprintf(cli->out, "    %s\n", safe.data ? safe.data : "");
        text += len + (end != NULL);
        n -= len + (end != NULL);
    }
}

/* What people read of an output: its text, or its JSON. The caller's. */
static char *readable(const PGresult *results, int row)
{
    MR_CLEANUP(mr_json_decrefp) json_t *output = mr_results_json(results, row);
    json_t *text = json_object_get(output, "text");
    return json_is_string(text) ? strdup(json_string_value(text))
                                : json_dumps(output, JSON_INDENT(2) | JSON_ENCODE_ANY);
}

/* Nothing but the output, as for a file. */
static void print_bare(struct mr_cli *cli, const PGresult *results)
{
    char *text = readable(results, 0);
    size_t n = text ? strlen(text) : 0;
    mr_output_safe(cli->out, text ? text : "", true);
    if (n == 0 || text[n - 1] != '\n')
        fputc('\n', cli->out);
    free(text);
}

void mr_results_print(struct mr_cli *cli, const PGresult *results, int row, bool whole)
{
    char *readably = readable(results, row);
    const char *text = readably ? readably : "";
    size_t n = strlen(text), shown = whole ? n : mr_utf8_prefix(text, n, SHOWN_BYTES);
    fputs("  ", cli->out);
    mr_output_safe(cli->out, PQgetvalue(results, row, MR_RC_STEP), false);
    fputs(":\n", cli->out);
    put_indented(cli, text, shown);
    if (shown < n)
        fprintf(cli->out, "    ... %zu bytes more: millrace results %s --step %s\n", n - shown,
            PQgetvalue(results, row, MR_RC_JOB), PQgetvalue(results, row, MR_RC_STEP));
    free(readably);
}

static enum mr_exit run(struct mr_cli *cli)
{
    char *ids = mr_db_ids(cli, cli->args.operands, cli->args.noperands);
    if (!ids)
        return MR_EXIT_USAGE;
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_db_clearp) PGresult *results = NULL;
    const char *step = mr_args_text(&cli->args, "step", NULL);
    if (conn)
        results = mr_results_query(cli, conn, ids, step);
    free(ids);
    if (!results)
        return MR_EXIT_UNREACHABLE;
    struct mr_rows rows = mr_results_rows(results);
    if (cli->format == MR_FORMAT_JSON) {
        mr_output_rows(cli, &rows, "");
    } else if (step && cli->args.noperands == 1 && PQntuples(results) == 1) {
        print_bare(cli, results);
    } else {
        for (int row = 0; row < PQntuples(results); row++) {
            const char *job = PQgetvalue(results, row, MR_RC_JOB);
            if (row == 0 || strcmp(job, PQgetvalue(results, row - 1, MR_RC_JOB)) != 0)
                fprintf(cli->out, "%s\n", job);
            mr_results_print(cli, results, row, step != NULL);
        }
    }
    size_t missing = mr_db_missing(cli, results,
        step ? "has no result of that step; see millrace status"
             : "has no results yet; see millrace status");
    return missing ? MR_EXIT_FAILED : MR_EXIT_OK;
}

static const struct mr_option options[] = {
    {.name = "step",
        .type = MR_OPT_TEXT,
        .arg = "STEP",
        .help = "Only this step's output, whole; of one job just that, without headings"},
    {NULL},
};

const struct mr_command mr_cmd_results = {
    .name = "results",
    .operands = "JOB...",
    .summary = "print what the steps of jobs have brought",
    .details = "Prints the output of every finished step of the jobs. A job that still runs shows "
               "the steps it has finished so far. Long outputs are cut for people; --step prints "
               "one whole, and -o json prints everything.",
    .examples =
        "  millrace results 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000\n"
        "  millrace results 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000 --step summarize -o json\n",
    .options = options,
    .output = mr_options_output,
    .min_operands = 1,
    .max_operands = MR_OPERANDS_ANY,
    .run = run,
};
