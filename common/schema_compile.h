/* Between schema_compile.c and schema_keywords.c. */
#pragma once

#include "common/schema_node.h"

struct mr_schema_compiler {
    struct mr_schema *schema;
    const char *name; /* leads every error */
    struct mr_err *err;
};

/* Makes the node of the schema that stands here, and those below it. */
int mr_schema_compile_node(
    struct mr_schema_compiler *c, json_t *json, const struct mr_schema_node **ret) MR_CHECK;

/* Sets what one keyword demands, or refuses it. */
int mr_schema_apply_keyword(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const char *name, json_t *value) MR_CHECK;

/* Zeroed memory that lives as long as the schema, or NULL. */
void *mr_schema_take(struct mr_schema *schema, size_t count, size_t size);

/* -ENOMEM, and says so. */
int mr_schema_no_memory(struct mr_schema_compiler *c);
