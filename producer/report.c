#include "producer/report.h"
#include "common/json.h"
#include "producer/results.h"

#include <stdlib.h>
#include <string.h>

#define TOLD_MAX 1000 /* refusals and failures told one by one on stderr */
#define STEP_COLUMNS 10
#define GO_ON_MAX 20         /* jobs still running told by id */
#define WAITS_EVERY_MS 10000 /* in a pipe, which nobody can take back */

void mr_report_begin(struct mr_report *ret, struct mr_cli *cli, int64_t total)
{
    *ret = (struct mr_report){.cli = cli};
    mr_progress_begin(&ret->progress, cli, total);
    if (cli->format == MR_FORMAT_JSON)
        mr_list_begin(&ret->list, cli);
}

/* Before every row on a terminal that also shows the bar. */
static void make_way(struct mr_report *report)
{
    if (report->cli->out_tty)
        mr_cli_erase_bar(report->cli);
}

static void complain(struct mr_report *report, const char *what)
{
    if (report->progress.refused + report->progress.failed <= TOLD_MAX)
        mr_cli_error(report->cli, "%s", what);
    else
        report->silenced++;
}

static void add_json(struct mr_report *report, const struct mr_uuid *id, const char *source,
    const char *state, const char *error)
{
    char text[MR_UUID_LEN];
    json_t *element = json_object();
    if (id) {
        mr_uuid_format(id, text);
        json_object_set_new(element, "job", json_string(text));
    }
    json_object_set_new(element, "source", json_string(source));
    json_object_set_new(element, "state", json_string(state));
    if (error)
        json_object_set_new(element, "error", json_string(error));
    mr_list_add(&report->list, element);
}

void mr_report_refused(struct mr_report *report, const char *source, const struct mr_err *err)
{
    report->progress.refused++;
    complain(report, err->msg);
    make_way(report);
    if (report->cli->format == MR_FORMAT_JSON)
        add_json(report, NULL, source, "refused", err->msg);
    mr_progress_draw(&report->progress);
}

void mr_report_unsent(struct mr_report *report, const char *source, const char *why)
{
    report->progress.failed++;
    if (report->cli->format == MR_FORMAT_JSON)
        add_json(report, NULL, source, "failed", why);
}

static void heading(struct mr_report *report, const char *text)
{
    if (!report->headed)
        fputs(text, report->cli->out);
    report->headed = true;
}

/* A row of a job that is waited for. On a terminal a long step is cut, so that the row fits 80
 * columns. seconds and cost may be NULL. */
static void wait_row(struct mr_report *report, const struct mr_uuid *job, const char *step,
    const char *state, const char *seconds, const char *cost)
{
    char id[MR_UUID_LEN], usd[MR_USD_LEN];
    FILE *out = report->cli->out;
    mr_uuid_format(job, id);
    make_way(report);
    heading(report, "JOB                                   STEP        STATE    SECONDS  COST\n");
    if (report->cli->width > 0 && strlen(step) > STEP_COLUMNS)
        fprintf(out, "%s  %.*s…  ", id, STEP_COLUMNS - 1, step);
    else
        fprintf(out, "%s  %-*s  ", id, STEP_COLUMNS, step);
    mr_usd_tidy(cost, usd);
    if (seconds)
        fprintf(out, "%-9s %6s  %s\n", state, seconds, usd);
    else
        fprintf(out, "%s\n", state);
    fflush(out);
}

static void confirmed(struct mr_report *report, const struct mr_shipment *shipment, const char *id)
{
    FILE *out = report->cli->out;
    report->progress.confirmed++;
    if (report->wait && mr_wait_add(report->wait, &shipment->id, shipment->source) < 0)
        mr_cli_error(report->cli, "%s: confirmed, but no memory to wait for it", id);
    make_way(report);
    if (report->cli->format == MR_FORMAT_IDS) {
        fprintf(out, "%s\n", id);
    } else if (report->cli->format == MR_FORMAT_JSON) {
        if (!report->wait) /* else told when it ends */
            add_json(report, &shipment->id, shipment->source, "confirmed", NULL);
    } else if (report->wait) {
        wait_row(report, &shipment->id, "(job)", "queued", NULL, NULL);
    } else {
        heading(report, "JOB                                   STATE      SOURCE\n");
        fprintf(out, "%s  confirmed  ", id);
        mr_output_safe(out, shipment->source, false);
        fputc('\n', out);
    }
}

