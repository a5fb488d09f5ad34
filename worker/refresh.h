/* What a worker reads from outside before it starts and on SIGHUP: its configuration, the
 * providers' keys and the price table. Blocking, so it runs on a thread; the result is then swapped
 * in on the loop. */
#pragma once

#include "common/config.h"
#include "common/money.h"

struct mr_refresh {
    struct mr_config *config; /* owned */
    struct mr_prices *prices; /* owned */
    struct mr_err err;        /* when rc < 0 */
    int rc;
};

/* Reads the configuration file, checks every prompt against its pipeline and loads the keys. 0 or
 * negative. */
int mr_refresh_config(const char *path, struct mr_config **ret, struct mr_err *err) MR_CHECK;

/* Reads the price table through the worker's role; refuses a database of another schema version. 0
 * or negative. */
int mr_refresh_prices(
    const struct mr_config *config, struct mr_prices **ret, struct mr_err *err) MR_CHECK;

struct mr_prices *mr_refresh_prices_free(struct mr_prices *prices);
