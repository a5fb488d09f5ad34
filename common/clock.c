#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define DAY_MS 86400000ll
#define MIN_MS (-62167219200000ll) /* 0000-01-01T00:00:00.000Z */
#define MAX_MS 253402300799999ll   /* 9999-12-31T23:59:59.999Z */

static int64_t system_wall_ms(void *ctx)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_mono_ns(void *ctx)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void system_fill(void *ctx, void *bytes, size_t n)
{
    char *p = bytes;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        p += got;
        n -= (size_t)got;
    }
}

struct mr_clock mr_clock_system(void)
{
    return (struct mr_clock){.wall_ms = system_wall_ms, .mono_ns = system_mono_ns};
}

struct mr_random mr_random_system(void)
{
    return (struct mr_random){.fill = system_fill};
}

uint64_t mr_random_below(const struct mr_random *random, uint64_t limit)
{
    assert(limit > 0);
    uint64_t first_fair = -limit % limit; /* 2^64 mod limit: below it some values come once more */
    uint64_t x;
    do {
        random->fill(random->ctx, &x, sizeof(x));
    } while (x < first_fair);
    return x % limit;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar, and back. A year is counted from
 * March, so that the leap day is its last. */
static int64_t days_of_date(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of_days(int64_t days, int *ret_y, int *ret_m, int *ret_d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *ret_d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *ret_m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret_y = (int)(yoe + era * 400 + (*ret_m <= 2));
}

static void put_digits(char *to, int width, int value)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
}

void mr_time_format(int64_t wall_ms, char ret[static MR_TIME_LEN])
{
    if (wall_ms < MIN_MS)
        wall_ms = MIN_MS;
    if (wall_ms > MAX_MS)
        wall_ms = MAX_MS;
    int64_t days = wall_ms / DAY_MS, rest = wall_ms % DAY_MS;
    if (rest < 0) {
        rest += DAY_MS;
        days--;
    }
    int y, m, d, ms = (int)rest;
    date_of_days(days, &y, &m, &d);
    memcpy(ret, "0000-00-00T00:00:00.000Z", MR_TIME_LEN);
    put_digits(ret, 4, y);
    put_digits(ret + 5, 2, m);
    put_digits(ret + 8, 2, d);
    put_digits(ret + 11, 2, ms / 3600000);
    put_digits(ret + 14, 2, ms / 60000 % 60);
    put_digits(ret + 17, 2, ms / 1000 % 60);
    put_digits(ret + 20, 3, ms % 1000);
}

/* Reads exactly `width` digits and moves *s behind them. */
static bool take_digits(const char **s, int width, int *ret)
{
    int v = 0;
    for (int i = 0; i < width; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        v = v * 10 + (**s - '0');
    }
    *ret = v;
    return true;
}

static bool take_char(const char **s, const char *set)
{
    if (**s == '\0' || !strchr(set, **s))
        return false;
    (*s)++;
    return true;
}

static int days_in_month(int y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return days[m - 1] + (m == 2 && leap);
}

static bool take_date(const char **s, int64_t *ret_days)
{
    int y, m, d;
    if (!take_digits(s, 4, &y) || !take_char(s, "-") || !take_digits(s, 2, &m) ||
        !take_char(s, "-") || !take_digits(s, 2, &d))
        return false;
    if (m < 1 || m > 12 || d < 1 || d > days_in_month(y, m))
        return false;
    *ret_days = days_of_date(y, m, d);
    return true;
}

static bool take_time(const char **s, int64_t *ret_ms)
{
    int h, m, sec, ms = 0;
    if (!take_digits(s, 2, &h) || !take_char(s, ":") || !take_digits(s, 2, &m) ||
        !take_char(s, ":") || !take_digits(s, 2, &sec) || h > 23 || m > 59 || sec > 59)
        return false;
    if (take_char(s, ".")) {
        int digits = 0;
        for (; **s >= '0' && **s <= '9'; (*s)++, digits++)
            if (digits < 3)
                ms = ms * 10 + (**s - '0');
        if (digits == 0)
            return false;
        for (; digits < 3; digits++)
            ms *= 10;
    }
    *ret_ms = ((int64_t)h * 3600 + m * 60 + sec) * 1000 + ms;
    return true;
}

static bool take_offset(const char **s, int64_t *ret_ms)
{
    if (take_char(s, "Zz")) {
        *ret_ms = 0;
        return true;
    }
    int sign = **s == '-' ? -1 : 1, h, m;
    if (!take_char(s, "+-") || !take_digits(s, 2, &h) || !take_char(s, ":") ||
        !take_digits(s, 2, &m) || h > 23 || m > 59)
        return false;
    *ret_ms = sign * ((int64_t)h * 60 + m) * 60000;
    return true;
}

int mr_time_parse(const char *s, int64_t *ret_wall_ms)
{
    int64_t days, time, offset;
    if (!take_date(&s, &days) || !take_char(&s, "Tt ") || !take_time(&s, &time) ||
        !take_offset(&s, &offset) || *s != '\0')
        return -EINVAL;
    *ret_wall_ms = days * DAY_MS + time - offset;
    return 0;
}

int mr_date_parse(const char *s, int64_t *ret_wall_ms)
{
    char full[64];
    if (mr_time_parse(s, ret_wall_ms) == 0)
        return 0;
    int n = snprintf(full, sizeof(full), "%sT00:00:00Z", s);
    return n < 0 || (size_t)n >= sizeof(full) ? -EINVAL : mr_time_parse(full, ret_wall_ms);
}

int mr_duration_parse(const char *s, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", DAY_MS}};
    int64_t v = 0;
    bool over = false;
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++)
        over |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v);
    if (p == s)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(p, units[i].unit) != 0)
            continue;
        int64_t ms;
        if (over || __builtin_mul_overflow(v, units[i].ms, &ms))
            return -ERANGE;
        *ret_ms = ms;
        return 0;
    }
    return -EINVAL;
}
