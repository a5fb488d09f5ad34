/* A provider's usage export: CSV with a heading, or a JSON object a line, its columns found by
 * their names. */
#pragma once

#include "common/err.h"
#include "common/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_export_column {
    MR_EXPORT_CALL,    /* our id, which went along as X-Client-Request-Id */
    MR_EXPORT_REQUEST, /* theirs */
    MR_EXPORT_MODEL,
    MR_EXPORT_TIME,
    MR_EXPORT_INPUT,
    MR_EXPORT_CACHED,
    MR_EXPORT_OUTPUT,
    MR_EXPORT_COST,
    MR_EXPORT_COUNT, /* of requests, in an export of sums */
    MR_EXPORT_COLUMNS
};

/* Names that a column may have, as the manual lists them: "request_id, x_request_id, id". */
const char *mr_export_names(enum mr_export_column column);

/* One row. What it does not say is NULL, or -1. */
struct mr_export_row {
    int64_t line;
    const char *call, *request, *model; /* valid during the callback */
    int64_t at_ms;
    int64_t input, cached, output, cost_pico, count;
};

/* Returning negative ends the reading. */
typedef int mr_export_cb(void *ctx, const struct mr_export_row *row);

/* Reads n bytes; errors name `file` and the line. *ret_seen tells which columns there were. 0,
 * negative with err, or what cb said. */
int mr_export_read(const char *file, const char *text, size_t n, mr_export_cb *cb, void *ctx,
    bool ret_seen[static MR_EXPORT_COLUMNS], struct mr_err *err) MR_CHECK;
