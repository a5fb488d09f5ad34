/* What a worker reads from outside before it starts and on SIGHUP: its configuration, the
 * providers' keys and the price table. Blocking, so it runs on a thread; the result is then swapped
 * in on the loop. */
#pragma once

#include "common/config.h"
#include "common/money.h"

/* A refresh under way: the thread's until it is done. */
struct mr_refresh {
    const char *path;                /* borrowed; NULL = the default search */
    const struct mr_config *running; /* borrowed: whose values stay where only a restart helps */
    struct mr_config *config;        /* owned; set already: only prices are read */
    struct mr_prices *prices;        /* owned */
    int rc; /* 0; 1: done, err lists the keys that wait for a restart; negative: failed with err */
    struct mr_err err;
};

void mr_refresh_run(struct mr_refresh *refresh);
void mr_refresh_deinit(struct mr_refresh *refresh);

/* Reads the configuration file, checks every prompt against its pipeline and loads the keys. 0 or
 * negative. */
int mr_refresh_config(const char *path, struct mr_config **ret, struct mr_err *err) MR_CHECK;

struct mr_prices *mr_refresh_prices_free(struct mr_prices *prices);
