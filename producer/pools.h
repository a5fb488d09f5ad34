/* The pools a configuration uses: what `millrace init` makes queues for. */
#pragma once

#include "common/config.h"

struct mr_pools {
    const char **names; /* borrowed from the configuration; each once */
    size_t count;
};

/* 0 or -ENOMEM. */
int mr_pools_list(const struct mr_config *config, struct mr_pools *ret) MR_CHECK;
void mr_pools_deinit(struct mr_pools *pools); /* safe on a zeroed one */
