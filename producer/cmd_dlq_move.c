/* millrace dlq replay and drop: what the user is told and asked; mover.c does it. */
#include "producer/mover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLAN_LINES 100

static json_t *foreseen_json(const struct mr_mover *m, int row)
{
    int reuses, runs;
    mr_dlq_foresee(m->cli, m->jobs, row, &reuses, &runs);
    return json_pack("{s:s, s:i, s:o}", "job", PQgetvalue(m->jobs, row, MR_DC_JOB), "reuses",
        reuses, "runs", runs < 0 ? json_null() : json_integer(runs));
}

/* What --dry-run -o json prints: the whole plan. */
static void print_plan_json(const struct mr_mover *m)
{
    struct mr_list list;
    mr_list_begin(&list, m->cli);
    for (int row = 0; row < PQntuples(m->jobs); row++)
        mr_list_add(&list, foreseen_json(m, row));
    mr_list_end(&list);
}

static void print_plan(struct mr_mover *m)
{
    FILE *out = m->cli->format == MR_FORMAT_JSON ? m->cli->err : m->cli->out;
    int n = PQntuples(m->jobs);
    char words[MR_DLQ_WORDS], usd[MR_USD_LEN];
    for (int row = 0; row < n && row < PLAN_LINES; row++) {
        fprintf(out, "job %s: ", PQgetvalue(m->jobs, row, MR_DC_JOB));
        mr_dlq_foresee_words(m->cli, m->jobs, row, words);
        mr_usd_tidy(PQgetvalue(m->jobs, row, MR_DC_SPENT), usd);
        const char *done = PQgetvalue(m->jobs, row, MR_DC_STEPS_DONE);
        if (m->replay)
            fprintf(out, "%s\n", words);
        else
            fprintf(out,
                "its dead letter will be deleted; %s result%s and %s of cost stay "
                "readable\n",
                done, strcmp(done, "1") == 0 ? "" : "s", usd);
    }
    if (n > PLAN_LINES)
        fprintf(out, "... and %d job%s more\n", n - PLAN_LINES, n - PLAN_LINES == 1 ? "" : "s");
    fflush(out);
}

/* Asks on a terminal; elsewhere --yes has to say it. */
static bool agreed(struct mr_mover *m)
{
    struct mr_cli *cli = m->cli;
    int n = PQntuples(m->jobs);
    char answer[16];
    if (mr_args_has(&cli->args, "yes"))
        return true;
    if (!cli->err_tty || !isatty(STDIN_FILENO)) {
        mr_cli_error(cli, "nothing was done: there is no terminal to ask on; say --yes");
        return false;
    }
    fprintf(cli->err, "%s %d job%s? [y/N] ", m->replay ? "Replay" : "Drop", n, n == 1 ? "" : "s");
    fflush(cli->err);
    if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y')) {
        mr_cli_note(cli, "Nothing was done.");
        return false;
    }
    return true;
}

static const char *outcome_word(const struct mr_mover *m, const struct mr_moved *item)
{
    if (item->outcome == MR_MOVED_GONE)
        return m->replay ? "replayed" : "dropped";
    return item->outcome == MR_MOVED_WAITING ? "missing" : "failed";
}

static void add_json(struct mr_mover *m, const struct mr_moved *item, struct mr_list *list)
{
    json_t *element = foreseen_json(m, item->row);
    json_object_set_new(element, "outcome", json_string(outcome_word(m, item)));
    mr_list_add(list, element);
}

/* Returns how many failed. A job that was to be replayed by name and has no letter failed; one that
 * was merely meant by a filter is on its way already. */
static size_t tell(struct mr_mover *m, bool complete)
{
    struct mr_cli *cli = m->cli;
    struct mr_list list;
    size_t moved = 0, missing = 0;
    if (cli->format == MR_FORMAT_JSON)
        mr_list_begin(&list, cli);
    for (size_t i = 0; i < m->nitems; i++) {
        struct mr_moved *item = &m->items[i];
        const char *id = PQgetvalue(m->jobs, item->row, MR_DC_JOB);
        moved += item->outcome == MR_MOVED_GONE;
        if (cli->format == MR_FORMAT_JSON)
            add_json(m, item, &list);
        if (item->outcome == MR_MOVED_WAITING && complete) {
            missing++;
            if (cli->args.noperands && m->replay)
                mr_cli_error(cli,
                    "%s has no letter in the queue " MR_QUEUE_DEAD
                    ": it was dropped, or replayed a moment ago",
                    id);
        } else if (item->outcome != MR_MOVED_GONE) {
            mr_cli_error(cli, "%s was not %s: %s", id, m->replay ? "replayed" : "dropped",
                item->why ? item->why : m->err.msg);
        }
        free(item->why);
    }
    if (cli->format == MR_FORMAT_JSON)
        mr_list_end(&list);
    mr_cli_note(cli, "%zu %s, %zu failed, %zu without a letter in the queue", moved,
        m->replay ? "replayed" : "dropped", m->nitems - moved - missing, missing);
    return m->nitems - moved - (cli->args.noperands && m->replay ? 0 : missing);
}

/* Jobs whose letters are gone leave the list of the dead; those of which there was no letter too.
 */
