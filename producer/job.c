#include "producer/job.h"
#include "common/json.h"
#include "producer/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LONGEST 255 /* bytes of a document's name that travel with it */

/* Room for the body of the largest document: base64, or text in which every byte is escaped. */
static size_t body_max(const struct mr_config *config)
{
    return 6 * (size_t)config->producer.inline_max_bytes + (1u << 20);
}

/* "<source>: <text>", or the text alone. Returns code. */
static int fail(
    struct mr_err *err, int code, enum mr_class class, const char *source, const char *text)
{
    return mr_err_set(err, code, class, "%s%s%s", source, *source ? ": " : "", text);
}

int mr_job_too_large(const struct mr_config *config, const char *source, struct mr_err *err)
{
    char text[256];
    snprintf(text, sizeof(text),
        "larger than %lld bytes, the most a message carries (producer.inline_max_bytes); put it "
        "where workers can fetch it and use %s",
        (long long)config->producer.inline_max_bytes, *source ? "--url" : "input.url");
    return fail(err, -EMSGSIZE, MR_CLASS_INVALID, *source ? source : "input", text);
}

static int check_size(const struct mr_job_plan *plan, const char *source,
    const struct mr_envelope *envelope, struct mr_err *err)
{
    if (envelope->input_kind != MR_INPUT_URL &&
        envelope->input_len > (size_t)plan->config->producer.inline_max_bytes)
        return mr_job_too_large(plan->config, source, err);
    return 0;
}

static int unknown_pipeline(
    const struct mr_config *config, const char *source, const char *name, struct mr_err *err)
{
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < config->npipelines && used < sizeof(known); i++)
        if (i == 0 || strcmp(config->pipelines[i].name, config->pipelines[i - 1].name) != 0)
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
                config->pipelines[i].name);
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
        "%s%spipeline: %s is not in the configuration, which has %s", source, *source ? ": " : "",
        name, known);
}

/* What a worker would only find out later. */
static bool is_blank(const struct mr_envelope *envelope)
{
    static const char blanks[] = {' ', '\t', '\r', '\n', '\f', '\v'};
    if (envelope->input_kind != MR_INPUT_TEXT)
        return false;
    size_t n = 0; /* the input need not end with a NUL */
    while (n < envelope->input_len && memchr(blanks, envelope->input[n], sizeof(blanks)))
        n++;
    return n == envelope->input_len;
}

/* The envelope as a message: its lane, its body. */
static int ship(const struct mr_job_plan *plan, const char *source,
    const struct mr_envelope *envelope, struct mr_shipment **ret, struct mr_err *err)
{
    const struct mr_pipeline *pipeline = mr_config_pipeline(plan->config, envelope->pipeline, 0);
    if (!pipeline)
        return unknown_pipeline(plan->config, source, envelope->pipeline, err);
    if (is_blank(envelope))
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "%s: the document holds nothing but blanks", source);
    int r = check_size(plan, source, envelope, err);
    if (r < 0)
        return r;
    struct mr_buf body = MR_BUF_INIT(body_max(plan->config));
    struct mr_shipment *shipment = calloc(1, sizeof(*shipment));
    char *name = strdup(source);
    r = shipment && name ? mr_envelope_write(envelope, &body) : -ENOMEM;
    if (r < 0) {
        free(name);
        free(shipment);
        mr_buf_deinit(&body);
        return fail(err, r, MR_CLASS_INTERNAL, source, strerror(-r));
    }
    shipment->id = envelope->id;
    memcpy(shipment->tenant, envelope->tenant, sizeof(shipment->tenant));
    memcpy(shipment->pipeline, envelope->pipeline, sizeof(shipment->pipeline));
    shipment->priority = envelope->priority;
    shipment->source = name;
    shipment->len = body.len;
    shipment->body = mr_buf_steal(&body, &shipment->len);
    snprintf(shipment->pool, sizeof(shipment->pool), "%s", pipeline->steps[0].pool);
    shipment->lane = mr_lane_of_priority(envelope->priority);
    *ret = shipment;
    return 0;
}

/* An envelope around an input. The input and its names are borrowed: never deinit it. */
static struct mr_envelope around(
    const struct mr_job_plan *plan, enum mr_input_kind kind, const char *input, size_t n)
{
    struct mr_envelope envelope = {.id = mr_uuid7(&plan->clock, &plan->random),
        .priority = plan->priority,
        .created_ms = mr_wall_ms(&plan->clock),
        .deadline_ms = plan->deadline_ms,
        .idempotency_key = (char *)(uintptr_t)plan->idempotency_key,
        .metadata = plan->metadata,
        .watch = plan->watch,
        .input_kind = kind,
        .input = (char *)(uintptr_t)input,
        .input_len = n};
    snprintf(envelope.tenant, sizeof(envelope.tenant), "%s", plan->tenant);
    snprintf(envelope.pipeline, sizeof(envelope.pipeline), "%s", plan->pipeline);
    return envelope;
}

static int check_and_ship(const struct mr_job_plan *plan, const char *source,
    const struct mr_envelope *envelope, struct mr_shipment **ret, struct mr_err *err)
{
    int r = check_size(plan, source, envelope, err);
    if (r < 0)
        return r;
    r = mr_envelope_check(envelope, err);
    if (r < 0)
        return mr_err_prefix(err, r, "%s", source);
    return ship(plan, source, envelope, ret, err);
}

int mr_job_of_text(const struct mr_job_plan *plan, const char *source, const char *text, size_t n,
    struct mr_shipment **ret, struct mr_err *err)
{
    struct mr_envelope envelope = around(plan, MR_INPUT_TEXT, text, n);
    return check_and_ship(plan, source, &envelope, ret, err);
}

