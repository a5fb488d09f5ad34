#include "worker/daemon.h"
#include "worker/engine/engine.h"
#include "worker/io/broker.h"
#include "worker/io/caller.h"
#include "worker/io/extractor.h"
#include "worker/io/store.h"
#include "worker/monitor/monitor.h"
#include "worker/providers/local.h"
#include "worker/refresh.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define MR_START_RETRY_MS 2000 /* between tries to read the prices while the database is away */
#define MR_RETURN_MS                                                                               \
    10000 /* after the grace period: to commit, hand over and ack what has ended                   \
           */

enum phase {
    PHASE_STARTING, /* prices not read yet */
    PHASE_RUNNING,
    PHASE_DRAINING,
    PHASE_CLOSING,
};

struct daemon {
    uv_loop_t loop;
    const char *path;
    struct mr_log *log;
    struct mr_config *config; /* the current one; the parts hold references of their own */
    struct mr_prices *prices;
    enum phase phase;
    int exit_code;

    struct mr_world world;
    struct mr_engine *engine;
    struct mr_broker *broker;
    struct mr_store *store;
    struct mr_caller *caller;
    struct mr_extractor *extractor;
    struct mr_monitor *monitor; /* NULL: nobody is to look */
    uv_signal_t term, interrupt, hup;
    uv_timer_t tick;      /* the engine's next timeout */
    uv_timer_t deadline;  /* STARTING: the next try; DRAINING: the end of patience */
    uv_prepare_t prepare; /* before the loop sleeps: set tick, notice the end of the drain */
    uv_work_t work;
    struct mr_refresh refresh;
    bool refreshing;
    bool reload_wanted; /* a SIGHUP came that the refresh under way may be too old for */
};

static void refresh_later(struct daemon *daemon);
static void close_all(struct daemon *daemon);

/* ---- the loop ---- */

static void on_tick(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    mr_engine_tick(daemon->engine);
}

static void set_tick(struct daemon *daemon)
{
    int64_t next = mr_engine_next_tick(daemon->engine);
    if (next == INT64_MAX) {
        uv_timer_stop(&daemon->tick);
        return;
    }
    int64_t in_ms = next - mr_mono_ms(&daemon->world.clock);
    uv_timer_start(&daemon->tick, on_tick, in_ms > 0 ? (uint64_t)in_ms : 0, 0);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct daemon *daemon = prepare->data;
    if (!daemon->engine)
        return;
    if (daemon->phase == PHASE_DRAINING && mr_engine_idle(daemon->engine)) {
        mr_log(daemon->log, MR_INFO, "worker.drained");
        close_all(daemon);
        return;
    }
    if (daemon->phase != PHASE_CLOSING)
        set_tick(daemon);
}

/* ---- starting and reloading ---- */

static int start_parts(struct daemon *daemon, struct mr_err *err)
{
    struct mr_world *world = &daemon->world;
    int r = mr_store_new(&daemon->loop, daemon->config, world, &daemon->store, err);
    if (r == 0)
        r = mr_broker_new(&daemon->loop, daemon->config, world->worker, daemon->log,
            &world->observe, &daemon->broker, err);
    if (r == 0)
        r = mr_caller_new(&daemon->loop, world->clock, mr_local_answer, &daemon->caller, err);
    if (r == 0)
        r = mr_extractor_new(&daemon->loop, &daemon->config->worker, NULL, &daemon->extractor, err);
    if (r < 0)
        return r;
    world->broker = mr_broker_ops(daemon->broker);
    world->store = mr_store_ops(daemon->store);
    world->caller = mr_caller_ops(daemon->caller);
    world->extractor = mr_extractor_ops(daemon->extractor);
    r = mr_engine_new(world, daemon->config, daemon->prices, &daemon->engine, err);
    if (r < 0)
        return r;
    mr_store_start(daemon->store, daemon->engine);
    mr_caller_start(daemon->caller, daemon->engine);
    mr_extractor_start(daemon->extractor, daemon->engine);
    mr_monitor_start(daemon->monitor, daemon->engine, daemon->broker, daemon->store);
    return mr_broker_start(daemon->broker, daemon->engine, err);
}

static void start(struct daemon *daemon)
{
    struct mr_err err = {0};
    daemon->prices = daemon->refresh.prices;
    daemon->refresh.prices = NULL;
    if (start_parts(daemon, &err) < 0) {
        mr_log(daemon->log, MR_ERROR, "worker.start_failed", MR_STR("why", err.msg));
        daemon->exit_code = 1;
        close_all(daemon);
        return;
    }
    daemon->phase = PHASE_RUNNING;
    mr_log(daemon->log, MR_INFO, "worker.started", MR_STR("worker", daemon->world.worker),
        MR_STR("pool", daemon->config->worker.pool), MR_INT("slots", daemon->config->worker.slots),
        MR_INT("prices", (int64_t)daemon->prices->count), MR_STR("version", MR_VERSION));
}

