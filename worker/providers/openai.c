/* POST {base}/chat/completions as OpenAI, vLLM, llama.cpp, Ollama, Groq, Mistral and DeepSeek speak
 * it. */
#include "worker/providers/accepts.h"
#include "worker/providers/wire.h"

#include "common/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The codec's own; those that would break the hold's upper bound (a second answer, a larger limit,
 * a dearer tier, searches, tools and the tokens of their descriptions); words that are no
 * parameters.
 */
static const char *const reserved[] = {"model", "messages", "stream", "stream_options", "n",
    "best_of", "max_tokens", "max_completion_tokens", "response_format", "service_tier", "tools",
    "tool_choice", "functions", "function_call", "parallel_tool_calls", "web_search_options",
    "plugins", "models", "prediction", "modalities", "audio", "json_schema", "json_object",
    "structured_outputs", "guided_json", "schema", "strict", NULL};

/* Adjacent messages of one role are joined: some chat templates insist that roles alternate. */
static int put_messages(
    struct mr_buf *buf, const struct mr_chat *chat, const struct mr_accepts *accepts)
{
    bool tell = chat->schema_text &&
                (accepts->form == MR_FORM_NONE || accepts->form == MR_FORM_JSON_OBJECT);
    char *more = tell ? mr_wire_instruction(chat) : NULL;
    if (tell && !more)
        return -ENOMEM;
    int rc = mr_buf_puts(buf, ",\"messages\":[");
    if (rc == 0 && (more || mr_wire_has(chat, MR_ROLE_SYSTEM))) {
        rc = mr_buf_puts(buf, "{\"role\":\"system\",\"content\":");
        if (rc == 0)
            rc = mr_wire_messages(buf, chat, MR_ROLE_SYSTEM, more);
        if (rc == 0)
            rc = mr_buf_puts(buf, "},");
    }
    free(more);
    if (rc == 0)
        rc = mr_buf_puts(buf, "{\"role\":\"user\",\"content\":");
    if (rc == 0)
        rc = mr_wire_messages(buf, chat, MR_ROLE_USER, NULL);
    return rc == 0 ? mr_buf_puts(buf, "}]") : rc;
}

/* Schema names are at most 64 of A-Za-z0-9_-; step names also have dots. */
static int put_schema_name(struct mr_buf *buf, const char *name)
{
    char safe[65];
    size_t n = 0;
    for (; name && name[n] && n < sizeof(safe) - 1; n++)
        safe[n] = isalnum((unsigned char)name[n]) || name[n] == '-' ? name[n] : '_';
    safe[n] = '\0';
    return mr_buf_puts(buf, n > 0 ? safe : "answer");
}

/* Strict mode takes closed schemas only; for others the provider does what it can. What comes back
 * is validated here in any case. */
static int put_json_schema(
    struct mr_buf *buf, const struct mr_chat *chat, const struct mr_accepts *accepts)
{
    bool all_required = false;
    const char *narrow = chat->schema ? mr_schema_narrow(chat->schema, &all_required) : NULL;
    bool strict = accepts->strict || (narrow && all_required);
    int rc = mr_buf_puts(
        buf, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"");
    if (rc == 0)
        rc = put_schema_name(buf, chat->schema_name);
    if (rc == 0)
        rc = mr_buf_printf(buf, "\",\"strict\":%s,\"schema\":", strict ? "true" : "false");
    if (rc == 0)
        rc = mr_buf_puts(buf, strict && narrow ? narrow : chat->schema_text);
    return rc == 0 ? mr_buf_puts(buf, "}}") : rc;
}

static int put_form(
    struct mr_buf *buf, const struct mr_chat *chat, const struct mr_accepts *accepts)
{
    if (!chat->schema_text)
        return 0;
    const char *before = "", *after = "";
    switch (accepts->form) {
    case MR_FORM_NONE:
        return 0;
    case MR_FORM_JSON_SCHEMA:
        return put_json_schema(buf, chat, accepts);
    case MR_FORM_JSON_OBJECT:
        return mr_buf_puts(buf, ",\"response_format\":{\"type\":\"json_object\"}");
    case MR_FORM_SCHEMA:
        before = ",\"response_format\":{\"type\":\"json_object\",\"schema\":";
        after = "}";
        break;
    case MR_FORM_STRUCTURED_OUTPUTS:
        before = ",\"structured_outputs\":{\"json\":";
        after = "}";
        break;
    case MR_FORM_GUIDED_JSON:
        before = ",\"guided_json\":";
        break;
    }
    int rc = mr_buf_puts(buf, before);
    if (rc == 0)
        rc = mr_buf_puts(buf, chat->schema_text);
    return rc == 0 ? mr_buf_puts(buf, after) : rc;
}

