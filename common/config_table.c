/* Every key, in the order of the reference. A default is text, read like an environment variable.
 */
#include "common/config_row.h"

#define AT(member) .offset = offsetof(struct mr_config, member)
#define COUNT(rows) ((struct mr_rows){rows, sizeof(rows) / sizeof((rows)[0])})

#define MIB (1 << 20)
#define MINUTE 60000

static const struct mr_row scalars[] = {
    {"broker", "hosts", MR_ROW_HOSTS, AT(broker.hosts), .def = "127.0.0.1",
        .help = "RabbitMQ nodes as host or host:port; tried from a random one on. Port 5672, or "
                "5671 with tls."},
    {"broker", "vhost", MR_ROW_STR, AT(broker.vhost), .max = 255, .def = "/",
        .help = "Virtual host."},
    {"broker", "user", MR_ROW_STR, AT(broker.user), .max = 255, .def = "guest",
        .help = "User name. RabbitMQ lets `guest` in from the same machine only."},
    {"broker", "password_file", MR_ROW_PATH, AT(broker.password_file), .secret = true,
        .help = "File whose first line is the password; refused when group or others may read it. "
                "Without password_file and password_env: `guest` for the user guest, else empty."},
    {"broker", "password_env", MR_ROW_ENV, AT(broker.password_env), .secret = true,
        .help = "Environment variable that holds the password, instead of password_file."},
    {"broker", "tls", MR_ROW_BOOL, AT(broker.tls), .def = "false",
        .help = "Use TLS and verify the certificate and its host name. Without it, a host other "
                "than this machine makes `config check` warn."},
    {"broker", "ca_file", MR_ROW_PATH, AT(broker.ca_file),
        .help = "CA certificates (PEM) to trust; default: the system's."},
    {"broker", "cert_file", MR_ROW_PATH, AT(broker.cert_file),
        .help = "Client certificate (PEM); needs key_file."},
    {"broker", "key_file", MR_ROW_PATH, AT(broker.key_file), .secret = true,
        .help = "Key of the client certificate (PEM)."},
    {"broker", "heartbeat", MR_ROW_SECONDS, AT(broker.heartbeat_s), 1, 600, "30s",
        .help = "AMQP heartbeat: a peer silent for twice as long is taken for gone."},
    {"broker", "connect_timeout", MR_ROW_MS, AT(broker.connect_timeout_ms), 100, MINUTE, "5s",
        .help = "How long connecting to one host may take."},
    {"broker", "publish_window", MR_ROW_INT, AT(broker.publish_window), 1, 65535, "256",
        .help = "Messages published and not yet confirmed."},

    {"database", "hosts", MR_ROW_HOSTS, AT(database.hosts), .def = "127.0.0.1",
        .help = "PostgreSQL servers as host, host:port or socket directory; the first that takes "
                "writes is used. Port 5432."},
    {"database", "name", MR_ROW_STR, AT(database.name), .max = 63, .def = "millrace",
        .help = "Database."},
    {"database", "sslmode", MR_ROW_STR, AT(database.sslmode),
        .choices = "disable|allow|prefer|require|verify-ca|verify-full",
        .help = "As in libpq. Default: `verify-full`, unless every host is this machine or a "
                "socket directory: then `prefer`."},
    {"database", "ca_file", MR_ROW_PATH, AT(database.ca_file),
        .help = "CA certificates (PEM) that sign the server's; default: libpq's "
                "`~/.postgresql/root.crt`."},
    {"database", "owner_user", MR_ROW_STR, AT(database.owner_user), .max = 63,
        .def = "millrace_owner", .help = "Role that `millrace init` works as."},
    {"database", "owner_password_file", MR_ROW_PATH, AT(database.owner_password_file),
        .secret = true,
        .help = "File with its password, closed to others. Without one: whatever libpq finds "
                "(`~/.pgpass`) or the server allows."},
    {"database", "worker_user", MR_ROW_STR, AT(database.worker_user), .max = 63,
        .def = "millrace_worker", .help = "Role of the worker."},
    {"database", "worker_password_file", MR_ROW_PATH, AT(database.worker_password_file),
        .secret = true, .help = "File with its password."},
    {"database", "client_user", MR_ROW_STR, AT(database.client_user), .max = 63,
        .def = "millrace_producer", .help = "Role of the `millrace` command: reads and cancels."},
    {"database", "client_password_file", MR_ROW_PATH, AT(database.client_password_file),
        .secret = true, .help = "File with its password."},
    {"database", "connect_timeout", MR_ROW_MS, AT(database.connect_timeout_ms), 100, MINUTE, "5s",
        .help = "How long connecting to one host may take."},

    {"worker", "pool", MR_ROW_NAME, AT(worker.pool), .def = "main",
        .help = "The pool whose queues this worker serves."},
    {"worker", "slots", MR_ROW_INT, AT(worker.slots), 1, 20000, "256",
        .help = "Jobs running at once."},
    {"worker", "grace", MR_ROW_MS, AT(worker.grace_ms), 0, 60 * MINUTE, "60s", .reloadable = true,
        .help = "After SIGTERM: how long running calls may take before they are given up."},
    {"worker", "max_redeliveries", MR_ROW_INT, AT(worker.max_redeliveries), 1, 1000, "5",
        .reloadable = true,
        .help = "A job whose worker died this often in a row, without a step finished in between, "
                "is a dead letter."},
    {"worker", "lease_max", MR_ROW_MS, AT(worker.lease_max_ms), 1000, 15 * MINUTE, "15m",
        .reloadable = true,
        .help = "No message is held longer: the job is published again. At most half of the "
                "broker's consumer timeout (30 minutes unless changed there)."},
    {"worker", "dead_after", MR_ROW_MS, AT(worker.dead_after_ms), 1000, 10 * MINUTE, "10s",
        .help = "A worker counts as dead when its lock is free and its heartbeat this old. At "
                "least twice the heartbeat."},
    {"worker", "heartbeat", MR_ROW_MS, AT(worker.heartbeat_ms), 100, MINUTE, "2s",
        .help = "How often a worker says in the database that it lives."},
    {"worker", "reserved_percent", MR_ROW_INT, AT(worker.reserved_percent), 0, 90, "20",
        .reloadable = true,
        .help = "Share of the slots kept for the normal and low lanes, so that they never starve."},
    {"worker", "extract_processes", MR_ROW_INT, AT(worker.extract_processes), 1, 256, "2",
        .reloadable = true, .help = "Sandboxed extraction processes at once."},
    {"worker", "extract_memory_mb", MR_ROW_INT, AT(worker.extract_memory_mb), 64, 65536, "512",
        .reloadable = true, .help = "Memory limit of each, in MiB."},
    {"worker", "extract_timeout", MR_ROW_MS, AT(worker.extract_timeout_ms), 100, 10 * MINUTE, "60s",
        .reloadable = true,
        .help = "Time limit of one extraction, fetch included; the default of an extract step."},
    {"worker", "extract_max_bytes", MR_ROW_SIZE, AT(worker.extract_max_bytes), 1024, 1 << 30,
        "64MiB", .reloadable = true, .help = "Largest document, fetched or inline."},
    {"worker", "extract_max_text", MR_ROW_SIZE, AT(worker.extract_max_text), 1024, 64 * MIB, "4MiB",
        .reloadable = true, .help = "Largest extracted text; more is cut and flagged."},
    {"worker", "fetch_http", MR_ROW_BOOL, AT(worker.fetch_http), .def = "false", .reloadable = true,
        .help = "Fetch `http://` documents too, not only `https://`."},
    {"worker", "fetch_allow", MR_ROW_STRV, AT(worker.fetch_allow), .reloadable = true,
        .help = "Host names or CIDR ranges a document may be fetched from although they are "
                "private addresses."},
    {"worker", "log_level", MR_ROW_STR, AT(worker.log_level), .def = "info",
        .choices = "debug|info|warn|error", .reloadable = true,
        .help = "Log lines below this level are not written."},

    {"producer", "inline_max_bytes", MR_ROW_SIZE, AT(producer.inline_max_bytes), 1024, 8 * MIB,
        "1MiB", .reloadable = true,
        .help = "Largest document carried inside the message; larger ones go by `--url`."},

    {"money", "ceiling_input", MR_ROW_RATE, AT(money.ceiling_input), 0, 1000000000000, "30",
        .reloadable = true,
        .help = "Dollars per million prompt tokens that a model without a known price is held and "
                "charged at. The default is above every shipped price."},
    {"money", "ceiling_output", MR_ROW_RATE, AT(money.ceiling_output), 0, 1000000000000, "100",
        .reloadable = true, .help = "The same for output tokens."},
};

