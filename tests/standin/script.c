#include "tests/standin/script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    OP_DELAY,
    OP_RETRY_AFTER,
    OP_CACHED,
    OP_OUTPUT,
    OP_NOUSAGE,
    OP_RATELIMIT,
    OP_OUTCOME, /* value = enum mr_outcome, upper = status */
};

enum value_kind { VALUE_NONE, VALUE_NUMBER, VALUE_RANGE, VALUE_WHEN, VALUE_RATES };

static const struct {
    const char *name;
    int kind;
    enum value_kind value;
    enum mr_outcome outcome;
} table[] = {
    {"delay", OP_DELAY, VALUE_RANGE, 0},
    {"retry_after", OP_RETRY_AFTER, VALUE_NUMBER, 0},
    {"cached", OP_CACHED, VALUE_NUMBER, 0},
    {"output", OP_OUTPUT, VALUE_NUMBER, 0},
    {"nousage", OP_NOUSAGE, VALUE_NONE, 0},
    {"ratelimit", OP_RATELIMIT, VALUE_RATES, 0},
    {"error", OP_OUTCOME, VALUE_NUMBER, MR_OUTCOME_ERROR},
    {"quota", OP_OUTCOME, VALUE_NONE, MR_OUTCOME_QUOTA},
    {"hangup", OP_OUTCOME, VALUE_WHEN, MR_OUTCOME_HANGUP_BEFORE},
    {"hang", OP_OUTCOME, VALUE_WHEN, MR_OUTCOME_HANG_BEFORE},
    {"truncate", OP_OUTCOME, VALUE_NONE, MR_OUTCOME_TRUNCATE},
    {"malformed", OP_OUTCOME, VALUE_NONE, MR_OUTCOME_MALFORMED},
    {"empty", OP_OUTCOME, VALUE_NONE, MR_OUTCOME_EMPTY},
    {"refusal", OP_OUTCOME, VALUE_NONE, MR_OUTCOME_REFUSAL},
    {"length", OP_OUTCOME, VALUE_NONE, MR_OUTCOME_LENGTH},
    {"html", OP_OUTCOME, VALUE_NONE, MR_OUTCOME_HTML},
};

static const char *const outcome_names[] = {
    [MR_OUTCOME_OK] = "ok",
    [MR_OUTCOME_ERROR] = "error",
    [MR_OUTCOME_QUOTA] = "quota",
    [MR_OUTCOME_HANGUP_BEFORE] = "hangup_before",
    [MR_OUTCOME_HANGUP_AFTER] = "hangup_after",
    [MR_OUTCOME_HANG_BEFORE] = "hang_before",
    [MR_OUTCOME_HANG_AFTER] = "hang_after",
    [MR_OUTCOME_TRUNCATE] = "truncate",
    [MR_OUTCOME_MALFORMED] = "malformed",
    [MR_OUTCOME_EMPTY] = "empty",
    [MR_OUTCOME_REFUSAL] = "refusal",
    [MR_OUTCOME_LENGTH] = "length",
    [MR_OUTCOME_HTML] = "html",
    [MR_OUTCOME_LIMITED] = "limited",
};

const char *mr_outcome_name(enum mr_outcome outcome)
{
    return outcome_names[outcome];
}

bool mr_outcome_billed(enum mr_outcome outcome)
{
    switch (outcome) {
    case MR_OUTCOME_ERROR:
    case MR_OUTCOME_QUOTA:
    case MR_OUTCOME_HANGUP_BEFORE:
    case MR_OUTCOME_HANG_BEFORE:
    case MR_OUTCOME_HTML:
    case MR_OUTCOME_LIMITED:
        return false;
    case MR_OUTCOME_OK:
    case MR_OUTCOME_HANGUP_AFTER:
    case MR_OUTCOME_HANG_AFTER:
    case MR_OUTCOME_TRUNCATE:
    case MR_OUTCOME_MALFORMED:
    case MR_OUTCOME_EMPTY:
    case MR_OUTCOME_REFUSAL:
    case MR_OUTCOME_LENGTH:
        break;
    }
    return true;
}

/* Reads a number from 0 to a billion and moves p behind it. */
static int number(const char **p, long *ret)
{
    char *end;
    if (**p < '0' || **p > '9')
        return -EINVAL;
    errno = 0;
    long value = strtol(*p, &end, 10);
    if (errno != 0 || value > 1000000000)
        return -EINVAL;
    *p = end;
    *ret = value;
    return 0;
}

