/* Many connections at once near the caps of three tenants: turns of a worker (settle, then commit),
 * claims that rob each other, sweeps, caps that come and go, and connections that are lost anywhere
 * and say the same words again. A trigger of the test's own watches every commit. */
#include "tests/unit/pg/pgtest.h"

#include <sys/wait.h>
#include <unistd.h>

#define RACERS 8

/* The witness sums up calls, not counters, one commit at a time. It looks when a call begins: a cap
 * may be set lower than what is spent already. words() makes a turn of a worker as SQL text, so
 * that it can be said twice. Whether a call is cached, and under which key, is in its id. */
static const char arena[] =
    "create index on millrace.calls (tenant);"
    "create table t.faults (what text);"
    "create function t.witness() returns trigger language plpgsql security definer as $$"
    " declare v record; begin"
    "  perform pg_advisory_xact_lock(77);"
    "  select t.name, t.cap_day_pico as day, t.cap_month_pico as month, t.cap_job_pico as job,"
    "   sum(x.pico) as spent, sum(x.pico) filter (where x.job_id = new.job_id) as of_job"
    "   into v from millrace.tenants t join (select c.tenant, c.job_id,"
    "    case c.state when 'open' then c.hold_pico else c.cost_pico end as pico"
    "    from millrace.calls c where c.tenant = new.tenant) x on x.tenant = t.name"
    "   where t.name = new.tenant group by t.name;"
    "  if v.spent > least(v.day, v.month) or v.of_job > v.job then"
    "   insert into t.faults values (v::text); end if;"
    "  return null; end $$;"
    "create constraint trigger witness after insert on millrace.calls deferrable initially deferred"
    " for each row when (new.hold_pico > 0) execute function t.witness();"
    "create function t.pick(p float8) returns boolean language sql volatile as"
    " $$ select random() < p $$;"
    "create function t.key(id uuid) returns bytea language sql immutable as"
    " $$ select case when get_byte(uuid_send(id), 14) < 100 then"
    "  ('k' || get_byte(uuid_send(id), 15) % 3)::bytea end $$;"
    "create function t.words(w bigint) returns text language plpgsql volatile as $$ declare v text;"
    " begin"
    "  with j as materialized (select id, epoch, random() < 0.1 as leaves from millrace.jobs"
    "    where worker = w and state = 'running' order by random() limit 12),"
    "  n as materialized (select j.*, row_number() over () as n from j),"
    "  e as materialized (select c.id, random() as fate, floor(random() * 3) as cost, hold_pico"
    "    from millrace.calls c join n on n.id = c.job_id where c.worker = w"
    "    and c.cached_from is null and (c.state = 'open' and t.pick(0.7)"
    "     or c.state = 'ambiguous' and t.pick(0.3))),"
    "  b as materialized (select n.n, gen_random_uuid() as id, floor(random() * 120) as hold"
    "    from n, generate_series(1, 2) where not n.leaves and t.pick(0.6))"
    "  select format('select settle(%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L)',"
    "   s.ids, s.states, s.costs, s.zeros, s.zeros, s.zeros, s.zeros, s.zeros, s.zeros, s.nulls,"
    "   s.nulls, s.zeros, s.nulls, s.nulls, s.nulls, s.zeros, s.zeros, s.falses)"
    "   || format('; select verdict from commit_jobs(%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,"
    "%L,%L,%L,%L,%L,', w, q.ids, q.epochs, q.moves, q.nulls, q.nulls, q.nulls, q.zeros, q.nulls,"
    "    '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')"
    "   || format('%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L)', g.jobs, g.ids,"
    "    g.steps, g.ones, g.steps, g.steps, g.steps, g.steps, g.nulls, g.holds, g.ones, g.falses,"
    "    g.timeouts, g.keys, s.ids, a.ids, a.keys, a.texts, a.ttls)"
    "   into v from (select coalesce(array_agg(id), '{}') as ids,"
    "     coalesce(array_agg(case when fate < 0.5 then 'released' when fate < 0.7 then 'ambiguous'"
    "      else 'settled' end), '{}') as states,"
    "     coalesce(array_agg(least(cost, hold_pico)), '{}') as costs,"
    "     coalesce(array_agg(0), '{}') as zeros, coalesce(array_agg(null::text), '{}') as nulls,"
    "     coalesce(array_agg(false), '{}') as falses from e) s,"
    "   (select array_agg(id) as ids, array_agg(epoch) as epochs, array_agg(case when leaves then"
    "     'waiting' else 'none' end) as moves, array_agg(null::text) as nulls,"
    "     array_agg(0) as zeros from n) q,"
    "   (select coalesce(array_agg(n), '{}') as jobs, coalesce(array_agg(id), '{}') as ids,"
    "     coalesce(array_agg('x' || floor(random() * 20)), '{}') as steps,"
    "     coalesce(array_agg(1), '{}') as ones,"
    "     coalesce(array_agg(null::text), '{}') as nulls, coalesce(array_agg(hold), '{}') as holds,"
    "     coalesce(array_agg(false), '{}') as falses, coalesce(array_agg(case when t.pick(0.2) then"
    "     -10000 else 60000 end), '{}') as timeouts, coalesce(array_agg(t.key(id)), '{}') as keys"
    "     from b) g,"
    "   (select coalesce(array_agg(id), '{}') as ids, coalesce(array_agg(t.key(id)), '{}') as keys,"
    "     coalesce(array_agg('text'::text), '{}') as texts, coalesce(array_agg(50), '{}') as ttls"
    "     from e where t.key(id) is not null) a;"
    "  return v; end $$;"
    /* Whoever asks takes others for dead: a claim robs. */
    "create function t.rob(w bigint) returns bigint language sql volatile as $$"
    " select count(*) from (select array_agg(id) as ids, array_agg(tenant) as tenants,"
    "   array_agg(0) as zeros, array_agg(1) as ones, array_agg(null::text) as nulls,"
    "   array_agg(null::jsonb) as jsons from (select id, tenant from millrace.jobs"
    "   order by random() limit 8) x) q cross join lateral millrace.claim(w, 0, 'main', q.ids,"
    "   q.tenants, q.tenants, q.ones, q.ones, q.zeros, q.nulls, q.jsons, q.zeros::bigint[],"
    "   q.zeros::bigint[]) $$";

