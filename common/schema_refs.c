/* Where references point, and whether following them ends. */
#include "common/schema_node.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* One segment of a JSON pointer in a URI fragment: %41, then ~0 and ~1, are decoded in place. */
static void decode(char *s)
{
    char *to = s;
    for (const char *p = s; *p; p++) {
        int high = *p == '%' ? hex_digit(p[1]) : -1;
        int low = high >= 0 ? hex_digit(p[2]) : -1;
        if (low >= 0) {
            *to++ = (char)(high << 4 | low);
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    to = s;
    for (const char *p = s; *p; p++) {
        if (*p == '~' && (p[1] == '0' || p[1] == '1'))
            *to++ = *++p == '0' ? '~' : '/';
        else
            *to++ = *p;
    }
    *to = '\0';
}

static json_t *step_into(json_t *at, const char *segment)
{
    if (json_is_object(at))
        return json_object_get(at, segment);
    size_t digits = strspn(segment, "0123456789");
    if (!json_is_array(at) || digits == 0 || digits > 9 || segment[digits])
        return NULL;
    return json_array_get(at, strtoul(segment, NULL, 10));
}

json_t *mr_schema_locate(json_t *root, const char *ref)
{
    char *copy = strdup(ref + 1); /* behind the '#' */
    json_t *at = copy && (copy[0] == '\0' || copy[0] == '/') ? root : NULL;
    char *rest = copy && copy[0] ? copy + 1 : NULL;
    while (at && rest) {
        char *segment = strsep(&rest, "/");
        decode(segment);
        at = step_into(at, segment);
    }
    free(copy);
    return at;
}

struct mr_schema_node *mr_schema_find(const struct mr_schema *schema, const json_t *at)
{
    for (struct mr_schema_node *node = schema->nodes; node; node = node->next)
        if (node->at == at)
            return node;
    return NULL;
}

struct mr_schema_node *mr_schema_next_ref(const struct mr_schema *schema)
{
    for (struct mr_schema_node *node = schema->nodes; node; node = node->next)
        if (node->ref_text && !node->ref)
            return node;
    return NULL;
}

/* The i-th schema that a node applies to the very same value; *ret_end when there are no more. */
static const struct mr_schema_node *applied(
    const struct mr_schema_node *node, size_t i, bool *ret_end)
{
    const struct mr_schema_node *const single[] = {
        node->ref, node->not, node->when, node->then, node->otherwise};
    const struct mr_schema_list *const lists[] = {&node->all, &node->any, &node->one};
    const size_t nsingle = sizeof(single) / sizeof(single[0]);
    *ret_end = false;
    if (i < nsingle)
        return single[i];
    i -= nsingle;
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); i -= lists[l]->count, l++)
        if (i < lists[l]->count)
            return lists[l]->items[i];
    if (i < node->dependencies.count)
        return node->dependencies.items[i].node;
    *ret_end = true;
    return NULL;
}

/* Depth first with a stack of our own: a chain of references may be long. */
struct visit {
    struct mr_schema_node *node;
    size_t next;
};

static bool has_loop(struct mr_schema_node *start, struct visit *stack)
{
    size_t depth = 0;
    stack[depth++] = (struct visit){start, 0};
    start->mark = MR_SCHEMA_OPEN;
    while (depth > 0) {
        struct visit *top = &stack[depth - 1];
        bool end;
        struct mr_schema_node *to =
            (struct mr_schema_node *)applied(top->node, top->next++, &end); /* only its mark */
        if (end) {
            top->node->mark = MR_SCHEMA_DONE;
            depth--;
        } else if (to && to->mark == MR_SCHEMA_OPEN) {
            return true;
        } else if (to && to->mark == MR_SCHEMA_UNSEEN) {
            to->mark = MR_SCHEMA_OPEN;
            stack[depth++] = (struct visit){to, 0};
        }
    }
    return false;
}

int mr_schema_check_loops(struct mr_schema *schema, const char *name, struct mr_err *err)
{
    struct visit *stack = calloc(schema->count, sizeof(*stack));
    if (!stack)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "%s: no memory for a schema", name);
    bool loop = false;
    for (struct mr_schema_node *node = schema->nodes; node && !loop; node = node->next)
        loop = node->mark == MR_SCHEMA_UNSEEN && has_loop(node, stack);
    free(stack);
    if (loop)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "%s: $ref: the schema applies itself to the same value without end", name);
    return 0;
}
