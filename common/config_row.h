/* One key of the configuration as data: how it is read, checked, compared, printed and explained.
 * Internal to config_*.c and prices.c. */
#pragma once

#include "common/config.h"

#include <libconfig.h>

#define MR_CONFIG_FILE_MAX (1u << 20) /* bytes of a configuration, prompt or schema file */

enum mr_row_type {
    MR_ROW_STR,     /* char *, one line */
    MR_ROW_TEXT,    /* char *, may have line breaks */
    MR_ROW_NAME,    /* char *, as mr_name_check wants it */
    MR_ROW_PATH,    /* char *, relative to the configuration file */
    MR_ROW_ENV,     /* char *, name of an environment variable */
    MR_ROW_URL,     /* char *, http(s) without user, query, fragment or trailing slash */
    MR_ROW_STRV,    /* struct mr_strv */
    MR_ROW_HOSTS,   /* struct mr_strv, each as mr_host_split wants it, at least one */
    MR_ROW_INT,     /* int */
    MR_ROW_LONG,    /* int64_t */
    MR_ROW_SIZE,    /* int64_t bytes, or "64MiB" */
    MR_ROW_BOOL,    /* bool */
    MR_ROW_MS,      /* int milliseconds, written as a duration */
    MR_ROW_SECONDS, /* int seconds, written as a duration */
    MR_ROW_LONG_MS, /* int64_t milliseconds, written as a duration */
    MR_ROW_FACTOR,  /* int per cent, written as a number: 1.5 */
    MR_ROW_RATE,    /* int64_t pico-dollars per token, written as dollars per million tokens */
    MR_ROW_ENUM,    /* int-sized enum: index into choices */
    MR_ROW_OTHER,   /* its list's own reader takes care of it */
};

struct mr_row {
    const char *section; /* "broker"; lists: "providers" */
    const char *key;
    enum mr_row_type type;
    size_t offset;       /* into struct mr_config, or into the list's item */
    int64_t min, max;    /* numbers: as stored; strings: bytes at most (0 = 1024) */
    const char *def;     /* as text; NULL = none */
    const char *choices; /* "a|b|c"; ENUM: in the order of the enum */
    bool reloadable;     /* scalars: SIGHUP applies it; lists always */
    bool required;       /* lists only */
    bool secret;         /* says where a secret lies: its value is never repeated in an error */
    const char *help;
};

struct mr_rows {
    const struct mr_row *items;
    size_t count;
};

/* config_table.c: those of all sections; config_table_lists.c: those of a list's items. */
struct mr_rows mr_config_scalars(void);
struct mr_rows mr_config_provider_rows(void);
struct mr_rows mr_config_endpoint_rows(void);
struct mr_rows mr_config_custom_rows(void); /* of struct mr_custom */
struct mr_rows mr_config_model_rows(void);
struct mr_rows mr_config_rule_rows(void);
struct mr_rows mr_config_retry_rows(void); /* of struct mr_config_retry */
struct mr_rows mr_config_pipeline_rows(void);
struct mr_rows mr_config_step_rows(void);

/* A parsed file. */
struct mr_config_source {
    config_t tree;
    const char *file; /* as errors name it; borrowed */
    char *dir;        /* what relative paths start from; owned; NULL: the working directory */
};
void mr_config_source_deinit(struct mr_config_source *source);
/* path: a file, or NULL: the embedded file of this name. *ret must not move afterwards; after an
 * error there is nothing to deinit. 0 or negative with file and line. */
int mr_config_source_open(struct mr_config_source *ret, const char *path, const char *embedded,
    struct mr_err *err) MR_CHECK;

/* err = "<file>:<line>: <text>", class INVALID. Returns code. */
int mr_config_fail(const struct mr_config_source *source, const config_setting_t *setting,
    struct mr_err *err, int code, const char *fmt, ...) MR_PRINTF(5, 6);
/* Puts "<file>:<line>: " before err. Returns code. */
int mr_config_locate(const struct mr_config_source *source, const config_setting_t *setting,
    struct mr_err *err, int code);

