/* The rules for an envelope's values: schemas/job.schema.json in C. Both say the same, and
 * tests/unit/common/test_envelope.c holds them to it. */
#include "common/envelope.h"
#include "common/json.h"

#include <errno.h>
#include <string.h>

#define TIME_MIN_MS 946684800000ll   /* 2000-01-01T00:00:00Z */
#define TIME_END_MS 32503680000000ll /* 3000-01-01T00:00:00Z */

static int refuse(struct mr_err *err, const char *field, const char *why)
{
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "%s: %s", field, why);
}

static bool has_control(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return true;
    return false;
}

/* 1 to max characters of UTF-8 without control characters. */
static int check_line(const char *field, const char *s, size_t max, struct mr_err *err)
{
    size_t n = strlen(s);
    if (n == 0)
        return refuse(err, field, "must not be empty");
    if (!mr_utf8_valid(s, n))
        return refuse(err, field, "not valid UTF-8");
    if (mr_utf8_prefix_chars(s, n, max) < n)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "%s: longer than %zu characters", field, max);
    if (has_control(s, n))
        return refuse(err, field, "control characters are not allowed");
    return 0;
}

static int check_time(const char *field, int64_t ms, struct mr_err *err)
{
    if (ms != 0 && (ms < TIME_MIN_MS || ms >= TIME_END_MS))
        return refuse(err, field, "the year must be 2000 to 2999");
    return 0;
}

static int check_entry(const char *key, const json_t *value, struct mr_err *err)
{
    size_t n = strlen(key);
    if (n == 0)
        return refuse(err, "metadata", "a key must not be empty");
    if (!mr_utf8_valid(key, n) || mr_utf8_prefix_chars(key, n, MR_METADATA_KEY_MAX) < n)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "metadata: the key \"%.64s...\" is longer than %d characters", key,
            MR_METADATA_KEY_MAX);
    if (json_is_string(value)) {
        const char *s = json_string_value(value);
        size_t len = json_string_length(value);
        if (mr_utf8_prefix_chars(s, len, MR_METADATA_VALUE_MAX) < len)
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
                "metadata.%s: longer than %d characters", key, MR_METADATA_VALUE_MAX);
        if (memchr(s, '\0', len))
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "metadata.%s: holds a NUL", key);
    } else if (!json_is_number(value) && !json_is_boolean(value)) {
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "metadata.%s: must be a string, a number or a boolean", key);
    }
    return 0;
}

static int check_metadata(const json_t *metadata, struct mr_err *err)
{
    if (!json_is_object(metadata))
        return refuse(err, "metadata", "must be an object");
    if (json_object_size(metadata) > MR_METADATA_MAX)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "metadata: more than %d entries", MR_METADATA_MAX);
    json_t *object = (json_t *)metadata; /* jansson's iterator takes no const */
    for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
        int r = check_entry(json_object_iter_key(i), json_object_iter_value(i), err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_url(const char *url, size_t n, struct mr_err *err)
{
    if (n > MR_URL_MAX)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "input.url: longer than %d bytes", MR_URL_MAX);
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    if (scheme == 0 || scheme == n)
        return refuse(err, "input.url", "must begin with https:// or http://");
    for (size_t i = 0; i < n; i++)
        if (url[i] <= ' ' || url[i] > '~')
            return refuse(err, "input.url",
                "spaces, control and non-ASCII characters must be percent-encoded");
    return 0;
}

/* The characters of a media type's two names. */
static size_t media_name(const char *s)
{
    return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&^_.+-");
}

static int check_media_type(const char *s, struct mr_err *err)
{
    const char *field = "input.media_type";
    if (strlen(s) > MR_MEDIA_TYPE_MAX)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "%s: longer than %d bytes", field, MR_MEDIA_TYPE_MAX);
    size_t type = media_name(s);
    size_t sub = type > 0 && s[type] == '/' ? media_name(s + type + 1) : 0;
    const char *rest = s + type + 1 + sub;
    if (sub == 0 || (*rest && *rest != ';' && *rest != ' '))
        return refuse(err, field, "must look like \"text/plain\"");
    for (; *rest; rest++)
        if (*rest < ' ' || *rest > '~')
            return refuse(err, field, "only printable ASCII is allowed");
    return 0;
}

static int check_input(const struct mr_envelope *envelope, struct mr_err *err)
{
    int r = 0;
    const char *s = envelope->input;
    size_t n = envelope->input_len;
    static const char *const fields[] = {[MR_INPUT_TEXT] = "input.text",
        [MR_INPUT_BYTES] = "input.base64",
        [MR_INPUT_URL] = "input.url"};
    if (!s || n == 0)
        return refuse(err, fields[envelope->input_kind], "the document is empty");
    if (envelope->input_kind == MR_INPUT_TEXT && !mr_utf8_valid(s, n))
        return refuse(err, "input.text", "not valid UTF-8 (send it as bytes)");
    if (envelope->input_kind == MR_INPUT_TEXT && memchr(s, '\0', n))
        return refuse(err, "input.text", "holds a NUL character (send it as bytes)");
    if (envelope->input_kind == MR_INPUT_URL)
        r = check_url(s, n, err);
    if (r == 0 && envelope->input_name) {
        const char *name = envelope->input_name;
        r = check_line("input.name", name, MR_INPUT_NAME_MAX, err);
        if (r == 0 && (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
            r = refuse(err, "input.name", "must be a file name without directories");
    }
    if (r == 0 && envelope->input_media_type)
        r = check_media_type(envelope->input_media_type, err);
    return r;
}

int mr_envelope_check(const struct mr_envelope *envelope, struct mr_err *err)
{
    int r = mr_name_check("tenant", envelope->tenant, err);
    if (r == 0)
        r = mr_name_check("pipeline", envelope->pipeline, err);
    if (r == 0 && (envelope->priority < 1 || envelope->priority > 10))
        r = refuse(err, "priority", "must be an integer from 1 to 10");
    if (r == 0)
        r = check_time("created_at", envelope->created_ms, err);
    if (r == 0)
        r = check_time("deadline", envelope->deadline_ms, err);
    if (r == 0 && envelope->idempotency_key)
        r = check_line("idempotency_key", envelope->idempotency_key, MR_IDEMPOTENCY_KEY_MAX, err);
    if (r == 0)
        r = check_metadata(envelope->metadata, err);
    return r < 0 ? r : check_input(envelope, err);
}
