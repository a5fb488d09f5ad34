#include "common/embed.h"
#include "common/pg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "millrace" in one advisory lock key: inits wait for each other. */
#define LOCK "7883955465527093605"

static const char prepare[] = "set client_min_messages = warning;"
                              "create schema if not exists millrace;"
                              "set search_path = millrace, pg_temp; set lock_timeout = '60s';"
                              "create table if not exists migrations (version int primary key,"
                              " name text not null, applied_at timestamptz not null default now())";

static void result_clear(PGresult **result)
{
    PQclear(*result);
}

static int run(PGconn *conn, const char *sql, const char *what, struct mr_err *err)
{
    PGresult *MR_CLEANUP(result_clear) result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return 0;
    return mr_pg_error(conn, result, what, err);
}

/* Runs the statements of one transaction; nothing of it stays when one fails. */
static int run_all(PGconn *conn, const char *const *sql, const char *const *names, size_t count,
    struct mr_err *err)
{
    int rc = run(conn, "begin", "begin", err);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = run(conn, sql[i], names[i], err);
    if (rc == 0)
        return run(conn, "commit", "commit", err);
    struct mr_err ignored; /* the first error is the one to report */
    int unused = run(conn, "rollback", "rollback", &ignored);
    (void)unused;
    return rc;
}

/* sql/NNNN_name.sql => NNNN, else 0. */
static int migration_number(const char *name)
{
    if (strncmp(name, "sql/", 4) != 0 || strspn(name + 4, "0123456789") != 4)
        return 0;
    return (int)strtol(name + 4, NULL, 10);
}

static int newest(void)
{
    size_t count;
    const struct mr_embedded *all = mr_embedded_all(&count);
    int max = 0;
    for (size_t i = 0; i < count; i++) {
        int number = migration_number(all[i].name);
        max = number > max ? number : max;
    }
    return max;
}

static int version_of(PGconn *conn, int *ret, struct mr_err *err)
{
    PGresult *MR_CLEANUP(result_clear) result =
        PQexec(conn, "select coalesce(max(version), 0) from millrace.migrations");
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        if (state && (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0))
            return mr_err_set(err, -EPROTO, MR_CLASS_INVALID,
                "database \"%s\" has not been set up for Millrace: run `millrace init`",
                PQdb(conn));
        return mr_pg_error(conn, result, "reading the database's version", err);
    }
    *ret = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    return 0;
}

static int check_not_newer(const PGconn *conn, int version, struct mr_err *err)
{
    if (version <= newest())
        return 0;
    return mr_err_set(err, -EPROTO, MR_CLASS_INVALID,
        "database \"%s\" is at version %d, this Millrace knows only up to %d: install a newer one",
        PQdb(conn), version, newest());
}

static int apply_migration(PGconn *conn, const struct mr_embedded *file, struct mr_err *err)
{
    char record[256];
    snprintf(record, sizeof(record), "insert into migrations (version, name) values (%d, '%s')",
        migration_number(file->name), file->name);
    const char *sql[] = {file->text, record};
    const char *names[] = {file->name, "recording the migration"};
    return run_all(conn, sql, names, 2, err);
}

#define ROUTINES_MAX 32

/* Views, functions and grants, all or nothing. */
static int apply_routines(PGconn *conn, struct mr_err *err)
{
    size_t count, n = 0;
    const struct mr_embedded *all = mr_embedded_all(&count);
    const char *sql[ROUTINES_MAX], *names[ROUTINES_MAX];
    sql[n] = mr_embedded_find("sql/reset.sql")->text;
    names[n++] = "sql/reset.sql";
    for (size_t i = 0; i < count && n < ROUTINES_MAX - 1; i++) {
        if (strncmp(all[i].name, "sql/routines/", 13) != 0)
            continue;
        sql[n] = all[i].text;
        names[n++] = all[i].name;
    }
    sql[n] = mr_embedded_find("sql/grants.sql")->text;
    names[n++] = "sql/grants.sql";
    return run_all(conn, sql, names, n, err);
}

static int migrate_locked(PGconn *conn, int *ret_applied, struct mr_err *err)
{
    int version = 0, applied = 0;
    int rc = run(conn, prepare, "preparing schema millrace", err);
    if (rc == 0)
        rc = version_of(conn, &version, err);
    if (rc == 0)
        rc = check_not_newer(conn, version, err);
    if (rc == 0)
        rc = run(conn, mr_embedded_find("sql/roles.sql")->text, "sql/roles.sql", err);
    size_t count;
    const struct mr_embedded *all = mr_embedded_all(&count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (migration_number(all[i].name) <= version)
            continue;
        rc = apply_migration(conn, &all[i], err);
        applied += rc == 0;
    }
    if (rc == 0)
        rc = apply_routines(conn, err);
    if (rc == 0)
        *ret_applied = applied;
    return rc;
}

int mr_pg_migrate(PGconn *owner, int *ret_applied, struct mr_err *err)
{
    int rc = run(owner, "set lock_timeout = 0; select pg_advisory_lock(" LOCK ")",
        "waiting for another init", err);
    if (rc < 0)
        return rc;
    rc = migrate_locked(owner, ret_applied, err);
    struct mr_err unlocked;
    int unlock_rc = run(owner, "select pg_advisory_unlock(" LOCK ")", "unlocking", &unlocked);
    return rc < 0          ? rc
           : unlock_rc < 0 ? mr_err_set(err, unlock_rc, unlocked.class, "%s", unlocked.msg)
                           : 0;
}

int mr_pg_check_version(PGconn *conn, struct mr_err *err)
{
    int version = 0;
    int rc = version_of(conn, &version, err);
    if (rc == 0)
        rc = check_not_newer(conn, version, err);
    if (rc == 0 && version < newest())
        rc = mr_err_set(err, -EPROTO, MR_CLASS_INVALID,
            "database \"%s\" is at version %d, this Millrace needs %d: run `millrace init`",
            PQdb(conn), version, newest());
    return rc;
}
