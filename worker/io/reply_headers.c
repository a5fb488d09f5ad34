#include "worker/io/reply_headers.h"

#include "worker/io/retry_after.h"

#include <string.h>
#include <strings.h>

#define VALUE_MAX 129

/* Where the id of a request may stand. Gateways add theirs: the provider's own goes first. */
static const char *const id_names[] = {
    "x-request-id",      /* OpenAI and most others */
    "request-id",        /* Anthropic */
    "apim-request-id",   /* Azure's gateway */
    "x-amzn-requestid",  /* Amazon */
    "x-ms-request-id",   /* Azure */
    "x-goog-request-id", /* Google */
};

static bool is(const char *name, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(name, word, n) == 0;
}

/* [at, end) up to its first control character, without the blanks around it; '?' for each byte that
 * is not ASCII, so that half a value is not taken for a whole one. */
static void copy_value(const char *at, const char *end, char ret[static VALUE_MAX])
{
    size_t used = 0;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    for (; at < end && used + 1 < VALUE_MAX && (unsigned char)*at >= 0x20; at++)
        ret[used++] = (unsigned char)*at < 0x7f ? *at : '?';
    while (used > 0 && ret[used - 1] == ' ')
        used--;
    ret[used] = '\0';
}

static void note_retry_after(
    struct mr_reply_headers *headers, bool exact, const char *value, int64_t wall_ms)
{
    int64_t ms = mr_retry_after_parse(value, exact ? 1 : 1000, wall_ms);
    if (ms < 0 || (headers->retry_after_exact && !exact))
        return;
    headers->retry_after_ms = ms;
    headers->retry_after_exact = exact;
}

static bool note_id(struct mr_reply_headers *headers, const char *name, size_t n, const char *value)
{
    unsigned count = sizeof(id_names) / sizeof(id_names[0]), i = 0;
    while (i < count && !is(name, n, id_names[i]))
        i++;
    if (i == count)
        return false;
    unsigned rank = i + 1;
    if (value[0] && (headers->id_rank == 0 || rank <= headers->id_rank)) {
        memcpy(headers->request_id, value, strlen(value) + 1);
        headers->id_rank = rank;
    }
    return true;
}

void mr_reply_headers_init(struct mr_reply_headers *headers)
{
    *headers = (struct mr_reply_headers){.retry_after_ms = -1, .should_retry = -1};
    mr_rate_seen_init(&headers->rates);
}

void mr_reply_headers_line(
    struct mr_reply_headers *headers, const char *line, size_t n, int64_t wall_ms)
{
    if (n > 5 && strncmp(line, "HTTP/", 5) == 0) {
        mr_reply_headers_init(headers);
        return;
    }
    const char *colon = memchr(line, ':', n);
    if (!colon)
        return;
    size_t len = (size_t)(colon - line);
    char value[VALUE_MAX];
    copy_value(colon + 1, line + n, value);
    if (is(line, len, "content-type")) {
        snprintf(headers->content_type, sizeof(headers->content_type), "%.*s",
            (int)sizeof(headers->content_type) - 1, value);
    } else if (is(line, len, "retry-after-ms")) {
        note_retry_after(headers, true, value, wall_ms);
    } else if (is(line, len, "retry-after")) {
        note_retry_after(headers, false, value, wall_ms);
    } else if (is(line, len, "x-should-retry")) {
        headers->should_retry = strcasecmp(value, "true") == 0    ? 1
                                : strcasecmp(value, "false") == 0 ? 0
                                                                  : -1;
    } else if (!note_id(headers, line, len, value)) {
        mr_rate_seen_note(&headers->rates, line, len, value, wall_ms);
    }
}

void mr_reply_headers_read(const struct mr_reply_headers *headers, struct mr_reply *reply)
{
    reply->retry_after_ms = headers->retry_after_ms;
    reply->should_retry = headers->should_retry;
    memcpy(reply->content_type, headers->content_type, sizeof(reply->content_type));
    memcpy(reply->request_id, headers->request_id, sizeof(reply->request_id));
    mr_rate_seen_read(&headers->rates, &reply->requests, &reply->tokens);
}
