/* POST {base}/chat/completions as OpenAI, vLLM, llama.cpp, Ollama, Groq, Mistral and DeepSeek speak
 * it. */
#include "worker/providers/wire.h"

#include "common/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What may be sent to a model whose `accepts` is empty. The names json_schema (or response_format)
 * and json_object say which form of structured output it takes, max_completion_tokens which limit.
 */
static const char *const accepts_common[] = {"temperature", "top_p", "seed", "stop",
    "frequency_penalty", "presence_penalty", "reasoning_effort", "top_k", "min_p", "repeat_penalty",
    "repetition_penalty", "chat_template_kwargs", "json_schema", "max_tokens", NULL};
static const char *const accepts_openai[] = {"temperature", "top_p", "seed", "stop",
    "frequency_penalty", "presence_penalty", "prompt_cache_key", "json_schema",
    "max_completion_tokens", NULL};
/* Reasoning models answer 400 to sampling parameters. */
static const char *const accepts_reasoning[] = {"seed", "reasoning_effort", "verbosity",
    "prompt_cache_key", "json_schema", "max_completion_tokens", NULL};
static const char *const accepts_deepseek[] = {"temperature", "top_p", "stop", "frequency_penalty",
    "presence_penalty", "json_object", "max_tokens", NULL};

/* The codec's own; a second n or a larger limit would break the hold's upper bound. */
static const char *const reserved[] = {"model", "messages", "stream", "stream_options", "n",
    "best_of", "max_tokens", "max_completion_tokens", "response_format", "json_schema",
    "json_object", NULL};

static bool host_is(const char *url, const char *host)
{
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    size_t n = strlen(host);
    return strncasecmp(p, host, n) == 0 && (p[n] == '\0' || p[n] == '/' || p[n] == ':');
}

static bool reasons(const char *model)
{
    if (model[0] == 'o' && isdigit((unsigned char)model[1]))
        return true;
    return strncmp(model, "gpt-", 4) == 0 && model[4] >= '5' && model[4] <= '9';
}

static const char *const *default_accepts(const struct mr_provider *provider, const char *model)
{
    if (host_is(provider->base_url, "api.openai.com"))
        return reasons(model) ? accepts_reasoning : accepts_openai;
    if (host_is(provider->base_url, "api.deepseek.com"))
        return accepts_deepseek;
    return accepts_common;
}

#define ACCEPTS_MAX 64

/* The model's own list as a NULL-terminated one, or the default for its host. */
static const char *const *accepted(const struct mr_provider *provider, const struct mr_model *model,
    const char *own[static ACCEPTS_MAX + 1])
{
    size_t n = model->accepts.count < ACCEPTS_MAX ? model->accepts.count : ACCEPTS_MAX;
    if (n == 0)
        return default_accepts(provider, model->model);
    for (size_t i = 0; i < n; i++)
        own[i] = model->accepts.items[i];
    own[n] = NULL;
    return own;
}

static bool takes_schema(const char *const *accepts)
{
    return mr_wire_listed(accepts, "json_schema") || mr_wire_listed(accepts, "response_format");
}