int mr_job_of_url(
    const struct mr_job_plan *plan, const char *url, struct mr_shipment **ret, struct mr_err *err)
{
    struct mr_envelope envelope = around(plan, MR_INPUT_URL, url, strlen(url));
    return check_and_ship(plan, url, &envelope, ret, err);
}

/* The file's name as it may travel: cut, and without what an envelope refuses. */
static void travel_name(const char *name, char ret[static NAME_LONGEST + 1])
{
    size_t n = mr_utf8_prefix(name, strlen(name), NAME_LONGEST);
    snprintf(ret, NAME_LONGEST + 1, "%.*s", (int)n, name);
    for (char *p = ret; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '_';
}

int mr_job_of_document(const struct mr_job_plan *plan, const char *source, const char *path,
    const char *bytes, size_t n, struct mr_shipment **ret, struct mr_err *err)
{
    const char *slash = path ? strrchr(path, '/') : NULL, *name = slash ? slash + 1 : path;
    const char *media = mr_input_media_type(name, bytes, n);
    bool is_text = mr_utf8_valid(bytes, n) && !memchr(bytes, 0, n) &&
                   (strcmp(media, "text/plain") == 0 || strcmp(media, "text/markdown") == 0);
    struct mr_envelope envelope = around(plan, is_text ? MR_INPUT_TEXT : MR_INPUT_BYTES, bytes, n);
    char shown[NAME_LONGEST + 1] = "";
    if (name)
        travel_name(name, shown);
    envelope.input_name = shown[0] ? shown : NULL;
    envelope.input_media_type = (char *)(uintptr_t)media;
    return check_and_ship(plan, source, &envelope, ret, err);
}

/* ---- lines ---- */

static int set_missing(json_t *object, const char *key, json_t *value)
{
    if (!value)
        return -ENOMEM;
    if (json_object_get(object, key)) {
        json_decref(value);
        return 0;
    }
    return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

static int fill_in(const struct mr_job_plan *plan, json_t *object)
{
    char id[MR_UUID_LEN], time[MR_TIME_LEN];
    struct mr_uuid uuid = mr_uuid7(&plan->clock, &plan->random);
    mr_uuid_format(&uuid, id);
    int r = set_missing(object, "v", json_integer(MR_ENVELOPE_VERSION));
    if (r == 0)
        r = set_missing(object, "id", json_string(id));
    if (r == 0)
        r = set_missing(object, "tenant", json_string(plan->tenant));
    if (r == 0)
        r = set_missing(object, "pipeline", json_string(plan->pipeline));
    if (r == 0)
        r = set_missing(object, "priority", json_integer(plan->priority));
    if (r == 0) {
        mr_time_format(mr_wall_ms(&plan->clock), time);
        r = set_missing(object, "created_at", json_string(time));
    }
    if (r == 0 && plan->deadline_ms) {
        mr_time_format(plan->deadline_ms, time);
        r = set_missing(object, "deadline", json_string(time));
    }
    if (r == 0 && json_object_size(plan->metadata) > 0)
        r = set_missing(object, "metadata", json_incref(plan->metadata));
    if (r == 0 && plan->watch)
        r = json_object_set_new(object, "watch", json_true()) < 0 ? -ENOMEM : 0;
    return r;
}

int mr_job_of_object(const struct mr_job_plan *plan, const char *source, json_t *object,
    struct mr_shipment **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf body = MR_BUF_INIT(body_max(plan->config));
    MR_CLEANUP(mr_envelope_deinit) struct mr_envelope envelope = {0};
    struct mr_envelope_salvage salvage;
    if (!json_is_object(object))
        return fail(err, -EINVAL, MR_CLASS_INVALID, source,
            "must be a JSON object such as {\"input\":{\"text\":\"...\"}}");
    int r = fill_in(plan, object);
    if (r == 0)
        r = mr_json_dump(object, &body);
    if (r < 0)
        return fail(err, r, MR_CLASS_INTERNAL, source, strerror(-r));
    r = mr_envelope_parse(body.data, body.len, &envelope, &salvage, err);
    if (r < 0)
        return *source ? mr_err_prefix(err, r, "%s", source) : r;
    return ship(plan, source, &envelope, ret, err);
}

int mr_job_of_line(const struct mr_job_plan *plan, const char *source, const char *line, size_t n,
    struct mr_shipment **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_json_decrefp) json_t *object = NULL;
    int r = mr_json_parse(line, n, MR_ENVELOPE_MAX_DEPTH, &object, err);
    if (r < 0)
        return mr_err_prefix(err, r, "%s", source);
    return mr_job_of_object(plan, source, object, ret, err);
}

int mr_job_metadata(const struct mr_args *args, json_t **ret, struct mr_err *err)
{
    json_t *metadata = json_object();
    const char *pair;
    for (size_t i = 0; (pair = mr_args_nth(args, "metadata", i)); i++) {
        const char *equals = strchr(pair, '=');
        char key[256];
        if (!equals || equals == pair || (size_t)(equals - pair) >= sizeof(key)) {
            json_decref(metadata);
            return mr_err_set(
                err, -EINVAL, MR_CLASS_INVALID, "--metadata %s: must look like key=value", pair);
        }
        snprintf(key, sizeof(key), "%.*s", (int)(equals - pair), pair);
        if (json_object_get(metadata, key)) {
            json_decref(metadata);
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
                "--metadata %s: the key %s is given twice", pair, key);
        }
        if (json_object_set_new(metadata, key, json_string(equals + 1)) < 0) {
            json_decref(metadata);
            return mr_err_set(
                err, -EINVAL, MR_CLASS_INVALID, "--metadata %s: must be valid UTF-8", pair);
        }
    }
    if (!metadata)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    *ret = metadata;
    return 0;
}