static int forget(struct mr_mover *m, PGconn *conn, bool complete)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf ids = MR_BUF_INIT(MR_PG_ARRAY_MAX);
    int r = mr_buf_putc(&ids, '{');
    for (size_t i = 0; i < m->nitems && r == 0; i++) {
        const struct mr_moved *item = &m->items[i];
        if (item->outcome == MR_MOVED_GONE || (item->outcome == MR_MOVED_WAITING && complete))
            r = mr_buf_printf(
                &ids, "%s%s", ids.len > 1 ? "," : "", PQgetvalue(m->jobs, item->row, MR_DC_JOB));
    }
    if (r == 0)
        r = mr_buf_putc(&ids, '}');
    if (r < 0) {
        mr_cli_error(m->cli, "out of memory");
        return r;
    }
    const char *const params[] = {ids.data};
    MR_CLEANUP(mr_db_clearp)
    PGresult *result = mr_db_query(m->cli, conn, "select drop_dead($1)", 1, params);
    return result ? 0 : -EIO;
}

static enum mr_exit carry_out(struct mr_mover *m, PGconn *conn)
{
    m->nitems = m->open = (size_t)PQntuples(m->jobs);
    m->items = calloc(m->nitems, sizeof(*m->items));
    if (!m->items) {
        mr_cli_error(m->cli, "out of memory");
        return MR_EXIT_FAILED;
    }
    for (size_t i = 0; i < m->nitems; i++) {
        m->items[i].row = (int)i;
        if (mr_uuid_parse(PQgetvalue(m->jobs, (int)i, MR_DC_JOB), &m->items[i].id) < 0)
            mr_cli_error(m->cli, "the database gave a job id that is none");
    }
    qsort(m->items, m->nitems, sizeof(*m->items), mr_moved_by_id);
    int r = mr_mover_run(m);
    if (r < 0)
        mr_cli_error(m->cli, "%s", m->err.msg);
    bool forgotten = m->replay || forget(m, conn, r == 0) == 0;
    size_t failed = tell(m, r == 0);
    free(m->items);
    return r < 0 || !forgotten ? MR_EXIT_UNREACHABLE : failed ? MR_EXIT_FAILED : MR_EXIT_OK;
}

static bool chosen(const struct mr_args *args)
{
    return args->noperands || mr_args_has(args, "all") || mr_args_has(args, "tenant") ||
           mr_args_has(args, "pipeline") || mr_args_has(args, "class") ||
           mr_args_has(args, "since");
}

static enum mr_exit run(struct mr_cli *cli, bool replay)
{
    enum mr_exit code;
    struct mr_dlq_filter filter;
    struct mr_err err;
    if (mr_dlq_filter(cli, &filter, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    if (!chosen(&cli->args)) {
        mr_cli_error(cli, "which jobs? Name them, or give --tenant, --pipeline, --class, --since "
                          "or --all");
        return MR_EXIT_USAGE;
    }
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    if (!conn)
        return MR_EXIT_UNREACHABLE;
    MR_CLEANUP(mr_db_clearp) PGresult *jobs = mr_dlq_select(cli, conn, &filter, &code);
    if (!jobs)
        return code;
    size_t missing = mr_db_missing(cli, jobs, MR_DLQ_MISSING);
    struct mr_mover mover = {.cli = cli, .jobs = jobs, .replay = replay};
    bool dry = mr_args_has(&cli->args, "dry-run"), json = cli->format == MR_FORMAT_JSON;
    if (!dry || !json)
        print_plan(&mover);
    if (PQntuples(jobs) == 0 || dry) {
        if (PQntuples(jobs) == 0 && missing == 0)
            mr_cli_note(cli, "no such dead jobs");
        if (json)
            print_plan_json(&mover);
    } else if (!agreed(&mover)) {
        code = MR_EXIT_FAILED;
        if (json)
            fputs("[]\n", cli->out);
    } else {
        code = carry_out(&mover, conn);
    }
    return missing && code == MR_EXIT_OK ? MR_EXIT_FAILED : code;
}

static enum mr_exit replay(struct mr_cli *cli)
{
    return run(cli, true);
}

static enum mr_exit drop(struct mr_cli *cli)
{
    return run(cli, false);
}

static const struct mr_option options[] = {
    MR_DLQ_FILTERS,
    {.name = "all", .type = MR_OPT_FLAG, .help = "Every dead job"},
    {.name = "dry-run",
        .type = MR_OPT_FLAG,
        .help = "Only tell what would be done; with -o json as an array"},
    {.name = "yes", .letter = 'y', .type = MR_OPT_FLAG, .help = "Do not ask"},
    {NULL},
};

const struct mr_command mr_cmd_dlq_replay = {
    .name = "dlq replay",
    .operands = "[JOB...]",
    .summary = "run dead jobs again from where they died",
    .details = "Tells for each job how many finished steps it reuses and how many it runs, asks, "
               "and then sends it back to the queue it came from. Finished steps are neither run "
               "nor paid again. A dead letter is removed only once RabbitMQ has confirmed its new "
               "message; all others stay where they are.",
    .examples = "  millrace dlq replay 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000\n"
                "  millrace dlq replay --class quota --since 24h --yes\n"
                "  millrace dlq replay --all --dry-run\n",
    .options = options,
    .output = mr_options_output,
    .max_operands = MR_OPERANDS_ANY,
    .run = replay,
};

const struct mr_command mr_cmd_dlq_drop = {
    .name = "dlq drop",
    .operands = "[JOB...]",
    .summary = "delete dead letters for good",
    .details = "Deletes the messages of dead jobs, so that they cannot be replayed any more, and "
               "takes the jobs off the list of dead letters. Their rows, results and costs stay "
               "in the database.",
    .examples = "  millrace dlq drop 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000 --yes\n"
                "  millrace dlq drop --tenant acme --class invalid\n",
    .options = options,
    .output = mr_options_output,
    .max_operands = MR_OPERANDS_ANY,
    .run = drop,
};
