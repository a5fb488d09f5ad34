#include "worker/extract/text.h"
#include "common/json.h"

#include <errno.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define BOM "\xef\xbb\xbf"

void mr_text_init(struct mr_text *text, size_t max)
{
    *text = (struct mr_text){.out = MR_BUF_INIT(max)};
}

void mr_text_deinit(struct mr_text *text)
{
    mr_buf_deinit(&text->out);
}

/* Appends valid UTF-8, cut to what fits. */
static int append(struct mr_text *text, const char *bytes, size_t n)
{
    if (text->truncated)
        return MR_TEXT_FULL;
    size_t room = text->out.max - text->out.len;
    size_t fits = n <= room ? n : mr_utf8_prefix(bytes, n, room);
    if (fits > 0 && mr_buf_put(&text->out, bytes, fits) != 0)
        return -ENOMEM;
    if (fits == n)
        return 0;
    text->truncated = true;
    return MR_TEXT_FULL;
}

/* Writes the breaks that are due before a word. */
static int settle(struct mr_text *text)
{
    int rc = 0;
    if (text->newlines > 0) {
        for (unsigned i = 0; rc == 0 && text->out.len > 0 && i < text->newlines; i++)
            rc = append(text, "\n", 1);
    } else if (text->space && text->out.len > 0) {
        char last = text->out.data[text->out.len - 1];
        if (last != '\n' && last != '\t')
            rc = append(text, " ", 1);
    }
    text->newlines = 0;
    text->space = false;
    return rc;
}

enum kind { WORD, SPACE, DROP, NEWLINE, PAGE };

static enum kind kind_of_ascii(unsigned char c)
{
    switch (c) {
    case '\n':
    case '\r':
        return NEWLINE;
    case '\f':
    case '\v':
        return PAGE;
    case ' ':
    case '\t':
        return SPACE;
    default:
        return c < 0x20 || c == 0x7f ? DROP : WORD;
    }
}

/* What the valid character at p (of len bytes) is. */
static enum kind kind_of(const unsigned char *p, size_t len)
{
    if (len == 1)
        return kind_of_ascii(p[0]);
    if (len == 2 && p[0] == 0xc2) {
        if (p[1] == 0x85)
            return NEWLINE;
        if (p[1] < 0xa0 || p[1] == 0xad) /* C1 controls, soft hyphen */
            return DROP;
        return p[1] == 0xa0 ? SPACE : WORD;
    }
    if (len == 3) {
        unsigned code = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
        if (code == 0x2028 || code == 0x2029)
            return NEWLINE;
        if ((code >= 0x2000 && code <= 0x200a) || code == 0x202f || code == 0x205f ||
            code == 0x3000)
            return SPACE;
        if (code == 0xfeff || code >= 0xfffe) /* a stray BOM, no characters */
            return DROP;
    }
    return WORD;
}

static size_t char_len(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Calls put for each run of bytes that may stay as they are, and gap for each other character.
 * Invalid bytes reach put as U+FFFD. */
typedef int run_fn(struct mr_text *text, const char *bytes, size_t n);
typedef int gap_fn(struct mr_text *text, enum kind kind, const char *bytes, size_t n);

static int scan_valid(struct mr_text *text, const char *bytes, size_t n, run_fn *put, gap_fn *gap)
{
    size_t from = 0, at = 0;
    int rc = 0;
    while (at < n && rc == 0) {
        size_t len = char_len((unsigned char)bytes[at]);
        enum kind kind = kind_of((const unsigned char *)bytes + at, len);
        if (kind == WORD) {
            at += len;
            continue;
        }
        if (at > from)
            rc = put(text, bytes + from, at - from);
        if (rc == 0)
            rc = gap(text, kind, bytes + at, len);
        at += len;
        from = at;
    }
    return rc == 0 && at > from ? put(text, bytes + from, at - from) : rc;
}

static int scan(struct mr_text *text, const char *bytes, size_t n, run_fn *put, gap_fn *gap)
{
    int rc = 0;
    while (n > 0 && rc == 0) {
        size_t valid = mr_utf8_prefix(bytes, n, n);
        rc = scan_valid(text, bytes, valid, put, gap);
        bytes += valid;
        n -= valid;
        if (n > 0 && rc == 0) {
            rc = put(text, REPLACEMENT, strlen(REPLACEMENT));
            bytes++;
            n--;
        }
    }
    return rc;
}

static int put_word(struct mr_text *text, const char *bytes, size_t n)
{
    int rc = settle(text);
    return rc == 0 ? append(text, bytes, n) : rc;
}

static int skip_space(struct mr_text *text, enum kind kind, const char *bytes, size_t n)
{
    (void)bytes, (void)n;
    if (kind != DROP)
        text->space = true;
    return text->truncated ? MR_TEXT_FULL : 0;
}

int mr_text_words(struct mr_text *text, const char *bytes, size_t n)
{
    return scan(text, bytes, n, put_word, skip_space);
}

static int keep_space(struct mr_text *text, enum kind kind, const char *bytes, size_t n)
{
    if (kind == DROP)
        return 0;
    int rc = settle(text);
    if (rc != 0)
        return rc;
    switch (kind) {
    case NEWLINE:
        return append(text, "\n", 1);
    case PAGE:
        return append(text, "\n\n", 2);
    default:
        return append(text, bytes, n);
    }
}

/* Turns \r\n into \n on the way; the rest of the rules are the scanner's. */
int mr_text_plain(struct mr_text *text, const char *bytes, size_t n)
{
    if (text->out.len == 0 && n >= 3 && memcmp(bytes, BOM, 3) == 0) {
        bytes += 3;
        n -= 3;
    }
    int rc = 0;
    while (n > 0 && rc == 0) {
        const char *cr = memchr(bytes, '\r', n);
        size_t part = n;
        while (cr && (size_t)(cr - bytes) + 1 < n && cr[1] != '\n')
            cr = memchr(cr + 1, '\r', n - (size_t)(cr + 1 - bytes));
        if (cr && (size_t)(cr - bytes) + 1 < n)
            part = (size_t)(cr - bytes);
        rc = scan(text, bytes, part, put_word, keep_space);
        if (part < n)
            part++; /* the \r of a \r\n */
        bytes += part;
        n -= part;
    }
    return rc;
}

int mr_text_tab(struct mr_text *text)
{
    text->space = false;
    if (text->newlines > 0 && settle(text) != 0)
        return MR_TEXT_FULL;
    return append(text, "\t", 1);
}

void mr_text_break(struct mr_text *text, unsigned newlines)
{
    if (newlines > text->newlines)
        text->newlines = newlines;
    text->space = false;
}

void mr_text_finish(struct mr_text *text)
{
    struct mr_buf *out = &text->out;
    while (out->len > 0 && strchr(" \t\n", out->data[out->len - 1]))
        out->data[--out->len] = '\0';
}

bool mr_text_blank(const struct mr_text *text)
{
    return text->out.len == 0 || strspn(text->out.data, " \t\n") == text->out.len;
}
