/* millrace explain: where a job stands, and why it waits. */
#include "producer/explain.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is asked ---- */

static const struct mr_column job_columns[MR_EX_COUNT] = {
    [MR_EX_JOB] = {"job", NULL, MR_CELL_TEXT},
    [MR_EX_STATE] = {"state", "State", MR_CELL_TEXT},
    [MR_EX_TENANT] = {"tenant", "Tenant", MR_CELL_TEXT},
    [MR_EX_PIPELINE] = {"pipeline", "Pipeline", MR_CELL_TEXT},
    [MR_EX_VERSION] = {"version", NULL, MR_CELL_INT},
    [MR_EX_POOL] = {"pool", NULL, MR_CELL_TEXT},
    [MR_EX_PRIORITY] = {"priority", NULL, MR_CELL_INT},
    [MR_EX_STEP] = {"step", "At step", MR_CELL_TEXT},
    [MR_EX_STEPS_DONE] = {"steps_done", "Steps done", MR_CELL_INT},
    [MR_EX_ATTEMPTS] = {"attempts", "Calls", MR_CELL_INT},
    [MR_EX_COST] = {"cost_usd", "Cost", MR_CELL_USD},
    [MR_EX_HELD] = {"held_usd", "Held", MR_CELL_USD},
    [MR_EX_AMBIGUOUS] = {"ambiguous_usd", "Ambiguous", MR_CELL_USD},
    [MR_EX_REDELIVERIES] = {"redeliveries", NULL, MR_CELL_INT},
    [MR_EX_CREATED] = {"created_at", "Created", MR_CELL_TIME},
    [MR_EX_ENDED] = {"ended_at", "Ended", MR_CELL_TIME},
    [MR_EX_UNTIL] = {"delay_until", NULL, MR_CELL_TIME},
    [MR_EX_UNTIL_S] = {"delay_seconds", NULL, MR_CELL_INT},
    [MR_EX_CLASS] = {"error_class", NULL, MR_CELL_TEXT},
    [MR_EX_MESSAGE] = {"error_message", NULL, MR_CELL_TEXT},
    [MR_EX_ERROR_STEP] = {"error_step", NULL, MR_CELL_TEXT},
    [MR_EX_DUPLICATE] = {"duplicate_of", NULL, MR_CELL_TEXT},
    [MR_EX_CANCELLING] = {"cancel_requested", NULL, MR_CELL_BOOL},
    [MR_EX_DEGRADED] = {"degraded", NULL, MR_CELL_BOOL},
    [MR_EX_DROPPED] = {"letter_dropped", NULL, MR_CELL_BOOL},
    [MR_EX_WORKER] = {"worker", "Worker", MR_CELL_TEXT},
    [MR_EX_ALIVE] = {"worker_alive", NULL, MR_CELL_BOOL},
    [MR_EX_HEARTBEAT_S] = {"heartbeat_seconds", NULL, MR_CELL_INT},
};

static const char job_sql[] =
    "select o.job_id, o.state, o.tenant, o.pipeline, o.version, o.pool, o.priority, o.step, "
    "o.steps_done,"
    " o.attempts, o.cost_usd, o.held_usd, o.ambiguous_usd, o.redeliveries,"
    " millrace.utc(o.created_at), millrace.utc(o.ended_at), millrace.utc(o.delay_until),"
    " ceil(extract(epoch from o.delay_until - now()))::bigint, o.error_class, o.error_message,"
    " o.error_step, o.duplicate_of, o.cancel_requested, o.degraded,"
    " o.state = 'dead' and not exists (select from millrace.dead_jobs d where d.job_id = o.job_id),"
    " o.worker, w.alive,"
    " round(extract(epoch from now() - w.heartbeat_at))::bigint"
    " from millrace.job_overview o left join millrace.worker_overview w using (worker_id)"
    " where o.job_id = $1::uuid";

static const struct mr_column call_columns[] = {
    {"step", "STEP", MR_CELL_TEXT},
    {"attempt", "TRY", MR_CELL_INT},
    {"state", "STATE", MR_CELL_TEXT},
    {"alias", "ALIAS", MR_CELL_TEXT},
    {"model", "MODEL", MR_CELL_TEXT},
    {"endpoint", "ENDPOINT", MR_CELL_TEXT},
    {"hit", "HIT", MR_CELL_BOOL},
    {"cost_usd", "COST", MR_CELL_USD},
    {"latency_ms", "SECONDS", MR_CELL_MS},
    {"route", "ROUTE", MR_CELL_TEXT},
    {"class", "ERROR", MR_CELL_TEXT},
    {"message", "MESSAGE", MR_CELL_TEXT},
    {"started_at", NULL, MR_CELL_TIME},
    {"hold_usd", NULL, MR_CELL_USD},
    {"cached_from", NULL, MR_CELL_TEXT},
    {"call", NULL, MR_CELL_TEXT},
};
#define NCALL (sizeof(call_columns) / sizeof(call_columns[0]))

