/* The keys of the items of every list, in the order of the reference. */
#include "common/config_lists.h"
#include "common/expr.h"

#define COUNT(rows) ((struct mr_rows){rows, sizeof(rows) / sizeof((rows)[0])})

#define MINUTE 60000
#define DAY (24 * 60 * MINUTE)

#define AT(member) .offset = offsetof(struct mr_provider, member)
static const struct mr_row providers[] = {
    {"providers", "name", MR_ROW_NAME, AT(name), .required = true,
        .help = "What models refer to, and its name in the price list (`openai`, `anthropic`, "
                "`gemini`, `mistral`, `deepseek`, `groq`; `ollama`, `vllm`, `llama.cpp` cost "
                "nothing). Under a name not listed there, calls are charged at the ceiling."},
    {"providers", "kind", MR_ROW_ENUM, AT(kind), .choices = "local|openai|anthropic|custom",
        .required = true,
        .help =
            "`local`: built in, no network, no key, no cost. `openai`: any server that speaks "
            "OpenAI's chat completions. `anthropic`: the Messages API. `custom`: any other JSON "
            "over HTTP, as its key `custom` says."},
    {"providers", "custom", MR_ROW_OTHER,
        .help = "Group that describes the wire format, see below. Kind custom only, and required "
                "there."},
    {"providers", "endpoints", MR_ROW_OTHER,
        .help = "List of places where it answers, see below. A provider with one place may have "
                "the keys of an endpoint itself; with several, what it has itself is their "
                "default."},
};

#undef AT
#define AT(member) .offset = offsetof(struct mr_endpoint, member)
static const struct mr_row endpoints[] = {
    {"endpoints", "name", MR_ROW_NAME, AT(name),
        .help = "What calls, limits and breakers name it by. Default: the provider's name."},
    {"endpoints", "base_url", MR_ROW_URL, AT(base_url),
        .help = "Up to the version, e.g. `http://127.0.0.1:11434/v1`. Default: the vendor's own; "
                "kind custom has "
                "none."},
    {"endpoints", "key_file", MR_ROW_PATH, AT(key_file), .secret = true,
        .help = "File whose first line is the API key; refused when group or others may read it."},
    {"endpoints", "key_env", MR_ROW_ENV, AT(key_env), .secret = true,
        .help = "Environment variable that holds the key, instead of key_file. Neither: no key is "
                "sent."},
    {"endpoints", "connect_timeout", MR_ROW_MS, AT(connect_timeout_ms), 100, MINUTE, "5s",
        .help = "How long connecting may take."},
    {"endpoints", "ca_file", MR_ROW_PATH, AT(ca_file),
        .help = "CA certificates (PEM) to trust; default: the system's."},
    {"endpoints", "region", MR_ROW_NAME, AT(region),
        .help = "Workers of the same `worker.region` prefer it."},
    {"endpoints", "weight", MR_ROW_INT, AT(weight), 1, 1000, "1",
        .help = "Calls in flight are shared out in proportion."},
    {"endpoints", "health", MR_ROW_STR, AT(health), .max = 255,
        .help = "Path below base_url that is asked every 5 seconds while the endpoint's breaker "
                "is open, e.g. `/models`; an answer below 500 lets calls through again."},
};

#undef AT
#define AT(member) .offset = offsetof(struct mr_custom, member)
static const struct mr_row customs[] = {
    {"custom", "path", MR_ROW_STR, AT(path),
        .help = "Where to POST below base_url, e.g. `/models/{{model}}:generate`; `{{model}}` is "
                "URL-encoded. Default: base_url itself."},
    {"custom", "key_header", MR_ROW_STR, AT(key_header), .max = 128, .def = "Authorization: Bearer",
        .help = "Header that carries the key: a name such as `x-api-key`, or a name and what "
                "stands before the key."},
    {"custom", "headers", MR_ROW_STRV, AT(headers),
        .help = "More headers, as `Name: value`; at most 6. No secrets: `config --print` shows "
                "them."},
    {"custom", "body", MR_ROW_TEXT, AT(body), .max = 65536,
        .help =
            "The request as JSON in which `{{model}}`, `{{system}}`, `{{user}}`, "
            "`{{max_tokens}}` and `{{schema}}` (null when plain text is wanted) stand for whole "
            "JSON values, quotes included. Without `{{system}}` the instructions go before the "
            "user's text, without `{{schema}}` the schema into the instructions."},
    {"custom", "body_file", MR_ROW_OTHER,
        .help = "File with it, instead of body. One of both is required."},
    {"custom", "text", MR_ROW_STR, AT(text), .required = true,
        .help = "Path to the answer's text, e.g. `choices[0].message.content`; `[*]` stands for "
                "every item, for texts that come in pieces."},
    {"custom", "finish", MR_ROW_STR, AT(finish),
        .help = "Path to the finish reason. Without it every answer counts as whole."},
    {"custom", "ok", MR_ROW_STRV, AT(ok),
        .help = "Finish reasons of a whole answer; required with finish. Case does not matter."},
    {"custom", "length", MR_ROW_STRV, AT(length),
        .help = "Those of an answer that max_tokens cut short."},
    {"custom", "refused", MR_ROW_STRV, AT(refused),
        .help = "Those of a refusal or a content filter. All others are a bad output."},
    {"custom", "served_model", MR_ROW_STR, AT(served_model),
        .help = "Path to the name of the model that answered."},
    {"custom", "input", MR_ROW_STR, AT(input),
        .help = "Path to the number of prompt tokens. Without input and output, usage is "
                "estimated from the bytes."},
    {"custom", "cached", MR_ROW_STR, AT(cached),
        .help = "Path to how many of them came from the provider's cache."},
    {"custom", "cache_write", MR_ROW_STR, AT(cache_write),
        .help = "Path to how many were written to it."},
    {"custom", "output", MR_ROW_STR, AT(output), .help = "Path to the number of output tokens."},
    {"custom", "usage_inclusive", MR_ROW_BOOL, AT(usage_inclusive), .def = "true",
        .help = "Whether input counts cached and written tokens too, as OpenAI does."},
    {"custom", "error", MR_ROW_STR, AT(error),
        .help = "Path to the message of an error, e.g. `error.message`."},
};