/* Runs SQL that may only fail by being cut off. */
static void say(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fprintf(stderr, "# %s# %s\n", PQerrorMessage(conn), sql);
    CHECK(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK);
    PQclear(result);
}

/* The connection is lost in the middle of the words, and they are said again on another one, maybe
 * while the server is still at it on the first. */
static PGconn *lose(PGconn *conn, const char *sql)
{
    static unsigned how;
    if (how++ % 2) {
        say(conn, "begin");
        const char *end = strchr(sql, ';'); /* after the settle */
        char *settle = strndup(sql, (size_t)(end - sql));
        say(conn, settle);
        free(settle);
    } else {
        CHECK(PQsendQuery(conn, sql));
    }
    PQfinish(conn);
    return pgtest_connect("");
}

static void race(int me, int turns)
{
    PGconn *conn = pgtest_connect("");
    for (int i = 0; i < turns; i++) {
        PGresult *result = PQexecParams(conn, "select t.words($1)", 1, NULL,
            (const char *const[]){(const char[]){(char)('0' + me), 0}}, NULL, NULL, 0);
        CHECK(PQresultStatus(result) == PGRES_TUPLES_OK);
        const char *sql = PQgetvalue(result, 0, 0);
        if (*sql && i % 7 == 3)
            conn = lose(conn, sql);
        if (*sql)
            say(conn, sql); /* one transaction */
        bool idle = !*sql;
        PQclear(result);
        char other[64];
        snprintf(other, sizeof(other),
            i % 5 == 4 ? "select millrace.sweep(%d, 0)" : "select t.rob(%d)", me);
        if (idle || i % 5 > 2)
            say(conn, other);
    }
    PQfinish(conn);
}

/* Caps change under the racers' feet. */
static void set_caps(int turns)
{
    static const char *const settings[] = {"p_change => '{cap_month}'",
        "p_cap_month_pico => 900, p_cap_day_pico => 700", "p_change => '{cap_day}'",
        "p_cap_day_pico => 1000", "p_cap_job_pico => 150", "p_change => '{cap_job}'"};
    PGconn *conn = pgtest_connect("");
    for (int i = 0; i < turns; i++) {
        pgtest_rows(conn, "select tenant_set('t%d', %s)", i % 3, settings[i / 3 % 6]);
        pgtest_rows(conn, "select pg_sleep(0.003)");
    }
    PQfinish(conn);
}

static void test_no_cap_is_ever_exceeded(void)
{
    PGconn *conn = pgtest_open_with_workers();
    const char *more = getenv("MILLRACE_TEST_TURNS");
    int turns = more ? (int)strtol(more, NULL, 10) : 30;
    pgtest_rows(conn, "%s", arena);
    pgtest_rows(conn, "select t.worker() from generate_series(4, %d)", RACERS);
    pgtest_rows(conn, "select pg_advisory_unlock_all()");
    pgtest_rows(conn, "select tenant_set('t' || n, 1000) from generate_series(0, 2) n");
    pgtest_rows(conn,
        "select t.claim(n %% %d + 1, n, tenant => 't' || n %% 3)"
        " from generate_series(1, 90) n",
        RACERS);
    for (int i = 1; i <= RACERS + 1; i++)
        if (fork() == 0) {
            if (i > RACERS)
                set_caps(turns * 2);
            else
                race(i, turns);
            _exit(0);
        }
    int bad = 0;
    for (int status; wait(&status) > 0;)
        bad += status != 0;
    CHECK_INT(bad, 0); /* a deadlock would be one */
    CHECK_STR(pgtest_rows(conn, "select what from t.faults"), "");
    CHECK_STR(pgtest_rows(conn, "select t.wrong()"), "0");
    /* Every kind of thing has happened. */
    CHECK_STR(pgtest_rows(conn, "select min(n) > 3 from (select count(*) as n from calls"
                                " group by state, cached_from is null) x"),
        "t");
    CHECK_STR(pgtest_rows(conn, "select count(*) from answers a where a.state = 'pending' and not"
                                " exists (select from calls c where c.id = a.call_id)"),
        "0");
    PQfinish(conn);
}

PG_TEST_MAIN(TEST(test_no_cap_is_ever_exceeded))
