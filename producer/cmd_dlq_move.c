/* millrace dlq replay and drop: take dead letters out of their queue. */
#include "producer/deadq.h"
#include "producer/dlq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLAN_LINES 100
#define SLICE_MS 100
#define SILENCE_MS 30000 /* without a confirm */

enum outcome { OUT_WAITING, OUT_SENT, OUT_MOVED, OUT_FAILED };

/* One dead job that is to be moved. */
struct item {
    struct mr_uuid id;
    int row;
    enum outcome outcome;
    uint64_t tag; /* of its letter */
    char *why;    /* it failed */
};

struct mover {
    struct mr_cli *cli;
    const PGresult *jobs;
    bool replay;         /* else drop */
    struct item *items;  /* sorted by id */
    size_t nitems, open; /* open: letters not found yet */
    struct mr_deadq queue;
    struct mr_publisher *publisher; /* replay only */
    int64_t confirm_ms;
    struct mr_err err;
};

static int by_id(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return memcmp(x->id.bytes, y->id.bytes, sizeof(x->id.bytes));
}

static struct item *find(struct mover *m, const struct mr_headers_copy *headers)
{
    struct item key = {.id = headers->headers.id};
    return headers->has_id ? bsearch(&key, m->items, m->nitems, sizeof(key), by_id) : NULL;
}

/* The letter is gone only once its copy is safe. */
static void on_confirm(void *ctx, void *token, enum mr_publish_result result, const char *why)
{
    struct mover *m = ctx;
    struct item *item = token;
    m->confirm_ms = mr_mono_ms(&m->cli->clock);
    if (result == MR_PUBLISH_OK) {
        item->outcome = mr_deadq_ack(&m->queue, item->tag, &m->err) == 0 ? OUT_MOVED : OUT_FAILED;
        why = m->err.msg;
    } else {
        item->outcome = OUT_FAILED;
    }
    if (item->outcome == OUT_FAILED)
        item->why = strdup(why ? why : "not confirmed");
}

/* Where the job came from; a letter that does not say goes to the start of its pipeline. */
static void origin_of(
    struct mover *m, const struct mr_headers *headers, char ret[static MR_QUEUE_MAX])
{
    if (headers->origin && strlen(headers->origin) < MR_QUEUE_MAX) {
        snprintf(ret, MR_QUEUE_MAX, "%s", headers->origin);
        return;
    }
    const struct mr_pipeline *pipeline =
        headers->pipeline ? mr_config_pipeline(m->cli->config, headers->pipeline, 0) : NULL;
    int priority = headers->priority >= 1 && headers->priority <= 10 ? headers->priority
                                                                     : MR_ENVELOPE_DEFAULT_PRIORITY;
    mr_lane_key(pipeline ? pipeline->steps[0].pool : "main", mr_lane_of_priority(priority), ret);
}

static int poll_publisher(struct mover *m, int wait_ms)
{
    int r = mr_publisher_poll(m->publisher, wait_ms, &m->err);
    if (r == 0 && mr_mono_ms(&m->cli->clock) - m->confirm_ms > SILENCE_MS)
        r = mr_err_set(&m->err, -ETIMEDOUT, MR_CLASS_NETWORK,
            "RabbitMQ has confirmed nothing for %d s", SILENCE_MS / 1000);
    return r;
}

/* Above both what the letter and what the database say, or a worker takes it for an old copy. */
static int32_t next_replay(struct mover *m, const struct item *item, const struct mr_headers *h)
{
    long known = strtol(PQgetvalue(m->jobs, item->row, MR_DC_REPLAYS), NULL, 10);
    long last = known > h->replay ? known : h->replay;
    return (int32_t)last + 1;
}

static int publish(struct mover *m, struct item *item, const struct mr_dead_letter *letter)
{
    const struct mr_headers *old = &letter->headers.headers;
    struct mr_headers headers = {.id = old->id,
        .tenant = old->tenant,
        .pipeline = old->pipeline,
        .priority = old->priority,
        .replay = next_replay(m, item, old)};
    char key[MR_QUEUE_MAX];
    origin_of(m, old, key);
    if (mr_publisher_unconfirmed(m->publisher) == 0)
        m->confirm_ms = mr_mono_ms(&m->cli->clock);
    for (;;) {
        int r = mr_publisher_publish(m->publisher, MR_EX_JOBS, key, &headers, letter->body,
            letter->len, true, item, &m->err);
        if (r != MR_PUBLISH_FULL)
            return r;
        r = poll_publisher(m, SLICE_MS);
        if (r < 0)
            return r;
    }
}

