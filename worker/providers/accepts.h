/* Which parameters a model takes: what its configuration lists, else what is known of its host and
 * name. Internal to providers/. */
#pragma once

#include "common/config.h"

#define MR_ACCEPTS_MAX 64

/* Words of an accept list that are no parameters: how structured output is asked for. */
enum mr_form {
    MR_FORM_NONE,        /* by instruction only */
    MR_FORM_JSON_SCHEMA, /* response_format json_schema: OpenAI, vLLM, Ollama, llama.cpp, ... */
    MR_FORM_STRUCTURED_OUTPUTS, /* vLLM's own */
    MR_FORM_GUIDED_JSON,        /* vLLM before that */
    MR_FORM_SCHEMA,             /* response_format json_object with a schema: old llama.cpp */
    MR_FORM_JSON_OBJECT,        /* JSON, but any; the schema goes by instruction */
};

struct mr_accepts {
    const char *items[MR_ACCEPTS_MAX + 1]; /* ends with NULL */
    enum mr_form form;
    bool strict;   /* asked for: the provider is to enforce the schema, fitting or not */
    bool explicit; /* it is the model's own list */
};

/* For the openai kind and for the anthropic kind. Strings are borrowed. */
void mr_accepts_openai(
    const struct mr_endpoint *endpoint, const struct mr_model *model, struct mr_accepts *ret);
void mr_accepts_anthropic(
    const struct mr_endpoint *endpoint, const struct mr_model *model, struct mr_accepts *ret);

/* Whether the URL's host is this one, or below it when the name begins with a dot. */
bool mr_accepts_host(const char *url, const char *host);
