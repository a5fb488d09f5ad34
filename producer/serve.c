/* The service's parts on one loop: its start, its signals, its end. */
#include "producer/serve.h"

#include "common/envelope.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The order of the end: nothing new is accepted and what was begun is answered, for which the
 * dispatcher is needed; then it ends; then the handles close, and with them the loop. */
static void on_dispatch_closed(void *ctx)
{
    struct mr_serve *serve = ctx;
    uv_close((uv_handle_t *)&serve->term, NULL);
    uv_close((uv_handle_t *)&serve->interrupt, NULL);
}

static void on_httpd_stopped(void *ctx)
{
    struct mr_serve *serve = ctx;
    mr_dispatch_close(serve->dispatch, on_dispatch_closed, serve);
}

/* A second signal finds the system's own handler and kills. */
static void on_signal(uv_signal_t *handle, int number)
{
    struct mr_serve *serve = handle->data;
    uv_signal_stop(&serve->term);
    uv_signal_stop(&serve->interrupt);
    if (serve->stopping)
        return;
    serve->stopping = true;
    mr_log(serve->log, MR_INFO, "serve.stopping", MR_INT("pending", (int64_t)serve->pending));
    mr_httpd_stop(serve->httpd, serve->options->grace_ms, on_httpd_stopped, serve);
}

static int start_parts(struct mr_serve *serve, struct mr_err *err)
{
    const struct mr_config_serve *options = serve->options;
    const struct mr_route routes[] = {
        {"POST", "/v1/jobs", (size_t)options->max_body, false, mr_serve_post},
        {"GET", "/v1/jobs/{}", 0, false, mr_serve_status},
        {"GET", "/v1/jobs/{}/results", 0, false, mr_serve_results},
    };
    memcpy(serve->routes, routes, sizeof(routes));
    struct mr_httpd_options http = {.listen = options->listen,
        .port = options->port,
        .routes = serve->routes,
        .nroutes = MR_SERVE_ROUTES,
        .ctx = serve,
        .admit = mr_serve_admit,
        .log = serve->log,
        .connections_max = options->max_connections,
        .per_address_max = options->max_connections_per_address,
        .timeout_ms = options->timeout_ms,
        .bodies_max = 8 * (size_t)options->max_body};
    struct mr_dispatch_options posts = {.broker = &serve->config->broker,
        .log = serve->log,
        .timeout_ms = options->confirm_timeout_ms,
        .posted = mr_serve_posted,
        .ctx = serve};
    serve->reader = mr_reader_new(serve);
    if (!serve->reader)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    int r = mr_httpd_new(&serve->loop, &http, &serve->httpd, err);
    if (r == 0)
        r = mr_dispatch_new(&serve->loop, &posts, &serve->dispatch, err);
    return r;
}

static void start_signals(struct mr_serve *serve)
{
    uv_signal_init(&serve->loop, &serve->term);
    uv_signal_init(&serve->loop, &serve->interrupt);
    serve->term.data = serve->interrupt.data = serve;
    uv_signal_start(&serve->term, on_signal, SIGTERM);
    uv_signal_start(&serve->interrupt, on_signal, SIGINT);
}

int mr_serve_run(const struct mr_config *config, const struct mr_config_serve *options,
    struct mr_secret *token, const struct mr_log *log, struct mr_err *err)
{
    struct mr_serve serve = {.config = config,
        .options = options,
        .log = log,
        .token = token,
        .plan = {.config = config,
            .clock = mr_clock_system(),
            .random = mr_random_system(),
            .tenant = "default",
            .pipeline = "document",
            .priority = MR_ENVELOPE_DEFAULT_PRIORITY}};
    int r = uv_loop_init(&serve.loop);
    if (r < 0) {
        mr_secret_free(token);
        return mr_err_set(err, r, MR_CLASS_INTERNAL, "loop: %s", uv_strerror(r));
    }
    r = start_parts(&serve, err);
    if (r == 0) { /* otherwise the process ends, and with it what was begun */
        start_signals(&serve);
        mr_log(log, MR_INFO, "serve.listening", MR_STR("address", options->listen),
            MR_INT("port", mr_httpd_port(serve.httpd)), MR_BOOL("token", token != NULL));
        uv_run(&serve.loop, UV_RUN_DEFAULT);
        uv_loop_close(&serve.loop);
        mr_log(log, MR_INFO, "serve.stopped");
        serve.httpd = mr_httpd_free(serve.httpd);
        serve.dispatch = mr_dispatch_free(serve.dispatch);
    } else if (!serve.httpd) {
        uv_loop_close(&serve.loop);
    }
    mr_reader_free(serve.reader);
    mr_secret_free(token);
    return r;
}
