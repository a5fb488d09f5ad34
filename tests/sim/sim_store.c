/* Claims, cancellations and rejects, as sql/routines/{claim,cancel,reject}.sql have them, over
 * arrays in memory. A transaction is applied at one moment and answered at a later one, so a worker
 * can die between the two, or ask again. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* worker_alive(): a lock that dies with the process, and a heartbeat that may be a little old. */
static bool lives(const struct sim *sim, int index, uint64_t life)
{
    const struct sim_worker *worker = &sim->workers[index];
    if (worker->life == life + 1)
        return sim->now_ms - worker->died_ms < SIM_DEAD_AFTER_MS;
    bool away = sim->now_ms < worker->away_until_ms &&
                sim->now_ms - worker->away_since_ms >= SIM_DEAD_AFTER_MS;
    return worker->engine && worker->life == life && !away;
}

int64_t sim_store_latency(struct sim_worker *worker)
{
    struct sim *sim = worker->sim;
    int64_t ms = 1 + (int64_t)sim_random(sim, 10);
    if (worker->away_until_ms > sim->now_ms)
        return worker->away_until_ms - sim->now_ms + ms;
    return sim_trouble(sim, sim->chaos / 10) ? 3000 + ms : ms; /* now and then it is slow */
}

/* False when there are none; ret_expired: all of them have. */
static bool open_calls(const struct sim *sim, const struct sim_job *job, bool *ret_expired)
{
    bool some = false, expired = true;
    for (const struct sim_call *call = sim->calls; call; call = call->next)
        if (call->state == MR_CALL_OPEN && mr_uuid_equal(&call->job, &job->id)) {
            some = true;
            expired = expired && call->expires_ms <= sim->now_ms;
        }
    *ret_expired = some && expired;
    return some;
}

/* Whether another worker that lives still waits for a call of the job. */
static bool awaited(const struct sim_worker *worker, const struct sim_job *job)
{
    const struct sim *sim = worker->sim;
    for (const struct sim_call *call = sim->calls; call; call = call->next)
        if (call->state == MR_CALL_OPEN && mr_uuid_equal(&call->job, &job->id) &&
            (call->worker != worker->index || call->life != worker->life) &&
            call->expires_ms > sim->now_ms && lives(sim, call->worker, call->life))
            return true;
    return false;
}

void sim_store_give_up_calls(struct sim *sim, const struct sim_job *job)
{
    for (struct sim_call *call = sim->calls; call; call = call->next)
        if (call->state == MR_CALL_OPEN && mr_uuid_equal(&call->job, &job->id)) {
            call->state = MR_CALL_AMBIGUOUS;
            call->cost = call->hold;
        }
}

/* What claim says of a step that has not ended. */
static json_t *tries_of(const struct sim *sim, const struct sim_job *job, const char *step)
{
    int attempts = 0, paid = 0;
    int64_t since_ms = INT64_MAX;
    for (const struct sim_call *call = sim->calls; call; call = call->next) {
        if (!mr_uuid_equal(&call->job, &job->id) || strcmp(call->step, step) != 0 || call->hit ||
            call->began_ms < job->replayed_ms)
            continue;
        attempts++;
        paid += call->state != MR_CALL_RELEASED;
        since_ms = call->began_ms < since_ms ? call->began_ms : since_ms;
    }
    if (attempts == 0)
        return json_object();
    return json_pack("{s:i, s:i, s:I}", "attempts", attempts, "paid", paid, "since_ms",
        (json_int_t)(since_ms + sim_wall((void *)sim) - sim->now_ms));
}

static void forget_failures(struct sim_job *job)
{
    void *tmp;
    const char *name;
    json_t *step;
    json_object_foreach_safe(job->steps, tmp, name, step)
    {
        if (strcmp(json_string_value(json_object_get(step, "state")), "failed") == 0)
            json_object_del(job->steps, name);
    }
}

