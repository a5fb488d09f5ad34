/* A provider that does what it is told: OpenAI's and Anthropic's chat formats, an append-only
 * ledger of what it billed, and scripted misbehaviour (script.h).
 *
 *   POST .../chat/completions, POST .../messages   answered by the model's script
 *   PUT /control/MODEL      the body is the model's script from now on; as PLACE:MODEL of
 *                           requests whose path begins with /PLACE/
 *   GET /stats              {"requests":..,"billed":..,"in_flight":..,"max_in_flight":..}
 *
 * A request is billed when it has arrived whole, before its delay: what the client does then no
 * longer matters, as with a real provider. Its ledger line is written before any answer. */
#include "tests/standin/answer.h"
#include "tests/standin/http.h"
#include "tests/standin/ratelimit.h"

#include "common/clock.h"
#include "common/json.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODELS_MAX 64
#define JSON_DEPTH 64

struct model {
    char name[129];
    struct mr_script script;
};

struct standin {
    struct mr_http *http;
    struct mr_clock clock;
    uv_signal_t signals[2];
    int ledger;
    uint64_t seed;
    const char *key; /* NULL: anyone may ask */
    uint64_t requests, billed;
    struct model models[MODELS_MAX]; /* the last one is shared by all for which there is no room */
    size_t nmodels;
};

static void respond(struct mr_http_conn *conn, int status, struct mr_buf *body)
{
    struct mr_http_response response = {
        .status = status, .type = "application/json", .extra = "", .send = MR_HTTP_ALL};
    response.body = *body;
    *body = (struct mr_buf){.max = 0};
    mr_http_respond(conn, &response);
}

static void respond_error(
    struct mr_http_conn *conn, enum mr_dialect dialect, int status, const char *message)
{
    struct mr_buf body MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(4096);
    const char *type = status == 401 ? "authentication_error" : "invalid_request_error";
    if (mr_answer_error(dialect, status, type, message, &body) != 0)
        mr_buf_reset(&body);
    respond(conn, status, &body);
}

/* Finds a model's script, or makes it of what stands behind the first '+' of the name. */
static int find_script(
    struct standin *standin, const char *name, struct mr_script **ret, struct mr_err *err)
{
    for (size_t i = 0; i < standin->nmodels; i++) {
        if (strcmp(standin->models[i].name, name) == 0) {
            *ret = &standin->models[i].script;
            return 0;
        }
    }
    if (standin->nmodels == MODELS_MAX || strlen(name) >= sizeof(standin->models[0].name))
        return mr_err_set(err, -ENOSPC, MR_CLASS_INVALID, "too many models, or too long a name");
    struct model *model = &standin->models[standin->nmodels];
    const char *plus = strchr(name, '+');
    int r = mr_script_parse(plus ? plus + 1 : "", &model->script, err);
    if (r != 0)
        return r;
    snprintf(model->name, sizeof(model->name), "%s", name);
    standin->nmodels++;
    *ret = &model->script;
    return 0;
}

/* The script of a model as it is asked for at this path. */
static int script_at(struct standin *standin, const char *path, const char *model,
    struct mr_script **ret, struct mr_err *err)
{
    size_t place = strcspn(path + 1, "/");
    for (size_t i = 0; i < standin->nmodels; i++) {
        const char *name = standin->models[i].name;
        if (strncmp(name, path + 1, place) == 0 && name[place] == ':' &&
            strcmp(name + place + 1, model) == 0) {
            *ret = &standin->models[i].script;
            return 0;
        }
    }
    return find_script(standin, model, ret, err);
}

/* One line about one request. The program ends when it cannot write: a ledger with holes is worse
 * than none. */
