/* Getting a connection, losing it, and putting what the broker said into words. */
#include "common/amqp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#if __has_include(<rabbitmq-c/ssl_socket.h>)
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

#define PORT 5672
#define PORT_TLS 5671
#define FRAME_MAX 131072     /* 4.1 refuses less than 8192; larger frames only cost memory */
#define RPC_TIMEOUT_MS 30000 /* a quorum queue takes its time to be declared */
#define CLOSE_TIMEOUT_MS 2000
/* rabbitmq-c writes with an infinite deadline; this is what ends such a write on a dead network and
 * on a broker that has stopped reading. */
#define USER_TIMEOUT_MS 30000
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

static struct timeval timeval_of(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

int mr_amqp_status(int status, const char *what, struct mr_err *err)
{
    amqp_rpc_reply_t reply = {
        .reply_type = AMQP_RESPONSE_LIBRARY_EXCEPTION, .library_error = status};
    if (status == AMQP_STATUS_OK)
        reply.reply_type = AMQP_RESPONSE_NORMAL;
    return mr_amqp_reply(reply, what, err);
}

static int code_of(uint16_t reply_code)
{
    switch (reply_code) {
    case AMQP_NOT_FOUND:
        return -ENOENT;
    case AMQP_PRECONDITION_FAILED:
        return -EEXIST;
    case AMQP_ACCESS_REFUSED:
    case AMQP_NOT_ALLOWED:
        return -EACCES;
    default:
        return -EPROTO;
    }
}

static int server_exception(const amqp_method_t *method, const char *what, struct mr_err *err)
{
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = method->decoded;
        enum mr_class class =
            m->reply_code == AMQP_ACCESS_REFUSED ? MR_CLASS_AUTH : MR_CLASS_INVALID;
        return mr_err_set(err, code_of(m->reply_code), class, "%s: %.*s", what,
            (int)m->reply_text.len, (const char *)m->reply_text.bytes);
    }
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = method->decoded;
        bool denied = code_of(m->reply_code) == -EACCES;
        return mr_err_set(err, denied ? -EACCES : -ECONNRESET,
            denied ? MR_CLASS_AUTH : MR_CLASS_NETWORK, "%s: the broker closed the connection: %.*s",
            what, (int)m->reply_text.len, (const char *)m->reply_text.bytes);
    }
    const char *name = amqp_method_name(method->id);
    return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "%s: unexpected answer %s from the broker",
        what, name ? name : "of an unknown kind");
}

int mr_amqp_reply(amqp_rpc_reply_t reply, const char *what, struct mr_err *err)
{
    switch (reply.reply_type) {
    case AMQP_RESPONSE_NORMAL:
        return 0;
    case AMQP_RESPONSE_LIBRARY_EXCEPTION:
        return mr_err_set(err,
            reply.library_error == AMQP_STATUS_TIMEOUT ? -ETIMEDOUT : -ECONNRESET, MR_CLASS_NETWORK,
            "%s: %s", what, amqp_error_string2(reply.library_error));
    case AMQP_RESPONSE_SERVER_EXCEPTION:
        return server_exception(&reply.reply, what, err);
    case AMQP_RESPONSE_NONE:
        break;
    }
    return mr_err_set(
        err, -ECONNRESET, MR_CLASS_NETWORK, "%s: the connection ended unexpectedly", what);
}

int mr_amqp_closed(
    amqp_connection_state_t conn, const amqp_frame_t *frame, const char *what, struct mr_err *err)
{
    amqp_channel_close_ok_t channel_ok = {0};
    amqp_connection_close_ok_t connection_ok = {0};
    const amqp_method_t *method = &frame->payload.method;
    int rc = server_exception(method, what, err);
    /* Whether the broker still hears it makes no difference. */
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD)
        (void)amqp_send_method(conn, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &channel_ok);
    else
        (void)amqp_send_method(conn, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &connection_ok);
    return rc;
}

