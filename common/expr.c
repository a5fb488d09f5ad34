/* What a compiled condition says of a call. */
#include "common/expr_node.h"

#include <stdlib.h>
#include <string.h>

static struct mr_expr_value truth(bool value)
{
    return (struct mr_expr_value){MR_EXPR_BOOL, .truth = value};
}

static struct mr_expr_value number(double value)
{
    return (struct mr_expr_value){MR_EXPR_NUMBER, .number = value};
}

static struct mr_expr_value text(const char *value)
{
    return value ? (struct mr_expr_value){MR_EXPR_STRING, .text = value}
                 : (struct mr_expr_value){0};
}

static struct mr_expr_value variable(enum mr_expr_var var, const struct mr_expr_vars *vars)
{
    switch (var) {
    case MR_EXPR_PROMPT_BYTES:
        return number((double)vars->prompt_bytes);
    case MR_EXPR_PROMPT_TOKENS:
        return number((double)(vars->prompt_bytes / 4 + (vars->prompt_bytes % 4 > 0)));
    case MR_EXPR_MAX_TOKENS:
        return number((double)vars->max_tokens);
    case MR_EXPR_PRIORITY:
        return number(vars->priority);
    case MR_EXPR_TENANT:
        return text(vars->tenant);
    case MR_EXPR_PIPELINE:
        return text(vars->pipeline);
    case MR_EXPR_STEP:
        return text(vars->step);
    case MR_EXPR_LANE:
        return text(vars->lane);
    case MR_EXPR_INPUT_NAME:
        return text(vars->input_name);
    case MR_EXPR_INPUT_TYPE:
        return text(vars->input_type);
    default:
        return (struct mr_expr_value){0};
    }
}

static struct mr_expr_value metadata(const char *key, const struct mr_expr_vars *vars)
{
    const json_t *value = json_object_get(vars->metadata, key);

    if (json_is_string(value))
        return text(json_string_value(value));
    if (json_is_number(value))
        return number(json_number_value(value));
    if (json_is_boolean(value))
        return truth(json_is_true(value));
    return (struct mr_expr_value){0};
}

static bool equal(const struct mr_expr_value *a, const struct mr_expr_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case MR_EXPR_BOOL:
        return a->truth == b->truth;
    case MR_EXPR_NUMBER:
        return a->number == b->number;
    case MR_EXPR_STRING:
        return strcmp(a->text, b->text) == 0;
    default:
        return false; /* null is equal to nothing */
    }
}

static bool compare(
    enum mr_expr_op op, const struct mr_expr_value *a, const struct mr_expr_value *b)
{
    if (op == MR_EXPR_EQ || op == MR_EXPR_NE)
        return equal(a, b) == (op == MR_EXPR_EQ);
    if (a->type != b->type || (a->type != MR_EXPR_NUMBER && a->type != MR_EXPR_STRING))
        return false;
    if (op == MR_EXPR_CONTAINS)
        return a->type == MR_EXPR_STRING && strstr(a->text, b->text);
    int order = a->type == MR_EXPR_STRING ? strcmp(a->text, b->text)
                                          : (a->number > b->number) - (a->number < b->number);
    switch (op) {
    case MR_EXPR_LT:
        return order < 0;
    case MR_EXPR_LE:
        return order <= 0;
    case MR_EXPR_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

/* The depth is bounded by the number of nodes. */
static struct mr_expr_value evaluate(
    const struct mr_expr *expr, unsigned at, const struct mr_expr_vars *vars)
{
    const struct mr_expr_node *node = &expr->nodes[at];

    if (node->op == MR_EXPR_LITERAL)
        return node->value;
    if (node->op == MR_EXPR_VAR)
        return variable(node->var, vars);
    if (node->op == MR_EXPR_METADATA)
        return metadata(node->value.text, vars);
    struct mr_expr_value left = evaluate(expr, node->left, vars);
    bool holds = left.type == MR_EXPR_BOOL && left.truth;
    switch (node->op) {
    case MR_EXPR_NOT:
        return truth(!holds);
    case MR_EXPR_AND:
    case MR_EXPR_OR:
        if (holds == (node->op == MR_EXPR_OR))
            return truth(holds);
        break;
    case MR_EXPR_IN:
        holds = false;
        for (unsigned i = 0; i < node->count && !holds; i++)
            holds = equal(&left, &expr->nodes[node->right + i].value);
        return truth(holds);
    default:
        break;
    }
    struct mr_expr_value right = evaluate(expr, node->right, vars);
    if (node->op == MR_EXPR_AND || node->op == MR_EXPR_OR)
        return truth(right.type == MR_EXPR_BOOL && right.truth);
    return truth(compare(node->op, &left, &right));
}

bool mr_expr_true(const struct mr_expr *expr, const struct mr_expr_vars *vars)
{
    struct mr_expr_value value = evaluate(expr, expr->count - 1, vars);

    return value.type == MR_EXPR_BOOL && value.truth;
}

struct mr_expr *mr_expr_free(struct mr_expr *expr)
{
    free(expr);
    return NULL;
}
