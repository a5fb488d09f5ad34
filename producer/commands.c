#include "producer/command.h"
#include "producer/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define COMMANDS_MAX 32
#define LINE_MAX_BYTES 4096

static const struct mr_command *const commands[] = {
    &mr_cmd_init,
    &mr_cmd_doctor,
    &mr_cmd_enqueue,
    &mr_cmd_serve,
    &mr_cmd_status,
    &mr_cmd_explain,
    &mr_cmd_results,
    &mr_cmd_jobs_list,
    &mr_cmd_costs,
    &mr_cmd_tenant_list,
    &mr_cmd_tenant_show,
    &mr_cmd_tenant_set,
    &mr_cmd_prices_list,
    &mr_cmd_prices_import,
    &mr_cmd_prices_check,
    &mr_cmd_prices_recost,
    &mr_cmd_reconcile,
    &mr_cmd_cancel,
    &mr_cmd_dlq_list,
    &mr_cmd_dlq_show,
    &mr_cmd_dlq_replay,
    &mr_cmd_dlq_drop,
    &mr_cmd_config,
    &mr_cmd_version,
    &mr_cmd_help,
    NULL,
};

const struct mr_option mr_options_common[] = {
    {.name = "config",
        .type = MR_OPT_FILE,
        .arg = "FILE",
        .help = "Read this configuration; without it $MILLRACE_CONFIG, then "
                "/etc/millrace/millrace.cfg, then the built-in default"},
    {.name = "help", .letter = 'h', .type = MR_OPT_FLAG, .help = "Show this help"},
    {NULL},
};

const struct mr_option mr_options_output[] = {
    {.name = "output",
        .letter = 'o',
        .type = MR_OPT_CHOICE,
        .arg = "FORMAT",
        .choices = "table|json",
        .help = "table for people (the default), json for programs"},
    {NULL},
};

const struct mr_command *const *mr_commands(void)
{
    return commands;
}

void mr_command_tables(
    const struct mr_command *command, const struct mr_option *ret[static MR_TABLES_MAX])
{
    size_t n = 0;
    if (command->options)
        ret[n++] = command->options;
    if (command->output)
        ret[n++] = command->output;
    ret[n++] = mr_options_common;
    ret[n] = NULL;
}

/* Words of the name that the arguments begin with; 0 when they do not. */
static int match(const char *name, int argc, char **argv)
{
    size_t n = strcspn(name, " ");
    if (argc < 1 || strlen(argv[0]) != n || memcmp(argv[0], name, n) != 0)
        return 0;
    if (!name[n])
        return 1;
    return argc > 1 && strcmp(argv[1], name + n + 1) == 0 ? 2 : 0;
}

static const struct mr_command *not_found(int argc, char **argv, struct mr_err *err)
{
    const char *words[COMMANDS_MAX + 1];
    size_t n = 0, group = strlen(argv[0]);
    for (const struct mr_command *const *c = commands; *c && n < COMMANDS_MAX; c++)
        if (strncmp((*c)->name, argv[0], group) == 0 && (*c)->name[group] == ' ')
            words[n++] = (*c)->name + group + 1;
    words[n] = NULL;
    if (n > 0) { /* a known first word: its second one is missing or wrong */
        const char *near = argc > 1 ? mr_nearest(argv[1], words) : NULL;
        mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "unknown command %s%s%s; try millrace %s %s",
            argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "", argv[0], near ? near : words[0]);
        return NULL;
    }
    char first[COMMANDS_MAX][16];
    for (const struct mr_command *const *c = commands; *c && n < COMMANDS_MAX; c++, n++) {
        snprintf(first[n], sizeof(first[n]), "%.*s", (int)strcspn((*c)->name, " "), (*c)->name);
        words[n] = first[n];
    }
    words[n] = NULL;
    const char *near = mr_nearest(argv[0], words);
    if (near)
        mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "unknown command %s; did you mean %s?", argv[0], near);
    else
        mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "unknown command %s; millrace help lists them",
            argv[0]);
    return NULL;
}

const struct mr_command *mr_command_find(int argc, char **argv, int *ret_words, struct mr_err *err)
{
    for (const struct mr_command *const *c = commands; *c; c++) {
        int words = match((*c)->name, argc, argv);
        if (words) {
            *ret_words = words;
            return *c;
        }
    }
    return not_found(argc, argv, err);
}

void mr_cli_erase_bar(struct mr_cli *cli)
{
    if (cli->bar)
        fputs("\r\033[K", cli->err);
    cli->bar = false;
}

MR_PRINTF(3, 0)
static void say(struct mr_cli *cli, const char *prefix, const char *fmt, va_list args)
{
    char line[LINE_MAX_BYTES];
    vsnprintf(line, sizeof(line), fmt, args);
    MR_CLEANUP(mr_buf_deinit) struct mr_buf safe = MR_BUF_INIT(8 * sizeof(line));
    mr_cli_erase_bar(cli);
    if (mr_text_safe(&safe, line, strlen(line), MR_SAFE_LINE) == 0)
        fprintf(cli->err, "%s%s\n", prefix, safe.data ? safe.data : "");
}

void mr_cli_error(struct mr_cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cli, "millrace: ", fmt, args);
    va_end(args);
}

void mr_cli_note(struct mr_cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cli, "", fmt, args);
    va_end(args);
}
