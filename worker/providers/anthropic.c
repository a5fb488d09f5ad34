/* POST {base}/messages, Anthropic's Messages API. */
#include "worker/providers/accepts.h"
#include "worker/providers/wire.h"

#include "common/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION "anthropic-version: 2023-06-01"

#define CACHE_BYTES_MIN 4096 /* shorter prompts are not cached by any model, only paid for */

/* The codec's own, and what would break the hold's upper bound: tools and the tokens of their
 * descriptions, servers that call the model again, dearer tiers, speeds and regions. */
static const char *const reserved[] = {"model", "messages", "system", "max_tokens", "stream",
    "output_config", "output_format", "effort", "cache_control", "service_tier", "speed",
    "inference_geo", "tools", "tool_choice", "mcp_servers", "container", "context_management",
    "json_schema", "strict", NULL};

/* A long system prompt becomes a block when it is to be cached. */
static int put_system(
    struct mr_buf *buf, const struct mr_chat *chat, bool native, const struct mr_accepts *accepts)
{
    const json_t *cache = json_object_get(chat->model->params, "cache_control");
    char *more = chat->schema_text && !native ? mr_wire_instruction(chat) : NULL;
    if (chat->schema_text && !native && !more)
        return -ENOMEM;
    int rc = 0;
    if (more || mr_wire_has(chat, MR_ROLE_SYSTEM)) {
        size_t bytes = more ? strlen(more) : 0;
        for (size_t i = 0; i < chat->nmessages; i++)
            bytes += chat->messages[i].role == MR_ROLE_SYSTEM ? chat->messages[i].len : 0;
        bool block = json_is_object(cache) && bytes >= CACHE_BYTES_MIN &&
                     mr_wire_listed(accepts->items, "cache_control");
        rc = mr_buf_puts(buf, block ? ",\"system\":[{\"type\":\"text\",\"text\":" : ",\"system\":");
        if (rc == 0)
            rc = mr_wire_messages(buf, chat, MR_ROLE_SYSTEM, more);
        if (rc == 0 && block)
            rc = mr_buf_puts(buf, ",\"cache_control\":");
        if (rc == 0 && block)
            rc = mr_json_dump(cache, buf);
        if (rc == 0 && block)
            rc = mr_buf_puts(buf, "}]");
    }
    free(more);
    return rc;
}

/* output_config: the user's own, the format put into it, and `effort` as a shorthand. */
static int put_output_config(struct mr_buf *buf, const struct mr_chat *chat, const char *schema,
    const struct mr_accepts *accepts)
{
    const json_t *params = chat->model->params, *effort = json_object_get(params, "effort");
    const char *gap = "", *key;
    json_t *value, *own = json_object_get(params, "output_config");
    if (!mr_wire_listed(accepts->items, "output_config"))
        own = NULL;
    if (!mr_wire_listed(accepts->items, "effort") || json_object_get(own, "effort"))
        effort = NULL;
    if (!schema && !effort && json_object_size(own) == 0)
        return 0;
    int rc = mr_buf_puts(buf, ",\"output_config\":{");
    if (rc == 0 && schema) {
        rc = mr_buf_printf(buf, "\"format\":{\"type\":\"json_schema\",\"schema\":%s}", schema);
        gap = ",";
    }
    if (rc == 0 && effort) {
        rc = mr_buf_printf(buf, "%s\"effort\":", gap);
        if (rc == 0)
            rc = mr_json_dump(effort, buf);
        gap = ",";
    }
    json_object_foreach(own, key, value)
    {
        if (rc != 0 || strcmp(key, "format") == 0)
            continue;
        rc = mr_buf_puts(buf, gap);
        if (rc == 0)
            rc = mr_wire_string(buf, key, strlen(key));
        if (rc == 0)
            rc = mr_buf_putc(buf, ':');
        if (rc == 0)
            rc = mr_json_dump(value, buf);
        gap = ",";
    }
    return rc == 0 ? mr_buf_putc(buf, '}') : rc;
}

/* The schema the provider is to enforce; NULL: the model is told, and we validate. The API answers
 * 400 to schemas beyond its subset, so the full one goes out only to those who ask for it. */
