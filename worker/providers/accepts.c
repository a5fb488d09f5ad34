#include "worker/providers/accepts.h"

#include "worker/providers/wire.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* What may be sent to a model whose `accepts` is empty. */
static const char *const common[] = {"temperature", "top_p", "seed", "stop", "frequency_penalty",
    "presence_penalty", "reasoning_effort", "top_k", "min_p", "repeat_penalty",
    "repetition_penalty", "chat_template_kwargs", "json_schema", "max_tokens", NULL};
static const char *const openai[] = {"temperature", "top_p", "seed", "stop", "frequency_penalty",
    "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
    "json_schema", "max_completion_tokens", NULL};
/* Reasoning models answer 400 to sampling parameters, unless they are told not to reason. */
static const char *const reasoning[] = {"seed", "reasoning_effort", "verbosity", "prompt_cache_key",
    "prompt_cache_retention", "prompt_cache_options", "safety_identifier", "json_schema",
    "max_completion_tokens", NULL};
static const char *const reasoning_none[] = {"temperature", "top_p", "seed", "reasoning_effort",
    "verbosity", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
    "safety_identifier", "json_schema", "max_completion_tokens", NULL};
static const char *const deepseek[] = {"temperature", "top_p", "stop", "frequency_penalty",
    "presence_penalty", "thinking", "json_object", "max_tokens", NULL};
/* Mistral answers 422 to fields it does not know. */
static const char *const mistral[] = {"temperature", "top_p", "random_seed", "stop",
    "frequency_penalty", "presence_penalty", "prompt_mode", "json_schema", "max_tokens", NULL};
static const char *const groq[] = {"temperature", "top_p", "seed", "stop", "reasoning_effort",
    "reasoning_format", "json_object", "max_completion_tokens", NULL};
static const char *const groq_schema[] = {"temperature", "top_p", "seed", "stop",
    "reasoning_effort", "reasoning_format", "json_schema", "max_completion_tokens", NULL};
static const char *const gemini[] = {
    "temperature", "top_p", "stop", "reasoning_effort", "json_schema", "max_tokens", NULL};

bool mr_accepts_host(const char *url, const char *host)
{
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    size_t n = strcspn(p, "/:?"), len = strlen(host);
    if (host[0] == '.')
        return n > len && strncasecmp(p + n - len, host, len) == 0;
    return n == len && strncasecmp(p, host, len) == 0;
}

static bool is_openai(const char *url)
{
    return mr_accepts_host(url, "api.openai.com") || mr_accepts_host(url, ".openai.azure.com");
}

static bool reasons(const char *model)
{
    if (model[0] == 'o' && isdigit((unsigned char)model[1]))
        return true;
    return strncmp(model, "gpt-", 4) == 0 && model[4] >= '5' && model[4] <= '9';
}

static const char *const *for_openai(const struct mr_model *model)
{
    const char *effort = json_string_value(json_object_get(model->params, "reasoning_effort"));
    if (!reasons(model->model))
        return openai;
    return effort && strcmp(effort, "none") == 0 ? reasoning_none : reasoning;
}

/* Groq takes schemas for a few models only; the others write any JSON. */
static const char *const *for_groq(const struct mr_model *model)
{
    static const char *const able[] = {"gpt-oss", "llama-4", "kimi-k2"};
    for (size_t i = 0; i < sizeof(able) / sizeof(able[0]); i++)
        if (strstr(model->model, able[i]))
            return groq_schema;
    return groq;
}

static const char *const *default_openai(
    const struct mr_endpoint *endpoint, const struct mr_model *model)
{
    const char *url = endpoint->base_url;
    if (is_openai(url))
        return for_openai(model);
    if (mr_accepts_host(url, "api.deepseek.com"))
        return deepseek;
    if (mr_accepts_host(url, "api.mistral.ai"))
        return mistral;
    if (mr_accepts_host(url, "api.groq.com"))
        return for_groq(model);
    if (mr_accepts_host(url, "generativelanguage.googleapis.com"))
        return gemini;
    return common;
}

static enum mr_form form_of(const char *const *items)
{
    static const struct {
        const char *word;
        enum mr_form form;
    } forms[] = {{"structured_outputs", MR_FORM_STRUCTURED_OUTPUTS},
        {"guided_json", MR_FORM_GUIDED_JSON}, {"schema", MR_FORM_SCHEMA},
        {"json_schema", MR_FORM_JSON_SCHEMA}, {"response_format", MR_FORM_JSON_SCHEMA},
        {"output_config", MR_FORM_JSON_SCHEMA}, {"json_object", MR_FORM_JSON_OBJECT}};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (mr_wire_listed(items, forms[i].word))
            return forms[i].form;
    return MR_FORM_NONE;
}

/* The model's own list, if it has one. */
static bool own_list(const struct mr_model *model, struct mr_accepts *ret)
{
    size_t n = model->accepts.count < MR_ACCEPTS_MAX ? model->accepts.count : MR_ACCEPTS_MAX;
    *ret = (struct mr_accepts){.explicit = n > 0};
    for (size_t i = 0; i < n; i++)
        ret->items[i] = model->accepts.items[i];
    ret->form = form_of(ret->items);
    ret->strict = mr_wire_listed(ret->items, "strict");
    return n > 0;
}

static void add(struct mr_accepts *ret, const char *const *words)
{
    size_t n = 0;
    while (ret->items[n])
        n++;
    for (; *words && n < MR_ACCEPTS_MAX; words++)
        ret->items[n++] = *words;
}

void mr_accepts_openai(
    const struct mr_endpoint *endpoint, const struct mr_model *model, struct mr_accepts *ret)
{
    if (own_list(model, ret))
        return;
    add(ret, default_openai(endpoint, model));
    ret->form = form_of(ret->items);
}

/* "claude-opus-4-5-20251101", "claude-sonnet-5.5", "claude-3-7-sonnet": the version times ten, 45,
 * 55, 37; 0 = unknown. The number may stand before the family or behind it; a date is none. */
static int claude_version(const char *model)
{
    const char *p = strncmp(model, "claude-", 7) == 0 ? model + 7 : "";
    while (*p && !isdigit((unsigned char)*p))
        p++;
    if (!*p || isdigit((unsigned char)p[1]))
        return 0;
    int version = (*p - '0') * 10;
    if ((p[1] == '-' || p[1] == '.') && isdigit((unsigned char)p[2]) &&
        !isdigit((unsigned char)p[3]))
        version += p[2] - '0';
    return version;
}

void mr_accepts_anthropic(
    const struct mr_endpoint *endpoint, const struct mr_model *model, struct mr_accepts *ret)
{
    static const char *const all[] = {
        "stop_sequences", "thinking", "cache_control", "metadata", NULL};
    static const char *const sampling[] = {"temperature", "top_p", "top_k", NULL};
    static const char *const effort[] = {"effort", NULL};
    if (own_list(model, ret))
        return;
    int version = claude_version(model->model);
    bool haiku = strstr(model->model, "haiku") != NULL;
    bool theirs = mr_accepts_host(endpoint->base_url, "api.anthropic.com");
    add(ret, all);
    if (version > 0 && version <= 46) /* later ones answer 400 */
        add(ret, sampling);
    if (version >= 50 || (version >= 45 && !haiku))
        add(ret, effort);
    if (theirs && version >= 45)
        ret->form = MR_FORM_JSON_SCHEMA;
}
