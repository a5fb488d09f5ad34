#include "worker/engine/world_store.h"

#include <stdlib.h>

struct mr_hit *mr_hit_free(struct mr_hit *hit)
{
    if (hit)
        free(hit->text);
    free(hit);
    return NULL;
}
