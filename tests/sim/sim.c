#include "tests/sim/sim.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
uint64_t sim_random(struct sim *sim, uint64_t below)
{
    uint64_t z = sim->rng += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

bool sim_happens(struct sim *sim, unsigned per_mille)
{
    return sim_random(sim, 1000) < per_mille;
}

bool sim_trouble(struct sim *sim, unsigned per_mille)
{
    return sim->now_ms < SIM_STORM_MS && sim_happens(sim, per_mille);
}

void sim_fail(struct sim *sim, const char *fmt, ...)
{
    if (*sim->failure)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(sim->failure, sizeof(sim->failure), fmt, args);
    va_end(args);
}

struct sim_job *sim_job(struct sim *sim, const struct mr_uuid *id)
{
    for (size_t i = 0; i < sim->njobs; i++)
        if (mr_uuid_equal(&sim->jobs[i].id, id))
            return &sim->jobs[i];
    return NULL;
}

struct sim_call *sim_call(struct sim *sim, const struct mr_uuid *id)
{
    for (struct sim_call *call = sim->calls; call; call = call->next)
        if (mr_uuid_equal(&call->id, id))
            return call;
    return NULL;
}

/* ---- events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->seq < b->seq;
}

static void swap(struct sim *sim, size_t a, size_t b)
{
    struct sim_event *event = sim->events[a];
    sim->events[a] = sim->events[b];
    sim->events[b] = event;
}

struct sim_event *sim_at(struct sim *sim, int64_t in_ms, struct sim_worker *worker,
    void (*fn)(struct sim *, struct sim_event *, bool), void *arg, int64_t n)
{
    struct sim_event *event = malloc(sizeof(*event));
    *event = (struct sim_event){sim->now_ms + in_ms, sim->seq++, worker ? worker->index : -1,
        worker ? worker->life : 0, fn, arg, n};
    if (sim->nevents == sim->events_cap) {
        sim->events_cap = sim->events_cap ? sim->events_cap * 2 : 256;
        sim->events = reallocarray(sim->events, sim->events_cap, sizeof(struct sim_event *));
    }
    size_t at = sim->nevents++;
    sim->events[at] = event;
    for (; at > 0 && before(sim->events[at], sim->events[(at - 1) / 2]); at = (at - 1) / 2)
        swap(sim, at, (at - 1) / 2);
    return event;
}

static void nothing(struct sim *sim, struct sim_event *event, bool alive)
{
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
    event->fn = nothing;
}

static struct sim_event *next_event(struct sim *sim)
{
    struct sim_event *event = sim->events[0];
    sim->events[0] = sim->events[--sim->nevents];
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= sim->nevents)
            break;
        if (child + 1 < sim->nevents && before(sim->events[child + 1], sim->events[child]))
            child++;
        if (!before(sim->events[child], sim->events[at]))
            break;
        swap(sim, at, child);
        at = child;
    }
    return event;
}

static void run_event(struct sim *sim)
{
    struct sim_event *event = next_event(sim);
    sim->now_ms = event->at_ms > sim->now_ms ? event->at_ms : sim->now_ms;
    const struct sim_worker *worker = event->worker >= 0 ? &sim->workers[event->worker] : NULL;
    event->fn(sim, event, !worker || (worker->engine && worker->life == event->life));
    free(event);
}

/* ---- workers ---- */

int64_t sim_wall(void *ctx)
{
    return ((struct sim *)ctx)->now_ms + INT64_C(1790000000000);
}

int64_t sim_mono(void *ctx)
{
    return ((struct sim *)ctx)->now_ms * 1000000;
}

void sim_fill(void *ctx, void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)sim_random(ctx, 256);
}

static void worker_up(struct sim_worker *worker)
{
    struct sim *sim = worker->sim;
    struct mr_world world = {.clock = {sim_wall, sim_mono, sim},
        .random = {sim_fill, sim},
        .broker = sim_broker_ops(worker),
        .store = sim_store_ops(worker),
        .caller = sim_caller_ops(worker),
        .extractor = sim_extractor_ops(worker),
        .log = &sim->log};
    worker->draining = false;
    worker->away_since_ms = worker->away_until_ms = 0;
    worker->session++;
    if (mr_engine_new(&world, worker->config, &sim->prices, &worker->engine, NULL) < 0)
        abort();
}

/* kill -9: whatever it knew is gone, its messages come back. */
static void worker_down(struct sim_worker *worker)
{
    worker->engine = mr_engine_free(worker->engine);
    worker->life++;
    worker->died_ms = worker->sim->now_ms;
    sim_broker_cut(worker);
}

