/* How what jobs will cost stands against the caps of the tenants who pay for them. */
#pragma once

#include "producer/db.h"

struct mr_estimate_tenant;

/* What the jobs of each tenant will cost; zero is none. */
struct mr_estimate_caps {
    struct mr_estimate_tenant *tenants; /* by name */
    size_t ntenants;
};
void mr_estimate_caps_deinit(struct mr_estimate_caps *caps);

/* Adds a job, in pico-dollars. 0 or -ENOMEM. */
int mr_estimate_caps_add(
    struct mr_estimate_caps *caps, const char *tenant, int64_t expected, int64_t worst) MR_CHECK;

/* What is said of a cap. */
#define MR_ESTIMATE_CAP_COLUMNS 10
extern const struct mr_column mr_estimate_cap_columns[MR_ESTIMATE_CAP_COLUMNS];

/* A row for each cap of these tenants: what it is, what is left of it, and whether the jobs fit.
 * NULL: the user has been told of the database's error. */
PGresult *mr_estimate_caps_ask(
    const struct mr_estimate_caps *caps, struct mr_cli *cli, PGconn *conn) MR_CHECK;