static int put_body(struct mr_buf *buf, const struct mr_endpoint *endpoint,
    const struct mr_chat *chat, const struct mr_accepts *accepts)
{
    const struct mr_model *model = chat->model;
    bool completion = mr_wire_listed(accepts->items, "max_completion_tokens") &&
                      !mr_wire_listed(accepts->items, "max_tokens");
    int rc = mr_buf_puts(buf, "{\"model\":");
    if (rc == 0)
        rc = mr_wire_string(buf, model->model, strlen(model->model));
    if (rc == 0)
        rc = put_messages(buf, chat, accepts);
    if (rc == 0)
        rc = mr_buf_printf(buf, ",\"%s\":%d", completion ? "max_completion_tokens" : "max_tokens",
            chat->max_tokens);
    if (rc == 0)
        rc = put_form(buf, chat, accepts);
    if (rc == 0)
        rc = mr_wire_params(buf, model->params, accepts->items, reserved);
    /* The default effort buys hidden reasoning tokens that these tasks do not need. */
    if (rc == 0 && !accepts->explicit && mr_wire_listed(accepts->items, "verbosity") &&
        !json_object_get(model->params, "reasoning_effort"))
        rc = mr_buf_puts(buf, ",\"reasoning_effort\":\"low\"");
    /* Prices and holds are those of the standard tier; a project's default may be a dearer one. */
    if (rc == 0 && mr_accepts_host(endpoint->base_url, "api.openai.com"))
        rc = mr_buf_puts(buf, ",\"service_tier\":\"default\"");
    return rc == 0 ? mr_buf_putc(buf, '}') : rc;
}

static int encode(const struct mr_endpoint *endpoint, struct mr_chat *chat, int64_t timeout_ms,
    struct mr_request *ret, struct mr_err *err)
{
    bool azure = mr_accepts_host(endpoint->base_url, ".openai.azure.com");
    struct mr_request request =
        mr_wire_begin(endpoint, chat, azure ? MR_AUTH_API_KEY : MR_AUTH_BEARER, timeout_ms);
    struct mr_accepts accepts;
    mr_accepts_openai(endpoint, chat->model, &accepts);
    int rc = put_body(&request.body, endpoint, chat, &accepts);
    return mr_wire_end(&request, "/chat/completions", rc, ret, err);
}

