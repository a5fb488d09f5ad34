#include "common/base64.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int mr_base64_encode(const void *bytes, size_t n, struct mr_buf *buf)
{
    const uint8_t *p = bytes;
    if (n > SIZE_MAX / 2)
        return -EMSGSIZE;
    size_t out_len = (n + 2) / 3 * 4;
    if (out_len > buf->max - buf->len)
        return -EMSGSIZE;
    char *out = mr_buf_reserve(buf, out_len);
    if (!out)
        return -ENOMEM;
    for (; n >= 3; n -= 3, p += 3, out += 4) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        out[0] = alphabet[v >> 18];
        out[1] = alphabet[v >> 12 & 63];
        out[2] = alphabet[v >> 6 & 63];
        out[3] = alphabet[v & 63];
    }
    if (n > 0) {
        uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0);
        out[0] = alphabet[v >> 18];
        out[1] = alphabet[v >> 12 & 63];
        out[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
        out[3] = '=';
    }
    buf->len += out_len;
    return 0;
}

/* The value of each character, or 64. */
static void fill_values(uint8_t values[static 256])
{
    for (int i = 0; i < 256; i++)
        values[i] = 64;
    for (uint8_t i = 0; i < 64; i++)
        values[(uint8_t)alphabet[i]] = i;
}

int mr_base64_decode(const char *text, size_t n, char **ret, size_t *ret_n)
{
    if (n % 4 != 0)
        return -EINVAL;
    size_t pad = n > 0 && text[n - 1] == '=' ? 1u + (text[n - 2] == '=') : 0;
    uint8_t values[256];
    fill_values(values);
    char *out = malloc(n / 4 * 3 + 1);
    if (!out)
        return -ENOMEM;
    const uint8_t *p = (const uint8_t *)text;
    size_t len = 0;
    unsigned bad = 0;
    for (size_t i = 0; i < n; i += 4) {
        size_t skip = i + 4 == n ? pad : 0;
        uint8_t c = skip > 1 ? 0 : values[p[i + 2]], d = skip > 0 ? 0 : values[p[i + 3]];
        uint8_t a = values[p[i]], b = values[p[i + 1]];
        bad |= a | b | c | d;
        out[len++] = (char)(a << 2 | b >> 4);
        out[len++] = (char)(b << 4 | c >> 2);
        out[len++] = (char)(c << 6 | d);
    }
    if (bad & 64) {
        free(out);
        return -EINVAL;
    }
    len -= pad;
    out[len] = '\0';
    *ret = out;
    *ret_n = len;
    return 0;
}
