/* From rows back to the engine's items. */
#include "worker/io/store_int.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ORD, VERDICT }; /* of every answer */

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

/* Read one row: 1, or 0 when the item has another row of its own, or -EPROTO. */

static int read_claim(const PGresult *result, int row, struct mr_claim *claim, struct mr_err *err)
{
    enum { EPOCH = 2, VERSION, REDELIVERIES, SPENT, UNTIL, STEPS, CLASS, MESSAGE, STEP, LOST };
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
    claim->lost_pico = number(result, row, LOST);
    claim->until_ms = number(result, row, UNTIL);
    enum mr_class class = mr_class_parse(PQgetvalue(result, row, CLASS));
    mr_err_set(&claim->err, 0, class == MR_CLASS_COUNT ? MR_CLASS_NONE : class, "%s",
        PQgetvalue(result, row, MESSAGE));
    snprintf(claim->error_step, sizeof(claim->error_step), "%s", PQgetvalue(result, row, STEP));
    return 1;
}

/* ---- what a commit is answered ---- */

enum { CALL = 2, ON_CAP, HOPELESS, WAIT, WORDS, SERVED, FINISH };

static const char *text(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column); /* NULL reads as "" */
}

static struct mr_call_row *find_begin(const PGresult *result, int row, struct mr_commit *commit)
{
    struct mr_uuid id;
    if (mr_uuid_parse(text(result, row, CALL), &id) == 0)
        for (size_t i = 0; i < commit->nbegins; i++)
            if (memcmp(&commit->begins[i]->id, &id, sizeof(id)) == 0)
                return commit->begins[i];
    return NULL;
}

static void read_capped(const PGresult *result, int row, struct mr_call_row *call)
{
    const char *on_cap = text(result, row, ON_CAP);
    call->admission = MR_ADMIT_CAPPED;
    call->on_cap = strcmp(on_cap, "dead") == 0      ? MR_ON_CAP_DEAD
                   : strcmp(on_cap, "degrade") == 0 ? MR_ON_CAP_DEGRADE
                                                    : MR_ON_CAP_PARK;
    call->hopeless = *text(result, row, HOPELESS) == 't';
    call->wait_ms = number(result, row, WAIT);
    snprintf(call->refusal, sizeof(call->refusal), "%s", text(result, row, WORDS));
}

static void read_hit(const PGresult *result, int row, struct mr_call_row *call)
{
    struct mr_hit *hit = mr_store_must(calloc(1, sizeof(*hit)));
    hit->len = (size_t)PQgetlength(result, row, WORDS);
    hit->text = mr_store_must(malloc(hit->len + 1));
    memcpy(hit->text, text(result, row, WORDS), hit->len + 1);
    snprintf(hit->served_model, sizeof(hit->served_model), "%s", text(result, row, SERVED));
    snprintf(hit->finish_reason, sizeof(hit->finish_reason), "%s", text(result, row, FINISH));
    mr_hit_free(call->hit);
    call->admission = MR_ADMIT_HIT;
    call->hit = hit;
}

/* A row about a call that was not simply begun. */
static int read_admission(
    const PGresult *result, int row, struct mr_commit *commit, struct mr_err *err)
{
    const char *verdict = text(result, row, VERDICT);
    struct mr_call_row *call = find_begin(result, row, commit);
    if (!call)
        return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "commit: an answer to no call");
    if (strcmp(verdict, "capped") == 0) {
        read_capped(result, row, call);
    } else if (strcmp(verdict, "hit") == 0) {
        read_hit(result, row, call);
    } else if (strcmp(verdict, "wait") == 0) {
        call->admission = MR_ADMIT_WAIT;
        call->wait_ms = number(result, row, WAIT);
    } else {
        return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "commit: unknown admission");
    }
    return 0;
}

