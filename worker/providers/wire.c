#include "worker/providers/wire.h"

#include "common/json.h"
#include "worker/providers/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int put_escaped(struct mr_buf *buf, unsigned char c)
{
    switch (c) {
    case '"':
        return mr_buf_put(buf, "\\\"", 2);
    case '\\':
        return mr_buf_put(buf, "\\\\", 2);
    case '\n':
        return mr_buf_put(buf, "\\n", 2);
    case '\r':
        return mr_buf_put(buf, "\\r", 2);
    case '\t':
        return mr_buf_put(buf, "\\t", 2);
    default:
        return mr_buf_printf(buf, "\\u%04x", c);
    }
}

static int put_inside(struct mr_buf *buf, const char *s, size_t n)
{
    size_t at = 0, plain = 0;
    int rc = 0;
    while (at < n && rc == 0) {
        unsigned char c = (unsigned char)s[at];
        uint32_t cp = c;
        size_t len = c < 0x80 ? 1 : mr_utf8_next(s + at, n - at, &cp);
        bool bad = len == 1 && c >= 0x80;
        if (!bad && c >= 0x20 && c != '"' && c != '\\') {
            at += len;
            continue;
        }
        if (at > plain)
            rc = mr_buf_put(buf, s + plain, at - plain);
        if (rc == 0)
            rc = bad ? mr_buf_put(buf, "\xef\xbf\xbd", 3) : put_escaped(buf, c);
        plain = ++at;
    }
    return rc == 0 && n > plain ? mr_buf_put(buf, s + plain, n - plain) : rc;
}

int mr_wire_string(struct mr_buf *buf, const char *s, size_t n)
{
    int rc = mr_buf_putc(buf, '"');
    if (rc == 0)
        rc = put_inside(buf, s, n);
    return rc == 0 ? mr_buf_putc(buf, '"') : rc;
}

bool mr_wire_has(const struct mr_chat *chat, enum mr_chat_role role)
{
    for (size_t i = 0; i < chat->nmessages; i++)
        if (chat->messages[i].role == role)
            return true;
    return false;
}

static int put_piece(struct mr_buf *buf, const char *s, size_t n, const char **gap)
{
    int rc = mr_buf_puts(buf, *gap);
    *gap = "\\n\\n";
    return rc == 0 ? put_inside(buf, s, n) : rc;
}

static int put_role(
    struct mr_buf *buf, const struct mr_chat *chat, enum mr_chat_role role, const char **gap)
{
    int rc = 0;
    for (size_t i = 0; i < chat->nmessages && rc == 0; i++)
        if (chat->messages[i].role == role)
            rc = put_piece(buf, chat->messages[i].text, chat->messages[i].len, gap);
    return rc;
}

int mr_wire_messages(
    struct mr_buf *buf, const struct mr_chat *chat, enum mr_chat_role role, const char *more)
{
    const char *gap = "";
    int rc = mr_buf_putc(buf, '"');
    if (rc == 0)
        rc = put_role(buf, chat, role, &gap);
    if (rc == 0 && more)
        rc = put_piece(buf, more, strlen(more), &gap);
    return rc == 0 ? mr_buf_putc(buf, '"') : rc;
}

int mr_wire_all(struct mr_buf *buf, const struct mr_chat *chat, const char *more)
{
    const char *gap = "";
    int rc = mr_buf_putc(buf, '"');
    if (rc == 0)
        rc = put_role(buf, chat, MR_ROLE_SYSTEM, &gap);
    if (rc == 0 && more)
        rc = put_piece(buf, more, strlen(more), &gap);
    if (rc == 0)
        rc = put_role(buf, chat, MR_ROLE_USER, &gap);
    return rc == 0 ? mr_buf_putc(buf, '"') : rc;
}

bool mr_wire_listed(const char *const *list, const char *word)
{
    for (; list && *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

int mr_wire_params(struct mr_buf *buf, const json_t *params, const char *const *accepts,
    const char *const *reserved)
{
    const char *key;
    json_t *value;
    int rc = 0;
    json_object_foreach((json_t *)params, key, value)
    {
        if (!mr_wire_listed(accepts, key) || mr_wire_listed(reserved, key))
            continue;
        rc = mr_buf_putc(buf, ',');
        if (rc == 0)
            rc = mr_wire_string(buf, key, strlen(key));
        if (rc == 0)
            rc = mr_buf_putc(buf, ':');
        if (rc == 0)
            rc = mr_json_dump(value, buf);
        if (rc != 0)
            return rc;
    }
    return 0;
}

char *mr_wire_instruction(const struct mr_chat *chat)
{
    char *text;
    return asprintf(&text,
               "Answer with one JSON value and nothing else. It conforms to this JSON Schema:\n%s",
               chat->schema_text) < 0
               ? NULL
               : text;
}

struct mr_request mr_wire_begin(
    const struct mr_endpoint *endpoint, struct mr_chat *chat, enum mr_auth auth, int64_t timeout_ms)
{
    return (struct mr_request){.endpoint = endpoint,
        .chat = chat,
        .auth = endpoint->key ? auth : MR_AUTH_NONE,
        .timeout_ms = timeout_ms,
        .body = MR_BUF_INIT(MR_REQUEST_MAX)};
}

int mr_wire_end(struct mr_request *request, const char *path, int rc, struct mr_request *ret,
    struct mr_err *err)
{
    if (rc == 0 && asprintf(&request->url, "%s%s", request->endpoint->base_url, path) < 0) {
        request->url = NULL;
        rc = -ENOMEM;
    }
    if (rc == 0) {
        *ret = *request;
        return 0;
    }
    size_t size = request->body.len;
    mr_request_deinit(request);
    if (rc == -EMSGSIZE)
        return mr_err_set(err, rc, MR_CLASS_INVALID,
            "the request is larger than %u MiB; shorten the text with {{...|N}}",
            MR_REQUEST_MAX >> 20);
    return mr_err_set(
        err, rc, MR_CLASS_INTERNAL, "out of memory after %zu bytes of a request", size);
}

int64_t mr_wire_count(const json_t *object, const char *key)
{
    return mr_wire_number(json_object_get(object, key));
}

int64_t mr_wire_number(const json_t *value)
{
    double count = json_is_number(value) ? json_number_value(value) : -1;
    return count >= 0 && count < 1e12 ? (int64_t)count : -1;
}

int64_t mr_wire_count_or_0(const json_t *object, const char *key)
{
    int64_t count = mr_wire_count(object, key);
    return count < 0 ? 0 : count;
}

void mr_wire_served(struct mr_answer *answer, const json_t *model, const json_t *tier)
{
    static const char *const usual[] = {
        "default", "standard", "auto", "on_demand", "global", "not_available", NULL};
    char word[17];
    if (model)
        mr_wire_copy(answer->served_model, sizeof(answer->served_model), model);
    mr_wire_copy(word, sizeof(word), tier);
    size_t n = strlen(answer->served_model);
    if (word[0] && !mr_wire_listed(usual, word))
        snprintf(answer->served_model + n, sizeof(answer->served_model) - n, " (%s)", word);
}

void mr_wire_copy(char *ret, size_t size, const json_t *string)
{
    mr_utf8_copy(ret, size, json_string_value(string));
}

void mr_wire_estimate(struct mr_answer *answer, const struct mr_request *request, size_t text_len)
{
    answer->usage = (struct mr_usage){
        .input = (mr_chat_prompt_bytes(request) + 2) / 3, .output = ((int64_t)text_len + 2) / 3};
    answer->usage_estimated = true;
}
