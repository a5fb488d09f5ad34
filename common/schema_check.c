/* Checks a document against compiled nodes. A budget of steps bounds the time: alternatives within
 * alternatives, long lists of unique items and hostile strings end as an error, not as a stall. */
#include "common/json.h"
#include "common/schema_node.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET 10000000u /* steps of about 20 ns */
#define PATH_MAX_BYTES 200
#define CHECK_MAX_DEPTH 1000 /* checks within checks; each takes some 500 bytes of stack */

/* Where in the document we are: a chain on the stack, written out only for an error. */
struct place {
    const struct place *up;
    const char *key; /* NULL: an array's item */
    size_t index;
    unsigned depth; /* of checks within checks */
};

struct check {
    const struct mr_schema *schema;
    size_t budget;
    pcre2_match_data *match; /* made when the first pattern is met */
    bool stopped;            /* err says why; nothing that is found from then on counts */
    struct mr_err *err;
};

/* `loud`: a failure decides the whole, so it is worth words. */
static bool check_node(struct check *c, const struct mr_schema_node *node, json_t *value,
    const struct place *place, bool loud);

static void put_path(const struct place *place, struct mr_buf *path)
{
    if (!place->up)
        return;
    put_path(place->up, path);
    int r = place->key ? mr_buf_printf(path, "/%.64s", place->key)
                       : mr_buf_printf(path, "/%zu", place->index);
    (void)r; /* a path that is too long ends early */
}

__attribute__((noinline, format(printf, 4, 5))) static bool fail(
    struct check *c, const struct place *place, bool loud, const char *fmt, ...)
{
    if (!loud || c->stopped)
        return false;
    char why[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    struct mr_buf path MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(PATH_MAX_BYTES);
    put_path(place, &path);
    mr_err_set(c->err, -EINVAL, MR_CLASS_INVALID, "%s: %s", path.len ? path.data : "document", why);
    return false;
}

static bool stop(struct check *c, const struct place *place, const char *why)
{
    fail(c, place, true, "%s", why);
    c->stopped = true;
    return false;
}

static bool spend(struct check *c, const struct place *place, size_t steps)
{
    if (c->stopped)
        return false;
    if (c->budget < steps) {
        c->budget = 0;
        return stop(c, place, "too costly to check");
    }
    c->budget -= steps;
    return true;
}

static bool matches(
    struct check *c, const pcre2_code *pattern, const char *s, size_t n, const struct place *place)
{
    if (!spend(c, place, 10 + n / 16))
        return false;
    if (!c->match && !(c->match = pcre2_match_data_create(1, NULL)))
        return stop(c, place, "no memory to match a pattern");
    int r =
        pcre2_match(pattern, (PCRE2_SPTR)s, n, 0, PCRE2_NO_UTF_CHECK, c->match, c->schema->limits);
    if (r < 0 && r != PCRE2_ERROR_NOMATCH)
        return stop(c, place, "too costly to match against its pattern");
    return r >= 0;
}

static bool equal(struct check *c, const json_t *a, const json_t *b, const struct place *place)
{
    bool same = mr_schema_equal(a, b, &c->budget);
    return c->budget == 0 ? spend(c, place, 1) : same;
}

static bool check_type(struct check *c, const struct mr_schema_node *node, json_t *value,
    const struct place *place, bool loud)
{
    static const char *const names[] = {
        "null", "boolean", "integer", "number", "string", "array", "object"};
    unsigned has = mr_schema_types_of(value);
    if (!node->types || (node->types & has))
        return true;
    char wanted[80] = "", *end = wanted;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && loud; i++)
        if (node->types & 1u << i)
            end += snprintf(end, sizeof(wanted) - (size_t)(end - wanted), "%s%s",
                end == wanted ? "" : " or ", names[i]);
    const char *is = names[__builtin_ctz(has)];
    return fail(c, place, loud, "expected %s, found %s", wanted, is);
}

static bool check_values(struct check *c, const struct mr_schema_node *node, json_t *value,
    const struct place *place, bool loud)
{
    if (node->only && !equal(c, value, node->only, place))
        return fail(c, place, loud, "is not the one value allowed");
    if (!node->values)
        return true;
    for (size_t i = 0; i < json_array_size(node->values); i++)
        if (equal(c, value, json_array_get(node->values, i), place))
            return true;
    return fail(c, place, loud, "is none of the values allowed");
}

