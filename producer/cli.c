#include "producer/command.h"
#include "producer/help.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int terminal_width(FILE *out)
{
    struct winsize size;
    int fd = fileno(out);
    if (fd < 0 || !isatty(fd))
        return 0;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

/* Words before the command: --config FILE may stand there too. Returns how many were taken, or a
 * negative error; *ret_done is set when there is nothing more to do. */
static int global_options(struct mr_cli *cli, int argc, char **argv, bool *ret_done)
{
    int i = 0;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            mr_help_overview(cli->out);
            *ret_done = true;
            return i;
        }
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
            fputs("millrace " MR_VERSION "\n", cli->out);
            *ret_done = true;
            return i;
        }
        if (strncmp(argv[i], "--config=", 9) == 0) {
            cli->config_path = argv[i] + 9;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            cli->config_path = argv[++i];
        } else {
            mr_cli_error(cli,
                "%s before a command: only --config FILE, --help and --version may stand there",
                argv[i]);
            return -EINVAL;
        }
    }
    return i;
}

static enum mr_format format_of(const struct mr_cli *cli)
{
    if (!cli->command->output)
        return MR_FORMAT_TABLE;
    const char *name = mr_args_text(&cli->args, "output", "table");
    return strcmp(name, "json") == 0  ? MR_FORMAT_JSON
           : strcmp(name, "ids") == 0 ? MR_FORMAT_IDS
                                      : MR_FORMAT_TABLE;
}

static enum mr_exit usage(struct mr_cli *cli, const struct mr_err *err)
{
    mr_cli_error(cli, "%s", err->msg);
    if (cli->command)
        mr_cli_note(cli, "millrace %s --help explains the command.", cli->command->name);
    return MR_EXIT_USAGE;
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    if (mr_args_has(&cli->args, "help")) {
        mr_help_command(cli->out, cli->command);
        return MR_EXIT_OK;
    }
    if (cli->args.noperands < cli->command->min_operands ||
        cli->args.noperands > cli->command->max_operands) {
        (void)mr_err_set(&err, -EINVAL, MR_CLASS_INVALID, "%s; usage: millrace %s %s",
            cli->args.noperands < cli->command->min_operands ? "an argument is missing"
                                                             : "too many arguments",
            cli->command->name, cli->command->operands);
        return usage(cli, &err);
    }
    cli->format = format_of(cli);
    const char *config = mr_args_text(&cli->args, "config", cli->config_path);
    if (!cli->command->no_config && mr_config_load(config, &cli->config, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    enum mr_exit code = cli->command->run(cli);
    cli->config = mr_config_unref(cli->config);
    return code;
}

static enum mr_exit dispatch(struct mr_cli *cli, int argc, char **argv)
{
    const struct mr_option *tables[MR_TABLES_MAX];
    struct mr_err err;
    bool done = false;
    int taken = global_options(cli, argc, argv, &done);
    if (taken < 0 || done)
        return done ? MR_EXIT_OK : MR_EXIT_USAGE;
    argc -= taken;
    argv += taken;
    if (argc == 0) {
        mr_help_overview(cli->err);
        return MR_EXIT_USAGE;
    }
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (help && mr_help_group(cli->out, argv[0]))
        return MR_EXIT_OK;
    int words = 0;
    cli->command = mr_command_find(argc, argv, &words, &err);
    if (!cli->command)
        return usage(cli, &err);
    mr_command_tables(cli->command, tables);
    if (mr_args_parse(argc - words, argv + words, tables, &cli->args, &err) < 0)
        return usage(cli, &err);
    enum mr_exit code = run(cli);
    mr_args_deinit(&cli->args);
    return code;
}

static bool reader_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

int mr_cli_main(int argc, char **argv)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN); /* a reader that left is an error of write, not our death */
    struct mr_cli cli = {.clock = mr_clock_system(),
        .random = mr_random_system(),
        .out = stdout,
        .err = stderr,
        .out_tty = isatty(STDOUT_FILENO) == 1,
        .err_tty = isatty(STDERR_FILENO) == 1,
        .width = terminal_width(stdout)};
    enum mr_exit code = dispatch(&cli, argc - 1, argv + 1);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return (int)code;
    if (!reader_left()) /* who closes a pipe early has seen enough */
        mr_cli_error(&cli, "cannot write all of the output");
    return code == MR_EXIT_OK ? MR_EXIT_FAILED : (int)code;
}
