#include "producer/export.h"
#include "common/clock.h"
#include "common/json.h"
#include "producer/decimal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 256
#define DEPTH_MAX 8
#define LINE_MAX_BYTES (1u << 20)

/* Compared in lower case, with '_' for whatever else is no letter and no digit. */
static const char *const names[MR_EXPORT_COLUMNS] = {
    [MR_EXPORT_CALL] = "client_request_id, x_client_request_id, call_id, custom_id",
    [MR_EXPORT_REQUEST] = "request_id, x_request_id, generation_id, id",
    [MR_EXPORT_MODEL] = "model, model_id, model_name, snapshot_id",
    [MR_EXPORT_TIME] = "time, timestamp, created_at, created, started_at, start_time, date, day",
    [MR_EXPORT_INPUT] = "input_tokens, prompt_tokens, tokens_prompt, uncached_input_tokens, "
                        "n_context_tokens_total",
    [MR_EXPORT_CACHED] = "cached_tokens, input_cached_tokens, cached_input_tokens, "
                         "cache_read_input_tokens",
    [MR_EXPORT_OUTPUT] = "output_tokens, completion_tokens, tokens_completion, "
                         "n_generated_tokens_total",
    [MR_EXPORT_COST] = "cost, cost_usd, total_cost, amount, amount_usd, amount_value, usage_usd",
    [MR_EXPORT_COUNT] = "requests, num_requests, num_model_requests, n_requests, calls",
};

struct reading {
    const char *file;
    mr_export_cb *cb;
    void *ctx;
    bool *seen;
    struct mr_err *err;
    int64_t line;        /* where the row begins */
    int map[FIELDS_MAX]; /* CSV: the column a field is, or -1 */
    size_t nfields, rows;
};

const char *mr_export_names(enum mr_export_column column)
{
    return names[column];
}

static bool same_name(const char *listed, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        int c = isalnum((unsigned char)name[i]) ? tolower((unsigned char)name[i]) : '_';
        if (!name[i] || c != listed[i])
            return false;
    }
    return name[n] == '\0';
}

/* The column of this name, or -1. */
static int column_of(const char *name)
{
    for (int i = 0; i < MR_EXPORT_COLUMNS; i++)
        for (const char *p = names[i]; *p; p += strspn(p, ", ")) {
            size_t n = strcspn(p, ",");
            if (same_name(p, n, name))
                return i;
            p += n;
        }
    return -1;
}

/* ---- values ---- */

static int fail(
    const struct reading *reading, const char *column, const char *text, const char *what)
{
    return mr_err_set(reading->err, -EINVAL, MR_CLASS_INVALID, "%s:%" PRId64 ": %s %s: must be %s",
        reading->file, reading->line, column, text, what);
}

/* Whole numbers, also written "12.0". */
static int read_count(const char *text, int64_t *ret)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end == '.')
        end += 1 + strspn(end + 1, "0");
    if (errno || *end)
        return -EINVAL;
    *ret = value;
    return 0;
}

/* RFC 3339, a date, a time without a zone (UTC), or seconds since 1970. */
static int read_time(const char *text, int64_t *ret)
{
    char zoned[64];
    int64_t seconds;
    if (mr_date_parse(text, ret) == 0)
        return 0;
    if (strspn(text, "0123456789") == strlen(text) && read_count(text, &seconds) == 0 &&
        seconds < 100000000000) {
        *ret = seconds * 1000;
        return 0;
    }
    snprintf(zoned, sizeof(zoned), "%.40sZ", text);
    return mr_time_parse(zoned, ret);
}