static bool check_number(struct check *c, const struct mr_schema_node *node, json_t *value,
    const struct place *place, bool loud)
{
    if (node->minimum && mr_schema_compare(value, node->minimum) < 0)
        return fail(c, place, loud, "is less than the minimum");
    if (node->maximum && mr_schema_compare(value, node->maximum) > 0)
        return fail(c, place, loud, "is greater than the maximum");
    if (node->above && mr_schema_compare(value, node->above) <= 0)
        return fail(c, place, loud, "is not greater than the exclusive minimum");
    if (node->below && mr_schema_compare(value, node->below) >= 0)
        return fail(c, place, loud, "is not less than the exclusive maximum");
    if (node->multiple_of && !mr_schema_multiple(value, node->multiple_of))
        return fail(c, place, loud, "is not a multiple of the number required");
    return true;
}

/* Characters of valid UTF-8, counted up to limit + 1. */
static size_t count_chars(const char *s, size_t n, size_t limit)
{
    size_t chars = 0;
    for (size_t i = 0; i < n && chars <= limit; i++)
        chars += ((unsigned char)s[i] & 0xc0) != 0x80;
    return chars;
}

static bool check_string(struct check *c, const struct mr_schema_node *node, json_t *value,
    const struct place *place, bool loud)
{
    const char *s = json_string_value(value);
    size_t n = json_string_length(value);
    if (n > node->max_length && count_chars(s, n, node->max_length) > node->max_length)
        return fail(c, place, loud, "is longer than %zu characters", node->max_length);
    if (node->min_length > 0 && count_chars(s, n, node->min_length) < node->min_length)
        return fail(c, place, loud, "is shorter than %zu characters", node->min_length);
    if (node->pattern && !matches(c, node->pattern, s, n, place))
        return fail(c, place, loud, "does not match the pattern %.100s", node->pattern_text);
    return true;
}

static bool check_unique(struct check *c, const json_t *array, const struct place *place, bool loud)
{
    size_t n = json_array_size(array);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (equal(c, json_array_get(array, i), json_array_get(array, j), place))
                return fail(c, place, loud, "items %zu and %zu are equal", j, i);
            else if (c->stopped)
                return false;
    return true;
}

static bool check_items(struct check *c, const struct mr_schema_node *node, json_t *array,
    const struct place *place, bool loud)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const struct mr_schema_node *item = node->each;
        if (node->first.items)
            item = i < node->first.count ? node->first.items[i] : node->rest;
        if (!item)
            break;
        struct place here = {.up = place, .index = i, .depth = place->depth};
        if (!check_node(c, item, json_array_get(array, i), &here, loud))
            return false;
    }
    return true;
}

static bool check_array(struct check *c, const struct mr_schema_node *node, json_t *array,
    const struct place *place, bool loud)
{
    size_t n = json_array_size(array);
    if (n < node->min_items)
        return fail(c, place, loud, "has fewer than %zu items", node->min_items);
    if (n > node->max_items)
        return fail(c, place, loud, "has more than %zu items", node->max_items);
    if (node->unique && !check_unique(c, array, place, loud))
        return false;
    if ((node->each || node->first.items) && !check_items(c, node, array, place, loud))
        return false;
    if (!node->contains)
        return true;
    for (size_t i = 0; i < n; i++)
        if (check_node(c, node->contains, json_array_get(array, i), place, false))
            return true;
    return fail(c, place, loud, "has no item of the kind required");
}

static bool check_required(struct check *c, const json_t *names, const json_t *object,
    const struct place *place, bool loud)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (!json_object_get(object, name))
            return fail(c, place, loud, "the key \"%.64s\" is missing", name);
    }
    return true;
}

/* patternProperties, additionalProperties and propertyNames: what every key of the object asks. */
static bool check_key(struct check *c, const struct mr_schema_node *node, const char *key,
    json_t *value, const struct place *place, bool loud)
{
    bool known = node->property_object && json_object_get(node->property_object, key);
    struct place here = {.up = place, .key = key, .depth = place->depth};
    for (size_t i = 0; i < node->patterns.count; i++) {
        const struct mr_schema_entry *entry = &node->patterns.items[i];
        if (!matches(c, entry->pattern, key, strlen(key), &here))
            continue;
        known = true;
        if (!check_node(c, entry->node, value, &here, loud))
            return false;
    }
    if (!known && node->others) {
        if (node->others->never)
            return fail(c, place, loud, "the key \"%.64s\" is not allowed", key);
        if (!check_node(c, node->others, value, &here, loud))
            return false;
    }
    if (!node->names)
        return true;
    json_t *name MR_CLEANUP(mr_json_decrefp) = json_string_nocheck(key);
    if (!name)
        return stop(c, place, "no memory to check a key");
    if (!check_node(c, node->names, name, &here, false))
        return fail(c, place, loud, "the key \"%.64s\" is not a name allowed", key);
    return true;
}

