#include "worker/io/caller_easy.h"

#include "common/custom.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RECEIVE_BUFFER 8192 /* bytes a transfer in flight; answers are a few KiB */
#define PROBE_TIMEOUT_MS 5000

/* ---- callbacks ---- */

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct mr_transfer *transfer = ctx;
    if (mr_buf_put(&transfer->reply.body, bytes, size * n) == 0)
        return size * n;
    transfer->too_large = true;
    return CURL_WRITEFUNC_ERROR;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    struct mr_transfer *transfer = ctx;
    mr_reply_headers_line(&transfer->heard, line, size * n, mr_wall_ms(transfer->clock));
    return size * n;
}

/* A connection is ready and the request comes next. The second time for one call, curl means to
 * repeat it: only if nothing was sent. */
static int on_request(void *ctx, char *primary, char *local, int primary_port, int local_port)
{
    (void)primary, (void)local, (void)primary_port, (void)local_port;
    struct mr_transfer *transfer = ctx;
    long sent = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
    if (transfer->reached && sent > 0) {
        transfer->doubled = true;
        return CURL_PREREQFUNC_ABORT;
    }
    transfer->reached = true;
    return CURL_PREREQFUNC_OK;
}

/* ---- setting up ---- */

CURL *mr_transfer_easy_new(void)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    CURLcode rc = CURLE_OK;
    rc |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
    rc |= curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    rc |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    rc |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    rc |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    rc |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    rc |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    rc |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
    rc |= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)MR_CALLER_IDLE_S);
    rc |= curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long)MR_CALLER_LIFETIME_S);
    rc |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    rc |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "millrace/" MR_VERSION);
    rc |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    rc |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    rc |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    if (rc != CURLE_OK) {
        curl_easy_cleanup(easy);
        return NULL;
    }
    return easy;
}

static int add_header(struct mr_transfer *transfer, const char *line)
{
    for (const char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            snprintf(transfer->reply.detail, sizeof(transfer->reply.detail),
                "a request header holds a control character");
            return -EINVAL;
        }
    struct curl_slist *grown = curl_slist_append(transfer->headers, line);
    if (!grown)
        return -ENOMEM;
    transfer->headers = grown;
    return 0;
}

static int add_key(struct mr_transfer *transfer)
{
    const struct mr_request *request = transfer->request;
    if (request->auth == MR_AUTH_NONE || !request->endpoint->key)
        return 0;
    struct mr_buf line MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(128 << 10);
    const struct mr_custom *custom =
        request->auth == MR_AUTH_CUSTOM ? request->endpoint->provider->custom : NULL;
    const char *before = request->auth == MR_AUTH_X_API_KEY ? "x-api-key: "
                         : request->auth == MR_AUTH_API_KEY ? "api-key: "
                         : custom && custom->key_header     ? custom->key_header
                                                            : "Authorization: Bearer ";
    int rc = mr_buf_puts(&line, before);
    if (rc == 0)
        rc = mr_buf_puts(&line, mr_secret_reveal(request->endpoint->key));
    if (rc == 0)
        rc = add_header(transfer, line.data);
    if (line.data)
        explicit_bzero(line.data, line.cap);
    return rc;
}

static int add_headers(struct mr_transfer *transfer)
{
    int rc = add_header(transfer, "Content-Type: application/json");
    if (rc == 0)
        rc = add_header(transfer, "Accept: application/json");
    if (rc == 0)
        rc = add_header(transfer, "Expect:"); /* no 100-continue round trip for large bodies */
    for (size_t i = 0; rc == 0 && i < 8 && transfer->request->headers[i]; i++)
        rc = add_header(transfer, transfer->request->headers[i]);
    return rc == 0 ? add_key(transfer) : rc;
}

