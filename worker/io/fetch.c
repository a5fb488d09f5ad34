#include "worker/io/fetch.h"
#include "worker/io/fetch_url.h"
#include "worker/io/multi.h"
#include "worker/io/retry_after.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECT_TIMEOUT_MS 10000L
#define SLOW_BYTES 500L  /* a second, */
#define SLOW_SECONDS 20L /* for so long: given up */

struct mr_fetcher {
    struct mr_multi *multi;
    struct mr_fetch_rules rules;
    int64_t max_bytes;
    struct mr_fetch *first;
};

struct mr_fetch {
    struct mr_fetcher *fetcher;
    struct mr_fetch *next, *prev;
    mr_fetch_done *done;
    void *ctx;
    CURL *easy;
    char *url; /* the one being fetched */
    int redirects;
    uint64_t deadline_ns;
    bool exempt;           /* this hop's host is exempt from the address rules */
    const char *forbidden; /* what the last refused address was */
    bool too_large, encoded;
    struct mr_fetched fetched;
    char words[CURL_ERROR_SIZE];
};

/* ---- callbacks ---- */

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct mr_fetch *fetch = ctx;
    (void)purpose;
    const char *what = mr_address_forbidden(&address->addr);
    if (what && !fetch->exempt &&
        !mr_exempt_address(&fetch->fetcher->rules.exempt, &address->addr)) {
        fetch->forbidden = what;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct mr_fetch *fetch = ctx;
    if (mr_buf_put(&fetch->fetched.body, bytes, size * n) == 0)
        return size * n;
    fetch->too_large = true;
    return CURL_WRITEFUNC_ERROR;
}

/* Copies the value of "name: value" up to any of the stop characters. */
static bool take(
    const char *line, size_t n, const char *name, const char *stop, char *ret, size_t size)
{
    size_t len = strlen(name), used = 0;
    if (n <= len || strncasecmp(line, name, len) != 0)
        return false;
    for (size_t i = len; i < n && used + 1 < size; i++) {
        if (strchr(stop, line[i]) || (unsigned char)line[i] < 0x20)
            break;
        if (line[i] != ' ' || used > 0)
            ret[used++] = line[i];
    }
    while (used > 0 && ret[used - 1] == ' ')
        used--;
    ret[used] = '\0';
    return true;
}

static void take_charset(const char *line, size_t n, char *ret, size_t size)
{
    static const char key[] = "charset=";
    for (size_t i = 0; i + sizeof(key) < n; i++)
        if (strncasecmp(line + i, key, sizeof(key) - 1) == 0) {
            i += sizeof(key) - 1;
            i += line[i] == '"';
            take(line + i, n - i, "", ";\" \r\n", ret, size);
            return;
        }
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    struct mr_fetch *fetch = ctx;
    struct mr_fetched *fetched = &fetch->fetched;
    char value[64];
    n *= size;
    if (take(line, n, "content-type:", ";\r\n", fetched->hints.type, sizeof(fetched->hints.type)))
        take_charset(line, n, fetched->hints.charset, sizeof(fetched->hints.charset));
    else if (take(line, n, "retry-after:", "\r\n", value, sizeof(value)))
        fetched->retry_after_ms = mr_retry_after_parse(value, 1000, (int64_t)time(NULL) * 1000);
    else if (take(line, n, "content-encoding:", "\r\n", value, sizeof(value)))
        fetch->encoded = value[0] && strcasecmp(value, "identity") != 0;
    return n;
}

/* ---- the end of a fetch ---- */

static void unlink_fetch(struct mr_fetch *fetch)
{
    *(fetch->prev ? &fetch->prev->next : &fetch->fetcher->first) = fetch->next;
    if (fetch->next)
        fetch->next->prev = fetch->prev;
}

static void free_fetch(struct mr_fetch *fetch)
{
    curl_easy_cleanup(fetch->easy);
    mr_buf_deinit(&fetch->fetched.body);
    free(fetch->url);
    free(fetch);
}

static void report(struct mr_fetch *fetch)
{
    unlink_fetch(fetch);
    mr_fetch_url_ext(fetch->url, fetch->fetched.hints.ext, sizeof(fetch->fetched.hints.ext));
    fetch->done(fetch->ctx, &fetch->fetched);
    free_fetch(fetch);
}

#define fail(fetch, class, ...)                                                                    \
    ((fetch)->fetched.rc = mr_err_set(&(fetch)->fetched.err, -1, class, __VA_ARGS__))

