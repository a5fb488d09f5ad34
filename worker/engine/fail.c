/* A step failed: what its class, its budget, its routes and the state of the worker make of it. */
#include "worker/engine/job.h"

/* Whether a failure may be our own doing, when a drain has lost its patience. */
static bool given_up(enum mr_class class)
{
    return class == MR_CLASS_CANCELLED || class == MR_CLASS_AMBIGUOUS || class == MR_CLASS_NETWORK;
}

/* What the provider suffers from, and not the request: it may well work later. */
static bool is_outage(enum mr_class class)
{
    switch (class) {
    case MR_CLASS_RATE_LIMITED:
    case MR_CLASS_OVERLOADED:
    case MR_CLASS_NETWORK:
    case MR_CLASS_AMBIGUOUS:
    case MR_CLASS_SERVER:
    case MR_CLASS_UNAVAILABLE:
        return true;
    default:
        return false;
    }
}

static int64_t waited_ms(const struct mr_step *step)
{
    return step->since_ms > 0 ? mr_engine_wall(step->job->engine) - step->since_ms : 0;
}

static bool patience_over(const struct mr_step *step)
{
    return waited_ms(step) >= mr_step_def_of(step)->patience_ms;
}

void mr_step_last_resort(struct mr_step *step, const struct mr_err *err)
{
    if (mr_step_def_of(step)->on_error != MR_ON_ERROR_DEGRADE || !mr_step_degrade(step, err->class))
        mr_step_give_up(step, err);
}

static void lose_patience(struct mr_step *step, const struct mr_err *err)
{
    struct mr_err over = *err;
    mr_err_prefix(&over, 0, "in vain for %lld s", (long long)(waited_ms(step) / 1000));
    mr_step_last_resort(step, &over);
}

/* However long a provider wants to be left alone: when the patience ends, it is asked once more. */
static int64_t within_patience(const struct mr_step *step, int64_t wait_ms)
{
    int64_t left_ms = mr_step_def_of(step)->patience_ms - waited_ms(step);
    return left_ms > 0 && left_ms < wait_ms ? left_ms : wait_ms;
}

/* An outage kills no job: it waits elsewhere until it is over, or until the step's patience is. */
static void park(struct mr_step *step, const struct mr_err *err, int64_t at_least_ms)
{
    struct mr_engine *engine = step->job->engine;
    int64_t wait_ms =
        mr_retry_park_ms(waited_ms(step), step->job->delivery->hops, &engine->world.random);
    mr_route_reset(step);
    wait_ms = wait_ms > at_least_ms ? wait_ms : at_least_ms;
    mr_step_wait(step, within_patience(step, wait_ms), err);
}

static void end_of_chain(struct mr_step *step, const struct mr_err *err, int64_t advised_ms)
{
    bool may_wait = mr_step_def_of(step)->on_error == MR_ON_ERROR_FAIL && step->route.outage;
    if (!may_wait || step->degraded)
        mr_step_last_resort(step, err);
    else if (patience_over(step))
        lose_patience(step, err);
    else
        park(step, err, advised_ms);
}

void mr_step_stranded(struct mr_step *step)
{
    struct mr_engine *engine = step->job->engine;
    int64_t now = mr_engine_now(engine), at_ms = mr_route_reopens_ms(step);
    struct mr_err err;
    mr_err_set(&err, 0, MR_CLASS_UNAVAILABLE,
        "no route to model \"%s\" is open: every breaker on the way has tripped",
        mr_step_def_of(step)->model->alias);
    end_of_chain(
        step, &err, at_ms == INT64_MAX ? 0 : mr_retry_jitter(&engine->world.random, at_ms - now));
}

/* To the next endpoint, or the next model. */
static void move_on(
    struct mr_step *step, const struct mr_err *err, int64_t advised_ms, bool whole_link)
{
    step->route.outage |= is_outage(err->class);
    mr_route_leave(step, err->class, whole_link);
    if (mr_route_find(step))
        step->state = MR_STEP_PENDING;
    else
        end_of_chain(step, err, advised_ms);
}

/* Whether a route that would be tried again had better be left: it is closed or far off, and there
 * is another. Without an answer nobody knows where the fault is: another endpoint comes first. */
static bool better_elsewhere(const struct mr_step *step, enum mr_class class, int64_t wait_ms)
{
    if (!is_outage(class))
        return false;
    bool closed = !mr_guard_allows(step->job->engine, step->route.endpoint);
    if (closed || wait_ms > MR_SHORT_WAIT_MS)
        return mr_route_other(step, false);
    return class == MR_CLASS_NETWORK && mr_route_other(step, true);
}

static void try_again(struct mr_step *step, const struct mr_err *err, int64_t advised_ms)
{
    struct mr_job *job = step->job;
    enum mr_class class = err->class;
    int64_t wait_ms;
    int nth = ++step->tries[class];
    bool again =
        mr_retry_delay(job->config, class, nth, advised_ms, &job->engine->world.random, &wait_ms);
    if (!again || better_elsewhere(step, class, wait_ms))
        /* a bad answer is the model's doing, wherever it runs */
        move_on(step, err, advised_ms, class == MR_CLASS_BAD_OUTPUT);
    else if (wait_ms > MR_SHORT_WAIT_MS && patience_over(step))
        lose_patience(step, err);
    else
        mr_step_wait(step, within_patience(step, wait_ms), err);
}

static void call_failed(
    struct mr_step *step, const struct mr_err *err, int64_t advised_ms, bool leave)
{
    if (step->paid >= mr_step_def_of(step)->max_attempts) {
        mr_step_last_resort(step, err);
        return;
    }
    switch (err->class) {
    case MR_CLASS_AUTH:
    case MR_CLASS_QUOTA:
        move_on(step, err, advised_ms, false);
        return;
    case MR_CLASS_REFUSED: /* a second model may see it otherwise; a third would not */
        if (step->route.refused)
            break;
        step->route.refused = true;
        move_on(step, err, advised_ms, true);
        return;
    case MR_CLASS_BAD_OUTPUT:
        try_again(step, err, advised_ms);
        return;
    default:
        if (!is_outage(err->class))
            break;
        if (leave)
            move_on(step, err, advised_ms, false);
        else
            try_again(step, err, advised_ms);
        return;
    }
    mr_step_last_resort(step, err);
}

/* The document's server has no other endpoint, and nobody records its tries: they are few. */
static void extraction_failed(struct mr_step *step, const struct mr_err *err, int64_t advised_ms)
{
    const struct mr_job *job = step->job;
    int64_t wait_ms;
    int nth = ++step->tries[err->class];
    bool budget = step->attempts < mr_step_def_of(step)->max_attempts;
    if (budget && mr_retry_delay(job->config, err->class, nth, advised_ms,
                      &job->engine->world.random, &wait_ms))
        mr_step_wait(step, wait_ms, err);
    else
        mr_step_give_up(step, err);
}

void mr_step_failed(struct mr_step *step, const struct mr_err *err, int64_t advised_ms, bool leave)
{
    if (step->job->engine->aborted && given_up(err->class))
        step->state = MR_STEP_PENDING; /* for the worker the job is handed over to */
    else if (mr_step_def_of(step)->kind == MR_STEP_EXTRACT)
        extraction_failed(step, err, advised_ms);
    else
        call_failed(step, err, advised_ms, leave);
}
