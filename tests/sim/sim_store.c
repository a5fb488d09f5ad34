/* The store's rules, as sql/ has them, over arrays in memory. A transaction is applied at one
 * moment and answered at a later one, so a worker can die between the two. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_DEAD_AFTER_MS 2000

static bool lives(const struct sim *sim, int index, uint64_t life)
{
    const struct sim_worker *worker = &sim->workers[index];
    return (worker->engine && worker->life == life) ||
           (worker->life == life + 1 && sim->now_ms - worker->died_ms < SIM_DEAD_AFTER_MS);
}

static void close_calls(struct sim *sim, const struct sim_job *job)
{
    for (struct sim_call *call = sim->calls; call; call = call->next)
        if (call->state == MR_CALL_OPEN && mr_uuid_equal(&call->job, &job->id)) {
            call->state = MR_CALL_AMBIGUOUS;
            call->cost = call->hold;
        }
}

static int attempts_of(const struct sim *sim, const struct sim_job *job, const char *step)
{
    int attempts = 0;
    for (const struct sim_call *call = sim->calls; call; call = call->next)
        attempts += mr_uuid_equal(&call->job, &job->id) && strcmp(call->step, step) == 0;
    return attempts;
}

static void grant(struct sim_worker *worker, struct sim_job *job, struct mr_claim *claim)
{
    struct sim *sim = worker->sim;
    bool same = job->worker == worker->index && job->life == worker->life;
    if (job->state == SIM_RUNNING && !same)
        job->redeliveries++;
    close_calls(sim, job);
    claim->until_ms = job->state == SIM_WAITING ? job->until_ms : 0;
    job->state = SIM_RUNNING;
    job->worker = worker->index;
    job->life = worker->life;
    claim->verdict = MR_VERDICT_RUN;
    claim->epoch = ++job->epoch;
    claim->version = 1;
    claim->redeliveries = job->redeliveries;
    claim->steps = json_deep_copy(job->steps);
    static const char *const names[] = {"extract", "left", "right", "join"};
    for (size_t i = 0; i < 4; i++)
        if (!json_object_get(claim->steps, names[i]))
            json_object_set_new(claim->steps, names[i],
                json_pack("{s:i}", "attempts", attempts_of(sim, job, names[i])));
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
    if (job->state == SIM_DONE)
        claim->verdict = MR_VERDICT_DONE;
    else if (job->state == SIM_DEAD)
        claim->verdict = MR_VERDICT_DEAD;
    else if (job->state == SIM_RUNNING && lives(sim, job->worker, job->life) &&
             (job->worker != worker->index || job->life != worker->life))
        claim->verdict = MR_VERDICT_BUSY;
    else
        grant(worker, job, claim);
    sim_at(sim, (int64_t)sim_random(sim, 3), worker, claim_answered, claim, 0);
}

static void claim(void *ctx, struct mr_claim *claim)
{
    struct sim_worker *worker = ctx;
    sim_at(worker->sim, 1 + (int64_t)sim_random(worker->sim, 10), worker, claim_applied, claim, 0);
}

/* ---- commits ---- */

static void settle(struct sim *sim, const struct mr_call_row *row)
{
    struct sim_call *call = sim_call(sim, &row->id);
    if (!call) {
        sim_fail(sim, "a call was settled that was never begun");
        return;
    }
    if (call->state == MR_CALL_OPEN || call->state == MR_CALL_AMBIGUOUS) {
        call->state = row->state;
        call->cost = row->cost_pico;
    }
}

static void begin(
    struct sim_worker *worker, const struct mr_commit *commit, const struct mr_call_row *row)
{
    struct sim_call *call = calloc(1, sizeof(*call));
    call->id = row->id;
    call->job = commit->id;
    snprintf(call->step, sizeof(call->step), "%s", row->step);
    call->epoch = commit->epoch;
    call->worker = worker->index;
    call->life = worker->life;
    call->hold = row->hold_pico;
    call->expires_ms = worker->sim->now_ms + row->timeout_ms;
    call->next = worker->sim->calls;
    worker->sim->calls = call;
}

static void end_step(struct sim *sim, struct sim_job *job, const struct mr_step_row *row)
{
    static const char *const states[] = {"done", "skipped", "failed"};
    if (json_object_get(json_object_get(job->steps, row->name), "output"))
        sim_fail(sim, "step %s was finished twice", row->name);
    json_t *step = json_pack("{s:s}", "state", states[row->state]);
    if (row->output)
        json_object_set_new(step, "output", json_deep_copy(row->output));
    json_object_set_new(job->steps, row->name, step);
    job->redeliveries = 0;
}

static void move(struct sim *sim, struct sim_job *job, const struct mr_commit *commit)
{
    if (commit->move == MR_MOVE_WAITING) {
        job->state = SIM_WAITING;
        job->until_ms = commit->until_ms;
        job->redeliveries = 0;
    } else if (commit->move != MR_MOVE_NONE) {
        job->state = commit->move == MR_MOVE_DONE ? SIM_DONE : SIM_DEAD;
        job->ends++;
        if (commit->move == MR_MOVE_DONE && json_object_size(job->steps) != 4)
            sim_fail(sim, "a job is done with %zu of 4 steps", json_object_size(job->steps));
    }
}

static void commit_answered(struct sim *sim, struct sim_event *event, bool alive)
{
    if (alive)
        mr_engine_committed(sim->workers[event->worker].engine, event->arg);
}

static void commit_applied(struct sim *sim, struct sim_event *event, bool alive)
{
    if (!alive)
        return;
    struct sim_worker *worker = &sim->workers[event->worker];
    struct mr_commit *commit = event->arg;
    struct sim_job *job = sim_job(sim, &commit->id);
    for (size_t i = 0; i < commit->nsettles; i++)
        settle(sim, commit->settles[i]);
    if (job->state != SIM_RUNNING || job->epoch != commit->epoch) {
        commit->verdict = MR_VERDICT_STALE;
    } else {
        commit->verdict = MR_VERDICT_OK;
        for (size_t i = 0; i < commit->nsteps; i++)
            end_step(sim, job, &commit->steps[i]);
        for (size_t i = 0; i < commit->nbegins; i++)
            begin(worker, commit, commit->begins[i]);
        move(sim, job, commit);
    }
    sim_at(sim, (int64_t)sim_random(sim, 3), worker, commit_answered, commit, 0);
}

static void commit(void *ctx, struct mr_commit *commit)
{
    struct sim_worker *worker = ctx;
    /* Now and then the database is slow. */
    int64_t in_ms = sim_happens(worker->sim, worker->sim->chaos / 10) ? 3000 : 1;
    sim_at(worker->sim, in_ms + (int64_t)sim_random(worker->sim, 10), worker, commit_applied,
        commit, 0);
}

static void reject(void *ctx, void *owner, const struct mr_envelope_salvage *who,
    const struct mr_err *why, const char *body, size_t len)
{
    struct sim_worker *worker = ctx;
    sim_fail(worker->sim, "rejected: %s", why->msg);
}

struct mr_store_ops sim_store_ops(struct sim_worker *worker)
{
    return (struct mr_store_ops){claim, commit, reject, worker};
}
