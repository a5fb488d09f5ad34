#include "producer/options.h"
#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64
#define SLIP_MAX 2   /* edits between a typo and what was meant */
#define WORD_MAX 32u /* longer words are not compared */

/* ---- the nearest word ---- */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Insertions, deletions, changes and swaps of neighbours, each one edit. */
static size_t edits(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t na = strlen(a), nb = strlen(b);
    if (na > WORD_MAX || nb > WORD_MAX)
        return WORD_MAX;
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++) {
        before[j] = 0;
        last[j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[nb];
}

const char *mr_nearest(const char *word, const char *const *words)
{
    const char *best = NULL;
    size_t best_edits = SLIP_MAX + 1, n = strlen(word);
    for (; *words; words++) {
        size_t d = edits(word, *words);
        if (n >= 3 && strncmp(word, *words, n) == 0)
            d = 1; /* a word cut short */
        if (d < best_edits && d < n) {
            best = *words;
            best_edits = d;
        }
    }
    return best;
}

/* ---- parsing ---- */

static const struct mr_option *find(
    const struct mr_option *const *tables, const char *name, size_t n, char letter)
{
    for (; *tables; tables++)
        for (const struct mr_option *o = *tables; o->name; o++)
            if (letter ? o->letter == letter : strlen(o->name) == n && !memcmp(o->name, name, n))
                return o;
    return NULL;
}

static int unknown(
    const struct mr_option *const *tables, const char *name, size_t n, struct mr_err *err)
{
    const char *names[NAMES_MAX + 1];
    size_t count = 0;
    for (; *tables; tables++)
        for (const struct mr_option *o = *tables; o->name && count < NAMES_MAX; o++)
            names[count++] = o->name;
    names[count] = NULL;
    char word[WORD_MAX + 1] = "";
    if (n <= WORD_MAX)
        memcpy(word, name, n);
    const char *near = mr_nearest(word, names);
    if (near)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "unknown option --%.*s; did you mean --%s?", (int)n, name, near);
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "unknown option --%.*s", (int)n, name);
}

static bool is_choice(const char *choices, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = choices; n; p++) {
        size_t len = strcspn(p, "|");
        if (len == n && memcmp(p, word, n) == 0)
            return true;
        p += len;
        if (!*p)
            break;
    }
    return false;
}

static int read_int(const struct mr_option *o, const char *text, int64_t *ret, struct mr_err *err)
{
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < o->min || v > o->max)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "--%s %s: must be a whole number from %lld to %lld", o->name, text, (long long)o->min,
            (long long)o->max);
    *ret = v;
    return 0;
}

static int add(
    struct mr_args *args, const struct mr_option *o, const char *text, struct mr_err *err)
{
    struct mr_arg arg = {.option = o, .text = text};
    if (!o->many && o->type != MR_OPT_FLAG && mr_args_has(args, o->name))
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "--%s is given twice; it takes one value", o->name);
    if (o->type == MR_OPT_INT) {
        int r = read_int(o, text, &arg.number, err);
        if (r < 0)
            return r;
    } else if (o->type == MR_OPT_CHOICE && !is_choice(o->choices, text)) {
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "--%s %s: must be one of %s", o->name,
            text, o->choices);
    } else if (o->type == MR_OPT_DURATION && mr_duration_parse(text, &arg.number) < 0) {
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "--%s %s: must be a duration such as 500ms, 30s, 10m or 2h", o->name, text);
    }
    args->given[args->ngiven++] = arg;
    return 0;
}

