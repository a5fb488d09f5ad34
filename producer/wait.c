#include "producer/wait.h"
#include "producer/waits.h"
#include "producer/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 256          /* jobs of one look */
#define LOOK_EVERY_MS 2000 /* also without events, and for why they wait */
#define SLICE_MS 100
#define RETRY_MS 1000

struct mr_wait {
    struct mr_cli *cli;
    struct mr_wait_ops ops;
    PGconn *db;
    char *order;            /* of steps, for SQL */
    struct mr_watch *watch; /* NULL: without events */
    struct mr_waited *jobs; /* in the order they were added */
    size_t njobs, room;
    uint32_t *slots; /* hash of ids: index into jobs + 1; 0 = free */
    size_t nslots;   /* a power of two */
    size_t pending, heard;
    size_t first; /* every job before it has ended */
    size_t sweep; /* where the next look without events begins */
    int64_t look_ms, waits_ms;
};

/* ---- the jobs ---- */

static size_t slot_of(const struct mr_wait *wait, const struct mr_uuid *id)
{
    uint64_t h;
    memcpy(&h, id->bytes + 8, sizeof(h)); /* the random half */
    size_t at = (size_t)(h * 0x9e3779b97f4a7c15u >> 16) & (wait->nslots - 1);
    while (wait->slots[at] && !mr_uuid_equal(&wait->jobs[wait->slots[at] - 1].id, id))
        at = (at + 1) & (wait->nslots - 1);
    return at;
}

static struct mr_waited *find(const struct mr_wait *wait, const struct mr_uuid *id)
{
    if (wait->nslots == 0)
        return NULL;
    uint32_t at = wait->slots[slot_of(wait, id)];
    return at ? &wait->jobs[at - 1] : NULL;
}

/* Doubles the room; the hash stays at most half full. */
static int grow(struct mr_wait *wait)
{
    size_t room = wait->room ? wait->room * 2 : 64;
    struct mr_waited *jobs = realloc(wait->jobs, room * sizeof(*jobs));
    uint32_t *slots = jobs ? calloc(room * 2, sizeof(*slots)) : NULL;
    if (jobs)
        wait->jobs = jobs;
    if (!slots)
        return -ENOMEM;
    free(wait->slots);
    wait->slots = slots;
    wait->nslots = room * 2;
    wait->room = room;
    for (size_t i = 0; i < wait->njobs; i++)
        wait->slots[slot_of(wait, &wait->jobs[i].id)] = (uint32_t)(i + 1);
    return 0;
}

int mr_wait_add(struct mr_wait *wait, const struct mr_uuid *id, const char *source)
{
    if (find(wait, id))
        return 0; /* the same id twice on the command line is one job */
    if (wait->njobs == wait->room && grow(wait) < 0)
        return -ENOMEM;
    char *name = strdup(source);
    if (!name)
        return -ENOMEM;
    wait->slots[slot_of(wait, id)] = (uint32_t)(wait->njobs + 1);
    wait->jobs[wait->njobs++] = (struct mr_waited){
        .id = *id, .follows = *id, .source = name, .state = "queued", .heard = true};
    wait->pending++;
    wait->heard++;
    return 0;
}

void mr_wait_expect(struct mr_wait *wait, const struct mr_uuid *id)
{
    if (wait->watch)
        mr_watch_add(wait->watch, id);
}

static void hear(void *ctx, const struct mr_uuid *id)
{
    struct mr_wait *wait = ctx;
    struct mr_waited *job = find(wait, id);
    if (job && !job->ended && !job->heard) {
        job->heard = true;
        wait->heard++;
    }
}

/* ---- looking ---- */

static void end(struct mr_wait *wait, struct mr_waited *job, const PGresult *jobs, int row)
{
    job->ended = true;
    wait->pending--;
    wait->ops.end(wait->ops.ctx, job, jobs, row);
    free(job->told);
    free(job->source);
    job->told = job->source = NULL;
}