static void record(struct standin *standin, const struct mr_http_request *request,
    const char *model, const struct mr_plan *plan, const struct mr_bill *bill)
{
    if (standin->ledger < 0)
        return;
    struct mr_buf line MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(4096);
    json_t *entry MR_CLEANUP(mr_json_decrefp) =
        json_pack("{s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:i, s:b, s:I, s:I, s:I}", "n",
            (json_int_t)standin->requests, "at_ms", (json_int_t)mr_wall_ms(&standin->clock),
            "delay_ms", (json_int_t)plan->delay_ms, "path", request->path, "model", model, "call",
            request->call, "outcome", mr_outcome_name(plan->outcome), "status", plan->status,
            "billed", mr_outcome_billed(plan->outcome), "input", (json_int_t)bill->input, "cached",
            (json_int_t)bill->cached, "output", (json_int_t)bill->output);
    if (!entry || mr_json_dump(entry, &line) != 0 || mr_buf_putc(&line, '\n') != 0 ||
        write(standin->ledger, line.data, line.len) != (ssize_t)line.len) {
        perror("standin: cannot write the ledger");
        abort();
    }
}

/* How much of the answer is sent. */
static long part_of(enum mr_outcome outcome, size_t all)
{
    switch (outcome) {
    case MR_OUTCOME_HANGUP_BEFORE:
    case MR_OUTCOME_HANGUP_AFTER:
        return MR_HTTP_HANGUP;
    case MR_OUTCOME_HANG_BEFORE:
    case MR_OUTCOME_HANG_AFTER:
        return MR_HTTP_SILENCE;
    case MR_OUTCOME_TRUNCATE:
        return (long)(all / 2);
    default:
        return MR_HTTP_ALL;
    }
}

static const char *error_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 402:
        return "billing_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    case 503:
    case 529:
        return "overloaded_error";
    default:
        return status < 500 ? "invalid_request_error" : "api_error";
    }
}

static int make_body(enum mr_dialect dialect, const json_t *json, const char *model,
    uint64_t number, const struct mr_plan *plan, struct mr_buf *body, struct mr_bill *ret_bill)
{
    switch (plan->outcome) {
    case MR_OUTCOME_ERROR:
        return mr_answer_error(
            dialect, plan->status, error_type(plan->status), "as the script says", body);
    case MR_OUTCOME_QUOTA:
        return mr_answer_error(dialect, plan->status, "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.", body);
    case MR_OUTCOME_LIMITED:
        return mr_answer_error(dialect, plan->status,
            dialect == MR_DIALECT_OPENAI ? "rate_limit_exceeded" : "rate_limit_error",
            "Rate limit reached. Please try again later.", body);
    case MR_OUTCOME_HTML:
        return mr_buf_puts(body, "<html><body><h1>502 Bad Gateway</h1></body></html>\n");
    default:
        return mr_answer_make(dialect, json, model, number, plan, body, ret_bill);
    }
}

/* Makes the body the plan wants, or the one of a limit that is reached, at once then and unbilled.
 */
static int answer(struct standin *standin, struct mr_script *script, enum mr_dialect dialect,
    const json_t *json, struct mr_plan *plan, struct mr_buf *body, struct mr_bill *ret_bill,
    char ret_headers[static MR_LIMIT_HEADERS])
{
    const char *model = json_string_value(json_object_get(json, "model"));
    int r = make_body(dialect, json, model, standin->requests, plan, body, ret_bill);
    if (r != 0)
        return r;
    mr_ratelimit_apply(script, dialect, ret_bill, &standin->clock, plan, ret_headers);
    if (plan->outcome != MR_OUTCOME_LIMITED)
        return 0;
    plan->delay_ms = 0;
    *ret_bill = (struct mr_bill){.input = 0};
    mr_buf_reset(body);
    return make_body(dialect, json, model, standin->requests, plan, body, ret_bill);
}

