#include "worker/io/rate_headers.h"

#include "common/clock.h"

#include <string.h>
#include <strings.h>

#define COUNT_MAX INT64_C(1000000000000)
#define RESET_MAX_MS (366 * INT64_C(86400000))
#define MINUTE_MS 65000 /* and what a clock may be off */

static const struct {
    const char *word;
    enum mr_rate_unit unit;
} units[] = {
    {"requests", MR_RATE_REQUESTS},
    {"req-minute", MR_RATE_REQUESTS},
    {"requests-minute", MR_RATE_REQUESTS},
    {"tokens", MR_RATE_TOKENS},
    {"tokens-minute", MR_RATE_TOKENS},
    {"tokens_usage_based", MR_RATE_TOKENS_USAGE},
    {"tokens-usage-based", MR_RATE_TOKENS_USAGE},
    {"project-tokens", MR_RATE_TOKENS_PROJECT},
    {"input-tokens", MR_RATE_TOKENS_INPUT},
    {"tokens-prompt", MR_RATE_TOKENS_INPUT},
    {"output-tokens", MR_RATE_TOKENS_OUTPUT},
    {"tokens-generated", MR_RATE_TOKENS_OUTPUT},
};

enum part { LIMIT, REMAINING, RESET, PARTS };
static const char *const part_words[PARTS] = {"limit", "remaining", "reset"};

struct span {
    const char *at;
    size_t n;
};

static bool starts(struct span *s, const char *word)
{
    size_t n = strlen(word);
    if (s->n < n || strncasecmp(s->at, word, n) != 0)
        return false;
    s->at += n;
    s->n -= n;
    return true;
}

static bool ends(struct span *s, const char *word)
{
    size_t n = strlen(word);
    if (s->n < n || strncasecmp(s->at + s->n - n, word, n) != 0)
        return false;
    s->n -= n;
    return true;
}

static bool is(struct span s, const char *word)
{
    return starts(&s, word) && s.n == 0;
}

/* -1: none of those known. */
static int unit_of(struct span s)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (is(s, units[i].word))
            return (int)units[i].unit;
    return -1;
}

/* Takes the name apart. Returns the unit, or -1. */
static int parse_name(struct span s, enum part *ret_part)
{
    bool by_size = false;
    if (starts(&s, "anthropic-ratelimit-")) {
        for (size_t i = 0; i < PARTS; i++) {
            struct span unit = s;
            *ret_part = (enum part)i;
            if (ends(&unit, part_words[i]) && ends(&unit, "-"))
                return unit_of(unit);
        }
        return -1;
    }
    if (starts(&s, "x-ratelimitbysize-") || starts(&s, "ratelimitbysize-"))
        by_size = true;
    else if (!starts(&s, "x-ratelimit-"))
        return -1;
    for (size_t i = 0; i < PARTS; i++) {
        struct span unit = s;
        *ret_part = (enum part)i;
        if (!starts(&unit, part_words[i]))
            continue;
        if (by_size)
            return unit.n == 0 || is(unit, "-minute") ? MR_RATE_TOKENS : -1;
        return starts(&unit, "-") ? unit_of(unit) : -1;
    }
    return -1;
}

/* Reads digits and a fraction as thousandths, and moves on. -1: no number. */
static int64_t read_milli(const char **p)
{
    const char *s = *p;
    int64_t value = 0, unit = 100;
    if (*s < '0' || *s > '9')
        return -1;
    for (; *s >= '0' && *s <= '9'; s++)
        value = value > COUNT_MAX ? value : value * 10 + (*s - '0');
    value *= 1000;
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
            value += (*s - '0') * unit;
    *p = s;
    return value;
}

/* A count; -1 when it is none. Some gateways write "5000.0". */
static int64_t parse_count(const char *value)
{
    int64_t milli = read_milli(&value);
    return milli >= 0 && *value == '\0' && milli / 1000 <= COUNT_MAX ? milli / 1000 : -1;
}

