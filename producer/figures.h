/* How numbers are written for people: thousands set apart, as many decimals as a column needs. */
#pragma once

#include "common/buf.h"
#include "producer/output.h"

/* The decimals that the number needs: those that are not trailing zeros, of dollars six at least.
 */
size_t mr_figure_places(enum mr_cell type, const char *number);

/* Writes it with so many decimals: "$1,234.500000", "1,234". Milliseconds become seconds with two.
 * What is no number is written as it is. 0 or -ENOMEM. */
int mr_figure_put(
    struct mr_buf *buf, enum mr_cell type, const char *number, size_t places) MR_CHECK;