static void reload(struct daemon *daemon)
{
    struct mr_refresh *next = &daemon->refresh;
    struct mr_err err = {0};
    if (next->rc > 0)
        mr_log(daemon->log, MR_WARN, "reload.partial", MR_STR("needs_restart", next->err.msg));
    if (mr_extractor_reload(daemon->extractor, &next->config->worker, &err) < 0)
        mr_log(daemon->log, MR_WARN, "reload.partial", MR_STR("why", err.msg));
    mr_engine_reload(daemon->engine, next->config, next->prices);
    mr_monitor_reload(daemon->monitor, next->config);
    daemon->log->level = (enum mr_level)mr_level_parse(next->config->worker.log_level);
    struct mr_config *old_config = daemon->config;
    struct mr_prices *old_prices = daemon->prices;
    daemon->config = next->config;
    daemon->prices = next->prices;
    next->config = old_config;
    next->prices = old_prices;
    mr_log(daemon->log, MR_INFO, "reload.done", MR_INT("prices", (int64_t)daemon->prices->count));
}

static void refresh_work(uv_work_t *work)
{
    struct daemon *daemon = work->data;
    mr_refresh_run(&daemon->refresh);
}

static void on_retry(uv_timer_t *timer)
{
    refresh_later(timer->data);
}

static void refresh_done(uv_work_t *work, int status)
{
    struct daemon *daemon = work->data;
    struct mr_refresh *refresh = &daemon->refresh;
    daemon->refreshing = false;
    if (daemon->phase == PHASE_STARTING && refresh->rc < 0) {
        mr_log(daemon->log, MR_ERROR, "worker.waiting", MR_STR("why", refresh->err.msg));
        uv_timer_start(&daemon->deadline, on_retry, MR_START_RETRY_MS, 0);
    } else if (daemon->phase == PHASE_STARTING) {
        start(daemon);
    } else if (daemon->phase == PHASE_RUNNING && refresh->rc < 0) {
        mr_log(daemon->log, MR_ERROR, "reload.refused", MR_STR("why", refresh->err.msg));
    } else if (daemon->phase == PHASE_RUNNING) {
        reload(daemon);
    }
    mr_refresh_deinit(refresh);
    if (daemon->phase == PHASE_RUNNING && daemon->reload_wanted)
        refresh_later(daemon);
}

static void refresh_later(struct daemon *daemon)
{
    daemon->refreshing = true;
    daemon->refresh = (struct mr_refresh){.path = daemon->path, .running = daemon->config};
    if (daemon->phase == PHASE_STARTING)
        daemon->refresh.config = mr_config_ref(daemon->config); /* read already */
    else
        daemon->reload_wanted = false;
    daemon->work.data = daemon;
    int r = uv_queue_work(&daemon->loop, &daemon->work, refresh_work, refresh_done);
    assert(r == 0);
}

/* ---- signals ---- */

static void on_impatient(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    struct mr_engine_counts counts = mr_engine_counts(daemon->engine);
    mr_log(daemon->log, MR_WARN, "worker.drain_cut_short",
        MR_STR("why", "broker or database did not answer; unacked jobs go back by themselves"),
        MR_INT("jobs", (int64_t)counts.running));
    close_all(daemon);
}

static void on_stop(uv_signal_t *handle, int signum)
{
    struct daemon *daemon = handle->data;
    if (daemon->phase == PHASE_DRAINING || daemon->phase == PHASE_CLOSING)
        _exit(128 + signum);
    mr_log(daemon->log, MR_INFO, "worker.draining",
        MR_STR("signal", signum == SIGINT ? "INT" : "TERM"),
        MR_INT("grace_ms", daemon->config->worker.grace_ms));
    if (daemon->phase == PHASE_STARTING) {
        close_all(daemon);
        return;
    }
    daemon->phase = PHASE_DRAINING;
    mr_monitor_drain(daemon->monitor);
    mr_broker_drain(daemon->broker);
    mr_engine_drain(daemon->engine, daemon->config->worker.grace_ms);
    uv_timer_start(&daemon->deadline, on_impatient,
        (uint64_t)daemon->config->worker.grace_ms + MR_RETURN_MS, 0);
}

static void on_reload(uv_signal_t *handle, int signum)
{
    struct daemon *daemon = handle->data;
    daemon->reload_wanted = true;
    if (daemon->phase == PHASE_RUNNING && !daemon->refreshing)
        refresh_later(daemon);
}