/* REQUESTS/TOKENS[/SECONDS] */
static int rates_of(const char **p, struct mr_script_op *op)
{
    op->burst_s = 60;
    if (number(p, &op->value) != 0 || *(*p)++ != '/' || number(p, &op->upper) != 0)
        return -EINVAL;
    if (**p != '/')
        return 0;
    ++*p;
    return number(p, &op->burst_s) == 0 && op->burst_s > 0 && op->burst_s <= 60 ? 0 : -EINVAL;
}

static int value_of(enum value_kind kind, const char **p, struct mr_script_op *op)
{
    if (kind == VALUE_NONE)
        return 0;
    if (**p != '=')
        return -EINVAL;
    ++*p;
    if (kind == VALUE_WHEN) {
        bool after = strncmp(*p, "after", 5) == 0;
        if (!after && strncmp(*p, "before", 6) != 0)
            return -EINVAL;
        *p += after ? 5 : 6;
        op->value += after; /* the two outcomes follow each other */
        return 0;
    }
    if (kind == VALUE_RATES)
        return rates_of(p, op);
    if (op->kind == OP_OUTCOME)
        return number(p, &op->upper);
    if (number(p, &op->value) != 0)
        return -EINVAL;
    op->upper = op->value;
    if (kind != VALUE_RANGE || **p != '-')
        return 0;
    ++*p;
    return number(p, &op->upper) == 0 && op->upper >= op->value ? 0 : -EINVAL;
}

/* The optional "@percent" and "*count". */
static int limits_of(const char **p, struct mr_script_op *op)
{
    long percent = 100;
    if (**p == '@') {
        ++*p;
        if (number(p, &percent) != 0 || percent > 100)
            return -EINVAL;
    }
    op->percent = (int)percent;
    op->left = -1;
    if (**p != '*')
        return 0;
    ++*p;
    return number(p, &op->left);
}

static int parse_op(const char **p, struct mr_script_op *ret)
{
    size_t n = strspn(*p, "abcdefghijklmnopqrstuvwxyz_");
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strlen(table[i].name) != n || memcmp(table[i].name, *p, n) != 0)
            continue;
        *p += n;
        *ret = (struct mr_script_op){.kind = table[i].kind, .upper = 200};
        if (table[i].kind == OP_OUTCOME)
            ret->value = table[i].outcome;
        int r = value_of(table[i].value, p, ret);
        return r != 0 ? r : limits_of(p, ret);
    }
    return -EINVAL;
}

int mr_script_parse(const char *text, struct mr_script *ret, struct mr_err *err)
{
    struct mr_script script = {.nops = 0};
    const char *p = text;
    while (*p) {
        const char *start = p;
        if (script.nops == MR_SCRIPT_OPS)
            return mr_err_set(
                err, -EINVAL, MR_CLASS_INVALID, "more than %d operations", MR_SCRIPT_OPS);
        if (parse_op(&p, &script.ops[script.nops++]) != 0 || (*p && *p != '+'))
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "cannot read \"%s\"", start);
        if (*p == '+')
            p++;
    }
    *ret = script;
    return 0;
}

/* splitmix64: every request and operation its own well mixed number. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void mr_script_next(struct mr_script *script, uint64_t seed, struct mr_plan *ret)
{
    struct mr_plan plan = {.status = 200, .retry_after_s = -1, .cached_percent = -1};
    plan.output_tokens = -1;
    bool decided = false;
    uint64_t request = script->requests++;
    for (int i = 0; i < script->nops; i++) {
        struct mr_script_op *op = &script->ops[i];
        uint64_t chance = mix(seed ^ mix(request * MR_SCRIPT_OPS + (uint64_t)i));
        if (op->left == 0 || (int)(chance % 100) >= op->percent)
            continue;
        if (op->left > 0)
            op->left--;
        switch (op->kind) {
        case OP_DELAY:
            plan.delay_ms +=
                op->value + (long)((chance >> 32) % (uint64_t)(op->upper - op->value + 1));
            break;
        case OP_RETRY_AFTER:
            plan.retry_after_s = op->value;
            break;
        case OP_CACHED:
            plan.cached_percent = op->value < 100 ? op->value : 100;
            break;
        case OP_OUTPUT:
            plan.output_tokens = op->value;
            break;
        case OP_NOUSAGE:
            plan.no_usage = true;
            break;
        case OP_RATELIMIT:
            plan.requests_a_minute = op->value;
            plan.tokens_a_minute = op->upper;
            plan.burst_s = op->burst_s;
            break;
        default:
            if (decided)
                break;
            decided = true;
            plan.outcome = (enum mr_outcome)op->value;
            plan.status = (int)op->upper;
        }
    }
    if (plan.outcome == MR_OUTCOME_QUOTA)
        plan.status = 429;
    if (plan.outcome == MR_OUTCOME_HTML)
        plan.status = 502;
    *ret = plan;
}
