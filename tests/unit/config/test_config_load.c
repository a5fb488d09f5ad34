#include "tests/unit/config/config_help.h"

#include <sys/stat.h>

static void defaults_are_whole(void)
{
    struct mr_config *c = load_text("");

    CHECK_INT(c->broker.hosts.count, 1);
    CHECK_STR(c->broker.hosts.items[0], "127.0.0.1");
    CHECK_INT(c->broker.heartbeat_s, 30);
    CHECK_INT(c->worker.slots, 256);
    CHECK_INT(c->worker.grace_ms, 60000);
    CHECK_INT(c->producer.inline_max_bytes, 1 << 20);
    CHECK_INT(c->money.ceiling_input, 30000000);
    CHECK_STR(c->database.sslmode, "prefer");
    CHECK_STR(c->database.owner_user, "millrace_owner");
    CHECK(!c->broker.tls);
    CHECK_INT(c->nproviders, 1);
    const struct mr_pipeline *p = mr_config_pipeline(c, "document", 0);
    CHECK(p);
    CHECK_INT(p->nsteps, 3);
    CHECK_STR(p->steps[2].name, "entities");
    CHECK_INT(p->steps[2].after, 3);
    CHECK(p->steps[2].schema && p->steps[2].schema_text);
    CHECK_STR(p->steps[0].pool, "main");
    CHECK_INT(p->steps[0].timeout_ms, c->worker.extract_timeout_ms);
    CHECK(!mr_config_pipeline(c, "document", 2));
    mr_config_unref(c);
}

static void file_overrides(void)
{
    struct mr_config *c =
        load_text("broker: { hosts = [\"a.example:5671\", \"[::1]:5673\"]; tls = true; };\n"
                  "database: { hosts = (\"db.example\"); };\n"
                  "worker: { slots = 7; grace = \"90s\"; extract_max_bytes = \"10MiB\"; };\n"
                  "money: { ceiling_output = \"12.345678\"; };\n");

    CHECK_INT(c->broker.hosts.count, 2);
    CHECK_STR(c->broker.hosts.items[1], "[::1]:5673");
    CHECK(c->broker.tls);
    CHECK_STR(c->database.sslmode, "verify-full");
    CHECK_INT(c->worker.slots, 7);
    CHECK_INT(c->worker.grace_ms, 90000);
    CHECK_INT(c->worker.extract_max_bytes, 10 << 20);
    CHECK_INT(c->money.ceiling_output, 12345678);
    mr_config_unref(c);
}

static void environment_overrides_the_file(void)
{
    setenv("MILLRACE_BROKER_HOSTS", "a:1, b:2,c", 1);
    setenv("MILLRACE_WORKER_SLOTS", "9", 1);
    setenv("MILLRACE_WORKER_POOL", "", 1);
    setenv("MILLRACE_BROKER_TLS", "true", 1);
    struct mr_config *c = load_text("worker: { slots = 7; pool = \"gpu\"; };");

    CHECK_INT(c->broker.hosts.count, 3);
    CHECK_STR(c->broker.hosts.items[1], "b:2");
    CHECK_INT(c->worker.slots, 9);
    CHECK_STR(c->worker.pool, "gpu");
    CHECK(c->broker.tls);
    mr_config_unref(c);
    setenv("MILLRACE_WORKER_SLOTS", "many", 1);
    refuse_text("", "MILLRACE_WORKER_SLOTS: must be a whole number");
}

static void file_is_found(void)
{
    struct mr_config *c = NULL;
    struct mr_err err = {0};

    put_file("env.cfg", "worker: { slots = 3; };");
    setenv("MILLRACE_CONFIG", "env.cfg", 1);
    CHECK_INT(mr_config_load(NULL, &c, &err), 0);
    CHECK_INT(c->worker.slots, 3);
    c = mr_config_unref(c);
    setenv("MILLRACE_CONFIG", "absent.cfg", 1);
    CHECK(mr_config_load(NULL, &c, &err) < 0);
    CHECK(strstr(err.msg, "absent.cfg"));
}

