/* What millrace doctor asks PostgreSQL. */
#include "producer/db.h"
#include "producer/doctor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SERVER_MIN 150000
#define CLOCK_WARN_MS 2000
#define CLOCK_FAIL_MS 60000

/* ---- the server ---- */

static bool is_remote(const PGconn *conn)
{
    const char *host = PQhost(conn);
    return host && *host && !mr_host_is_local(host);
}

static void check_server(PGconn *conn, struct mr_findings *findings)
{
    int version = PQserverVersion(conn);
    enum mr_level level = version < SERVER_MIN ? MR_LEVEL_FAIL : MR_LEVEL_OK;
    const char *todo = version < SERVER_MIN ? "install PostgreSQL 15 or newer" : "";
    mr_findings_add(findings, level, "database", todo,
        "PostgreSQL %d.%d at %s:%s, database %s, as %s", version / 10000, version % 10000,
        PQhost(conn), PQport(conn), PQdb(conn), PQuser(conn));
    if (PQsslInUse(conn))
        mr_findings_add(findings, MR_LEVEL_OK, "database", "", "the connection is encrypted (%s)",
            PQsslAttribute(conn, "protocol"));
    else if (is_remote(conn))
        mr_findings_add(findings, MR_LEVEL_WARN, "database",
            "set database.sslmode to verify-full, and database.ca_file",
            "the connection to another machine is not encrypted");
}

static void check_clock(const struct mr_cli *cli, PGconn *conn, struct mr_findings *findings)
{
    int64_t before = mr_wall_ms(&cli->clock);
    MR_CLEANUP(mr_db_clearp)
    PGresult *result =
        PQexec(conn, "select (extract(epoch from clock_timestamp()) * 1000)::bigint");
    int64_t after = mr_wall_ms(&cli->clock);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return;
    int64_t theirs = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    int64_t off = theirs < before ? before - theirs : theirs > after ? theirs - after : 0;
    enum mr_level level = off > CLOCK_FAIL_MS   ? MR_LEVEL_FAIL
                          : off > CLOCK_WARN_MS ? MR_LEVEL_WARN
                                                : MR_LEVEL_OK;
    mr_findings_add(findings, level, "clock",
        level == MR_LEVEL_OK ? "" : "let NTP set the clocks of all machines",
        "this machine and the database are %" PRId64 " ms apart", off);
}

PGconn *mr_doctor_database(struct mr_cli *cli, struct mr_findings *findings)
{
    struct mr_err err;
    PGconn *conn = NULL;
    int r = mr_pg_connect(&cli->config->database, MR_PG_CLIENT, "millrace doctor", &conn, &err);
    if (r < 0) {
        mr_findings_add(findings, MR_LEVEL_FAIL, "database",
            "see the section database of the configuration: millrace config print", "%s", err.msg);
        return NULL;
    }
    check_server(conn, findings);
    check_clock(cli, conn, findings);
    if (mr_pg_check_version(conn, &err) < 0) {
        mr_findings_add(findings, MR_LEVEL_FAIL, "schema", "run millrace init", "%s", err.msg);
        mr_db_closep(&conn);
        return NULL;
    }
    mr_findings_add(findings, MR_LEVEL_OK, "schema", "", "is the one this build knows");
    return conn;
}

/* ---- the tables ---- */

/* A check that is one statement: a row is a finding, (what was found, what to do). */
struct check {
    const char *name;
    enum mr_level level; /* of a row */
    const char *sql;
    const char *fine; /* said when there is no row */
};

