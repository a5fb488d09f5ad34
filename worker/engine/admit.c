/* The database's answer to a call that was to begin. What came back with the answer, a result or a
 * refusal, is for the next commit. */
#include "worker/engine/job.h"

#include <assert.h>

#define MR_CAP_WAIT_MIN_MS 1000
#define MR_CAP_WAITS_HERE 5  /* while calls of the tenant are out, whose holds come back */
#define MR_CAP_WAITS_BLIND 2 /* before a job dies for calls that other workers may have out */
#define MR_CAP_WAIT_HERE_MS 2000
#define MR_FLIGHT_WAIT_MIN_MS 250
#define MR_FLIGHT_WAIT_MAX_MS 2000

/* A hold is an upper bound, so the calls that are out give most of theirs back: if this worker has
 * some of the tenant's, room may come soon. */
static bool room_may_come(struct mr_step *step, int blind)
{
    const struct mr_line *line = step->job->line;
    bool here = line && line->calls > 0;
    if (step->cap_waits >= (here ? MR_CAP_WAITS_HERE : blind))
        return false;
    step->cap_waits++;
    return true;
}

/* Otherwise others' calls may bring it, or a higher cap: the job asks again after 30 s, then 2
 * minutes, then 10. */
static int64_t cap_wait_ms(struct mr_step *step, const struct mr_call_row *row)
{
    if (row->wait_ms <= MR_CAP_WAIT_MIN_MS)
        return MR_CAP_WAIT_MIN_MS;
    if (room_may_come(step, 0))
        return MR_CAP_WAIT_HERE_MS;
    int32_t hops = step->job->delivery->hops;
    int64_t ms = hops < 3 ? 30 * 1000 : hops < 6 ? 2 * 60 * 1000 : 10 * 60 * 1000;
    return row->wait_ms < ms ? row->wait_ms : ms + 1; /* more than a worker keeps a job for */
}

/* Under a cap there is no room for its hold. That is no failure of the step: its on_error has no
 * say in it, the tenant's on_cap has. */
static void refused(struct mr_step *step, const struct mr_call_row *row)
{
    const struct mr_random *random = &step->job->engine->world.random;
    struct mr_err err;
    mr_err_set(&err, 0, MR_CLASS_CAPPED, "%s", row->refusal);
    if (row->on_cap != MR_ON_CAP_PARK && !row->hopeless &&
        room_may_come(step, MR_CAP_WAITS_BLIND)) {
        mr_step_wait(step, mr_retry_jitter(random, MR_CAP_WAIT_HERE_MS), &err);
        return;
    }
    if (row->on_cap == MR_ON_CAP_DEGRADE && mr_step_degrade(step, MR_CLASS_CAPPED))
        return;
    if (row->on_cap != MR_ON_CAP_PARK || row->hopeless) {
        mr_step_die(step, &err);
        return;
    }
    mr_step_wait(step, mr_retry_jitter(random, cap_wait_ms(step, row)), &err);
}

/* An equal call is out for another job: its answer will be ours too. */
static void wait_for_flight(struct mr_step *step)
{
    int64_t wait_ms = step->flight_wait_ms * 2;
    if (wait_ms < MR_FLIGHT_WAIT_MIN_MS)
        wait_ms = MR_FLIGHT_WAIT_MIN_MS;
    if (wait_ms > MR_FLIGHT_WAIT_MAX_MS)
        wait_ms = MR_FLIGHT_WAIT_MAX_MS;
    step->flight_wait_ms = wait_ms;
    mr_step_wait(step, mr_retry_jitter(&step->job->engine->world.random, wait_ms), NULL);
}

/* Answered before, for another job. That answer has to pass this step's own checks; if it does not,
 * asking the cache again would only bring it back. */
static void take_hit(struct mr_step *step, struct mr_hit *hit)
{
    struct mr_err err = {0};
    struct mr_answer answer = {.text = hit->text, .len = hit->len};
    step->uncached = mr_step_take(step, &answer, &err) != 0;
}

void mr_call_admitted(struct mr_call *call)
{
    struct mr_job *job = call->job;
    struct mr_step *step = mr_job_step_of(job, call);
    assert(step->state == MR_STEP_BEGINNING);
    mr_observe(&job->engine->world.observe,
        &(struct mr_observation){
            .what = MR_OBSERVED_ADMIT, .job = &job->envelope, .call = &call->row});
    if (call->row.admission == MR_ADMIT_GO) {
        mr_call_send(call);
        return;
    }
    struct mr_call_row row = call->row; /* outlives the call */
    call->row.hit = NULL;
    mr_call_take_back(call);
    if (row.admission == MR_ADMIT_HIT)
        take_hit(step, row.hit);
    else if (mr_job_stopping(job))
        ; /* whoever goes on with the job asks again */
    else if (row.admission == MR_ADMIT_CAPPED)
        refused(step, &row);
    else
        wait_for_flight(step);
    mr_hit_free(row.hit);
}
