#include "producer/pools.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void add(struct mr_pools *pools, const char *name)
{
    for (size_t i = 0; i < pools->count; i++)
        if (strcmp(pools->names[i], name) == 0)
            return;
    pools->names[pools->count++] = name;
}

int mr_pools_list(const struct mr_config *config, struct mr_pools *ret)
{
    struct mr_pools pools = {
        .names = calloc(2 + config->npipelines * MR_STEPS_MAX, sizeof(*pools.names))};
    if (!pools.names)
        return -ENOMEM;
    add(&pools, "main");
    add(&pools, config->worker.pool);
    for (size_t i = 0; i < config->npipelines; i++)
        for (size_t k = 0; k < config->pipelines[i].nsteps; k++)
            add(&pools, config->pipelines[i].steps[k].pool);
    *ret = pools;
    return 0;
}

void mr_pools_deinit(struct mr_pools *pools)
{
    free(pools->names);
    *pools = (struct mr_pools){0};
}
