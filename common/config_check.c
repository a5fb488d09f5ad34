/* What no single key can check: defaults that depend on others, keys that go together, warnings. */
#include "common/config_row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WARNING_MAX 512
#define ENDPOINT_NAME_MAX 160

static bool all_local(const struct mr_strv *hosts, const char **ret_remote)
{
    char host[MR_HOST_MAX];
    struct mr_err ignored;
    int port;

    for (size_t i = 0; i < hosts->count; i++)
        if (mr_host_split(hosts->items[i], 0, host, &port, &ignored) < 0 ||
            !mr_host_is_local(host)) {
            *ret_remote = hosts->items[i];
            return false;
        }
    return true;
}

static int invalid(struct mr_err *err, const char *text)
{
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "%s", text);
}

static int check_broker(const struct mr_config_broker *broker, struct mr_err *err)
{
    for (size_t i = 0; i < broker->hosts.count; i++)
        if (broker->hosts.items[i][0] == '/')
            return invalid(err, "broker.hosts: must not be a socket directory");
    if (broker->password_file && broker->password_env)
        return invalid(err, "broker: password_file and password_env exclude each other");
    if (!broker->cert_file != !broker->key_file)
        return invalid(err, "broker: cert_file and key_file go together");
    if (!broker->tls && (broker->ca_file || broker->cert_file))
        return invalid(err, "broker: ca_file and cert_file need tls = true");
    return 0;
}

static int check_database(struct mr_config_database *database, struct mr_err *err)
{
    const char *remote;

    if (database->sslmode)
        return 0;
    database->sslmode = strdup(all_local(&database->hosts, &remote) ? "prefer" : "verify-full");
    return database->sslmode ? 0 : mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

static int check_worker(const struct mr_config_worker *worker, struct mr_err *err)
{
    char host[MR_HOST_MAX];
    int port;

    if (worker->dead_after_ms < 2 * worker->heartbeat_ms)
        return invalid(err, "worker.dead_after: must be at least twice worker.heartbeat");
    if (!worker->listen)
        return 0;
    int rc = mr_listen_split(worker->listen, MR_WORKER_PORT, host, &port, err);
    return rc < 0 ? mr_err_prefix(err, rc, "worker.listen") : 0;
}

int mr_config_check(struct mr_config *config, struct mr_err *err)
{
    int rc = check_broker(&config->broker, err);
    if (rc < 0)
        return rc;
    rc = check_worker(&config->worker, err);
    if (rc < 0)
        return rc;
    return check_database(&config->database, err);
}

static void warn_broker(const struct mr_config_broker *broker, mr_config_warn_fn *warn, void *ctx)
{
    char text[WARNING_MAX];
    const char *remote;

    if (all_local(&broker->hosts, &remote))
        return;
    if (!broker->tls) {
        snprintf(text, sizeof(text),
            "broker: jobs and the password travel to %.200s without TLS; set broker.tls = true",
            remote);
        warn(ctx, text);
    }
    if (!broker->password_file && !broker->password_env) {
        snprintf(text, sizeof(text),
            "broker: no password_file or password_env for %.200s; RabbitMQ refuses guest from "
            "another machine",
            remote);
        warn(ctx, text);
    }
}

static void warn_database(
    const struct mr_config_database *database, mr_config_warn_fn *warn, void *ctx)
{
    char text[WARNING_MAX];
    const char *remote;

    if (all_local(&database->hosts, &remote) || strcmp(database->sslmode, "verify-full") == 0 ||
        strcmp(database->sslmode, "verify-ca") == 0)
        return;
    snprintf(text, sizeof(text),
        "database: with sslmode = \"%s\" nothing proves that %.200s is the right server; use "
        "verify-full",
        database->sslmode, remote);
    warn(ctx, text);
}

/* The host of a base URL, without a port. */
static void url_host(const char *url, char ret[static MR_HOST_MAX])
{
    const char *start = strstr(url, "://") + 3;
    bool brackets = *start == '[';

    start += brackets;
    size_t n = strcspn(start, brackets ? "]" : ":/");
    if (n >= MR_HOST_MAX)
        n = MR_HOST_MAX - 1;
    memcpy(ret, start, n);
    ret[n] = '\0';
}

/* 'p', or 'p', endpoint 'e' where there are several. */
static void endpoint_name(const struct mr_endpoint *endpoint, char ret[static ENDPOINT_NAME_MAX])
{
    if (endpoint->provider->nendpoints > 1)
        snprintf(ret, ENDPOINT_NAME_MAX, "'%s', endpoint '%s'", endpoint->provider->name,
            endpoint->name);
    else
        snprintf(ret, ENDPOINT_NAME_MAX, "'%s'", endpoint->provider->name);
}

static void warn_endpoint(const struct mr_endpoint *endpoint, mr_config_warn_fn *warn, void *ctx)
{
    char text[WARNING_MAX], host[MR_HOST_MAX], name[ENDPOINT_NAME_MAX];

    if (!endpoint->base_url)
        return;
    url_host(endpoint->base_url, host);
    endpoint_name(endpoint, name);
    bool has_key = endpoint->key_file || endpoint->key_env;
    if (strncmp(endpoint->base_url, "http://", 7) == 0 && !mr_host_is_local(host)) {
        snprintf(text, sizeof(text), "provider %s: %s %.200s unencrypted; use https://", name,
            has_key ? "documents and the key travel to" : "documents travel to", host);
        warn(ctx, text);
    }
    if (!has_key &&
        (strcmp(host, "api.openai.com") == 0 || strcmp(host, "api.anthropic.com") == 0)) {
        snprintf(
            text, sizeof(text), "provider %s: %s wants a key; set key_file or key_env", name, host);
        warn(ctx, text);
    }
}

static void warn_serve(const struct mr_config_serve *serve, mr_config_warn_fn *warn, void *ctx)
{
    char text[WARNING_MAX];

    if (serve->token_file || mr_host_is_local(serve->listen))
        return;
    snprintf(text, sizeof(text),
        "serve: millrace serve will not listen on %.200s without a token; set serve.token_file",
        serve->listen);
    warn(ctx, text);
}

void mr_config_warn(const struct mr_config *config, mr_config_warn_fn *warn, void *ctx)
{
    warn_serve(&config->serve, warn, ctx);
    warn_broker(&config->broker, warn, ctx);
    warn_database(&config->database, warn, ctx);
    for (size_t i = 0; i < config->nproviders; i++)
        for (size_t e = 0; e < config->providers[i].nendpoints; e++)
            warn_endpoint(&config->providers[i].endpoints[e], warn, ctx);
}
