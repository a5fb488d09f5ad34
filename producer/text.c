#include "producer/text.h"

#include <stdint.h>
#include <string.h>
#include <wchar.h>

/* Bytes of the character at s, 0 if it is not UTF-8. */
static size_t decode(const char *s, size_t n, wchar_t *ret)
{
    unsigned char first = (unsigned char)*s;
    if (first < 0x80) { /* NUL included, which mbrtowc would call an end */
        *ret = (wchar_t)first;
        return 1;
    }
    mbstate_t state = {0};
    wchar_t c;
    size_t len = mbrtowc(&c, s, n, &state);
    if (len == 0 || len > n) /* (size_t)-1 and -2 are longer than anything */
        return 0;
    *ret = c;
    return len;
}

static bool is_harmful(wchar_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static int escape(struct mr_buf *buf, wchar_t c, enum mr_safe mode)
{
    if (mode == MR_SAFE_JSON)
        return mr_buf_printf(buf, "\\u%04x", (unsigned)c);
    if (c == '\n' || c == '\t' || c == '\r')
        return mr_buf_puts(buf, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
    if (c < 0x80)
        return mr_buf_printf(buf, "\\x%02x", (unsigned)c);
    return mr_buf_printf(buf, "\\u{%x}", (unsigned)c);
}

int mr_text_safe(struct mr_buf *buf, const char *s, size_t n, enum mr_safe mode)
{
    size_t plain = 0; /* start of the run that needs no escape */
    for (size_t i = 0; i < n;) {
        wchar_t c = 0;
        size_t len = decode(s + i, n - i, &c);
        bool keep = len && (!is_harmful(c) || (mode == MR_SAFE_TEXT && (c == '\n' || c == '\t')));
        if (keep) {
            i += len;
            continue;
        }
        int r = mr_buf_put(buf, s + plain, i - plain);
        if (r == 0)
            r = len ? escape(buf, c, mode)
                    : mr_buf_printf(buf, "\\x%02x", (unsigned)(unsigned char)s[i]);
        if (r < 0)
            return r;
        i += len ? len : 1;
        plain = i;
    }
    return mr_buf_put(buf, s + plain, n - plain);
}

static size_t columns_of(wchar_t c)
{
    int w = wcwidth(c);
    return w > 0 ? (size_t)w : 0;
}

size_t mr_text_width(const char *s, size_t n)
{
    size_t width = 0;
    for (size_t i = 0; i < n;) {
        wchar_t c = 0;
        size_t len = decode(s + i, n - i, &c);
        width += len ? columns_of(c) : 1;
        i += len ? len : 1;
    }
    return width;
}

size_t mr_text_fit(const char *s, size_t n, size_t columns)
{
    size_t width = 0, i = 0;
    while (i < n) {
        wchar_t c = 0;
        size_t len = decode(s + i, n - i, &c);
        size_t w = len ? columns_of(c) : 1;
        if (width + w > columns)
            break;
        width += w;
        i += len ? len : 1;
    }
    return i;
}
