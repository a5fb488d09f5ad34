/* Whether the price table has what the configuration and the calls need: `millrace prices check`,
 * and a line of `millrace doctor`. */
#pragma once

#include "common/money.h"
#include "producer/db.h"
#include "producer/findings.h"

/* Adds findings: models of the configuration without a price now or soon, models whose calls were
 * charged at the ceiling, rows that contradict each other. Nothing is added when all is well. 0 or
 * negative: the user has been told why. */
int mr_price_check(struct mr_cli *cli, PGconn *conn, struct mr_findings *findings) MR_CHECK;

/* The part that needs no database. now_ms is wall time. */
void mr_price_check_models(struct mr_findings *findings, const struct mr_prices *prices,
    const struct mr_config *config, int64_t now_ms);
void mr_price_check_rows(
    struct mr_findings *findings, const struct mr_prices *prices, int64_t now_ms);
