#include "tests/unit/pg/pgtest.h"

#include <stdarg.h>
#include <unistd.h>

int pgtest_main(int argc, char **argv, const struct mr_test *tests, size_t count)
{
    if (!getenv("MILLRACE_TEST_PG")) {
        puts("1..0 # SKIP MILLRACE_TEST_PG is not set");
        return 0;
    }
    return mr_test_main(argc, argv, tests, count);
}

const char *pgtest_database(void)
{
    static char name[64];
    if (!*name) /* a child of the case works on the same one */
        snprintf(name, sizeof(name), "millrace_test_%d", (int)getpid());
    return name;
}

static PGconn *connect_to(const char *database, const char *role)
{
    char conninfo[1024];
    int n = snprintf(conninfo, sizeof(conninfo),
        "%s dbname=%s options='-c search_path=millrace,pg_temp%s%s -c client_min_messages=warning'",
        getenv("MILLRACE_TEST_PG"), database, *role ? " -c role=" : "", role);
    CHECK(n > 0 && (size_t)n < sizeof(conninfo));
    PGconn *conn = PQconnectdb(conninfo);
    if (PQstatus(conn) != CONNECTION_OK)
        fprintf(stderr, "# %s\n", PQerrorMessage(conn));
    CHECK(PQstatus(conn) == CONNECTION_OK);
    return conn;
}

PGconn *pgtest_connect(const char *role)
{
    return connect_to(pgtest_database(), role);
}

static void drop_database(void)
{
    PGconn *conn = connect_to("postgres", "");
    pgtest_rows(conn, "drop database if exists %s with (force)", pgtest_database());
    PQfinish(conn);
}

PGconn *pgtest_open(void)
{
    PGconn *conn = connect_to("postgres", "");
    pgtest_rows(conn, "create database %s", pgtest_database());
    PQfinish(conn);
    atexit(drop_database);
    conn = pgtest_connect("");
    struct mr_err err;
    int applied = 0;
    if (mr_pg_migrate(conn, &applied, &err) < 0) {
        fprintf(stderr, "# %s\n", err.msg);
        abort();
    }
    CHECK(applied > 0);
    return conn;
}

MR_PRINTF(2, 0) static PGresult *run(PGconn *conn, const char *fmt, va_list args)
{
    char *sql;
    CHECK(vasprintf(&sql, fmt, args) >= 0);
    PGresult *result = PQexec(conn, sql);
    free(sql);
    return result;
}

const char *pgtest_rows(PGconn *conn, const char *fmt, ...)
{
    static char texts[4][4096];
    static unsigned next;
    va_list args;
    va_start(args, fmt);
    PGresult *result = run(conn, fmt, args);
    va_end(args);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fprintf(stderr, "# %s\n# %s", fmt, PQerrorMessage(conn));
    CHECK(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK);
    char *text = texts[next++ % 4];
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i < PQntuples(result); i++)
        for (int k = 0; k < PQnfields(result) && n < sizeof(texts[0]); k++)
            n += (size_t)snprintf(text + n, sizeof(texts[0]) - n, "%s%s",
                k   ? "|"
                : i ? "\n"
                    : "",
                PQgetisnull(result, i, k) ? "-" : PQgetvalue(result, i, k));
    PQclear(result);
    return text;
}

const char *pgtest_fails(PGconn *conn, const char *fmt, ...)
{
    static char state[8];
    va_list args;
    va_start(args, fmt);
    PGresult *result = run(conn, fmt, args);
    va_end(args);
    CHECK(PQresultStatus(result) == PGRES_FATAL_ERROR);
    const char *got = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(state, sizeof(state), "%s", got ? got : "");
    PQclear(result);
    return state;
}

/* id(n) is a readable uuid. claim() answers verdict/epoch/redeliveries/spent; commit() a verdict.
 */
