/* One subcommand each: its table entry, and what it is run with. */
#pragma once

#include "common/clock.h"
#include "common/config.h"
#include "producer/options.h"

#include <stdio.h>

/* Exit codes, the same for every subcommand. */
enum mr_exit {
    MR_EXIT_OK = 0,
    MR_EXIT_FAILED = 1,      /* something was refused, failed or not found */
    MR_EXIT_USAGE = 2,       /* the command line or the configuration is wrong */
    MR_EXIT_UNREACHABLE = 3, /* RabbitMQ or PostgreSQL cannot be used */
    MR_EXIT_INTERRUPTED = 130
};

enum mr_format { MR_FORMAT_TABLE, MR_FORMAT_JSON, MR_FORMAT_IDS };

/* What a command runs with. All borrowed from main. */
struct mr_cli {
    const struct mr_command *command;
    struct mr_args args;
    const char *config_path;  /* --config before the command, or NULL */
    struct mr_config *config; /* NULL when the command asked for none */
    struct mr_clock clock;
    struct mr_random random;
    enum mr_format format;
    FILE *out, *err;
    bool out_tty, err_tty;
    bool owner; /* the database was opened as its owner */
    bool bar;   /* a progress bar stands on the last line of the terminal */
    int width;  /* columns of the terminal behind out; 0 = as wide as it takes */
};

struct mr_command {
    const char *name;     /* "enqueue", "dlq list" */
    const char *operands; /* "[FILE...]" or "" */
    const char *summary;  /* one line, no full stop */
    const char *details;  /* paragraphs, separated by empty lines */
    const char *examples; /* lines, each a command */
    const struct mr_option *options;
    const struct mr_option *output; /* the -o option, or NULL */
    size_t min_operands, max_operands;
    bool no_config; /* runs without reading a configuration */
    enum mr_exit (*run)(struct mr_cli *cli);
};

#define MR_OPERANDS_ANY ((size_t)-1)

extern const struct mr_command mr_cmd_enqueue, mr_cmd_init, mr_cmd_doctor, mr_cmd_status,
    mr_cmd_explain, mr_cmd_results, mr_cmd_jobs_list, mr_cmd_costs, mr_cmd_prices_list,
    mr_cmd_prices_import, mr_cmd_prices_check, mr_cmd_prices_recost, mr_cmd_reconcile,
    mr_cmd_tenant_set, mr_cmd_tenant_show, mr_cmd_tenant_list, mr_cmd_cancel, mr_cmd_dlq_list,
    mr_cmd_dlq_show, mr_cmd_dlq_replay, mr_cmd_dlq_drop, mr_cmd_config, mr_cmd_serve,
    mr_cmd_version, mr_cmd_help;

/* Every command, in the order help shows them; NULL-terminated. */
const struct mr_command *const *mr_commands(void);

/* --config and --help, understood by every command. */
extern const struct mr_option mr_options_common[];
/* -o table|json, in a table of its own. */
extern const struct mr_option mr_options_output[];

/* Finds the command that argv names with its first one or two words. *ret_words is how many. NULL
 * with err, which names the nearest. */
const struct mr_command *mr_command_find(int argc, char **argv, int *ret_words, struct mr_err *err);

/* Fills in the option tables a command line of this command may use. */
#define MR_TABLES_MAX 4
void mr_command_tables(
    const struct mr_command *command, const struct mr_option *ret[static MR_TABLES_MAX]);

/* "millrace: ..." on stderr, with nothing in it a terminal would act upon. */
void mr_cli_error(struct mr_cli *cli, const char *fmt, ...) MR_PRINTF(2, 3);
/* The same with "millrace: " replaced by nothing: remarks. */
void mr_cli_note(struct mr_cli *cli, const char *fmt, ...) MR_PRINTF(2, 3);

/* To be called before anything else is written to the terminal. */
void mr_cli_erase_bar(struct mr_cli *cli);

/* A whole run: what main() does. Returns the exit code. */
int mr_cli_main(int argc, char **argv);
