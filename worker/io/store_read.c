/* From rows back to the engine's items. */
#include "worker/io/store_int.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int verdict_of(const char *name)
{
    static const char *const names[] = {
        [MR_VERDICT_RUN] = "run",
        [MR_VERDICT_BUSY] = "busy",
        [MR_VERDICT_DONE] = "done",
        [MR_VERDICT_DEAD] = "dead",
        [MR_VERDICT_CANCELLED] = "cancelled",
        [MR_VERDICT_DUPLICATE] = "duplicate",
        [MR_VERDICT_OK] = "ok",
        [MR_VERDICT_STALE] = "stale",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

static int64_t number(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10); /* NULL reads as "" and so as 0 */
}

static int read_claim(const PGresult *result, int row, struct mr_claim *claim, struct mr_err *err)
{
    enum { VERDICT = 1, EPOCH, VERSION, REDELIVERIES, SPENT, UNTIL, STEPS, CLASS, MESSAGE, STEP };
    int verdict = verdict_of(PQgetvalue(result, row, VERDICT));
    if (verdict < 0)
        return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "claim: unknown verdict");
    json_t *steps = NULL;
    if (!PQgetisnull(result, row, STEPS)) {
        steps = json_loadb(PQgetvalue(result, row, STEPS), (size_t)PQgetlength(result, row, STEPS),
            JSON_DECODE_ANY, NULL);
        if (!steps)
            return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "claim: unreadable steps");
    }
    json_decref(claim->steps); /* of a try that was rolled back */
    claim->steps = steps;
    claim->verdict = (enum mr_verdict)verdict;
    claim->epoch = number(result, row, EPOCH);
    claim->version = (int)number(result, row, VERSION);
    claim->redeliveries = (int)number(result, row, REDELIVERIES);
    claim->spent_pico = number(result, row, SPENT);
    claim->until_ms = number(result, row, UNTIL);
    enum mr_class class = mr_class_parse(PQgetvalue(result, row, CLASS));
    mr_err_set(&claim->err, 0, class == MR_CLASS_COUNT ? MR_CLASS_NONE : class, "%s",
        PQgetvalue(result, row, MESSAGE));
    snprintf(claim->dead_step, sizeof(claim->dead_step), "%s", PQgetvalue(result, row, STEP));
    return 0;
}

static int read_commit(
    const PGresult *result, int row, struct mr_commit *commit, struct mr_err *err)
{
    int verdict = verdict_of(PQgetvalue(result, row, 1));
    if (verdict < 0)
        return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "commit: unknown verdict");
    commit->verdict = (enum mr_verdict)verdict;
    commit->err = (struct mr_err){0};
    return 0;
}

/* Rows name their item by its position in the group, from 1. */
int mr_store_read(enum mr_store_statement statement, const PGresult *result,
    struct mr_store_group *group, struct mr_err *err)
{
    if (statement != MR_STORE_CLAIM && statement != MR_STORE_COMMIT)
        return 0;
    if ((size_t)PQntuples(result) != group->count)
        return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "%d answers to %zu questions",
            PQntuples(result), group->count);
    int rc = 0;
    for (int row = 0; row < PQntuples(result) && rc == 0; row++) {
        int64_t ord = number(result, row, 0);
        if (ord < 1 || (size_t)ord > group->count)
            return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "an answer to nothing");
        rc = statement == MR_STORE_CLAIM
                 ? read_claim(result, row, group->items[ord - 1].claim, err)
                 : read_commit(result, row, group->items[ord - 1].commit, err);
    }
    return rc;
}

void mr_store_refuse(struct mr_store_group *group, const struct mr_err *why)
{
    assert(group->count == 1);
    if (group->kind == MR_STORE_CLAIMS) {
        struct mr_claim *claim = group->items[0].claim;
        claim->verdict = MR_VERDICT_REFUSED;
        claim->err = *why;
        json_decref(claim->steps);
        claim->steps = NULL;
    } else if (group->kind == MR_STORE_COMMITS) {
        group->items[0].commit->verdict = MR_VERDICT_REFUSED;
        group->items[0].commit->err = *why;
    }
}
