/* Commits, as sql/routines/{settle,commit}.sql have them. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void settle(struct sim *sim, const struct mr_call_row *row)
{
    struct sim_call *call = sim_call(sim, &row->id);
    if (!call) {
        sim_fail(sim, "a call was settled that was never begun");
        return;
    }
    bool late = call->state == MR_CALL_AMBIGUOUS &&
                (row->state == MR_CALL_SETTLED || row->state == MR_CALL_RELEASED);
    sim_money_settled(sim, row);
    if (call->state == MR_CALL_OPEN || late) {
        call->state = row->state;
        call->cost = row->state == MR_CALL_SETTLED     ? row->cost_pico
                     : row->state == MR_CALL_AMBIGUOUS ? call->hold
                                                       : 0;
    }
}

static void begin(
    struct sim_worker *worker, const struct mr_commit *commit, struct mr_call_row *row)
{
    struct sim *sim = worker->sim;
    const struct sim_job *job = sim_job(sim, &commit->id);
    enum mr_admission admission = sim_money_admit(sim, job->tenant, row);
    if (admission == MR_ADMIT_CAPPED || admission == MR_ADMIT_WAIT || sim_call(sim, &row->id))
        return; /* or it is said again */
    struct sim_call *call = calloc(1, sizeof(*call));
    call->id = row->id;
    call->job = commit->id;
    call->tenant = job->tenant;
    snprintf(call->step, sizeof(call->step), "%s", row->step);
    call->epoch = commit->epoch;
    call->worker = worker->index;
    call->life = worker->life;
    call->began_ms = sim->now_ms;
    call->expires_ms = sim->now_ms + row->timeout_ms + 10000;
    call->hit = admission == MR_ADMIT_HIT;
    call->state = call->hit ? MR_CALL_SETTLED : MR_CALL_OPEN;
    call->hold = call->hit ? 0 : row->hold_pico;
    call->next = sim->calls;
    sim->calls = call;
    sim_money_check(sim, job->tenant);
}

static void end_step(struct sim *sim, struct sim_job *job, const struct mr_commit *commit,
    const struct mr_step_row *row)
{
    static const char *const states[] = {"done", "skipped", "failed"};
    const json_t *known = json_object_get(job->steps, row->name);
    if (known) { /* said again; anything else would be dropped */
        if (json_integer_value(json_object_get(known, "epoch")) != commit->epoch)
            sim_fail(sim, "step %s has ended twice", row->name);
        return;
    }
    json_t *step = json_pack("{s:s, s:I, s:s, s:s, s:i}", "state", states[row->state], "epoch",
        (json_int_t)commit->epoch, "class", mr_class_name(row->class), "message", row->message,
        "attempts", row->attempts);
    if (row->output)
        json_object_set_new(step, "output", json_deep_copy(row->output));
    json_object_set_new(job->steps, row->name, step);
    job->redeliveries = 0;
}

static void check_done(struct sim *sim, const struct sim_job *job)
{
    const char *name;
    json_t *step;
    if (json_object_size(job->steps) != 4)
        sim_fail(sim, "a job is done with %zu of 4 steps", json_object_size(job->steps));
    json_object_foreach(job->steps, name, step)
    {
        const char *state = json_string_value(json_object_get(step, "state"));
        if (strcmp(state, "failed") == 0)
            sim_fail(sim, "a job is done although step %s has failed", name);
    }
}

static unsigned paid_calls(const struct sim *sim, const struct sim_job *job, const char *step)
{
    unsigned paid = 0;
    for (const struct sim_call *call = sim->calls; call; call = call->next)
        paid += mr_uuid_equal(&call->job, &job->id) && strcmp(call->step, step) == 0 &&
                call->state != MR_CALL_RELEASED && !call->hit;
    return paid;
}

/* An outage kills no job, but one whose every call may have been paid for. A drain hands jobs over;
 * what it gave up is nobody's failure. */
static void check_dead(struct sim *sim, const struct sim_job *job, const struct mr_commit *commit)
{
    if (commit->error.class == MR_CLASS_CANCELLED)
        sim_fail(sim, "a drain killed a job that was being extracted");
    if (sim->outages_only && paid_calls(sim, job, commit->error_step) < SIM_MAX_ATTEMPTS)
        sim_fail(sim, "an outage killed a job: %s: %s", mr_class_name(commit->error.class),
            commit->error.msg);
    if (commit->error.class == MR_CLASS_CAPPED && sim->on_cap == MR_ON_CAP_PARK)
        sim_fail(sim, "a cap killed a job that was to park");
    for (const struct sim_call *call = sim->calls; call; call = call->next)
        if (call->aborted && mr_uuid_equal(&call->job, &job->id) && call->epoch == commit->epoch &&
            strcmp(call->step, commit->error_step) == 0)
            sim_fail(sim, "a drain killed a job that waited for a provider");
}