static int set_value(
    struct reading *reading, struct mr_export_row *row, int column, const char *text)
{
    int64_t *const numbers[MR_EXPORT_COLUMNS] = {[MR_EXPORT_INPUT] = &row->input,
        [MR_EXPORT_CACHED] = &row->cached,
        [MR_EXPORT_OUTPUT] = &row->output,
        [MR_EXPORT_COUNT] = &row->count};
    text += strspn(text, " ");
    if (!*text || strcmp(text, "null") == 0)
        return 0;
    reading->seen[column] = true;
    switch (column) {
    case MR_EXPORT_CALL:
        row->call = text;
        return 0;
    case MR_EXPORT_REQUEST:
        row->request = text;
        return 0;
    case MR_EXPORT_MODEL:
        row->model = text;
        return 0;
    case MR_EXPORT_TIME:
        return read_time(text, &row->at_ms) < 0
                   ? fail(reading, "time", text, "RFC 3339, a date, or seconds since 1970")
                   : 0;
    case MR_EXPORT_COST:
        return mr_decimal_round(text + (*text == '$'), &row->cost_pico) < 0
                   ? fail(reading, "cost", text, "dollars")
                   : 0;
    default:
        return read_count(text, numbers[column]) < 0
                   ? fail(reading, "tokens", text, "a whole number")
                   : 0;
    }
}

static struct mr_export_row empty_row(const struct reading *reading)
{
    return (struct mr_export_row){.line = reading->line,
        .at_ms = -1,
        .input = -1,
        .cached = -1,
        .output = -1,
        .cost_pico = -1,
        .count = -1};
}

/* ---- CSV ---- */

#define OPEN_QUOTE '"' /* what ends a field whose quotes never close */

/* Takes one field off *at, in place and NUL-terminated in *ret. Returns what ended it: ',', '\n', 0
 * at the end, or OPEN_QUOTE. Counts line breaks inside quotes. */
static char take_field(char **at, char *end, char **ret, int64_t *lines)
{
    char *from = *at, *to = *at;
    bool quoted = from < end && *from == '"';
    *ret = to;
    from += quoted;
    while (from < end) {
        if (quoted && *from == '"') {
            if (from + 1 == end || from[1] != '"') {
                quoted = false;
                from++;
                continue;
            }
            from++;
        } else if (!quoted && (*from == ',' || *from == '\n')) {
            break;
        }
        *lines += *from == '\n';
        *to++ = *from++;
    }
    char ended = from < end ? *from : quoted ? OPEN_QUOTE : '\0';
    if (ended != ',' && to > *ret && to[-1] == '\r')
        to--;
    *at = from + (from < end);
    *to = '\0';
    return ended;
}

static int refuse(const struct reading *reading, const char *what)
{
    return mr_err_set(reading->err, -EINVAL, MR_CLASS_INVALID, "%s:%" PRId64 ": %s", reading->file,
        reading->line, what);
}

/* Whether the row that was read has its fields. */
static int check_fields(const struct reading *reading, size_t fields, bool blank)
{
    if (fields >= reading->nfields || (blank && fields == 1))
        return 0;
    return mr_err_set(reading->err, -EINVAL, MR_CLASS_INVALID,
        "%s:%" PRId64 ": has %zu field%s, but the heading has %zu", reading->file, reading->line,
        fields, fields == 1 ? "" : "s", reading->nfields);
}

static int csv_row(struct reading *reading, char **at, char *end, bool heading)
{
    struct mr_export_row row = empty_row(reading);
    int64_t lines = 1;
    size_t field = 0;
    int r = 0;
    bool blank = true, semicolons = false;
    for (char ended = ','; ended == ',' && r == 0; field++) {
        char *text;
        ended = take_field(at, end, &text, &lines);
        blank &= *text == '\0';
        semicolons |= strchr(text, ';') != NULL;
        if (ended == OPEN_QUOTE)
            return refuse(reading, "a quote is opened here and never closed");
        if (field >= FIELDS_MAX)
            return mr_err_set(reading->err, -E2BIG, MR_CLASS_INVALID,
                "%s:%" PRId64 ": more than %d columns", reading->file, reading->line, FIELDS_MAX);
        if (heading)
            reading->map[field] = column_of(text + (strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0));
        else if (field < reading->nfields && reading->map[field] >= 0)
            r = set_value(reading, &row, reading->map[field], text);
    }
    if (heading && field == 1 && semicolons)
        return refuse(reading, "fields must be separated by commas, not by semicolons");
    if (heading)
        reading->nfields = field;
    else if (r == 0)
        r = check_fields(reading, field, blank);
    if (!heading && r == 0 && !blank) {
        reading->rows++;
        r = reading->cb(reading->ctx, &row);
    }
    reading->line += lines;
    return r;
}

