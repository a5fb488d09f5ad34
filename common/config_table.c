/* Every key, in the order of the reference. A default is text, read like an environment variable.
 */
#include "common/config_row.h"
#include "common/shard.h"

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
    {"broker", "lane_shards", MR_ROW_INT, AT(broker.lane_shards), 1, MR_LANE_SHARDS_MAX, "8",
        .help = "Queues that each lane is made of; a tenant's jobs go to two of them, so that a "
                "flood leaves the others free. The same for every program; it may grow (`millrace "
                "init`, then restart workers, then producers), but shrink only while the lanes are "
                "empty."},

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
    {"worker", "region", MR_ROW_NAME, AT(worker.region),
        .help = "Where this worker stands: endpoints of the same region are asked first."},
    {"worker", "log_level", MR_ROW_STR, AT(worker.log_level), .def = "info",
        .choices = "debug|info|warn|error", .reloadable = true,
        .help = "Log lines below this level are not written."},
    {"worker", "listen", MR_ROW_STR, AT(worker.listen), .max = MR_HOST_MAX - 1,
        .help = "Where `/metrics`, `/healthz` and `/readyz` are answered: `127.0.0.1:9464`, a host "
                "alone (port 9464), `[::]:9464`. Port 0 takes any free one, and the log names it. "
                "Default: nowhere. Each worker on a machine needs a port of its own: "
                "`millrace-worker --listen`. Whoever reaches it may read it."},
    {"worker", "metrics_tenants", MR_ROW_INT, AT(worker.metrics_tenants), 0, 10000, "50",
        .reloadable = true,
        .help = "How many tenants the metrics name; further ones are counted together as `other`. "
                "0: none is named."},

    {"producer", "inline_max_bytes", MR_ROW_SIZE, AT(producer.inline_max_bytes), 1024, 8 * MIB,
        "1MiB", .reloadable = true,
        .help = "Largest document carried inside the message; larger ones go by `--url`."},

    {"serve", "listen", MR_ROW_STR, AT(serve.listen), .max = 255, .def = "127.0.0.1",
        .help = "Address or host name that `millrace serve` listens on. Any other than this "
                "machine's own needs token_file; there, put a proxy that speaks TLS in front."},
    {"serve", "port", MR_ROW_INT, AT(serve.port), 0, 65535, "8080",
        .help = "Port; 0 takes any free one, which the log names."},
    {"serve", "token_file", MR_ROW_PATH, AT(serve.token_file), .secret = true,
        .help = "File whose first line every request must carry as `Authorization: Bearer ...`, "
                "closed to others. Without it no token is asked for."},
    {"serve", "max_body", MR_ROW_SIZE, AT(serve.max_body), 1024, 256 * MIB, "16MiB",
        .help = "Largest body of a request. All bodies together hold at most eight times as much."},
    {"serve", "max_jobs", MR_ROW_INT, AT(serve.max_jobs), 1, 100000, "1000",
        .help = "Most jobs in one request."},
    {"serve", "max_pending", MR_ROW_INT, AT(serve.max_pending), 1, 1000000, "10000",
        .help = "Jobs of all requests that wait for the broker; beyond it the answer is 503."},
    {"serve", "max_connections", MR_ROW_INT, AT(serve.max_connections), 1, 100000, "2000",
        .help = "Clients connected at once; further ones wait to be accepted."},
    {"serve", "max_connections_per_address", MR_ROW_INT, AT(serve.max_connections_per_address), 0,
        100000, "0",
        .help = "The same of one client address; further ones are closed. 0: no limit of its own, "
                "as behind a proxy."},
    {"serve", "timeout", MR_ROW_MS, AT(serve.timeout_ms), 100, 10 * MINUTE, "30s",
        .help = "How long a client may take for its request, for reading the answer, and between "
                "two requests; then it is cut off."},
    {"serve", "confirm_timeout", MR_ROW_MS, AT(serve.confirm_timeout_ms), 100, 5 * MINUTE, "10s",
        .help = "How long the broker may take to confirm a job; then the answer is 503."},
    {"serve", "grace", MR_ROW_MS, AT(serve.grace_ms), 0, 10 * MINUTE, "10s",
        .help = "After SIGTERM: how long clients may take for what they have begun."},
    {"serve", "log_level", MR_ROW_STR, AT(serve.log_level), .def = "info",
        .choices = "debug|info|warn|error", .help = "Log lines below this level are not written."},

    {"money", "ceiling_input", MR_ROW_RATE, AT(money.ceiling_input), 0, 1000000000000, "30",
        .reloadable = true,
        .help = "Dollars per million prompt tokens that a model without a known price is held and "
                "charged at. The default is above every shipped price."},
    {"money", "ceiling_output", MR_ROW_RATE, AT(money.ceiling_output), 0, 1000000000000, "100",
        .reloadable = true, .help = "The same for output tokens."},

    {"breaker", "failures", MR_ROW_INT, AT(breaker.failures), 1, 1000, "5", .reloadable = true,
        .help = "Failures in a row (network, overload, server errors, timeouts) after which an "
                "endpoint is not asked any more: its breaker is open. A refused key opens it at "
                "once."},
    {"breaker", "open", MR_ROW_MS, AT(breaker.open_ms), 100, 60 * MINUTE, "60s", .reloadable = true,
        .help = "How long it stays open before some calls try again."},
    {"breaker", "probes", MR_ROW_INT, AT(breaker.probes), 1, 1000, "3", .reloadable = true,
        .help = "Calls at once that may try then."},
    {"breaker", "successes", MR_ROW_INT, AT(breaker.successes), 1, 1000, "3", .reloadable = true,
        .help = "Answers that close it; one more failure opens it again."},
};

struct mr_rows mr_config_scalars(void)
{
    return COUNT(scalars);
}
