/* millrace help, and everything else that is made of the tables: man pages and completion. */
#include "producer/help.h"

#include <string.h>

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    const char *dir = mr_args_text(&cli->args, "man", NULL);
    if (dir && mr_man_write(dir, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_FAILED;
    }
    if (mr_args_has(&cli->args, "completion"))
        mr_completion(cli->out);
    if (dir || mr_args_has(&cli->args, "completion"))
        return MR_EXIT_OK;
    if (cli->args.noperands == 0) {
        mr_help_overview(cli->out);
        return MR_EXIT_OK;
    }
    int words;
    char *argv[] = {(char *)(uintptr_t)cli->args.operands[0],
        cli->args.noperands > 1 ? (char *)(uintptr_t)cli->args.operands[1] : NULL};
    const struct mr_command *command =
        mr_command_find((int)cli->args.noperands, argv, &words, &err);
    if (!command && cli->args.noperands == 1 && mr_help_group(cli->out, argv[0]))
        return MR_EXIT_OK;
    if (!command) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    mr_help_command(cli->out, command);
    return MR_EXIT_OK;
}

static const struct mr_option options[] = {
    {.name = "man", .type = MR_OPT_FILE, .arg = "DIR", .help = "Write the man pages there"},
    {.name = "completion", .type = MR_OPT_FLAG, .help = "Print the completion for bash"},
    {NULL},
};

const struct mr_command mr_cmd_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "explain a command",
    .details = "Explains a command, lists those of a group such as dlq, or lists all of them.",
    .examples =
        "  millrace help enqueue\n"
        "  millrace help dlq\n"
        "  millrace help --completion > ~/.local/share/bash-completion/completions/millrace\n",
    .options = options,
    .max_operands = 2,
    .no_config = true,
    .run = run,
};
