/* A compiled condition: between expr_compile.c, which makes it, and expr.c, which evaluates it. */
#pragma once

#include "common/expr.h"

#include <stddef.h>

enum mr_expr_op {
    MR_EXPR_AND,
    MR_EXPR_OR,
    MR_EXPR_NOT, /* left */
    MR_EXPR_EQ,
    MR_EXPR_NE,
    MR_EXPR_LT,
    MR_EXPR_LE,
    MR_EXPR_GT,
    MR_EXPR_GE,
    MR_EXPR_CONTAINS,
    MR_EXPR_IN, /* left; right is the first of count literals in a row */
    MR_EXPR_LITERAL,
    MR_EXPR_VAR,     /* var */
    MR_EXPR_METADATA /* value.text is the key */
};

enum mr_expr_type { MR_EXPR_NULL, MR_EXPR_BOOL, MR_EXPR_NUMBER, MR_EXPR_STRING, MR_EXPR_ANY };

struct mr_expr_value {
    enum mr_expr_type type; /* never ANY: that is what metadata has before it is looked at */
    union {
        bool truth;
        double number;
        const char *text; /* borrowed */
    };
};

enum mr_expr_var {
    MR_EXPR_PROMPT_BYTES,
    MR_EXPR_PROMPT_TOKENS,
    MR_EXPR_MAX_TOKENS,
    MR_EXPR_PRIORITY,
    MR_EXPR_TENANT,
    MR_EXPR_PIPELINE,
    MR_EXPR_STEP,
    MR_EXPR_LANE,
    MR_EXPR_INPUT_NAME,
    MR_EXPR_INPUT_TYPE,
    MR_EXPR_VAR_COUNT
};

struct mr_expr_node {
    enum mr_expr_op op;
    unsigned left, right, count; /* indices of nodes, always smaller than the node's own */
    enum mr_expr_var var;
    struct mr_expr_value value;
};

struct mr_expr {
    unsigned count; /* the last one is the root */
    struct mr_expr_node nodes[MR_EXPR_NODES_MAX];
    char strings[]; /* what nodes point at */
};
