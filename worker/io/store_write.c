/* From the engine's items to the parameters of the set functions. */
#include "common/json.h"
#include "worker/io/store_int.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---- one row: a value into each array in turn; the first error sticks ---- */

struct row {
    struct mr_pg_array *next;
    struct mr_buf *json;
    int rc;
};

static void put_bool(struct row *row, bool v)
{
    row->rc = row->rc < 0 ? row->rc : mr_pg_array_bool(row->next++, v);
}

static void put_int(struct row *row, int v)
{
    row->rc = row->rc < 0 ? row->rc : mr_pg_array_int4(row->next++, v);
}

static void put_long(struct row *row, int64_t v)
{
    row->rc = row->rc < 0 ? row->rc : mr_pg_array_int8(row->next++, v);
}

static void put_uuid(struct row *row, const struct mr_uuid *v)
{
    row->rc = row->rc < 0 ? row->rc : mr_pg_array_uuid(row->next++, v);
}

/* Empty is NULL; what is not UTF-8 (a provider's words) ends where it stops being it. */
static void put_text(struct row *row, const char *v)
{
    size_t n = v ? strlen(v) : 0;
    n = n ? mr_utf8_prefix(v, n, n) : 0;
    row->rc = row->rc < 0 ? row->rc : mr_pg_array_text(row->next++, n ? v : NULL, n);
}

static void put_key(struct row *row, const struct mr_call_row *call)
{
    const void *key = call->cache_ttl_ms > 0 ? call->cache_key : NULL;
    row->rc = row->rc < 0 ? row->rc : mr_pg_array_bytea(row->next++, key, sizeof(call->cache_key));
}

static void put_class(struct row *row, enum mr_class class)
{
    put_text(row, class == MR_CLASS_NONE ? NULL : mr_class_name(class));
}

static void put_json(struct row *row, const json_t *v)
{
    mr_buf_reset(row->json);
    if (row->rc == 0 && v)
        row->rc = mr_json_dump(v, row->json);
    if (row->rc == 0)
        row->rc = mr_pg_array_jsonb(row->next++, v ? row->json->data : NULL, row->json->len);
}

static int write_claim(struct mr_store_params *params, const struct mr_claim *claim)
{
    const struct mr_envelope *envelope = claim->envelope;
    struct row row = {params->arrays[MR_STORE_CLAIM], &params->json, 0};
    put_uuid(&row, &envelope->id);
    put_text(&row, envelope->tenant);
    put_text(&row, envelope->pipeline);
    put_int(&row, claim->pipeline_version);
    put_int(&row, envelope->priority);
    put_int(&row, claim->replay);
    put_text(&row, envelope->idempotency_key);
    put_json(&row, envelope->metadata);
    put_long(&row, envelope->deadline_ms);
    put_long(&row, envelope->created_ms);
    return row.rc;
}

static int write_settle(struct mr_store_params *params, const struct mr_call_row *call)
{
    static const char *const states[] = {
        [MR_CALL_OPEN] = "open",
        [MR_CALL_SETTLED] = "settled",
        [MR_CALL_RELEASED] = "released",
        [MR_CALL_AMBIGUOUS] = "ambiguous",
    };
    struct row row = {params->arrays[MR_STORE_SETTLE], &params->json, 0};
    assert(call->state != MR_CALL_OPEN);
    put_uuid(&row, &call->id);
    put_text(&row, states[call->state]);
    put_long(&row, call->cost_pico);
    put_long(&row, call->usage.input);
    put_long(&row, call->usage.cached);
    put_long(&row, call->usage.cache_write);
    put_long(&row, call->usage.cache_write_1h);
    put_long(&row, call->usage.output);
    put_long(&row, call->usage.reasoning);
    put_class(&row, call->class);
    put_text(&row, call->message);
    put_int(&row, call->http_status);
    put_text(&row, call->request_id);
    put_text(&row, call->served_model);
    put_text(&row, call->finish_reason);
    put_long(&row, call->latency_ms);
    put_long(&row, call->price_id);
    put_bool(&row, call->price_unknown);
    return row.rc;
}