#undef AT
#define AT(member) .offset = offsetof(struct mr_provider, member)
static const struct mr_row providers[] = {
    {"providers", "name", MR_ROW_NAME, AT(name), .required = true,
        .help = "What models refer to, and its name in the price list (`openai`, `anthropic`, "
                "`gemini`, `mistral`, `deepseek`, `groq`; `ollama`, `vllm`, `llama.cpp` cost "
                "nothing). Under a name not listed there, calls are charged at the ceiling."},
    {"providers", "kind", MR_ROW_ENUM, AT(kind), .choices = "local|openai|anthropic",
        .required = true,
        .help = "`local`: built in, no network, no key, no cost. `openai`: any server that speaks "
                "OpenAI's chat completions. `anthropic`: the Messages API."},
    {"providers", "base_url", MR_ROW_URL, AT(base_url),
        .help = "Up to the version, e.g. `http://127.0.0.1:11434/v1`. Default: the vendor's own."},
    {"providers", "key_file", MR_ROW_PATH, AT(key_file), .secret = true,
        .help = "File whose first line is the API key; refused when group or others may read it."},
    {"providers", "key_env", MR_ROW_ENV, AT(key_env), .secret = true,
        .help = "Environment variable that holds the key, instead of key_file. Neither: no key is "
                "sent."},
    {"providers", "connect_timeout", MR_ROW_MS, AT(connect_timeout_ms), 100, MINUTE, "5s",
        .help = "How long connecting may take."},
    {"providers", "ca_file", MR_ROW_PATH, AT(ca_file),
        .help = "CA certificates (PEM) to trust; default: the system's."},
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
        .help = "Names of the parameters this model takes; default: those the provider kind is "
                "known to take. A parameter that is not accepted is not sent."},
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
        .help = "Calls the step may make in all, those cut short by crashes included."},
    {"steps", "on_error", MR_ROW_ENUM, AT(on_error), .choices = "fail|skip|degrade", .def = "fail",
        .help = "`fail`: the job is dead. `skip`: go on, the step's output reads as empty. "
                "`degrade`: let the local provider answer, and mark the result."},
    {"steps", "pool", MR_ROW_NAME, AT(pool), .def = "main",
        .help = "Pool of workers that runs the step."},
};

struct mr_rows mr_config_scalars(void)
{
    return COUNT(scalars);
}

struct mr_rows mr_config_provider_rows(void)
{
    return COUNT(providers);
}

struct mr_rows mr_config_model_rows(void)
{
    return COUNT(models);
}

struct mr_rows mr_config_pipeline_rows(void)
{
    return COUNT(pipelines);
}

struct mr_rows mr_config_step_rows(void)
{
    return COUNT(steps);
}
