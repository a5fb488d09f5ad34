#include "tests/standin/answer.h"

#include "common/json.h"

#include <errno.h>
#include <string.h>

#define SCHEMA_DEPTH 16
#define TEXT_BYTES 160
#define BYTES_PER_TOKEN 4

/* The text of one message: a string, or blocks with a text each. Returns its bytes in all and, in
 * *ret_text, the last piece. */
static size_t content_text(const json_t *content, const char **ret_text)
{
    if (json_is_string(content)) {
        *ret_text = json_string_value(content);
        return json_string_length(content);
    }
    size_t bytes = 0, i;
    json_t *block;
    json_array_foreach(content, i, block)
    {
        const json_t *text = json_object_get(block, "text");
        if (json_is_string(text)) {
            *ret_text = json_string_value(text);
            bytes += json_string_length(text);
        }
    }
    return bytes;
}

static size_t prompt_bytes(const json_t *request, const char **ret_last)
{
    size_t i, bytes = content_text(json_object_get(request, "system"), ret_last);
    json_t *message;
    json_array_foreach(json_object_get(request, "messages"), i, message) bytes +=
        content_text(json_object_get(message, "content"), ret_last);
    return bytes;
}

/* The smallest value a JSON Schema of the usual kind accepts. Never NULL unless memory is short. */
static json_t *instance_of(const json_t *schema, int depth)
{
    const json_t *choices = json_object_get(schema, "enum"),
                 *fixed = json_object_get(schema, "const");
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (fixed)
        return json_deep_copy(fixed);
    if (json_array_size(choices) > 0)
        return json_deep_copy(json_array_get(choices, 0));
    if (!type || depth > SCHEMA_DEPTH)
        return json_null();
    if (strcmp(type, "object") == 0) {
        json_t *object = json_object(), *name;
        const json_t *properties = json_object_get(schema, "properties");
        size_t i;
        json_array_foreach(json_object_get(schema, "required"), i, name)
        {
            const char *key = json_string_value(name);
            if (key)
                json_object_set_new(
                    object, key, instance_of(json_object_get(properties, key), depth + 1));
        }
        return object;
    }
    if (strcmp(type, "array") == 0) {
        json_t *array = json_array();
        const json_t *items = json_object_get(schema, "items");
        if (items)
            json_array_append_new(array, instance_of(items, depth + 1));
        return array;
    }
    if (strcmp(type, "string") == 0)
        return json_string("Millrace");
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0)
        return json_integer(1);
    return strcmp(type, "boolean") == 0 ? json_true() : json_null();
}

/* Where either dialect keeps the schema it wants the answer to follow. */
static const json_t *schema_of(const json_t *request)
{
    const json_t *format = json_object_get(request, "response_format");
    if (!format)
        format = json_object_get(json_object_get(request, "output_config"), "format");
    const json_t *wrapped = json_object_get(format, "json_schema");
    return json_object_get(wrapped ? wrapped : format, "schema");
}

/* The answer's text, appended to buf: an instance of the schema, or words about the last message.
 */
static int natural_text(const json_t *request, const char *last, struct mr_buf *buf)
{
    const json_t *schema = schema_of(request);
    if (schema) {
        json_t *value MR_CLEANUP(mr_json_decrefp) = instance_of(schema, 0);
        return mr_json_dump(value, buf);
    }
    size_t n = mr_utf8_prefix(last, strlen(last), TEXT_BYTES);
    int r = mr_buf_puts(buf, "In short: ");
    return r != 0 ? r : mr_buf_put(buf, last, n);
}

static json_t *openai_answer(
    const char *model, uint64_t number, const struct mr_plan *plan, const char *text)
{
    const char *finish = plan->outcome == MR_OUTCOME_LENGTH ? "length" : "stop";
    json_t *refusal =
        plan->outcome == MR_OUTCOME_REFUSAL ? json_string("I cannot help with that.") : json_null();
    json_t *content = plan->outcome == MR_OUTCOME_REFUSAL ? json_null() : json_string(text);
    return json_pack("{s:o, s:s, s:i, s:s, s:[{s:i, s:s, s:{s:s, s:o, s:o}}]}", "id",
        json_sprintf("chatcmpl-%llu", (unsigned long long)number), "object", "chat.completion",
        "created", 1700000000, "model", model, "choices", "index", 0, "finish_reason", finish,
        "message", "role", "assistant", "content", content, "refusal", refusal);
}

