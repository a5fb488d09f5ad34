/* Where a job stands and what is next for it. One commit is with the store at a time; what happens
 * meanwhile goes into the next one, so a commit is always a consistent picture: results, money, the
 * next intents and the move, or none of them. */
#include "common/json.h"
#include "worker/engine/job.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MR_REFUSED_PAUSE_MS 30000 /* the database refuses what anybody could store */

static void start_ready(struct mr_job *job)
{
    /* A step may end (or fail the job) while it starts, which may make others ready. */
    for (uint32_t tried = 0; !mr_job_stopping(job);) {
        uint32_t ready = mr_dag_ready(job, mr_engine_now(job->engine)) & ~tried;
        if (!ready)
            return;
        unsigned index = (unsigned)__builtin_ctz(ready);
        tried |= UINT32_C(1) << index;
        if (mr_job_our_pool(job, index))
            mr_step_start(job, index);
    }
}

static void strip_words(struct mr_call_row *row)
{
    row->message[0] = row->request_id[0] = '\0';
    row->served_model[0] = row->finish_reason[0] = '\0';
    row->cache_text = NULL;
}

static void add_settles(struct mr_job *job)
{
    struct mr_commit *commit = &job->commit;
    for (struct mr_call *call = job->calls; call; call = call->next) {
        if (!call->answered || commit->nsettles >= MR_COMMIT_MAX)
            continue;
        if (job->poisoned)
            strip_words(&call->row);
        commit->settles[commit->nsettles++] = &call->row;
    }
}

static void add_steps(struct mr_job *job)
{
    struct mr_commit *commit = &job->commit;
    for (unsigned i = 0; i < job->pipeline->nsteps; i++) {
        const struct mr_step *step = &job->steps[i];
        if (step->state != MR_STEP_ENDED || step->committed || job->poisoned)
            continue;
        commit->steps[commit->nsteps++] = &step->row;
        job->writing |= UINT32_C(1) << i;
    }
}

static void add_begins(struct mr_job *job)
{
    struct mr_commit *commit = &job->commit;
    for (unsigned i = 0; i < job->pipeline->nsteps; i++)
        if (job->steps[i].state == MR_STEP_BEGINNING)
            commit->begins[commit->nbegins++] = &job->steps[i].call->row;
}

static void submit(struct mr_job *job)
{
    struct mr_store_ops *store = &job->engine->world.store;
    job->commit.owner = job;
    job->commit.id = job->envelope.id;
    job->commit.epoch = job->epoch;
    job->committing = true;
    if (job->commit.move != MR_MOVE_NONE)
        mr_job_move(job, MR_JOB_ENDING, "last commit");
    store->commit(store->ctx, &job->commit);
}

static void set_wake(struct mr_job *job)
{
    struct mr_engine *engine = job->engine;
    int64_t now = mr_engine_now(engine), wake = INT64_MAX;
    if (job->state == MR_JOB_RUNNING && !mr_job_stopping(job)) {
        wake = mr_dag_next_retry(job);
        if (wake <= now)
            wake = INT64_MAX; /* due, but for another pool: it waits for what runs here */
        if (job->lease_until_ms < wake)
            wake = job->lease_until_ms;
        int64_t deadline = job->envelope.deadline_ms;
        if (deadline > 0 && now + (deadline - mr_engine_wall(engine)) < wake)
            wake = now + (deadline - mr_engine_wall(engine));
    }
    mr_wake_set(job, wake);
}

static void advance_lost(struct mr_job *job)
{
    add_settles(job);
    if (job->commit.nsettles > 0) {
        job->commit.owner = job;
        job->commit.id = job->envelope.id;
        job->commit.epoch = job->epoch;
        job->committing = true;
        job->engine->world.store.commit(job->engine->world.store.ctx, &job->commit);
    } else if (mr_job_busy_steps(job) == 0) {
        mr_job_close(job);
    }
}

void mr_job_advance(struct mr_job *job)
{
    if (job->committing || (job->state != MR_JOB_RUNNING && job->state != MR_JOB_LOST))
        return;
    memset(&job->commit, 0, sizeof(job->commit));
    job->writing = 0;
    if (job->state == MR_JOB_LOST) {
        advance_lost(job);
        return;
    }
    start_ready(job);
    add_settles(job);
    add_steps(job);
    add_begins(job);
    mr_job_choose_move(job);
    if (job->commit.nsettles || job->commit.nsteps || job->commit.nbegins || job->commit.move)
        submit(job);
    set_wake(job);
}

/* ---- the answer ---- */

/* The database never took what they have cost: it will count them as ambiguous when the job ends;
 * or (a lost job) when a sweep finds them, which tells of it then. */
static void write_off(struct mr_job *job)
{
    for (size_t i = 0; i < job->commit.nsettles; i++) {
        struct mr_call_row *row = job->commit.settles[i];
        row->state = job->state == MR_JOB_LOST ? MR_CALL_RELEASED : MR_CALL_AMBIGUOUS;
        row->cost_pico = row->hold_pico;
    }
}