static const char calls_sql[] =
    "select * from (select step, attempt, state, alias, provider || '/' || model, endpoint, hit,"
    " cost_usd + ambiguous_usd + held_usd, latency_ms, route, class, message,"
    " millrace.utc(started_at), hold_usd, cached_from, call_id from millrace.call_costs"
    " where job_id = $1::uuid order by started_at desc, call_id desc limit 20) c"
    " order by 13, 16";

static const struct mr_column breaker_columns[] = {
    {"provider", "BREAKER", MR_CELL_TEXT},
    {"endpoint", "ENDPOINT", MR_CELL_TEXT},
    {"state", "STATE", MR_CELL_TEXT},
    {"since", "SINCE", MR_CELL_TIME},
    {"until", "UNTIL", MR_CELL_TIME},
    {"why", "WHY", MR_CELL_TEXT},
    {"workers", "WORKERS", MR_CELL_INT},
};
#define NBREAKER (sizeof(breaker_columns) / sizeof(breaker_columns[0]))

static const char breakers_sql[] =
    "select provider, endpoint, state, millrace.utc(min(since)), millrace.utc(max(until)),"
    " max(why), count(*) from millrace.breaker_overview"
    " where $1::text[] is null or provider = any($1::text[]) group by 1, 2, 3 order by 1, 2, 3";

/* Marks the models that a call of this one may end up at: by rules, or after failures. */
static void mark(const struct mr_config *config, const struct mr_model *model, bool *seen)
{
    if (seen[model - config->models])
        return;
    seen[model - config->models] = true;
    for (size_t i = 0; i < model->nrules; i++)
        mark(config, model->rules[i].use, seen);
    for (size_t i = 0; i < model->nfallback; i++)
        mark(config, model->fallback[i], seen);
}

/* The providers that the job's pipeline may ask, as a text[] literal; names need no quotes. NULL:
 * not known here, so any. */
static char *providers_of(const struct mr_config *config, const PGresult *job)
{
    const struct mr_pipeline *pipeline = NULL;
    if (PQntuples(job) > 0)
        pipeline = mr_config_pipeline(config, PQgetvalue(job, 0, MR_EX_PIPELINE),
            (int)strtol(PQgetvalue(job, 0, MR_EX_VERSION), NULL, 10));
    bool *seen = pipeline ? calloc(config->nmodels + 1, sizeof(*seen)) : NULL;
    if (!seen)
        return NULL;
    struct mr_buf buf = MR_BUF_INIT(config->nmodels * (MR_NAME_MAX + 1) + 3);
    for (size_t i = 0; i < pipeline->nsteps; i++)
        if (pipeline->steps[i].model)
            mark(config, pipeline->steps[i].model, seen);
    int r = mr_buf_putc(&buf, '{');
    for (size_t i = 0; i < config->nmodels && r == 0; i++)
        if (seen[i])
            r = mr_buf_printf(
                &buf, "%s%s", buf.len > 1 ? "," : "", config->models[i].provider->name);
    if (r == 0)
        r = mr_buf_putc(&buf, '}');
    char *list = r == 0 ? mr_buf_steal(&buf, NULL) : NULL;
    mr_buf_deinit(&buf);
    free(seen);
    return list;
}

static PGresult *ask_breakers(struct mr_cli *cli, PGconn *conn, const PGresult *job)
{
    char *providers = providers_of(cli->config, job);
    const char *params[] = {providers};
    PGresult *breakers = mr_db_query(cli, conn, breakers_sql, 1, params);
    free(providers);
    return breakers;
}

/* ---- telling ---- */

/* In the table of calls, columns that say nothing of any of them. */
static void leave_out(const PGresult *calls, struct mr_column ret[static NCALL])
{
    memcpy(ret, call_columns, sizeof(call_columns));
    for (size_t c = 0; c < NCALL; c++) {
        bool said = false;
        for (int row = 0; row < PQntuples(calls) && !said; row++)
            said = !PQgetisnull(calls, row, (int)c) &&
                   (ret[c].type != MR_CELL_BOOL || PQgetvalue(calls, row, (int)c)[0] == 't');
        if (!said)
            ret[c].title = NULL;
    }
}

static json_t *array_of(const struct mr_rows *rows)
{
    json_t *array = json_array();
    for (size_t i = 0; i < rows->nrows; i++)
        json_array_append_new(array, mr_output_object(rows, i));
    return array;
}

static json_t *lanes_json(const struct mr_explain *explain)
{
    json_t *array = json_array();
    for (size_t i = 0; i < explain->nlanes; i++) {
        const struct mr_queue_facts *lane = &explain->lanes[i];
        if (!lane->missing)
            json_array_append_new(
                array, json_pack("{s:s, s:I, s:I}", "queue", lane->name, "messages",
                           (json_int_t)lane->messages, "consumers", (json_int_t)lane->consumers));
    }
    return array;
}

