/* Which route a path is. */
#include "common/httpd.h"

#include <string.h>

/* Length of the segment at s. */
static size_t segment(const char *s)
{
    return strcspn(s, "/");
}

static bool path_fits(
    const char *pattern, const char *path, char ret_param[static MR_HTTPD_PARAM_MAX])
{
    const char *hole = strstr(pattern, "{}");
    if (!hole)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    const char *value = path + before;
    size_t n = segment(value);
    if (n == 0 || n >= MR_HTTPD_PARAM_MAX || strcmp(hole + 2, value + n) != 0)
        return false;
    memcpy(ret_param, value, n);
    ret_param[n] = 0;
    return true;
}

static void allow(char ret[static MR_HTTPD_ALLOW_MAX], const char *method)
{
    size_t n = strlen(ret);
    snprintf(ret + n, MR_HTTPD_ALLOW_MAX - n, "%s%s%s", n ? ", " : "", method,
        strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

const struct mr_route *mr_httpd_route_find(const struct mr_route *routes, size_t n,
    const char *method, const char *path, char ret_param[static MR_HTTPD_PARAM_MAX],
    char ret_allow[static MR_HTTPD_ALLOW_MAX])
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    ret_param[0] = 0;
    ret_allow[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (!path_fits(routes[i].path, path, ret_param))
            continue;
        if (strcmp(routes[i].method, wanted) == 0)
            return &routes[i];
        allow(ret_allow, routes[i].method);
    }
    ret_param[0] = 0;
    return NULL;
}
