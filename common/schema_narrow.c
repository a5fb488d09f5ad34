#include "common/schema_narrow.h"

#include "common/json.h"

#include <errno.h>
#include <string.h>

#define NARROW_MAX (1u << 20) /* bytes of the text */

/* What becomes of a keyword. */
enum fate {
    KEEP,  /* understood everywhere, and copied as it is */
    DROP,  /* says nothing about values */
    NOTE,  /* cannot be enforced: the model is told in the description */
    APART, /* has a function of its own */
};

static const struct {
    const char *word;
    enum fate fate;
} keywords[] = {
    {"title", KEEP},
    {"$schema", DROP},
    {"$id", DROP},
    {"$comment", DROP},
    {"default", DROP},
    {"examples", DROP},
    {"definitions", DROP},
    {"readOnly", DROP},
    {"writeOnly", DROP},
    {"description", APART},
    {"type", APART},
    {"enum", APART},
    {"const", APART},
    {"properties", APART},
    {"required", APART},
    {"additionalProperties", APART},
    {"items", APART},
    {"anyOf", APART},
    {"format", NOTE},
    {"pattern", NOTE},
    {"minLength", NOTE},
    {"maxLength", NOTE},
    {"minimum", NOTE},
    {"maximum", NOTE},
    {"exclusiveMinimum", NOTE},
    {"exclusiveMaximum", NOTE},
    {"multipleOf", NOTE},
    {"minItems", NOTE},
    {"maxItems", NOTE},
    {"uniqueItems", NOTE},
    {"minProperties", NOTE},
    {"maxProperties", NOTE},
};

/* One schema on its way. `wide` and `short_of_memory` are for the whole of it. */
struct narrowing {
    bool wide; /* something no provider can do */
    bool short_of_memory;
    bool optional; /* a property need not be there */
};

static json_t *narrow(struct narrowing *n, const json_t *from);

static void put(struct narrowing *n, json_t *to, const char *key, json_t *value)
{
    if (json_object_set_new(to, key, value) != 0)
        n->short_of_memory = true;
}

static int fate_of(const char *word)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (strcmp(keywords[i].word, word) == 0)
            return (int)keywords[i].fate;
    return strncmp(word, "x-", 2) == 0 ? DROP : -1;
}

/* The description, and behind it the limits the provider does not know. */
static void describe(struct narrowing *n, const json_t *from, json_t *to)
{
    struct mr_buf text MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(NARROW_MAX);
    const char *own = json_string_value(json_object_get(from, "description")), *key;
    json_t *value;
    int rc = own ? mr_buf_puts(&text, own) : 0;
    json_object_foreach((json_t *)from, key, value)
    {
        if (rc != 0 || fate_of(key) != NOTE)
            continue;
        rc = mr_buf_printf(&text, "%s%s: ", text.len > 0 ? "; " : "", key);
        if (rc == 0)
            rc = mr_json_dump(value, &text);
    }
    if (rc != 0)
        n->short_of_memory = true;
    else if (text.len > 0)
        put(n, to, "description", json_string(text.data));
}

static const char *type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    case JSON_NULL:
        return "null";
    default:
        return NULL;
    }
}

/* Values to choose from must be plain ones, and of one type, which must be named. */
static void choose(struct narrowing *n, const json_t *from, json_t *to)
{
    json_t *choices = json_object_get(from, "enum"), *only = json_object_get(from, "const"), *value;
    json_t *values = only ? json_pack("[O]", only) : json_incref(choices);
    const char *type = type_of(json_array_get(values, 0));
    size_t i;
    json_array_foreach(values, i, value)
    {
        const char *its = type_of(value);
        if (!type || !its || strcmp(type, its) != 0)
            n->wide = true;
    }
    if (type && !json_object_get(from, "type"))
        put(n, to, "type", json_string(type));
    put(n, to, "enum", values);
}

static bool lists(const json_t *names, const char *word)
{
    size_t i;
    json_t *name;
    json_array_foreach(
        (json_t *)names, i, name) if (strcmp(json_string_value(name), word) == 0) return true;
    return false;
}

static void object(struct narrowing *n, const json_t *from, json_t *to)
{
    const json_t *properties = json_object_get(from, "properties"),
                 *required = json_object_get(from, "required");
    json_t *narrowed = json_object(), *value;
    const char *key;
    if (!json_is_false(json_object_get(from, "additionalProperties")))
        n->wide = true;
    json_object_foreach((json_t *)properties, key, value)
    {
        put(n, narrowed, key, narrow(n, value));
        n->optional |= !lists(required, key);
    }
    put(n, to, "properties", narrowed);
    put(n, to, "required", required ? json_deep_copy(required) : json_array());
    put(n, to, "additionalProperties", json_false());
}

static bool may_be(const json_t *type, const char *word)
{
    return json_is_string(type) ? strcmp(json_string_value(type), word) == 0 : lists(type, word);
}

static void any_of(struct narrowing *n, const json_t *from, json_t *to)
{
    json_t *list = json_array(), *one;
    size_t i;
    if (json_object_get(from, "type"))
        n->wide = true;
    json_array_foreach(json_object_get(from, "anyOf"), i,
        one) if (json_array_append_new(list, narrow(n, one)) != 0) n->short_of_memory = true;
    put(n, to, "anyOf", list);
}

/* The narrow form of a schema; the caller's reference, NULL with n->short_of_memory. */
static json_t *narrow(struct narrowing *n, const json_t *from)
{
    json_t *to = json_object(), *value;
    const json_t *type = json_object_get(from, "type"), *items = json_object_get(from, "items");
    const char *key;
    if (!to)
        n->short_of_memory = true;
    if (!json_is_object(from))
        n->wide = true; /* true: anything goes */
    json_object_foreach((json_t *)from, key, value)
    {
        int fate = fate_of(key);
        if (fate < 0)
            n->wide = true;
        else if (fate == KEEP)
            put(n, to, key, json_deep_copy(value));
    }
    describe(n, from, to);
    if (type)
        put(n, to, "type", json_deep_copy(type));
    if (json_object_get(from, "enum") || json_object_get(from, "const"))
        choose(n, from, to);
    else if (json_object_get(from, "anyOf"))
        any_of(n, from, to);
    else if (!type)
        n->wide = true;
    if (may_be(type, "object"))
        object(n, from, to);
    if (may_be(type, "array") && !json_is_object(items))
        n->wide = true;
    else if (may_be(type, "array"))
        put(n, to, "items", narrow(n, items));
    return to;
}

int mr_schema_make_narrow(struct mr_schema *schema)
{
    struct narrowing n = {.wide = false};
    struct mr_buf text MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(NARROW_MAX);
    json_t *made MR_CLEANUP(mr_json_decrefp) = narrow(&n, schema->root);
    if (n.short_of_memory)
        return -ENOMEM;
    const char *type = json_string_value(json_object_get(schema->root, "type"));
    if (n.wide || !type || strcmp(type, "object") != 0 || mr_json_dump(made, &text) != 0)
        return 0;
    schema->narrow = mr_buf_steal(&text, NULL);
    schema->all_required = !n.optional;
    return schema->narrow ? 0 : -ENOMEM;
}

const char *mr_schema_narrow(const struct mr_schema *schema, bool *ret_all_required)
{
    *ret_all_required = schema->all_required;
    return schema->narrow;
}