#undef AT
#define AT(member) .offset = offsetof(struct mr_model, member)
static const struct mr_row models[] = {
    {"models", "alias", MR_ROW_NAME, AT(alias), .required = true, .help = "What steps refer to."},
    {"models", "provider", MR_ROW_OTHER, .required = true, .help = "Name of a provider."},
    {"models", "model", MR_ROW_STR, AT(model), .max = 128, .required = true,
        .help = "The provider's own name for the model."},
    {"models", "params", MR_ROW_OTHER,
        .help = "Group of extra request parameters, e.g. `{ temperature = 0.2; }`."},
    {"models", "accepts", MR_ROW_STRV, AT(accepts),
        .help = "Names of the parameters this model takes; default: what is known of host and "
                "model. A parameter that is not accepted is not sent. Also how a schema is put: "
                "`json_schema` (with `strict`: enforced in any case), `json_object`, vLLM's "
                "`structured_outputs` or `guided_json`, llama.cpp's `schema`, Anthropic's "
                "`output_config`; without one of these, as an instruction. And "
                "`max_completion_tokens`, where that is the name of the limit."},
    {"models", "fallback", MR_ROW_OTHER,
        .help = "Aliases that are asked in this order when this model fails, e.g. `[\"b\", "
                "\"local\"]`. `local` is the built-in provider: it needs a step with a `task`, and "
                "its answer is marked as degraded. Fallbacks of a fallback are not followed, so "
                "two models may name each other."},
    {"models", "choose", MR_ROW_OTHER,
        .help = "Rules that put another model in this one's place, see below."},
    {"models", "rpm", MR_ROW_INT, AT(rpm), 0, 10000000,
        .help = "Requests a minute the provider allows one key for this model; shared by all "
                "workers. 0, the default: not known, only the provider's own answers count."},
    {"models", "tpm", MR_ROW_LONG, AT(tpm), 0, 1000000000000,
        .help = "The same for tokens a minute, prompt and output."},
    {"models", "concurrency", MR_ROW_INT, AT(concurrency), 0, 100000,
        .help = "The same for calls at once."},
};

#undef AT
#define AT(member) .offset = offsetof(struct mr_rule, member)
static const struct mr_row rules[] = {
    {"choose", "when", MR_ROW_STR, AT(when), .max = MR_EXPR_MAX, .required = true,
        .help = "A condition such as `prompt_bytes < 4000 && metadata.tier != 'gold'`. Names: "
                "`prompt_bytes`, `prompt_tokens` (a quarter of it), `max_tokens`, `priority`, "
                "`tenant`, `pipeline`, `step`, `lane`, `input_name`, `input_type`, "
                "`metadata.key`. Operators: `== != < <= > >=`, `in ('a', 'b')`, `contains`, "
                "`&& || !` and parentheses. What is missing is equal to nothing."},
    {"choose", "use", MR_ROW_OTHER, .required = true,
        .help = "Alias of the model to take instead, with its own rules, fallbacks and limits."},
};

#undef AT
#define AT(member) .offset = offsetof(struct mr_config_retry, member)
static const struct mr_row retries[] = {
    {"retry", "class", MR_ROW_STR, AT(class), .required = true,
        .choices = "rate_limited|overloaded|server|network|ambiguous|bad_output",
        .help = "The class of failure. Others are never repeated at the same place."},
    {"retry", "tries", MR_ROW_INT, AT(rule.tries), 1, 20, .required = true,
        .help = "Calls in all at one endpoint, the first one included; then come the next endpoint "
                "and the next model."},
    {"retry", "first", MR_ROW_LONG_MS, AT(rule.first_ms), 0, 10 * MINUTE, "1s",
        .help = "Wait before the second call. A longer one the provider asks for counts instead; "
                "up to a quarter of chance comes on top."},
    {"retry", "factor", MR_ROW_FACTOR, AT(rule.factor_percent), 100, 1000, "2.0",
        .help = "Each wait is this many times the one before."},
    {"retry", "max", MR_ROW_LONG_MS, AT(rule.max_ms), 0, 60 * MINUTE, "60s",
        .help = "No wait is longer, unless the provider asks for it."},
};

