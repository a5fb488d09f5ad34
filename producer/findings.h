/* What a check finds: lines that say how bad it is, what it is about and what to do. */
#pragma once

#include "producer/output.h"

enum mr_level { MR_LEVEL_OK, MR_LEVEL_WARN, MR_LEVEL_FAIL };

struct mr_finding;
struct mr_findings {
    struct mr_finding *items;
    size_t count;
    bool short_of_memory; /* something is missing in the list */
};

/* `check` names what was looked at, `found` says it, `todo` what helps ("" when nothing is wrong).
 * The texts are copied. */
void mr_findings_add(struct mr_findings *findings, enum mr_level level, const char *check,
    const char *todo, const char *fmt, ...) MR_PRINTF(5, 6);
void mr_findings_deinit(struct mr_findings *findings);

/* How many there are of this level. */
size_t mr_findings_count(const struct mr_findings *findings, enum mr_level level);

/* Prints them as the output format wants it. Returns MR_EXIT_FAILED when one is a failure. */
enum mr_exit mr_findings_print(
    struct mr_cli *cli, const struct mr_findings *findings, const char *none);
