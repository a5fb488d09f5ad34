/* What is compared with what: names and values have types before they have a value. */
#include "common/expr_lex.h"

#include <stddef.h>

static const struct {
    const char *name;
    enum mr_expr_type type;
} vars[MR_EXPR_VAR_COUNT] = {
    [MR_EXPR_PROMPT_BYTES] = {"prompt_bytes", MR_EXPR_NUMBER},
    [MR_EXPR_PROMPT_TOKENS] = {"prompt_tokens", MR_EXPR_NUMBER},
    [MR_EXPR_MAX_TOKENS] = {"max_tokens", MR_EXPR_NUMBER},
    [MR_EXPR_PRIORITY] = {"priority", MR_EXPR_NUMBER},
    [MR_EXPR_TENANT] = {"tenant", MR_EXPR_STRING},
    [MR_EXPR_PIPELINE] = {"pipeline", MR_EXPR_STRING},
    [MR_EXPR_STEP] = {"step", MR_EXPR_STRING},
    [MR_EXPR_LANE] = {"lane", MR_EXPR_STRING},
    [MR_EXPR_INPUT_NAME] = {"input_name", MR_EXPR_STRING},
    [MR_EXPR_INPUT_TYPE] = {"input_type", MR_EXPR_STRING},
};

bool mr_expr_find_var(const struct mr_expr_lexer *lexer, enum mr_expr_var *ret)
{
    for (unsigned v = 0; v < MR_EXPR_VAR_COUNT; v++)
        if (mr_expr_is(lexer, vars[v].name)) {
            *ret = (enum mr_expr_var)v;
            return true;
        }
    return false;
}

static enum mr_expr_type type_of(const struct mr_expr *expr, unsigned at)
{
    const struct mr_expr_node *node = &expr->nodes[at];

    switch (node->op) {
    case MR_EXPR_LITERAL:
        return node->value.type;
    case MR_EXPR_VAR:
        return vars[node->var].type;
    case MR_EXPR_METADATA:
        return MR_EXPR_ANY;
    default:
        return MR_EXPR_BOOL;
    }
}

static const char *type_name(enum mr_expr_type type)
{
    static const char *const names[] = {"nothing", "true or false", "a number", "a string", ""};

    return names[type];
}

int mr_expr_check_types(const struct mr_expr *expr, const struct mr_expr_lexer *lexer,
    const char *at, enum mr_expr_op op, unsigned left, unsigned right, struct mr_err *err)
{
    enum mr_expr_type a = type_of(expr, left), b = type_of(expr, right);
    bool known = a != MR_EXPR_ANY && b != MR_EXPR_ANY;

    if (op == MR_EXPR_CONTAINS && (a == MR_EXPR_BOOL || a == MR_EXPR_NUMBER))
        return mr_expr_fail(lexer, at, err, "expected a string, found %s", type_name(a));
    if (op == MR_EXPR_CONTAINS && (b == MR_EXPR_BOOL || b == MR_EXPR_NUMBER))
        return mr_expr_fail(lexer, at, err, "expected a string, found %s", type_name(b));
    if (known && a != b)
        return mr_expr_fail(
            lexer, at, err, "expected %s to compare with, found %s", type_name(a), type_name(b));
    if (op != MR_EXPR_EQ && op != MR_EXPR_NE && (a == MR_EXPR_BOOL || b == MR_EXPR_BOOL))
        return mr_expr_fail(lexer, at, err, "expected == or != where there is only true and false");
    return 0;
}

bool mr_expr_is_truth(const struct mr_expr *expr, unsigned node)
{
    enum mr_expr_type type = type_of(expr, node);

    return type == MR_EXPR_BOOL || type == MR_EXPR_ANY;
}
