#include "common/err.h"
#include "common/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const class_names[MR_CLASS_COUNT] = {
    [MR_CLASS_NONE] = "none",
    [MR_CLASS_RATE_LIMITED] = "rate_limited",
    [MR_CLASS_OVERLOADED] = "overloaded",
    [MR_CLASS_NETWORK] = "network",
    [MR_CLASS_AMBIGUOUS] = "ambiguous",
    [MR_CLASS_SERVER] = "server",
    [MR_CLASS_AUTH] = "auth",
    [MR_CLASS_QUOTA] = "quota",
    [MR_CLASS_INVALID] = "invalid",
    [MR_CLASS_BAD_OUTPUT] = "bad_output",
    [MR_CLASS_REFUSED] = "refused",
    [MR_CLASS_CAPPED] = "capped",
    [MR_CLASS_LIMITED] = "limited",
    [MR_CLASS_UNAVAILABLE] = "unavailable",
    [MR_CLASS_DEADLINE] = "deadline",
    [MR_CLASS_REDELIVERED] = "redelivered",
    [MR_CLASS_CANCELLED] = "cancelled",
    [MR_CLASS_INTERNAL] = "internal",
};

const char *mr_class_name(enum mr_class class)
{
    return (unsigned)class < MR_CLASS_COUNT ? class_names[class] : "unknown";
}

enum mr_class mr_class_parse(const char *name)
{
    for (int i = 0; i < MR_CLASS_COUNT; i++)
        if (strcmp(class_names[i], name) == 0)
            return (enum mr_class)i;
    return MR_CLASS_COUNT;
}

/* Cuts at a character border and makes the text one printable line of valid UTF-8. */
static void tidy(char *msg, size_t size)
{
    size_t n = strnlen(msg, size);
    for (size_t good = mr_utf8_prefix(msg, n, n); good < n; good = mr_utf8_prefix(msg, n, n)) {
        if (n - good < 4 && n >= MR_ERR_MAX - 1) /* the cut went through a character */
            n = good;
        else
            msg[good] = '?';
    }
    n = mr_utf8_prefix(msg, n, MR_ERR_MAX - 1);
    msg[n] = '\0';
    for (char *p = msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

int mr_err_set(struct mr_err *err, int code, enum mr_class class, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, fmt);
    char msg[MR_ERR_MAX]; /* apart from err: an argument may be err->msg itself */
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    tidy(msg, sizeof(msg));
    err->class = class;
    memcpy(err->msg, msg, sizeof(msg));
    return code;
}

int mr_err_prefix(struct mr_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, fmt);
    char msg[2 * MR_ERR_MAX + 2]; /* both texts whole */
    int n = vsnprintf(msg, MR_ERR_MAX, fmt, args);
    va_end(args);
    if (n >= 0 && n < MR_ERR_MAX)
        snprintf(msg + n, sizeof(msg) - (size_t)n, ": %s", err->msg);
    tidy(msg, sizeof(msg));
    memcpy(err->msg, msg, MR_ERR_MAX);
    return code;
}
