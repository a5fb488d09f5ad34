#include "worker/io/fetch_url.h"
#include "worker/io/fetch.h"

#include <curl/curl.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct parts {
    CURLU *url;
    char *scheme, *host, *port, *user, *password, *zone;
};

static void parts_deinit(struct parts *parts)
{
    curl_url_cleanup(parts->url);
    curl_free(parts->scheme);
    curl_free(parts->host);
    curl_free(parts->port);
    curl_free(parts->user);
    curl_free(parts->password);
    curl_free(parts->zone);
}

static int split(const char *url, struct parts *parts, struct mr_err *err)
{
    parts->url = curl_url();
    CURLUcode rc =
        parts->url ? curl_url_set(parts->url, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY;
    if (rc == CURLUE_OK)
        rc = curl_url_get(parts->url, CURLUPART_SCHEME, &parts->scheme, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_get(parts->url, CURLUPART_HOST, &parts->host, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_get(parts->url, CURLUPART_PORT, &parts->port, CURLU_DEFAULT_PORT);
    if (rc != CURLUE_OK)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "the URL is malformed: %s", curl_url_strerror(rc));
    /* Absent parts are an error code and NULL. */
    (void)curl_url_get(parts->url, CURLUPART_USER, &parts->user, 0);
    (void)curl_url_get(parts->url, CURLUPART_PASSWORD, &parts->password, 0);
    (void)curl_url_get(parts->url, CURLUPART_ZONEID, &parts->zone, 0);
    return 0;
}

static bool is_exempt(const struct mr_fetch_rules *rules, const char *host)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    char bare[64];
    size_t n = strlen(host);
    if (mr_exempt_name(&rules->exempt, host))
        return true;
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
        return mr_exempt_address(&rules->exempt, (struct sockaddr *)&in);
    if (n > 2 && n < sizeof(bare) && host[0] == '[') {
        memcpy(bare, host + 1, n - 2);
        bare[n - 2] = '\0';
        if (inet_pton(AF_INET6, bare, &in6.sin6_addr) == 1)
            return mr_exempt_address(&rules->exempt, (struct sockaddr *)&in6);
    }
    return false;
}

static bool usual_port(const char *scheme, const char *port)
{
    if (strcmp(scheme, "https") == 0)
        return strcmp(port, "443") == 0 || strcmp(port, "8443") == 0;
    return strcmp(port, "80") == 0 || strcmp(port, "8080") == 0;
}

/* What curl would be too forgiving about. */
static int check_form(const char *url, struct mr_err *err)
{
    size_t n = strlen(url);
    if (n > MR_FETCH_URL_MAX)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "the URL is longer than %d bytes", MR_FETCH_URL_MAX);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)url[i];
        if (c <= 0x20 || c == 0x7f || c == '\\')
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
                "the URL holds a space, a backslash or a control character");
    }
    const char *slashes = strstr(url, "://");
    if (!slashes || slashes[3] == '/')
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "the URL is malformed: no host");
    return 0;
}

int mr_fetch_url_check(
    const struct mr_fetch_rules *rules, const char *url, bool *ret_exempt, struct mr_err *err)
{
    struct parts parts MR_CLEANUP(parts_deinit) = {0};
    int rc = check_form(url, err);
    if (rc == 0)
        rc = split(url, &parts, err);
    if (rc != 0)
        return rc;
    if (strcmp(parts.scheme, "https") != 0 && !(rules->http && strcmp(parts.scheme, "http") == 0))
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "documents are fetched by https only%s",
            strcmp(parts.scheme, "http") == 0 ? " (worker.fetch_http allows http)" : "");
    if (parts.user || parts.password)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "the URL holds a user name or a password");
    if (parts.zone || strchr(parts.host, '%'))
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "the URL holds a network interface");
    bool exempt = is_exempt(rules, parts.host);
    if (!exempt && !usual_port(parts.scheme, parts.port))
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "documents are not fetched from port %s", parts.port);
    *ret_exempt = exempt;
    return 0;
}

void mr_fetch_url_ext(const char *url, char *ret, size_t size)
{
    size_t n = strcspn(url, "?#"), dot = n, used = 0;
    ret[0] = '\0';
    while (dot > 0 && url[dot - 1] != '.' && url[dot - 1] != '/')
        dot--;
    if (dot == 0 || url[dot - 1] != '.' || n - dot >= size)
        return;
    for (; dot < n; dot++) {
        if (!isalnum((unsigned char)url[dot])) {
            ret[0] = '\0';
            return;
        }
        ret[used++] = (char)tolower((unsigned char)url[dot]);
    }
    ret[used] = '\0';
}
