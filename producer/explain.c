#include "producer/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

MR_PRINTF(2, 3) static void say(struct mr_explain *explain, const char *fmt, ...)
{
    char *text;
    va_list args;
    va_start(args, fmt);
    int n = explain->nwords < MR_EXPLAIN_WORDS ? vasprintf(&text, fmt, args) : -1;
    va_end(args);
    if (n >= 0)
        explain->words[explain->nwords++] = text;
}

static const char *cell(const struct mr_explain *explain, int column)
{
    return PQgetisnull(explain->job, 0, column) ? NULL : PQgetvalue(explain->job, 0, column);
}

static const char *text(const struct mr_explain *explain, int column)
{
    const char *value = cell(explain, column);
    return value ? value : "?";
}

static bool is_true(const struct mr_explain *explain, int column)
{
    return text(explain, column)[0] == 't';
}

static long long number(const struct mr_explain *explain, int column)
{
    const char *value = cell(explain, column);
    return value ? strtoll(value, NULL, 10) : 0;
}

/* ---- lanes ---- */

static int64_t standing(const struct mr_explain *explain)
{
    int64_t sum = 0;
    for (size_t i = 0; i < explain->nlanes; i++)
        sum += explain->lanes[i].messages;
    return sum;
}

static bool nobody_consumes(const struct mr_explain *explain)
{
    int64_t sum = 0;
    for (size_t i = 0; i < explain->nlanes; i++)
        sum += explain->lanes[i].consumers;
    return sum == 0;
}

/* Looks at the queues the job may stand in; all of them for one that nobody has seen. */
static bool look(struct mr_cli *cli, struct mr_explain *explain, const char *pool, int priority,
    const char *tenant)
{
    struct mr_look broker = {0};
    struct mr_err err;
    size_t n = 0;
    if (!explain->lanes)
        explain->lanes = calloc(MR_LANES_MAX * 4, sizeof(*explain->lanes));
    if (!explain->lanes || explain->nlanes + MR_LANES_MAX > MR_LANES_MAX * 4)
        return false;
    int r = mr_look_open(cli, &broker, &err);
    if (r == 0)
        r = mr_look_lanes(&broker, cli->config->broker.lane_shards, pool, priority, tenant,
            explain->lanes + explain->nlanes, &n, &err);
    explain->nlanes += n;
    mr_look_close(&broker);
    if (r < 0)
        say(explain, "How much stands before it cannot be told: %s.", err.msg);
    return r == 0;
}

static void say_lanes(struct mr_cli *cli, struct mr_explain *explain)
{
    const char *pool = cell(explain, MR_EX_POOL), *tenant = cell(explain, MR_EX_TENANT);
    int priority = (int)number(explain, MR_EX_PRIORITY);
    if (!pool || !tenant || !look(cli, explain, pool, priority, tenant))
        return;
    say(explain, "At most %" PRId64 " message%s before it in its tenant's queues of lane %s.%s.",
        standing(explain), standing(explain) == 1 ? " stands" : "s stand", pool,
        mr_lane_name(mr_lane_of_priority(priority)));
    if (nobody_consumes(explain))
        say(explain, "No worker consumes there: is one running for pool %s?", pool);
}

/* ---- what it waits for ---- */

/* The tenant's caps, with what is left of them. */
static bool say_caps(struct mr_cli *cli, PGconn *conn, struct mr_explain *explain)
{
    static const char sql[] =
        "select period, cap, spent from millrace.tenant_overview, lateral (values"
        " ('today', cap_day_usd, day_settled_usd + day_held_usd + day_ambiguous_usd),"
        " ('this month', cap_month_usd, month_settled_usd + month_held_usd + month_ambiguous_usd))"
        " v (period, cap, spent) where tenant = $1 and cap is not null";
    const char *params[] = {cell(explain, MR_EX_TENANT)};
    MR_CLEANUP(mr_db_clearp) PGresult *caps = mr_db_query(cli, conn, sql, 1, params);
    for (int i = 0; caps && i < PQntuples(caps); i++) {
        char cap[MR_USD_LEN], spent[MR_USD_LEN];
        mr_usd_tidy(PQgetvalue(caps, i, 1), cap);
        mr_usd_tidy(PQgetvalue(caps, i, 2), spent);
        say(explain, "Tenant %s has spent %s of its cap of %s %s, holds included.", params[0],
            spent, cap, PQgetvalue(caps, i, 0));
    }
    return caps != NULL;
}

