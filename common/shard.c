#include "common/shard.h"

#include <assert.h>

/* FNV-1a (Fowler, Noll, Vo), then the finalizer of MurmurHash3 (Appleby): names that differ in
 * their last letter only would else differ in few bits. Both are in the public domain. */
uint64_t mr_tenant_hash(const char *tenant)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *p = (const unsigned char *)tenant; *p; p++)
        h = (h ^ *p) * 0x100000001b3u;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}

void mr_shard_pair(const char *tenant, int shards, int ret[static 2])
{
    assert(shards >= 1 && shards <= MR_LANE_SHARDS_MAX);
    uint64_t hash = mr_tenant_hash(tenant), n = (uint64_t)shards;
    uint64_t first = (hash & UINT32_MAX) % n;
    /* One of the n-1 steps that lead to another shard. */
    uint64_t step = n > 1 ? 1 + (hash >> 32) % (n - 1) : 0;
    ret[0] = (int)first;
    ret[1] = (int)((first + step) % n);
}

int mr_shard_first(const char *tenant, int shards)
{
    int pair[2];
    mr_shard_pair(tenant, shards, pair);
    return pair[0];
}