static void read_error(struct mr_fetch *fetch, CURLcode code)
{
    const char *words = fetch->words[0] ? fetch->words : curl_easy_strerror(code);
    if (fetch->too_large || code == CURLE_FILESIZE_EXCEEDED)
        fail(fetch, MR_CLASS_INVALID, "the document at the URL is larger than %lld bytes",
            (long long)fetch->fetcher->max_bytes);
    else if (fetch->forbidden)
        fail(fetch, MR_CLASS_INVALID, "the URL leads to a forbidden address: %s", fetch->forbidden);
    else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_UNSUPPORTED_PROTOCOL ||
             code == CURLE_URL_MALFORMAT)
        fail(fetch, MR_CLASS_INVALID, "cannot fetch the URL: %s", words);
    else if (code == CURLE_OUT_OF_MEMORY)
        fail(fetch, MR_CLASS_INTERNAL, "cannot fetch the URL: %s", words);
    else
        fail(fetch, MR_CLASS_NETWORK, "cannot fetch the URL: %s", words);
}

/* Text, office files and what servers call things they do not know. */
static bool is_document(const char *type)
{
    static const char *const types[] = {"application/pdf", "application/x-pdf",
        "application/xhtml+xml", "application/octet-stream", "binary/octet-stream",
        "application/json", "application/xml", "application/vnd.oasis.opendocument.text",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/zip", "application/x-zip-compressed", "application/force-download",
        "application/download", "application/msword"};
    if (!type[0] || strncasecmp(type, "text/", 5) == 0)
        return true;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(type, types[i]) == 0)
            return true;
    return false;
}

static void read_status(struct mr_fetch *fetch, long status)
{
    struct mr_fetched *fetched = &fetch->fetched;
    if (status == 429)
        fail(fetch, MR_CLASS_RATE_LIMITED, "the URL's server asks to come back later (429)");
    else if (status >= 500 || status == 408)
        fail(fetch, MR_CLASS_SERVER, "the URL's server failed (%ld)", status);
    else if (status == 401 || status == 403 || status == 407)
        fail(fetch, MR_CLASS_INVALID, "the URL's server denies access (%ld)", status);
    else if (status == 404 || status == 410)
        fail(fetch, MR_CLASS_INVALID, "there is no document at the URL (%ld)", status);
    else if (status < 200 || status >= 300)
        fail(fetch, MR_CLASS_INVALID, "the URL's server answered %ld", status);
    else if (fetch->encoded)
        fail(fetch, MR_CLASS_INVALID,
            "the URL's server sent the document compressed, which was not asked for");
    else if (!is_document(fetched->hints.type))
        fail(fetch, MR_CLASS_INVALID, "the URL holds no document but %s", fetched->hints.type);
}

/* ---- hops ---- */

static int begin_hop(struct mr_fetch *fetch)
{
    struct mr_fetched *fetched = &fetch->fetched;
    uint64_t now = uv_hrtime();
    if (now >= fetch->deadline_ns) {
        fail(fetch, MR_CLASS_NETWORK, "cannot fetch the URL: out of time");
        return -1;
    }
    if (mr_fetch_url_check(&fetch->fetcher->rules, fetch->url, &fetch->exempt, &fetched->err) != 0)
        return fetched->rc = -1;
    mr_buf_reset(&fetched->body);
    fetched->hints.type[0] = fetched->hints.charset[0] = '\0';
    fetched->retry_after_ms = -1;
    fetch->encoded = false;
    fetch->forbidden = NULL;
    long left_ms = (long)((fetch->deadline_ns - now) / 1000000) + 1;
    CURLcode rc = curl_easy_setopt(fetch->easy, CURLOPT_URL, fetch->url);
    rc |= curl_easy_setopt(fetch->easy, CURLOPT_TIMEOUT_MS, left_ms);
    if (rc != CURLE_OK || mr_multi_add(fetch->fetcher->multi, fetch->easy) != 0) {
        fail(fetch, MR_CLASS_INTERNAL, "no memory to fetch the URL");
        return -1;
    }
    return 0;
}

/* Follows a redirect. Returns whether the fetch goes on. */
static bool redirect(struct mr_fetch *fetch)
{
    char *next = NULL;
    curl_easy_getinfo(fetch->easy, CURLINFO_REDIRECT_URL, &next);
    if (!next) {
        fail(fetch, MR_CLASS_INVALID, "the URL's server redirects to nowhere");
        return false;
    }
    if (fetch->redirects++ == MR_FETCH_REDIRECTS) {
        fail(fetch, MR_CLASS_INVALID, "the URL is redirected more than %d times",
            MR_FETCH_REDIRECTS);
        return false;
    }
    char *url = strdup(next);
    if (!url) {
        fail(fetch, MR_CLASS_INTERNAL, "no memory to fetch the URL");
        return false;
    }
    free(fetch->url);
    fetch->url = url;
    if (begin_hop(fetch) == 0)
        return true;
    mr_err_prefix(&fetch->fetched.err, 0, "after a redirect");
    return false;
}

