/* The shipped price list and where it lives: ops/prices.cfg (embedded), the table millrace.prices,
 * and in memory. */
#pragma once

#include "common/config.h"
#include "common/money.h"

#include <libpq-fe.h>

/* Parses a price file (libconfig). path NULL: the embedded ops/prices.cfg. Rates are given in
 * dollars per million tokens as decimal strings. Errors name file, line and entry. id is 0 in the
 * result. 0 or -EINVAL. */
int mr_prices_parse(const char *path, struct mr_prices *ret, struct mr_err *err) MR_CHECK;

/* Inserts the rows that are not there yet (key: provider, model, from, above_tokens); with
 * `replace`, those that differ become what is given. *ret_written counts both. */
int mr_prices_store(PGconn *conn, const struct mr_prices *prices, bool replace, int *ret_written,
    struct mr_err *err) MR_CHECK;

/* Whether both are for the same provider, model, beginning and tier: a table has only one of them.
 */
bool mr_price_same_key(const struct mr_price *a, const struct mr_price *b);

/* Reads the whole table; the ceiling is the caller's to set. */
int mr_prices_load(PGconn *conn, struct mr_prices *ret, struct mr_err *err) MR_CHECK;

/* Sets the ceiling from the configuration: every kind of prompt token at ceiling_input. */
void mr_prices_set_ceiling(struct mr_prices *prices, const struct mr_config_money *money);
