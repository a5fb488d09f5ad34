#include "common/pg.h"
#include "common/secret.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A batch of a worker takes milliseconds; whatever takes this long is stuck. The millrace command
 * may read a lot. */
#define WORKER_OPTIONS                                                                             \
    "-c search_path=millrace,pg_temp -c statement_timeout=60s -c lock_timeout=10s"                 \
    " -c idle_in_transaction_session_timeout=60s -c jit=off"                                       \
    " -c plan_cache_mode=force_generic_plan"
#define CLIENT_OPTIONS                                                                             \
    "-c search_path=millrace,pg_temp -c statement_timeout=300s -c lock_timeout=30s -c jit=off"
#define OWNER_OPTIONS                                                                              \
    "-c search_path=millrace,pg_temp -c lock_timeout=60s -c client_min_messages=warning"

/* For PQconnectdbParams. Owned; the password in it is wiped by deinit. */
struct params {
    const char *keywords[32];
    char *values[32];
    size_t count;
};

static int add(struct params *params, const char *keyword, const char *value)
{
    assert(params->count + 1 < sizeof(params->keywords) / sizeof(params->keywords[0]));
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    params->keywords[params->count] = keyword;
    params->values[params->count++] = copy;
    return 0;
}

static int add_int(struct params *params, const char *keyword, int value)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", value);
    return add(params, keyword, text);
}

/* libpq takes hosts and ports as two lists; a socket directory has no port of its own, so libpq's
 * default (PGPORT) holds for it. */
static int add_hosts(
    struct params *params, const struct mr_config_database *database, struct mr_err *err)
{
    struct mr_buf MR_CLEANUP(mr_buf_deinit) hosts = MR_BUF_INIT(64 << 10);
    struct mr_buf MR_CLEANUP(mr_buf_deinit) ports = MR_BUF_INIT(64 << 10);
    bool any_port = false;
    int rc = 0;
    for (size_t i = 0; i < database->hosts.count && rc == 0; i++) {
        char host[MR_HOST_MAX];
        int port = 0;
        rc = mr_host_split(database->hosts.items[i], 5432, host, &port, err);
        if (rc < 0)
            return mr_err_prefix(err, rc, "database.hosts");
        any_port = any_port || port;
        rc = mr_buf_printf(&hosts, "%s%s", i ? "," : "", host);
        if (rc == 0 && i)
            rc = mr_buf_putc(&ports, ',');
        if (rc == 0 && port)
            rc = mr_buf_printf(&ports, "%d", port);
    }
    if (rc == 0 && hosts.len)
        rc = add(params, "host", hosts.data);
    if (rc == 0 && any_port)
        rc = add(params, "port", ports.data);
    return rc < 0 ? mr_err_set(err, rc, MR_CLASS_INTERNAL, "database.hosts: %s", strerror(-rc)) : 0;
}

static int add_login(struct params *params, const struct mr_config_database *database,
    enum mr_pg_role role, struct mr_err *err)
{
    const char *user = role == MR_PG_OWNER    ? database->owner_user
                       : role == MR_PG_WORKER ? database->worker_user
                                              : database->client_user;
    const char *file = role == MR_PG_OWNER    ? database->owner_password_file
                       : role == MR_PG_WORKER ? database->worker_password_file
                                              : database->client_password_file;
    int rc = user && *user ? add(params, "user", user) : 0;
    if (rc < 0 || !file || !*file)
        return rc;
    struct mr_secret *password;
    rc = mr_secret_from_file(file, &password, err);
    if (rc < 0)
        return rc;
    rc = add(params, "password", mr_secret_reveal(password));
    mr_secret_free(password);
    return rc;
}

static int add_session(struct params *params, const struct mr_config_database *database,
    enum mr_pg_role role, const char *application)
{
    int seconds = (database->connect_timeout_ms + 999) / 1000;
    int rc = add(params, "application_name", application);
    if (rc == 0 && database->name && *database->name)
        rc = add(params, "dbname", database->name);
    if (rc == 0 && database->sslmode && *database->sslmode)
        rc = add(params, "sslmode", database->sslmode);
    if (rc == 0 && database->ca_file && *database->ca_file)
        rc = add(params, "sslrootcert", database->ca_file);
    if (rc == 0)
        rc = add_int(params, "connect_timeout", seconds > 2 ? seconds : 2);
    if (rc == 0)
        rc = add(params, "client_encoding", "UTF8");
    if (rc == 0)
        rc = add(params, "target_session_attrs", "read-write");
    if (rc == 0)
        rc = add(params, "gssencmode", "disable");
    if (rc == 0)
        rc = add_int(params, "keepalives_idle", 10);
    if (rc == 0)
        rc = add_int(params, "keepalives_interval", 5);
    if (rc == 0)
        rc = add_int(params, "keepalives_count", 3);
    if (rc == 0)
        rc = add_int(params, "tcp_user_timeout", 20000);
    if (rc == 0)
        rc = add(params, "options",
            role == MR_PG_OWNER    ? OWNER_OPTIONS
            : role == MR_PG_WORKER ? WORKER_OPTIONS
                                   : CLIENT_OPTIONS);
    return rc;
}

static void params_deinit(struct params *params)
{
    for (size_t i = 0; i < params->count; i++) {
        explicit_bzero(params->values[i], strlen(params->values[i]));
        free(params->values[i]);
    }
    *params = (struct params){0};
}

static int params_init(struct params *ret, const struct mr_config_database *database,
    enum mr_pg_role role, const char *application, struct mr_err *err)
{
    struct mr_err detail = {MR_CLASS_INTERNAL, "out of memory"};
    struct params params = {0};
    int rc = add_hosts(&params, database, &detail);
    if (rc == 0)
        rc = add_login(&params, database, role, &detail);
    if (rc == 0)
        rc = add_session(&params, database, role, application);
    if (rc < 0) {
        params_deinit(&params);
        return mr_err_set(err, rc, detail.class, "%s", detail.msg);
    }
    *ret = params;
    return 0;
}

int mr_pg_connect(const struct mr_config_database *database, enum mr_pg_role role,
    const char *application, PGconn **ret, struct mr_err *err)
{
    struct params MR_CLEANUP(params_deinit) params = {0};
    int rc = params_init(&params, database, role, application, err);
    if (rc < 0)
        return rc;
    PGconn *conn = PQconnectdbParams(params.keywords, (const char *const *)params.values, 0);
    if (!conn)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    if (PQstatus(conn) != CONNECTION_OK) {
        rc = mr_pg_error(conn, NULL, "cannot connect to the database", err);
        PQfinish(conn);
        return rc;
    }
    *ret = conn;
    return 0;
}
