/* POST {base}/messages, Anthropic's Messages API. */
#include "worker/providers/wire.h"

#include "common/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define API_VERSION "anthropic-version: 2023-06-01"

/* Newer models answer 400 to sampling parameters, and output_config.format takes a narrow subset of
 * JSON Schema only: both are for those who list them in `accepts`. */
static const char *const accepts_default[] = {"stop_sequences", "thinking", NULL};
static const char *const reserved[] = {
    "model", "messages", "system", "max_tokens", "stream", "output_config", "service_tier", NULL};

#define ACCEPTS_MAX 64

static int put_system(struct mr_buf *buf, const struct mr_chat *chat, bool native)
{
    char *more = NULL;
    if (chat->schema_text && !native &&
        asprintf(&more,
            "Answer with one JSON value and nothing else. It conforms to this JSON Schema:\n%s",
            chat->schema_text) < 0)
        return -ENOMEM;
    int rc = 0;
    if (more || mr_wire_has(chat, MR_ROLE_SYSTEM)) {
        rc = mr_buf_puts(buf, ",\"system\":");
        if (rc == 0)
            rc = mr_wire_messages(buf, chat, MR_ROLE_SYSTEM, more);
    }
    free(more);
    return rc;
}

static int put_body(struct mr_buf *buf, const struct mr_chat *chat, const char *const *accepts)
{
    const struct mr_model *model = chat->model;
    bool native = mr_wire_listed(accepts, "output_config");
    int rc = mr_buf_puts(buf, "{\"model\":");
    if (rc == 0)
        rc = mr_wire_string(buf, model->model, strlen(model->model));
    if (rc == 0)
        rc = mr_buf_printf(buf, ",\"max_tokens\":%d", chat->max_tokens);
    if (rc == 0)
        rc = put_system(buf, chat, native);
    if (rc == 0)
        rc = mr_buf_puts(buf, ",\"messages\":[{\"role\":\"user\",\"content\":");
    if (rc == 0)
        rc = mr_wire_messages(buf, chat, MR_ROLE_USER, NULL);
    if (rc == 0)
        rc = mr_buf_puts(buf, "}]");
    if (rc == 0 && chat->schema_text && native)
        rc = mr_buf_printf(buf,
            ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":%s}}",
            chat->schema_text);
    if (rc == 0)
        rc = mr_wire_params(buf, model->params, accepts, reserved);
    return rc == 0 ? mr_buf_putc(buf, '}') : rc;
}

static int encode(const struct mr_provider *provider, struct mr_chat *chat, int64_t timeout_ms,
    struct mr_request *ret, struct mr_err *err)
{
    struct mr_request request = {.provider = provider,
        .chat = chat,
        .auth = provider->key ? MR_AUTH_X_API_KEY : MR_AUTH_NONE,
        .timeout_ms = timeout_ms};
    mr_buf_init(&request.body, MR_REQUEST_MAX);
    const char *own[ACCEPTS_MAX + 1] = {NULL};
    const struct mr_strv *listed = &chat->model->accepts;
    for (size_t i = 0; i < listed->count && i < ACCEPTS_MAX; i++)
        own[i] = listed->items[i];
    int rc = put_body(&request.body, chat, own[0] ? own : accepts_default);
    if (rc == 0 && asprintf(&request.url, "%s/messages", provider->base_url) < 0) {
        request.url = NULL;
        rc = -ENOMEM;
    }
    if (rc == 0 && !(request.headers[0] = strdup(API_VERSION)))
        rc = -ENOMEM;
    if (rc != 0)
        return mr_wire_refuse(&request, rc, err);
    *ret = request;
    return 0;
}

static int64_t or_zero(int64_t count)
{
    return count < 0 ? 0 : count;
}

/* The buckets are exclusive already; output_tokens includes thinking. */
static void read_usage(
    const json_t *root, struct mr_answer *ret, const struct mr_request *request, size_t text_len)
{
    const json_t *usage = json_object_get(root, "usage");
    int64_t input = mr_wire_count(usage, "input_tokens");
    int64_t output = mr_wire_count(usage, "output_tokens");
    if (input < 0 || output < 0) {
        mr_wire_estimate(ret, request, text_len);
        return;
    }
    const json_t *split = json_object_get(usage, "cache_creation");
    const json_t *details = json_object_get(usage, "output_tokens_details");
    int64_t written = or_zero(mr_wire_count(usage, "cache_creation_input_tokens"));
    int64_t hour = or_zero(mr_wire_count(split, "ephemeral_1h_input_tokens"));
    if (hour > written)
        written = hour;
    ret->usage = (struct mr_usage){.input = input,
        .cached = or_zero(mr_wire_count(usage, "cache_read_input_tokens")),
        .cache_write = written - hour,
        .cache_write_1h = hour,
        .output = output,
        .reasoning = or_zero(mr_wire_count(details, "thinking_tokens"))};
    if (ret->usage.reasoning > output)
        ret->usage.reasoning = output;
}

static int join_content(const json_t *content, struct mr_buf *buf)
{
    size_t i;
    json_t *block;
    json_array_foreach((json_t *)content, i, block)
    {
        const char *type = json_string_value(json_object_get(block, "type"));
        const json_t *text = json_object_get(block, "text");
        if (!type || strcmp(type, "text") != 0 || !json_is_string(text))
            continue;
        int rc = mr_buf_put(buf, json_string_value(text), json_string_length(text));
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void judge_stop(struct mr_answer *ret, const struct mr_request *request, const json_t *root)
{
    const char *stop = ret->finish_reason;
    const json_t *details = json_object_get(root, "stop_details");
    const char *why = json_string_value(json_object_get(details, "explanation"));
    if (strcmp(stop, "refusal") == 0)
        mr_wire_fail(
            ret, request, MR_CLASS_REFUSED, "refused: %.400s", why ? why : "no explanation given");
    else if (strcmp(stop, "max_tokens") == 0)
        mr_wire_fail(ret, request, MR_CLASS_BAD_OUTPUT,
            "the answer was cut off at its limit of %d tokens; raise max_tokens",
            request->chat ? request->chat->max_tokens : 0);
    else if (stop[0] && strcmp(stop, "end_turn") != 0 && strcmp(stop, "stop_sequence") != 0)
        mr_wire_fail(
            ret, request, MR_CLASS_BAD_OUTPUT, "the answer ended with stop_reason %s", stop);
}

static void decode(
    const struct mr_request *request, const struct mr_reply *reply, struct mr_answer *ret)
{
    json_t *root MR_CLEANUP(mr_json_decrefp) = mr_wire_open(request, reply, ret);
    if (!root)
        return;
    struct mr_buf text MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(MR_REPLY_MAX);
    int rc = join_content(json_object_get(root, "content"), &text);
    ret->billed = true;
    mr_wire_copy(ret->served_model, sizeof(ret->served_model), json_object_get(root, "model"));
    mr_wire_copy(
        ret->finish_reason, sizeof(ret->finish_reason), json_object_get(root, "stop_reason"));
    read_usage(root, ret, request, text.len);
    judge_stop(ret, request, root);
    if (ret->class != MR_CLASS_NONE)
        return;
    if (rc != 0)
        mr_wire_fail(ret, request, MR_CLASS_INTERNAL, "no memory for an answer");
    else
        mr_wire_text(ret, request, text.data ? text.data : "", text.len);
}

const struct mr_codec mr_codec_anthropic = {
    .name = "anthropic", .encode = encode, .decode = decode};
