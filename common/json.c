#include "common/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Length of the valid character at p (n > 0 bytes follow), or 0. */
static size_t utf8_char(const unsigned char *p, size_t n)
{
    unsigned c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xc2)
        return 0;
    size_t len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (c > 0xf4 || n < len)
        return 0;
    /* The second byte's range rules out overlong forms, surrogates and code points over 10FFFF. */
    unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

size_t mr_utf8_prefix(const char *bytes, size_t n, size_t max)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t end = n < max ? n : max, i = 0;
    while (i < end) {
        uint64_t eight;
        if (end - i >= sizeof(eight)) {
            memcpy(&eight, p + i, sizeof(eight));
            if (!(eight & 0x8080808080808080u)) {
                i += sizeof(eight);
                continue;
            }
        }
        size_t len = utf8_char(p + i, end - i);
        if (len == 0)
            break;
        i += len;
    }
    return i;
}

size_t mr_utf8_prefix_chars(const char *bytes, size_t n, size_t max_chars)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t i = 0;
    for (size_t chars = 0; i < n && chars < max_chars; chars++) {
        size_t len = utf8_char(p + i, n - i);
        if (len == 0)
            break;
        i += len;
    }
    return i;
}

int mr_utf8_valid(const char *bytes, size_t n)
{
    return mr_utf8_prefix(bytes, n, n) == n;
}

void mr_utf8_copy(char *to, size_t size, const char *from)
{
    size_t n = from ? mr_utf8_prefix(from, strlen(from), size - 1) : 0;
    if (n > 0)
        memcpy(to, from, n);
    to[n] = '\0';
}

/* The position behind the string whose opening quote stands before p; end when it is not closed. */
static const char *skip_string(const char *p, const char *end)
{
    for (const char *start = p; p < end; p++) {
        p = memchr(p, '"', (size_t)(end - p));
        if (!p)
            return end;
        const char *slash = p;
        while (slash > start && slash[-1] == '\\')
            slash--;
        if ((p - slash) % 2 == 0)
            return p + 1;
    }
    return end;
}

/* Brackets are counted before anything is built, so that depth costs neither stack nor memory. */
static const char *first_too_deep(const char *bytes, size_t n, unsigned max_depth)
{
    const char *p = bytes, *end = bytes + n;
    unsigned depth = 0;
    while (p < end) {
        char c = *p++;
        if (c == '"')
            p = skip_string(p, end);
        else if ((c == '{' || c == '[') && ++depth > max_depth)
            return p - 1;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return NULL;
}

static int refuse_depth(const char *bytes, const char *at, unsigned max_depth, struct mr_err *err)
{
    size_t line = 1, column = 1;
    for (const char *p = bytes; p < at; p++) {
        line += *p == '\n';
        column = *p == '\n' ? 1 : column + 1;
    }
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
        "JSON nested deeper than %u levels at line %zu column %zu", max_depth, line, column);
}

int mr_json_parse(const char *bytes, size_t n, unsigned max_depth, json_t **ret, struct mr_err *err)
{
    size_t blank = 0;
    while (blank < n && memchr(" \t\r\n", bytes[blank], 4))
        blank++;
    if (blank == n)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "the JSON document is empty");
    const char *deep = first_too_deep(bytes, n, max_depth);
    if (deep)
        return refuse_depth(bytes, deep, max_depth, err);
    json_error_t why;
    json_t *value = json_loadb(bytes, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    if (!value && json_error_code(&why) == json_error_null_character)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "not valid JSON: the character \\u0000 is not allowed, at line %d column %d", why.line,
            why.column);
    if (!value) {
        /* What jansson quotes behind "near" may be document text, which no message may hold. */
        const char *near = strstr(why.text, " near ");
        int len = near ? (int)(near - why.text) : (int)strlen(why.text);
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "not valid JSON: %.*s at line %d column %d", len, why.text, why.line, why.column);
    }
    *ret = value;
    return 0;
}

struct dump {
    struct mr_buf *buf;
    int r;
};

static int dump_to_buf(const char *bytes, size_t n, void *ctx)
{
    struct dump *dump = ctx;
    dump->r = mr_buf_put(dump->buf, bytes, n);
    return dump->r;
}

int mr_json_dump(const json_t *value, struct mr_buf *buf)
{
    struct dump dump = {.buf = buf, .r = -ENOMEM};
    size_t start = buf->len;
    if (json_dump_callback(value, dump_to_buf, &dump, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return 0;
    buf->len = start;
    if (buf->data)
        buf->data[start] = '\0';
    return dump.r < 0 ? dump.r : -ENOMEM;
}

static int put_escaped(struct mr_buf *buf, unsigned char c)
{
    if (c == '"' || c == '\\')
        return mr_buf_put(buf, (char[]){'\\', (char)c}, 2);
    if (c == '\n')
        return mr_buf_put(buf, "\\n", 2);
    return mr_buf_printf(buf, "\\u%04x", (unsigned)c);
}

int mr_json_put_string(struct mr_buf *buf, const char *bytes, size_t n)
{
    size_t start = buf->len, plain = 0;
    int r = mr_buf_putc(buf, '"');
    for (size_t i = 0; i < n && r == 0; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        r = mr_buf_put(buf, bytes + plain, i - plain);
        if (r == 0)
            r = put_escaped(buf, c);
        plain = i + 1;
    }
    if (r == 0)
        r = mr_buf_put(buf, bytes + plain, n - plain);
    if (r == 0)
        r = mr_buf_putc(buf, '"');
    if (r < 0 && buf->data) {
        buf->len = start;
        buf->data[start] = '\0';
    }
    return r;
}

void mr_json_decrefp(json_t **value)
{
    json_decref(*value);
    *value = NULL;
}
