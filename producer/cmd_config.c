/* millrace config: check and show the configuration. */
#include "producer/command.h"
#include "worker/steps/steps.h"

#include <string.h>

static void warn(void *ctx, const char *warning)
{
    mr_cli_note(ctx, "warning: %s", warning);
}

/* What a worker checks when it starts. Keys are only for workers, so a machine that merely enqueues
 * need not have them. */
static enum mr_exit check(struct mr_cli *cli, struct mr_config *config)
{
    struct mr_err err;
    if (mr_chat_check_prompts(config, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    if (mr_config_load_keys(config, &err) < 0)
        mr_cli_note(cli, "warning: %s; a worker does not start without it", err.msg);
    fprintf(cli->out, "The configuration is good: %zu provider%s, %zu model%s, %zu pipeline%s\n",
        config->nproviders, config->nproviders == 1 ? "" : "s", config->nmodels,
        config->nmodels == 1 ? "" : "s", config->npipelines, config->npipelines == 1 ? "" : "s");
    return MR_EXIT_OK;
}

static enum mr_exit run(struct mr_cli *cli)
{
    const char *what = cli->args.noperands ? cli->args.operands[0] : "check";
    bool print = mr_args_has(&cli->args, "print") || strcmp(what, "print") == 0;
    if (strcmp(what, "reference") == 0)
        return mr_config_print_reference(cli->out) < 0 ? MR_EXIT_FAILED : MR_EXIT_OK;
    if (!print && strcmp(what, "check") != 0) {
        mr_cli_error(cli, "config %s: must be check, print or reference", what);
        return MR_EXIT_USAGE;
    }
    struct mr_config *config;
    struct mr_err err;
    if (mr_config_load(mr_args_text(&cli->args, "config", cli->config_path), &config, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    mr_config_warn(config, warn, cli);
    enum mr_exit code = MR_EXIT_OK;
    if (!print)
        code = check(cli, config);
    else if (mr_config_print(config, cli->out) < 0)
        code = MR_EXIT_FAILED;
    mr_config_unref(config);
    return code;
}

static const struct mr_option options[] = {
    {.name = "print", .type = MR_OPT_FLAG, .help = "The same as config print"},
    {NULL},
};

const struct mr_command mr_cmd_config = {
    .name = "config",
    .operands = "[check|print|reference]",
    .summary = "check, show or explain the configuration",
    .details =
        "check (the default) reads the configuration and tells what is wrong by file and line, "
        "unknown keys included, checks every prompt, and warns of keys of providers that a worker "
        "could not load. print shows what holds after defaults, file and environment, with "
        "secrets masked. reference explains every key, in Markdown.",
    .examples = "  millrace config check\n  millrace --config new.cfg config print\n"
                "  millrace config reference\n",
    .options = options,
    .max_operands = 1,
    .no_config = true,
    .run = run,
};
