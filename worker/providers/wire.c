#include "worker/providers/wire.h"

#include "common/json.h"
#include "worker/providers/utf8.h"

#include <errno.h>
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

int mr_wire_messages(
    struct mr_buf *buf, const struct mr_chat *chat, enum mr_chat_role role, const char *more)
{
    const char *gap = "";
    int rc = mr_buf_putc(buf, '"');
    for (size_t i = 0; i < chat->nmessages && rc == 0; i++) {
        const struct mr_chat_message *message = &chat->messages[i];
        if (message->role != role)
            continue;
        rc = mr_buf_puts(buf, gap);
        if (rc == 0)
            rc = put_inside(buf, message->text, message->len);
        gap = "\\n\\n";
    }
    if (rc == 0 && more)
        rc = mr_buf_puts(buf, gap);
    if (rc == 0 && more)
        rc = put_inside(buf, more, strlen(more));
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

int mr_wire_refuse(struct mr_request *request, int code, struct mr_err *err)
{
    size_t size = request->body.len;
    mr_request_deinit(request);
    if (code == -EMSGSIZE)
        return mr_err_set(err, code, MR_CLASS_INVALID,
            "the request is larger than %u MiB; shorten the text with {{...|N}}",
            MR_REQUEST_MAX >> 20);
    return mr_err_set(
        err, code, MR_CLASS_INTERNAL, "out of memory after %zu bytes of a request", size);
}

int64_t mr_wire_count(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double count = json_is_number(value) ? json_number_value(value) : -1;
    return count >= 0 && count < 1e12 ? (int64_t)count : -1;
}

void mr_wire_copy(char *ret, size_t size, const json_t *string)
{
    const char *s = json_string_value(string);
    size_t n = s ? mr_utf8_prefix(s, strlen(s), size - 1) : 0;
    if (n > 0)
        memcpy(ret, s, n);
    ret[n] = '\0';
}

void mr_wire_estimate(struct mr_answer *answer, const struct mr_request *request, size_t text_len)
{
    answer->usage = (struct mr_usage){
        .input = (mr_chat_prompt_bytes(request) + 2) / 3, .output = ((int64_t)text_len + 2) / 3};
    answer->usage_estimated = true;
}
