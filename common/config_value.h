/* Numbers and choices of rows. Internal to config_*.c. */
#pragma once

#include "common/config_row.h"

#include <assert.h>

/* Where a row's value is; what kind it has. */
static inline void *mr_row_at(const struct mr_row *row, void *base)
{
    return (char *)base + row->offset;
}

static inline const void *mr_row_at_const(const struct mr_row *row, const void *base)
{
    return (const char *)base + row->offset;
}

static inline bool mr_row_is_string(const struct mr_row *row)
{
    return row->type <= MR_ROW_URL;
}

static inline bool mr_row_is_list(const struct mr_row *row)
{
    return row->type == MR_ROW_STRV || row->type == MR_ROW_HOSTS;
}

/* Stored as int64_t; the other numbers are int-sized, or bool. */
static inline bool mr_row_is_wide(const struct mr_row *row)
{
    return row->type == MR_ROW_LONG || row->type == MR_ROW_SIZE || row->type == MR_ROW_LONG_MS ||
           row->type == MR_ROW_RATE;
}

/* Index of text in "a|b|c", or -1. */
int mr_choice_index(const char *choices, const char *text);

/* Parses the text of a row that is a number, a truth or a choice into what is stored. The range is
 * not checked. 0 or -EINVAL. */
int mr_row_number(const struct mr_row *row, const char *text, int64_t *ret) MR_CHECK;
