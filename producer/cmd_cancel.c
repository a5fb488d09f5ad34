/* millrace cancel: end jobs before their next call. */
#include "producer/db.h"

#include <stdlib.h>
#include <string.h>

static const struct mr_column columns[] = {
    {"job", "JOB", MR_CELL_TEXT},
    {"state", "STATE", MR_CELL_TEXT},
};
#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

static enum mr_exit run(struct mr_cli *cli)
{
    char *ids = mr_db_ids(cli, cli->args.operands, cli->args.noperands);
    if (!ids)
        return MR_EXIT_USAGE;
    const char *params[] = {ids};
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_db_clearp) PGresult *result = NULL;
    if (conn)
        result = mr_db_query(
            cli, conn, "select id, millrace.cancel(id) from unnest($1::uuid[]) as id", 1, params);
    free(ids);
    if (!result)
        return MR_EXIT_UNREACHABLE;
    struct mr_rows rows = mr_db_rows(result, columns, NCOLUMNS);
    mr_output_rows(cli, &rows, "");
    enum mr_exit code = MR_EXIT_OK;
    for (int row = 0; row < PQntuples(result); row++) {
        const char *state = PQgetvalue(result, row, 1);
        if (strncmp(state, "cancel", 6) == 0)
            continue;
        mr_cli_error(cli, "%s had already ended: %s", PQgetvalue(result, row, 0), state);
        code = MR_EXIT_FAILED;
    }
    return code;
}

const struct mr_command mr_cmd_cancel = {
    .name = "cancel",
    .operands = "JOB...",
    .summary = "end jobs before their next call",
    .details = "A job that waits is cancelled at once; one that no worker has seen yet will be "
               "dropped when it comes up; one that runs (cancelling) stops before its next call, "
               "and what its running calls cost is still counted. What has ended stays as it is, "
               "and the exit code is 1.",
    .examples = "  millrace cancel 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000\n",
    .output = mr_options_output,
    .min_operands = 1,
    .max_operands = MR_OPERANDS_ANY,
    .run = run,
};
