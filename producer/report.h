/* What enqueue tells: a row, a JSON element or an id for each job, errors, and the sum at the end.
 * With --wait it tells of steps and results too. */
#pragma once

#include "producer/output.h"
#include "producer/progress.h"
#include "producer/sender.h"
#include "producer/wait.h"

struct mr_report {
    struct mr_cli *cli;
    struct mr_progress progress; /* also counts */
    struct mr_list list;         /* -o json */
    bool headed;                 /* the table has its heading */
    int64_t silenced;            /* failures not told one by one any more */
    int64_t done, ended_badly;   /* --wait */
    struct mr_wait *wait;        /* NULL without --wait */
    char waits[512];             /* the reasons told last on a stderr that is no terminal */
    int64_t waits_ms;            /* not to be told again before */
};

void mr_report_begin(struct mr_report *ret, struct mr_cli *cli, int64_t total);
/* An input that never became a job: err says which and why. */
void mr_report_refused(struct mr_report *report, const char *source, const struct mr_err *err);
/* An input that was not even read, since nothing can be enqueued; the user has been told why. */
void mr_report_unsent(struct mr_report *report, const char *source, const char *why);
/* For mr_sender_world: ctx is the report. */
void mr_report_fate(
    void *ctx, const struct mr_shipment *shipment, enum mr_fate fate, const char *why);
/* For mr_wait_new: ctx is the report. */
struct mr_wait_ops mr_report_wait_ops(struct mr_report *report);
/* Closes the document and writes the sum to stderr. */
void mr_report_end(struct mr_report *report);