static const char shorthands[] =
    "create schema t; grant usage on schema t to public;"
    "create function t.id(n int) returns uuid immutable language sql as"
    " $$ select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;"
    "create function t.claim(w bigint, job int, key text default null, replay int default 0,"
    "  tenant text default 'acme') returns text language sql as $$"
    " select verdict || '/' || coalesce(epoch::text, '-') || '/' || "
    "coalesce(redeliveries::text,'-')"
    "  || '/' || coalesce(spent_pico::text, '-') from millrace.claim(w, 3000, 'main',"
    "  array[t.id(job)], array[tenant], array['document'], array[1], array[5], array[replay],"
    "  array[key], array['{}'::jsonb], array[0::bigint], array[0::bigint]) $$;"
    "create function t.known(w bigint, job int, replay int default 0) returns jsonb language sql as"
    " $$ select steps from millrace.claim(w, 3000, 'main', array[t.id(job)], array['acme'],"
    "  array['document'], array[1], array[5], array[replay], array[null], array['{}'::jsonb],"
    "  array[0::bigint], array[0::bigint]) $$;"
    "create function t.settle(call int, cost bigint default 300, state text default 'settled')"
    " returns void language sql as $$ select millrace.settle(array[t.id(call)], array[state],"
    "  array[cost], array[10::bigint], array[0::bigint], array[0::bigint], array[0::bigint],"
    "  array[5::bigint], array[0::bigint], array[null], array[null], array[200], array['req'],"
    "  array['summary-1'], array['stop'], array[12::bigint], array[0::bigint],"
    "  array[false]) $$;"
    /* With ended: settles that call at cost in the same transaction, as the store does. */
    "create function t.rows(w bigint, job int, epoch bigint, move text default 'none',"
    "  step text default null, call int default null, state text default 'done',"
    "  output jsonb default '{\"text\":\"x\"}', call_step text default 'summarize',"
    "  timeout_ms bigint default 60000, hold bigint default 500, ended int default null,"
    "  cost bigint default 300, call_state text default 'settled', key text default null,"
    "  answer text default null, ttl_ms bigint default 60000, calls int[] default null)"
    " returns table (verdict text, refused uuid, on_cap text, hopeless boolean, wait_ms bigint,"
    "  words text, served_model text) language plpgsql as $$"
    "\n#variable_conflict use_variable\n"
    " begin"
    "  if ended is not null then perform t.settle(ended, cost, call_state); end if;"
    "  if calls is null and call is not null then calls := array[call]; end if;"
    "  return query select c.verdict, c.call, c.on_cap, c.hopeless, c.wait_ms, c.words,"
    "  c.served_model from millrace.commit_jobs(w, array[t.id(job)], array[epoch], array[move],"
    "  array[case when move = 'dead' then 'invalid' end], array[case when move = 'dead' then 'bad' "
    "end],"
    "  array[case when move = 'dead' then step end], array[0::bigint], array[null],"
    "  array(select 1 where step is not null), array[step], array[state],"
    "  array[case when state = 'done' then output end], array[false], array[1], array[null],"
    "  array[null], array[0::bigint], array[1000::bigint],"
    "  array(select 1 from unnest(calls)), array(select t.id(x) from unnest(calls) x),"
    "  array(select call_step from unnest(calls)), array(select 1 from unnest(calls)),"
    "  array(select 'local' from unnest(calls)), array(select 'default' from unnest(calls)),"
    "  array(select 'summarizer' from unnest(calls)), array(select 'summary' from unnest(calls)),"
    "  array(select null::text from unnest(calls)), array(select hold from unnest(calls)),"
    "  array(select 0::bigint from unnest(calls)), array(select false from unnest(calls)),"
    "  array(select timeout_ms from unnest(calls)),"
    "  array(select case when ended is null then key::bytea end from unnest(calls)),"
    "  array(select t.id(ended) where ended is not null),"
    "  array(select t.id(ended) where ended is not null and key is not null),"
    "  array(select key::bytea where ended is not null and key is not null),"
    "  array(select answer where ended is not null and key is not null),"
    "  array(select ttl_ms where ended is not null and key is not null)) c; end $$;"
    "create function t.commit(w bigint, job int, epoch bigint, move text default 'none',"
    "  step text default null, call int default null, state text default 'done',"
    "  output jsonb default '{\"text\":\"x\"}', call_step text default 'summarize',"
    "  timeout_ms bigint default 60000, hold bigint default 500) returns text language sql as $$"
    " select verdict from t.rows(w, job, epoch, move, step, call, state, output, call_step,"
    "  timeout_ms, hold) r where r.refused is null and r.verdict not in ('warned', 'reached') $$;"
    "create function t.spend(who text default 'acme') returns text language sql security definer as"
    " $$ select string_agg(period || ':' || spent_pico || case when warned_at is not null then"
    "  ' warned' else '' end || case when reached_at is not null then ' reached' else '' end, ','"
    "  order by period, starts) from millrace.spend where tenant = who"
    "  and (spent_pico > 0 or starts = millrace.period_start(period, now())) $$;"
    /* Counters that differ from what the calls say. */
    "create function t.wrong() returns bigint language sql as $$"
    " select count(*) from millrace.spend s where spent_pico <> (select coalesce(sum(case c.state"
    "  when 'open' then c.hold_pico else c.cost_pico end), 0) from millrace.calls c"
    "  where c.tenant = s.tenant and"
    "  millrace.period_start(s.period, c.started_at) = s.starts) $$;"
    "create function t.worker(name text default 'w') returns bigint language sql as"
    " $$ select millrace.worker_start(name, 'host', 1, 'main', '0') $$;"
    "create function t.calls(job int) returns text language sql security definer as"
    " $$ select string_agg(step || ':' || state || ':' || cost_pico, ',' order by id)"
    "  from millrace.calls where job_id = t.id(job) $$;"
    "create function t.job(job int) returns text language sql security definer as"
    " $$ select state || '/' || epoch || '/' || redeliveries || '/' || replays"
    "  from millrace.jobs where id = t.id(job) $$";

