/* millrace version. */
#include "producer/output.h"

static enum mr_exit run(struct mr_cli *cli)
{
    if (cli->format == MR_FORMAT_JSON)
        mr_output_json(cli, json_pack("{s:s}", "version", MR_VERSION));
    else
        fputs("millrace " MR_VERSION "\n", cli->out);
    return MR_EXIT_OK;
}

const struct mr_command mr_cmd_version = {
    .name = "version",
    .operands = "",
    .summary = "print the version",
    .details = "Prints the version of this program.",
    .examples = "  millrace version\n",
    .output = mr_options_output,
    .no_config = true,
    .run = run,
};
