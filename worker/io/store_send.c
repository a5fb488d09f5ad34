/* The statements, their parameters, and the way to libpq. */
#include "worker/io/store_int.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Outputs or answers of a batch of several; more is sent in halves. A single item may be as large
 * as can be.
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
#define YA MR_OID_BYTEA_A

/* Scalars come before arrays. */
static const Oid claim_types[] = {I8, I8, MR_OID_TEXT, UA, TA, TA, IA, IA, IA, TA, JA, LA, LA};
static const Oid settle_types[] = {
    UA, TA, LA, LA, LA, LA, LA, LA, LA, TA, TA, IA, TA, TA, TA, LA, LA, BA};
static const Oid commit_types[] = {I8,                      /* worker */
    UA, LA, TA, TA, TA, TA, LA, TA,                         /* jobs */
    IA, TA, TA, JA, BA, IA, TA, TA, LA, LA,                 /* steps */
    IA, UA, TA, IA, TA, TA, TA, TA, TA, LA, LA, BA, LA, YA, /* calls */
    UA, UA, YA, TA, LA};                                    /* settled, and answers among them */
static const Oid reject_types[] = {I8, UA, TA, TA, TA, TA, LA, TA};
static const Oid note_types[] = {I8, TA, TA, TA, LA, TA};
static const Oid lease_types[] = {
    I8, TA, LA, LA, IA, LA, LA, LA, LA, LA, IA, IA, IA, IA, LA, LA, LA};
static const Oid worker_types[] = {I8};
static const Oid sweep_types[] = {I8, I8};

#define TYPES(list) list, sizeof(list) / sizeof(list[0])

const struct mr_store_statement_def mr_store_statements[MR_STORE_STATEMENTS] = {
    [MR_STORE_CLAIM] = {"claim",
        "select ord, verdict, epoch, version, redeliveries, spent_pico, until_ms, steps,"
        " error_class, error_message, error_step, lost_pico"
        " from millrace.claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        TYPES(claim_types)},
    [MR_STORE_SETTLE] = {"settle",
        "select millrace.settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
        " $16, $17, $18)",
        TYPES(settle_types)},
    [MR_STORE_COMMIT] = {"commit",
        "select ord, verdict, call, on_cap, hopeless, wait_ms, words, served_model, finish_reason"
        " from millrace.commit_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
        " $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31,"
        " $32, $33, $34, $35, $36, $37, $38)",
        TYPES(commit_types)},
    [MR_STORE_REJECT] = {"reject", "select millrace.reject($1, $2, $3, $4, $5, $6, $7, $8)",
        TYPES(reject_types)},
    [MR_STORE_NOTE] = {"note", "select millrace.note_breakers($1, $2, $3, $4, $5, $6)",
        TYPES(note_types)},
    [MR_STORE_LEASE] = {"lease",
        "select ord, requests, tokens, rpm_share, tpm_share, slots, more_ms, paused_ms"
        " from millrace.lease_limits($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
        " $15, $16, $17)",
        TYPES(lease_types)},
    [MR_STORE_BEAT] = {"beat", "select millrace.worker_heartbeat($1)", TYPES(worker_types)},
    [MR_STORE_SWEEP] = {"sweep", "select millrace.sweep($1, $2)", TYPES(sweep_types)},
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
    case MR_OID_BYTEA_A:
        return MR_OID_BYTEA;
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
            bool documents = array->oid == MR_OID_JSONB || array->oid == MR_OID_TEXT;
            array->buf.max = documents ? outputs_max : MR_PG_ARRAY_MAX;
        }
    if (params->json.cap > KEEP_MAX)
        mr_buf_deinit(&params->json);
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

/* What every statement begins with, or with the first few of them. */
struct scalars {
    char worker[32], dead_after[32];
    const char *values[3];
};

static void scalars_init(struct scalars *scalars, const struct mr_store_caller *caller)
{
    snprintf(scalars->worker, sizeof(scalars->worker), "%lld", (long long)caller->worker);
    snprintf(
        scalars->dead_after, sizeof(scalars->dead_after), "%lld", (long long)caller->dead_after_ms);
    scalars->values[0] = scalars->worker;
    scalars->values[1] = scalars->dead_after;
    scalars->values[2] = caller->pool;
}

int mr_store_send_group(PGconn *conn, struct mr_store_params *params,
    const struct mr_store_caller *caller, const struct mr_store_group *group,
    enum mr_store_statement ret_sent[static 2], size_t *ret_nsent, struct mr_err *err)
{
    reset(params, group->count > 1 ? OUTPUTS_MAX : MR_PG_ARRAY_MAX);
    int rc = mr_store_write(params, group);
    if (rc < 0)
        return mr_err_set(err, rc, MR_CLASS_INVALID, "too large for the database: over %u bytes",
            MR_PG_ARRAY_MAX);
    struct scalars scalars;
    scalars_init(&scalars, caller);
    static const enum mr_store_statement order[] = {MR_STORE_CLAIM, MR_STORE_SETTLE,
        MR_STORE_COMMIT, MR_STORE_REJECT, MR_STORE_NOTE, MR_STORE_LEASE};
    size_t n = 0;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && rc == 0; i++) {
        struct mr_pg_array *arrays = params->arrays[order[i]];
        if (arrays[0].count == 0)
            continue;
        rc = send_statement(conn, order[i], scalars.values, arrays);
        ret_sent[n++] = order[i];
    }
    if (rc == 0 && !PQpipelineSync(conn))
        rc = -ECONNRESET;
    if (rc == 0)
        *ret_nsent = n;
    return rc;
}

int mr_store_send_simple(
    PGconn *conn, enum mr_store_statement statement, const struct mr_store_caller *caller)
{
    struct scalars scalars;
    scalars_init(&scalars, caller);
    int rc = send_statement(conn, statement, scalars.values, NULL);
    return rc == 0 && !PQpipelineSync(conn) ? -ECONNRESET : rc;
}