static json_t *anthropic_answer(
    const char *model, uint64_t number, const struct mr_plan *plan, const char *text)
{
    const char *stop = plan->outcome == MR_OUTCOME_LENGTH    ? "max_tokens"
                       : plan->outcome == MR_OUTCOME_REFUSAL ? "refusal"
                                                             : "end_turn";
    json_t *blocks = *text ? json_pack("[{s:s, s:s}]", "type", "text", "text", text) : json_array();
    return json_pack("{s:o, s:s, s:s, s:s, s:o, s:s, s:n}", "id",
        json_sprintf("msg_%llu", (unsigned long long)number), "type", "message", "role",
        "assistant", "model", model, "content", blocks, "stop_reason", stop, "stop_sequence");
}

static json_t *usage_of(enum mr_dialect dialect, const struct mr_bill *bill)
{
    if (dialect == MR_DIALECT_ANTHROPIC)
        return json_pack("{s:I, s:I, s:I, s:I}", "input_tokens", (json_int_t)bill->input,
            "output_tokens", (json_int_t)bill->output, "cache_creation_input_tokens", (json_int_t)0,
            "cache_read_input_tokens", (json_int_t)bill->cached);
    json_int_t prompt = bill->input + bill->cached;
    return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", prompt, "completion_tokens",
        (json_int_t)bill->output, "total_tokens", prompt + bill->output, "prompt_tokens_details",
        "cached_tokens", (json_int_t)bill->cached);
}

int mr_answer_make(enum mr_dialect dialect, const json_t *request, const char *model,
    uint64_t number, const struct mr_plan *plan, struct mr_buf *buf, struct mr_bill *ret)
{
    struct mr_buf text MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(1u << 20);
    const char *last = "";
    long input = (long)(prompt_bytes(request, &last) / BYTES_PER_TOKEN) + 1;
    int r = mr_buf_puts(&text, "");
    if (r == 0 && plan->outcome != MR_OUTCOME_EMPTY && plan->outcome != MR_OUTCOME_REFUSAL)
        r = natural_text(request, last, &text);
    if (r != 0)
        return r;
    if (plan->outcome == MR_OUTCOME_LENGTH)
        text.data[text.len = mr_utf8_prefix(text.data, text.len, text.len / 2)] = '\0';
    struct mr_bill bill = {.output = (long)(text.len / BYTES_PER_TOKEN) + 1};
    if (plan->output_tokens >= 0)
        bill.output = plan->output_tokens;
    if (plan->cached_percent > 0)
        bill.cached = input * plan->cached_percent / 100;
    bill.input = input - bill.cached;

    json_t *answer MR_CLEANUP(mr_json_decrefp) =
        dialect == MR_DIALECT_OPENAI ? openai_answer(model, number, plan, text.data)
                                     : anthropic_answer(model, number, plan, text.data);
    if (!answer ||
        (!plan->no_usage && json_object_set_new(answer, "usage", usage_of(dialect, &bill))))
        return -ENOMEM;
    r = mr_json_dump(answer, buf);
    if (r == 0 && plan->outcome == MR_OUTCOME_MALFORMED)
        buf->data[buf->len - 1] = ','; /* the object is never closed */
    if (r == 0)
        *ret = bill;
    return r;
}

int mr_answer_error(
    enum mr_dialect dialect, int status, const char *type, const char *message, struct mr_buf *buf)
{
    json_t *error MR_CLEANUP(mr_json_decrefp) =
        dialect == MR_DIALECT_ANTHROPIC
            ? json_pack("{s:s, s:{s:s, s:s}, s:s}", "type", "error", "error", "type", type,
                  "message", message, "request_id", "req_standin")
            : json_pack("{s:{s:s, s:s, s:n, s:s}}", "error", "message", message, "type", type,
                  "param", "code", type);
    return error ? mr_json_dump(error, buf) : -ENOMEM;
}
