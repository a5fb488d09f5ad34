/* What commands print: aligned tables for people, one JSON document for programs.
 *
 * With -o json every command prints exactly one document. A list is an array with one element a
 * line, written as the rows come, so that a long one needs no memory; a single thing is an object.
 * Money is a decimal string in dollars, times are RFC 3339 in UTC. */
#pragma once

#include "producer/command.h"

#include <jansson.h>

enum mr_cell {
    MR_CELL_TEXT,
    MR_CELL_INT,
    MR_CELL_MS, /* an int; people read seconds */
    MR_CELL_USD,
    MR_CELL_DECIMAL, /* a number that is no int: a rate, a share; a string in JSON */
    MR_CELL_TIME,
    MR_CELL_BOOL,
    MR_CELL_JSON
};

/* One column: its JSON name, its heading (NULL: not in tables) and what it holds. */
struct mr_column {
    const char *name, *title;
    enum mr_cell type;
};

/* Rows of text cells, row by row; NULL = null. All borrowed. */
struct mr_rows {
    const struct mr_column *columns;
    size_t ncolumns, nrows;
    const char *(*cell)(const void *source, size_t row, size_t column);
    const void *source;
};

/* Prints a table that fits the terminal (the widest text column is cut), or a JSON array. `none`
 * is what people read instead of an empty table. */
void mr_output_rows(struct mr_cli *cli, const struct mr_rows *rows, const char *none);
/* The row as "Title: value" lines (nulls left out). */
void mr_output_record(struct mr_cli *cli, const struct mr_rows *rows, size_t row);
/* The row as a JSON object; NULL without memory. */
json_t *mr_output_object(const struct mr_rows *rows, size_t row);

/* A JSON array written element by element. */
struct mr_list {
    struct mr_cli *cli;
    size_t count;
};
void mr_list_begin(struct mr_list *list, struct mr_cli *cli);
void mr_list_add(struct mr_list *list, json_t *element); /* takes the reference */
void mr_list_end(struct mr_list *list);

/* One JSON document on a line of its own. Takes the reference. */
void mr_output_json(struct mr_cli *cli, json_t *value);

/* Prints text made safe for terminals; LINE adds no newline. */
void mr_output_safe(FILE *out, const char *text, bool keep_lines);

/* "$0.000123" of a decimal such as 0.000123000000: as many decimals as it needs, six at least. NULL
 * gives "". */
#define MR_USD_LEN 64
void mr_usd_tidy(const char *decimal, char ret[static MR_USD_LEN]);
