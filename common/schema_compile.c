/* From the JSON of a schema to nodes: making them, resolving references, letting go of them. */
#include "common/schema_compile.h"
#include "common/json.h"
#include "common/schema_narrow.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MATCH_LIMIT 100000u       /* PCRE2's steps for one match, a few ms */
#define HEAP_LIMIT_KIB (16 << 10) /* of memory for one match */

struct mr_schema_memory {
    struct mr_schema_memory *next;
    max_align_t bytes[];
};

int mr_schema_no_memory(struct mr_schema_compiler *c)
{
    return mr_err_set(c->err, -ENOMEM, MR_CLASS_INTERNAL, "%s: no memory for a schema", c->name);
}

void *mr_schema_take(struct mr_schema *schema, size_t count, size_t size)
{
    struct mr_schema_memory *memory = calloc(1, sizeof(*memory) + count * size);
    if (!memory)
        return NULL;
    memory->next = schema->memory;
    schema->memory = memory;
    return memory->bytes;
}

static int new_node(struct mr_schema_compiler *c, const json_t *at, struct mr_schema_node **ret)
{
    struct mr_schema *schema = c->schema;
    if (++schema->count > MR_SCHEMA_MAX_NODES)
        return mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID, "%s: more than %d subschemas", c->name,
            MR_SCHEMA_MAX_NODES);
    struct mr_schema_node *node = mr_schema_take(schema, 1, sizeof(*node));
    if (!node)
        return mr_schema_no_memory(c);
    node->at = at;
    node->max_length = node->max_items = node->max_entries = SIZE_MAX;
    node->next = schema->nodes;
    schema->nodes = node;
    *ret = node;
    return 0;
}

/* Compiles the schema that stands here. Its JSON is a tree, so this recursion ends; references are
 * resolved afterwards, without recursion. */
int mr_schema_compile_node(
    struct mr_schema_compiler *c, json_t *json, const struct mr_schema_node **ret)
{
    struct mr_schema_node *node = NULL;
    if (!json_is_object(json) && !json_is_boolean(json))
        return mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID,
            "%s: a schema must be an object, true or false", c->name);
    int r = new_node(c, json, &node);
    if (r < 0)
        return r;
    *ret = node;
    node->never = json_is_false(json);
    const json_t *ref = json_object_get(json, "$ref");
    if (ref) {
        node->ref_text = json_string_value(ref);
        if (!node->ref_text || node->ref_text[0] != '#')
            return mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID,
                "%s: $ref: only references within the schema (\"#/...\") are allowed", c->name);
        return 0; /* draft 7 ignores whatever stands beside it */
    }
    for (void *i = json_object_iter(json); i && r == 0; i = json_object_iter_next(json, i))
        r = mr_schema_apply_keyword(c, node, json_object_iter_key(i), json_object_iter_value(i));
    return r;
}

/* Resolves every $ref; targets that no keyword led to are compiled on the way, and may hold further
 * references. */
static int resolve_all(struct mr_schema_compiler *c)
{
    struct mr_schema_node *node;
    while ((node = mr_schema_next_ref(c->schema))) {
        json_t *at = mr_schema_locate(c->schema->root, node->ref_text);
        if (!at)
            return mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID, "%s: $ref: there is no \"%.100s\"",
                c->name, node->ref_text);
        node->ref = mr_schema_find(c->schema, at);
        int r = node->ref ? 0 : mr_schema_compile_node(c, at, &node->ref);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_limits(struct mr_schema_compiler *c)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    if (!limits)
        return mr_schema_no_memory(c);
    pcre2_set_match_limit(limits, MATCH_LIMIT);
    pcre2_set_heap_limit(limits, HEAP_LIMIT_KIB);
    c->schema->limits = limits;
    return 0;
}

int mr_schema_compile(
    const char *text, size_t n, const char *name, struct mr_schema **ret, struct mr_err *err)
{
    struct mr_schema *schema = calloc(1, sizeof(*schema));
    struct mr_schema_compiler c = {.schema = schema, .name = name, .err = err};
    if (!schema)
        return mr_schema_no_memory(&c);
    int r = mr_json_parse(text, n, MR_SCHEMA_MAX_DEPTH, &schema->root, err);
    if (r < 0)
        r = mr_err_prefix(err, r, "%s", name);
    if (r == 0)
        r = set_limits(&c);
    if (r == 0)
        r = mr_schema_compile_node(&c, schema->root, &schema->top);
    if (r == 0)
        r = resolve_all(&c);
    if (r == 0)
        r = mr_schema_check_loops(schema, name, err);
    if (r == 0 && mr_schema_make_narrow(schema) < 0)
        r = mr_schema_no_memory(&c);
    if (r < 0) {
        mr_schema_free(schema);
        return r;
    }
    *ret = schema;
    return 0;
}

struct mr_schema *mr_schema_free(struct mr_schema *schema)
{
    if (!schema)
        return NULL;
    for (struct mr_schema_node *node = schema->nodes; node; node = node->next) {
        pcre2_code_free(node->pattern);
        for (size_t i = 0; i < node->patterns.count; i++)
            pcre2_code_free(node->patterns.items[i].pattern);
    }
    for (struct mr_schema_memory *memory = schema->memory, *next; memory; memory = next) {
        next = memory->next;
        free(memory);
    }
    pcre2_match_context_free(schema->limits);
    json_decref(schema->root);
    free(schema->narrow);
    free(schema);
    return NULL;
}