static bool check_object(struct check *c, const struct mr_schema_node *node, json_t *object,
    const struct place *place, bool loud)
{
    size_t n = json_object_size(object);
    if (n < node->min_entries)
        return fail(c, place, loud, "has fewer than %zu keys", node->min_entries);
    if (n > node->max_entries)
        return fail(c, place, loud, "has more than %zu keys", node->max_entries);
    if (node->required && !check_required(c, node->required, object, place, loud))
        return false;
    for (size_t i = 0; i < node->properties.count; i++) {
        const struct mr_schema_entry *entry = &node->properties.items[i];
        json_t *value = json_object_get(object, entry->name);
        struct place here = {.up = place, .key = entry->name, .depth = place->depth};
        if (value && !check_node(c, entry->node, value, &here, loud))
            return false;
    }
    if (node->patterns.count > 0 || node->others || node->names)
        for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i))
            if (!check_key(
                    c, node, json_object_iter_key(i), json_object_iter_value(i), place, loud))
                return false;
    for (size_t i = 0; i < node->dependencies.count; i++) {
        const struct mr_schema_entry *entry = &node->dependencies.items[i];
        if (!json_object_get(object, entry->name))
            continue;
        if (entry->node ? !check_node(c, entry->node, object, place, loud)
                        : !check_required(c, entry->required, object, place, loud))
            return false;
    }
    return true;
}

/* How many of the schemas hold, counted up to `enough`. */
static size_t count_holding(struct check *c, const struct mr_schema_list *list, json_t *value,
    const struct place *place, size_t enough)
{
    size_t hold = 0;
    for (size_t i = 0; i < list->count && hold < enough; i++)
        hold += check_node(c, list->items[i], value, place, false);
    return hold;
}

static bool check_combined(struct check *c, const struct mr_schema_node *node, json_t *value,
    const struct place *place, bool loud)
{
    for (size_t i = 0; i < node->all.count; i++)
        if (!check_node(c, node->all.items[i], value, place, loud))
            return false;
    if (node->any.count > 0 && count_holding(c, &node->any, value, place, 1) == 0)
        return fail(c, place, loud, "has none of the forms allowed (anyOf)");
    if (node->one.count > 0 && count_holding(c, &node->one, value, place, 2) != 1)
        return fail(c, place, loud, "does not have exactly one of the forms allowed (oneOf)");
    if (node->not &&check_node(c, node->not, value, place, false))
        return fail(c, place, loud, "has a form that is forbidden (not)");
    if (!node->when)
        return true;
    const struct mr_schema_node *branch =
        check_node(c, node->when, value, place, false) ? node->then : node->otherwise;
    return !branch || check_node(c, branch, value, place, loud);
}

static bool check_node(struct check *c, const struct mr_schema_node *node, json_t *value,
    const struct place *place, bool loud)
{
    while (node->ref)
        node = node->ref;
    if (node->never)
        return fail(c, place, loud, "is not allowed");
    struct place here = *place;
    if (!spend(c, place, 1))
        return false;
    if (++here.depth > CHECK_MAX_DEPTH)
        return stop(c, place, "the schema is nested too deeply");
    if (!check_type(c, node, value, &here, loud) || !check_values(c, node, value, &here, loud))
        return false;
    bool good = true;
    if (json_is_number(value))
        good = check_number(c, node, value, &here, loud);
    else if (json_is_string(value))
        good = check_string(c, node, value, &here, loud);
    else if (json_is_array(value))
        good = check_array(c, node, value, &here, loud);
    else if (json_is_object(value))
        good = check_object(c, node, value, &here, loud);
    return good && check_combined(c, node, value, &here, loud) && !c->stopped;
}

int mr_schema_validate_value(
    const struct mr_schema *schema, const json_t *value, struct mr_err *err)
{
    struct check c = {.schema = schema, .budget = BUDGET, .err = err};
    struct place top = {.up = NULL};
    /* The value is only read; jansson's iterators take no const. */
    bool good = check_node(&c, schema->top, (json_t *)value, &top, true);
    pcre2_match_data_free(c.match);
    return good && !c.stopped ? 0 : -EINVAL;
}

int mr_schema_validate(
    const struct mr_schema *schema, const char *json, size_t n, struct mr_err *err)
{
    json_t *value MR_CLEANUP(mr_json_decrefp) = NULL;
    int r = mr_json_parse(json, n, MR_DOCUMENT_MAX_DEPTH, &value, err);
    return r < 0 ? r : mr_schema_validate_value(schema, value, err);
}
