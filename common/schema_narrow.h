/* The part of a schema that providers can hold a model to while it writes. Internal to schema. */
#pragma once

#include "common/schema_node.h"

/* Fills schema->narrow and schema->all_required; leaves them NULL and false when there is no such
 * part. 0 or -ENOMEM. */
int mr_schema_make_narrow(struct mr_schema *schema) MR_CHECK;