static void say_breakers(struct mr_explain *explain)
{
    int n = PQntuples(explain->breakers);
    explain->breakers_matter = n > 0;
    if (n == 0)
        say(explain, "No breaker is open any more.");
    for (int i = 0; i < n && i < 3; i++)
        say(explain, "The breaker of %s/%s is %s: %s.", PQgetvalue(explain->breakers, i, 0),
            PQgetvalue(explain->breakers, i, 1), PQgetvalue(explain->breakers, i, 2),
            PQgetisnull(explain->breakers, i, 5) ? "no reason is on record"
                                                 : PQgetvalue(explain->breakers, i, 5));
}

static bool say_waiting(struct mr_cli *cli, PGconn *conn, struct mr_explain *explain)
{
    const char *class = cell(explain, MR_EX_CLASS);
    bool over = cell(explain, MR_EX_UNTIL) && number(explain, MR_EX_UNTIL_S) <= 0;
    char until[24], why[MR_WAITS_LEN];
    if (over) {
        mr_waits_moment(cell(explain, MR_EX_UNTIL), until);
        say(explain, "Its wait was over at %s (%s%s%s); it has yet to come back or to be taken.",
            until, mr_waits_class(class), cell(explain, MR_EX_MESSAGE) ? ": " : "",
            cell(explain, MR_EX_MESSAGE) ? cell(explain, MR_EX_MESSAGE) : "");
    } else if (PQntuples(explain->waits) > 0) {
        mr_waits_say(cli->config, explain->waits, 0, why);
        say(explain, "It waits %s.", why);
    }
    if (cell(explain, MR_EX_ERROR_STEP))
        say(explain, "It stands at step %s.", text(explain, MR_EX_ERROR_STEP));
    if (class && strcmp(class, "capped") == 0 && !say_caps(cli, conn, explain))
        return false;
    if (class && (strcmp(class, "unavailable") == 0 || strcmp(class, "network") == 0 ||
                     strcmp(class, "server") == 0 || strcmp(class, "overloaded") == 0))
        say_breakers(explain);
    if (over || !cell(explain, MR_EX_UNTIL))
        say_lanes(cli, explain);
    return true;
}

/* In the hands of its worker, with no call out. */
static void say_paused(struct mr_cli *cli, struct mr_explain *explain)
{
    char why[MR_WAITS_LEN];
    if (PQntuples(explain->waits) == 0)
        return;
    mr_waits_say(cli->config, explain->waits, 0, why);
    if (PQgetisnull(explain->waits, 0, MR_WT_STEP))
        say(explain, "None of its calls is out: if it has none to prepare, it waits %s.", why);
    else
        say(explain, "At step %s it waits %s.", PQgetvalue(explain->waits, 0, MR_WT_STEP), why);
}

static void say_running(struct mr_cli *cli, struct mr_explain *explain)
{
    char since[32];
    mr_waits_duration(number(explain, MR_EX_HEARTBEAT_S), since);
    if (is_true(explain, MR_EX_ALIVE)) {
        say(explain, "Worker %s runs it%s%s.", text(explain, MR_EX_WORKER),
            cell(explain, MR_EX_STEP) ? ", now at step " : "",
            cell(explain, MR_EX_STEP) ? text(explain, MR_EX_STEP) : "");
        say_paused(cli, explain);
    } else {
        say(explain,
            "Worker %s held it and is gone (last seen %s ago); RabbitMQ gives its message to "
            "another "
            "one, which goes on after the last finished step.",
            text(explain, MR_EX_WORKER), since);
        say_lanes(cli, explain);
    }
    if (number(explain, MR_EX_REDELIVERIES) > 0)
        say(explain, "It has lost its worker %lld times in a row.",
            number(explain, MR_EX_REDELIVERIES));
    if (is_true(explain, MR_EX_CANCELLING))
        say(explain, "It is to be cancelled: its worker stops before the next call.");
}

