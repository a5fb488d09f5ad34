#include "worker/engine/world_broker.h"

#include <stdlib.h>

struct mr_delivery *mr_delivery_free(struct mr_delivery *delivery)
{
    if (delivery)
        free(delivery->body);
    free(delivery);
    return NULL;
}

struct mr_publish *mr_publish_free(struct mr_publish *publish)
{
    if (publish)
        free(publish->body_owned);
    free(publish);
    return NULL;
}
