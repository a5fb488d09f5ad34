/* Reading UTF-8 that may be broken, one character at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MR_UTF8_BAD 0xfffdu

/* Length in bytes (1-4) of the character at s, n >= 1. What is not UTF-8 (overlong forms and
 * surrogates included) is one byte long and reads as MR_UTF8_BAD. */
static inline size_t mr_utf8_next(const char *s, size_t n, uint32_t *ret)
{
    const unsigned char *p = (const unsigned char *)s;
    if (p[0] < 0x80) {
        *ret = p[0];
        return 1;
    }
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *ret = MR_UTF8_BAD;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
        return 1;
    uint32_t c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 1;
    *ret = c;
    return len;
}