static void chat(struct standin *standin, struct mr_http_conn *conn,
    const struct mr_http_request *request, enum mr_dialect dialect)
{
    struct mr_err err;
    json_t *json MR_CLEANUP(mr_json_decrefp) = NULL;
    if (standin->key && strcmp(standin->key, request->key) != 0) {
        respond_error(conn, dialect, 401, "wrong key");
        return;
    }
    if (mr_json_parse(request->body, request->len, JSON_DEPTH, &json, &err) != 0) {
        respond_error(conn, dialect, 400, err.msg);
        return;
    }
    const char *model = json_string_value(json_object_get(json, "model"));
    struct mr_script *script;
    if (!model || !json_is_array(json_object_get(json, "messages"))) {
        respond_error(conn, dialect, 400, "model and messages are required");
        return;
    }
    if (script_at(standin, request->path, model, &script, &err) != 0) {
        respond_error(conn, dialect, 404, err.msg);
        return;
    }
    struct mr_plan plan;
    struct mr_bill bill = {.input = 0};
    char extra[MR_LIMIT_HEADERS + 64];
    mr_script_next(script, standin->seed, &plan);
    struct mr_http_response response = {.extra = extra};
    response.body.max = 1u << 21;
    standin->requests++;
    if (answer(standin, script, dialect, json, &plan, &response.body, &bill, extra) != 0) {
        mr_buf_deinit(&response.body);
        respond_error(conn, dialect, 500, "out of memory");
        return;
    }
    response.status = plan.status;
    response.delay_ms = plan.delay_ms;
    response.type = plan.outcome == MR_OUTCOME_HTML ? "text/html" : "application/json";
    if (plan.retry_after_s >= 0)
        snprintf(extra + strlen(extra), 64, "retry-after: %ld\r\n", plan.retry_after_s);
    standin->billed += mr_outcome_billed(plan.outcome);
    record(standin, request, model, &plan, &bill);
    response.send = part_of(plan.outcome, response.body.len);
    mr_http_respond(conn, &response);
}

static void control(
    struct standin *standin, struct mr_http_conn *conn, const struct mr_http_request *request)
{
    struct mr_err err;
    struct mr_script *script, next;
    char text[512];
    if (request->len >= sizeof(text)) {
        respond_error(conn, MR_DIALECT_OPENAI, 413, "too long");
        return;
    }
    memcpy(text, request->body, request->len);
    text[request->len] = '\0';
    if (find_script(standin, request->path + strlen("/control/"), &script, &err) != 0 ||
        mr_script_parse(text, &next, &err) != 0) {
        respond_error(conn, MR_DIALECT_OPENAI, 400, err.msg);
        return;
    }
    *script = next;
    struct mr_buf body MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(64);
    if (mr_buf_puts(&body, "{}\n") != 0)
        mr_buf_reset(&body);
    respond(conn, 200, &body);
}

static void stats(struct standin *standin, struct mr_http_conn *conn)
{
    struct mr_buf body MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(512);
    if (mr_buf_printf(&body,
            "{\"requests\":%llu,\"billed\":%llu,\"in_flight\":%u,\"max_in_flight\":%u,"
            "\"connections\":%u}\n",
            (unsigned long long)standin->requests, (unsigned long long)standin->billed,
            mr_http_busy(standin->http), mr_http_max_busy(standin->http),
            mr_http_connections(standin->http)) != 0)
        mr_buf_reset(&body);
    respond(conn, 200, &body);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void on_request(void *ctx, struct mr_http_conn *conn, const struct mr_http_request *request)
{
    struct standin *standin = ctx;
    bool post = strcmp(request->method, "POST") == 0;
    if (post && ends_with(request->path, "/chat/completions"))
        chat(standin, conn, request, MR_DIALECT_OPENAI);
    else if (post && ends_with(request->path, "/messages"))
        chat(standin, conn, request, MR_DIALECT_ANTHROPIC);
    else if (strcmp(request->method, "PUT") == 0 && strncmp(request->path, "/control/", 9) == 0)
        control(standin, conn, request);
    else if (strcmp(request->path, "/stats") == 0)
        stats(standin, conn);
    else
        respond_error(conn, MR_DIALECT_OPENAI, 404, "no such page");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct standin *standin = handle->data;
    mr_http_close(standin->http);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&standin->signals[i], NULL);
}