static void write_job(struct row *row, const struct mr_commit *commit)
{
    static const char *const moves[] = {
        [MR_MOVE_NONE] = "none",
        [MR_MOVE_DONE] = "done",
        [MR_MOVE_DEAD] = "dead",
        [MR_MOVE_CANCELLED] = "cancelled",
        [MR_MOVE_WAITING] = "waiting",
    };
    bool waiting = commit->move == MR_MOVE_WAITING;
    bool why = commit->move == MR_MOVE_DEAD || (waiting && commit->error.class != MR_CLASS_NONE);
    put_uuid(row, &commit->id);
    put_long(row, commit->epoch);
    put_text(row, moves[commit->move]);
    put_text(row, why                                 ? mr_class_name(commit->error.class)
                  : commit->move == MR_MOVE_CANCELLED ? mr_class_name(MR_CLASS_CANCELLED)
                                                      : NULL);
    put_text(row, why ? commit->error.msg : NULL);
    put_text(row, why ? commit->error_step : NULL);
    put_long(row, waiting ? commit->until_ms : 0);
    put_text(row, waiting ? commit->pool : NULL);
}

static int write_step(struct row row, int job, const struct mr_step_row *step)
{
    static const char *const states[] = {
        [MR_STEP_DONE] = "done",
        [MR_STEP_SKIPPED] = "skipped",
        [MR_STEP_FAILED] = "failed",
    };
    put_int(&row, job);
    put_text(&row, step->name);
    put_text(&row, states[step->state]);
    put_json(&row, step->state == MR_STEP_DONE ? step->output : NULL);
    put_bool(&row, step->degraded);
    put_int(&row, step->attempts);
    put_class(&row, step->class);
    put_text(&row, step->message);
    put_long(&row, step->started_ms);
    put_long(&row, step->ended_ms);
    return row.rc;
}

static int write_begin(struct row row, int job, const struct mr_call_row *call)
{
    put_int(&row, job);
    put_uuid(&row, &call->id);
    put_text(&row, call->step);
    put_int(&row, call->attempt);
    put_text(&row, call->provider);
    put_text(&row, call->endpoint);
    put_text(&row, call->alias);
    put_text(&row, call->model);
    put_text(&row, call->route);
    put_long(&row, call->hold_pico);
    put_long(&row, call->price_id);
    put_bool(&row, call->price_unknown);
    put_long(&row, call->timeout_ms);
    put_key(&row, call);
    return row.rc;
}

/* What equal calls get to read: the whole text or, when the database cannot hold it, none. */
static int write_answer(struct row row, const struct mr_call_row *call)
{
    size_t n = call->cache_text ? call->cache_len : 0;
    bool good =
        n > 0 && !memchr(call->cache_text, 0, n) && mr_utf8_prefix(call->cache_text, n, n) == n;
    put_uuid(&row, &call->id);
    put_key(&row, call);
    if (row.rc == 0)
        row.rc = mr_pg_array_text(row.next++, good ? call->cache_text : NULL, n);
    put_long(&row, call->cache_ttl_ms);
    return row.rc;
}

static int write_settled(struct mr_store_params *params, const struct mr_call_row *call)
{
    struct mr_pg_array *arrays = params->arrays[MR_STORE_COMMIT];
    int rc = write_settle(params, call);
    if (rc == 0)
        rc = mr_pg_array_uuid(&arrays[MR_STORE_OF_SETTLED], &call->id);
    if (rc == 0 && call->cache_ttl_ms > 0)
        rc = write_answer((struct row){&arrays[MR_STORE_OF_ANSWERS], &params->json, 0}, call);
    return rc;
}