/* Milliseconds of "6m0s", "1.5s", "12ms", "800us" and the like; -1 when it is none. */
static int64_t parse_go(const char *value)
{
    static const struct {
        const char *word;
        int64_t us;
    } scales[] = {
        {"ms", 1000}, {"us", 1}, {"ns", 0}, {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}};
    int64_t us = 0;
    while (*value) {
        int64_t milli = read_milli(&value);
        size_t i = 0, n = sizeof(scales) / sizeof(scales[0]);
        while (i < n && strncmp(value, scales[i].word, strlen(scales[i].word)) != 0)
            i++;
        if (milli < 0 || i == n)
            return -1;
        if (milli > RESET_MAX_MS || us > RESET_MAX_MS * 1000)
            return RESET_MAX_MS;
        us += milli * scales[i].us / 1000;
        value += strlen(scales[i].word);
    }
    return (us + 999) / 1000;
}

/* A plain number is seconds from now, unless it is so large that it can only be a Unix time, in
 * seconds or, larger still, in milliseconds. */
static int64_t parse_reset(const char *value, int64_t wall_ms)
{
    const char *end = value;
    int64_t at_ms, wait = read_milli(&end);
    if (wait >= 0 && *end == '\0') {
        if (wait / 1000 > INT64_C(100000000000))
            wait = wait / 1000 - wall_ms;
        else if (wait / 1000 > 1000000000)
            wait -= wall_ms;
    } else if (mr_time_parse(value, &at_ms) == 0) {
        wait = at_ms - wall_ms;
    } else {
        wait = *value ? parse_go(value) : -1;
        return wait > RESET_MAX_MS ? RESET_MAX_MS : wait;
    }
    return wait < 0 ? 0 : wait > RESET_MAX_MS ? RESET_MAX_MS : wait;
}

void mr_rate_seen_init(struct mr_rate_seen *seen)
{
    for (size_t i = 0; i < MR_RATE_UNITS; i++)
        seen->units[i] = MR_RATE_HEADERS_NONE;
}

void mr_rate_seen_note(
    struct mr_rate_seen *seen, const char *name, size_t n, const char *value, int64_t wall_ms)
{
    enum part part;
    int unit = parse_name((struct span){name, n}, &part);
    if (unit < 0)
        return;
    struct mr_rate_headers *to = &seen->units[unit];
    if (part == RESET)
        to->reset_ms = parse_reset(value, wall_ms);
    else
        *(part == LIMIT ? &to->limit : &to->remaining) = parse_count(value);
}

static bool useful(const struct mr_rate_headers *unit)
{
    return unit->limit > 0 || (unit->limit < 0 && unit->remaining > 0);
}

/* Whether a is nearer to its end than b: a smaller share of its limit is left. */
static bool nearer(const struct mr_rate_headers *a, const struct mr_rate_headers *b)
{
    if (a->limit < 0 || b->limit < 0 || a->remaining < 0 || b->remaining < 0)
        return a->remaining >= 0 && b->remaining >= 0 && a->remaining < b->remaining;
    return (__int128)a->remaining * b->limit < (__int128)b->remaining * a->limit;
}

static struct mr_rate_headers tell(const struct mr_rate_headers *unit)
{
    if (!unit)
        return MR_RATE_HEADERS_NONE;
    struct mr_rate_headers told = *unit;
    if (told.reset_ms > MINUTE_MS)
        told.limit = -1;
    return told;
}

void mr_rate_seen_read(const struct mr_rate_seen *seen, struct mr_rate_headers *ret_requests,
    struct mr_rate_headers *ret_tokens)
{
    const struct mr_rate_headers *requests = &seen->units[MR_RATE_REQUESTS], *best = NULL;
    for (size_t i = MR_RATE_TOKENS; i < MR_RATE_UNITS; i++)
        if (useful(&seen->units[i]) && (!best || nearer(&seen->units[i], best)))
            best = &seen->units[i];
    *ret_requests = tell(useful(requests) ? requests : NULL);
    *ret_tokens = tell(best);
}
