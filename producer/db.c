#include "producer/db.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

enum mr_exit mr_db_tell(struct mr_cli *cli, int r, const struct mr_err *err)
{
    if (r == -EACCES && cli->owner)
        mr_cli_error(cli,
            "millrace %s needs the database's owner: set database.owner_user and its password "
            "file (%s)",
            cli->command->name, err->msg);
    else
        mr_cli_error(cli, "%s", err->msg);
    return MR_EXIT_UNREACHABLE;
}

static PGconn *open_as(struct mr_cli *cli, enum mr_pg_role role)
{
    struct mr_err err;
    PGconn *conn = NULL;
    cli->owner = role == MR_PG_OWNER;
    int r = mr_pg_connect(&cli->config->database, role, "millrace", &conn, &err);
    if (r == 0)
        r = mr_pg_check_version(conn, &err);
    if (r < 0) {
        mr_db_tell(cli, r, &err);
        mr_db_closep(&conn);
        return NULL;
    }
    return conn;
}

PGconn *mr_db_open(struct mr_cli *cli)
{
    return open_as(cli, MR_PG_CLIENT);
}

PGconn *mr_db_open_owner(struct mr_cli *cli)
{
    return open_as(cli, MR_PG_OWNER);
}

int mr_db_ask(PGconn *conn, const char *sql, int n, const char *const *params, PGresult **ret,
    struct mr_err *err)
{
    PGresult *result = PQexecParams(conn, sql, n, NULL, params, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        *ret = result;
        return 0;
    }
    int r = mr_pg_error(conn, result, "asking the database", err);
    PQclear(result);
    return r;
}

PGresult *mr_db_query(
    struct mr_cli *cli, PGconn *conn, const char *sql, int n, const char *const *params)
{
    PGresult *result;
    struct mr_err err;
    int r = mr_db_ask(conn, sql, n, params, &result, &err);
    if (r == 0)
        return result;
    mr_db_tell(cli, r, &err);
    return NULL;
}

void mr_db_closep(PGconn **conn)
{
    PQfinish(*conn);
    *conn = NULL;
}

void mr_db_clearp(PGresult **result)
{
    PQclear(*result);
    *result = NULL;
}

static const char *cell(const void *source, size_t row, size_t column)
{
    const PGresult *result = source;
    if (PQgetisnull(result, (int)row, (int)column))
        return NULL;
    return PQgetvalue(result, (int)row, (int)column);
}

struct mr_rows mr_db_rows(const PGresult *result, const struct mr_column *columns, size_t ncolumns)
{
    assert((size_t)PQnfields(result) >= ncolumns);
    return (struct mr_rows){.columns = columns,
        .ncolumns = ncolumns,
        .nrows = (size_t)PQntuples(result),
        .cell = cell,
        .source = result};
}

char *mr_db_ids(struct mr_cli *cli, const char *const *operands, size_t n)
{
    struct mr_buf buf = MR_BUF_INIT(n * MR_UUID_LEN + 3);
    int r = mr_buf_putc(&buf, '{');
    for (size_t i = 0; i < n && r == 0; i++) {
        struct mr_uuid id;
        char text[MR_UUID_LEN];
        if (mr_uuid_parse(operands[i], &id) < 0) {
            mr_cli_error(cli,
                "%s is not a job id, which looks like "
                "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000",
                operands[i]);
            mr_buf_deinit(&buf);
            return NULL;
        }
        mr_uuid_format(&id, text);
        r = mr_buf_printf(&buf, "%s%s", i ? "," : "", text);
    }
    if (r == 0)
        r = mr_buf_putc(&buf, '}');
    if (r < 0) {
        mr_cli_error(cli, "too many jobs: %s", strerror(-r));
        mr_buf_deinit(&buf);
        return NULL;
    }
    return mr_buf_steal(&buf, NULL);
}

size_t mr_db_missing(struct mr_cli *cli, const PGresult *result, const char *what)
{
    size_t missing = 0;
    for (size_t i = 0; i < cli->args.noperands; i++) {
        bool found = false;
        for (int row = 0; row < PQntuples(result) && !found; row++)
            found = strcasecmp(PQgetvalue(result, row, 0), cli->args.operands[i]) == 0;
        if (!found)
            mr_cli_error(cli, "%s %s", cli->args.operands[i], what);
        missing += !found;
    }
    return missing;
}

char *mr_db_step_order(const struct mr_config *config)
{
    struct mr_buf buf = MR_BUF_INIT(
        config->npipelines * MR_STEPS_MAX * (MR_NAME_MAX + 1) + 3); /* names need no quotes */
    int r = mr_buf_putc(&buf, '{');
    for (size_t i = 0; i < config->npipelines; i++)
        for (size_t k = 0; k < config->pipelines[i].nsteps && r == 0; k++)
            r = mr_buf_printf(
                &buf, "%s%s", buf.len > 1 ? "," : "", config->pipelines[i].steps[k].name);
    if (r == 0)
        r = mr_buf_putc(&buf, '}');
    char *order = r == 0 ? mr_buf_steal(&buf, NULL) : NULL;
    mr_buf_deinit(&buf);
    return order;
}

const char *mr_db_time(int64_t ms, char buf[static MR_TIME_LEN])
{
    if (ms == 0)
        return NULL;
    mr_time_format(ms, buf);
    return buf;
}