static void on_done(void *ctx, CURL *easy, CURLcode code)
{
    (void)ctx;
    char *private = NULL;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    struct mr_fetch *fetch = (struct mr_fetch *)(void *)private;
    bool moved = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (code != CURLE_OK) {
        read_error(fetch, code);
        if (fetch->redirects > 0)
            mr_err_prefix(&fetch->fetched.err, 0, "after a redirect");
    } else if (moved) {
        if (redirect(fetch))
            return;
    } else {
        read_status(fetch, status);
    }
    report(fetch);
}

static CURL *new_easy(struct mr_fetch *fetch)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
    rc |= curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    rc |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    rc |= curl_easy_setopt(
        easy, CURLOPT_PROTOCOLS_STR, fetch->fetcher->rules.http ? "https,http" : "https");
    rc |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    rc |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    rc |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    rc |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    rc |= curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
    rc |= curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, SLOW_SECONDS);
    rc |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)fetch->fetcher->max_bytes);
    rc |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "millrace/" MR_VERSION);
    rc |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    rc |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, fetch);
    rc |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    rc |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    rc |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    rc |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
    rc |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->words);
    rc |= curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    if (rc == CURLE_OK)
        return easy;
    curl_easy_cleanup(easy);
    return NULL;
}

int mr_fetch_start(struct mr_fetcher *fetcher, const char *url, int64_t timeout_ms,
    mr_fetch_done *done, void *ctx, struct mr_fetch **ret, struct mr_err *err)
{
    struct mr_fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch)
        return mr_err_set(err, -1, MR_CLASS_INTERNAL, "no memory to fetch the URL");
    fetch->fetcher = fetcher;
    fetch->done = done;
    fetch->ctx = ctx;
    fetch->deadline_ns = uv_hrtime() + (uint64_t)timeout_ms * 1000000;
    fetch->fetched.body = MR_BUF_INIT((size_t)fetcher->max_bytes);
    fetch->url = strdup(url);
    fetch->easy = new_easy(fetch);
    if (!fetch->url || !fetch->easy)
        fail(fetch, MR_CLASS_INTERNAL, "no memory to fetch the URL");
    if (fetch->fetched.rc != 0 || begin_hop(fetch) != 0) {
        *err = fetch->fetched.err;
        free_fetch(fetch);
        return -1;
    }
    fetch->next = fetcher->first;
    if (fetcher->first)
        fetcher->first->prev = fetch;
    fetcher->first = fetch;
    *ret = fetch;
    return 0;
}

void mr_fetch_cancel(struct mr_fetch *fetch)
{
    mr_multi_remove(fetch->fetcher->multi, fetch->easy);
    unlink_fetch(fetch);
    free_fetch(fetch);
}

/* ---- life ---- */

int mr_fetcher_reload(
    struct mr_fetcher *fetcher, const struct mr_config_worker *config, struct mr_err *err)
{
    struct mr_exempt exempt;
    int rc = mr_exempt_init(&exempt, config->fetch_allow.items, config->fetch_allow.count, err);
    if (rc != 0)
        return rc;
    mr_exempt_deinit(&fetcher->rules.exempt);
    fetcher->rules = (struct mr_fetch_rules){.http = config->fetch_http, .exempt = exempt};
    fetcher->max_bytes = config->extract_max_bytes;
    return 0;
}

int mr_fetcher_new(uv_loop_t *loop, const struct mr_config_worker *config, struct mr_fetcher **ret,
    struct mr_err *err)
{
    struct mr_fetcher *fetcher = calloc(1, sizeof(*fetcher));
    if (!fetcher)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for the fetcher");
    int rc = mr_fetcher_reload(fetcher, config, err);
    if (rc == 0)
        rc = mr_multi_new(loop, on_done, fetcher, &fetcher->multi, err);
    if (rc == 0)
        *ret = fetcher;
    else
        mr_fetcher_free(fetcher);
    return rc;
}

void mr_fetcher_close(struct mr_fetcher *fetcher, void (*closed)(void *ctx), void *ctx)
{
    while (fetcher->first)
        mr_fetch_cancel(fetcher->first);
    mr_multi_close(fetcher->multi, closed, ctx);
}

struct mr_fetcher *mr_fetcher_free(struct mr_fetcher *fetcher)
{
    if (fetcher) {
        mr_multi_free(fetcher->multi);
        mr_exempt_deinit(&fetcher->rules.exempt);
        free(fetcher);
    }
    return NULL;
}