/* ---- closing ---- */

/* Nothing to do: the loop ends by itself when the last handle is closed. */
static void part_closed(void *ctx)
{
}

static void close_all(struct daemon *daemon)
{
    if (daemon->phase == PHASE_CLOSING)
        return;
    daemon->phase = PHASE_CLOSING;
    uv_close((uv_handle_t *)&daemon->term, NULL);
    uv_close((uv_handle_t *)&daemon->interrupt, NULL);
    uv_close((uv_handle_t *)&daemon->hup, NULL);
    uv_close((uv_handle_t *)&daemon->tick, NULL);
    uv_close((uv_handle_t *)&daemon->deadline, NULL);
    uv_close((uv_handle_t *)&daemon->prepare, NULL);
    mr_monitor_close(daemon->monitor, part_closed, daemon);
    if (daemon->broker)
        mr_broker_close(daemon->broker, part_closed, daemon);
    if (daemon->caller)
        mr_caller_close(daemon->caller, part_closed, daemon);
    if (daemon->extractor)
        mr_extractor_close(daemon->extractor, part_closed, daemon);
    if (daemon->store)
        mr_store_close(daemon->store, part_closed, daemon);
}

static void free_all(struct daemon *daemon)
{
    /* The engine goes first: its jobs may still be known to the parts, which no longer report. */
    mr_engine_free(daemon->engine);
    mr_broker_free(daemon->broker);
    mr_caller_free(daemon->caller);
    mr_extractor_free(daemon->extractor);
    mr_store_free(daemon->store);
    mr_monitor_free(daemon->monitor);
    mr_refresh_prices_free(daemon->prices);
    mr_config_unref(daemon->config);
}

static int init_handles(struct daemon *daemon)
{
    uv_loop_t *loop = &daemon->loop;
    int r = uv_loop_init(loop);
    if (r < 0)
        return r;
    uv_signal_init(loop, &daemon->term);
    uv_signal_init(loop, &daemon->interrupt);
    uv_signal_init(loop, &daemon->hup);
    uv_timer_init(loop, &daemon->tick);
    uv_timer_init(loop, &daemon->deadline);
    uv_prepare_init(loop, &daemon->prepare);
    daemon->term.data = daemon->interrupt.data = daemon->hup.data = daemon;
    daemon->tick.data = daemon->deadline.data = daemon->prepare.data = daemon;
    r = uv_signal_start(&daemon->term, on_stop, SIGTERM);
    if (r == 0)
        r = uv_signal_start(&daemon->interrupt, on_stop, SIGINT);
    if (r == 0)
        r = uv_signal_start(&daemon->hup, on_reload, SIGHUP);
    if (r == 0) {
        sigset_t hup; /* main has held it back */
        sigemptyset(&hup);
        sigaddset(&hup, SIGHUP);
        pthread_sigmask(SIG_UNBLOCK, &hup, NULL);
    }
    if (r == 0)
        r = uv_prepare_start(&daemon->prepare, on_prepare);
    return r;
}

/* What is there before anything else is. */
static int init_world(struct daemon *daemon, struct mr_err *err)
{
    struct mr_world *world = &daemon->world;
    char host[64] = "";
    gethostname(host, sizeof(host) - 1);
    snprintf(world->worker, sizeof(world->worker), "%.48s:%d", host, (int)getpid());
    world->clock = mr_clock_system();
    world->random = mr_random_system();
    world->log = daemon->log;
    int r = mr_monitor_new(
        &daemon->loop, daemon->config, world->worker, daemon->log, &daemon->monitor, err);
    world->observe = mr_monitor_ops(daemon->monitor);
    return r;
}

int mr_daemon_run(const char *path, struct mr_config *config, struct mr_log *log)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    if (!daemon) {
        mr_config_unref(config);
        return 1;
    }
    daemon->path = path;
    daemon->log = log;
    daemon->config = config;
    int r = init_handles(daemon);
    if (r < 0) {
        mr_log(log, MR_ERROR, "worker.start_failed", MR_STR("why", uv_strerror(r)));
        daemon->exit_code = 1;
    } else {
        struct mr_err err = {0};
        if (init_world(daemon, &err) == 0) {
            refresh_later(daemon);
        } else {
            mr_log(log, MR_ERROR, "worker.start_failed", MR_STR("why", err.msg));
            daemon->exit_code = 1;
            close_all(daemon);
        }
        uv_run(&daemon->loop, UV_RUN_DEFAULT);
        r = uv_loop_close(&daemon->loop);
        assert(r == 0); /* a handle that was left open is a bug */
    }
    free_all(daemon);
    int code = daemon->exit_code;
    free(daemon);
    return code;
}
