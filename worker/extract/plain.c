#include "worker/extract/plain.h"
#include "common/json.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *ext, *type;
} extensions[] = {
    {"txt", "text/plain"},
    {"text", "text/plain"},
    {"log", "text/plain"},
    {"csv", "text/plain"},
    {"tsv", "text/plain"},
    {"md", "text/markdown"},
    {"markdown", "text/markdown"},
    {"html", "text/html"},
    {"htm", "text/html"},
    {"xhtml", "text/html"},
};

static const struct {
    const char *declared, *type;
} declarations[] = {
    {"text/plain", "text/plain"},
    {"text/csv", "text/plain"},
    {"text/tab-separated-values", "text/plain"},
    {"text/markdown", "text/markdown"},
    {"text/x-markdown", "text/markdown"},
    {"text/html", "text/html"},
    {"application/xhtml+xml", "text/html"},
};

const char *mr_plain_type(const char *declared, const char *ext)
{
    const char *by_name = NULL, *by_word = NULL;
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
        if (strcmp(extensions[i].ext, ext) == 0)
            by_name = extensions[i].type;
    for (size_t i = 0; i < sizeof(declarations) / sizeof(declarations[0]); i++)
        if (strcasecmp(declarations[i].declared, declared) == 0)
            by_word = declarations[i].type;
    if (by_word && strcmp(by_word, "text/plain") != 0)
        return by_word;
    if (by_name)
        return by_name;
    return by_word && !ext[0] ? by_word : NULL;
}

bool mr_plain_looks_html(const char *bytes, size_t n)
{
    static const char *const starts[] = {"<!doctype html", "<html", "<head", "<body"};
    const char *p = bytes, *end = bytes + n;
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3;
    for (;;) {
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
            p++;
        const char *close = NULL;
        if (end - p > 4 && memcmp(p, "<!--", 4) == 0)
            close = memmem(p + 4, (size_t)(end - p - 4), "-->", 3);
        else if (end - p > 5 && strncasecmp(p, "<?xml", 5) == 0)
            close = memmem(p, (size_t)(end - p), "?>", 2);
        if (!close)
            break;
        p = close + (*close == '-' ? 3 : 2);
    }
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        size_t len = strlen(starts[i]);
        if ((size_t)(end - p) > len && strncasecmp(p, starts[i], len) == 0)
            return true;
    }
    return false;
}

bool mr_plain_is_utf8(const char *bytes, size_t n)
{
    return memchr(bytes, '\0', n) == NULL && mr_utf8_valid(bytes, n);
}

bool mr_plain_heading(const char *utf8, size_t n, const char **ret, size_t *ret_n)
{
    const char *p = utf8, *end = utf8 + n;
    for (int line = 0; line < 40 && p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop)
            stop = end;
        if (stop - p > 2 && p[0] == '#' && p[1] == ' ') {
            *ret = p + 2;
            *ret_n = (size_t)(stop - p - 2);
            return true;
        }
        p = stop + 1;
    }
    return false;
}