/* One option word and perhaps its value: returns how many words it took, or negative. */
static int take(struct mr_args *args, int left, char **argv, struct mr_err *err)
{
    const char *word = argv[0], *value = NULL, *name = word + 2;
    const struct mr_option *o;
    if (word[1] == '-') {
        size_t n = strcspn(name, "=");
        o = find(args->tables, name, n, 0);
        if (!o)
            return unknown(args->tables, name, n, err);
        value = name[n] ? name + n + 1 : NULL;
    } else {
        o = find(args->tables, NULL, 0, word[1]);
        if (!o)
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "unknown option %s", word);
        value = word[2] ? word + 2 : NULL;
    }
    if (o->type == MR_OPT_FLAG) {
        if (value)
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "--%s takes no value", o->name);
        int r = add(args, o, NULL, err);
        return r < 0 ? r : 1;
    }
    int words = 1;
    if (!value) {
        if (left < 2)
            return mr_err_set(
                err, -EINVAL, MR_CLASS_INVALID, "--%s needs a value: %s", o->name, o->arg);
        value = argv[1];
        words = 2;
    }
    int r = add(args, o, value, err);
    return r < 0 ? r : words;
}

int mr_args_parse(int argc, char **argv, const struct mr_option *const *tables, struct mr_args *ret,
    struct mr_err *err)
{
    size_t room = (size_t)argc + 1;
    struct mr_args args = {.tables = tables};
    args.given = calloc(room, sizeof(*args.given));
    args.operands = calloc(room, sizeof(*args.operands));
    int r = 0;
    if (!args.given || !args.operands)
        r = mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    bool options = true;
    for (int i = 0; i < argc && r >= 0;) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0) {
            options = false;
            i++;
        } else if (options && word[0] == '-' && word[1]) {
            r = take(&args, argc - i, argv + i, err);
            i += r > 0 ? r : 0;
        } else {
            args.operands[args.noperands++] = word;
            i++;
        }
    }
    if (r < 0) {
        mr_args_deinit(&args);
        return r;
    }
    *ret = args;
    return 0;
}

void mr_args_deinit(struct mr_args *args)
{
    free(args->given);
    free(args->operands);
    *args = (struct mr_args){0};
}

/* ---- reading ---- */

static const struct mr_arg *last(const struct mr_args *args, const char *name)
{
    assert(find(args->tables, name, strlen(name), 0));
    for (size_t i = args->ngiven; i-- > 0;)
        if (strcmp(args->given[i].option->name, name) == 0)
            return &args->given[i];
    return NULL;
}

bool mr_args_has(const struct mr_args *args, const char *name)
{
    return last(args, name) != NULL;
}

const char *mr_args_text(const struct mr_args *args, const char *name, const char *fallback)
{
    const struct mr_arg *arg = last(args, name);
    return arg ? arg->text : fallback;
}

int64_t mr_args_number(const struct mr_args *args, const char *name, int64_t fallback)
{
    const struct mr_arg *arg = last(args, name);
    return arg ? arg->number : fallback;
}

const char *mr_args_nth(const struct mr_args *args, const char *name, size_t i)
{
    for (size_t k = 0; k < args->ngiven; k++)
        if (strcmp(args->given[k].option->name, name) == 0 && i-- == 0)
            return args->given[k].text;
    return NULL;
}

/* What the database and four digits of a year can both hold. */
#define TIME_MIN_MS 946684800000ll   /* 2000-01-01 */
#define TIME_END_MS 32503680000000ll /* 3000-01-01 */

int mr_args_time(const struct mr_args *args, const char *name, int64_t now_ms, int sign,
    int64_t fallback, int64_t *ret_ms, struct mr_err *err)
{
    const struct mr_arg *arg = last(args, name);
    int64_t ms;
    if (!arg) {
        *ret_ms = fallback;
        return 0;
    }
    int r = mr_duration_parse(arg->text, &ms);
    if (r == -ERANGE || (r == 0 && __builtin_add_overflow(now_ms, sign * ms, &ms)))
        ms = INT64_MAX;
    else if (r < 0 && mr_date_parse(arg->text, &ms) < 0)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "--%s %s: must be a time such as 2030-01-31T18:00:00Z, a date or a duration such as 2h",
            name, arg->text);
    if (ms < TIME_MIN_MS || ms >= TIME_END_MS)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "--%s %s: must be in one of the years 2000 to 2999", name, arg->text);
    *ret_ms = ms;
    return 0;
}
