#include "common/envelope.h"

#include "common/base64.h"
#include "common/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What one top-level key does: checks its type and puts its value into the envelope. */
typedef int take_fn(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err);

struct key {
    const char *name;
    take_fn *take;
    bool required;
};

enum mr_lane mr_lane_of_priority(int priority)
{
    return priority >= 8 ? MR_LANE_HIGH : priority >= 4 ? MR_LANE_NORMAL : MR_LANE_LOW;
}

const char *mr_lane_name(enum mr_lane lane)
{
    static const char *const names[MR_LANE_COUNT] = {
        [MR_LANE_HIGH] = "high", [MR_LANE_NORMAL] = "normal", [MR_LANE_LOW] = "low"};
    return (unsigned)lane < MR_LANE_COUNT ? names[lane] : "unknown";
}

void mr_envelope_deinit(struct mr_envelope *envelope)
{
    free(envelope->idempotency_key);
    json_decref(envelope->metadata);
    free(envelope->input);
    free(envelope->input_name);
    free(envelope->input_media_type);
    *envelope = (struct mr_envelope){.input = NULL};
}

static int refuse(struct mr_err *err, const char *key, const char *why)
{
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "%s: %s", key, why);
}

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for an envelope");
}

/* JSON knows no integers apart: 5.0 is 5, for JSON Schema too. */
static bool integral(const json_t *value, json_int_t *ret)
{
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || fabs(real) > 1e15 || real != floor(real))
        return false;
    *ret = (json_int_t)real;
    return true;
}

static int take_string(const char *key, const json_t *value, char **ret, struct mr_err *err)
{
    if (!json_is_string(value))
        return refuse(err, key, "must be a string");
    char *s = strdup(json_string_value(value));
    if (!s)
        return no_memory(err);
    free(*ret);
    *ret = s;
    return 0;
}

static int take_version(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    json_int_t v;
    if (!integral(value, &v))
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "v: must be the integer %d, the envelope version this build understands",
            MR_ENVELOPE_VERSION);
    if (v != MR_ENVELOPE_VERSION)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "v: envelope version %lld is not understood, this build understands version %d",
            (long long)v, MR_ENVELOPE_VERSION);
    return 0;
}

static int take_id(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    const char *s = json_string_value(value);
    if (!s || mr_uuid_parse(s, &to->id) < 0)
        return refuse(err, key, "must be a UUID such as 019357ab-cdef-7123-89ab-0123456789ab");
    return 0;
}

static int take_name(
    const char *key, const json_t *value, char ret[static MR_NAME_MAX + 1], struct mr_err *err)
{
    const char *s = json_string_value(value);
    if (!s)
        return refuse(err, key, "must be a string");
    int r = mr_name_check(key, s, err);
    if (r == 0)
        memcpy(ret, s, strlen(s) + 1);
    return r;
}

static int take_tenant(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    return take_name(key, value, to->tenant, err);
}

static int take_pipeline(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    return take_name(key, value, to->pipeline, err);
}

static int take_priority(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    json_int_t priority;
    if (!integral(value, &priority) || priority < 1 || priority > 10)
        return refuse(err, key, "must be an integer from 1 to 10");
    to->priority = (int)priority;
    return 0;
}

static int take_time(const char *key, const json_t *value, int64_t *ret, struct mr_err *err)
{
    const char *s = json_string_value(value);
    if (!s || mr_time_parse(s, ret) < 0)
        return refuse(err, key, "must be a time such as 2026-11-20T18:00:00Z");
    if (*ret == 0) /* which means none in the struct */
        return refuse(err, key, "the year must be 2000 to 2999");
    return 0;
}

static int take_created(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    return take_time(key, value, &to->created_ms, err);
}

static int take_deadline(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    return take_time(key, value, &to->deadline_ms, err);
}

static int take_idempotency(
    const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    return take_string(key, value, &to->idempotency_key, err);
}

static int take_metadata(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    if (!json_is_object(value))
        return refuse(err, key, "must be an object");
    to->metadata = json_incref(value);
    return 0;
}

static int take_watch(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    if (!json_is_boolean(value))
        return refuse(err, key, "must be true or false");
    to->watch = json_is_true(value);
    return 0;
}