static int read_commit(
    const PGresult *result, int row, struct mr_commit *commit, struct mr_err *err)
{
    const char *name = text(result, row, VERDICT);
    if (!PQgetisnull(result, row, CALL))
        return read_admission(result, row, commit, err);
    bool reached = strcmp(name, "reached") == 0;
    if (reached || strcmp(name, "warned") == 0) {
        if (commit->nalerts < sizeof(commit->alerts) / sizeof(commit->alerts[0]))
            commit->alerts[commit->nalerts++] = (struct mr_cap_alert){
                .reached = reached, .month = strcmp(text(result, row, WORDS), "month") == 0};
        return 0;
    }
    int verdict = verdict_of(name);
    if (verdict < 0)
        return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "commit: unknown verdict");
    commit->verdict = (enum mr_verdict)verdict;
    commit->err = (struct mr_err){0};
    return 1;
}

void mr_store_unread(struct mr_store_group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (group->kind == MR_STORE_CLAIMS) {
            json_decref(group->items[i].claim->steps);
            group->items[i].claim->steps = NULL;
        } else if (group->kind == MR_STORE_COMMITS) {
            struct mr_commit *commit = group->items[i].commit;
            commit->nalerts = 0;
            for (size_t k = 0; k < commit->nbegins; k++) {
                commit->begins[k]->admission = MR_ADMIT_GO;
                commit->begins[k]->hit = mr_hit_free(commit->begins[k]->hit);
            }
        }
}

/* A lease is alone in its group: its rows are named by their position in it. */
static int read_lease(const PGresult *result, struct mr_lease *lease, struct mr_err *err)
{
    enum { REQUESTS = 1, TOKENS, RPM_SHARE, TPM_SHARE, SLOTS, MORE, PAUSED };
    if ((size_t)PQntuples(result) != lease->count)
        return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "lease: %d answers to %zu questions",
            PQntuples(result), lease->count);
    for (int i = 0; i < PQntuples(result); i++) {
        int64_t ord = number(result, i, ORD);
        if (ord < 1 || (size_t)ord > lease->count)
            return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "lease: an answer to nothing");
        struct mr_lease_row *row = &lease->rows[ord - 1];
        row->requests = number(result, i, REQUESTS);
        row->tokens = number(result, i, TOKENS);
        row->rpm_share = number(result, i, RPM_SHARE);
        row->tpm_share = number(result, i, TPM_SHARE);
        row->slots = (int)number(result, i, SLOTS);
        row->more_ms = number(result, i, MORE);
        row->paused_ms = number(result, i, PAUSED);
    }
    return 0;
}

/* Rows name their item by its position in the group, from 1. Each item has one row of its own;
 * commits may have more. */
int mr_store_read(enum mr_store_statement statement, const PGresult *result,
    struct mr_store_group *group, struct mr_err *err)
{
    if (statement == MR_STORE_LEASE)
        return read_lease(result, group->items[0].lease, err);
    if (statement != MR_STORE_CLAIM && statement != MR_STORE_COMMIT)
        return 0;
    mr_store_unread(group);
    size_t answered = 0;
    for (int row = 0; row < PQntuples(result); row++) {
        int64_t ord = number(result, row, ORD);
        if (ord < 1 || (size_t)ord > group->count)
            return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "an answer to nothing");
        int rc = statement == MR_STORE_CLAIM
                     ? read_claim(result, row, group->items[ord - 1].claim, err)
                     : read_commit(result, row, group->items[ord - 1].commit, err);
        if (rc < 0)
            return rc;
        answered += (size_t)rc;
    }
    if (answered != group->count)
        return mr_err_set(err, -EPROTO, MR_CLASS_INTERNAL, "%zu answers to %zu questions", answered,
            group->count);
    return 0;
}

void mr_store_refuse(struct mr_store_group *group, const struct mr_err *why)
{
    assert(group->count == 1);
    mr_store_unread(group);
    if (group->kind == MR_STORE_CLAIMS) {
        struct mr_claim *claim = group->items[0].claim;
        claim->verdict = MR_VERDICT_REFUSED;
        claim->err = *why;
    } else if (group->kind == MR_STORE_COMMITS) {
        group->items[0].commit->verdict = MR_VERDICT_REFUSED;
        group->items[0].commit->err = *why;
    } else if (group->kind == MR_STORE_LEASES) {
        group->items[0].lease->refused = true;
    }
}