void mr_report_fate(
    void *ctx, const struct mr_shipment *shipment, enum mr_fate fate, const char *why)
{
    struct mr_report *report = ctx;
    char id[MR_UUID_LEN];
    struct mr_err err;
    mr_uuid_format(&shipment->id, id);
    if (fate == MR_FATE_CONFIRMED) {
        confirmed(report, shipment, id);
    } else {
        bool refused = fate == MR_FATE_REFUSED;
        int64_t *count = refused ? &report->progress.refused : &report->progress.failed;
        ++*count;
        mr_err_set(&err, 0, MR_CLASS_NETWORK, "%s (%s) %s: %s", id, shipment->source,
            refused ? "refused" : "failed", why);
        complain(report, err.msg);
        make_way(report);
        if (report->cli->format == MR_FORMAT_JSON)
            add_json(report, &shipment->id, shipment->source, refused ? "refused" : "failed", why);
    }
    mr_progress_draw(&report->progress);
}

/* ---- --wait ---- */

static bool is_true(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column)[0] == 't';
}

static void on_step(void *ctx, const struct mr_waited *job, const PGresult *steps, int row)
{
    struct mr_report *report = ctx;
    const char *state = PQgetvalue(steps, row, MR_WS_STATE);
    if (is_true(steps, row, MR_WS_DEGRADED))
        state = "degraded";
    else if (is_true(steps, row, MR_WS_CACHED))
        state = "cached";
    if (report->cli->format == MR_FORMAT_TABLE)
        wait_row(report, &job->id, PQgetvalue(steps, row, MR_WS_STEP), state,
            PQgetvalue(steps, row, MR_WS_SECONDS), PQgetvalue(steps, row, MR_WS_COST));
}

/* The results of a job that is done; NULL when they cannot be read. */
static PGresult *results_of(struct mr_report *report, const struct mr_waited *job)
{
    char id[MR_UUID_LEN], ids[MR_UUID_LEN + 2];
    PGconn *db = mr_wait_db(report->wait);
    if (!db)
        return NULL;
    mr_uuid_format(&job->follows, id);
    snprintf(ids, sizeof(ids), "{%s}", id);
    return mr_results_query(report->cli, db, ids, NULL);
}

static void end_table(struct mr_report *report, const struct mr_waited *job, const PGresult *jobs,
    int row, const PGresult *results)
{
    FILE *out = report->cli->out;
    wait_row(report, &job->id, "(job)", PQgetvalue(jobs, row, MR_WJ_STATE),
        PQgetvalue(jobs, row, MR_WJ_SECONDS), PQgetvalue(jobs, row, MR_WJ_COST));
    for (int i = 0; i < PQntuples(results); i++)
        mr_results_print(report->cli, results, i, false);
    if (!PQgetisnull(jobs, row, MR_WJ_CLASS)) {
        fprintf(out, "  %s", PQgetvalue(jobs, row, MR_WJ_CLASS));
        if (!PQgetisnull(jobs, row, MR_WJ_STEP))
            fprintf(out, " at step %s", PQgetvalue(jobs, row, MR_WJ_STEP));
        fputs(": ", out);
        mr_output_safe(out, PQgetvalue(jobs, row, MR_WJ_MESSAGE), false);
        fputc('\n', out);
    }
}

/* The steps of which that is true, by name. */
static json_t *steps_with(const PGresult *results, int column)
{
    json_t *steps = json_array();
    for (int i = 0; i < PQntuples(results); i++)
        if (is_true(results, i, column))
            json_array_append_new(steps, json_string(PQgetvalue(results, i, MR_RC_STEP)));
    return steps;
}

static json_t *text_or_null(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? json_null()
                                            : json_string(PQgetvalue(result, row, column));
}

