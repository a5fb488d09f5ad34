/* millrace-worker: takes jobs from RabbitMQ, runs their pipelines, commits results and costs to
 * PostgreSQL. */
#include "common/rlimit.h"
#include "worker/daemon.h"
#include "worker/refresh.h"

#include <curl/curl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

static const char help[] =
    "Usage: millrace-worker [--config FILE] [--listen HOST[:PORT]] [--check]\n"
    "\n"
    "Runs jobs until it is told to stop.\n"
    "\n"
    "  -c, --config FILE  read this configuration (default: $MILLRACE_CONFIG,\n"
    "                     then /etc/millrace/millrace.cfg, then the built-in one)\n"
    "      --listen HOST[:PORT]\n"
    "                     answer /metrics, /healthz and /readyz there (port 9464; 0: any\n"
    "                     free one), instead of where worker.listen says\n"
    "      --check        read the configuration, prompts and keys, then exit\n"
    "  -h, --help         show this and exit\n"
    "  -V, --version      show the version and exit\n"
    "\n"
    "Signals: TERM or INT drains (takes nothing new, lets running calls finish within\n"
    "worker.grace, gives the rest back, exits 0); a second one exits at once. HUP reads\n"
    "the configuration, keys and prices again.\n"
    "\n"
    "Every configuration key can be overridden by MILLRACE_<SECTION>_<KEY>, for example\n"
    "MILLRACE_WORKER_SLOTS=64. Logs go to stderr, one JSON object a line.\n"
    "Exit codes: 0 drained or checked, 1 failed, 2 usage or configuration.\n";

struct options {
    const char *config;
    bool check;
};

/* 0 to go on; otherwise the process is to exit with *ret_code. */
static int parse(int argc, char **argv, struct options *ret, int *ret_code)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"listen", required_argument, NULL, 'l'},
        {"check", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "c:hV", longs, NULL)) != -1;) {
        switch (c) {
        case 'c':
            ret->config = optarg;
            break;
        case 'l':
            /* Like any key that is overridden: it stays so when the file is read again. */
            setenv("MILLRACE_WORKER_LISTEN", optarg, 1);
            break;
        case 'k':
            ret->check = true;
            break;
        case 'h':
            fputs(help, stdout);
            *ret_code = 0;
            return 1;
        case 'V':
            puts("millrace-worker " MR_VERSION);
            *ret_code = 0;
            return 1;
        default:
            fputs("Try 'millrace-worker --help'.\n", stderr);
            *ret_code = 2;
            return 1;
        }
    }
    if (optind < argc) {
        fprintf(stderr,
            "millrace-worker: unexpected argument '%s'; try 'millrace-worker --help'.\n",
            argv[optind]);
        *ret_code = 2;
        return 1;
    }
    return 0;
}

/* A SIGHUP that comes before the daemon listens waits until it does: the file may have changed
 * behind the reader's back. */
static void hold_reload(void)
{
    sigset_t hup;
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hup, NULL);
}

int main(int argc, char **argv)
{
    struct options options = {0};
    int code = 1;
    hold_reload();
    if (parse(argc, argv, &options, &code) != 0)
        return code;
    mr_file_limit_raise();    /* a call is a socket */
    signal(SIGPIPE, SIG_IGN); /* a closed socket is an error code, not a death */
    struct mr_config *config = NULL;
    struct mr_err err = {0};
    if (mr_refresh_config(options.config, &config, &err) < 0) {
        fprintf(stderr, "millrace-worker: %s\n", err.msg);
        return 2;
    }
    if (options.check) {
        mr_config_unref(config);
        puts("ok");
        return 0;
    }
    struct mr_log log = {
        .fd = STDERR_FILENO,
        .level = (enum mr_level)mr_level_parse(config->worker.log_level),
        .program = "millrace-worker",
    };
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        mr_log(&log, MR_ERROR, "curl.init_failed");
        mr_config_unref(config);
        return 1;
    }
    code = mr_daemon_run(options.config, config, &log);
    curl_global_cleanup();
    uv_library_shutdown(); /* ends the pool's threads while OpenSSL can still clean up after them */
    return code;
}
