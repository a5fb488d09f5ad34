/* Whether a worker may be counted on: what is behind /readyz. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_HEALTH_SILENT_MS                                                                        \
    5000 /* a database that has not answered for this long does not work                           \
          */

struct mr_health_facts {
    bool started;  /* it has read the prices: before that the database was not there */
    bool draining; /* it takes nothing new, and will end */
    bool broker_connected, publisher_connected, broker_blocked;
    unsigned queues, consuming; /* of its pool */
    bool database_connected;
    int64_t database_silent_ms; /* no answer for this long; 0: none is due */
    size_t database_waiting;    /* writes; only shown */
    unsigned endpoints, open;   /* that models in use call over a network; open: breakers */
};

/* {"ready":false,"reasons":["draining"],"broker":{...},"database":{...},"providers":{...}}, the
 * caller's reference; NULL: no memory. */
json_t *mr_health_ready(const struct mr_health_facts *facts, bool *ret_ready);
