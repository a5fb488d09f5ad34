/* From text to tree, by recursive descent. */
#include "common/expr_lex.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct mr_expr_lexer lexer;
    struct mr_expr *expr;
    size_t nstrings; /* bytes of expr->strings in use */
    unsigned depth;
    struct mr_err *err;
};

#define NAMES                                                                                      \
    "prompt_bytes, prompt_tokens, max_tokens, priority, tenant, pipeline, step, lane, "            \
    "input_name, input_type or metadata.key"

static int expected(struct parser *p, const char *what)
{
    return mr_expr_expected(&p->lexer, p->err, what);
}

static int add(struct parser *p, struct mr_expr_node node, unsigned *ret)
{
    if (p->expr->count == MR_EXPR_NODES_MAX)
        return mr_expr_fail(&p->lexer, p->lexer.start, p->err,
            "more than %d names, values and operators", MR_EXPR_NODES_MAX);
    *ret = p->expr->count++;
    p->expr->nodes[*ret] = node;
    return 0;
}

static int take(struct parser *p, const char *word, const char *what)
{
    if (!mr_expr_is(&p->lexer, word))
        return expected(p, what);
    mr_expr_next(&p->lexer);
    return 0;
}

/* A copy that lives as long as the expression. Never longer than the text it comes from. */
static const char *keep(struct parser *p, const char *bytes, size_t n)
{
    char *copy = p->expr->strings + p->nstrings;

    if (bytes) {
        memcpy(copy, bytes, n);
        copy[n] = '\0';
    } else {
        n = mr_expr_unquote(&p->lexer, copy);
    }
    p->nstrings += n + 1;
    return copy;
}

static int literal(struct parser *p, unsigned *ret)
{
    struct mr_expr_node node = {.op = MR_EXPR_LITERAL};

    if (p->lexer.token == MR_EXPR_T_NUMBER)
        node.value = (struct mr_expr_value){MR_EXPR_NUMBER, .number = p->lexer.number};
    else if (p->lexer.token == MR_EXPR_T_STRING)
        node.value = (struct mr_expr_value){MR_EXPR_STRING, .text = keep(p, NULL, 0)};
    else if (mr_expr_is(&p->lexer, "true") || mr_expr_is(&p->lexer, "false"))
        node.value = (struct mr_expr_value){MR_EXPR_BOOL, .truth = mr_expr_is(&p->lexer, "true")};
    else
        return expected(p, "a number, a 'string', true or false");
    mr_expr_next(&p->lexer);
    return add(p, node, ret);
}

/* metadata.key, where the key may have dots of its own, or metadata['any key']. */
static int metadata(struct parser *p, unsigned *ret)
{
    static const char prefix[] = "metadata.";
    struct mr_expr_node node = {.op = MR_EXPR_METADATA, .value.type = MR_EXPR_STRING};
    size_t n = sizeof(prefix) - 1;

    if (p->lexer.len > n) {
        node.value.text = keep(p, p->lexer.start + n, p->lexer.len - n);
        mr_expr_next(&p->lexer);
        return add(p, node, ret);
    }
    if (p->lexer.len == n)
        return expected(p, "metadata.key");
    mr_expr_next(&p->lexer);
    int rc = take(p, "[", "metadata.key or metadata['key']");
    if (rc < 0)
        return rc;
    if (p->lexer.token != MR_EXPR_T_STRING)
        return expected(p, "a key in quotes");
    node.value.text = keep(p, NULL, 0);
    mr_expr_next(&p->lexer);
    rc = take(p, "]", "']'");
    return rc < 0 ? rc : add(p, node, ret);
}

static int name(struct parser *p, unsigned *ret)
{
    if (p->lexer.len >= 8 && strncmp(p->lexer.start, "metadata", 8) == 0 &&
        (p->lexer.len == 8 || p->lexer.start[8] == '.'))
        return metadata(p, ret);
    struct mr_expr_node node = {.op = MR_EXPR_VAR};
    if (!mr_expr_find_var(&p->lexer, &node.var))
        return expected(p, NAMES);
    mr_expr_next(&p->lexer);
    return add(p, node, ret);
}

static int either(struct parser *p, unsigned *ret);

static int operand(struct parser *p, unsigned *ret)
{
    if (mr_expr_is(&p->lexer, "(")) {
        if (p->depth == MR_EXPR_DEPTH_MAX)
            return mr_expr_fail(
                &p->lexer, p->lexer.start, p->err, "nested more than %d deep", MR_EXPR_DEPTH_MAX);
        p->depth++;
        mr_expr_next(&p->lexer);
        int rc = either(p, ret);
        p->depth--;
        return rc < 0 ? rc : take(p, ")", "')'");
    }
    bool is_name = p->lexer.token == MR_EXPR_T_NAME && !mr_expr_is(&p->lexer, "true") &&
                   !mr_expr_is(&p->lexer, "false");
    if (is_name)
        return name(p, ret);
    if (p->lexer.token == MR_EXPR_T_NUMBER || p->lexer.token == MR_EXPR_T_NAME ||
        p->lexer.token == MR_EXPR_T_STRING)
        return literal(p, ret);
    return expected(p, "a name, a value or '('");
}

