#include "common/expr_lex.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 40

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("_.-", c));
}

static enum mr_expr_token end_string(struct mr_expr_lexer *lexer)
{
    const char *s = lexer->start + 1;

    for (;; s += 2) {
        s += strcspn(s, "'");
        if (!*s) {
            lexer->at = s;
            return MR_EXPR_T_BAD;
        }
        if (s[1] != '\'')
            break;
    }
    lexer->at = s + 1;
    return MR_EXPR_T_STRING;
}

static enum mr_expr_token end_number(struct mr_expr_lexer *lexer)
{
    const char *s = lexer->start + (*lexer->start == '-');
    size_t whole = strspn(s, "0123456789"), fraction = 0;

    s += whole;
    if (*s == '.') {
        fraction = strspn(s + 1, "0123456789");
        s += 1 + fraction;
        whole = fraction ? whole : 0;
    }
    bool good = whole > 0 && !is_name(*s);
    while (is_name(*s))
        s++;
    lexer->at = s;
    /* Nobody sets LC_NUMERIC: the point is a point. */
    lexer->number = good ? strtod(lexer->start, NULL) : 0;
    return good ? MR_EXPR_T_NUMBER : MR_EXPR_T_BAD;
}

void mr_expr_next(struct mr_expr_lexer *lexer)
{
    static const char *const ops[] = {"&&", "||", "==", "!=", "<=", ">=", "<", ">"};
    const char *s = lexer->at + strspn(lexer->at, " \t\r\n");

    lexer->start = s;
    lexer->at = *s ? s + 1 : s;
    lexer->token = MR_EXPR_T_BAD;
    if (!*s) {
        lexer->token = MR_EXPR_T_END;
    } else if (*s == '\'') {
        lexer->token = end_string(lexer);
    } else if (isdigit((unsigned char)*s) || *s == '-') {
        lexer->token = end_number(lexer);
    } else if (isalpha((unsigned char)*s) || *s == '_') {
        while (is_name(*lexer->at))
            lexer->at++;
        lexer->token = MR_EXPR_T_NAME;
    } else {
        for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]) && lexer->token == MR_EXPR_T_BAD; i++)
            if (strncmp(s, ops[i], strlen(ops[i])) == 0) {
                lexer->at = s + strlen(ops[i]);
                lexer->token = MR_EXPR_T_OP;
            }
        if (lexer->token == MR_EXPR_T_BAD && strchr("()[],!", *s))
            lexer->token = MR_EXPR_T_SYMBOL;
    }
    while (((unsigned char)*lexer->at & 0xc0) == 0x80)
        lexer->at++; /* never a part of a character */
    lexer->len = (size_t)(lexer->at - s);
}

bool mr_expr_is(const struct mr_expr_lexer *lexer, const char *word)
{
    return lexer->token >= MR_EXPR_T_NAME && lexer->len == strlen(word) &&
           memcmp(lexer->start, word, lexer->len) == 0;
}

size_t mr_expr_unquote(const struct mr_expr_lexer *lexer, char *ret)
{
    size_t n = 0;

    for (const char *s = lexer->start + 1; s < lexer->at - 1; s++) {
        ret[n++] = *s;
        s += *s == '\'';
    }
    ret[n] = '\0';
    return n;
}

int mr_expr_fail(
    const struct mr_expr_lexer *lexer, const char *start, struct mr_err *err, const char *fmt, ...)
{
    char text[MR_ERR_MAX];
    unsigned column = 1;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    for (const char *s = lexer->text; s < start; s++)
        column += ((unsigned char)*s & 0xc0) != 0x80;
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "column %u: %s", column, text);
}

int mr_expr_expected(const struct mr_expr_lexer *lexer, struct mr_err *err, const char *what)
{
    if (lexer->token == MR_EXPR_T_END)
        return mr_expr_fail(lexer, lexer->start, err, "expected %s, found the end", what);
    if (lexer->token == MR_EXPR_T_BAD && *lexer->start == '\'')
        return mr_expr_fail(lexer, lexer->start, err, "expected a closing '");
    bool cut = lexer->len > SHOWN_MAX;
    const char *quote = lexer->token == MR_EXPR_T_STRING && !cut ? "" : "'";
    return mr_expr_fail(lexer, lexer->start, err, "expected %s, found %s%.*s%s%s", what, quote,
        cut ? SHOWN_MAX : (int)lexer->len, lexer->start, cut ? "..." : "", quote);
}
