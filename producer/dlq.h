/* Which dead jobs are meant, and what a replay of them would do. Shared by the dlq commands. */
#pragma once

#include "producer/db.h"

/* Columns of mr_dlq_select, in order. */
enum {
    MR_DC_JOB,
    MR_DC_CLASS,
    MR_DC_STEP,
    MR_DC_TENANT,
    MR_DC_PIPELINE,
    MR_DC_SPENT,
    MR_DC_DIED,
    MR_DC_MESSAGE,
    MR_DC_ATTEMPTS,
    MR_DC_STEPS_DONE,
    MR_DC_REPLAYS,
    MR_DC_WORKER,
    MR_DC_VERSION,
    MR_DC_LATE,           /* its deadline has passed */
    MR_DC_STEPS_LEFT_OUT, /* steps that ended without a result and will not run again */
    MR_DC_COUNT
};
extern const struct mr_column mr_dlq_columns[MR_DC_COUNT];

/* --tenant, --pipeline, --class, --since. */
#define MR_DLQ_FILTERS                                                                             \
    MR_OPTION_TENANT, MR_OPTION_PIPELINE,                                                          \
        {.name = "class",                                                                          \
            .type = MR_OPT_TEXT,                                                                   \
            .arg = "CLASS",                                                                        \
            .help = "Only jobs that died of this class of error, such as invalid or quota"},       \
    {                                                                                              \
        .name = "since", .type = MR_OPT_TIME, .arg = "TIME",                                       \
        .help = "Only jobs that died after this time (RFC 3339) or within this duration (such "    \
                "as 24h)"                                                                          \
    }

/* Which jobs: NULL and 0 are no restriction. Operands restrict too. */
struct mr_dlq_filter {
    const char *tenant, *pipeline, *class;
    int64_t since_ms;
    int64_t limit;
};
/* Of a command that has MR_DLQ_FILTERS. 0 or -EINVAL with err. */
int mr_dlq_filter(struct mr_cli *cli, struct mr_dlq_filter *ret, struct mr_err *err) MR_CHECK;

/* The dead jobs that operands and filter mean, the latest first. NULL with *ret_code set: the user
 * has been told why. */
PGresult *mr_dlq_select(struct mr_cli *cli, PGconn *conn, const struct mr_dlq_filter *filter,
    enum mr_exit *ret_code) MR_CHECK;

/* Steps a replay reuses, and runs (-1: unknown, the pipeline is not in this configuration). */
void mr_dlq_foresee(
    struct mr_cli *cli, const PGresult *jobs, int row, int *ret_reuses, int *ret_runs);
/* The same in words: "will reuse 2 steps and run 1". */
#define MR_DLQ_WORDS 128
void mr_dlq_foresee_words(
    struct mr_cli *cli, const PGresult *jobs, int row, char ret[static MR_DLQ_WORDS]);

/* For mr_db_missing. */
#define MR_DLQ_MISSING "is not a dead job; see millrace status"
