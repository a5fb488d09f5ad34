/* Which shards of a lane a tenant uses. Each lane is broker.lane_shards queues; a tenant's jobs go
 * to two of them only, so one that floods fills two and leaves the others to everybody else. */
#pragma once

#include <stdint.h>

#define MR_LANE_SHARDS_MAX 64

/* The same in every program and version: what it says decides where messages are. */
uint64_t mr_tenant_hash(const char *tenant);

/* The tenant's two shards of 0...shards-1: distinct, each pair as likely as any other. With one
 * shard both are 0. */
void mr_shard_pair(const char *tenant, int shards, int ret[static 2]);
/* The first of them: for those who do not know how deep the queues are. */
int mr_shard_first(const char *tenant, int shards);