static void revive(struct sim *sim, struct sim_event *event, bool alive)
{
    struct sim_worker *worker = event->arg;
    if (!worker->engine)
        worker_up(worker);
}

static void drained(struct sim *sim, struct sim_event *event, bool alive)
{
    struct sim_worker *worker = &sim->workers[event->worker];
    if (!alive)
        return;
    if (!mr_engine_idle(worker->engine)) {
        sim_fail(sim, "a drained worker is not idle after its grace period");
        return;
    }
    worker_down(worker);
    sim_at(sim, 500, NULL, revive, worker, 0);
}

static void drain(struct sim *sim, struct sim_worker *worker)
{
    if (worker->draining || worker->away_until_ms > sim->now_ms)
        return;
    worker->draining = true;
    mr_engine_drain(worker->engine, 1000);
    /* a last call of 20 s, then a publish that may be refused a few times, 5 s apart */
    sim_at(sim, 60000, worker, drained, NULL, 0);
}

/* Something happens to somebody, again and again, while jobs are under way. */
static void happen(struct sim *sim, struct sim_event *event, bool alive)
{
    struct sim_worker *worker = &sim->workers[sim_random(sim, SIM_WORKERS)];
    if (sim->now_ms >= SIM_STORM_MS)
        return; /* the storm is over: what is left must end by itself */
    sim_at(sim, 1 + (int64_t)sim_random(sim, 2000), NULL, happen, NULL, 0);
    if (!sim_happens(sim, sim->chaos) || !worker->engine)
        return;
    switch (sim_random(sim, 6)) {
    case 0:
        worker_down(worker);
        sim_at(sim, 100 + (int64_t)sim_random(sim, 5000), NULL, revive, worker, 0);
        break;
    case 1:
        sim_broker_cut(worker);
        break;
    case 2:
        drain(sim, worker);
        break;
    case 3: /* cut off from the database, perhaps long enough to be taken for dead */
        if (!worker->draining && worker->away_until_ms <= sim->now_ms) {
            worker->away_since_ms = sim->now_ms;
            worker->away_until_ms = sim->now_ms + (int64_t)sim_random(sim, 10000);
        }
        break;
    case 4:
        sim_store_cancel(sim, &sim->jobs[sim_random(sim, sim->njobs)]);
        break;
    default:
        sim_broker_replay(sim);
    }
}

static void tick_all(struct sim *sim)
{
    for (int i = 0; i < SIM_WORKERS; i++)
        if (sim->workers[i].engine && mr_engine_next_tick(sim->workers[i].engine) <= sim->now_ms)
            mr_engine_tick(sim->workers[i].engine);
}

/* The next moment anything wants to happen, or false when nothing ever will. */
static bool step(struct sim *sim)
{
    int64_t next = sim->nevents > 0 ? sim->events[0]->at_ms : INT64_MAX;
    for (int i = 0; i < SIM_WORKERS; i++) {
        int64_t tick =
            sim->workers[i].engine ? mr_engine_next_tick(sim->workers[i].engine) : INT64_MAX;
        next = tick < next ? tick : next;
    }
    for (const struct sim_msg *msg = sim->queue; msg; msg = msg->next) {
        int64_t due_ms = msg->due_ms > sim->now_ms ? msg->due_ms : sim->now_ms + 1000;
        next =
            due_ms < next ? due_ms : next; /* who could have taken it may have been passed over */
    }
    if (next == INT64_MAX || next > SIM_LIMIT_MS)
        return false;
    sim->now_ms = next > sim->now_ms ? next : sim->now_ms;
    if (sim->nevents > 0 && sim->events[0]->at_ms <= sim->now_ms)
        run_event(sim);
    tick_all(sim);
    sim_broker_pump(sim);
    return true;
}

/* ---- one run ---- */

static void clean_up(struct sim *sim)
{
    for (int i = 0; i < SIM_WORKERS; i++)
        if (sim->workers[i].engine)
            worker_down(&sim->workers[i]);
    while (sim->nevents > 0) {
        struct sim_event *event = next_event(sim);
        if (event->worker >= 0)
            event->fn(sim, event, false);
        free(event);
    }
    free(sim->events);
    sim_broker_free(sim);
    sim_money_free(sim);
    for (struct sim_call *call = sim->calls, *next; call; call = next) {
        next = call->next;
        free(call);
    }
    for (size_t i = 0; i < sim->njobs; i++)
        json_decref(sim->jobs[i].steps);
}

struct weather {
    const char *name;
    unsigned per_mille;
    bool outages_only;
};