static void errors_say_where(void)
{
    refuse_text("worker: {\n    slot = 3;\n};", "t.cfg:2: unknown key 'slot' in worker; did you "
                                                "mean 'slots'?");
    refuse_text("\nworkers: { slots = 3; };", "t.cfg:2: unknown section 'workers'; did you mean "
                                              "'worker'?");
    refuse_text("worker: {\n    slots = \"3\";\n};", "t.cfg:2: worker.slots: must be a whole");
    refuse_text("worker: { slots = 0; };", "worker.slots: must be between 1 and 20000");
    refuse_text("worker: { grace = 5; };", "must be a duration such as \"30s\"");
    refuse_text("worker: { grace = \"3h\"; };", "must be between 0s and 1h");
    refuse_text("worker: { pool = \"a b\"; };", "worker.pool");
    refuse_text("worker: { log_level = \"loud\"; };", "must be one of debug|info|warn|error");
    refuse_text("worker = 3;", "worker must be a group");
    refuse_text("worker: { slots = 3;\nslots = 4; };", "t.cfg:2: duplicate");
    refuse_text("worker: {\n", "t.cfg:");
    refuse_text("broker: { hosts = []; };", "at least one host");
    refuse_text("broker: { hosts = [\"a:0\"]; };", "port");
    refuse_text("broker: { hosts = [\"/run/x\"]; };", "socket directory");
    refuse_text("broker: { cert_file = \"c.pem\"; tls = true; };", "go together");
    refuse_text("broker: { vhost = \"a\\x01\"; };", "control characters");
    refuse_text("money: { ceiling_input = 0.1; };", "as a string");
    refuse_text("money: { ceiling_input = \"0.0000001\"; };", "as a string");
    refuse_text("worker: { dead_after = \"1s\"; heartbeat = \"1s\"; };", "twice");
    refuse_text("worker: { slots = 3; };\xff", "UTF-8");
}

static void secrets_are_not_echoed(void)
{
    struct mr_config *c = NULL;
    struct mr_err err = {0};

    put_file("t.cfg", "broker: { password_env = \"sk-very-secret\"; };");
    CHECK(mr_config_load("t.cfg", &c, &err) < 0);
    CHECK(!strstr(err.msg, "sk-very"));
    put_file("t.cfg", "providers: ({ name = \"o\"; kind = \"openai\"; "
                      "base_url = \"https://me:hunter2@x/v1\"; });");
    CHECK(mr_config_load("t.cfg", &c, &err) < 0);
    CHECK(!strstr(err.msg, "hunter2"));
    CHECK(strstr(err.msg, "endpoints.base_url"));
}

static void paths_start_at_the_file(void)
{
    CHECK_INT(mkdir("sub", 0700), 0);
    put_file("sub/more.cfg", "worker: { slots = 11; };\n");
    put_file("sub/main.cfg", "@include \"more.cfg\"\nbroker: { ca_file = \"ca.pem\"; tls = true; };"
                             "database: { ca_file = \"/abs/ca.pem\"; };");
    struct mr_config *c = NULL;
    struct mr_err err = {0};
    CHECK_INT(mr_config_load("sub/main.cfg", &c, &err), 0);
    CHECK_INT(c->worker.slots, 11);
    CHECK_STR(c->broker.ca_file, "sub/ca.pem");
    CHECK_STR(c->database.ca_file, "/abs/ca.pem");
    mr_config_unref(c);
    put_file("sub/more.cfg", "\nworker: { slotz = 11; };\n");
    CHECK(mr_config_load("sub/main.cfg", &c, &err) < 0);
    CHECK(strstr(err.msg, "more.cfg:2: unknown key 'slotz'"));
    refuse_text("\n  @include \"sub\"\n", "t.cfg:2: @include wants a file");
    refuse_text("\n@include \"absent\"\n", "t.cfg:2: cannot open include file");
}

static void reload_keeps_what_needs_a_restart(void)
{
    struct mr_config *a = load_text(""), *b;
    struct mr_err err = {0};

    b = load_text("worker: { grace = \"1s\"; log_level = \"debug\"; };");
    CHECK_INT(mr_config_keep_fixed(b, a, &err), 0);
    CHECK_INT(b->worker.grace_ms, 1000);
    mr_config_unref(b);
    b = load_text("worker: { slots = 1; pool = \"p\"; grace = \"1s\"; };"
                  "broker: { hosts = [\"a\", \"b\"]; tls = true; ca_file = \"/ca\"; };");
    CHECK_INT(mr_config_keep_fixed(b, a, &err), 1);
    CHECK_STR(err.msg, "broker.hosts, broker.tls, broker.ca_file, worker.pool, worker.slots");
    CHECK_INT(b->worker.slots, a->worker.slots);
    CHECK_INT(b->worker.grace_ms, 1000);
    CHECK_STR(b->worker.pool, "main");
    CHECK_INT(b->broker.hosts.count, a->broker.hosts.count);
    CHECK_STR(b->broker.hosts.items[0], a->broker.hosts.items[0]);
    CHECK(!b->broker.tls && !b->broker.ca_file);
    CHECK_INT(mr_config_keep_fixed(b, a, &err), 0);
    mr_config_unref(b);
    CHECK(mr_config_ref(a) == a);
    mr_config_unref(a);
    mr_config_unref(a);
}