static void take(struct sim_worker *worker, struct sim_job *job, struct mr_claim *claim)
{
    struct sim *sim = worker->sim;
    bool same = job->worker == worker->index && job->life == worker->life;
    bool replay = job->state == SIM_DEAD;
    sim_store_give_up_calls(sim, job);
    if (job->cancel_requested && !replay) {
        job->ends += job->state != SIM_CANCELLED;
        job->state = SIM_CANCELLED;
        claim->verdict = MR_VERDICT_CANCELLED;
        return;
    }
    if (replay) {
        forget_failures(job);
        job->revivals++;
        job->replays = claim->replay;
        job->replayed_ms = sim->now_ms;
        job->redeliveries = 0;
        job->cancel_requested = false;
    } else if (job->state == SIM_RUNNING && !same) {
        job->redeliveries++;
    }
    claim->until_ms = job->state == SIM_WAITING ? job->until_ms : 0;
    job->state = SIM_RUNNING;
    job->worker = worker->index;
    job->life = worker->life;
    claim->verdict = MR_VERDICT_RUN;
    claim->epoch = ++job->epoch;
    claim->version = 1;
    claim->redeliveries = job->redeliveries;
    json_decref(claim->steps);
    claim->steps = json_deep_copy(job->steps);
    static const char *const names[] = {"extract", "left", "right", "join"};
    for (size_t i = 0; i < 4; i++)
        if (!json_object_get(claim->steps, names[i]))
            json_object_set_new(claim->steps, names[i], tries_of(sim, job, names[i]));
}

static void insert(struct sim_worker *worker, struct sim_job *job, struct mr_claim *claim)
{
    struct sim_job *twin = job->twin >= 0 ? &worker->sim->jobs[job->twin] : NULL;
    if (twin && twin->state > SIM_QUEUED && !twin->duplicate && twin->worker >= 0) {
        job->state = SIM_CANCELLED;
        job->duplicate = true;
        job->ends++;
        claim->verdict = MR_VERDICT_DUPLICATE;
        return;
    }
    /* a new row knows of no earlier steps */
    job->replays = claim->replay;
    job->state = SIM_RUNNING;
    job->worker = worker->index;
    job->life = worker->life;
    claim->verdict = MR_VERDICT_RUN;
    claim->epoch = job->epoch = 1;
    claim->version = claim->pipeline_version;
}

static void judge(struct sim_worker *worker, struct sim_job *job, struct mr_claim *claim)
{
    struct sim *sim = worker->sim;
    bool same = job->worker == worker->index && job->life == worker->life, expired;
    bool some = open_calls(sim, job, &expired);
    if (job->state == SIM_NONE) {
        insert(worker, job, claim);
    } else if (job->duplicate) {
        claim->verdict = MR_VERDICT_DUPLICATE;
    } else if (job->state == SIM_DONE) {
        claim->verdict = MR_VERDICT_DONE;
    } else if (job->state == SIM_CANCELLED) {
        claim->verdict = MR_VERDICT_CANCELLED;
    } else if (job->state == SIM_DEAD && claim->replay <= job->replays) {
        claim->verdict = MR_VERDICT_DEAD;
        mr_err_set(&claim->err, 0, job->error_class, "as it was");
    } else if (job->state == SIM_RUNNING && !same && !expired &&
               lives(sim, job->worker, job->life)) {
        claim->verdict = MR_VERDICT_BUSY;
    } else if (some && awaited(worker, job)) {
        claim->verdict = MR_VERDICT_BUSY;
    } else {
        take(worker, job, claim);
    }
}

static void claim_answered(struct sim *sim, struct sim_event *event, bool alive)
{
    if (alive)
        mr_engine_claimed(sim->workers[event->worker].engine, event->arg);
}