struct mr_request *mr_probe_request(const struct mr_endpoint *endpoint)
{
    bool anthropic = endpoint->provider->kind == MR_PROVIDER_ANTHROPIC;
    const char *path = endpoint->health;
    struct mr_request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->endpoint = endpoint;
    request->auth = anthropic                                        ? MR_AUTH_X_API_KEY
                    : endpoint->provider->kind == MR_PROVIDER_CUSTOM ? MR_AUTH_CUSTOM
                                                                     : MR_AUTH_BEARER;
    request->timeout_ms = PROBE_TIMEOUT_MS;
    if (anthropic)
        request->headers[0] = strdup("anthropic-version: 2023-06-01");
    if (asprintf(&request->url, "%s%s%s", endpoint->base_url, *path == '/' ? "" : "/", path) < 0) {
        request->url = NULL;
        return mr_probe_request_free(request);
    }
    return request;
}

struct mr_request *mr_probe_request_free(struct mr_request *request)
{
    if (request) {
        free(request->url);
        free(request->headers[0]);
    }
    free(request);
    return NULL;
}

int mr_transfer_prepare(struct mr_transfer *transfer)
{
    const struct mr_request *request = transfer->request;
    const struct mr_endpoint *endpoint = request->endpoint;
    CURL *easy = transfer->easy;
    int bad = add_headers(transfer);
    if (bad)
        return bad;
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_URL, request->url);
    /* Over TLS the handshake says whether calls can share a connection (HTTP/2), so it pays to wait
     * for it. Without, only the first answer would, and all calls would wait for that. */
    long wait = strncasecmp(request->url, "https:", 6) == 0;
    rc |= curl_easy_setopt(easy, CURLOPT_PIPEWAIT, wait);
    rc |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    rc |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.data ? request->body.data : "");
    if (transfer->probe) {
        transfer->tainted = true; /* other calls POST */
        rc |= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    rc |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    rc |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    rc |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)endpoint->connect_timeout_ms);
    rc |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_words);
    rc |= curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    rc |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    rc |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    rc |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    if (endpoint->ca_file) {
        transfer->tainted = true; /* the system's CAs cannot be put back */
        rc |= curl_easy_setopt(easy, CURLOPT_CAINFO, endpoint->ca_file);
        rc |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    return rc == CURLE_OK ? 0 : -ENOMEM;
}

/* ---- reading the end ---- */

static bool body_sent(struct mr_transfer *transfer)
{
    curl_off_t uploaded = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    return transfer->doubled ||
           (transfer->reached && uploaded > 0); /* else of the handle's last call */
}

static void describe(struct mr_transfer *transfer, CURLcode code)
{
    const char *words = transfer->curl_words[0] ? transfer->curl_words : curl_easy_strerror(code);
    if (transfer->doubled)
        words = "the provider closed the connection without an answer";
    else if (transfer->too_large)
        words = "the answer is larger than 16 MiB";
    snprintf(transfer->reply.detail, sizeof(transfer->reply.detail), "%s", words);
}

void mr_transfer_finish(struct mr_transfer *transfer, CURLcode code)
{
    struct mr_reply *reply = &transfer->reply;
    long status = 0;
    curl_off_t total_us = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &total_us);
    reply->status = (int)status;
    reply->latency_ms = total_us / 1000;
    mr_reply_headers_read(&transfer->heard, reply);
    if (code == CURLE_OK && status >= 200) {
        reply->transport = MR_TRANSPORT_OK;
        return;
    }
    describe(transfer, code);
    reply->transport = body_sent(transfer) ? MR_TRANSPORT_AMBIGUOUS : MR_TRANSPORT_NOT_SENT;
}

void mr_transfer_give_up(struct mr_transfer *transfer)
{
    bool sent = body_sent(transfer);
    transfer->reply.transport = sent ? MR_TRANSPORT_ABORTED : MR_TRANSPORT_NOT_SENT;
    transfer->reply.latency_ms = (int64_t)((uv_hrtime() - transfer->started_ns) / 1000000);
    snprintf(transfer->reply.detail, sizeof(transfer->reply.detail), "given up %s",
        sent ? "while waiting for the answer" : "before it was sent");
}

void mr_transfer_wipe(struct mr_transfer *transfer)
{
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(transfer->easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, NULL);
    for (struct curl_slist *item = transfer->headers; item; item = item->next)
        explicit_bzero(item->data, strlen(item->data));
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
}
