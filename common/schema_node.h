/* The compiled form of a JSON Schema: one node per subschema, made by schema_compile.c and walked
 * by schema_check.c. Nodes never change after compiling, so that any number of threads may check.
 */
#pragma once

#include "common/schema.h"
#include "common/schema_value.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>

/* Levels of nesting, so that neither compiling nor checking can exhaust the stack. */
#define MR_SCHEMA_MAX_DEPTH 128  /* of a schema's own JSON */
#define MR_DOCUMENT_MAX_DEPTH 64 /* of a checked document */
#define MR_SCHEMA_MAX_NODES 2000

struct mr_schema_list {
    const struct mr_schema_node **items;
    size_t count;
};

/* One entry of properties, patternProperties or dependencies. */
struct mr_schema_entry {
    const char *name;                  /* property name, or the pattern's text */
    pcre2_code *pattern;               /* patternProperties only */
    const json_t *required;            /* dependencies only: array of names, or NULL */
    const struct mr_schema_node *node; /* NULL if required is set */
};

struct mr_schema_memory;

struct mr_schema_map {
    struct mr_schema_entry *items;
    size_t count;
};

/* An absent keyword is NULL, 0 or, for the upper bounds, SIZE_MAX. */
struct mr_schema_node {
    const json_t *at;                 /* where it stands in the schema's JSON; its identity */
    bool never;                       /* the schema false */
    const struct mr_schema_node *ref; /* $ref: then nothing else counts */

    unsigned types;              /* bits of enum mr_schema_type; 0 = any */
    const json_t *values, *only; /* enum, const */
    const json_t *multiple_of;   /* numbers */
    const json_t *minimum, *maximum;
    const json_t *above, *below;   /* exclusiveMinimum, exclusiveMaximum */
    size_t min_length, max_length; /* strings, in characters */
    pcre2_code *pattern;
    const char *pattern_text;
    size_t min_items, max_items; /* arrays */
    bool unique;
    const struct mr_schema_node *each; /* items as one schema */
    struct mr_schema_list first;       /* items as a list */
    const struct mr_schema_node *rest; /* additionalItems */
    const struct mr_schema_node *contains;
    size_t min_entries, max_entries; /* objects */
    const json_t *required;
    const json_t *property_object; /* properties, to ask whether it names a key */
    struct mr_schema_map properties, patterns, dependencies;
    const struct mr_schema_node *others;                         /* additionalProperties */
    const struct mr_schema_node *names;                          /* propertyNames */
    struct mr_schema_list all, any, one;                         /* allOf, anyOf, oneOf */
    const struct mr_schema_node * not, *when, *then, *otherwise; /* not, if, then, else */

    const char *ref_text;
    enum { MR_SCHEMA_UNSEEN, MR_SCHEMA_OPEN, MR_SCHEMA_DONE } mark; /* of the search for loops */
    struct mr_schema_node *next;
};

struct mr_schema {
    json_t *root;                 /* nodes point into it */
    struct mr_schema_node *nodes; /* all of them, newest first; the last one is the root's */
    const struct mr_schema_node *top;
    size_t count;
    char *narrow; /* mr_schema_narrow() */
    bool all_required;
    struct mr_schema_memory *memory; /* arrays of the nodes */
    pcre2_match_context *limits;     /* read-only once made */
};

/* References, in schema_refs.c. The JSON that "#..." points at, or NULL; the node that was made for
 * it, or NULL; a node whose reference is not resolved yet, or NULL. */
json_t *mr_schema_locate(json_t *root, const char *ref);
struct mr_schema_node *mr_schema_find(const struct mr_schema *schema, const json_t *at);
struct mr_schema_node *mr_schema_next_ref(const struct mr_schema *schema);

/* Finds endless recursion: schemas that apply themselves to the same value again, as
 * {"allOf": [{"$ref": "#"}]} does. */
int mr_schema_check_loops(struct mr_schema *schema, const char *name, struct mr_err *err) MR_CHECK;