/* Adjacent messages of one role are joined: some chat templates insist that roles alternate. */
static int put_messages(struct mr_buf *buf, const struct mr_chat *chat, const char *const *accepts)
{
    char *more = NULL;
    if (chat->schema_text && !takes_schema(accepts) &&
        asprintf(&more,
            "Answer with one JSON value and nothing else. It conforms to this JSON Schema:\n%s",
            chat->schema_text) < 0)
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

static int put_response_format(
    struct mr_buf *buf, const struct mr_chat *chat, const char *const *accepts)
{
    if (!chat->schema_text)
        return 0;
    if (!takes_schema(accepts))
        return mr_wire_listed(accepts, "json_object")
                   ? mr_buf_puts(buf, ",\"response_format\":{\"type\":\"json_object\"}")
                   : 0;
    int rc = mr_buf_puts(
        buf, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"");
    if (rc == 0)
        rc = put_schema_name(buf, chat->schema_name);
    /* Strict mode refuses many valid schemas, so it is for those who ask; we validate anyway. */
    if (rc == 0)
        rc = mr_buf_puts(
            buf, mr_wire_listed(accepts, "strict") ? "\",\"strict\":true" : "\",\"strict\":false");
    if (rc == 0)
        rc = mr_buf_puts(buf, ",\"schema\":");
    if (rc == 0)
        rc = mr_buf_puts(buf, chat->schema_text);
    return rc == 0 ? mr_buf_puts(buf, "}}") : rc;
}

static int put_body(struct mr_buf *buf, const struct mr_provider *provider,
    const struct mr_chat *chat, const char *const *accepts)
{
    const struct mr_model *model = chat->model;
    bool completion =
        mr_wire_listed(accepts, "max_completion_tokens") ||
        (!mr_wire_listed(accepts, "max_tokens") && host_is(provider->base_url, "api.openai.com"));
    int rc = mr_buf_puts(buf, "{\"model\":");
    if (rc == 0)
        rc = mr_wire_string(buf, model->model, strlen(model->model));
    if (rc == 0)
        rc = put_messages(buf, chat, accepts);
    if (rc == 0)
        rc = mr_buf_printf(buf, ",\"%s\":%d", completion ? "max_completion_tokens" : "max_tokens",
            chat->max_tokens);
    if (rc == 0)
        rc = put_response_format(buf, chat, accepts);
    if (rc == 0)
        rc = mr_wire_params(buf, model->params, accepts, reserved);
    /* The default effort buys hidden reasoning tokens that these tasks do not need. */
    if (rc == 0 && accepts == accepts_reasoning &&
        !json_object_get(model->params, "reasoning_effort"))
        rc = mr_buf_puts(buf, ",\"reasoning_effort\":\"low\"");
    return rc == 0 ? mr_buf_putc(buf, '}') : rc;
}

static int encode(const struct mr_provider *provider, struct mr_chat *chat, int64_t timeout_ms,
    struct mr_request *ret, struct mr_err *err)
{
    struct mr_request request = {.provider = provider,
        .chat = chat,
        .auth = provider->key ? MR_AUTH_BEARER : MR_AUTH_NONE,
        .timeout_ms = timeout_ms};
    mr_buf_init(&request.body, MR_REQUEST_MAX);
    const char *own[ACCEPTS_MAX + 1];
    int rc = put_body(&request.body, provider, chat, accepted(provider, chat->model, own));
    if (rc == 0 && asprintf(&request.url, "%s/chat/completions", provider->base_url) < 0) {
        request.url = NULL;
        rc = -ENOMEM;
    }
    if (rc != 0)
        return mr_wire_refuse(&request, rc, err);
    *ret = request;
    return 0;
}

static int64_t or_zero(int64_t count)
{
    return count < 0 ? 0 : count;
}

/* prompt_tokens includes what was read from and written to the cache, completion_tokens includes
 * reasoning; some gateways count hidden reasoning in total_tokens only. */
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
    int64_t cached = mr_wire_count(in, "cached_tokens");
    if (cached < 0)
        cached = or_zero(mr_wire_count(usage, "prompt_cache_hit_tokens")); /* DeepSeek */
    int64_t written = or_zero(mr_wire_count(in, "cache_write_tokens"));
    if (cached + written > prompt) { /* nonsense: charge the whole prompt at the full rate */
        cached = written = 0;
        ret->usage_estimated = true;
    }
    ret->usage = (struct mr_usage){.input = prompt - cached - written,
        .cached = cached,
        .cache_write = written,
        .output = output,
        .reasoning = or_zero(mr_wire_count(out, "reasoning_tokens"))};
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

/* Whether the model ended its answer as it should; the text is judged by the caller. */
static void judge_finish(
    struct mr_answer *ret, const struct mr_request *request, const json_t *message)
{
    const char *finish = ret->finish_reason;
    const json_t *refusal = json_object_get(message, "refusal");
    if (strcmp(finish, "content_filter") == 0)
        mr_wire_fail(ret, request, MR_CLASS_REFUSED, "the provider's content filter cut it off");
    else if (json_is_string(refusal) && json_string_length(refusal) > 0)
        mr_wire_fail(ret, request, MR_CLASS_REFUSED, "refused: %.400s", json_string_value(refusal));
    else if (strcmp(finish, "length") == 0)
        mr_wire_fail(ret, request, MR_CLASS_BAD_OUTPUT,
            "the answer was cut off at its limit of %d tokens; raise max_tokens",
            request->chat ? request->chat->max_tokens : 0);
    else if (finish[0] && strcmp(finish, "stop") != 0 && strcmp(finish, "eos") != 0)
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
    mr_wire_copy(ret->served_model, sizeof(ret->served_model), json_object_get(root, "model"));
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
