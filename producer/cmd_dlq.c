/* millrace dlq list and show: what died, and of what. */
#include "producer/deadq.h"
#include "producer/dlq.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum mr_exit list(struct mr_cli *cli)
{
    enum mr_exit code;
    struct mr_dlq_filter filter;
    struct mr_err err;
    if (mr_dlq_filter(cli, &filter, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    filter.limit = mr_args_number(&cli->args, "limit", 50);
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    if (!conn)
        return MR_EXIT_UNREACHABLE;
    MR_CLEANUP(mr_db_clearp) PGresult *jobs = mr_dlq_select(cli, conn, &filter, &code);
    if (!jobs)
        return code;
    struct mr_rows rows = mr_db_rows(jobs, mr_dlq_columns, MR_DC_COUNT);
    mr_output_rows(cli, &rows, "no dead jobs");
    return MR_EXIT_OK;
}

static const struct mr_option list_options[] = {
    MR_DLQ_FILTERS,
    MR_OPTION_LIMIT("the latest first"),
    {NULL},
};

const struct mr_command mr_cmd_dlq_list = {
    .name = "dlq list",
    .operands = "",
    .summary = "list dead jobs, the latest first",
    .details = "Lists the jobs that died and were not replayed, and messages that were no jobs at "
               "all, with the error and what they had cost.",
    .examples = "  millrace dlq list\n  millrace dlq list --class quota --since 24h -o json\n",
    .options = list_options,
    .output = mr_options_output,
    .run = list,
};

/* ---- show ---- */

/* The messages of the jobs shown, as JSON where they are JSON, else as a string. */
static enum mr_exit add_bodies(struct mr_cli *cli, json_t *const *jobs, size_t n)
{
    struct mr_deadq queue;
    struct mr_dead_letter letter;
    struct mr_err err;
    int r = mr_deadq_open(&cli->config->broker, &cli->random, &queue, &err);
    if (r < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_UNREACHABLE;
    }
    size_t found = 0;
    while (found < n && (r = mr_deadq_next(&queue, &letter, &err)) > 0) {
        char id[MR_UUID_LEN] = "";
        if (letter.headers.has_id)
            mr_uuid_format(&letter.headers.headers.id, id);
        for (size_t i = 0; i < n; i++) {
            const char *job = json_string_value(json_object_get(jobs[i], "job"));
            if (!job || strcasecmp(job, id) != 0 || json_object_get(jobs[i], "message"))
                continue;
            json_t *body = json_loadb(letter.body, letter.len, JSON_DECODE_ANY, NULL);
            if (!body)
                body = json_stringn(letter.body, letter.len);
            json_object_set_new(jobs[i], "message", body ? body : json_null());
            found++;
        }
        mr_dead_letter_deinit(&letter);
    }
    mr_deadq_close(&queue);
    if (r < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_UNREACHABLE;
    }
    if (found < n)
        mr_cli_note(cli, "%zu of %zu dead letters are not in the queue any more", n - found, n);
    return MR_EXIT_OK;
}

/* The row as a record: more of it than fits a table. */
static const struct mr_column record[MR_DC_COUNT] = {
    [MR_DC_JOB] = {"job", "Job", MR_CELL_TEXT},
    [MR_DC_CLASS] = {"error_class", "Error", MR_CELL_TEXT},
    [MR_DC_STEP] = {"step", "Failed step", MR_CELL_TEXT},
    [MR_DC_TENANT] = {"tenant", "Tenant", MR_CELL_TEXT},
    [MR_DC_PIPELINE] = {"pipeline", "Pipeline", MR_CELL_TEXT},
    [MR_DC_SPENT] = {"spent_usd", "Spent", MR_CELL_USD},
    [MR_DC_DIED] = {"died_at", "Died", MR_CELL_TIME},
    [MR_DC_MESSAGE] = {"error_message", "Message", MR_CELL_TEXT},
    [MR_DC_ATTEMPTS] = {"attempts", "Calls", MR_CELL_INT},
    [MR_DC_STEPS_DONE] = {"steps_done", "Steps done", MR_CELL_INT},
    [MR_DC_REPLAYS] = {"replays", "Replays", MR_CELL_INT},
    [MR_DC_WORKER] = {"worker", "Worker", MR_CELL_TEXT},
    [MR_DC_VERSION] = {"version", "Version", MR_CELL_INT},
    [MR_DC_LATE] = {"deadline_passed", NULL, MR_CELL_BOOL},
    [MR_DC_STEPS_LEFT_OUT] = {"steps_skipped", NULL, MR_CELL_INT},
};

static void print(struct mr_cli *cli, const struct mr_rows *rows, const PGresult *jobs, size_t row,
    const json_t *message)
{
    char words[MR_DLQ_WORDS];
    mr_dlq_foresee_words(cli, jobs, (int)row, words);
    if (row > 0)
        fputc('\n', cli->out);
    mr_output_record(cli, rows, row);
    fprintf(cli->out, "A replay %s.\n", words);
    if (message) {
        char *text = json_dumps(message, JSON_INDENT(2) | JSON_ENCODE_ANY);
        mr_output_safe(cli->out, text ? text : "", true);
        fputc('\n', cli->out);
        free(text);
    }
}

static enum mr_exit show(struct mr_cli *cli)
{
    enum mr_exit code;
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    if (!conn)
        return MR_EXIT_UNREACHABLE;
    const struct mr_dlq_filter none = {0};
    MR_CLEANUP(mr_db_clearp) PGresult *jobs = mr_dlq_select(cli, conn, &none, &code);
    if (!jobs)
        return code;
    struct mr_rows rows = mr_db_rows(jobs, record, MR_DC_COUNT);
    json_t **objects = calloc(rows.nrows + 1, sizeof(*objects));
    for (size_t i = 0; objects && i < rows.nrows; i++)
        objects[i] = mr_output_object(&rows, i);
    if (objects && mr_args_has(&cli->args, "message") && rows.nrows > 0)
        code = add_bodies(cli, objects, rows.nrows);
    struct mr_list array;
    if (cli->format == MR_FORMAT_JSON)
        mr_list_begin(&array, cli);
    for (size_t i = 0; objects && i < rows.nrows; i++) {
        if (cli->format == MR_FORMAT_JSON) {
            int reuses, runs;
            mr_dlq_foresee(cli, jobs, (int)i, &reuses, &runs);
            json_object_set_new(objects[i], "replay_reuses", json_integer(reuses));
            json_object_set_new(
                objects[i], "replay_runs", runs < 0 ? json_null() : json_integer(runs));
            mr_list_add(&array, objects[i]);
        } else {
            print(cli, &rows, jobs, i, json_object_get(objects[i], "message"));
            json_decref(objects[i]);
        }
    }
    if (cli->format == MR_FORMAT_JSON)
        mr_list_end(&array);
    free(objects);
    if (mr_db_missing(cli, jobs, MR_DLQ_MISSING) > 0 && code == MR_EXIT_OK)
        code = MR_EXIT_FAILED;
    return code;
}

static const struct mr_option show_options[] = {
    {.name = "message",
        .type = MR_OPT_FLAG,
        .help = "Also look the original message up in the queue of dead letters"},
    {NULL},
};

const struct mr_command mr_cmd_dlq_show = {
    .name = "dlq show",
    .operands = "JOB...",
    .summary = "show why jobs died",
    .details = "Shows everything that is known of a dead job, and what a replay would reuse and "
               "run. With --message it also goes through the queue of dead letters for the "
               "original message, and leaves it there.",
    .examples = "  millrace dlq show 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000 --message\n",
    .options = show_options,
    .output = mr_options_output,
    .min_operands = 1,
    .max_operands = MR_OPERANDS_ANY,
    .run = show,
};