/* The socket belongs to conn as soon as it exists. */
static int open_tls(amqp_connection_state_t conn, const struct mr_config_broker *broker,
    amqp_socket_t **ret, struct mr_err *err)
{
    amqp_socket_t *socket = amqp_ssl_socket_new(conn);
    if (!socket)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for a TLS socket");
    const char *ca = broker->ca_file ? broker->ca_file : SYSTEM_CA;
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    if (amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) != AMQP_STATUS_OK)
        return mr_err_set(err, -EINVAL, MR_CLASS_INTERNAL, "TLS 1.2 is not available");
    if (amqp_ssl_socket_set_cacert(socket, ca) != AMQP_STATUS_OK)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "broker.ca_file: %s holds no readable certificate", ca);
    if (broker->cert_file && broker->key_file &&
        amqp_ssl_socket_set_key(socket, broker->cert_file, broker->key_file) != AMQP_STATUS_OK)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "broker.cert_file %s and broker.key_file %s are no readable pair", broker->cert_file,
            broker->key_file);
    *ret = socket;
    return 0;
}

static int open_socket(amqp_connection_state_t conn, const struct mr_config_broker *broker,
    const char *host, int port, struct mr_err *err)
{
    amqp_socket_t *socket = NULL;
    struct timeval timeout = timeval_of(broker->connect_timeout_ms);
    if (broker->tls) {
        int rc = open_tls(conn, broker, &socket, err);
        if (rc < 0)
            return rc;
    } else if (!(socket = amqp_tcp_socket_new(conn))) {
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for a socket");
    }
    int status = amqp_socket_open_noblock(socket, host, port, &timeout);
    if (status == AMQP_STATUS_SOCKET_ERROR)
        return mr_err_set(
            err, -ECONNREFUSED, MR_CLASS_NETWORK, "no connection (is RabbitMQ running there?)");
    return mr_amqp_status(status, "connecting", err);
}

/* Best effort: a kernel that refuses one of these still has the heartbeats above it. */
static void tune_socket(int fd)
{
    static const struct {
        int name, value;
    } options[] = {
        {TCP_KEEPIDLE, 10},
        {TCP_KEEPINTVL, 5},
        {TCP_KEEPCNT, 4},
        {TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(
            fd, IPPROTO_TCP, options[i].name, &options[i].value, sizeof(options[i].value));
}

static amqp_table_entry_t entry_bool(const char *key)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static amqp_table_entry_t entry_text(const char *key, const char *text)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text)}};
}

static int load_password(const struct mr_config_broker *broker, struct mr_secret **ret,
    const char **ret_text, struct mr_err *err)
{
    struct mr_secret *secret = NULL;
    int rc = mr_secret_load(broker->password_file, broker->password_env, &secret, err);
    if (rc < 0)
        return mr_err_prefix(err, rc, "broker password");
    /* A fresh RabbitMQ has guest/guest, and takes it from the same machine only. */
    *ret_text = secret                               ? mr_secret_reveal(secret)
                : strcmp(broker->user, "guest") == 0 ? "guest"
                                                     : "";
    *ret = secret;
    return 0;
}

static int login(amqp_connection_state_t conn, const struct mr_config_broker *broker,
    const char *name, const char *password, struct mr_err *err)
{
    /* Without these two a deleted queue leaves a consumer that waits for ever, and a publisher
     * learns of an alarm only by hanging. */
    amqp_table_entry_t capabilities[] = {
        entry_bool("consumer_cancel_notify"),
        entry_bool("connection.blocked"),
        entry_bool("basic.nack"),
        entry_bool("publisher_confirms"),
    };
    amqp_table_entry_t properties[] = {
        entry_text("product", "millrace"),
        entry_text("version", MR_VERSION),
        entry_text("connection_name", name),
        {.key = amqp_cstring_bytes("capabilities"),
            .value = {.kind = AMQP_FIELD_KIND_TABLE,
                .value.table = {.num_entries = 4, .entries = capabilities}}},
    };
    amqp_table_t table = {.num_entries = 4, .entries = properties};
    amqp_rpc_reply_t reply = amqp_login_with_properties(conn, broker->vhost, 0, FRAME_MAX,
        broker->heartbeat_s, &table, AMQP_SASL_METHOD_PLAIN, broker->user, password);
    int rc = mr_amqp_reply(reply, "login", err);
    if (rc == -EACCES)
        return mr_err_prefix(err, rc, "user \"%s\" at vhost \"%s\"", broker->user, broker->vhost);
    return rc;
}

