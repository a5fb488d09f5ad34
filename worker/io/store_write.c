/* From the engine's items to the parameters of the set functions, and on to libpq. */
#include "common/json.h"
#include "worker/io/store_int.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Outputs of a batch of several; more is sent in halves. A single item may be as large as can be.
 */
#define OUTPUTS_MAX (16u << 20)
#define KEEP_MAX (1u << 20) /* memory of a parameter that is kept for the next batch */

#define I8 MR_OID_INT8
#define BA MR_OID_BOOL_A
#define IA MR_OID_INT4_A
#define LA MR_OID_INT8_A
#define TA MR_OID_TEXT_A
#define UA MR_OID_UUID_A
#define JA MR_OID_JSONB_A

/* Scalars come before arrays. */
static const Oid claim_types[] = {I8, I8, MR_OID_TEXT, UA, TA, TA, IA, IA, IA, TA, JA, LA, LA};
static const Oid settle_types[] = {
    UA, TA, LA, LA, LA, LA, LA, LA, LA, TA, TA, IA, TA, TA, TA, LA, LA, BA};
static const Oid commit_types[] = {I8,           /* worker */
    UA, LA, TA, TA, TA, TA, LA, TA,              /* jobs */
    IA, TA, TA, JA, BA, IA, TA, TA, LA, LA,      /* steps */
    IA, UA, TA, IA, TA, TA, TA, LA, LA, BA, LA}; /* calls */
static const Oid reject_types[] = {I8, UA, TA, TA, TA, TA, LA, TA};
static const Oid worker_types[] = {I8};

#define TYPES(list) list, sizeof(list) / sizeof(list[0])

const struct mr_store_statement_def mr_store_statements[MR_STORE_STATEMENTS] = {
    [MR_STORE_CLAIM] = {"claim",
        "select ord, verdict, epoch, version, redeliveries, spent_pico, until_ms, steps,"
        " error_class, error_message, error_step"
        " from millrace.claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        TYPES(claim_types)},
    [MR_STORE_SETTLE] = {"settle",
        "select millrace.settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
        " $16, $17, $18)",
        TYPES(settle_types)},
    [MR_STORE_COMMIT] = {"commit",
        "select ord, verdict from millrace.commit_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
        " $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27,"
        " $28, $29, $30)",
        TYPES(commit_types)},
    [MR_STORE_REJECT] = {"reject", "select millrace.reject($1, $2, $3, $4, $5, $6, $7, $8)",
        TYPES(reject_types)},
    [MR_STORE_BEAT] = {"beat", "select millrace.worker_heartbeat($1)", TYPES(worker_types)},
    [MR_STORE_STOP] = {"stop", "select millrace.worker_stop($1)", TYPES(worker_types)},
};

static uint32_t element_of(Oid array)
{
    switch (array) {
    case MR_OID_BOOL_A:
        return MR_OID_BOOL;
    case MR_OID_INT4_A:
        return MR_OID_INT4;
    case MR_OID_INT8_A:
        return MR_OID_INT8;
    case MR_OID_TEXT_A:
        return MR_OID_TEXT;
    case MR_OID_UUID_A:
        return MR_OID_UUID;
    case MR_OID_JSONB_A:
        return MR_OID_JSONB;
    default:
        return 0; /* a scalar */
    }
}

void mr_store_params_init(struct mr_store_params *params)
{
    for (int s = 0; s < MR_STORE_STATEMENTS; s++)
        for (int i = 0, n = 0; i < mr_store_statements[s].ntypes; i++)
            if (element_of(mr_store_statements[s].types[i]))
                mr_pg_array_init(
                    &params->arrays[s][n++], element_of(mr_store_statements[s].types[i]));
    mr_buf_init(&params->json, MR_PG_ARRAY_MAX);
}

void mr_store_params_deinit(struct mr_store_params *params)
{
    for (int s = 0; s < MR_STORE_STATEMENTS; s++)
        for (int i = 0; i < MR_STORE_ARRAYS_MAX; i++)
            mr_pg_array_deinit(&params->arrays[s][i]);
    mr_buf_deinit(&params->json);
}

static void reset(struct mr_store_params *params, size_t outputs_max)
{
    for (int s = 0; s < MR_STORE_STATEMENTS; s++)
        for (int i = 0; i < MR_STORE_ARRAYS_MAX; i++) {
            struct mr_pg_array *array = &params->arrays[s][i];
            mr_pg_array_reset(array);
            if (array->buf.cap > KEEP_MAX)
                mr_buf_deinit(&array->buf);
            array->buf.max = array->oid == MR_OID_JSONB ? outputs_max : MR_PG_ARRAY_MAX;
        }
    if (params->json.cap > KEEP_MAX)
        mr_buf_deinit(&params->json);
}

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
    bool dead = commit->move == MR_MOVE_DEAD, waiting = commit->move == MR_MOVE_WAITING;
    put_uuid(row, &commit->id);
    put_long(row, commit->epoch);
    put_text(row, moves[commit->move]);
    put_text(row, dead                                ? mr_class_name(commit->error.class)
                  : commit->move == MR_MOVE_CANCELLED ? mr_class_name(MR_CLASS_CANCELLED)
                                                      : NULL);
    put_text(row, dead ? commit->error.msg : NULL);
    put_text(row, dead ? commit->error_step : NULL);
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
    put_text(&row, call->alias);
    put_text(&row, call->model);
    put_long(&row, call->hold_pico);
    put_long(&row, call->price_id);
    put_bool(&row, call->price_unknown);
    put_long(&row, call->timeout_ms);
    return row.rc;
}

