/* From the JSON of a schema to nodes. Every keyword of draft 7 is either checked, or an annotation
 * that demands nothing, or refused by name: a misspelt or newer keyword must not pass in silence.
 */
#include "common/json.h"
#include "common/schema_node.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MATCH_LIMIT 100000u       /* PCRE2's steps for one match, a few ms */
#define HEAP_LIMIT_KIB (16 << 10) /* of memory for one match */

struct mr_schema_memory {
    struct mr_schema_memory *next;
    max_align_t bytes[];
};

struct compiler {
    struct mr_schema *schema;
    const char *name;
    struct mr_err *err;
};

struct keyword;
typedef int keyword_fn(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value);

struct keyword {
    const char *name;
    keyword_fn *fn; /* NULL: an annotation */
    size_t offset;  /* of the node's member it sets */
};

static int compile(struct compiler *c, json_t *json, const struct mr_schema_node **ret) MR_CHECK;

static int refuse(struct compiler *c, const char *keyword, const char *why)
{
    return mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID, "%s: %.64s: %s", c->name, keyword, why);
}

static int no_memory(struct compiler *c)
{
    return mr_err_set(c->err, -ENOMEM, MR_CLASS_INTERNAL, "%s: no memory for a schema", c->name);
}

/* Zeroed memory that lives as long as the schema. */
static void *take(struct mr_schema *schema, size_t count, size_t size)
{
    struct mr_schema_memory *memory = calloc(1, sizeof(*memory) + count * size);
    if (!memory)
        return NULL;
    memory->next = schema->memory;
    schema->memory = memory;
    return memory->bytes;
}

#define MEMBER(node, keyword, type) ((type *)(void *)((char *)(node) + (keyword)->offset))

static int compile_pattern(
    struct compiler *c, const char *keyword, const char *text, pcre2_code **ret)
{
    int code;
    PCRE2_SIZE at;
    /* As ECMAScript reads it: \u0041, $ only at the very end. No JIT: it needs memory that is
     * writable and executable, and its stack would be one more limit. */
    pcre2_code *pattern = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
        PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_MATCH_UNSET_BACKREF | PCRE2_DOLLAR_ENDONLY |
            PCRE2_NEVER_BACKSLASH_C,
        &code, &at, NULL);
    if (!pattern) {
        char why[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
        return mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID, "%s: %s: \"%.100s\": %s", c->name,
            keyword, text, why);
    }
    *ret = pattern;
    return 0;
}

static int set_schema(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    return compile(c, value, MEMBER(node, keyword, const struct mr_schema_node *));
}