static int settle(struct mover *m, struct item *item)
{
    while (item->outcome == OUT_SENT) {
        int r = poll_publisher(m, SLICE_MS);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take(struct mover *m, const struct mr_dead_letter *letter)
{
    struct item *item = find(m, &letter->headers);
    if (!item)
        return 0;                       /* goes back when the queue is closed */
    if (item->outcome != OUT_WAITING) { /* a second letter of the same job */
        int r = settle(m, item);
        return r == 0 && item->outcome == OUT_MOVED ? mr_deadq_ack(&m->queue, letter->tag, &m->err)
                                                    : r;
    }
    m->open--;
    item->tag = letter->tag;
    if (m->replay) {
        item->outcome = OUT_SENT;
        int r = publish(m, item, letter);
        if (r < 0)
            item->outcome = OUT_FAILED;
        return r;
    }
    int r = mr_deadq_ack(&m->queue, letter->tag, &m->err);
    item->outcome = r == 0 ? OUT_MOVED : OUT_FAILED;
    return r;
}

static int go_through(struct mover *m)
{
    struct mr_dead_letter letter;
    int r = 0;
    while (m->open > 0 && (r = mr_deadq_next(&m->queue, &letter, &m->err)) > 0) {
        r = take(m, &letter);
        mr_dead_letter_deinit(&letter);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; r == 0 && i < m->nitems; i++)
        r = settle(m, &m->items[i]);
    return r;
}

static int open_publisher(struct mover *m)
{
    amqp_connection_state_t conn;
    const struct mr_config_broker *broker = &m->cli->config->broker;
    int r = mr_amqp_connect(broker, "millrace dlq", 1, &m->cli->random, &conn, &m->err);
    if (r < 0)
        return r;
    return mr_publisher_new(conn, broker->publish_window, on_confirm, m, &m->publisher, &m->err);
}

static int move_all(struct mover *m)
{
    int r = mr_deadq_open(&m->cli->config->broker, &m->cli->random, &m->queue, &m->err);
    if (r < 0)
        return r;
    if (m->replay)
        r = open_publisher(m);
    if (r == 0)
        r = go_through(m);
    struct mr_err err = m->err; /* freeing reports what is still open, and may write to it */
    m->publisher = mr_publisher_free(m->publisher);
    mr_deadq_close(&m->queue);
    m->err = err;
    return r;
}

/* ---- what the user sees ---- */

static json_t *foreseen_json(const struct mover *m, int row)
{
    int reuses, runs;
    mr_dlq_foresee(m->cli, m->jobs, row, &reuses, &runs);
    return json_pack("{s:s, s:i, s:o}", "job", PQgetvalue(m->jobs, row, MR_DC_JOB), "reuses",
        reuses, "runs", runs < 0 ? json_null() : json_integer(runs));
}

/* What --dry-run -o json prints: the whole plan. */
static void print_plan_json(const struct mover *m)
{
    struct mr_list list;
    mr_list_begin(&list, m->cli);
    for (int row = 0; row < PQntuples(m->jobs); row++)
        mr_list_add(&list, foreseen_json(m, row));
    mr_list_end(&list);
}

static void print_plan(struct mover *m)
{
    FILE *out = m->cli->format == MR_FORMAT_JSON ? m->cli->err : m->cli->out;
    int n = PQntuples(m->jobs);
    char words[MR_DLQ_WORDS], usd[MR_USD_LEN];
    for (int row = 0; row < n && row < PLAN_LINES; row++) {
        fprintf(out, "job %s: ", PQgetvalue(m->jobs, row, MR_DC_JOB));
        mr_dlq_foresee_words(m->cli, m->jobs, row, words);
        mr_usd_tidy(PQgetvalue(m->jobs, row, MR_DC_SPENT), usd);
        if (m->replay)
            fprintf(out, "%s\n", words);
        else
            fprintf(out,
                "its dead letter will be deleted; %s results and %s of cost stay "
                "readable\n",
                PQgetvalue(m->jobs, row, MR_DC_STEPS_DONE), usd);
    }
    if (n > PLAN_LINES)
        fprintf(out, "... and %d jobs more\n", n - PLAN_LINES);
    fflush(out);
}

/* Asks on a terminal; elsewhere --yes has to say it. */
static bool agreed(struct mover *m)
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

static const char *outcome_word(const struct mover *m, const struct item *item)
{
    if (item->outcome == OUT_MOVED)
        return m->replay ? "replayed" : "dropped";
    return item->outcome == OUT_WAITING ? "missing" : "failed";
}

static void add_json(struct mover *m, const struct item *item, struct mr_list *list)
{
    json_t *element = foreseen_json(m, item->row);
    json_object_set_new(element, "outcome", json_string(outcome_word(m, item)));
    mr_list_add(list, element);
}

/* Returns how many failed. A job that was to be replayed by name and has no letter failed; one that
 * was merely meant by a filter is on its way already. */
static size_t tell(struct mover *m, bool complete)
{
    struct mr_cli *cli = m->cli;
    struct mr_list list;
    size_t moved = 0, missing = 0;
    if (cli->format == MR_FORMAT_JSON)
        mr_list_begin(&list, cli);
    for (size_t i = 0; i < m->nitems; i++) {
        struct item *item = &m->items[i];
        const char *id = PQgetvalue(m->jobs, item->row, MR_DC_JOB);
        moved += item->outcome == OUT_MOVED;
        if (cli->format == MR_FORMAT_JSON)
            add_json(m, item, &list);
        if (item->outcome == OUT_WAITING && complete) {
            missing++;
            if (cli->args.noperands && m->replay)
                mr_cli_error(cli,
                    "%s has no letter in the queue " MR_QUEUE_DEAD
                    ": it was dropped, or replayed a moment ago",
                    id);
        } else if (item->outcome != OUT_MOVED) {
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
static int forget(struct mover *m, PGconn *conn, bool complete)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf ids = MR_BUF_INIT(MR_PG_ARRAY_MAX);
    int r = mr_buf_putc(&ids, '{');
    for (size_t i = 0; i < m->nitems && r == 0; i++) {
        const struct item *item = &m->items[i];
        if (item->outcome == OUT_MOVED || (item->outcome == OUT_WAITING && complete))
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

static enum mr_exit carry_out(struct mover *m, PGconn *conn)
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
    qsort(m->items, m->nitems, sizeof(*m->items), by_id);
    int r = move_all(m);
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
    struct mover mover = {.cli = cli, .jobs = jobs, .replay = replay};
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
