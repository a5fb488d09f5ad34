/* Why jobs do not get on, in words: what `explain` tells of one, and `enqueue --wait` meanwhile. */
#pragma once

#include "producer/db.h"

/* The columns of what mr_waits_sql asks: a row for each of the jobs $1 (uuid[]) that waits. */
enum {
    MR_WT_JOB,
    MR_WT_STATE,
    MR_WT_POOL,
    MR_WT_STEP,
    MR_WT_CLASS,
    MR_WT_MESSAGE,
    MR_WT_UNTIL,     /* of a delay */
    MR_WT_UNTIL_MS,  /* from now; negative: it is over */
    MR_WT_FAILED_MS, /* when its last call did, before now; null: none did */
    MR_WT_TRIES,
    MR_WT_PAUSED_MS, /* how long the provider wants to be left alone, from now */
    MR_WT_NOW_MS,
    MR_WT_LINE, /* the limit whose line it may stand in */
    MR_WT_LINE_WAITING,
    MR_WT_LINE_RPM,
    MR_WT_LINE_TPM,
    MR_WT_LINE_CALLS,
    MR_WT_COUNT
};
extern const char mr_waits_sql[];

/* "there is no room under a cap" for "capped"; a class that needs no words is its own. */
const char *mr_waits_class(const char *class);

/* What follows on "it waits", without a full stop: "until 2026-11-20 18:00:00Z (30 s more), since
 * the provider throttles: ...". */
#define MR_WAITS_LEN 2048
void mr_waits_say(
    const struct mr_config *config, const PGresult *waits, int row, char ret[static MR_WAITS_LEN]);

/* How many of the jobs $1 no worker has seen yet, and how many workers there are. */
extern const char mr_waits_unseen_sql[];

/* One line about many jobs; the key is the same as long as the reasons are. */
struct mr_waits_told {
    char line[MR_WAITS_LEN + 256], key[512];
};
/* Both answers are about `asked` jobs that have not ended, which may be all of them. False: there
 * is nothing to tell. */
bool mr_waits_tell(const struct mr_config *config, const PGresult *waits, const PGresult *unseen,
    size_t asked, bool all, struct mr_waits_told *ret);

/* "2026-11-20T18:00:00.123Z" as "2026-11-20 18:00:00Z". */
void mr_waits_moment(const char *time, char ret[static 24]);
/* "90 s", "5 min", "3 h". */
void mr_waits_duration(long long seconds, char ret[static 32]);
