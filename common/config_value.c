/* The texts and numbers that rows are made of: parsing, formatting, printing. */
#include "common/config_value.h"
#include "common/clock.h"
#include "common/config_row.h"
#include "common/money.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024
#define PICO_PER_RATE 1000000 /* dollars per million tokens in pico-dollars / this = a rate */

int mr_strv_push(struct mr_strv *strv, const char *item, size_t n)
{
    char **items = reallocarray(strv->items, strv->count + 1, sizeof(*items));
    if (!items)
        return -ENOMEM;
    strv->items = items;
    items[strv->count] = strndup(item, n);
    if (!items[strv->count])
        return -ENOMEM;
    strv->count++;
    return 0;
}

void mr_strv_clear(struct mr_strv *strv)
{
    for (size_t i = 0; i < strv->count; i++)
        free(strv->items[i]);
    free(strv->items);
    *strv = (struct mr_strv){0};
}

int mr_choice_index(const char *choices, const char *text)
{
    size_t n = strlen(text);
    int index = 0;

    for (const char *c = choices; *c; index++) {
        size_t len = strcspn(c, "|");
        if (len == n && memcmp(c, text, n) == 0)
            return index;
        c += len + (c[len] == '|');
    }
    return -1;
}

static void choice_name(const char *choices, int index, char ret[static MR_ROW_NUMBER_LEN])
{
    const char *c = choices;

    for (int i = 0; i < index; i++)
        c += strcspn(c, "|") + 1;
    size_t n = strcspn(c, "|");
    assert(n < MR_ROW_NUMBER_LEN);
    memcpy(ret, c, n);
    ret[n] = '\0';
}

static int parse_integer(const char *text, const char **ret_end, int64_t *ret)
{
    if (!isdigit((unsigned char)text[0]) && text[0] != '-')
        return -EINVAL;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || end == text)
        return -EINVAL;
    *ret = v;
    *ret_end = end;
    return 0;
}

static int parse_size(const char *text, int64_t *ret)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    const char *end;
    int64_t v, factor = 1;

    int rc = parse_integer(text, &end, &v);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++, factor *= KIB)
        if (strcmp(end, units[i]) == 0)
            return __builtin_mul_overflow(v, factor, ret) ? -EINVAL : 0;
    return -EINVAL;
}

static int parse_rate(const char *text, int64_t *ret)
{
    int64_t pico;

    int rc = mr_money_parse(text, &pico);
    if (rc < 0 || pico % PICO_PER_RATE != 0)
        return -EINVAL;
    *ret = pico / PICO_PER_RATE;
    return 0;
}

/* "1.5" -> 150; finer than a per cent is refused. */
static int parse_factor(const char *text, int64_t *ret)
{
    const char *end;

    int rc = parse_integer(text, &end, ret);
    if (rc < 0 || *ret > INT32_MAX)
        return -EINVAL;
    int64_t digits = 0, scale = 100;
    for (end += *end == '.'; isdigit((unsigned char)*end) && scale > 1; end++) {
        scale /= 10;
        digits += (*end - '0') * scale;
    }
    *ret = *ret * 100 + digits;
    return *end ? -EINVAL : 0;
}

static int parse_bool(const char *text, int64_t *ret)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
        *ret = true;
    else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
        *ret = false;
    else
        return -EINVAL;
    return 0;
}

