#include "common/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <limits.h>

static const char *format(int64_t ms)
{
    static char text[MR_TIME_LEN];
    mr_time_format(ms, text);
    return text;
}

static void formats(void)
{
    CHECK_STR(format(0), "1970-01-01T00:00:00.000Z");
    CHECK_STR(format(1795197600123), "2026-11-20T18:00:00.123Z");
    CHECK_STR(format(951782400000), "2000-02-29T00:00:00.000Z");
    CHECK_STR(format(-1), "1969-12-31T23:59:59.999Z");
    CHECK_STR(format(INT64_MAX), "9999-12-31T23:59:59.999Z");
    CHECK_STR(format(INT64_MIN), "0000-01-01T00:00:00.000Z");
}

static void parses_what_it_formats(void)
{
    for (int64_t ms = -62167219200000; ms < 253402300799999; ms += 86399999ll * 997) {
        int64_t back;
        CHECK_INT(mr_time_parse(format(ms), &back), 0);
        CHECK_INT(back, ms);
    }
}

static void parses_the_forms_of_rfc3339(void)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"2026-11-20T18:00:00Z", 1795197600000}, {"2026-11-20t18:00:00z", 1795197600000},
        {"2026-11-20 18:00:00.5Z", 1795197600500}, {"2026-11-20T20:30:00+02:30", 1795197600000},
        {"2026-11-20T17:00:00.1239999-01:00", 1795197600123}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t ms;
        CHECK_INT(mr_time_parse(good[i].text, &ms), 0);
        CHECK_INT(ms, good[i].ms);
    }
}

static void refuses_other_times(void)
{
    static const char *const bad[] = {"", "2026", "2026-11-20", "2026-11-20T18:00:00",
        "2026-13-20T18:00:00Z", "2026-02-29T18:00:00Z", "2026-00-01T18:00:00Z",
        "2026-11-31T18:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T18:60:00Z",
        "2026-11-20T18:00:61Z", "2026-11-20T18:00:00.Z", "2026-11-20T18:00:00Zx",
        "2026-11-20T18:00:00+2:00", "2026-11-20T18:00:00+24:00", "-026-11-20T18:00:00Z",
        "26-11-20T18:00:00Z", "tomorrow"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ms = 77;
        CHECK_INT(mr_time_parse(bad[i], &ms), -EINVAL);
        CHECK_INT(ms, 77);
    }
}

static void parses_durations(void)
{
    static const struct {
        const char *text;
        int r;
        int64_t ms;
    } cases[] = {{"250ms", 0, 250}, {"30s", 0, 30000}, {"10m", 0, 600000}, {"2h", 0, 7200000},
        {"7d", 0, 604800000}, {"0s", 0, 0}, {"", -EINVAL, 0}, {"5", -EINVAL, 0}, {"s", -EINVAL, 0},
        {"-5s", -EINVAL, 0}, {"1.5s", -EINVAL, 0}, {"5 s", -EINVAL, 0}, {"5sec", -EINVAL, 0},
        {"99999999999999999999s", -ERANGE, 0}, {"9223372036854775807d", -ERANGE, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = 0;
        CHECK_INT(mr_duration_parse(cases[i].text, &ms), cases[i].r);
        CHECK_INT(ms, cases[i].ms);
    }
}

static void the_system_clock_moves(void)
{
    struct mr_clock clock = mr_clock_system();
    CHECK(mr_wall_ms(&clock) > 1700000000000);
    int64_t a = clock.mono_ns(clock.ctx), b = clock.mono_ns(clock.ctx);
    CHECK(b >= a);
    CHECK(mr_mono_ms(&clock) >= a / 1000000);
}

static void random_is_below_its_limit(void)
{
    struct mr_random random = mr_random_system();
    int seen[7] = {0};
    for (int i = 0; i < 700; i++)
        seen[mr_random_below(&random, 7)]++;
    for (int i = 0; i < 7; i++)
        CHECK(seen[i] > 0);
    CHECK_INT(mr_random_below(&random, 1), 0);
}

TEST_MAIN(TEST(formats), TEST(parses_what_it_formats), TEST(parses_the_forms_of_rfc3339),
    TEST(refuses_other_times), TEST(parses_durations), TEST(the_system_clock_moves),
    TEST(random_is_below_its_limit))
