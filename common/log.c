#include "common/log.h"

#include "common/clock.h"
#include "common/json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
#define FIELDS_MAX 32

static const char *const level_names[] = {
    [MR_DEBUG] = "debug", [MR_INFO] = "info", [MR_WARN] = "warn", [MR_ERROR] = "error"};

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t len;
};

int mr_level_parse(const char *name)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (strcmp(level_names[i], name) == 0)
            return (int)i;
    return -1;
}

/* Writes one character of s (n bytes remain) as it stands in a JSON string; returns the bytes
 * taken. Control characters, C1 ones included, would let a value steer a terminal. */
static size_t escape_char(const char *s, size_t n, char out[static 8], size_t *ret_len)
{
    unsigned char c = (unsigned char)s[0];
    size_t taken = mr_utf8_prefix_chars(s, n, 1);
    unsigned code = c;
    if (taken == 0) {
        taken = 1;
        code = 0xfffd;
    } else if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        *ret_len = 2;
        return taken;
    } else if (c == 0xc2 && (unsigned char)s[1] < 0xa0) {
        code = (unsigned char)s[1];
    } else if (c >= 0x20 && c != 0x7f) {
        memcpy(out, s, taken);
        *ret_len = taken;
        return taken;
    }
    *ret_len = (size_t)snprintf(out, 8, "\\u%04x", code);
    return taken;
}

/* Bytes of s once escaped, counting no further than `limit`. */
static size_t escaped_len(const char *s, size_t limit)
{
    size_t n = strlen(s), total = 0, len;
    char out[8];
    for (size_t i = 0; i < n && total <= limit; total += len)
        i += escape_char(s + i, n - i, out, &len);
    return total;
}

static void put(struct line *line, const char *bytes, size_t n)
{
    assert(n <= sizeof(line->bytes) - line->len);
    memcpy(line->bytes + line->len, bytes, n);
    line->len += n;
}

static void put_s(struct line *line, const char *s)
{
    put(line, s, strlen(s));
}

/* Writes s escaped in at most `budget` bytes, whole characters only. */
static void put_escaped(struct line *line, const char *s, size_t budget)
{
    size_t n = strlen(s), len;
    char out[8];
    for (size_t i = 0; i < n; budget -= len) {
        i += escape_char(s + i, n - i, out, &len);
        if (len > budget)
            return;
        put(line, out, len);
    }
}

/* Shares the line among the strings: while it is too long, the longest string gives way. */
static void share(size_t *budgets, size_t count, size_t total, size_t limit)
{
    while (total > limit) {
        size_t longest = 0;
        for (size_t i = 1; i < count; i++)
            if (budgets[i] > budgets[longest])
                longest = i;
        size_t excess = total - limit;
        size_t cut = excess < budgets[longest] ? excess : budgets[longest];
        assert(cut > 0);
        budgets[longest] -= cut;
        total -= cut;
    }
}

static void put_field(struct line *line, const struct mr_field *field, size_t budget)
{
    put_s(line, ",\"");
    put_s(line, field->key);
    put_s(line, "\":");
    if (field->type == MR_FIELD_STR) {
        put_s(line, "\"");
        put_escaped(line, field->s, budget);
        put_s(line, "\"");
    } else if (field->type == MR_FIELD_INT) {
        char number[24];
        snprintf(number, sizeof(number), "%" PRId64, field->i);
        put_s(line, number);
    } else {
        put_s(line, field->i ? "true" : "false");
    }
}

static void write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return; /* there is nowhere left to report that the log is gone */
        bytes += done;
        n -= (size_t)done;
    }
}

void mr_log_fields(
    const struct mr_log *log, enum mr_level level, const char *event, const struct mr_field *fields)
{
    if (level < log->level)
        return;
    struct line line = {.len = 0};
    char ts[MR_TIME_LEN];
    struct mr_clock clock = mr_clock_system();
    mr_time_format(mr_wall_ms(&clock), ts);
    const char *head[] = {"{\"ts\":\"", ts, "\",\"level\":\"", level_names[level],
        "\",\"program\":\"", log->program, "\",\"event\":\"", event, "\""};
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
        put_s(&line, head[i]);

    size_t budgets[FIELDS_MAX] = {0}, count = 0, total = line.len + 2;
    for (; fields[count].key; count++) {
        const struct mr_field *field = &fields[count];
        assert(count < FIELDS_MAX);
        total += strlen(field->key) + 4;
        if (field->type != MR_FIELD_STR)
            total += 20;
        else if (field->s)
            total += 2 + (budgets[count] = escaped_len(field->s, LINE_MAX_BYTES));
    }
    share(budgets, count, total, LINE_MAX_BYTES);
    for (size_t i = 0; i < count; i++)
        if (fields[i].type != MR_FIELD_STR || fields[i].s)
            put_field(&line, &fields[i], budgets[i]);
    put_s(&line, "}\n");
    int saved = errno;
    write_all(log->fd, line.bytes, line.len);
    errno = saved;
}