static void say_ended(struct mr_explain *explain)
{
    const char *state = text(explain, MR_EX_STATE), *message = cell(explain, MR_EX_MESSAGE);
    char ended[24];
    mr_waits_moment(cell(explain, MR_EX_ENDED), ended);
    if (strcmp(state, "done") == 0)
        say(explain, "It was done at %s%s; millrace results shows what it brought.", ended,
            is_true(explain, MR_EX_DEGRADED) ? ", in part by the local provider" : "");
    else if (cell(explain, MR_EX_DUPLICATE))
        say(explain, "It is a duplicate of %s, which counts.", text(explain, MR_EX_DUPLICATE));
    else if (strcmp(state, "cancelled") == 0)
        say(explain, "It was cancelled at %s.", ended);
    else
        say(explain, "It died at %s%s%s of %s%s%s. %s.", ended,
            cell(explain, MR_EX_ERROR_STEP) ? " at step " : "",
            cell(explain, MR_EX_ERROR_STEP) ? text(explain, MR_EX_ERROR_STEP) : "",
            text(explain, MR_EX_CLASS), message ? ": " : "", message ? message : "",
            is_true(explain, MR_EX_DROPPED)
                ? "Its dead letter was dropped, so it cannot be replayed"
                : "millrace dlq replay runs it again from there; finished steps are not paid "
                  "again");
}

/* ---- a job nobody has seen ---- */

static void look_at_pools(struct mr_cli *cli, struct mr_explain *explain)
{
    const struct mr_config *config = cli->config;
    const char *pools[4];
    size_t n = 0;
    for (size_t i = 0; i < config->npipelines; i++) {
        const char *pool = config->pipelines[i].steps[0].pool; /* where new jobs go */
        size_t k = 0;
        while (k < n && strcmp(pools[k], pool) != 0)
            k++;
        if (k < n || n == sizeof(pools) / sizeof(pools[0]))
            continue;
        pools[n++] = pool;
        if (!look(cli, explain, pool, 0, NULL))
            return;
    }
    say(explain,
        "%" PRId64
        " message%s in the lanes that new jobs go to. If it was enqueued it is there, or on its "
        "way to a worker; a message cannot be looked up there.",
        standing(explain), standing(explain) == 1 ? " waits" : "s wait");
    if (nobody_consumes(explain))
        say(explain, "No worker consumes there: is one running?");
}

static bool say_unseen(struct mr_cli *cli, PGconn *conn, struct mr_explain *explain)
{
    const char *params[] = {explain->id};
    MR_CLEANUP(mr_db_clearp)
    PGresult *reject = mr_db_query(cli, conn,
        "select error_class, error_message from millrace.dead_jobs where job_id = $1::uuid", 1,
        params);
    if (!reject)
        return false;
    if (PQntuples(reject) > 0) {
        say(explain, "Its message was no job and was refused: %s: %s.", PQgetvalue(reject, 0, 0),
            PQgetvalue(reject, 0, 1));
        return true;
    }
    say(explain, "Job %s has not been seen by any worker yet, or there is none with this id.",
        explain->id);
    look_at_pools(cli, explain);
    return true;
}

bool mr_explain(struct mr_cli *cli, PGconn *conn, struct mr_explain *explain)
{
    if (PQntuples(explain->job) == 0)
        return say_unseen(cli, conn, explain);
    const char *state = text(explain, MR_EX_STATE);
    if (strcmp(state, "queued") == 0)
        say(explain, "It was cancelled before any worker had seen it, and will not run.");
    else if (strcmp(state, "waiting") == 0)
        return say_waiting(cli, conn, explain);
    else if (strcmp(state, "running") == 0)
        say_running(cli, explain);
    else
        say_ended(explain);
    return true;
}

void mr_explain_deinit(struct mr_explain *explain)
{
    for (size_t i = 0; i < explain->nwords; i++)
        free(explain->words[i]);
    free(explain->lanes);
    explain->nwords = 0;
    explain->lanes = NULL;
}