static void tell_json(struct mr_cli *cli, const struct mr_explain *explain,
    const struct mr_rows *job, const struct mr_rows *calls, const struct mr_rows *breakers)
{
    json_t *object = job->nrows ? mr_output_object(job, 0) : json_object();
    if (!job->nrows)
        json_object_set_new(object, "job", json_string(explain->id));
    json_t *words = json_array();
    for (size_t i = 0; i < explain->nwords; i++)
        json_array_append_new(words, json_string(explain->words[i]));
    json_object_set_new(object, "known", json_boolean(job->nrows > 0));
    json_object_set_new(object, "why", words);
    json_object_set_new(object, "lanes", lanes_json(explain));
    json_object_set_new(object, "calls", array_of(calls));
    json_object_set_new(object, "breakers", array_of(breakers));
    mr_output_json(cli, object);
}

static void tell_text(struct mr_cli *cli, const struct mr_explain *explain,
    const struct mr_rows *job, const struct mr_rows *calls, const struct mr_rows *breakers)
{
    for (size_t i = 0; i < explain->nwords; i++) {
        mr_output_safe(cli->out, explain->words[i], false);
        fputc('\n', cli->out);
    }
    if (job->nrows) {
        fputc('\n', cli->out);
        mr_output_record(cli, job, 0);
    }
    if (calls->nrows) {
        fputc('\n', cli->out);
        mr_output_rows(cli, calls, "");
    }
    if (breakers->nrows && explain->breakers_matter) {
        fputc('\n', cli->out);
        mr_output_rows(cli, breakers, "");
    }
}

static enum mr_exit work(struct mr_cli *cli, PGconn *conn, struct mr_explain *explain)
{
    const char *params[] = {explain->id};
    char ids[MR_UUID_LEN + 2];
    const char *list[] = {ids};
    snprintf(ids, sizeof(ids), "{%s}", explain->id);
    MR_CLEANUP(mr_db_clearp) PGresult *job = mr_db_query(cli, conn, job_sql, 1, params);
    MR_CLEANUP(mr_db_clearp) PGresult *waits = NULL;
    MR_CLEANUP(mr_db_clearp) PGresult *calls = NULL;
    MR_CLEANUP(mr_db_clearp) PGresult *breakers = NULL;
    if (job)
        waits = mr_db_query(cli, conn, mr_waits_sql, 1, list);
    if (waits)
        calls = mr_db_query(cli, conn, calls_sql, 1, params);
    if (calls)
        breakers = ask_breakers(cli, conn, job);
    if (!breakers)
        return MR_EXIT_UNREACHABLE;
    explain->job = job;
    explain->waits = waits;
    explain->breakers = breakers;
    if (!mr_explain(cli, conn, explain))
        return MR_EXIT_UNREACHABLE;
    struct mr_column shown[NCALL];
    leave_out(calls, shown);
    struct mr_rows job_rows = mr_db_rows(job, job_columns, MR_EX_COUNT),
                   call_rows = mr_db_rows(calls, shown, NCALL),
                   breaker_rows = mr_db_rows(breakers, breaker_columns, NBREAKER);
    if (cli->format == MR_FORMAT_JSON)
        tell_json(cli, explain, &job_rows, &call_rows, &breaker_rows);
    else
        tell_text(cli, explain, &job_rows, &call_rows, &breaker_rows);
    return job_rows.nrows ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_explain explain = {0};
    struct mr_uuid id;
    if (mr_uuid_parse(cli->args.operands[0], &id) < 0) {
        mr_cli_error(cli,
            "%s is not a job id, which looks like 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000",
            cli->args.operands[0]);
        return MR_EXIT_USAGE;
    }
    mr_uuid_format(&id, explain.id);
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    enum mr_exit code = conn ? work(cli, conn, &explain) : MR_EXIT_UNREACHABLE;
    mr_explain_deinit(&explain);
    return code;
}

const struct mr_command mr_cmd_explain = {
    .name = "explain",
    .operands = "JOB",
    .summary = "tell where a job stands, and why it waits",
    .details =
        "Says in a few sentences where the job stands and what it waits for: its turn in a lane "
        "(with how many messages stand before it at most), room under a cap, a limit, a breaker to "
        "close, the next try after a failure, the end of a delay and the reason for it, a worker "
        "that has died. A wait in its worker's hands is told as far as it is on record: the time "
        "of the next try follows from the configuration here, and the place in a limit's line is "
        "the last one. Below stand its facts, its last calls (what the step asked for, what was "
        "called and why, HIT for an answer from the cache) and those breakers that are open of "
        "providers its pipeline may "
        "ask.\n\n"
        "A job that no worker has taken yet is known to RabbitMQ only, and its message cannot be "
        "looked up there: then it tells what waits in the lanes, and the exit code is 1, since the "
        "id may also be wrong.",
    .examples = "  millrace explain 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000\n"
                "  millrace explain 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000 -o json\n",
    .output = mr_options_output,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