static int write_commit(struct mr_store_params *params, const struct mr_commit *commit)
{
    struct mr_pg_array *arrays = params->arrays[MR_STORE_COMMIT];
    struct row jobs = {&arrays[MR_STORE_OF_JOBS], &params->json, 0},
               steps = {&arrays[MR_STORE_OF_STEPS], &params->json, 0},
               calls = {&arrays[MR_STORE_OF_CALLS], &params->json, 0};
    write_job(&jobs, commit);
    int rc = jobs.rc, job = arrays[MR_STORE_OF_JOBS].count; /* its position, from 1 */
    for (size_t i = 0; i < commit->nsettles && rc == 0; i++)
        rc = write_settled(params, commit->settles[i]);
    for (size_t i = 0; i < commit->nsteps && rc == 0; i++)
        rc = write_step(steps, job, commit->steps[i]);
    for (size_t i = 0; i < commit->nbegins && rc == 0; i++)
        rc = write_begin(calls, job, commit->begins[i]);
    return rc;
}

static int write_reject(struct mr_store_params *params, const struct mr_store_reject *reject)
{
    struct row row = {params->arrays[MR_STORE_REJECT], &params->json, 0};
    put_uuid(&row, &reject->id);
    put_text(&row, reject->tenant);
    put_text(&row, reject->pipeline);
    put_text(&row, mr_class_name(reject->why.class));
    put_text(&row, reject->why.msg[0] ? reject->why.msg : "no reason given");
    put_long(&row, reject->bytes);
    if (row.rc == 0) /* an empty body is an empty text, not NULL */
        row.rc = mr_pg_array_text(row.next, reject->head, strlen(reject->head));
    return row.rc;
}

static int write_note(struct mr_store_params *params, const struct mr_breaker_note *note)
{
    static const char *const states[] = {
        [MR_BREAKER_CLOSED] = "closed",
        [MR_BREAKER_OPEN] = "open",
        [MR_BREAKER_HALF_OPEN] = "half_open",
    };
    struct row row = {params->arrays[MR_STORE_NOTE], &params->json, 0};
    put_text(&row, note->provider);
    put_text(&row, note->endpoint[0] ? note->endpoint : "default");
    put_text(&row, states[note->state]);
    put_long(&row, note->until_ms);
    put_text(&row, note->why.msg);
    return row.rc;
}

static int write_lease(struct mr_store_params *params, const struct mr_lease *lease)
{
    int rc = 0;
    for (size_t i = 0; i < lease->count && rc == 0; i++) {
        const struct mr_lease_row *from = &lease->rows[i];
        struct row row = {params->arrays[MR_STORE_LEASE], &params->json, 0};
        put_text(&row, from->scope);
        put_long(&row, from->rpm);
        put_long(&row, from->tpm);
        put_int(&row, from->concurrency);
        put_long(&row, from->want_requests);
        put_long(&row, from->want_tokens);
        put_long(&row, from->head_tokens);
        put_long(&row, from->back_requests);
        put_long(&row, from->back_tokens);
        put_int(&row, from->in_flight);
        put_int(&row, from->waiting);
        put_int(&row, from->successes);
        put_int(&row, from->throttled);
        put_long(&row, from->pause_ms);
        put_long(&row, from->seen_rpm);
        put_long(&row, from->seen_tpm);
        rc = row.rc;
    }
    return rc;
}

static int write_item(
    struct mr_store_params *params, enum mr_store_kind kind, const union mr_store_item *item)
{
    switch (kind) {
    case MR_STORE_CLAIMS:
        return write_claim(params, item->claim);
    case MR_STORE_COMMITS:
        return write_commit(params, item->commit);
    case MR_STORE_REJECTS:
        return write_reject(params, item->reject);
    case MR_STORE_NOTES:
        return write_note(params, item->note);
    case MR_STORE_LEASES:
        return write_lease(params, item->lease);
    default:
        assert(false);
        return -EINVAL;
    }
}

int mr_store_write(struct mr_store_params *params, const struct mr_store_group *group)
{
    int rc = 0;
    for (size_t i = 0; i < group->count && rc == 0; i++)
        rc = write_item(params, group->kind, &group->items[i]);
    return rc;
}