static int set_list(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    struct mr_schema_list *list = MEMBER(node, keyword, struct mr_schema_list);
    size_t n = json_array_size(value);
    if (!json_is_array(value) || n == 0)
        return refuse(c, keyword->name, "must be a non-empty array of schemas");
    list->items = take(c->schema, n, sizeof(list->items[0]));
    if (!list->items)
        return no_memory(c);
    list->count = n;
    for (size_t i = 0; i < n; i++) {
        int r = compile(c, json_array_get(value, i), &list->items[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_items(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    if (!json_is_array(value))
        return compile(c, value, &node->each);
    if (json_array_size(value) > 0)
        return set_list(c, node, keyword, value);
    /* An empty list: additionalItems judges every item. */
    node->first.items = take(c->schema, 1, sizeof(node->first.items[0]));
    return node->first.items ? 0 : no_memory(c);
}

static int check_names(struct compiler *c, const char *keyword, const json_t *value)
{
    if (!json_is_array(value))
        return refuse(c, keyword, "must be an array of strings");
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_string(json_array_get(value, i)))
            return refuse(c, keyword, "must be an array of strings");
    return 0;
}

static int set_map(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    struct mr_schema_map *map = MEMBER(node, keyword, struct mr_schema_map);
    if (!json_is_object(value))
        return refuse(c, keyword->name, "must be an object");
    map->items = take(c->schema, json_object_size(value) + 1, sizeof(map->items[0]));
    if (!map->items)
        return no_memory(c);
    for (void *i = json_object_iter(value); i; i = json_object_iter_next(value, i)) {
        struct mr_schema_entry *entry = &map->items[map->count++];
        entry->name = json_object_iter_key(i);
        json_t *v = json_object_iter_value(i);
        int r = 0;
        if (map == &node->patterns)
            r = compile_pattern(c, keyword->name, entry->name, &entry->pattern);
        if (r == 0 && map == &node->dependencies && json_is_array(v)) {
            entry->required = v;
            r = check_names(c, keyword->name, v);
        } else if (r == 0) {
            r = compile(c, v, &entry->node);
        }
        if (r < 0)
            return r;
    }
    if (map == &node->properties)
        node->property_object = value;
    return 0;
}

/* Reachable by $ref only; compiled nevertheless, so that a mistake in it is found. */
static int walk_definitions(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    if (!json_is_object(value))
        return refuse(c, keyword->name, "must be an object");
    for (void *i = json_object_iter(value); i; i = json_object_iter_next(value, i)) {
        const struct mr_schema_node *ignored;
        int r = compile(c, json_object_iter_value(i), &ignored);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_size(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    if (!json_is_number(value) || !mr_schema_integral(value) || json_number_value(value) < 0 ||
        json_number_value(value) > 1e15)
        return refuse(c, keyword->name, "must be a non-negative integer");
    *MEMBER(node, keyword, size_t) = (size_t)json_number_value(value);
    return 0;
}

static int set_number(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    if (!json_is_number(value))
        return refuse(c, keyword->name, "must be a number");
    const json_t **member = MEMBER(node, keyword, const json_t *);
    *member = value;
    if (member == &node->multiple_of && json_number_value(value) <= 0)
        return refuse(c, keyword->name, "must be greater than 0");
    return 0;
}

static int set_type(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    static const char *const names[] = {
        "null", "boolean", "integer", "number", "string", "array", "object"};
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < n; i++) {
        json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        const char *name = json_is_string(item) ? json_string_value(item) : "";
        size_t t = 0;
        while (t < sizeof(names) / sizeof(names[0]) && strcmp(names[t], name) != 0)
            t++;
        if (t == sizeof(names) / sizeof(names[0]))
            return refuse(c, keyword->name, "must be the name of a JSON type, or a list of them");
        node->types |= 1u << t;
    }
    return node->types ? 0 : refuse(c, keyword->name, "must not be empty");
}

static int set_values(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    if (!json_is_array(value) || json_array_size(value) == 0)
        return refuse(c, keyword->name, "must be a non-empty array");
    node->values = value;
    return 0;
}

static int set_only(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    node->only = value;
    return 0;
}

static int set_pattern(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    if (!json_is_string(value))
        return refuse(c, keyword->name, "must be a string");
    node->pattern_text = json_string_value(value);
    return compile_pattern(c, keyword->name, node->pattern_text, &node->pattern);
}

static int set_unique(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    if (!json_is_boolean(value))
        return refuse(c, keyword->name, "must be true or false");
    node->unique = json_is_true(value);
    return 0;
}

static int set_required(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    node->required = value;
    return check_names(c, keyword->name, value);
}

static int check_dialect(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    const char *uri = json_string_value(value);
    if (!uri || (strcmp(uri, "http://json-schema.org/draft-07/schema#") != 0 &&
                    strcmp(uri, "http://json-schema.org/draft-07/schema") != 0))
        return refuse(
            c, keyword->name, "only \"http://json-schema.org/draft-07/schema#\" is understood");
    return 0;
}

/* Below the root an $id would change what references mean. */
static int check_id(
    struct compiler *c, struct mr_schema_node *node, const struct keyword *keyword, json_t *value)
{
    if (node->at != c->schema->root)
        return refuse(c, keyword->name, "is understood at the root of a schema only");
    return json_is_string(value) ? 0 : refuse(c, keyword->name, "must be a string");
}

#define AT(member) offsetof(struct mr_schema_node, member)
static const struct keyword keywords[] = {{"type", set_type, 0}, {"enum", set_values, 0},
    {"const", set_only, 0}, {"multipleOf", set_number, AT(multiple_of)},
    {"minimum", set_number, AT(minimum)}, {"maximum", set_number, AT(maximum)},
    {"exclusiveMinimum", set_number, AT(above)}, {"exclusiveMaximum", set_number, AT(below)},
    {"minLength", set_size, AT(min_length)}, {"maxLength", set_size, AT(max_length)},
    {"pattern", set_pattern, 0}, {"minItems", set_size, AT(min_items)},
    {"maxItems", set_size, AT(max_items)}, {"uniqueItems", set_unique, 0},
    {"items", set_items, AT(first)}, {"additionalItems", set_schema, AT(rest)},
    {"contains", set_schema, AT(contains)}, {"minProperties", set_size, AT(min_entries)},
    {"maxProperties", set_size, AT(max_entries)}, {"required", set_required, 0},
    {"properties", set_map, AT(properties)}, {"patternProperties", set_map, AT(patterns)},
    {"dependencies", set_map, AT(dependencies)}, {"additionalProperties", set_schema, AT(others)},
    {"propertyNames", set_schema, AT(names)}, {"allOf", set_list, AT(all)},
    {"anyOf", set_list, AT(any)}, {"oneOf", set_list, AT(one)}, {"not", set_schema, AT(not )},
    {"if", set_schema, AT(when)}, {"then", set_schema, AT(then)},
    {"else", set_schema, AT(otherwise)}, {"definitions", walk_definitions, 0},
    {"$schema", check_dialect, 0}, {"$id", check_id, 0}, {"$comment", NULL, 0}, {"title", NULL, 0},
    {"description", NULL, 0}, {"default", NULL, 0}, {"examples", NULL, 0}, {"readOnly", NULL, 0},
    {"writeOnly", NULL, 0}, {"format", NULL, 0}, {"contentEncoding", NULL, 0},
    {"contentMediaType", NULL, 0}};

static int apply_keyword(
    struct compiler *c, struct mr_schema_node *node, const char *name, json_t *value)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (strcmp(keywords[i].name, name) == 0)
            return keywords[i].fn ? keywords[i].fn(c, node, &keywords[i], value) : 0;
    return strncmp(name, "x-", 2) == 0 ? 0 : refuse(c, name, "this keyword is not supported");
}

static int new_node(struct compiler *c, const json_t *at, struct mr_schema_node **ret)
{
    struct mr_schema *schema = c->schema;
    if (++schema->count > MR_SCHEMA_MAX_NODES)
        return mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID, "%s: more than %d subschemas", c->name,
            MR_SCHEMA_MAX_NODES);
    struct mr_schema_node *node = take(schema, 1, sizeof(*node));
    if (!node)
        return no_memory(c);
    node->at = at;
    node->max_length = node->max_items = node->max_entries = SIZE_MAX;
    node->next = schema->nodes;
    schema->nodes = node;
    *ret = node;
    return 0;
}

/* Compiles the schema that stands here. Its JSON is a tree, so this recursion ends; references are
 * resolved afterwards, without recursion. */
static int compile(struct compiler *c, json_t *json, const struct mr_schema_node **ret)
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
            return refuse(c, "$ref", "only references within the schema (\"#/...\") are allowed");
        return 0; /* draft 7 ignores whatever stands beside it */
    }
    for (void *i = json_object_iter(json); i && r == 0; i = json_object_iter_next(json, i))
        r = apply_keyword(c, node, json_object_iter_key(i), json_object_iter_value(i));
    return r;
}

