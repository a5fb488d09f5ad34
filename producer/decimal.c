#include "producer/decimal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 12

/* value x 10^exponent; digits that fall off are rounded, or refused. */
static int scale(int64_t *value, long exponent, bool round)
{
    for (; exponent > 0 && *value != 0; exponent--)
        if (__builtin_mul_overflow(*value, 10, value))
            return -ERANGE;
    for (int64_t last = 0; exponent < 0 && (*value != 0 || last >= 5); exponent++) {
        last = *value % 10;
        *value /= 10;
        if (last != 0 && !round)
            return -EINVAL;
        if (exponent == -1)
            *value += last >= 5;
    }
    return 0;
}

static int parse(const char *text, bool round, int64_t *ret)
{
    int64_t value = 0;
    long exponent = PLACES;
    const char *s = text;
    size_t digits = 0;
    for (bool point = false; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        int64_t more;
        if (*s == '.') {
            point = true;
            continue;
        }
        digits++;
        if (!__builtin_mul_overflow(value, 10, &more) &&
            !__builtin_add_overflow(more, *s - '0', &more)) {
            value = more;
            exponent -= point;
        } else if (!point || !round) {
            return -ERANGE; /* behind the point: too fine to matter */
        }
    }
    if (digits == 0)
        return -EINVAL;
    if (*s == 'e' || *s == 'E') {
        char *end;
        long e = strtol(s + 1, &end, 10);
        if (end == s + 1 || e < -100 || e > 100)
            return -EINVAL;
        exponent += e;
        s = end;
    }
    if (*s != '\0')
        return -EINVAL;
    int r = scale(&value, exponent, round);
    if (r == 0)
        *ret = value;
    return r;
}

int mr_decimal_parse(const char *text, int64_t *ret)
{
    return parse(text, false, ret);
}

int mr_decimal_round(const char *text, int64_t *ret)
{
    return parse(text, true, ret);
}

int mr_decimal_quote(const char *text, size_t n, struct mr_buf *buf)
{
    bool in_string = false;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        if (in_string && text[i] == '\\' && i + 1 < n) {
            r = mr_buf_put(buf, text + i, 2);
            i++;
            continue;
        }
        if (text[i] == '"')
            in_string = !in_string;
        if (in_string || !(text[i] == '-' || (text[i] >= '0' && text[i] <= '9'))) {
            r = mr_buf_putc(buf, text[i]);
            continue;
        }
        size_t end = i;
        while (end < n && strchr("+-.0123456789eE", text[end]) && text[end])
            end++;
        r = mr_buf_printf(buf, "\"%.*s\"", (int)(end - i), text + i);
        i = end - 1;
    }
    return r;
}
