#include "common/config_row.h"

#include "common/config_value.h"
#include "common/ids.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define STR_MAX 1024

static int fail(struct mr_err *err, const char *text)
{
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "%s", text);
}

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

static int check_env_name(const char *s, struct mr_err *err)
{
    /* Somebody who pastes the secret itself here must not find it in a log. */
    bool good = isalpha((unsigned char)s[0]) || s[0] == '_';

    for (; good && *s; s++)
        good = isalnum((unsigned char)*s) || *s == '_';
    return good ? 0 : fail(err, "must be the name of an environment variable");
}

/* Takes a trailing slash off. */
static int check_url(char *s, struct mr_err *err)
{
    size_t scheme = strncmp(s, "https://", 8) == 0 ? 8 : strncmp(s, "http://", 7) == 0 ? 7 : 0;

    if (!scheme)
        return fail(err, "must begin with http:// or https://");
    if (strchr(s, '@'))
        return fail(err, "must not hold a user or password; use key_file or key_env");
    if (s[strcspn(s, "?# ")])
        return fail(err, "must not hold a query, a fragment or a blank");
    for (size_t n = strlen(s); n > scheme && s[n - 1] == '/'; n--)
        s[n - 1] = '\0';
    return strchr("/:", s[scheme]) ? fail(err, "names no host") : 0;
}

static int check_string(const struct mr_row *row, char *s, struct mr_err *err)
{
    size_t max = row->max ? (size_t)row->max : STR_MAX;

    if (!*s)
        return fail(err, "must not be empty");
    if (strlen(s) > max)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "is longer than %zu bytes", max);
    for (const char *c = s; *c; c++)
        if (iscntrl((unsigned char)*c) && !(row->type == MR_ROW_TEXT && strchr("\n\r\t", *c)))
            return fail(err, "must not hold control characters");
    if (row->choices && mr_choice_index(row->choices, s) < 0)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "must be one of %s", row->choices);
    switch (row->type) {
    case MR_ROW_NAME:
        return mr_name_check("it", s, err);
    case MR_ROW_ENV:
        return check_env_name(s, err);
    case MR_ROW_URL:
        return check_url(s, err);
    default:
        return 0;
    }
}

static int set_string(
    const struct mr_row *row, char **slot, const char *text, const char *dir, struct mr_err *err)
{
    char *s = row->type == MR_ROW_PATH && *text ? mr_config_path(dir, text) : strdup(text);
    if (!s)
        return no_memory(err);
    int rc = check_string(row, s, err);
    if (rc < 0) {
        free(s);
        return rc;
    }
    free(*slot);
    *slot = s;
    return 0;
}

static int push_item(
    const struct mr_row *row, struct mr_strv *strv, const char *text, size_t n, struct mr_err *err)
{
    char host[MR_HOST_MAX];
    int port;

    if (n == 0)
        return fail(err, "holds an empty item");
    if (n > STR_MAX)
        return fail(err, "holds an item that is too long");
    if (mr_strv_push(strv, text, n) < 0)
        return no_memory(err);
    if (row->type == MR_ROW_HOSTS)
        return mr_host_split(strv->items[strv->count - 1], 0, host, &port, err);
    return 0;
}

static int set_list(
    const struct mr_row *row, struct mr_strv *slot, const char *text, struct mr_err *err)
{
    struct mr_strv strv = {0};

    for (const char *s = text; *s;) {
        s += strspn(s, " ");
        size_t n = strcspn(s, ","), item = n;
        while (item > 0 && s[item - 1] == ' ')
            item--;
        int rc = push_item(row, &strv, s, item, err);
        if (rc < 0) {
            mr_strv_clear(&strv);
            return rc;
        }
        s += n + (s[n] == ',');
    }
    mr_strv_clear(slot);
    *slot = strv;
    return 0;
}

static const char *expected(const struct mr_row *row)
{
    switch (row->type) {
    case MR_ROW_INT:
    case MR_ROW_LONG:
        return "a whole number";
    case MR_ROW_SIZE:
        return "a number of bytes, or a string such as \"64MiB\"";
    case MR_ROW_BOOL:
        return "true or false";
    case MR_ROW_MS:
    case MR_ROW_LONG_MS:
        return "a duration such as \"30s\"";
    case MR_ROW_SECONDS:
        return "a duration of whole seconds such as \"30s\"";
    case MR_ROW_FACTOR:
        return "a number such as 1.5";
    case MR_ROW_RATE:
        return "dollars per million tokens as a string such as \"2.50\"";
    case MR_ROW_STRV:
    case MR_ROW_HOSTS:
        return "a list of strings such as [\"a\", \"b\"]";
    default:
        return "a string";
    }
}

