/* The words of a condition, and their types. Internal to expr_*.c. */
#pragma once

#include "common/expr_node.h"

enum mr_expr_token {
    MR_EXPR_T_END,
    MR_EXPR_T_NUMBER,
    MR_EXPR_T_STRING,
    MR_EXPR_T_NAME,   /* letters, digits, _ . - */
    MR_EXPR_T_OP,     /* && || == != < <= > >= */
    MR_EXPR_T_SYMBOL, /* ( ) [ ] , ! */
    MR_EXPR_T_BAD
};

struct mr_expr_lexer {
    const char *text, *at; /* at: behind the current token */
    enum mr_expr_token token;
    const char *start; /* of the current token */
    size_t len;
    double number;
};

/* Moves on to the next token. */
void mr_expr_next(struct mr_expr_lexer *lexer);
bool mr_expr_is(const struct mr_expr_lexer *lexer, const char *word);

/* Copies the string token without its quotes; ret has room for len bytes. Returns its length. */
size_t mr_expr_unquote(const struct mr_expr_lexer *lexer, char *ret);

/* err = "column N: expected <what>, found <token>". Returns -EINVAL. */
int mr_expr_expected(const struct mr_expr_lexer *lexer, struct mr_err *err, const char *what);
/* err = "column N: <text>", at the byte `start`. Returns -EINVAL. */
int mr_expr_fail(const struct mr_expr_lexer *lexer, const char *start, struct mr_err *err,
    const char *fmt, ...) MR_PRINTF(4, 5);

/* expr_types.c: whether the current token is the name of a variable. */
bool mr_expr_find_var(const struct mr_expr_lexer *lexer, enum mr_expr_var *ret);
/* Whether two nodes may be compared so; at: what an error points at. 0 or -EINVAL. */
int mr_expr_check_types(const struct mr_expr *expr, const struct mr_expr_lexer *lexer,
    const char *at, enum mr_expr_op op, unsigned left, unsigned right, struct mr_err *err) MR_CHECK;
/* Whether a node may stand where a truth is wanted. */
bool mr_expr_is_truth(const struct mr_expr *expr, unsigned node);