void pgtest_shorthands(PGconn *owner)
{
    pgtest_rows(owner, "%s", shorthands);
}

PGconn *pgtest_open_with_workers(void)
{
    PGconn *conn = pgtest_open();
    pgtest_shorthands(conn);
    pgtest_rows(conn, "select t.worker('one'), t.worker('two'), t.worker('three')");
    /* Only one session here: let nobody look alive by its lock. */
    pgtest_rows(conn, "select pg_advisory_unlock_all()");
    return conn;
}

void pgtest_let_die(PGconn *conn, int worker)
{
    pgtest_rows(
        conn, "update workers set heartbeat_at = now() - interval '1 hour' where id = %d", worker);
    pgtest_rows(conn, "update workers set session_at = now() - interval '1 hour'");
}

void pgtest_config(struct mr_config *ret, bool wrong_port)
{
    static char host[512], user[64], name[64], port[16] = "5432", pool[] = "main";
    static char *hosts[] = {host};
    char *message;
    PQconninfoOption *options = PQconninfoParse(getenv("MILLRACE_TEST_PG"), &message);
    CHECK(options);
    host[0] = user[0] = '\0';
    for (PQconninfoOption *option = options; option->keyword; option++) {
        const char *value = option->val ? option->val : "";
        if (strcmp(option->keyword, "host") == 0)
            snprintf(host, sizeof(host), "%s", value);
        else if (strcmp(option->keyword, "port") == 0 && *value)
            snprintf(port, sizeof(port), "%s", value);
        else if (strcmp(option->keyword, "user") == 0)
            snprintf(user, sizeof(user), "%s", value);
    }
    PQconninfoFree(options);
    if (wrong_port)
        snprintf(port, sizeof(port), "1");
    if (host[0] == '/')
        setenv("PGPORT", port, 1);
    else
        snprintf(host + strlen(host), sizeof(host) - strlen(host), ":%s", port);
    snprintf(name, sizeof(name), "%s", pgtest_database());
    *ret = (struct mr_config){.refs = 1}; /* never the last one: nothing in it is owned */
    ret->database = (struct mr_config_database){.hosts = {hosts, 1},
        .name = name,
        .worker_user = user[0] ? user : NULL,
        .connect_timeout_ms = 2000};
    ret->worker.pool = pool;
    ret->worker.heartbeat_ms = 200;
    ret->worker.dead_after_ms = 3000;
}