static int read_csv(struct reading *reading, char *text, size_t n)
{
    char *at = text, *end = text + n;
    int r = csv_row(reading, &at, end, true);
    while (r == 0 && at < end)
        r = csv_row(reading, &at, end, false);
    if (r == 0 && reading->rows == 0)
        r = mr_err_set(reading->err, -ENODATA, MR_CLASS_INVALID, "%s: has no rows, only a heading",
            reading->file);
    return r;
}

/* ---- JSON lines ---- */

/* {"usage":{"input_tokens":5}} has the column input_tokens, and {"amount":{"value":1}} the column
 * amount_value. */
static int json_values(
    struct reading *reading, const json_t *object, const char *parent, struct mr_export_row *row)
{
    const char *key;
    json_t *value;
    int r = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        char full[128];
        snprintf(full, sizeof(full), "%s%s%s", parent, *parent ? "_" : "", key);
        int column = column_of(full);
        column = column < 0 ? column_of(key) : column;
        if (json_is_object(value) && !*parent)
            r = json_values(reading, value, key, row);
        else if (json_is_string(value) && column >= 0)
            r = set_value(reading, row, column, json_string_value(value));
        if (r < 0)
            return r;
    }
    return 0;
}

static int json_line(struct reading *reading, const char *line, size_t n)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf quoted = MR_BUF_INIT(2 * LINE_MAX_BYTES);
    MR_CLEANUP(mr_json_decrefp) json_t *object = NULL;
    struct mr_export_row row = empty_row(reading);
    struct mr_err err;
    int r = n > LINE_MAX_BYTES ? -EMSGSIZE : mr_decimal_quote(line, n, &quoted);
    if (r == 0)
        r = mr_json_parse(quoted.data ? quoted.data : "", quoted.len, DEPTH_MAX, &object, &err);
    if (r < 0 || !json_is_object(object))
        return mr_err_set(reading->err, -EINVAL, MR_CLASS_INVALID,
            "%s:%" PRId64 ": must be a JSON object", reading->file, reading->line);
    r = json_values(reading, object, "", &row);
    return r < 0 ? r : reading->cb(reading->ctx, &row);
}

static int read_lines(struct reading *reading, const char *text, size_t n)
{
    int r = 0;
    for (const char *end = text + n; text < end && r == 0; reading->line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((stop ? stop : end) - text);
        if (strspn(text, " \t\r") < len)
            r = json_line(reading, text, len);
        text += len + 1;
    }
    return r;
}

int mr_export_read(const char *file, const char *text, size_t n, mr_export_cb *cb, void *ctx,
    bool ret_seen[static MR_EXPORT_COLUMNS], struct mr_err *err)
{
    struct reading reading = {
        .file = file, .cb = cb, .ctx = ctx, .seen = ret_seen, .err = err, .line = 1};
    memset(ret_seen, 0, MR_EXPORT_COLUMNS * sizeof(*ret_seen));
    char *copy = n > 0 ? malloc(n + 1) : NULL;
    if (!copy)
        return mr_err_set(err, n > 0 ? -ENOMEM : -ENODATA, MR_CLASS_INVALID, "%s: %s", file,
            n > 0 ? "out of memory" : "is empty");
    memcpy(copy, text, n);
    copy[n] = '\0';
    size_t start = strspn(copy, " \t\r\n\xef\xbb\xbf");
    int r = copy[start] == '{' ? read_lines(&reading, copy, n) : read_csv(&reading, copy, n);
    free(copy);
    return r;
}