static const char *native_schema(const struct mr_chat *chat, const struct mr_accepts *accepts)
{
    bool all_required;
    if (!chat->schema_text || accepts->form != MR_FORM_JSON_SCHEMA)
        return NULL;
    const char *narrow = chat->schema ? mr_schema_narrow(chat->schema, &all_required) : NULL;
    return narrow || !accepts->explicit ? narrow : chat->schema_text;
}

static int put_body(
    struct mr_buf *buf, const struct mr_chat *chat, const struct mr_accepts *accepts)
{
    const struct mr_model *model = chat->model;
    const char *schema = native_schema(chat, accepts);
    int rc = mr_buf_puts(buf, "{\"model\":");
    if (rc == 0)
        rc = mr_wire_string(buf, model->model, strlen(model->model));
    if (rc == 0)
        rc = mr_buf_printf(buf, ",\"max_tokens\":%d", chat->max_tokens);
    if (rc == 0)
        rc = put_system(buf, chat, schema != NULL, accepts);
    if (rc == 0)
        rc = mr_buf_puts(buf, ",\"messages\":[{\"role\":\"user\",\"content\":");
    if (rc == 0)
        rc = mr_wire_messages(buf, chat, MR_ROLE_USER, NULL);
    if (rc == 0)
        rc = mr_buf_puts(buf, "}]");
    if (rc == 0)
        rc = put_output_config(buf, chat, schema, accepts);
    if (rc == 0)
        rc = mr_wire_params(buf, model->params, accepts->items, reserved);
    return rc == 0 ? mr_buf_putc(buf, '}') : rc;
}

static int encode(const struct mr_endpoint *endpoint, struct mr_chat *chat, int64_t timeout_ms,
    struct mr_request *ret, struct mr_err *err)
{
    struct mr_request request = mr_wire_begin(endpoint, chat, MR_AUTH_X_API_KEY, timeout_ms);
    struct mr_accepts accepts;
    mr_accepts_anthropic(endpoint, chat->model, &accepts);
    int rc = put_body(&request.body, chat, &accepts);
    if (rc == 0 && !(request.headers[0] = strdup(API_VERSION)))
        rc = -ENOMEM;
    return mr_wire_end(&request, "/messages", rc, ret, err);
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
    int64_t written = mr_wire_count_or_0(usage, "cache_creation_input_tokens");
    int64_t hour = mr_wire_count_or_0(split, "ephemeral_1h_input_tokens");
    int64_t minutes = mr_wire_count_or_0(split, "ephemeral_5m_input_tokens");
    if (hour + minutes > written)
        written = hour + minutes;
    ret->usage = (struct mr_usage){.input = input,
        .cached = mr_wire_count_or_0(usage, "cache_read_input_tokens"),
        .cache_write = written - hour,
        .cache_write_1h = hour,
        .output = output,
        .reasoning = mr_wire_count_or_0(details, "thinking_tokens")};
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
    static const struct {
        const char *word, *says;
    } ends[] = {
        {"tool_use", "the model called a tool, but has none"},
        {"pause_turn", "the provider paused in the middle of the answer"},
        {"model_context_window_exceeded",
            "the model's context window was full; shorten the text with {{...|N}}"},
    };
    const char *stop = ret->finish_reason;
    const json_t *details = json_object_get(root, "stop_details");
    const char *why = json_string_value(json_object_get(details, "explanation"));
    const char *category = json_string_value(json_object_get(details, "category"));
    if (strcmp(stop, "refusal") == 0) {
        mr_wire_fail(ret, request, MR_CLASS_REFUSED, "refused%s%.64s: %.400s", category ? ", " : "",
            category ? category : "", why ? why : "no explanation given");
        return;
    }
    if (strcmp(stop, "max_tokens") == 0) {
        mr_wire_cut(ret, request);
        return;
    }
    if (!stop[0] || strcmp(stop, "end_turn") == 0 || strcmp(stop, "stop_sequence") == 0)
        return;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (strcmp(stop, ends[i].word) == 0) {
            mr_wire_fail(ret, request, MR_CLASS_BAD_OUTPUT, "%s", ends[i].says);
            return;
        }
    mr_wire_fail(ret, request, MR_CLASS_BAD_OUTPUT, "the answer ended with stop_reason %s", stop);
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
    const json_t *usage = json_object_get(root, "usage");
    mr_wire_served(ret, json_object_get(root, "model"), json_object_get(usage, "service_tier"));
    mr_wire_served(ret, NULL, json_object_get(usage, "inference_geo"));
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
