/* Files of this repository that are compiled into the library: the default configuration, prices,
 * schemas, migrations. The list is in common/meson.build; common/embed_gen.c makes the C of it. */
#pragma once

#include <stddef.h>

struct mr_embedded {
    const char *name; /* path in the repository, e.g. "schemas/entities.schema.json" */
    const char *text; /* NUL-terminated behind len */
    size_t len;
};

/* NULL when there is none of that name. */
const struct mr_embedded *mr_embedded_find(const char *name);

/* All of them, in the order of the list. */
const struct mr_embedded *mr_embedded_all(size_t *ret_count);