static bool is_end(const char *state)
{
    return strcmp(state, "done") == 0 || strcmp(state, "dead") == 0 ||
           strcmp(state, "cancelled") == 0;
}

/* Whether the step is told for the first time. */
static bool first_time(struct mr_waited *job, const char *step)
{
    size_t n = strlen(step), have = job->told ? strlen(job->told) : 0;
    for (const char *p = job->told; p && *p; p = strchr(p, '\n') + 1)
        if (strncmp(p, step, n) == 0 && p[n] == '\n')
            return false;
    char *told = realloc(job->told, have + n + 2);
    if (!told)
        return true;
    snprintf(told + have, n + 2, "%s\n", step);
    job->told = told;
    return true;
}

/* Calls fn for each job of the batch that follows the job a row is about. */
static void each_follower(struct mr_wait *wait, const uint32_t *batch, size_t n,
    const PGresult *result, int row,
    void (*fn)(struct mr_wait *wait, struct mr_waited *job, const PGresult *result, int row))
{
    struct mr_uuid id;
    if (mr_uuid_parse(PQgetvalue(result, row, 0), &id) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (!wait->jobs[batch[i]].ended && mr_uuid_equal(&wait->jobs[batch[i]].follows, &id))
            fn(wait, &wait->jobs[batch[i]], result, row);
}

static void on_step(struct mr_wait *wait, struct mr_waited *job, const PGresult *steps, int row)
{
    if (first_time(job, PQgetvalue(steps, row, MR_WS_STEP)))
        wait->ops.step(wait->ops.ctx, job, steps, row);
}

static void on_job(struct mr_wait *wait, struct mr_waited *job, const PGresult *jobs, int row)
{
    struct mr_uuid original;
    if (!PQgetisnull(jobs, row, MR_WJ_DUPLICATE_OF) &&
        mr_uuid_parse(PQgetvalue(jobs, row, MR_WJ_DUPLICATE_OF), &original) == 0) {
        char text[MR_UUID_LEN];
        job->follows = original; /* its end is the one that was asked for */
        mr_uuid_format(&job->id, text);
        mr_cli_note(wait->cli, "%s: the same idempotency key as %s, whose result it gets", text,
            PQgetvalue(jobs, row, MR_WJ_DUPLICATE_OF));
        mr_wait_expect(wait, &original);
        return;
    }
    snprintf(job->state, sizeof(job->state), "%s", PQgetvalue(jobs, row, MR_WJ_STATE));
    if (is_end(job->state))
        end(wait, job, jobs, row);
}

static char *id_list(const struct mr_wait *wait, const uint32_t *batch, size_t n)
{
    struct mr_buf buf = MR_BUF_INIT(n * MR_UUID_LEN + 3);
    int r = mr_buf_putc(&buf, '{');
    for (size_t i = 0; i < n && r == 0; i++) {
        char text[MR_UUID_LEN];
        mr_uuid_format(&wait->jobs[batch[i]].follows, text);
        r = mr_buf_printf(&buf, "%s%s", i ? "," : "", text);
    }
    if (r == 0)
        r = mr_buf_putc(&buf, '}');
    if (r == 0)
        return mr_buf_steal(&buf, NULL);
    mr_buf_deinit(&buf);
    return NULL;
}

static int ask(struct mr_wait *wait, const char *sql, int n, const char *ids, PGresult **ret)
{
    const char *params[] = {ids, wait->order};
    PGresult *result = PQexecParams(wait->db, sql, n, NULL, params, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        PQclear(result);
        mr_db_closep(&wait->db);
        return -ENOTCONN;
    }
    *ret = result;
    return 0;
}

/* The jobs first: once one of them is seen to have ended, its steps are all there. */
static int look(struct mr_wait *wait, const uint32_t *batch, size_t n)
{
    MR_CLEANUP(mr_db_clearp) PGresult *jobs = NULL;
    MR_CLEANUP(mr_db_clearp) PGresult *steps = NULL;
    char *ids = id_list(wait, batch, n);
    if (!ids)
        return -ENOMEM;
    int r = ask(wait,
        "select job_id, state, duplicate_of, round(extract(epoch from ended_at - "
        "created_at)::numeric, 2), cost_usd, error_class, error_message, "
        "error_step, degraded from millrace.job_overview where job_id = any($1::uuid[])",
        1, ids, &jobs);
    if (r == 0)
        r = ask(wait,
            "select job_id, step, state, round(extract(epoch from ended_at - "
            "started_at)::numeric, 2), cost_usd, degraded, cached from millrace.job_steps "
            "where job_id = any($1::uuid[]) and state <> 'running' order by ended_at, "
            "array_position($2::text[], step), step",
            2, ids, &steps);
    free(ids);
    for (int row = 0; r == 0 && row < PQntuples(steps); row++)
        each_follower(wait, batch, n, steps, row, on_step);
    for (int row = 0; r == 0 && row < PQntuples(jobs); row++)
        each_follower(wait, batch, n, jobs, row, on_job);
    return r;
}

/* The next jobs to look at: those an event was about, or, when it is time, any. */
static size_t choose(struct mr_wait *wait, bool any, uint32_t *ret)
{
    size_t n = 0;
    while (wait->first < wait->njobs && wait->jobs[wait->first].ended)
        wait->first++;
    if (wait->sweep < wait->first || wait->sweep >= wait->njobs)
        wait->sweep = wait->first;
    for (size_t i = wait->first; i < wait->njobs && n < BATCH && wait->heard > 0; i++) {
        struct mr_waited *job = &wait->jobs[i];
        if (!job->heard)
            continue;
        job->heard = false;
        wait->heard--;
        if (!job->ended)
            ret[n++] = (uint32_t)i;
    }
    for (; any && wait->sweep < wait->njobs && n < BATCH; wait->sweep++)
        if (!wait->jobs[wait->sweep].ended)
            ret[n++] = (uint32_t)wait->sweep;
    return n;
}

static void listen_for(struct mr_wait *wait, int timeout_ms)
{
    struct mr_err err;
    if (!wait->watch || mr_watch_poll(wait->watch, timeout_ms, hear, wait, &err) == 0)
        return;
    mr_cli_note(wait->cli, "%s; asking the database instead", err.msg);
    wait->watch = mr_watch_free(wait->watch);
}

int mr_wait_turn(struct mr_wait *wait, int timeout_ms)
{
    uint32_t batch[BATCH];
    int64_t now = mr_mono_ms(&wait->cli->clock);
    if (wait->pending == 0)
        return 0;
    listen_for(wait, wait->heard ? 0 : timeout_ms);
    bool due = now >= wait->look_ms;
    if (wait->heard == 0 && !due)
        return 0;
    if (!wait->db)
        return -ENOTCONN;
    size_t n = choose(wait, due, batch);
    if (due)
        wait->look_ms = now + (wait->watch ? LOOK_EVERY_MS : SLICE_MS);
    return n ? look(wait, batch, n) : 0;
}

/* ---- why they wait ---- */

/* Those that have not ended, the first so many. */
static size_t choose_pending(const struct mr_wait *wait, uint32_t *ret)
{
    size_t n = 0;
    for (size_t i = wait->first; i < wait->njobs && n < BATCH; i++)
        if (!wait->jobs[i].ended)
            ret[n++] = (uint32_t)i;
    return n;
}

static int tell_waits(struct mr_wait *wait)
{
    uint32_t batch[BATCH];
    struct mr_waits_told told;
    MR_CLEANUP(mr_db_clearp) PGresult *waits = NULL;
    MR_CLEANUP(mr_db_clearp) PGresult *unseen = NULL;
    wait->waits_ms = mr_mono_ms(&wait->cli->clock) + LOOK_EVERY_MS;
    if (!wait->db)
        return -ENOTCONN;
    size_t n = choose_pending(wait, batch);
    char *ids = id_list(wait, batch, n);
    if (!ids)
        return -ENOMEM;
    int r = ask(wait, mr_waits_sql, 1, ids, &waits);
    if (r == 0)
        r = ask(wait, mr_waits_unseen_sql, 1, ids, &unseen);
    free(ids);
    if (r < 0)
        return r;
    bool any = mr_waits_tell(wait->cli->config, waits, unseen, n, n == wait->pending, &told);
    wait->ops.waits(wait->ops.ctx, any ? told.line : NULL, any ? told.key : "");
    return 0;
}

static int reconnect(struct mr_wait *wait, struct mr_signals *signals, int64_t deadline_ms)
{
    struct mr_err err;
    mr_cli_note(wait->cli, "connection to PostgreSQL lost; the jobs go on, connecting again");
    while (mr_pg_connect(&wait->cli->config->database, MR_PG_CLIENT, "millrace", &wait->db, &err) <
           0) {
        wait->db = NULL;
        if (mr_mono_ms(&wait->cli->clock) >= deadline_ms) {
            mr_cli_error(wait->cli,
                "%s. The jobs are confirmed and go on; look later with millrace status", err.msg);
            return -ENOTCONN;
        }
        mr_signals_wait(signals, -1, -1, RETRY_MS);
        if (mr_signals_hit(signals))
            return -EINTR;
    }
    return 0;
}

int mr_wait_run(struct mr_wait *wait, struct mr_signals *signals, int64_t timeout_ms)
{
    wait->waits_ms = mr_mono_ms(&wait->cli->clock) + LOOK_EVERY_MS;
    while (wait->pending > 0) {
        if (mr_signals_hit(signals))
            return -EINTR;
        int r = mr_wait_turn(wait, SLICE_MS);
        if (r == 0 && wait->pending > 0 && mr_mono_ms(&wait->cli->clock) >= wait->waits_ms)
            r = tell_waits(wait);
        if (r == -ENOTCONN)
            r = reconnect(wait, signals, mr_mono_ms(&wait->cli->clock) + timeout_ms);
        if (r < 0)
            return r;
        if (!wait->watch && wait->pending > 0)
            mr_signals_wait(signals, -1, -1, SLICE_MS);
    }
    return 0;
}

struct mr_wait *mr_wait_new(struct mr_cli *cli, const struct mr_wait_ops *ops)
{
    struct mr_err err;
    struct mr_wait *wait = calloc(1, sizeof(*wait));
    PGconn *db = wait ? mr_db_open(cli) : NULL;
    if (!db) {
        free(wait);
        return NULL;
    }
    wait->cli = cli;
    wait->ops = *ops;
    wait->db = db;
    wait->order = mr_db_step_order(cli->config);
    if (mr_watch_new(&cli->config->broker, &cli->random, &wait->watch, &err) < 0) {
        mr_cli_note(cli, "no events (%s); asking the database instead", err.msg);
        wait->watch = NULL;
    }
    return wait;
}

struct mr_wait *mr_wait_free(struct mr_wait *wait)
{
    if (!wait)
        return NULL;
    for (size_t i = 0; i < wait->njobs; i++) {
        free(wait->jobs[i].source);
        free(wait->jobs[i].told);
    }
    free(wait->jobs);
    free(wait->slots);
    free(wait->order);
    mr_watch_free(wait->watch);
    mr_db_closep(&wait->db);
    free(wait);
    return NULL;
}

PGconn *mr_wait_db(struct mr_wait *wait)
{
    return wait->db;
}

size_t mr_wait_pending(const struct mr_wait *wait)
{
    return wait->pending;
}

const struct mr_waited *mr_wait_next(const struct mr_wait *wait, size_t *at)
{
    while (*at < wait->njobs && wait->jobs[*at].ended)
        ++*at;
    return *at < wait->njobs ? &wait->jobs[(*at)++] : NULL;
}