static void count_warning(void *ctx, const char *warning)
{
    fprintf(stderr, "# %s\n", warning);
    ++*(int *)ctx;
}

static int warnings(const char *text)
{
    struct mr_config *c = load_text(text);
    int n = 0;

    mr_config_warn(c, count_warning, &n);
    mr_config_unref(c);
    return n;
}

static void unwise_things_are_warned_of(void)
{
    CHECK_INT(warnings(""), 0);
    CHECK_INT(warnings("broker: { hosts = [\"mq.example\"]; password_env = \"PW\"; };"), 1);
    CHECK_INT(warnings("broker: { hosts = [\"mq.example\"]; };"), 2);
    CHECK_INT(
        warnings("broker: { hosts = [\"mq.example\"]; tls = true; password_env = \"P\"; };"), 0);
    CHECK_INT(warnings("database: { hosts = [\"db.example\"]; };"), 0);
    CHECK_INT(warnings("database: { hosts = [\"db.example\"]; sslmode = \"require\"; };"), 1);
    CHECK_INT(warnings("providers: ({ name = \"o\"; kind = \"openai\"; });"), 1);
    CHECK_INT(warnings("providers: ({ name = \"o\"; kind = \"openai\"; "
                       "base_url = \"http://[::1]:8000/v1\"; });"),
        0);
    CHECK_INT(warnings("providers: ({ name = \"o\"; kind = \"openai\"; "
                       "base_url = \"http://gpu.example/v1\"; });"),
        1);
}

static void hosts_are_split(void)
{
    char host[MR_HOST_MAX];
    struct mr_err err;
    int port;

    CHECK_INT(mr_host_split("mq", 5672, host, &port, &err), 0);
    CHECK_STR(host, "mq");
    CHECK_INT(port, 5672);
    CHECK_INT(mr_host_split("10.0.0.1:99", 5672, host, &port, &err), 0);
    CHECK_INT(port, 99);
    CHECK_INT(mr_host_split("[fe80::1]:99", 5672, host, &port, &err), 0);
    CHECK_STR(host, "fe80::1");
    CHECK_INT(mr_host_split("/run/postgresql", 5432, host, &port, &err), 0);
    CHECK_INT(port, 0);
    const char *bad[] = {"", ":5", "a:", "a:70000", "a:1x", "::1", "[::1", "[x]:1", "a b", "a/b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(mr_host_split(bad[i], 1, host, &port, &err) < 0);
    CHECK(mr_host_is_local("127.0.0.2") && mr_host_is_local("localhost"));
    CHECK(!mr_host_is_local("127.example") && !mr_host_is_local("10.0.0.1"));
}

static void addresses_to_listen_on(void)
{
    char host[MR_HOST_MAX];
    int port;
    struct mr_err err;
    CHECK_INT(mr_listen_split("127.0.0.1", 9464, host, &port, &err), 0);
    CHECK_STR(host, "127.0.0.1");
    CHECK_INT(port, 9464);
    CHECK_INT(mr_listen_split("localhost:80", 9464, host, &port, &err), 0);
    CHECK_INT(port, 80);
    CHECK_INT(mr_listen_split("127.0.0.1:0", 9464, host, &port, &err), 0);
    CHECK_STR(host, "127.0.0.1");
    CHECK_INT(port, 0);
    CHECK_INT(mr_listen_split("[::1]:0", 9464, host, &port, &err), 0);
    CHECK_STR(host, "::1");
    CHECK_INT(port, 0);
    static const char *const bad[] = {"/run/socket", ":80", "", ":0", "a:65536", "::1:0", "a:00"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(mr_listen_split(bad[i], 1, host, &port, &err) < 0);
    struct mr_config *config;
    setenv("MILLRACE_WORKER_LISTEN", "a:b:c", 1);
    CHECK(mr_config_load(NULL, &config, &err) < 0);
    CHECK(strstr(err.msg, "worker.listen"));
    setenv("MILLRACE_WORKER_LISTEN", "127.0.0.1:0", 1);
    CHECK_INT(mr_config_load(NULL, &config, &err), 0);
    CHECK_STR(config->worker.listen, "127.0.0.1:0");
    mr_config_unref(config);
}

TEST_MAIN(TEST(defaults_are_whole), TEST(file_overrides), TEST(environment_overrides_the_file),
    TEST(file_is_found), TEST(errors_say_where), TEST(secrets_are_not_echoed),
    TEST(paths_start_at_the_file), TEST(reload_keeps_what_needs_a_restart),
    TEST(unwise_things_are_warned_of), TEST(hosts_are_split), TEST(addresses_to_listen_on))