static int open_channels(amqp_connection_state_t conn, int channels, struct mr_err *err)
{
    for (int i = 1; i <= channels; i++) {
        amqp_channel_open(conn, (amqp_channel_t)i);
        int rc = mr_amqp_reply(amqp_get_rpc_reply(conn), "opening a channel", err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

struct attempt {
    const struct mr_config_broker *broker;
    const char *name, *password;
    int channels;
};

static int connect_one(const struct attempt *attempt, const char *text,
    amqp_connection_state_t *ret, struct mr_err *err)
{
    const struct mr_config_broker *broker = attempt->broker;
    struct timeval handshake = timeval_of(broker->connect_timeout_ms);
    struct timeval rpc = timeval_of(RPC_TIMEOUT_MS);
    char host[MR_HOST_MAX];
    int port;
    int rc = mr_host_split(text, broker->tls ? PORT_TLS : PORT, host, &port, err);
    if (rc < 0)
        return rc;
    amqp_connection_state_t conn = amqp_new_connection();
    if (!conn)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for a connection");
    if (amqp_set_handshake_timeout(conn, &handshake) != AMQP_STATUS_OK ||
        amqp_set_rpc_timeout(conn, &rpc) != AMQP_STATUS_OK)
        rc = mr_err_set(err, -EINVAL, MR_CLASS_INTERNAL, "a timeout is out of range");
    if (rc == 0)
        rc = open_socket(conn, broker, host, port, err);
    if (rc == 0) {
        tune_socket(amqp_get_sockfd(conn));
        rc = login(conn, broker, attempt->name, attempt->password, err);
    }
    if (rc == 0)
        rc = open_channels(conn, attempt->channels, err);
    if (rc < 0) {
        mr_amqp_close(conn, false);
        return mr_err_prefix(err, rc, "broker %s", text);
    }
    *ret = conn;
    return 0;
}

int mr_amqp_connect(const struct mr_config_broker *broker, const char *name, int channels,
    const struct mr_random *random, amqp_connection_state_t *ret, struct mr_err *err)
{
    size_t count = broker->hosts.count;
    assert(count > 0 && channels >= 0);
    struct mr_secret *secret = NULL;
    struct attempt attempt = {.broker = broker, .name = name, .channels = channels};
    int rc = load_password(broker, &secret, &attempt.password, err);
    if (rc < 0)
        return rc;

    size_t first = mr_random_below(random, count);
    struct mr_err worst = {0}, one;
    int worst_rc = 0;
    for (size_t i = 0; i < count; i++) {
        rc = connect_one(&attempt, broker->hosts.items[(first + i) % count], ret, &one);
        if (rc == 0)
            break;
        /* A refused password says more than the silence of the next host. */
        if (i == 0 || worst.class == MR_CLASS_NETWORK) {
            worst = one;
            worst_rc = rc;
        }
    }
    mr_secret_free(secret);
    return rc < 0 ? mr_err_set(err, worst_rc, worst.class, "%s", worst.msg) : 0;
}

amqp_connection_state_t mr_amqp_close(amqp_connection_state_t conn, bool polite)
{
    if (!conn)
        return NULL;
    struct timeval timeout = timeval_of(CLOSE_TIMEOUT_MS);
    if (polite && amqp_set_rpc_timeout(conn, &timeout) == AMQP_STATUS_OK)
        (void)amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    /* So that nothing below, TLS least of all, waits for a peer that is gone. */
    int fd = amqp_get_sockfd(conn);
    if (fd >= 0)
        (void)shutdown(fd, SHUT_RDWR);
    (void)amqp_destroy_connection(conn);
    return NULL;
}
