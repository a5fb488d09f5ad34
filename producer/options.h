/* Command lines, driven by tables: the same option table parses the arguments, prints --help and
 * the man page, and feeds the bash completion. */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_opt_type {
    MR_OPT_FLAG,
    MR_OPT_TEXT,
    MR_OPT_FILE,     /* as text; completed with file names */
    MR_OPT_INT,      /* min..max */
    MR_OPT_CHOICE,   /* one word of choices */
    MR_OPT_DURATION, /* "30s", kept in ms */
    MR_OPT_TIME,     /* RFC 3339, a date or a duration, resolved by mr_args_time */
};

struct mr_option {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* short form, or 0 */
    enum mr_opt_type type;
    bool many;           /* may be given more than once */
    const char *arg;     /* what help calls the value, e.g. "FILE"; NULL for flags */
    const char *choices; /* CHOICE: "table|json" */
    int64_t min, max;    /* INT */
    const char *help;    /* one sentence without a full stop */
};

/* Options that several commands have. `order` is "the newest first". */
#define MR_OPTION_LIMIT(order)                                                                     \
    {                                                                                              \
        .name = "limit", .letter = 'n', .type = MR_OPT_INT, .arg = "N", .min = 1, .max = 1000000,  \
        .help = "At most this many, " order "; 50 unless given"                                    \
    }
#define MR_OPTION_TENANT                                                                           \
    {                                                                                              \
        .name = "tenant", .letter = 't', .type = MR_OPT_TEXT, .arg = "NAME",                       \
        .help = "Only this tenant's"                                                               \
    }
#define MR_OPTION_PIPELINE                                                                         \
    {                                                                                              \
        .name = "pipeline", .letter = 'p', .type = MR_OPT_TEXT, .arg = "NAME",                     \
        .help = "Only those of this pipeline"                                                      \
    }

struct mr_arg {
    const struct mr_option *option;
    const char *text; /* borrowed from argv */
    int64_t number;   /* INT: the value; DURATION: ms */
};

/* What was given. Strings are borrowed from argv. */
struct mr_args {
    const struct mr_option *const *tables; /* NULL-terminated list of option tables */
    struct mr_arg *given;
    size_t ngiven;
    const char **operands;
    size_t noperands;
};

/* Parses argv[0..argc). "--" ends the options, "-" is an operand, "--name=value" and "-nvalue"
 * work. An unknown option names the nearest one. 0, or -EINVAL with err, or -ENOMEM. */
int mr_args_parse(int argc, char **argv, const struct mr_option *const *tables, struct mr_args *ret,
    struct mr_err *err) MR_CHECK;
void mr_args_deinit(struct mr_args *args);

/* The accessors take names that are in the tables: anything else is a programmer's error. */
bool mr_args_has(const struct mr_args *args, const char *name);
/* The last value given, or fallback. */
const char *mr_args_text(const struct mr_args *args, const char *name, const char *fallback);
int64_t mr_args_number(const struct mr_args *args, const char *name, int64_t fallback);
/* The i-th value given, or NULL behind the last one. */
const char *mr_args_nth(const struct mr_args *args, const char *name, size_t i);

/* A point in time: RFC 3339 or a date (its first moment, UTC) as it is, a duration counted from
 * now_ms, forwards (sign 1) or backwards (-1), within the years 2000 to 2999. Not given: fallback,
 * whatever it is. 0 or -EINVAL with err. */
int mr_args_time(const struct mr_args *args, const char *name, int64_t now_ms, int sign,
    int64_t fallback, int64_t *ret_ms, struct mr_err *err) MR_CHECK;

/* The word of a NULL-terminated list that is nearest to `word` (a typing slip away), or NULL. */
const char *mr_nearest(const char *word, const char *const *words);