static void claim_applied(struct sim *sim, struct sim_event *event, bool alive)
{
    if (!alive)
        return;
    struct sim_worker *worker = &sim->workers[event->worker];
    struct mr_claim *claim = event->arg;
    struct sim_job *job = sim_job(sim, &claim->envelope->id);
    if (job->state == SIM_NONE && sim_trouble(sim, sim->chaos / 50)) {
        job->unclaimable = true;
        claim->verdict = MR_VERDICT_REFUSED;
        mr_err_set(&claim->err, 0, MR_CLASS_INVALID, "the database cannot store this");
    } else {
        judge(worker, job, claim);
    }
    if (sim_trouble(sim, sim->chaos / 20)) /* the answer was lost with the connection */
        sim_at(sim, sim_store_latency(worker), worker, claim_applied, claim, 0);
    else
        sim_at(sim, (int64_t)sim_random(sim, 3), worker, claim_answered, claim, 0);
}

static void claim(void *ctx, struct mr_claim *claim)
{
    sim_at(((struct sim_worker *)ctx)->sim, sim_store_latency(ctx), ctx, claim_applied, claim, 0);
}

void sim_store_cancel(struct sim *sim, struct sim_job *job)
{
    if (job->state >= SIM_DONE)
        return;
    job->cancel_requested = true;
    if (job->state == SIM_NONE) {
        job->state = SIM_QUEUED;
    } else if (job->state == SIM_WAITING) {
        job->state = SIM_CANCELLED;
        job->ends++;
    }
}

static void rejected(struct sim *sim, struct sim_event *event, bool alive)
{
    if (!alive)
        return;
    sim->rejects++;
    mr_engine_rejected(sim->workers[event->worker].engine, event->arg);
}

static void reject(void *ctx, void *owner, const struct mr_envelope_salvage *who,
    const struct mr_err *why, const char *body, size_t len)
{
    struct sim_worker *worker = ctx;
    sim_at(worker->sim, sim_store_latency(worker), worker, rejected, owner, 0);
}

static void note(void *ctx, const struct mr_breaker_note *note)
{
    struct sim_worker *worker = ctx;
    worker->sim->opened += note->state == MR_BREAKER_OPEN;
    worker->sim->closed += note->state == MR_BREAKER_CLOSED;
}

/* ---- limits: while the storm lasts there is too little of everything, and nobody keeps count ----
 */

static void let_through(struct mr_lease_row *row)
{
    row->requests = row->tokens = row->rpm_share = row->tpm_share = MR_LEASE_NONE;
    row->slots = MR_LEASE_NONE;
    row->more_ms = row->paused_ms = 0;
}

static void ration(struct sim *sim, struct mr_lease_row *row)
{
    let_through(row);
    if (sim_happens(sim, 700)) {
        row->requests = (int64_t)sim_random(sim, (uint64_t)row->want_requests + 1);
        row->rpm_share = 1 + (int64_t)sim_random(sim, 300);
    }
    if (sim_happens(sim, 300)) {
        row->tokens = (int64_t)sim_random(sim, (uint64_t)row->want_tokens + 1);
        row->tpm_share = 1 + (int64_t)sim_random(sim, 300000);
    }
    if (sim_happens(sim, 300))
        row->slots = (int)sim_random(sim, 4);
    if (sim_happens(sim, 50))
        row->paused_ms = (int64_t)sim_random(sim, 20000);
    row->more_ms = row->paused_ms + (int64_t)sim_random(sim, 3000);
}

static void leased(struct sim *sim, struct sim_event *event, bool alive)
{
    if (!alive)
        return;
    struct mr_lease *lease = event->arg;
    lease->refused = sim_trouble(sim, sim->chaos / 20);
    for (size_t i = 0; i < lease->count; i++)
        if (sim_trouble(sim, 10 * sim->chaos))
            ration(sim, &lease->rows[i]);
        else
            let_through(&lease->rows[i]);
    mr_engine_leased(sim->workers[event->worker].engine, lease);
}

static void lease_out(void *ctx, struct mr_lease *lease)
{
    struct sim_worker *worker = ctx;
    sim_at(worker->sim, sim_store_latency(worker), worker, leased, lease, 0);
}

struct mr_store_ops sim_store_ops(struct sim_worker *worker)
{
    return (struct mr_store_ops){.claim = claim,
        .commit = sim_store_commit,
        .reject = reject,
        .note_breaker = note,
        .lease = lease_out,
        .ctx = worker};
}