/* What script.h says, in short. */
static const char manners[] =
    "\n"
    "  --ledger FILE  append a line of JSON for each request: its call, outcome and bill\n"
    "  --seed N       chooses the requests that a share (@) falls on\n"
    "  --key KEY      every other key is answered with 401\n"
    "\n"
    "It speaks OpenAI's chat completions (POST .../chat/completions) and Anthropic's messages\n"
    "(POST .../messages), and does to each model's requests what the model's script says:\n"
    "\n"
    "  curl -X PUT --data 'delay=200+error=429@10' http://127.0.0.1:PORT/control/MODEL\n"
    "\n"
    "or, until then, what stands behind the first + of its name: small+delay=200+error=429@10.\n"
    "GET /stats counts requests. A script is a list of OP[=VALUE][@PERCENT][*COUNT], joined by +:\n"
    "@PERCENT, only that share of the requests; *COUNT, only the first so many. Of several\n"
    "outcomes the first that applies wins; without one the answer is good.\n"
    "\n"
    "  delay=MS, delay=MS-MS        answer that much later\n"
    "  error=STATUS                 400 401 402 403 404 413 429 500 502 503 504 529\n"
    "  retry_after=SECONDS          with error: the header Retry-After\n"
    "  quota                        429 with insufficient_quota\n"
    "  ratelimit=REQUESTS/TOKENS    what it takes in a minute (0: no limit), told in headers;\n"
    "  ratelimit=.../.../SECONDS    so many seconds' worth at once (60)\n"
    "  hangup=before|after          close without an answer, before or after billing\n"
    "  hang=before|after            never answer\n"
    "  truncate                     half of the body, then close; billed\n"
    "  malformed, empty, refusal, length\n"
    "                               broken JSON, no text, a refusal, cut by max_tokens; billed\n"
    "  html                         a proxy's page with 502\n"
    "  cached=PERCENT               share of the prompt billed as read from the cache\n"
    "  output=TOKENS                output tokens billed\n"
    "  nousage                      the answer does not say what was used\n";

static int usage(int code)
{
    FILE *out = code == 0 ? stdout : stderr;
    fputs("Usage: millrace-standin [--listen IPV4] [--port N] [--ledger FILE] [--seed N]"
          " [--key KEY]\n"
          "Prints the port it listens on, of 127.0.0.1 unless told. Port 0, the default, is any "
          "free one.\n",
        out);
    if (code == 0)
        fputs(manners, out);
    return code;
}

static int serve(struct standin *standin, const char *listen, int port)
{
    uv_loop_t loop;
    int r = uv_loop_init(&loop);
    if (r == 0)
        r = mr_http_new(&loop, listen, port, on_request, standin, &standin->http, &port);
    for (int i = 0; r == 0 && i < 2; i++) {
        standin->signals[i].data = standin;
        r = uv_signal_init(&loop, &standin->signals[i]);
        if (r == 0)
            r = uv_signal_start(&standin->signals[i], on_signal, i == 0 ? SIGTERM : SIGINT);
    }
    if (r < 0) {
        fprintf(stderr, "standin: %s\n", uv_strerror(r));
        return 1;
    }
    printf("%d\n", port);
    fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    standin->http = mr_http_free(standin->http);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
        {"listen", required_argument, NULL, 'a'}, {"ledger", required_argument, NULL, 'l'},
        {"seed", required_argument, NULL, 's'}, {"key", required_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct standin *standin = calloc(1, sizeof(*standin));
    if (!standin)
        return 1;
    const char *listen = "127.0.0.1";
    int option, port = 0, r = 0;
    standin->ledger = -1;
    standin->clock = mr_clock_system();
    signal(SIGPIPE, SIG_IGN);
    while (r == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p') {
            port = (int)strtol(optarg, NULL, 10);
        } else if (option == 'a') {
            listen = optarg;
        } else if (option == 's') {
            standin->seed = strtoull(optarg, NULL, 10);
        } else if (option == 'k') {
            standin->key = optarg;
        } else if (option == 'l') {
            standin->ledger = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
            r = standin->ledger < 0 ? 1 : 0;
            if (r != 0)
                perror(optarg);
        } else {
            r = usage(option == 'h' ? 0 : 2);
            free(standin);
            return r;
        }
    }
    if (r == 0)
        r = serve(standin, listen, port);
    if (standin->ledger >= 0)
        close(standin->ledger);
    free(standin);
    return r;
}