/* A list "( {...}, {...} )" of groups, or NULL when absent. */
int mr_config_group_list(const struct mr_config_source *source, const config_setting_t *parent,
    const char *key, const config_setting_t **ret, struct mr_err *err) MR_CHECK;

/* Sets a value from text (the environment, a default). Errors have no location. 0 or negative. */
int mr_row_set(const struct mr_row *row, void *base, const char *text, const char *dir,
    struct mr_err *err) MR_CHECK;
/* Sets it from a setting. Errors say file, line and key. */
int mr_row_read(const struct mr_row *row, void *base, const config_setting_t *setting,
    const struct mr_config_source *source, struct mr_err *err) MR_CHECK;
bool mr_row_equal(const struct mr_row *row, const void *a, const void *b);
/* Replaces the value in `to` by a copy of the one in `from`. 0 or -ENOMEM. */
int mr_row_copy(const struct mr_row *row, void *to, const void *from) MR_CHECK;
/* Whether there is anything to print: a string or list that is set, any other value. */
bool mr_row_is_set(const struct mr_row *row, const void *base);
/* "key = value;" as libconfig text, without a line end. */
void mr_row_print(const struct mr_row *row, const void *base, FILE *out);
/* The number as a person writes it: "30s", "64MiB", "2.5", "256". */
#define MR_ROW_NUMBER_LEN 40
void mr_row_format(const struct mr_row *row, int64_t value, char ret[static MR_ROW_NUMBER_LEN]);

/* Sets what the group has of these rows, and leaves all else alone. */
int mr_rows_read_some(struct mr_rows rows, void *base, const config_setting_t *group,
    const struct mr_config_source *source, struct mr_err *err) MR_CHECK;
/* An error unless the group has every required row. */
int mr_rows_required(struct mr_rows rows, const char *section, const config_setting_t *group,
    const struct mr_config_source *source, struct mr_err *err) MR_CHECK;
/* Says that there is no such key, and which was meant. Returns -EINVAL. */
int mr_rows_unknown(struct mr_rows rows, const char *section, const config_setting_t *setting,
    const struct mr_config_source *source, struct mr_err *err);
const struct mr_row *mr_rows_find(struct mr_rows rows, const char *section, const char *key);
int mr_rows_default(struct mr_rows rows, void *base, struct mr_err *err) MR_CHECK;
void mr_rows_clear(struct mr_rows rows, void *base);
/* Sets every member of a group that has a row of this section (OTHER ones are left to the caller);
 * an unknown key or a missing required one is an error. */
int mr_rows_read(struct mr_rows rows, const char *section, void *base,
    const config_setting_t *group, const struct mr_config_source *source,
    struct mr_err *err) MR_CHECK;

int mr_strv_push(struct mr_strv *strv, const char *item, size_t n) MR_CHECK;
void mr_strv_clear(struct mr_strv *strv);
void mr_config_quote(const char *s, FILE *out);                   /* as a libconfig string */
char *mr_config_path(const char *dir, const char *path) MR_CHECK; /* NULL: no memory */

/* Finds what somebody may have meant. */
struct mr_nearest {
    const char *word;
    const char *best;
    size_t distance;
};
void mr_nearest_offer(struct mr_nearest *nearest, const char *candidate);
#define MR_NEAREST_LEN 96
/* "; did you mean 'x'?", or "". */
const char *mr_nearest_hint(const struct mr_nearest *nearest, char buf[static MR_NEAREST_LEN]);

/* config_lists.c: the lists of these sources, later ones winning. */
#define MR_CONFIG_SOURCES 2
int mr_config_read_lists(struct mr_config *config, const struct mr_config_source *sources,
    size_t nsources, struct mr_err *err) MR_CHECK;

/* config_check.c: defaults that depend on others, and what no single row can check. */
int mr_config_check(struct mr_config *config, struct mr_err *err) MR_CHECK;