static void drop_settled(struct mr_job *job)
{
    for (struct mr_call *call = job->calls, *next; call; call = next) {
        next = call->next;
        for (size_t i = 0; i < job->commit.nsettles; i++)
            if (job->commit.settles[i] == &call->row) {
                mr_observe(&job->engine->world.observe,
                    &(struct mr_observation){
                        .what = MR_OBSERVED_SETTLE, .job = &job->envelope, .call = &call->row});
                mr_call_drop(call);
                break;
            }
    }
}

/* The intents were not written: as if those steps had never started. */
static void take_back_begins(struct mr_job *job)
{
    for (unsigned i = 0; i < job->pipeline->nsteps; i++)
        if (job->steps[i].state == MR_STEP_BEGINNING)
            mr_call_take_back(job->steps[i].call);
}

static void admit_begins(struct mr_job *job)
{
    for (unsigned i = 0; i < job->pipeline->nsteps; i++)
        if (job->steps[i].state == MR_STEP_BEGINNING)
            mr_call_admitted(job->steps[i].call);
}

static void mark_written(struct mr_job *job)
{
    static const char *const states[] = {"done", "skipped", "failed"};
    for (unsigned i = 0; i < job->pipeline->nsteps; i++) {
        struct mr_step *step = &job->steps[i];
        if (!(job->writing & (UINT32_C(1) << i)))
            continue;
        step->committed = true;
        job->achieved = true;
        mr_observe(&job->engine->world.observe,
            &(struct mr_observation){
                .what = MR_OBSERVED_STEP, .job = &job->envelope, .step = &step->row});
        if (job->envelope.watch)
            mr_job_event(job, "step.done", step->row.name, states[step->row.state]);
    }
}

static void lose(struct mr_job *job)
{
    char id[MR_UUID_LEN];
    mr_uuid_format(&job->envelope.id, id);
    mr_log(job->engine->world.log, MR_WARN, "job.lost", MR_STR("job", id),
        MR_STR("why", "another worker holds the lease"), MR_INT("epoch", job->epoch));
    take_back_begins(job);
    mr_job_move(job, MR_JOB_LOST, "stale epoch");
    mr_engine_forget(job->engine, job); /* the message may come to us again, for a new lease */
    mr_wake_set(job, INT64_MAX);
    mr_job_advance(job);
}

/* The database can never store this commit. First: again without the results, as a dead job that
 * says why. Then without what its calls have cost: what is open when a job ends becomes ambiguous.
 * A bare end cannot be refused for what is in it, so that one is said again until it is taken. (A
 * lost job is another worker's to bury; here only its money is written.) */
static void refuse(struct mr_job *job)
{
    struct mr_err err = job->commit.err;
    char id[MR_UUID_LEN];
    mr_uuid_format(&job->envelope.id, id);
    mr_log(job->engine->world.log, MR_ERROR, "job.unstorable", MR_STR("job", id),
        MR_STR("why", err.msg));
    if (job->state == MR_JOB_ENDING)
        mr_job_move(job, MR_JOB_RUNNING, "commit refused");
    take_back_begins(job);
    job->failed = true;
    if (!job->poisoned) {
        job->poisoned = true;
        job->error = err;
        mr_job_advance(job);
        return;
    }
    write_off(job);
    drop_settled(job);
    if (job->bare && job->state == MR_JOB_RUNNING) {
        mr_wake_set(job, mr_engine_now(job->engine) + MR_REFUSED_PAUSE_MS);
        return;
    }
    job->bare = true;
    job->error_step[0] = '\0';
    mr_err_set(&job->error, 0, MR_CLASS_INTERNAL,
        "the database refuses to store it: its worker's log says why");
    mr_job_advance(job);
}

void mr_job_committed(struct mr_job *job)
{
    assert(job->committing);
    job->committing = false;
    for (size_t i = 0; i < job->commit.nalerts; i++)
        mr_job_cap_event(job, &job->commit.alerts[i]);
    enum mr_verdict verdict = job->commit.verdict;
    if (verdict == MR_VERDICT_REFUSED) {
        refuse(job);
        return;
    }
    drop_settled(job);
    if (job->state == MR_JOB_LOST) {
        mr_job_advance(job);
    } else if (verdict == MR_VERDICT_STALE) {
        lose(job);
    } else if (verdict == MR_VERDICT_CANCELLED) {
        mark_written(job);
        if (job->state == MR_JOB_ENDING)
            mr_job_move(job, MR_JOB_RUNNING, "cancelled");
        take_back_begins(job);
        job->cancelled = true;
        mr_job_advance(job);
    } else {
        mark_written(job);
        admit_begins(job);
        if (job->commit.move != MR_MOVE_NONE)
            mr_job_ended(job);
        else
            mr_job_advance(job);
    }
}
