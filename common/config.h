/* Configuration: one libconfig file (or the embedded default), checked whole, then an immutable
 * snapshot.
 *
 * Scalars come from one table in config_table.c (key, type, range, default, reloadable, secret,
 * help) that also drives MILLRACE_<SECTION>_<KEY> environment overrides, `millrace config --print`,
 * and docs/configuration.md. Lists (retry, providers, models, pipelines) have their own readers.
 * Unknown keys are errors with file and line. The embedded default (ops/config/default.cfg) is
 * always read first; the user's file overrides scalars, and adds or replaces providers, models and
 * pipelines by name, retry rules by class. */
#pragma once

#include "common/err.h"
#include "common/model.h"
#include "common/schema.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MR_STEPS_MAX 32

/* How failures of one class are retried: docs/architecture.md, "Errors". */
struct mr_retry_rule {
    int tries;          /* calls in all on one route, the first one included */
    int64_t first_ms;   /* before the second */
    int factor_percent; /* each wait is this many per cent of the one before */
    int64_t max_ms;
};

enum mr_step_kind { MR_STEP_EXTRACT, MR_STEP_CHAT };
enum mr_on_error { MR_ON_ERROR_FAIL, MR_ON_ERROR_SKIP, MR_ON_ERROR_DEGRADE };

struct mr_step_def {
    char *name;
    enum mr_step_kind kind;
    uint32_t after;               /* bit i: step i of the pipeline must have ended first */
    const struct mr_model *model; /* chat only; borrowed */
    char *prompt;                 /* chat only: template text */
    char *task; /* chat only: what `local` does: summary | entities | class | sentiment; or NULL */
    char *schema_text;               /* JSON Schema of the output, or NULL for plain text */
    char *schema_name, *schema_file; /* where it came from: embedded, or a file; at most one */
    struct mr_schema *schema;
    int max_tokens;       /* 1..., default 1024 */
    int timeout_ms;       /* one call or extraction; at most 600000 */
    int max_attempts;     /* calls a step may make that may have cost money, over all leases */
    int64_t patience_ms;  /* how long a step waits for an outage to end, from its first try on */
    int64_t cache_ttl_ms; /* equal calls of a tenant share one answer this long; 0 = never */
    enum mr_on_error on_error;
    char *pool;
};

/* Steps are stored in topological order; `after` never points at itself or later. */
struct mr_pipeline {
    char *name;
    int version;
    struct mr_step_def steps[MR_STEPS_MAX];
    size_t nsteps;
};

struct mr_config_broker {
    struct mr_strv hosts; /* host[:port]; 5672, or 5671 with tls */
    char *vhost, *user, *password_file, *password_env;
    bool tls;
    char *ca_file, *cert_file, *key_file;
    int heartbeat_s, connect_timeout_ms, publish_window;
    int lane_shards; /* queues a lane is made of */
};

struct mr_config_database {
    struct mr_strv hosts; /* host[:port] or a socket directory */
    char *name, *sslmode, *ca_file;
    char *owner_user, *owner_password_file;
    char *worker_user, *worker_password_file;
    char *client_user,
        *client_password_file; /* the millrace command: role producer (which may also read) */
    int connect_timeout_ms;
};

struct mr_config_worker {
    char *pool;
    int slots;            /* jobs running at once */
    int grace_ms;         /* drain: how long running calls may take */
    int max_redeliveries; /* crashes in a row without a finished step */
    int lease_max_ms;     /* no lease is held longer */
    int dead_after_ms;    /* a worker is dead: lock free and heartbeat older than this */
    int heartbeat_ms;
    int reserved_percent;  /* slots kept for lower lanes */
    int extract_processes; /* sandboxed children at once */
    int extract_memory_mb, extract_timeout_ms;
    int64_t extract_max_bytes; /* largest document, fetched or inline */
    int64_t extract_max_text;  /* largest extracted text, bytes */
    bool fetch_http; /* allow http:// besides https:// for --url (loopback tests); default false */
    struct mr_strv
        fetch_allow; /* host names or CIDRs exempt from the SSRF address rules; default none */
    char *region;    /* endpoints of this region are preferred; NULL = none */
    char *log_level;
    char *listen;        /* [address:]port for /metrics, /healthz, /readyz; NULL = nowhere */
    int metrics_tenants; /* tenants with a name of their own in the metrics */
};