static int not_expected(const struct mr_row *row, struct mr_err *err)
{
    if (row->type == MR_ROW_ENUM)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "must be one of %s", row->choices);
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "must be %s", expected(row));
}

static int set_number(const struct mr_row *row, void *slot, const char *text, struct mr_err *err)
{
    int64_t v;

    if (mr_row_number(row, text, &v) < 0)
        return not_expected(row, err);
    if ((row->min || row->max) && (v < row->min || v > row->max)) {
        char min[MR_ROW_NUMBER_LEN], max[MR_ROW_NUMBER_LEN];
        mr_row_format(row, row->min, min);
        mr_row_format(row, row->max, max);
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "must be between %s and %s", min, max);
    }
    if (row->type == MR_ROW_BOOL)
        *(bool *)slot = v;
    else if (mr_row_is_wide(row))
        *(int64_t *)slot = v;
    else
        *(int *)slot = (int)v;
    return 0;
}

int mr_row_set(
    const struct mr_row *row, void *base, const char *text, const char *dir, struct mr_err *err)
{
    if (mr_row_is_string(row))
        return set_string(row, mr_row_at(row, base), text, dir, err);
    if (mr_row_is_list(row))
        return set_list(row, mr_row_at(row, base), text, err);
    return set_number(row, mr_row_at(row, base), text, err);
}

static int read_list(const struct mr_row *row, struct mr_strv *slot,
    const config_setting_t *setting, struct mr_err *err)
{
    struct mr_strv strv = {0};
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < (unsigned)config_setting_length(setting); i++) {
        const char *item = config_setting_get_string_elem(setting, (int)i);
        rc = item ? push_item(row, &strv, item, strlen(item), err) : not_expected(row, err);
    }
    if (rc == 0 && strv.count == 0 && row->type == MR_ROW_HOSTS)
        rc = fail(err, "must name at least one host");
    if (rc < 0) {
        mr_strv_clear(&strv);
        return rc;
    }
    mr_strv_clear(slot);
    *slot = strv;
    return 0;
}

/* The types a setting may have for a row; what then counts is its text. */
static bool type_fits(const struct mr_row *row, int type)
{
    bool number = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;

    switch (row->type) {
    case MR_ROW_INT:
    case MR_ROW_LONG:
        return number;
    case MR_ROW_FACTOR:
        return number || type == CONFIG_TYPE_FLOAT;
    case MR_ROW_SIZE:
    case MR_ROW_RATE:
        return number || type == CONFIG_TYPE_STRING;
    case MR_ROW_BOOL:
        return type == CONFIG_TYPE_BOOL;
    default:
        return type == CONFIG_TYPE_STRING;
    }
}

static int read_value(const struct mr_row *row, void *base, const config_setting_t *setting,
    const char *dir, struct mr_err *err)
{
    int type = config_setting_type(setting);
    char number[MR_ROW_NUMBER_LEN];

    if (mr_row_is_list(row) && (type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST))
        return read_list(row, mr_row_at(row, base), setting, err);
    if (!type_fits(row, type))
        return not_expected(row, err);
    switch (type) {
    case CONFIG_TYPE_STRING:
        return mr_row_set(row, base, config_setting_get_string(setting), dir, err);
    case CONFIG_TYPE_BOOL:
        return mr_row_set(row, base, config_setting_get_bool(setting) ? "true" : "false", dir, err);
    case CONFIG_TYPE_FLOAT:
        snprintf(number, sizeof(number), "%.6g", config_setting_get_float(setting));
        return mr_row_set(row, base, number, dir, err);
    default:
        snprintf(number, sizeof(number), "%lld", config_setting_get_int64(setting));
        return mr_row_set(row, base, number, dir, err);
    }
}

int mr_row_read(const struct mr_row *row, void *base, const config_setting_t *setting,
    const struct mr_config_source *source, struct mr_err *err)
{
    int rc = read_value(row, base, setting, source->dir, err);
    if (rc == 0)
        return 0;
    mr_err_prefix(err, rc, "%s.%s", row->section, row->key);
    return mr_config_locate(source, setting, err, rc);
}
