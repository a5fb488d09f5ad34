#include "common/base64.h"
#include "common/envelope.h"
#include "common/json.h"

#include <string.h>

static int put_time(struct mr_buf *buf, const char *key, int64_t ms)
{
    char text[MR_TIME_LEN];
    if (ms == 0)
        return 0;
    mr_time_format(ms, text);
    return mr_buf_printf(buf, ",\"%s\":\"%s\"", key, text);
}

static int put_string(struct mr_buf *buf, const char *key, const char *s)
{
    if (!s)
        return 0;
    int r = mr_buf_printf(buf, ",\"%s\":", key);
    return r < 0 ? r : mr_json_put_string(buf, s, strlen(s));
}

static int put_input(struct mr_buf *buf, const struct mr_envelope *envelope)
{
    int r;
    if (envelope->input_kind == MR_INPUT_BYTES) {
        r = mr_buf_puts(buf, ",\"input\":{\"base64\":\"");
        if (r == 0)
            r = mr_base64_encode(envelope->input, envelope->input_len, buf);
        if (r == 0)
            r = mr_buf_putc(buf, '"');
    } else {
        r = mr_buf_puts(buf, envelope->input_kind == MR_INPUT_URL ? ",\"input\":{\"url\":"
                                                                  : ",\"input\":{\"text\":");
        if (r == 0)
            r = mr_json_put_string(buf, envelope->input, envelope->input_len);
    }
    if (r == 0)
        r = put_string(buf, "name", envelope->input_name);
    if (r == 0)
        r = put_string(buf, "media_type", envelope->input_media_type);
    return r < 0 ? r : mr_buf_puts(buf, "}}");
}

/* The document goes last, so that a person who looks at a message sees the rest first. */
static int put_all(struct mr_buf *buf, const struct mr_envelope *envelope)
{
    char id[MR_UUID_LEN];
    mr_uuid_format(&envelope->id, id);
    int r = mr_buf_printf(buf,
        "{\"v\":%d,\"id\":\"%s\",\"tenant\":\"%s\",\"pipeline\":\"%s\",\"priority\":%d",
        MR_ENVELOPE_VERSION, id, envelope->tenant, envelope->pipeline, envelope->priority);
    if (r == 0)
        r = put_time(buf, "created_at", envelope->created_ms);
    if (r == 0)
        r = put_time(buf, "deadline", envelope->deadline_ms);
    if (r == 0)
        r = put_string(buf, "idempotency_key", envelope->idempotency_key);
    if (r == 0 && envelope->watch)
        r = mr_buf_puts(buf, ",\"watch\":true");
    if (r == 0 && json_object_size(envelope->metadata) > 0) {
        r = mr_buf_puts(buf, ",\"metadata\":");
        if (r == 0)
            r = mr_json_dump(envelope->metadata, buf);
    }
    return r < 0 ? r : put_input(buf, envelope);
}

int mr_envelope_write(const struct mr_envelope *envelope, struct mr_buf *buf)
{
    size_t start = buf->len;
    int r = put_all(buf, envelope);
    if (r < 0) {
        buf->len = start;
        if (buf->data)
            buf->data[start] = '\0';
    }
    return r;
}