/* The literals follow each other, so that the node can name them by the first and their number. */
static int list(struct parser *p, unsigned left, unsigned *ret)
{
    struct mr_expr_node node = {.op = MR_EXPR_IN, .left = left};
    bool more = true;

    int rc = take(p, "(", "'('");
    while (rc == 0 && more) {
        const char *at = p->lexer.start;
        unsigned item = 0;
        rc = literal(p, &item);
        if (rc == 0)
            rc = mr_expr_check_types(p->expr, &p->lexer, at, MR_EXPR_EQ, left, item, p->err);
        node.right = node.count++ ? node.right : item;
        more = mr_expr_is(&p->lexer, ",");
        if (rc == 0)
            rc = more ? take(p, ",", "','") : take(p, ")", "',' or ')'");
    }
    return rc < 0 ? rc : add(p, node, ret);
}

static bool comparison(const struct mr_expr_lexer *lexer, enum mr_expr_op *ret)
{
    static const struct {
        const char *word;
        enum mr_expr_op op;
    } ops[] = {{"==", MR_EXPR_EQ}, {"!=", MR_EXPR_NE}, {"<", MR_EXPR_LT}, {"<=", MR_EXPR_LE},
        {">", MR_EXPR_GT}, {">=", MR_EXPR_GE}, {"contains", MR_EXPR_CONTAINS}};

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (mr_expr_is(lexer, ops[i].word)) {
            *ret = ops[i].op;
            return true;
        }
    return false;
}

static int negation(struct parser *p, unsigned *ret)
{
    unsigned count = 0, node = 0;

    for (; mr_expr_is(&p->lexer, "!"); count++)
        mr_expr_next(&p->lexer);
    const char *at = p->lexer.start;
    int rc = operand(p, &node);
    if (rc == 0 && !mr_expr_is_truth(p->expr, node))
        return mr_expr_fail(&p->lexer, at, p->err, "expected a condition behind '!'");
    if (rc == 0 && (comparison(&p->lexer, &(enum mr_expr_op){0}) || mr_expr_is(&p->lexer, "in")))
        return mr_expr_fail(
            &p->lexer, at, p->err, "expected '(' around the comparison that ! is to negate");
    *ret = node;
    for (; rc == 0 && count > 0; count--)
        rc = add(p, (struct mr_expr_node){.op = MR_EXPR_NOT, .left = *ret}, ret);
    return rc;
}

static int term(struct parser *p, unsigned *ret)
{
    const char *at = p->lexer.start;
    enum mr_expr_op op;
    unsigned left = 0, right = 0;

    if (mr_expr_is(&p->lexer, "!"))
        return negation(p, ret);
    int rc = operand(p, &left);
    if (rc < 0)
        return rc;
    if (mr_expr_is(&p->lexer, "in")) {
        mr_expr_next(&p->lexer);
        return list(p, left, ret);
    }
    if (!comparison(&p->lexer, &op)) {
        *ret = left;
        return mr_expr_is_truth(p->expr, left) ? 0 : expected(p, "a comparison such as == or <");
    }
    mr_expr_next(&p->lexer);
    at = p->lexer.start;
    rc = operand(p, &right);
    if (rc == 0)
        rc = mr_expr_check_types(p->expr, &p->lexer, at, op, left, right, p->err);
    return rc < 0 ? rc : add(p, (struct mr_expr_node){op, left, right}, ret);
}

static int both(struct parser *p, unsigned *ret)
{
    int rc = term(p, ret);

    while (rc == 0 && mr_expr_is(&p->lexer, "&&")) {
        unsigned left = *ret, right = 0;
        mr_expr_next(&p->lexer);
        rc = term(p, &right);
        if (rc == 0)
            rc = add(p, (struct mr_expr_node){MR_EXPR_AND, left, right}, ret);
    }
    return rc;
}

static int either(struct parser *p, unsigned *ret)
{
    int rc = both(p, ret);

    while (rc == 0 && mr_expr_is(&p->lexer, "||")) {
        unsigned left = *ret, right = 0;
        mr_expr_next(&p->lexer);
        rc = both(p, &right);
        if (rc == 0)
            rc = add(p, (struct mr_expr_node){MR_EXPR_OR, left, right}, ret);
    }
    return rc;
}

int mr_expr_compile(const char *text, struct mr_expr **ret, struct mr_err *err)
{
    struct parser p = {.lexer = {.text = text, .at = text}, .err = err};
    size_t n = strlen(text);
    unsigned root = 0;

    if (n > MR_EXPR_MAX)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "is longer than %d bytes", MR_EXPR_MAX);
    p.expr = calloc(1, sizeof(*p.expr) + n + 1);
    if (!p.expr)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    mr_expr_next(&p.lexer);
    int rc = either(&p, &root);
    if (rc == 0 && p.lexer.token != MR_EXPR_T_END)
        rc = expected(&p, "&&, || or the end");
    if (rc < 0) {
        mr_expr_free(p.expr);
        return rc;
    }
    assert(root == p.expr->count - 1);
    *ret = p.expr;
    return 0;
}