/* Every other run tenant 0 has a cap, from about one call at a time to nearly enough. */
static void plan(struct sim *sim)
{
    sim_provider_plan(sim);
    if (sim_random(sim, 2) == 0)
        return;
    sim->caps[0] = 15000 + (int64_t)sim_random(sim, 300000);
    sim->on_cap = sim->outages_only ? MR_ON_CAP_PARK : (enum mr_on_cap)sim_random(sim, 3);
}

/* What all runs of a weather have seen, so that nobody takes silence for success. */
struct seen {
    unsigned long refusals, hits, parked, opened, closed, calls, dead;
};

static void add_up(struct seen *seen, const struct sim *sim)
{
    seen->refusals += sim->refusals;
    seen->hits += sim->hits;
    seen->parked += sim->parked;
    seen->opened += sim->opened;
    seen->closed += sim->closed;
    for (const struct sim_call *call = sim->calls; call; call = call->next)
        seen->calls++;
    for (size_t i = 0; i < sim->njobs; i++)
        seen->dead += sim->jobs[i].state == SIM_DEAD;
}

static bool run(uint64_t seed, const struct weather *weather, struct mr_config *const configs[2],
    struct seen *seen)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    sim->seed = sim->rng = seed;
    sim->chaos = weather->per_mille;
    sim->outages_only = weather->outages_only;
    plan(sim);
    memcpy(sim->configs, configs, sizeof(sim->configs));
    sim->price[0] = (struct mr_price){.provider = "p",
        .model = "m-1",
        .input = 2,
        .cached = 1,
        .cache_write = 2,
        .cache_write_1h = 2,
        .output = 10};
    sim->price[1] = (struct mr_price){.provider = "local", .model = "*"};
    sim->prices = (struct mr_prices){.items = sim->price, .count = 2, .ceiling = sim->price[0]};
    sim->log = (struct mr_log){
        .fd = 2, .level = getenv("SIM_LOG") ? MR_DEBUG : MR_ERROR + 1, .program = "sim"};
    for (int i = 0; i < SIM_WORKERS; i++) {
        sim->workers[i].sim = sim;
        sim->workers[i].index = i;
        sim->workers[i].pool = i < SIM_MAIN ? "main" : "gpu";
        sim->workers[i].config = configs[i >= SIM_MAIN];
        worker_up(&sim->workers[i]);
    }
    sim_enqueue(sim);
    sim_at(sim, 1, NULL, happen, NULL, 0);
    sim_broker_pump(sim);
    while (!*sim->failure && step(sim))
        ;
    if (!*sim->failure)
        sim_judge(sim);
    bool ok = !*sim->failure;
    if (!ok)
        printf("# seed %llu at %lld ms: %s\n", (unsigned long long)seed, (long long)sim->now_ms,
            sim->failure);
    add_up(seen, sim);
    clean_up(sim);
    free(sim);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, runs = 100;
    const char *only = NULL;
    for (int c; (c = getopt(argc, argv, "s:n:w:")) != -1;) {
        if (c == 's')
            seed = strtoull(optarg, NULL, 10);
        else if (c == 'n')
            runs = strtoull(optarg, NULL, 10);
        else if (c == 'w')
            only = optarg;
        else
            return 2;
    }
    struct mr_config *configs[] = {sim_config("main"), sim_config("gpu")};
    if (!configs[0] || !configs[1])
        return 1;
    static const struct weather weathers[] = {{"fair weather", 0, false},
        {"providers fail", 0, true}, {"some trouble", 50, false}, {"a storm", 300, false},
        {"everything breaks", 700, false}};
    size_t count = sizeof(weathers) / sizeof(weathers[0]), failed = 0;
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        bool ok = true;
        struct seen seen = {0};
        bool wanted = !only || strcmp(only, weathers[i].name) == 0;
        for (uint64_t n = 0; n < runs && ok && wanted; n++)
            ok = run(seed + n, &weathers[i], configs, &seen);
        failed += !ok;
        printf("# %lu calls, %lu refused by a cap, %lu from the cache; %lu breakers opened, %lu "
               "closed; %lu waits, %lu dead\n",
            seen.calls, seen.refusals, seen.hits, seen.opened, seen.closed, seen.parked, seen.dead);
        printf("%s %zu - %s, %llu seeds from %llu\n", ok ? "ok" : "not ok", i + 1, weathers[i].name,
            (unsigned long long)runs, (unsigned long long)seed);
    }
    mr_config_unref(configs[0]);
    mr_config_unref(configs[1]);
    return failed > 0;
}