#undef AT
#define AT(member) .offset = offsetof(struct mr_pipeline, member)
static const struct mr_row pipelines[] = {
    {"pipelines", "name", MR_ROW_NAME, AT(name), .required = true,
        .help = "What `--pipeline` names."},
    {"pipelines", "version", MR_ROW_INT, AT(version), 1, 1000000, "1",
        .help = "New jobs run the highest; a job that has begun keeps its own, so leave the old "
                "one in place until its jobs have ended."},
    {"pipelines", "steps", MR_ROW_OTHER, .required = true,
        .help = "List of 1 to 32 steps, see below."},
};

#undef AT
#define AT(member) .offset = offsetof(struct mr_step_def, member)
static const struct mr_row steps[] = {
    {"steps", "name", MR_ROW_NAME, AT(name), .required = true,
        .help = "What `after` and prompts refer to; no dots; not `input`, `metadata` or `job`."},
    {"steps", "kind", MR_ROW_ENUM, AT(kind), .choices = "extract|chat", .required = true,
        .help = "`extract`: the document's text. `chat`: one call of a model."},
    {"steps", "after", MR_ROW_OTHER,
        .help = "Names of the steps that must have ended before. Default: the step above; `[]`: "
                "none."},
    {"steps", "model", MR_ROW_OTHER, .help = "chat: alias of a model. Required."},
    {"steps", "prompt", MR_ROW_TEXT, AT(prompt), .max = 65536,
        .help = "chat: the instruction. `{{extract.text|8000}}` refers to an earlier step's output "
                "(its first 8,000 characters), `{{input.text}}`, `{{input.name}}`, "
                "`{{metadata.key}}`, `{{job.id}}`, `{{job.tenant}}` to the job."},
    {"steps", "prompt_file", MR_ROW_OTHER,
        .help = "chat: file with the prompt, instead of prompt. One of both is required."},
    {"steps", "task", MR_ROW_STR, AT(task), .choices = "summary|entities|class|sentiment",
        .help = "chat: what the local provider does for this step."},
    {"steps", "schema", MR_ROW_NAME, AT(schema_name),
        .help = "chat: built-in JSON Schema the answer must conform to: `entities`. Default: plain "
                "text is wanted."},
    {"steps", "schema_file", MR_ROW_PATH, AT(schema_file),
        .help = "chat: file with a JSON Schema (draft 7), instead of schema."},
    {"steps", "max_tokens", MR_ROW_INT, AT(max_tokens), 1, 1000000, "1024",
        .help = "chat: output tokens asked for at most, hidden reasoning included."},
    {"steps", "timeout", MR_ROW_MS, AT(timeout_ms), 100, 10 * MINUTE, "60s",
        .help = "Of one call, or of the extraction (default there: worker.extract_timeout)."},
    {"steps", "max_attempts", MR_ROW_INT, AT(max_attempts), 1, 100, "5",
        .help = "Calls the step may make in all that may have cost money, those cut short by "
                "crashes included."},
    {"steps", "patience", MR_ROW_LONG_MS, AT(patience_ms), 0, 30LL * DAY, "24h",
        .help =
            "How long the step waits for an outage to end (throttling, overload, no network, "
            "every breaker open), counted from its first try, before it fails. Time parked under a "
            "cap or a limit does not count."},
    {"steps", "cache", MR_ROW_LONG_MS, AT(cache_ttl_ms), 0, 365LL * DAY, "0s",
        .help = "chat: how long an answer may serve equal calls of the same tenant, which then "
                "cost nothing. 0s: never."},
    {"steps", "on_error", MR_ROW_ENUM, AT(on_error), .choices = "fail|skip|degrade", .def = "fail",
        .help = "`fail`: the job is dead. `skip`: go on, the step's output reads as empty. "
                "`degrade`: let the local provider answer, and mark the result."},
    {"steps", "pool", MR_ROW_NAME, AT(pool), .def = "main",
        .help = "Pool of workers that runs the step."},
};

struct mr_rows mr_config_provider_rows(void)
{
    return COUNT(providers);
}

struct mr_rows mr_config_endpoint_rows(void)
{
    return COUNT(endpoints);
}

struct mr_rows mr_config_custom_rows(void)
{
    return COUNT(customs);
}

struct mr_rows mr_config_model_rows(void)
{
    return COUNT(models);
}

struct mr_rows mr_config_rule_rows(void)
{
    return COUNT(rules);
}

struct mr_rows mr_config_retry_rows(void)
{
    return COUNT(retries);
}

struct mr_rows mr_config_pipeline_rows(void)
{
    return COUNT(pipelines);
}

struct mr_rows mr_config_step_rows(void)
{
    return COUNT(steps);
}