struct mr_config_breaker {
    int failures;  /* in a row: open */
    int open_ms;   /* then half-open */
    int successes; /* in half-open: closed */
    int probes;    /* calls at once in half-open */
};

struct mr_config_producer {
    int64_t inline_max_bytes; /* 1 MiB */
};

struct mr_config_serve {
    char *listen; /* address or host name */
    int port;
    char *token_file; /* NULL: no token is asked for */
    int64_t max_body; /* bytes of a request */
    int max_jobs;     /* jobs of a request */
    int max_pending;  /* jobs waiting for their confirm, of all requests */
    int max_connections, max_connections_per_address;
    int timeout_ms;         /* a client's, for each part of a request */
    int confirm_timeout_ms; /* the broker's */
    int grace_ms;           /* after SIGTERM, for slow clients */
    char *log_level;
};

struct mr_config_money {
    int64_t ceiling_input, ceiling_output; /* pico-dollars per token for unknown models */
};

struct mr_config {
    struct mr_config_broker broker;
    struct mr_config_database database;
    struct mr_config_worker worker;
    struct mr_config_producer producer;
    struct mr_config_serve serve;
    struct mr_config_money money;
    struct mr_config_breaker breaker;
    struct mr_retry_rule retry[MR_CLASS_COUNT];
    struct mr_provider *providers;
    size_t nproviders;
    struct mr_model *models;
    size_t nmodels;
    struct mr_pipeline *pipelines; /* several versions of one name may be present */
    size_t npipelines;
    unsigned refs;
};

/* Reads the embedded default, then path (NULL: $MILLRACE_CONFIG, then /etc/millrace/millrace.cfg if
 * it exists, then nothing), then environment overrides, and checks everything. err names file and
 * line. */
int mr_config_load(const char *path, struct mr_config **ret, struct mr_err *err) MR_CHECK;

/* What is allowed but unwise, one sentence a call, e.g. a broker without TLS on another host. */
typedef void mr_config_warn_fn(void *ctx, const char *warning);
void mr_config_warn(const struct mr_config *config, mr_config_warn_fn *warn, void *ctx);

/* Splits "host", "host:port", "[::1]:port", or a socket directory ("/..."; *ret_port stays 0 then).
 * *ret_port is default_port when the text names none. 0 or -EINVAL with the reason in err. */
#define MR_HOST_MAX 256
int mr_host_split(const char *text, int default_port, char ret_host[static MR_HOST_MAX],
    int *ret_port, struct mr_err *err) MR_CHECK;
/* The same for where to listen: port 0 means any free one. */
int mr_listen_split(const char *text, int default_port, char ret_host[static MR_HOST_MAX],
    int *ret_port, struct mr_err *err) MR_CHECK;
#define MR_WORKER_PORT 9464 /* of worker.listen, unless it says another */
/* localhost, 127.0.0.0/8, ::1 or a socket directory (without a port, as mr_host_split gives it). */
bool mr_host_is_local(const char *host);

/* Loads provider keys (the worker only; the producer never needs them). */
int mr_config_load_keys(struct mr_config *config, struct mr_err *err) MR_CHECK;

/* Single-threaded reference counts: a job keeps the snapshot it started with. unref takes NULL,
 * returns NULL. */
struct mr_config *mr_config_ref(struct mr_config *config);
struct mr_config *mr_config_unref(struct mr_config *config);

/* Makes `next` fit to be reloaded: keys that only a restart changes get the running value back. 0;
 * 1: there were some, err->msg lists them as "broker.hosts, ..."; -ENOMEM. */
int mr_config_keep_fixed(
    struct mr_config *next, const struct mr_config *running, struct mr_err *err) MR_CHECK;

/* version 0: the highest. NULL when unknown. */
const struct mr_pipeline *mr_config_pipeline(
    const struct mr_config *config, const char *name, int version);

/* Writes the effective configuration as libconfig text, secrets (and only them) as "***"; or the
 * reference in Markdown. */
int mr_config_print(const struct mr_config *config, FILE *out) MR_CHECK;
int mr_config_print_reference(FILE *out) MR_CHECK;
