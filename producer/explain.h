/* Why a job waits, in sentences. */
#pragma once

#include "producer/db.h"
#include "producer/look.h"
#include "producer/waits.h"

/* The columns of a job's row, which may be missing: then no worker has seen it. */
enum {
    MR_EX_JOB,
    MR_EX_STATE,
    MR_EX_TENANT,
    MR_EX_PIPELINE,
    MR_EX_VERSION,
    MR_EX_POOL,
    MR_EX_PRIORITY,
    MR_EX_STEP,
    MR_EX_STEPS_DONE,
    MR_EX_ATTEMPTS,
    MR_EX_COST,
    MR_EX_HELD,
    MR_EX_AMBIGUOUS,
    MR_EX_REDELIVERIES,
    MR_EX_CREATED,
    MR_EX_ENDED,
    MR_EX_UNTIL,
    MR_EX_UNTIL_S,
    MR_EX_CLASS,
    MR_EX_MESSAGE,
    MR_EX_ERROR_STEP,
    MR_EX_DUPLICATE,
    MR_EX_CANCELLING,
    MR_EX_DEGRADED,
    MR_EX_DROPPED,
    MR_EX_WORKER,
    MR_EX_ALIVE,
    MR_EX_HEARTBEAT_S,
    MR_EX_COUNT
};

#define MR_EXPLAIN_WORDS 12

struct mr_explain {
    char id[MR_UUID_LEN];
    const PGresult *job, *waits, *breakers; /* borrowed; breakers its pipeline may meet */
    char *words[MR_EXPLAIN_WORDS];          /* owned */
    size_t nwords;
    struct mr_queue_facts *lanes; /* owned; where it may stand */
    size_t nlanes;
    bool breakers_matter; /* to this job */
};

/* Fills in the words and the lanes. A broker that cannot be asked is one of the words. False: the
 * user has been told of the database's error. */
bool mr_explain(struct mr_cli *cli, PGconn *conn, struct mr_explain *explain) MR_CHECK;
void mr_explain_deinit(struct mr_explain *explain);