static int write_commit(struct mr_store_params *params, const struct mr_commit *commit)
{
    struct row row = {params->arrays[MR_STORE_COMMIT], &params->json, 0};
    write_job(&row, commit);
    int rc = row.rc;
    struct row steps = {row.next, &params->json, 0}, begins = {row.next + 10, &params->json, 0};
    int job = params->arrays[MR_STORE_COMMIT][0].count; /* its position, from 1 */
    for (size_t i = 0; i < commit->nsettles && rc == 0; i++)
        rc = write_settle(params, commit->settles[i]);
    for (size_t i = 0; i < commit->nsteps && rc == 0; i++)
        rc = write_step(steps, job, &commit->steps[i]);
    for (size_t i = 0; i < commit->nbegins && rc == 0; i++)
        rc = write_begin(begins, job, commit->begins[i]);
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

static int write_group(struct mr_store_params *params, const struct mr_store_group *group)
{
    int rc = 0;
    for (size_t i = 0; i < group->count && rc == 0; i++)
        rc = group->kind == MR_STORE_CLAIMS    ? write_claim(params, group->items[i].claim)
             : group->kind == MR_STORE_COMMITS ? write_commit(params, group->items[i].commit)
                                               : write_reject(params, group->items[i].reject);
    return rc;
}

/* ---- sending ---- */

static int send_statement(PGconn *conn, enum mr_store_statement statement,
    const char *const *scalars, struct mr_pg_array *arrays)
{
    const struct mr_store_statement_def *def = &mr_store_statements[statement];
    const char *values[MR_STORE_ARRAYS_MAX];
    int lengths[MR_STORE_ARRAYS_MAX] = {0}, formats[MR_STORE_ARRAYS_MAX] = {0};
    assert(def->ntypes <= MR_STORE_ARRAYS_MAX);
    for (int i = 0; i < def->ntypes; i++) {
        if (!element_of(def->types[i])) {
            values[i] = *scalars++;
            continue;
        }
        formats[i] = 1;
        values[i] = mr_pg_array_finish(arrays++, &lengths[i]);
        if (!values[i]) /* no memory, with half a batch queued */
            return -ECONNRESET;
    }
    return PQsendQueryPrepared(conn, def->name, def->ntypes, values, lengths, formats, 0)
               ? 0
               : -ECONNRESET;
}

int mr_store_send_group(PGconn *conn, struct mr_store_params *params,
    const struct mr_store_caller *caller, const struct mr_store_group *group,
    enum mr_store_statement ret_sent[static 2], size_t *ret_nsent, struct mr_err *err)
{
    reset(params, group->count > 1 ? OUTPUTS_MAX : MR_PG_ARRAY_MAX);
    int rc = write_group(params, group);
    if (rc < 0)
        return mr_err_set(err, rc, MR_CLASS_INVALID, "too large for the database: over %u bytes",
            MR_PG_ARRAY_MAX);
    char worker[32], dead_after[32];
    snprintf(worker, sizeof(worker), "%lld", (long long)caller->worker);
    snprintf(dead_after, sizeof(dead_after), "%lld", (long long)caller->dead_after_ms);
    const char *const scalars[] = {worker, dead_after, caller->pool};
    static const enum mr_store_statement order[] = {
        MR_STORE_CLAIM, MR_STORE_SETTLE, MR_STORE_COMMIT, MR_STORE_REJECT};
    size_t n = 0;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && rc == 0; i++) {
        struct mr_pg_array *arrays = params->arrays[order[i]];
        if (arrays[0].count == 0)
            continue;
        rc = send_statement(conn, order[i], scalars, arrays);
        ret_sent[n++] = order[i];
    }
    if (rc == 0 && !PQpipelineSync(conn))
        rc = -ECONNRESET;
    if (rc == 0)
        *ret_nsent = n;
    return rc;
}

int mr_store_send_simple(PGconn *conn, enum mr_store_statement statement, int64_t worker)
{
    char id[32];
    snprintf(id, sizeof(id), "%lld", (long long)worker);
    int rc = send_statement(conn, statement, (const char *const[]){id}, NULL);
    return rc == 0 && !PQpipelineSync(conn) ? -ECONNRESET : rc;
}
