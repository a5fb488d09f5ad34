/* host[:port] texts. */
#include "common/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int fail(struct mr_err *err, const char *text, const char *why)
{
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "host '%.200s' %s", text, why);
}

static int parse_port(const char *s, int *ret)
{
    int v = 0;

    for (const char *c = s; *c; c++) {
        if (!isdigit((unsigned char)*c) || c - s >= 5)
            return -EINVAL;
        v = v * 10 + (*c - '0');
    }
    if (v < 1 || v > 65535)
        return -EINVAL;
    *ret = v;
    return 0;
}

static bool good_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr(".-_", s[i]))
            return false;
    return n > 0;
}

/* Length of the host part, brackets included, or 0 when it is none. */
static size_t host_length(const char *text)
{
    struct in6_addr addr;
    char inner[INET6_ADDRSTRLEN];

    if (text[0] != '[') {
        size_t n = strcspn(text, ":");
        return good_name(text, n) ? n : 0;
    }
    size_t n = strcspn(text, "]");
    if (text[n] != ']' || n - 1 >= sizeof(inner))
        return 0;
    memcpy(inner, text + 1, n - 1);
    inner[n - 1] = '\0';
    return inet_pton(AF_INET6, inner, &addr) == 1 ? n + 1 : 0;
}

int mr_host_split(const char *text, int default_port, char ret_host[static MR_HOST_MAX],
    int *ret_port, struct mr_err *err)
{
    int port = default_port;

    if (strlen(text) >= MR_HOST_MAX)
        return fail(err, text, "is too long");
    if (text[0] == '/') {
        memcpy(ret_host, text, strlen(text) + 1);
        *ret_port = 0;
        return 0;
    }
    size_t n = host_length(text);
    if (n == 0)
        return fail(err, text, "must be a name, an address, [IPv6] or a socket directory");
    if (text[n] == ':' ? parse_port(text + n + 1, &port) < 0 : text[n] != '\0')
        return fail(err, text, "must end in a port from 1 to 65535, or none");
    bool brackets = text[0] == '[';
    size_t skip = brackets, length = n - 2 * brackets;
    memcpy(ret_host, text + skip, length);
    ret_host[length] = '\0';
    *ret_port = port;
    return 0;
}

bool mr_host_is_local(const char *host)
{
    struct in_addr v4;

    if (host[0] == '/' || strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
        return true;
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

int mr_listen_split(const char *text, int default_port, char ret_host[static MR_HOST_MAX],
    int *ret_port, struct mr_err *err)
{
    size_t n = strlen(text);
    bool any = n > 2 && n < MR_HOST_MAX && strcmp(text + n - 2, ":0") == 0;
    char host[MR_HOST_MAX];

    if (text[0] == '/')
        return fail(err, text, "is no address to listen on");
    if (any) {
        memcpy(host, text, n - 2);
        host[n - 2] = '\0';
        any = strchr(host, ':') == NULL || host[n - 3] == ']';
    }
    int rc = mr_host_split(any ? host : text, default_port, ret_host, ret_port, err);
    if (rc == 0 && any)
        *ret_port = 0;
    return rc;
}
