#include "common/ids.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

static void stamp(struct mr_uuid *id, unsigned version)
{
    id->bytes[6] = (uint8_t)((id->bytes[6] & 0x0f) | version << 4);
    id->bytes[8] = (uint8_t)((id->bytes[8] & 0x3f) | 0x80);
}

struct mr_uuid mr_uuid7(const struct mr_clock *clock, const struct mr_random *random)
{
    struct mr_uuid id;
    uint64_t ms = (uint64_t)mr_wall_ms(clock);
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    random->fill(random->ctx, id.bytes + 6, 10);
    stamp(&id, 7);
    return id;
}

struct mr_uuid mr_uuid_of_bytes(const void *bytes, size_t n)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(bytes, n, digest);
    struct mr_uuid id;
    memcpy(id.bytes, digest, sizeof(id.bytes));
    stamp(&id, 8);
    return id;
}

void mr_uuid_format(const struct mr_uuid *id, char ret[static MR_UUID_LEN])
{
    static const char hex[] = "0123456789abcdef";
    char *p = ret;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[id->bytes[i] >> 4];
        *p++ = hex[id->bytes[i] & 15];
    }
    *p = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int mr_uuid_parse(const char *s, struct mr_uuid *ret)
{
    struct mr_uuid id;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
            return -EINVAL;
        int hi = hex_value(s[0]);
        int lo = hi < 0 ? -1 : hex_value(s[1]);
        if (lo < 0)
            return -EINVAL;
        id.bytes[i] = (uint8_t)(hi << 4 | lo);
        s += 2;
    }
    if (*s != '\0')
        return -EINVAL;
    *ret = id;
    return 0;
}

bool mr_uuid_equal(const struct mr_uuid *a, const struct mr_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

int mr_name_check(const char *what, const char *name, struct mr_err *err)
{
    size_t n = strnlen(name, MR_NAME_MAX + 1);
    if (n == 0)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "%s: must not be empty", what);
    if (n > MR_NAME_MAX)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "%s: longer than %d characters", what, MR_NAME_MAX);
    for (size_t i = 0; i < n; i++) {
        if (is_alnum(name[i]) || (i > 0 && strchr("._-", name[i])))
            continue;
        if (name[i] > ' ' && name[i] <= '~')
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
                "%s: '%c' at position %zu is not allowed (letters, digits, and after the first "
                "character . _ -)",
                what, name[i], i + 1);
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "%s: byte 0x%02x at position %zu is not allowed (letters, digits, and after the first "
            "character . _ -)",
            what, (unsigned)(unsigned char)name[i], i + 1);
    }
    return 0;
}
