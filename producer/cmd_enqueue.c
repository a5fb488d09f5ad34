/* millrace enqueue: publish jobs, and count only what RabbitMQ has confirmed. */
#include "common/json.h"
#include "producer/estimate.h"
#include "producer/input.h"
#include "producer/job.h"
#include "producer/report.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define TIMEOUT_MS 30000
#define GRACE_MS 2000 /* after Ctrl-C: for confirms that are on their way */

struct enqueue {
    struct mr_cli *cli;
    struct mr_job_plan plan;
    struct mr_report report;
    struct mr_signals signals;
    struct mr_sender *sender;
    struct mr_wait *wait;
    struct mr_estimate *estimate; /* --dry-run: everything else but plan and limits is empty then */
    int64_t refused;
    size_t line_max;
    int64_t timeout_ms;
};

static int estimate_one(
    struct enqueue *e, int made, struct mr_shipment *shipment, const struct mr_err *err)
{
    struct mr_err own;
    if (made == 0) {
        made = mr_estimate_add(e->estimate, shipment, &own);
        err = &own;
        mr_shipment_free(shipment);
    }
    if (made < 0) {
        mr_cli_error(e->cli, "%s", err->msg);
        e->refused++;
    }
    return made == -ENOMEM ? made : 0;
}

/* Sends one job, or tells why it is none. 0, or negative to stop. */
static int put(struct enqueue *e, const char *source, int made, struct mr_shipment *shipment,
    const struct mr_err *err)
{
    if (e->estimate)
        return estimate_one(e, made, shipment, err);
    if (made < 0) {
        mr_report_refused(&e->report, source, err);
        return made == -ENOMEM ? made : 0;
    }
    if (e->wait)
        mr_wait_expect(e->wait, &shipment->id);
    int r = mr_sender_put(e->sender, shipment);
    if (r == 0 && e->wait)
        (void)!mr_wait_turn(e->wait, 0); /* a lost database is dealt with at the end */
    return r;
}

static int wait_readable(void *ctx, int fd)
{
    struct enqueue *e = ctx;
    if (e->estimate) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        return poll(&readable, 1, -1) < 0 && errno != EINTR ? -errno : 0;
    }
    mr_progress_draw(&e->report.progress);
    return mr_sender_wait(e->sender, fd);
}

static int put_file(struct enqueue *e, const char *path)
{
    struct mr_err err;
    struct mr_input input;
    struct mr_shipment *shipment = NULL;
    int r = mr_input_open(path, wait_readable, e, &input, &err);
    if (r < 0)
        return put(e, path, r, NULL, &err);
    MR_CLEANUP(mr_buf_deinit)
    struct mr_buf document = MR_BUF_INIT((size_t)e->cli->config->producer.inline_max_bytes);
    bool is_stdin = strcmp(path, "-") == 0;
    const char *source = input.name;
    r = mr_input_all(&input, &document, &err);
    mr_input_close(&input);
    if (r == -EINTR || r == -ENOTCONN)
        return r;
    if (r == -EMSGSIZE)
        r = mr_job_too_large(e->cli->config, source, &err);
    if (r == 0)
        r = mr_job_of_document(
            &e->plan, source, is_stdin ? NULL : path, document.data, document.len, &shipment, &err);
    return put(e, source, r, shipment, &err);
}

static int put_lines(struct enqueue *e, const char *path)
{
    struct mr_err err;
    struct mr_input input;
    int r = mr_input_open(path, wait_readable, e, &input, &err);
    if (r < 0)
        return put(e, path, r, NULL, &err);
    if (input.size > 0 && e->report.progress.total == 0)
        e->report.progress.total = input.size;
    for (;;) {
        const char *line;
        size_t n;
        char source[512];
        struct mr_shipment *shipment = NULL;
        r = mr_input_line(&input, e->line_max, &line, &n, &err);
        if (r == 0 || (r < 0 && r != -EMSGSIZE))
            break;
        e->report.progress.done = input.bytes;
        if (r > 0 && strspn(line, " \t") >= n)
            continue;
        snprintf(source, sizeof(source), "%s:%lld", input.name, (long long)input.line);
        if (r < 0)
            mr_err_prefix(&err, r, "%s", source);
        else
            r = mr_job_of_line(&e->plan, source, line, n, &shipment, &err);
        r = put(e, source, r, shipment, &err);
        if (r < 0)
            break;
    }
    if (r < 0 && r != -EINTR && r != -ENOTCONN)
        (void)!put(e, input.name, r, NULL, &err);
    mr_input_close(&input);
    return r;
}