int mr_row_number(const struct mr_row *row, const char *text, int64_t *ret)
{
    const char *end;
    int64_t v;
    int rc;

    switch (row->type) {
    case MR_ROW_INT:
    case MR_ROW_LONG:
        rc = parse_integer(text, &end, &v);
        if (rc == 0 && *end)
            rc = -EINVAL;
        break;
    case MR_ROW_SIZE:
        rc = parse_size(text, &v);
        break;
    case MR_ROW_MS:
    case MR_ROW_LONG_MS:
        rc = mr_duration_parse(text, &v);
        break;
    case MR_ROW_SECONDS:
        rc = mr_duration_parse(text, &v);
        if (rc == 0 && v % 1000 != 0)
            rc = -EINVAL;
        v /= 1000;
        break;
    case MR_ROW_FACTOR:
        rc = parse_factor(text, &v);
        break;
    case MR_ROW_RATE:
        rc = parse_rate(text, &v);
        break;
    case MR_ROW_BOOL:
        rc = parse_bool(text, &v);
        break;
    case MR_ROW_ENUM:
        v = mr_choice_index(row->choices, text);
        rc = v < 0 ? -EINVAL : 0;
        break;
    default:
        assert(!"not a number");
        return -EINVAL;
    }
    if (rc < 0)
        return -EINVAL;
    *ret = v;
    return 0;
}

static void format_unit(int64_t v, const int64_t *factors, const char *const *units, size_t n,
    char ret[static MR_ROW_NUMBER_LEN])
{
    size_t i = n - 1;

    while (i > 0 && (v == 0 || v % factors[i] != 0))
        i--;
    snprintf(ret, MR_ROW_NUMBER_LEN, "%lld%s", (long long)(v / factors[i]), units[i]);
}

static void format_ms(int64_t ms, char ret[static MR_ROW_NUMBER_LEN])
{
    static const int64_t factors[] = {1, 1000, 60000, 3600000, 86400000};
    static const char *const units[] = {"ms", "s", "m", "h", "d"};

    if (ms == 0)
        snprintf(ret, MR_ROW_NUMBER_LEN, "0s");
    else
        format_unit(ms, factors, units, 5, ret);
}

static void format_rate(int64_t rate, char ret[static MR_ROW_NUMBER_LEN])
{
    snprintf(ret, MR_ROW_NUMBER_LEN, "%lld.%06lld", (long long)(rate / 1000000),
        (long long)(rate % 1000000));
    size_t n = strlen(ret);
    while (ret[n - 1] == '0')
        n--;
    ret[ret[n - 1] == '.' ? n - 1 : n] = '\0';
}

void mr_row_format(const struct mr_row *row, int64_t value, char ret[static MR_ROW_NUMBER_LEN])
{
    static const int64_t sizes[] = {1, KIB, KIB * KIB, KIB * KIB * KIB};
    static const char *const size_units[] = {"", "KiB", "MiB", "GiB"};

    switch (row->type) {
    case MR_ROW_SIZE:
        format_unit(value, sizes, size_units, 4, ret);
        break;
    case MR_ROW_MS:
    case MR_ROW_LONG_MS:
        format_ms(value, ret);
        break;
    case MR_ROW_SECONDS:
        format_ms(value * 1000, ret);
        break;
    case MR_ROW_FACTOR:
        snprintf(ret, MR_ROW_NUMBER_LEN, value % 10 ? "%lld.%02lld" : "%lld.%lld",
            (long long)(value / 100), (long long)(value % 100 / (value % 10 ? 1 : 10)));
        break;
    case MR_ROW_RATE:
        format_rate(value, ret);
        break;
    case MR_ROW_BOOL:
        snprintf(ret, MR_ROW_NUMBER_LEN, "%s", value ? "true" : "false");
        break;
    case MR_ROW_ENUM:
        choice_name(row->choices, (int)value, ret);
        break;
    default:
        snprintf(ret, MR_ROW_NUMBER_LEN, "%lld", (long long)value);
        break;
    }
}

void mr_config_quote(const char *s, FILE *out)
{
    putc('"', out);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fprintf(out, "\\%c", *s);
        else if (*s == '\n')
            fputs("\\n", out);
        else if ((unsigned char)*s < 0x20 || *s == 0x7f)
            fprintf(out, "\\x%02x", (unsigned)*s);
        else
            putc(*s, out);
    }
    putc('"', out);
}

char *mr_config_path(const char *dir, const char *path)
{
    char *joined;

    if (path[0] == '/' || !dir)
        return strdup(path);
    return asprintf(&joined, "%s/%s", dir, path) < 0 ? NULL : joined;
}