static void move(struct sim *sim, struct sim_job *job, const struct mr_commit *commit)
{
    static const enum sim_state states[] = {
        [MR_MOVE_DONE] = SIM_DONE,
        [MR_MOVE_DEAD] = SIM_DEAD,
        [MR_MOVE_CANCELLED] = SIM_CANCELLED,
        [MR_MOVE_WAITING] = SIM_WAITING,
    };
    if (commit->move == MR_MOVE_NONE || job->state != SIM_RUNNING)
        return;
    job->state = states[commit->move];
    if (commit->move == MR_MOVE_WAITING) {
        if (commit->error.class != MR_CLASS_NONE && commit->until_ms == 0)
            sim_fail(sim, "a job that waits for nothing has a reason to");
        job->until_ms = commit->until_ms;
        sim->parked += commit->error.class != MR_CLASS_NONE;
        job->redeliveries = 0;
        return;
    }
    sim_store_give_up_calls(sim, job);
    job->ends++;
    job->error_class = commit->error.class;
    if (commit->move == MR_MOVE_DONE)
        check_done(sim, job);
    else if (commit->move == MR_MOVE_DEAD)
        check_dead(sim, job, commit);
}

/* Whether a commit of the lease that wrote this state says it again. */
static bool again(
    const struct sim_worker *worker, const struct sim_job *job, const struct mr_commit *commit)
{
    static const enum mr_move moves[] = {
        [SIM_WAITING] = MR_MOVE_WAITING,
        [SIM_DONE] = MR_MOVE_DONE,
        [SIM_DEAD] = MR_MOVE_DEAD,
        [SIM_CANCELLED] = MR_MOVE_CANCELLED,
    };
    return job->state > SIM_RUNNING && moves[job->state] == commit->move &&
           job->worker == worker->index && job->life == worker->life;
}

/* An earlier try that wrote the intents was not refused, whatever was asked for since. */
static bool cancelled(struct sim *sim, const struct sim_job *job, const struct mr_commit *commit)
{
    for (size_t i = 0; i < commit->nbegins; i++)
        if (job->cancel_requested && !sim_call(sim, &commit->begins[i]->id))
            return true;
    return false;
}

static void apply(struct sim_worker *worker, struct sim_job *job, struct mr_commit *commit)
{
    struct sim *sim = worker->sim;
    for (size_t i = 0; i < commit->nsettles; i++)
        settle(sim, commit->settles[i]);
    if (job->epoch != commit->epoch || (job->state != SIM_RUNNING && !again(worker, job, commit))) {
        commit->verdict = MR_VERDICT_STALE;
        return;
    }
    for (size_t i = 0; i < commit->nsteps; i++)
        end_step(sim, job, commit, commit->steps[i]);
    if (cancelled(sim, job, commit)) {
        commit->verdict = MR_VERDICT_CANCELLED;
        return;
    }
    commit->verdict = MR_VERDICT_OK;
    for (size_t i = 0; i < commit->nbegins; i++)
        begin(worker, commit, commit->begins[i]);
    move(sim, job, commit);
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
    bool storable = commit->nsteps + commit->nsettles == 0 || job->refused_epoch == commit->epoch;
    if (event->n == 0 && !storable && sim_trouble(sim, sim->chaos / 50)) {
        job->refused_epoch = commit->epoch; /* without what could not be stored it will do */
        commit->verdict = MR_VERDICT_REFUSED;
        mr_err_set(&commit->err, 0, MR_CLASS_INTERNAL, "the database cannot store this");
    } else {
        apply(worker, job, commit);
        if (event->n == 0 && commit->verdict == MR_VERDICT_CANCELLED) {
            if (job->cancelled_epoch == commit->epoch)
                sim_fail(sim, "a lease that was told to cancel goes on");
            job->cancelled_epoch = commit->epoch;
        }
        if (sim_trouble(sim, sim->chaos / 20)) { /* the answer was lost with the connection */
            sim_at(sim, sim_store_latency(worker), worker, commit_applied, commit, 1);
            return;
        }
    }
    sim_at(sim, (int64_t)sim_random(sim, 3), worker, commit_answered, commit, 0);
}

void sim_store_commit(void *ctx, struct mr_commit *commit)
{
    sim_at(((struct sim_worker *)ctx)->sim, sim_store_latency(ctx), ctx, commit_applied, commit, 0);
}
