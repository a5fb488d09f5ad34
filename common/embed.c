#include "common/embed.h"

#include <string.h>

const struct mr_embedded *mr_embedded_find(const char *name)
{
    size_t count;
    const struct mr_embedded *all = mr_embedded_all(&count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    return NULL;
}
