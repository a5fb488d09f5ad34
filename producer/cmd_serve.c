/* millrace serve: jobs in and results out over HTTP. */
#include "common/rlimit.h"
#include "producer/serve.h"

#include <signal.h>
#include <unistd.h>
#include <uv.h>

static const struct mr_option options[] = {
    {.name = "listen",
        .type = MR_OPT_TEXT,
        .arg = "HOST",
        .help = "Address or host name to listen on; serve.listen unless given"},
    {.name = "port",
        .type = MR_OPT_INT,
        .arg = "PORT",
        .min = 0,
        .max = 65535,
        .help = "Port to listen on, 0 for any free one; serve.port unless given"},
    {NULL},
};

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    struct mr_secret *token = NULL;
    struct mr_config_serve serve = cli->config->serve;
    const char *listen = mr_args_text(&cli->args, "listen", serve.listen);
    serve.listen = (char *)(uintptr_t)listen;
    serve.port = (int)mr_args_number(&cli->args, "port", serve.port);
    if (!serve.token_file && !mr_host_is_local(serve.listen)) {
        mr_cli_error(cli,
            "%s is not an address of this machine alone: whoever reaches it could enqueue; set "
            "serve.token_file",
            serve.listen);
        return MR_EXIT_USAGE;
    }
    if (serve.token_file && mr_secret_from_file(serve.token_file, &token, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    struct mr_log log = {.fd = STDERR_FILENO,
        .level = (enum mr_level)mr_level_parse(serve.log_level),
        .program = "millrace-serve"};
    mr_file_limit_raise();
    int r = mr_serve_run(cli->config, &serve, token, &log, &err);
    uv_library_shutdown(); /* ends the pool's threads before the libraries they use */
    if (r == 0)
        return MR_EXIT_OK;
    mr_cli_error(cli, "%s", err.msg);
    return MR_EXIT_FAILED;
}

const struct mr_command mr_cmd_serve = {
    .name = "serve",
    .operands = "",
    .summary = "take jobs and give results over HTTP",
    .details =
        "Serves HTTP until SIGTERM or SIGINT; then it accepts nothing more, answers what was "
        "begun, "
        "and exits with 0. Log lines, one JSON object each, go to standard error. The section "
        "serve "
        "of the configuration has its limits.\n\n"
        "POST /v1/jobs takes one job, a JSON array of jobs, or a job a line with the content type "
        "application/x-ndjson; a job is an envelope as for millrace enqueue --jsonl. The answer is "
        "202 once RabbitMQ has confirmed every job: {\"job\": ID}, or for several {\"jobs\": "
        "[{\"status\": 202, \"job\": ID}, ...]} in their order. 207 has the same list when the "
        "jobs "
        "fared differently. Anything else is application/problem+json (RFC 9457): 400, 413, 415 "
        "and "
        "422 name what is wrong and in which field, and 503, with Retry-After, says that RabbitMQ "
        "does not take it now. A 503 that holds a job id means that the job was sent and never "
        "confirmed: it may run.\n\n"
        "With the header Idempotency-Key, or the field idempotency_key of each of several jobs, a "
        "request can be sent again until it is answered: the id follows from tenant and key, and "
        "the job runs once. Bodies are not compared; what comes first counts.\n\n"
        "GET /v1/jobs/ID and GET /v1/jobs/ID/results (?step=STEP) answer what millrace status and "
        "millrace results print with -o json. Both are 404 until a worker has taken the job.\n\n"
        "Without serve.token_file it listens on this machine only. With one, every request must "
        "carry the token: Authorization: Bearer TOKEN. It speaks no TLS: on a network, put a proxy "
        "in front.",
    .examples =
        "  millrace serve --port 8080\n"
        "  curl --json '{\"input\":{\"text\":\"The mill was sold.\"}}' "
        "http://127.0.0.1:8080/v1/jobs\n"
        "  curl -H 'Content-Type: application/x-ndjson' --data-binary @jobs.jsonl "
        "http://127.0.0.1:8080/v1/jobs\n"
        "  curl http://127.0.0.1:8080/v1/jobs/0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000/results\n",
    .options = options,
    .run = run,
};
