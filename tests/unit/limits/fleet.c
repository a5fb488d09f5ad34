#include "tests/unit/limits/fleet.h"

#include <string.h>

#define AWAY_MS 20

struct fleet world;

static uint64_t dice = 1;
static void fill(void *ctx, void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        ((unsigned char *)bytes)[i] = (unsigned char)(dice >> 56);
    }
}
const struct mr_random chance = {fill, NULL};

struct mr_provider provider = {.name = (char *)"p", .kind = MR_PROVIDER_OPENAI};
static struct mr_model models[] = {{.provider = &provider, .model = (char *)"m"}};
static const struct mr_config config = {.models = models, .nmodels = 1};

struct mr_limits_ask ask_of(const char *tenant, int64_t tokens)
{
    return (struct mr_limits_ask){&config, "p", "e", "m", tenant, tokens};
}

/* ---- the bank ---- */

static void refill(struct bucket *bucket)
{
    double minutes = (double)(world.now_ms - bucket->at_ms) / 60000;
    double burst = bucket->rpm / 60.0 > 1 ? bucket->rpm / 60.0 : 1;
    bucket->at_ms = world.now_ms;
    bucket->requests += minutes * (double)bucket->rpm;
    if (bucket->requests > burst)
        bucket->requests = burst;
    bucket->tokens += minutes * (double)bucket->tpm;
    if (bucket->tokens > (double)bucket->tpm / 60)
        bucket->tokens = (double)bucket->tpm / 60;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void pay(struct bucket *bucket, struct mr_lease_row *row, int users)
{
    row->requests = row->tokens = row->rpm_share = row->tpm_share = MR_LEASE_NONE;
    if (bucket->rpm > 0) {
        bucket->requests += (double)row->back_requests;
        int64_t fair = max(1, bucket->rpm / 60 / users);
        row->requests = max(0, min(min(row->want_requests, (int64_t)bucket->requests), fair));
        bucket->requests -= (double)row->requests;
        row->rpm_share = max(1, bucket->rpm / users);
        if (bucket->requests < 1)
            row->more_ms = (int64_t)((1 - bucket->requests) * 60000 / (double)bucket->rpm) + 1;
    }
    if (bucket->tpm > 0) {
        bucket->tokens += (double)row->back_tokens;
        row->tokens = 0;
        if (bucket->tokens > 0)
            row->tokens = min(row->want_tokens, max(row->head_tokens, (int64_t)bucket->tokens));
        bucket->tokens -= (double)row->tokens;
        row->tpm_share = max(1, bucket->tpm / users);
        if (bucket->tokens < 0)
            row->more_ms =
                max(row->more_ms, (int64_t)(-bucket->tokens * 60000 / (double)bucket->tpm));
    }
}

static void answer_row(int worker, struct mr_lease_row *row)
{
    struct bucket *bucket = strcmp(row->scope, "model:p/e/m") == 0 ? &world.model : &world.tenant;
    row->slots = MR_LEASE_NONE;
    row->more_ms = row->paused_ms = 0;
    world.last_rows_throttled += row->throttled;
    if (bucket == &world.tenant && strcmp(row->scope, "tenant:capped") != 0) {
        row->requests = row->tokens = row->rpm_share = row->tpm_share = MR_LEASE_NONE;
        return;
    }
    bucket->users[worker].seen_ms = world.now_ms;
    bucket->users[worker].in_flight = row->in_flight;
    bucket->users[worker].need = row->waiting + row->in_flight;
    int users = 0, others = 0;
    for (int i = 0; i < world.count; i++) {
        if (!bucket->users[i].seen_ms || bucket->users[i].seen_ms < world.now_ms - 5000)
            continue;
        users += bucket->users[i].need > 0 || i == worker;
        others += i == worker ? 0 : bucket->users[i].slots;
    }
    refill(bucket);
    if (row->pause_ms > 0)
        bucket->paused_until_ms = max(bucket->paused_until_ms, world.now_ms + row->pause_ms);
    if (bucket->concurrency > 0) {
        row->slots =
            (int)max(0, min(bucket->concurrency - others, max(1, bucket->concurrency / users)));
        bucket->users[worker].slots = (int)max(row->slots, row->in_flight);
    }
    if (bucket->paused_until_ms > world.now_ms) {
        row->paused_ms = row->more_ms = bucket->paused_until_ms - world.now_ms;
        row->want_requests = row->want_tokens = 0;
    }
    pay(bucket, row, users);
}

/* ---- the world ---- */

void build(int workers, struct bucket model, struct bucket tenant)
{
    memset(&world, 0, sizeof(world));
    world.now_ms = 1000000;
    world.count = workers;
    world.model = model;
    world.tenant = tenant;
    world.model.at_ms = world.tenant.at_ms = 0; /* full */
    for (int i = 0; i < workers; i++)
        CHECK((world.workers[i].limits = mr_limits_new()));
}

void tear_down(void)
{
    for (int i = 0; i < world.count; i++) {
        for (int k = 0; k < TICKETS; k++)
            mr_limits_leave(
                world.workers[i].limits, &world.workers[i].tickets[k], NULL, world.now_ms);
        mr_limits_free(world.workers[i].limits);
    }
}

void talk(int i)
{
    struct worker *worker = &world.workers[i];
    if (worker->lease && world.now_ms >= worker->answer_ms) {
        for (size_t k = 0; k < worker->lease->count; k++)
            answer_row(i, &worker->lease->rows[k]);
        worker->lease = NULL;
        mr_limits_leased(worker->limits, world.now_ms, &chance);
    }
    if (worker->lease || mr_limits_due_ms(worker->limits) > world.now_ms)
        return;
    worker->lease = mr_limits_lease(worker->limits, world.now_ms);
    worker->answer_ms = world.now_ms + BANK_DELAY_MS;
    world.asked += worker->lease != NULL;
}

static void went(struct worker *worker, size_t ticket)
{
    worker->began_ms[ticket] = world.now_ms;
    worker->next_end_ms = min(worker->next_end_ms, world.now_ms + worker->call_ms);
    worker->calls++;
    CHECK(world.nstarts < sizeof(world.starts) / sizeof(world.starts[0]));
    world.starts[world.nstarts++] = world.now_ms;
}

static bool wants_more(const struct worker *worker, const struct load *load)
{
    return world.now_ms >= worker->away_ms &&
           mr_limits_waiting(worker->limits) < (size_t)load->waiting;
}

/* Who is sent away comes again after a while, and so do those behind him. */
static void ask_for(struct worker *worker, size_t k, const struct load *load)
{
    struct mr_limits_ask ask = ask_of(load->tenant, load->tokens);
    int64_t wait;
    const char *scope;
    switch (mr_limits_ask(worker->limits, &worker->tickets[k], &ask, world.now_ms, &wait, &scope)) {
    case MR_LIMITS_GO:
        went(worker, k);
        break;
    case MR_LIMITS_LATER:
        worker->away_ms = world.now_ms + AWAY_MS;
        break;
    case MR_LIMITS_WAIT:
        break;
    }
}

/* One millisecond of a worker whose line is kept full. */
static void work(struct worker *worker, const struct load *load)
{
    const struct mr_limits_end good = {.tokens = load->used,
        .success = true,
        .latency_ms = load->call_ms,
        .requests = {-1, -1, -1},
        .by_tokens = {-1, -1, -1}};
    for (struct mr_ticket *t; (t = mr_limits_next(worker->limits, world.now_ms));)
        went(worker, (size_t)(t - worker->tickets));
    if (worker->call_ms == load->call_ms && world.now_ms < worker->next_end_ms &&
        !wants_more(worker, load))
        return; /* as mostly: nothing to do */
    worker->call_ms = load->call_ms;
    worker->next_end_ms = INT64_MAX;
    for (size_t k = 0; k < TICKETS; k++) {
        struct mr_ticket *ticket = &worker->tickets[k];
        if (ticket->state == MR_TICKET_HELD && world.now_ms >= worker->began_ms[k] + load->call_ms)
            mr_limits_leave(worker->limits, ticket, &good, world.now_ms);
        if (ticket->state == MR_TICKET_NONE && wants_more(worker, load))
            ask_for(worker, k, load);
        if (ticket->state == MR_TICKET_HELD)
            worker->next_end_ms = min(worker->next_end_ms, worker->began_ms[k] + load->call_ms);
    }
}

void run(int64_t ms, const struct load *load)
{
    for (int64_t end = world.now_ms + ms; world.now_ms < end; world.now_ms++)
        for (int i = 0; i < world.count; i++) {
            talk(i);
            work(&world.workers[i], load);
        }
}

size_t busiest(int64_t window_ms)
{
    size_t most = 0;
    for (size_t from = 0, to = 0; to < world.nstarts; to++) {
        while (world.starts[to] - world.starts[from] >= window_ms)
            from++;
        most = to - from + 1 > most ? to - from + 1 : most;
    }
    return most;
}