static int put_everything(struct enqueue *e)
{
    const struct mr_args *args = &e->cli->args;
    struct mr_err err;
    const char *value;
    int r = 0;
    for (size_t i = 0; i < args->noperands && r == 0; i++) {
        r = put_file(e, args->operands[i]);
        e->report.progress.done++;
    }
    for (size_t i = 0; r == 0 && (value = mr_args_nth(args, "text", i)); i++) {
        struct mr_shipment *shipment = NULL;
        int made = mr_job_of_text(&e->plan, "--text", value, strlen(value), &shipment, &err);
        r = put(e, "--text", made, shipment, &err);
    }
    for (size_t i = 0; r == 0 && (value = mr_args_nth(args, "url", i)); i++) {
        struct mr_shipment *shipment = NULL;
        int made = mr_job_of_url(&e->plan, value, &shipment, &err);
        r = put(e, value, made, shipment, &err);
    }
    for (size_t i = 0; r == 0 && (value = mr_args_nth(args, "jsonl", i)); i++)
        r = put_lines(e, value);
    return r;
}

/* ---- before the first job ---- */

static void note(void *ctx, const char *text)
{
    mr_cli_note(ctx, "%s", text);
}

static void idle(void *ctx)
{
    struct mr_cli *cli = ctx;
    fflush(cli->out);
}

/* The inputs that can be counted without reading them. */
static void nothing_sent(struct enqueue *e, const char *why)
{
    const struct mr_args *args = &e->cli->args;
    const char *value;
    for (size_t i = 0; i < args->noperands; i++)
        mr_report_unsent(&e->report, args->operands[i], why);
    for (size_t i = 0; mr_args_nth(args, "text", i); i++)
        mr_report_unsent(&e->report, "--text", why);
    for (size_t i = 0; (value = mr_args_nth(args, "url", i)); i++)
        mr_report_unsent(&e->report, value, why);
}

/* The broker first, which may take its time to come: only then are there events to listen to. */
static enum mr_exit connect_all(struct enqueue *e)
{
    struct mr_err err;
    struct mr_sender_world world = {.broker = &e->cli->config->broker,
        .clock = e->cli->clock,
        .random = e->cli->random,
        .signals = &e->signals,
        .timeout_ms = e->timeout_ms,
        .fate = mr_report_fate,
        .fate_ctx = &e->report,
        .note = note,
        .idle = idle,
        .note_ctx = e->cli};
    int r = mr_sender_new(&world, &e->sender, &err);
    if (r < 0) {
        if (r != -EINTR)
            mr_cli_error(e->cli, "%s; nothing was enqueued", err.msg);
        nothing_sent(e, err.msg);
        return r == -EINTR ? MR_EXIT_INTERRUPTED : MR_EXIT_UNREACHABLE;
    }
    if (e->plan.watch) {
        struct mr_wait_ops ops = mr_report_wait_ops(&e->report);
        e->report.wait = e->wait = mr_wait_new(e->cli, &ops);
        if (!e->wait) {
            nothing_sent(e, "PostgreSQL cannot be used");
            return MR_EXIT_UNREACHABLE;
        }
    }
    return MR_EXIT_OK;
}

/* Everything between the first job and the sum. Returns 0 or why it ended early. */
static int work(struct enqueue *e)
{
    int r = put_everything(e);
    int flushed = r == -ENOTCONN ? r : mr_sender_flush(e->sender, GRACE_MS);
    if (r == 0)
        r = flushed;
    e->sender = mr_sender_free(e->sender);
    if (r == 0 && e->wait)
        r = mr_wait_run(e->wait, &e->signals, e->timeout_ms);
    return r;
}