/* Resolves every $ref; targets that no keyword led to are compiled on the way, and may hold further
 * references. */
static int resolve_all(struct compiler *c)
{
    struct mr_schema_node *node;
    while ((node = mr_schema_next_ref(c->schema))) {
        json_t *at = mr_schema_locate(c->schema->root, node->ref_text);
        if (!at)
            return mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID, "%s: $ref: there is no \"%.100s\"",
                c->name, node->ref_text);
        node->ref = mr_schema_find(c->schema, at);
        int r = node->ref ? 0 : compile(c, at, &node->ref);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_limits(struct compiler *c)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    if (!limits)
        return no_memory(c);
    pcre2_set_match_limit(limits, MATCH_LIMIT);
    pcre2_set_heap_limit(limits, HEAP_LIMIT_KIB);
    c->schema->limits = limits;
    return 0;
}

int mr_schema_compile(
    const char *text, size_t n, const char *name, struct mr_schema **ret, struct mr_err *err)
{
    struct mr_schema *schema = calloc(1, sizeof(*schema));
    struct compiler c = {.schema = schema, .name = name, .err = err};
    if (!schema)
        return no_memory(&c);
    int r = mr_json_parse(text, n, MR_SCHEMA_MAX_DEPTH, &schema->root, err);
    if (r < 0)
        r = mr_err_prefix(err, r, "%s", name);
    if (r == 0)
        r = set_limits(&c);
    if (r == 0)
        r = compile(&c, schema->root, &schema->top);
    if (r == 0)
        r = resolve_all(&c);
    if (r == 0)
        r = mr_schema_check_loops(schema, name, err);
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
    free(schema);
    return NULL;
}
