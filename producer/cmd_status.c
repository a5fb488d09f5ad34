/* millrace status: where jobs stand, step by step. */
#include "producer/status.h"

#include <errno.h>
#include <stdlib.h>

static void print_json(struct mr_cli *cli, const struct mr_status *status)
{
    struct mr_list list;
    mr_list_begin(&list, cli);
    for (int i = 0; i < PQntuples(status->jobs); i++)
        mr_list_add(&list, mr_status_json(status, (size_t)i));
    mr_list_end(&list);
}

static void print_text(struct mr_cli *cli, const struct mr_status *status)
{
    struct mr_rows jobs = mr_status_jobs(status);
    for (size_t i = 0; i < jobs.nrows; i++) {
        struct mr_status_slice slice;
        struct mr_rows steps = mr_status_steps(status, i, &slice);
        if (i > 0)
            fputc('\n', cli->out);
        mr_output_record(cli, &jobs, i);
        if (steps.nrows > 0) {
            fputc('\n', cli->out);
            mr_output_rows(cli, &steps, "");
        }
    }
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    char *ids = mr_db_ids(cli, cli->args.operands, cli->args.noperands);
    if (!ids)
        return MR_EXIT_USAGE;
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_status_deinit) struct mr_status status = {NULL};
    int r = conn ? mr_status_read(conn, cli->config, ids, &status, &err) : -ENOTCONN;
    free(ids);
    if (r < 0)
        return conn ? mr_db_tell(cli, r, &err) : MR_EXIT_UNREACHABLE;
    if (cli->format == MR_FORMAT_JSON)
        print_json(cli, &status);
    else
        print_text(cli, &status);
    size_t missing = mr_db_missing(cli, status.jobs,
        "is not in the database: either no worker has taken it from its queue yet, or the id is "
        "wrong");
    return missing ? MR_EXIT_FAILED : MR_EXIT_OK;
}

const struct mr_command mr_cmd_status = {
    .name = "status",
    .operands = "JOB...",
    .summary = "show where jobs stand, step by step",
    .details =
        "Shows state, cost, worker and errors of each job, and its steps with their "
        "attempts, seconds and cost. A job appears in the database when a worker takes it; "
        "until then it waits in its queue and is not found here; millrace explain says what waits "
        "there, and why a job waits.",
    .examples = "  millrace status 0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000\n"
                "  millrace status -o json $(cat ids.txt)\n",
    .output = mr_options_output,
    .min_operands = 1,
    .max_operands = MR_OPERANDS_ANY,
    .run = run,
};