static enum mr_exit verdict(const struct enqueue *e, int r)
{
    const struct mr_report *report = &e->report;
    if (r == -EINTR)
        return MR_EXIT_INTERRUPTED;
    if (r == -ENOTCONN)
        return MR_EXIT_UNREACHABLE;
    if (r < 0 || report->progress.refused || report->progress.failed || report->ended_badly)
        return MR_EXIT_FAILED;
    return MR_EXIT_OK;
}

/* The same inputs, checks and messages; no broker. */
static enum mr_exit dry_run(struct enqueue *e)
{
    e->estimate = mr_estimate_new(e->cli);
    if (!e->estimate)
        return MR_EXIT_FAILED;
    int r = put_everything(e);
    mr_estimate_print(e->estimate, e->refused);
    e->estimate = mr_estimate_free(e->estimate);
    return r < 0 || e->refused ? MR_EXIT_FAILED : MR_EXIT_OK;
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    struct enqueue e = {.cli = cli,
        .line_max = 8 * (size_t)cli->config->producer.inline_max_bytes + (1u << 20),
        .timeout_ms = mr_args_number(&cli->args, "timeout", TIMEOUT_MS)};
    if (mr_job_plan_read(cli, &e.plan, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    if (mr_args_has(&cli->args, "dry-run")) {
        enum mr_exit told = dry_run(&e);
        mr_json_decrefp(&e.plan.metadata);
        return told;
    }
    if (mr_signals_open(&e.signals, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        mr_json_decrefp(&e.plan.metadata);
        return MR_EXIT_FAILED;
    }
    size_t inputs = cli->args.noperands;
    mr_report_begin(&e.report, cli, inputs > 1 ? (int64_t)inputs : 0);
    enum mr_exit code = connect_all(&e);
    if (code == MR_EXIT_OK)
        code = verdict(&e, work(&e));
    if (code == MR_EXIT_INTERRUPTED)
        mr_cli_note(cli, "interrupted");
    mr_report_end(&e.report);
    e.sender = mr_sender_free(e.sender);
    e.wait = mr_wait_free(e.wait);
    mr_signals_close(&e.signals);
    mr_json_decrefp(&e.plan.metadata);
    return code;
}

static const struct mr_option options[] = {
    {.name = "text",
        .type = MR_OPT_TEXT,
        .many = true,
        .arg = "TEXT",
        .help = "Enqueue this text as a document; may be repeated"},
    {.name = "url",
        .type = MR_OPT_TEXT,
        .many = true,
        .arg = "URL",
        .help = "Enqueue the document at this address, which a worker fetches; may be repeated"},
    {.name = "jsonl",
        .type = MR_OPT_FILE,
        .many = true,
        .arg = "FILE",
        .help = "Enqueue one job per line, each a JSON envelope; - is standard input"},
    {.name = "pipeline",
        .letter = 'p',
        .type = MR_OPT_TEXT,
        .arg = "NAME",
        .help = "The pipeline to run; document unless given"},
    {.name = "tenant",
        .letter = 't',
        .type = MR_OPT_TEXT,
        .arg = "NAME",
        .help = "Who pays; default unless given"},
    {.name = "priority",
        .type = MR_OPT_INT,
        .arg = "N",
        .min = 1,
        .max = 10,
        .help = "1 to 10: 8 to 10 take the high lane, 4 to 7 the normal one, 1 to 3 the low one; 5 "
                "unless given"},
    {.name = "metadata",
        .letter = 'm',
        .type = MR_OPT_TEXT,
        .many = true,
        .arg = "KEY=VALUE",
        .help = "Goes with the job and can be used in prompts; may be repeated"},
    {.name = "idempotency-key",
        .type = MR_OPT_TEXT,
        .arg = "KEY",
        .help = "At most one job of a tenant runs under one key, however often it is enqueued"},
    {.name = "deadline",
        .type = MR_OPT_TIME,
        .arg = "TIME",
        .help = "Give up after this time (RFC 3339) or duration from now (such as 2h)"},
    {.name = "wait",
        .letter = 'w',
        .type = MR_OPT_FLAG,
        .help = "Follow the jobs, show steps as they finish, then the results"},
    {.name = "dry-run",
        .type = MR_OPT_FLAG,
        .help = "Check the inputs and tell what they will cost; nothing is published"},
    {.name = "timeout",
        .type = MR_OPT_DURATION,
        .arg = "DURATION",
        .help = "How long to wait for a broker that is down, is lost midway or takes nothing; 30s "
                "unless "
                "given"},
    {NULL},
};

static const struct mr_option output[] = {
    {.name = "output",
        .letter = 'o',
        .type = MR_OPT_CHOICE,
        .arg = "FORMAT",
        .choices = "table|json|ids",
        .help = "table for people (the default), json for programs, ids for one job id a line"},
    {NULL},
};

const struct mr_command mr_cmd_enqueue = {
    .name = "enqueue",
    .operands = "[FILE...]",
    .summary = "publish jobs, and count those RabbitMQ has confirmed",
    .details =
        "Publishes one job for each input. A job counts as confirmed only once RabbitMQ has it "
        "safe; the sum at the end goes to standard error.\n\n"
        "Inputs are files, - for standard input, --text, --url and --jsonl. Documents up to "
        "producer.inline_max_bytes travel inside the message; larger ones are refused, since "
        "--url lets a worker fetch them. Plain text and Markdown in UTF-8 travel as text, "
        "everything else as bytes with its name and media type.\n\n"
        "A line of --jsonl is an envelope as schemas/job.schema.json describes it, of which only "
        "\"input\" must be there: what is missing comes from the options, and the id is made. "
        "Lines with ids of their own can be sent again without harm. A line that is wrong is "
        "refused by file, line and field, and the rest goes on.\n\n"
        "When the connection is lost, what is not confirmed yet is published again under the same "
        "ids for as long as --timeout allows; after that it is reported as failed. Ctrl-C stops "
        "and tells what was confirmed.\n\n"
        "With --wait a line on stderr says of jobs that do not get on what they wait for, as "
        "millrace "
        "explain does: a worker to take them, the next try after a failure, a limit, room under a "
        "cap. The state of a step is cached when its answer came from the cache, and degraded when "
        "the local provider gave it. -o json prints a job when it has ended, with its results and "
        "the names of such steps, and the exit code "
        "is 0 only if every job is done. Ctrl-C leaves the jobs running and tells how to go on.\n\n"
        "With --dry-run every input is checked as if it were sent, and a row a step tells what the "
        "jobs will cost. WORST is the bound that will be held for one answered call of each step: "
        "every byte of the prompt a token, max_tokens of output, the dearest model of its rules "
        "and "
        "fallbacks; a call repeated after a bad answer costs again. EXPECTED and LOW go by what "
        "this step's calls of the last 30 days have cost of their bound, on average and one in ten "
        "(BASIS says how many calls), and with fewer than 20 of them by size only: four bytes a "
        "token and half of max_tokens, six bytes a token and a short answer. The text of a "
        "document "
        "that a worker has yet to extract is estimated from its size. A second table has the caps "
        "of the tenants: what is left of them now, and whether the jobs FIT: yes, even at the "
        "worst; maybe, as expected; or no. Of a job cap it is the dearest job that counts. "
        "OTHERWISE is what becomes of a job that finds no room (millrace tenant set --on-cap). The "
        "exit code does not depend on it.",
    .examples = "  millrace enqueue report.pdf notes.txt\n"
                "  millrace enqueue --wait --text 'The mill by the river was sold in 1912.'\n"
                "  millrace enqueue --jsonl jobs.jsonl --tenant acme -o ids > ids.txt\n"
                "  curl -s https://example.com/a.html | millrace enqueue - --priority 8\n"
                "  millrace enqueue --dry-run --jsonl jobs.jsonl --tenant acme\n"
                "  millrace enqueue --url https://example.com/big.pdf --deadline 2h\n",
    .options = options,
    .output = output,
    .max_operands = MR_OPERANDS_ANY,
    .run = run,
};