/* The document itself, from one of the three keys that can hold it. */
static int take_document(
    enum mr_input_kind kind, const json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    static const char *const keys[] = {[MR_INPUT_TEXT] = "input.text",
        [MR_INPUT_BYTES] = "input.base64",
        [MR_INPUT_URL] = "input.url"};
    const char *s = json_string_value(value);
    size_t n = json_string_length(value);
    if (!s)
        return refuse(err, keys[kind], "must be a string");
    if (to->input)
        return refuse(err, "input", "holds more than one of text, base64 and url");
    to->input_kind = kind;
    if (kind == MR_INPUT_BYTES) {
        int r = mr_base64_decode(s, n, &to->input, &to->input_len);
        if (r == -EINVAL)
            return refuse(err, keys[kind], "not valid base64 (standard alphabet, padded)");
        return r < 0 ? no_memory(err) : 0;
    }
    to->input = malloc(n + 1);
    if (!to->input)
        return no_memory(err);
    memcpy(to->input, s, n + 1);
    to->input_len = n;
    return 0;
}

static int take_input(const char *key, json_t *value, struct mr_envelope *to, struct mr_err *err)
{
    if (!json_is_object(value))
        return refuse(err, key, "must be an object");
    for (void *i = json_object_iter(value); i; i = json_object_iter_next(value, i)) {
        const char *name = json_object_iter_key(i);
        const json_t *v = json_object_iter_value(i);
        int r;
        if (strcmp(name, "text") == 0)
            r = take_document(MR_INPUT_TEXT, v, to, err);
        else if (strcmp(name, "base64") == 0)
            r = take_document(MR_INPUT_BYTES, v, to, err);
        else if (strcmp(name, "url") == 0)
            r = take_document(MR_INPUT_URL, v, to, err);
        else if (strcmp(name, "name") == 0)
            r = take_string("input.name", v, &to->input_name, err);
        else if (strcmp(name, "media_type") == 0)
            r = take_string("input.media_type", v, &to->input_media_type, err);
        else
            r = mr_err_set(
                err, -EINVAL, MR_CLASS_INVALID, "input: the key \"%.64s\" is not known", name);
        if (r < 0)
            return r;
    }
    return to->input ? 0 : refuse(err, key, "must hold one of text, base64 and url");
}

static const struct key keys[] = {{"v", take_version, true}, {"id", take_id, true},
    {"tenant", take_tenant, true}, {"pipeline", take_pipeline, true}, {"input", take_input, true},
    {"priority", take_priority, false}, {"created_at", take_created, false},
    {"deadline", take_deadline, false}, {"idempotency_key", take_idempotency, false},
    {"metadata", take_metadata, false}, {"watch", take_watch, false}};
#define NKEYS (sizeof(keys) / sizeof(keys[0]))

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < NKEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static int take_all(json_t *root, struct mr_envelope *to, struct mr_err *err)
{
    /* The version first: what another version's keys mean is not for us to judge. */
    json_t *version = json_object_get(root, "v");
    int r = version ? take_version("v", version, to, err) : 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < NKEYS; i++)
        if (keys[i].required && !json_object_get(root, keys[i].name))
            return refuse(err, keys[i].name, "is missing");
    for (void *i = json_object_iter(root); i; i = json_object_iter_next(root, i)) {
        const struct key *key = find_key(json_object_iter_key(i));
        if (!key)
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "the key \"%.64s\" is not known",
                json_object_iter_key(i));
        r = key->take(key->name, json_object_iter_value(i), to, err);
        if (r < 0)
            return r;
    }
    if (!to->metadata && !(to->metadata = json_object()))
        return no_memory(err);
    return mr_envelope_check(to, err);
}

static void salvage(const char *body, size_t n, const json_t *root, struct mr_envelope_salvage *ret)
{
    struct mr_envelope_salvage found = {.tenant = "", .pipeline = ""};
    const char *id = json_string_value(json_object_get(root, "id"));
    if (!id || mr_uuid_parse(id, &found.id) < 0)
        found.id = mr_uuid_of_bytes(body, n);
    int bad_tenant = take_name("tenant", json_object_get(root, "tenant"), found.tenant, NULL);
    int bad_pipeline =
        take_name("pipeline", json_object_get(root, "pipeline"), found.pipeline, NULL);
    (void)bad_tenant; /* a name that is no good stays "" */
    (void)bad_pipeline;
    *ret = found;
}

int mr_envelope_parse(const char *body, size_t n, struct mr_envelope *ret,
    struct mr_envelope_salvage *ret_salvage, struct mr_err *err)
{
    json_t *root MR_CLEANUP(mr_json_decrefp) = NULL;
    int r = mr_json_parse(body, n, MR_ENVELOPE_MAX_DEPTH, &root, err);
    struct mr_envelope envelope = {.priority = MR_ENVELOPE_DEFAULT_PRIORITY};
    if (r == 0 && !json_is_object(root))
        r = mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "the envelope must be a JSON object");
    if (r == 0)
        r = take_all(root, &envelope, err);
    if (ret_salvage)
        salvage(body, n, root, ret_salvage);
    if (r < 0) {
        mr_envelope_deinit(&envelope);
        return r;
    }
    *ret = envelope;
    return 0;
}
