/* What is done with rows that are set, and with whole sets of rows. */
#include "common/config_row.h"
#include "common/config_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void clear(const struct mr_row *row, void *base)
{
    if (mr_row_is_string(row)) {
        char **slot = mr_row_at(row, base);
        free(*slot);
        *slot = NULL;
    } else if (mr_row_is_list(row)) {
        mr_strv_clear(mr_row_at(row, base));
    }
}

static int64_t stored(const struct mr_row *row, const void *base)
{
    const void *slot = mr_row_at_const(row, base);

    if (row->type == MR_ROW_BOOL)
        return *(const bool *)slot;
    if (mr_row_is_wide(row))
        return *(const int64_t *)slot;
    return *(const int *)slot;
}

static bool strv_equal(const struct mr_strv *a, const struct mr_strv *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

bool mr_row_equal(const struct mr_row *row, const void *a, const void *b)
{
    if (mr_row_is_list(row))
        return strv_equal(mr_row_at_const(row, a), mr_row_at_const(row, b));
    if (!mr_row_is_string(row))
        return stored(row, a) == stored(row, b);
    const char *s = *(char *const *)mr_row_at_const(row, a),
               *t = *(char *const *)mr_row_at_const(row, b);
    return s && t ? strcmp(s, t) == 0 : s == t;
}

static int copy_list(struct mr_strv *to, const struct mr_strv *from)
{
    struct mr_strv copy = {0};
    for (size_t i = 0; i < from->count; i++)
        if (mr_strv_push(&copy, from->items[i], strlen(from->items[i])) < 0) {
            mr_strv_clear(&copy);
            return -ENOMEM;
        }
    mr_strv_clear(to);
    *to = copy;
    return 0;
}

int mr_row_copy(const struct mr_row *row, void *to, const void *from)
{
    void *slot = mr_row_at(row, to);
    const void *value = mr_row_at_const(row, from);

    if (mr_row_is_list(row))
        return copy_list(slot, value);
    if (mr_row_is_string(row)) {
        const char *text = *(char *const *)value;
        char *copy = text ? strdup(text) : NULL;
        if (text && !copy)
            return -ENOMEM;
        free(*(char **)slot);
        *(char **)slot = copy;
    } else if (row->type == MR_ROW_BOOL) {
        *(bool *)slot = *(const bool *)value;
    } else if (mr_row_is_wide(row)) {
        *(int64_t *)slot = *(const int64_t *)value;
    } else {
        *(int *)slot = *(const int *)value;
    }
    return 0;
}

bool mr_row_is_set(const struct mr_row *row, const void *base)
{
    if (mr_row_is_string(row))
        return *(char *const *)mr_row_at_const(row, base);
    return row->type != MR_ROW_OTHER;
}

static void print_list(const struct mr_strv *strv, FILE *out)
{
    putc('[', out);
    for (size_t i = 0; i < strv->count; i++) {
        if (i > 0)
            fputs(", ", out);
        mr_config_quote(strv->items[i], out);
    }
    putc(']', out);
}

void mr_row_print(const struct mr_row *row, const void *base, FILE *out)
{
    char number[MR_ROW_NUMBER_LEN];

    fprintf(out, "%s = ", row->key);
    if (mr_row_is_string(row)) {
        mr_config_quote(*(char *const *)mr_row_at_const(row, base), out);
    } else if (mr_row_is_list(row)) {
        print_list(mr_row_at_const(row, base), out);
    } else {
        mr_row_format(row, stored(row, base), number);
        bool bare = row->type == MR_ROW_INT || row->type == MR_ROW_LONG ||
                    row->type == MR_ROW_BOOL || row->type == MR_ROW_FACTOR;
        fprintf(out, bare ? "%s" : "\"%s\"", number);
        if (row->type == MR_ROW_LONG && stored(row, base) > INT32_MAX)
            putc('L', out);
    }
    putc(';', out);
}

const struct mr_row *mr_rows_find(struct mr_rows rows, const char *section, const char *key)
{
    for (size_t i = 0; i < rows.count; i++)
        if (strcmp(rows.items[i].section, section) == 0 && strcmp(rows.items[i].key, key) == 0)
            return &rows.items[i];
    return NULL;
}

int mr_rows_default(struct mr_rows rows, void *base, struct mr_err *err)
{
    for (size_t i = 0; i < rows.count; i++) {
        const struct mr_row *row = &rows.items[i];
        if (!row->def)
            continue;
        int rc = mr_row_set(row, base, row->def, NULL, err);
        if (rc < 0)
            return mr_err_prefix(err, rc, "default of %s.%s", row->section, row->key);
    }
    return 0;
}

void mr_rows_clear(struct mr_rows rows, void *base)
{
    for (size_t i = 0; i < rows.count; i++)
        clear(&rows.items[i], base);
}

int mr_rows_unknown(struct mr_rows rows, const char *section, const config_setting_t *setting,
    const struct mr_config_source *source, struct mr_err *err)
{
    struct mr_nearest nearest = {.word = config_setting_name(setting)};
    char hint[MR_NEAREST_LEN];

    for (size_t i = 0; i < rows.count; i++)
        if (strcmp(rows.items[i].section, section) == 0)
            mr_nearest_offer(&nearest, rows.items[i].key);
    return mr_config_fail(source, setting, err, -EINVAL, "unknown key '%s' in %s%s", nearest.word,
        section, mr_nearest_hint(&nearest, hint));
}

int mr_rows_read_some(struct mr_rows rows, void *base, const config_setting_t *group,
    const struct mr_config_source *source, struct mr_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < rows.count && rc == 0; i++) {
        const config_setting_t *setting = config_setting_get_member(group, rows.items[i].key);
        if (setting && rows.items[i].type != MR_ROW_OTHER)
            rc = mr_row_read(&rows.items[i], base, setting, source, err);
    }
    return rc;
}

int mr_rows_required(struct mr_rows rows, const char *section, const config_setting_t *group,
    const struct mr_config_source *source, struct mr_err *err)
{
    for (size_t i = 0; i < rows.count; i++) {
        const struct mr_row *row = &rows.items[i];
        if (row->required && !config_setting_get_member(group, row->key))
            return mr_config_fail(
                source, group, err, -EINVAL, "%s: '%s' is missing", section, row->key);
    }
    return 0;
}

int mr_rows_read(struct mr_rows rows, const char *section, void *base,
    const config_setting_t *group, const struct mr_config_source *source, struct mr_err *err)
{
    for (unsigned i = 0; i < (unsigned)config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, i);
        const struct mr_row *row = mr_rows_find(rows, section, config_setting_name(setting));
        if (!row)
            return mr_rows_unknown(rows, section, setting, source, err);
        if (row->type == MR_ROW_OTHER)
            continue;
        int rc = mr_row_read(row, base, setting, source, err);
        if (rc < 0)
            return rc;
    }
    return mr_rows_required(rows, section, group, source, err);
}
