/* What jobs will cost, before they are enqueued: `millrace enqueue --dry-run`. */
#pragma once

#include "producer/output.h"
#include "producer/sender.h"

struct mr_estimate;

/* Prices and history come from the database; without it from the shipped price list, and the user
 * is told so. NULL: the user has been told why. */
struct mr_estimate *mr_estimate_new(struct mr_cli *cli);
struct mr_estimate *mr_estimate_free(struct mr_estimate *estimate);

/* Adds what one job will cost. 0 or negative with err: its prompts cannot be made. */
int mr_estimate_add(
    struct mr_estimate *estimate, const struct mr_shipment *shipment, struct mr_err *err) MR_CHECK;

/* Prints a row a step, the sum, and how that stands against the tenants' caps. `refused` inputs are
 * told of. */
void mr_estimate_print(struct mr_estimate *estimate, int64_t refused);