/* Cached prompt tokens, under the names they go by: OpenAI, DeepSeek, Moonshot, Mistral. */
static int64_t read_cached(const json_t *usage)
{
    int64_t cached =
        mr_wire_count(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
    if (cached < 0)
        cached = mr_wire_count(usage, "prompt_cache_hit_tokens");
    if (cached < 0)
        cached = mr_wire_count(usage, "cached_tokens");
    return cached < 0 ? mr_wire_count_or_0(usage, "num_cached_tokens") : cached;
}

/* prompt_tokens includes what was read from and written to the cache, completion_tokens includes
 * reasoning; some (Gemini, xAI) count hidden reasoning in total_tokens only. */
static void read_usage(
    const json_t *root, struct mr_answer *ret, const struct mr_request *request, size_t text_len)
{
    const json_t *usage = json_object_get(root, "usage");
    int64_t prompt = mr_wire_count(usage, "prompt_tokens");
    int64_t output = mr_wire_count(usage, "completion_tokens");
    int64_t total = mr_wire_count(usage, "total_tokens");
    if (prompt >= 0 && total - prompt > output)
        output = total - prompt;
    if (prompt < 0 || output < 0) {
        mr_wire_estimate(ret, request, text_len);
        return;
    }
    const json_t *in = json_object_get(usage, "prompt_tokens_details");
    const json_t *out = json_object_get(usage, "completion_tokens_details");
    int64_t cached = read_cached(usage);
    int64_t written = mr_wire_count_or_0(in, "cache_write_tokens");
    if (cached + written > prompt) { /* nonsense: charge the whole prompt at the full rate */
        cached = written = 0;
        ret->usage_estimated = true;
    }
    ret->usage = (struct mr_usage){.input = prompt - cached - written,
        .cached = cached,
        .cache_write = written,
        .output = output,
        .reasoning = mr_wire_count_or_0(out, "reasoning_tokens")};
    if (ret->usage.reasoning > output)
        ret->usage.reasoning = output;
}

/* content is a string, null, or a list of parts of which only the text ones are the answer. */
static int join_content(const json_t *content, struct mr_buf *buf)
{
    if (json_is_string(content))
        return mr_buf_put(buf, json_string_value(content), json_string_length(content));
    size_t i;
    json_t *part;
    json_array_foreach((json_t *)content, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_object_get(part, "text");
        if (!json_is_string(text) || (type && strcmp(type, "text") != 0))
            continue;
        int rc = mr_buf_put(buf, json_string_value(text), json_string_length(text));
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* What the words of finish_reason mean; those not listed are no answer either. */
static const struct {
    const char *word;
    enum mr_class class;
    const char *says;
} ends[] = {
    {"stop", MR_CLASS_NONE, ""},
    {"eos", MR_CLASS_NONE, ""},
    {"end_turn", MR_CLASS_NONE, ""},
    {"stop_sequence", MR_CLASS_NONE, ""},
    {"content_filter", MR_CLASS_REFUSED, "the provider's content filter cut it off"},
    {"safety", MR_CLASS_REFUSED, "the provider's content filter cut it off"},
    {"recitation", MR_CLASS_REFUSED, "the provider stopped it for repeating a known text"},
    {"prohibited_content", MR_CLASS_REFUSED, "the provider's content filter cut it off"},
    {"sensitive", MR_CLASS_REFUSED, "the provider's content filter cut it off"},
    {"model_length", MR_CLASS_BAD_OUTPUT,
        "the model's context window was full; shorten the text with {{...|N}}"},
    {"tool_calls", MR_CLASS_BAD_OUTPUT, "the model called a tool, but has none"},
    {"function_call", MR_CLASS_BAD_OUTPUT, "the model called a function, but has none"},
    {"insufficient_system_resource", MR_CLASS_OVERLOADED, "the provider ran out of resources"},
    {"error", MR_CLASS_SERVER, "the provider failed while it was answering"},
};

/* Whether the model ended its answer as it should; the text is judged by the caller. */
static void judge_finish(
    struct mr_answer *ret, const struct mr_request *request, const json_t *message)
{
    const char *finish = ret->finish_reason;
    const json_t *refusal = json_object_get(message, "refusal");
    bool refused = json_is_string(refusal) && json_string_length(refusal) > 0;
    size_t i = 0, count = sizeof(ends) / sizeof(ends[0]);
    if (strcasecmp(finish, "length") == 0 && !refused) {
        mr_wire_cut(ret, request);
        return;
    }
    while (i < count && strcasecmp(finish, ends[i].word) != 0)
        i++;
    if (i < count && ends[i].class == MR_CLASS_REFUSED)
        mr_wire_fail(ret, request, MR_CLASS_REFUSED, "%s", ends[i].says);
    else if (refused)
        mr_wire_fail(ret, request, MR_CLASS_REFUSED, "refused: %.400s", json_string_value(refusal));
    else if (i < count && ends[i].class != MR_CLASS_NONE)
        mr_wire_fail(ret, request, ends[i].class, "%s", ends[i].says);
    else if (i == count && finish[0])
        mr_wire_fail(
            ret, request, MR_CLASS_BAD_OUTPUT, "the answer ended with finish_reason %s", finish);
}

static void decode(
    const struct mr_request *request, const struct mr_reply *reply, struct mr_answer *ret)
{
    json_t *root MR_CLEANUP(mr_json_decrefp) = mr_wire_open(request, reply, ret);
    if (!root)
        return;
    struct mr_buf text MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(MR_REPLY_MAX);
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    int rc = join_content(json_object_get(message, "content"), &text);
    ret->billed = true;
    mr_wire_served(ret, json_object_get(root, "model"), json_object_get(root, "service_tier"));
    mr_wire_copy(
        ret->finish_reason, sizeof(ret->finish_reason), json_object_get(choice, "finish_reason"));
    read_usage(root, ret, request, text.len);
    judge_finish(ret, request, message);
    if (ret->class != MR_CLASS_NONE)
        return;
    if (rc != 0)
        mr_wire_fail(ret, request, MR_CLASS_INTERNAL, "no memory for an answer");
    else if (!choice)
        mr_wire_fail(ret, request, MR_CLASS_BAD_OUTPUT, "the reply holds no choices");
    else
        mr_wire_text(ret, request, text.data ? text.data : "", text.len);
}

const struct mr_codec mr_codec_openai = {.name = "openai", .encode = encode, .decode = decode};
