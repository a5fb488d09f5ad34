/* Message headers both ways, driven by one table. Only headers of our own are ever written, so
 * x-death and its kin never survive a publish: RabbitMQ 3.10 would read them as a cycle and drop
 * the message. */
#include "common/amqp.h"
#include "common/json.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1024 /* bytes of a decoded header */

static const struct field {
    const char *name;
    enum { TEXT, INT32, TIME } kind;
    size_t at; /* in struct mr_headers */
} fields[] = {
    {MR_HEADER_TENANT, TEXT, offsetof(struct mr_headers, tenant)},
    {"x-millrace-pipeline", TEXT, offsetof(struct mr_headers, pipeline)},
    {"x-millrace-priority", INT32, offsetof(struct mr_headers, priority)},
    {MR_HEADER_HOPS, INT32, offsetof(struct mr_headers, hops)},
    {MR_HEADER_REPLAY, INT32, offsetof(struct mr_headers, replay)},
    {"x-millrace-step", TEXT, offsetof(struct mr_headers, step)},
    {"x-millrace-attempts", INT32, offsetof(struct mr_headers, attempts)},
    {"x-millrace-error-class", TEXT, offsetof(struct mr_headers, class)},
    {"x-millrace-error", TEXT, offsetof(struct mr_headers, message)},
    {"x-millrace-worker", TEXT, offsetof(struct mr_headers, worker)},
    {"x-millrace-died-at", TIME, offsetof(struct mr_headers, died_ms)},
    {"x-millrace-spent-usd", TEXT, offsetof(struct mr_headers, spent_usd)},
    {"x-millrace-origin", TEXT, offsetof(struct mr_headers, origin)},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static_assert(FIELDS == MR_HEADERS_COUNT, "one table entry per header");
static_assert(sizeof(int) == sizeof(int32_t), "priority is stored like the other numbers");

static const void *field_of(const struct mr_headers *headers, const struct field *field)
{
    return (const char *)headers + field->at;
}

static void *field_in(struct mr_headers *headers, const struct field *field)
{
    return (char *)headers + field->at;
}

/* Fills the value; false when there is nothing to say. */
static bool encode_field(const struct field *field, const struct mr_headers *headers,
    char time[static MR_TIME_LEN], amqp_field_value_t *value)
{
    const char *text = NULL;
    int32_t number;
    int64_t ms;
    switch (field->kind) {
    case INT32:
        memcpy(&number, field_of(headers, field), sizeof(number));
        value->kind = AMQP_FIELD_KIND_I32;
        value->value.i32 = number;
        return number != 0;
    case TIME:
        memcpy(&ms, field_of(headers, field), sizeof(ms));
        if (ms == 0)
            return false;
        mr_time_format(ms, time);
        text = time;
        break;
    case TEXT:
        memcpy(&text, field_of(headers, field), sizeof(text));
        break;
    }
    value->kind = AMQP_FIELD_KIND_UTF8;
    value->value.bytes = amqp_cstring_bytes(text ? text : "");
    return text != NULL;
}

void mr_headers_encode(const struct mr_headers *headers, struct mr_properties *ret)
{
    static const struct mr_uuid none;
    amqp_basic_properties_t *props = &ret->props;

    memset(props, 0, sizeof(*props));
    props->_flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
    props->content_type = amqp_cstring_bytes("application/json");
    props->delivery_mode = AMQP_DELIVERY_PERSISTENT;
    if (!headers)
        return;
    if (!mr_uuid_equal(&headers->id, &none)) {
        mr_uuid_format(&headers->id, ret->id);
        props->_flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        props->message_id = (amqp_bytes_t){.len = MR_UUID_LEN - 1, .bytes = ret->id};
    }
    int n = 0;
    for (size_t i = 0; i < FIELDS; i++) {
        amqp_table_entry_t *entry = &ret->entries[n];
        if (encode_field(&fields[i], headers, ret->time, &entry->value)) {
            entry->key = amqp_cstring_bytes(fields[i].name);
            n++;
        }
    }
    if (n > 0) {
        props->_flags |= AMQP_BASIC_HEADERS_FLAG;
        props->headers = (amqp_table_t){.num_entries = n, .entries = ret->entries};
    }
}

static const amqp_field_value_t *find(const amqp_basic_properties_t *props, const char *name)
{
    if (!(props->_flags & AMQP_BASIC_HEADERS_FLAG))
        return NULL;
    size_t n = strlen(name);
    for (int i = 0; i < props->headers.num_entries; i++) {
        const amqp_table_entry_t *entry = &props->headers.entries[i];
        if (entry->key.len == n && memcmp(entry->key.bytes, name, n) == 0)
            return &entry->value;
    }
    return NULL;
}

/* Other clients choose other widths. */
static int64_t number_of(const amqp_field_value_t *value)
{
    switch (value->kind) {
    case AMQP_FIELD_KIND_I8:
        return value->value.i8;
    case AMQP_FIELD_KIND_U8:
        return value->value.u8;
    case AMQP_FIELD_KIND_I16:
        return value->value.i16;
    case AMQP_FIELD_KIND_U16:
        return value->value.u16;
    case AMQP_FIELD_KIND_I32:
        return value->value.i32;
    case AMQP_FIELD_KIND_U32:
        return value->value.u32;
    case AMQP_FIELD_KIND_I64:
        return value->value.i64;
    case AMQP_FIELD_KIND_U64:
        return value->value.u64 > INT32_MAX ? INT32_MAX : (int64_t)value->value.u64;
    default:
        return 0;
    }
}

int32_t mr_header_number(const amqp_basic_properties_t *props, const char *name)
{
    const amqp_field_value_t *value = find(props, name);
    int64_t number = value ? number_of(value) : 0;
    if (number < 0)
        return 0;
    return number > INT32_MAX ? INT32_MAX : (int32_t)number;
}

/* Empty bytes when absent or not text. */
static amqp_bytes_t text_of(const amqp_basic_properties_t *props, const char *name)
{
    const amqp_field_value_t *value = find(props, name);
    if (!value || (value->kind != AMQP_FIELD_KIND_UTF8 && value->kind != AMQP_FIELD_KIND_BYTES))
        return amqp_empty_bytes;
    amqp_bytes_t text = value->value.bytes;
    text.len = mr_utf8_prefix(text.bytes, text.len, TEXT_MAX);
    return text;
}

void mr_header_text(const amqp_basic_properties_t *props, const char *name, char *ret, size_t n)
{
    amqp_bytes_t text = text_of(props, name);
    snprintf(ret, n, "%.*s", (int)text.len, text.len ? (const char *)text.bytes : "");
}

static const char *keep(char **at, amqp_bytes_t text)
{
    if (text.len == 0)
        return NULL;
    char *kept = *at;
    memcpy(kept, text.bytes, text.len);
    kept[text.len] = '\0';
    *at += text.len + 1;
    return kept;
}

static void decode_time(amqp_bytes_t text, int64_t *ret_ms)
{
    char time[64];
    int64_t ms;
    if (text.len == 0 || text.len >= sizeof(time))
        return;
    memcpy(time, text.bytes, text.len);
    time[text.len] = '\0';
    if (mr_time_parse(time, &ms) == 0)
        *ret_ms = ms;
}

static enum mr_class class_of_reason(amqp_bytes_t reason)
{
    if (reason.len == strlen("expired") && memcmp(reason.bytes, "expired", reason.len) == 0)
        return MR_CLASS_DEADLINE;
    if (reason.len == strlen("rejected") && memcmp(reason.bytes, "rejected", reason.len) == 0)
        return MR_CLASS_INVALID;
    return MR_CLASS_REDELIVERED;
}

/* What the broker itself says about a message it gave up: only when no worker did. */
static void decode_first_death(
    const amqp_basic_properties_t *props, char **at, struct mr_headers *headers)
{
    static const char prefix[] = "millrace.";
    amqp_bytes_t reason = text_of(props, "x-first-death-reason");
    amqp_bytes_t queue = text_of(props, "x-first-death-queue");
    if (headers->class || reason.len == 0)
        return;
    headers->message = keep(at, reason);
    headers->class = mr_class_name(class_of_reason(reason));
    if (!headers->origin && queue.len > strlen(prefix) &&
        memcmp(queue.bytes, prefix, strlen(prefix)) == 0) {
        queue.bytes = (char *)queue.bytes + strlen(prefix);
        queue.len -= strlen(prefix);
        headers->origin = keep(at, queue);
    }
}

int mr_headers_decode(const amqp_basic_properties_t *props, struct mr_headers_copy *ret)
{
    size_t room = 2 * (TEXT_MAX + 1); /* of the broker's own words */
    for (size_t i = 0; i < FIELDS; i++)
        if (fields[i].kind == TEXT)
            room += text_of(props, fields[i].name).len + 1;
    char *text = malloc(room), *at = text;
    if (!text)
        return -ENOMEM;

    struct mr_headers headers = {0};
    for (size_t i = 0; i < FIELDS; i++) {
        const struct field *field = &fields[i];
        if (field->kind == INT32) {
            int32_t number = mr_header_number(props, field->name);
            memcpy(field_in(&headers, field), &number, sizeof(number));
        } else if (field->kind == TEXT) {
            const char *kept = keep(&at, text_of(props, field->name));
            memcpy(field_in(&headers, field), &kept, sizeof(kept));
        } else {
            decode_time(text_of(props, field->name), field_in(&headers, field));
        }
    }
    decode_first_death(props, &at, &headers);
    ret->has_id = mr_message_id(props, &headers.id) == 0;
    ret->headers = headers;
    ret->text = text;
    return 0;
}

void mr_headers_copy_deinit(struct mr_headers_copy *copy)
{
    free(copy->text);
    *copy = (struct mr_headers_copy){0};
}

int mr_message_id(const amqp_basic_properties_t *props, struct mr_uuid *ret)
{
    char id[MR_UUID_LEN];
    if (!(props->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) || props->message_id.len != MR_UUID_LEN - 1)
        return -EINVAL;
    memcpy(id, props->message_id.bytes, MR_UUID_LEN - 1);
    id[MR_UUID_LEN - 1] = '\0';
    return mr_uuid_parse(id, ret);
}