static void end_json(struct mr_report *report, const struct mr_waited *job, const PGresult *jobs,
    int row, const PGresult *results)
{
    char id[MR_UUID_LEN], usd[MR_USD_LEN];
    json_t *element = json_object(), *outputs = json_object();
    mr_uuid_format(&job->id, id);
    json_object_set_new(element, "job", json_string(id));
    json_object_set_new(element, "source", json_string(job->source));
    json_object_set_new(element, "state", json_string(PQgetvalue(jobs, row, MR_WJ_STATE)));
    if (!mr_uuid_equal(&job->id, &job->follows)) {
        mr_uuid_format(&job->follows, id);
        json_object_set_new(element, "duplicate_of", json_string(id));
    }
    mr_usd_tidy(PQgetvalue(jobs, row, MR_WJ_COST), usd);
    json_object_set_new(element, "cost_usd", json_string(usd[0] ? usd + 1 : "0"));
    json_object_set_new(element, "error_class", text_or_null(jobs, row, MR_WJ_CLASS));
    json_object_set_new(element, "error_message", text_or_null(jobs, row, MR_WJ_MESSAGE));
    json_object_set_new(element, "error_step", text_or_null(jobs, row, MR_WJ_STEP));
    json_object_set_new(element, "degraded", json_boolean(is_true(jobs, row, MR_WJ_DEGRADED)));
    json_object_set_new(element, "degraded_steps", steps_with(results, MR_RC_DEGRADED));
    json_object_set_new(element, "cached_steps", steps_with(results, MR_RC_CACHED));
    for (int i = 0; i < PQntuples(results); i++)
        json_object_set_new(
            outputs, PQgetvalue(results, i, MR_RC_STEP), mr_results_json(results, i));
    json_object_set_new(element, "results", outputs);
    make_way(report);
    mr_list_add(&report->list, element);
}

static void on_end(void *ctx, const struct mr_waited *job, const PGresult *jobs, int row)
{
    struct mr_report *report = ctx;
    bool done = strcmp(PQgetvalue(jobs, row, MR_WJ_STATE), "done") == 0;
    report->done += done;
    report->ended_badly += !done;
    if (report->cli->format == MR_FORMAT_IDS)
        return;
    MR_CLEANUP(mr_db_clearp) PGresult *results = results_of(report, job);
    if (report->cli->format == MR_FORMAT_JSON)
        end_json(report, job, jobs, row, results);
    else
        end_table(report, job, jobs, row, results);
    fflush(report->cli->out);
}

static void on_waits(void *ctx, const char *line, const char *key)
{
    struct mr_report *report = ctx;
    int64_t now = mr_mono_ms(&report->cli->clock);
    if (mr_progress_say(&report->progress, line ? line : "") || !line || now < report->waits_ms ||
        strcmp(report->waits, key) == 0)
        return;
    mr_cli_note(report->cli, "%s", line);
    snprintf(report->waits, sizeof(report->waits), "%s", key);
    report->waits_ms = now + WAITS_EVERY_MS;
}

struct mr_wait_ops mr_report_wait_ops(struct mr_report *report)
{
    return (struct mr_wait_ops){.step = on_step, .end = on_end, .waits = on_waits, .ctx = report};
}

/* What was confirmed and has not ended: how to go on, and with -o json where it stands. */
static void tell_running(struct mr_report *report)
{
    char id[MR_UUID_LEN];
    const struct mr_waited *job;
    MR_CLEANUP(mr_buf_deinit) struct mr_buf ids = MR_BUF_INIT((MR_UUID_LEN + 1) * GO_ON_MAX + 1);
    size_t told = 0, pending = mr_wait_pending(report->wait);
    int r = 0;
    for (size_t at = 0; (job = mr_wait_next(report->wait, &at));) {
        mr_uuid_format(&job->id, id);
        if (told < GO_ON_MAX && r == 0) {
            r = mr_buf_printf(&ids, " %s", id);
            told++;
        }
        if (report->cli->format == MR_FORMAT_JSON)
            add_json(report, &job->id, job->source, job->state, NULL);
    }
    if (r == 0 && told > 0)
        mr_cli_note(report->cli, "still running: millrace status%s", ids.data);
    if (told < pending)
        mr_cli_note(report->cli, "... and %zu jobs more", pending - told);
}

void mr_report_end(struct mr_report *report)
{
    struct mr_progress *p = &report->progress;
    mr_progress_end(p);
    if (report->wait)
        tell_running(report);
    if (report->cli->format == MR_FORMAT_JSON)
        mr_list_end(&report->list);
    fflush(report->cli->out);
    if (report->silenced)
        mr_cli_note(
            report->cli, "... and %lld refusals and failures more", (long long)report->silenced);
    mr_cli_note(report->cli, "%lld confirmed, %lld refused, %lld failed", (long long)p->confirmed,
        (long long)p->refused, (long long)p->failed);
    if (report->wait)
        mr_cli_note(report->cli, "%lld done, %lld dead or cancelled, %zu not ended",
            (long long)report->done, (long long)report->ended_badly, mr_wait_pending(report->wait));
}