static const struct check checks[] = {
    {"roles", MR_LEVEL_FAIL,
        "select 'role ' || role || ' ' || problem, 'run millrace init as the owner' from"
        " (values ('millrace_worker'), ('millrace_producer'), ('millrace_reader')) v (role),"
        " lateral (select case"
        "   when to_regrole(role) is null then 'does not exist'"
        "   when not has_schema_privilege(role, 'millrace', 'usage') then 'may not use the schema'"
        "   when not has_table_privilege(role, 'millrace.prices', 'select')"
        "     then 'may not read prices'"
        "   when has_table_privilege(role, 'millrace.calls', 'insert, update, delete')"
        "     or has_table_privilege(role, 'millrace.spend', 'insert, update, delete')"
        "     or has_table_privilege(role, 'millrace.tenants', 'insert, update, delete')"
        "     or has_table_privilege(role, 'millrace.prices', 'insert, update, delete')"
        "     then 'may write tables, past the functions that keep the money right' end"
        " ) p (problem) where problem is not null",
        "workers, producers and readers may do what they need, and write no table"},
    {"roles", MR_LEVEL_FAIL,
        "select 'the configured user ' || u || ' is no member of ' || role,"
        " 'grant ' || role || ' to ' || u from (values ($1, 'millrace_worker'),"
        " ($2, 'millrace_producer')) v (u, role) where to_regrole(u) is not null"
        " and not pg_has_role(u, role, 'usage')",
        NULL},
    {"workers", MR_LEVEL_WARN,
        "select 'none is running', 'start millrace-worker' where not exists"
        " (select from millrace.worker_overview where alive)",
        NULL},
    {"workers", MR_LEVEL_OK,
        "select count(*) || ' running in pool ' || pool || ', version '"
        " || string_agg(distinct version, ', '), '' from millrace.worker_overview where alive"
        " group by pool order by pool",
        NULL},
    {"workers", MR_LEVEL_WARN,
        "select 'several versions run: ' || string_agg(distinct version, ', '),"
        " 'restart the older ones' from millrace.worker_overview where alive"
        " having count(distinct version) > 1",
        NULL},
    {"breakers", MR_LEVEL_WARN,
        "select provider || '/' || coalesce(endpoint, '') || ' is ' || state || ' at '"
        " || count(*) || case count(*) when 1 then ' worker: ' else ' workers: ' end || "
        "coalesce(max(why), 'no reason is on record'),"
        " 'see to the provider; a breaker tries again by itself' from millrace.breaker_overview"
        " group by provider, endpoint, state order by 1",
        "all are closed"},
    {"jobs", MR_LEVEL_FAIL,
        "select count(*) || ' run without a living worker for more than two minutes, such as '"
        " || min(job_id::text), 'RabbitMQ should have given them to another worker: is one"
        " running, and is their queue there? millrace explain tells more'"
        " from millrace.stuck_jobs where state = 'running' having count(*) > 0",
        "none runs without a living worker"},
    {"jobs", MR_LEVEL_WARN,
        "select count(*) || ' should have gone on after a wait by now, such as '"
        " || min(job_id::text), 'with empty lanes something is wrong: millrace explain tells more'"
        " from millrace.stuck_jobs where state = 'waiting' having count(*) > 0",
        NULL},
    {"waits", MR_LEVEL_WARN,
        "select count(*) || case count(*) when 1 then ' job waits' else ' jobs wait' end"
        " || ' with class ' || class || ' (' || coalesce(left(max(message), 120), 'nothing is on"
        " record') || '), such as ' || min(job_id::text),"
        " 'it goes on by itself once that is over: millrace explain tells more'"
        " from millrace.job_waits where class is not null and class <> 'limited'"
        " and created_at >= now() - interval '30 days' group by class order by class",
        "no job waits for a provider, or for room under a cap"},
    {"money", MR_LEVEL_WARN,
        "select count(*) || case count(*) when 1 then ' call of the last 24 hours is'"
        " else ' calls of the last 24 hours are' end || ' ambiguous, at most $'"
        " || trim_scale(sum(ambiguous_usd)), 'compare with what the provider billed: millrace"
        " reconcile' from millrace.call_costs where state = 'ambiguous'"
        " and started_at > now() - interval '1 day' having count(*) > 0",
        "no call of the last 24 hours is ambiguous"},
    {"holds", MR_LEVEL_FAIL,
        "select count(*) || case count(*) when 1 then ' call of ' else ' calls of ' end"
        " || provider || '/' || model || ' in the last 7 days cost more than was held for '"
        " || case count(*) when 1 then 'it' else 'them' end || ', by $'"
        " || trim_scale(sum(cost_usd - hold_usd)) || ' in all, such as '"
        " || min(call_id::text || ' of job ' || job_id),"
        " 'caps rest on holds, so this must not happen: does the price table have what the provider"
        " bills (millrace prices check), and does the provider keep to max_tokens?'"
        " from millrace.call_costs where state = 'settled' and cost_usd > hold_usd"
        " and recosted_at is null and started_at > now() - interval '7 days'"
        " group by provider, model order by 1",
        "no call of the last 7 days cost more than was held for it"},
    {"caps", MR_LEVEL_WARN,
        "select 'tenant ' || tenant || case when day_reached_at is not null or month_reached_at is"
        " not null then ' has reached a cap' else ' has spent 80 per cent of a cap' end,"
        " 'millrace tenant show ' || tenant from millrace.tenant_overview where"
        " coalesce(day_warned_at, day_reached_at, month_warned_at, month_reached_at) is not null"
        " order by tenant limit 20",
        "no tenant has spent 80 per cent of a cap"},
};

static bool run_check(
    struct mr_cli *cli, PGconn *conn, const struct check *check, struct mr_findings *findings)
{
    const struct mr_config_database *database = &cli->config->database;
    const char *params[] = {database->worker_user, database->client_user};
    MR_CLEANUP(mr_db_clearp)
    PGresult *rows = mr_db_query(cli, conn, check->sql, strstr(check->sql, "$1") ? 2 : 0, params);
    if (!rows)
        return false;
    for (int i = 0; i < PQntuples(rows); i++)
        mr_findings_add(findings, check->level, check->name, PQgetvalue(rows, i, 1), "%s",
            PQgetvalue(rows, i, 0));
    if (PQntuples(rows) == 0 && check->fine)
        mr_findings_add(findings, MR_LEVEL_OK, check->name, "", "%s", check->fine);
    return true;
}

bool mr_doctor_tables(struct mr_cli *cli, PGconn *conn, struct mr_findings *findings)
{
    bool asked = true;
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && asked; i++)
        asked = run_check(cli, conn, &checks[i], findings);
    return asked;
}
