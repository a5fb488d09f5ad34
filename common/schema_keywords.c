/* What each keyword does to a node. Every keyword of draft 7 is either checked, or an annotation
 * that demands nothing, or refused by name: a misspelt or newer keyword must not pass in silence.
 */
#include "common/json.h"
#include "common/schema_compile.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

struct keyword;
typedef int keyword_fn(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value);

struct keyword {
    const char *name;
    keyword_fn *fn; /* NULL: an annotation */
    size_t offset;  /* of the node's member it sets */
};

static int refuse(struct mr_schema_compiler *c, const char *keyword, const char *why)
{
    return mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID, "%s: %.64s: %s", c->name, keyword, why);
}

#define MEMBER(node, keyword, type) ((type *)(void *)((char *)(node) + (keyword)->offset))

static int compile_pattern(
    struct mr_schema_compiler *c, const char *keyword, const char *text, pcre2_code **ret)
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

static int set_schema(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    return mr_schema_compile_node(c, value, MEMBER(node, keyword, const struct mr_schema_node *));
}

static int set_list(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    struct mr_schema_list *list = MEMBER(node, keyword, struct mr_schema_list);
    size_t n = json_array_size(value);
    if (!json_is_array(value) || n == 0)
        return refuse(c, keyword->name, "must be a non-empty array of schemas");
    list->items = mr_schema_take(c->schema, n, sizeof(list->items[0]));
    if (!list->items)
        return mr_schema_no_memory(c);
    list->count = n;
    for (size_t i = 0; i < n; i++) {
        int r = mr_schema_compile_node(c, json_array_get(value, i), &list->items[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_items(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    if (!json_is_array(value))
        return mr_schema_compile_node(c, value, &node->each);
    if (json_array_size(value) > 0)
        return set_list(c, node, keyword, value);
    /* An empty list: additionalItems judges every item. */
    node->first.items = mr_schema_take(c->schema, 1, sizeof(node->first.items[0]));
    return node->first.items ? 0 : mr_schema_no_memory(c);
}

static int check_names(struct mr_schema_compiler *c, const char *keyword, const json_t *value)
{
    if (!json_is_array(value))
        return refuse(c, keyword, "must be an array of strings");
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_string(json_array_get(value, i)))
            return refuse(c, keyword, "must be an array of strings");
    return 0;
}

static int set_map(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    struct mr_schema_map *map = MEMBER(node, keyword, struct mr_schema_map);
    if (!json_is_object(value))
        return refuse(c, keyword->name, "must be an object");
    map->items = mr_schema_take(c->schema, json_object_size(value) + 1, sizeof(map->items[0]));
    if (!map->items)
        return mr_schema_no_memory(c);
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
            r = mr_schema_compile_node(c, v, &entry->node);
        }
        if (r < 0)
            return r;
    }
    if (map == &node->properties)
        node->property_object = value;
    return 0;
}

/* Reachable by $ref only; compiled nevertheless, so that a mistake in it is found. */
static int walk_definitions(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    if (!json_is_object(value))
        return refuse(c, keyword->name, "must be an object");
    for (void *i = json_object_iter(value); i; i = json_object_iter_next(value, i)) {
        const struct mr_schema_node *ignored;
        int r = mr_schema_compile_node(c, json_object_iter_value(i), &ignored);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_size(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    if (!json_is_number(value) || !mr_schema_integral(value) || json_number_value(value) < 0 ||
        json_number_value(value) > 1e15)
        return refuse(c, keyword->name, "must be a non-negative integer");
    *MEMBER(node, keyword, size_t) = (size_t)json_number_value(value);
    return 0;
}

static int set_number(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    if (!json_is_number(value))
        return refuse(c, keyword->name, "must be a number");
    const json_t **member = MEMBER(node, keyword, const json_t *);
    *member = value;
    if (member == &node->multiple_of && json_number_value(value) <= 0)
        return refuse(c, keyword->name, "must be greater than 0");
    return 0;
}

static int set_type(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
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

static int set_values(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    if (!json_is_array(value) || json_array_size(value) == 0)
        return refuse(c, keyword->name, "must be a non-empty array");
    node->values = value;
    return 0;
}

static int set_only(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    node->only = value;
    return 0;
}

static int set_pattern(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    if (!json_is_string(value))
        return refuse(c, keyword->name, "must be a string");
    node->pattern_text = json_string_value(value);
    return compile_pattern(c, keyword->name, node->pattern_text, &node->pattern);
}

static int set_unique(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    if (!json_is_boolean(value))
        return refuse(c, keyword->name, "must be true or false");
    node->unique = json_is_true(value);
    return 0;
}

static int set_required(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    node->required = value;
    return check_names(c, keyword->name, value);
}

static int check_dialect(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
{
    const char *uri = json_string_value(value);
    if (!uri || (strcmp(uri, "http://json-schema.org/draft-07/schema#") != 0 &&
                    strcmp(uri, "http://json-schema.org/draft-07/schema") != 0))
        return refuse(
            c, keyword->name, "only \"http://json-schema.org/draft-07/schema#\" is understood");
    return 0;
}

/* Below the root an $id would change what references mean. */
static int check_id(struct mr_schema_compiler *c, struct mr_schema_node *node,
    const struct keyword *keyword, json_t *value)
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

int mr_schema_apply_keyword(
    struct mr_schema_compiler *c, struct mr_schema_node *node, const char *name, json_t *value)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (strcmp(keywords[i].name, name) == 0)
            return keywords[i].fn ? keywords[i].fn(c, node, &keywords[i], value) : 0;
    return strncmp(name, "x-", 2) == 0 ? 0 : refuse(c, name, "this keyword is not supported");
}
