#include "tests/unit/test.h"
#include "worker/engine/breaker.h"

static const struct mr_config_breaker config = {
    .failures = 5, .open_ms = 60000, .successes = 3, .probes = 3};

#define WHY ((struct mr_err){MR_CLASS_SERVER, "500"})
#define NO_KEY ((struct mr_err){MR_CLASS_AUTH, "401"})

/* One call at a time, each a letter: g(ood), b(ad), x (barred), n(o sign). Returns the states after
 * each: C, O, H; '-' where none was allowed. */
static const char *play(struct mr_breaker *breaker, int64_t now_ms, const char *calls)
{
    static char states[64];
    size_t n = 0;
    for (; calls[n]; n++) {
        unsigned period;
        if (!mr_breaker_allows(breaker, &config, now_ms)) {
            states[n] = '-';
            continue;
        }
        mr_breaker_enter(breaker, now_ms, &period);
        enum mr_verdict_of_call verdict = calls[n] == 'g'   ? MR_CALL_GOOD
                                          : calls[n] == 'b' ? MR_CALL_BAD
                                          : calls[n] == 'x' ? MR_CALL_BARRED
                                                            : MR_CALL_NO_SIGN;
        struct mr_err why = calls[n] == 'x' ? NO_KEY : WHY;
        mr_breaker_leave(breaker, &config, period, verdict, &why, now_ms);
        states[n] = "COH"[breaker->state];
    }
    states[n] = '\0';
    CHECK_INT(breaker->in_flight, 0);
    return states;
}

static void failures_in_a_row_open_it(void)
{
    static const struct {
        const char *calls, *states;
    } cases[] = {
        {"bbbbb", "CCCCO"},
        {"bbbbbb", "CCCCO-"},
        {"bbbbgbbbbb", "CCCCCCCCCO"}, /* one success, and they count anew */
        {"bbbbnb", "CCCCCO"},         /* what says nothing changes nothing */
        {"gx", "CO"},                 /* a credential is not better the second time */
        {"gggggggg", "CCCCCCCC"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mr_breaker breaker = {0};
        CHECK_STR(play(&breaker, 1000, cases[i].calls), cases[i].states);
    }
}

static void it_lets_a_few_through_after_its_time(void)
{
    static const struct {
        const char *calls, *states;
    } cases[] = {
        {"ggg", "HHC"},
        {"gggb", "HHCC"},
        {"ggb", "HHO"}, /* one failure is enough */
        {"nnnggg", "HHHHHC"},
        {"x", "O"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mr_breaker breaker = {0};
        play(&breaker, 1000, "bbbbb");
        CHECK_STR(play(&breaker, 60999, "g"), "-");
        CHECK_STR(play(&breaker, 61000, cases[i].calls), cases[i].states);
    }
}

static void only_so_many_at_once_when_half_open(void)
{
    struct mr_breaker breaker = {0};
    unsigned periods[3];
    play(&breaker, 0, "bbbbb");
    CHECK(mr_breaker_enter(&breaker, 60000, &periods[0]));
    CHECK(!mr_breaker_enter(&breaker, 60000, &periods[1]));
    CHECK(mr_breaker_allows(&breaker, &config, 60000));
    CHECK(!mr_breaker_enter(&breaker, 60000, &periods[2]));
    CHECK(!mr_breaker_allows(&breaker, &config, 60000));
    /* one comes back without having been sent: its place is free again */
    CHECK(!mr_breaker_leave(&breaker, &config, periods[0], MR_CALL_NO_SIGN, NULL, 60000));
    CHECK(mr_breaker_allows(&breaker, &config, 60000));
}

static void stragglers_say_nothing_new(void)
{
    struct mr_breaker breaker = {0};
    unsigned early[2], probe;
    mr_breaker_enter(&breaker, 0, &early[0]);
    mr_breaker_enter(&breaker, 0, &early[1]);
    for (int i = 0; i < 5; i++) {
        unsigned period;
        mr_breaker_enter(&breaker, 0, &period);
        mr_breaker_leave(&breaker, &config, period, MR_CALL_BAD, &WHY, 0);
    }
    CHECK_INT(breaker.state, MR_BREAKER_OPEN);
    CHECK(!mr_breaker_leave(&breaker, &config, early[0], MR_CALL_BAD, &WHY, 50000));
    CHECK_INT(breaker.until_ms, 60000); /* not prolonged */
    CHECK(mr_breaker_enter(&breaker, 60000, &probe));
    CHECK(!mr_breaker_leave(&breaker, &config, early[1], MR_CALL_BAD, &WHY, 60001));
    CHECK_INT(breaker.state, MR_BREAKER_HALF_OPEN);
    CHECK_INT(breaker.probes, 1);
    CHECK_INT(breaker.in_flight, 1);
}

static void health_opens_it_early(void)
{
    struct mr_breaker breaker = {0};
    CHECK_INT(mr_breaker_ask_ms(&breaker), INT64_MAX);
    play(&breaker, 1000, "bbbbb");
    CHECK_INT(mr_breaker_ask_ms(&breaker), 6000);
    breaker.asking = true;
    CHECK_INT(mr_breaker_ask_ms(&breaker), INT64_MAX);
    CHECK(!mr_breaker_asked(&breaker, false, 7000));
    CHECK_INT(mr_breaker_ask_ms(&breaker), 12000);
    CHECK(mr_breaker_asked(&breaker, true, 12000));
    CHECK_INT(breaker.state, MR_BREAKER_HALF_OPEN);
    CHECK_STR(play(&breaker, 12000, "ggg"), "HHC");
}

static void health_says_nothing_of_a_credential(void)
{
    struct mr_breaker breaker = {0};
    play(&breaker, 1000, "x");
    CHECK_INT(mr_breaker_ask_ms(&breaker), INT64_MAX);
    CHECK(!mr_breaker_asked(&breaker, true, 7000));
    CHECK_INT(breaker.state, MR_BREAKER_OPEN);
}

TEST_MAIN(TEST(failures_in_a_row_open_it), TEST(it_lets_a_few_through_after_its_time),
    TEST(only_so_many_at_once_when_half_open), TEST(stragglers_say_nothing_new),
    TEST(health_opens_it_early), TEST(health_says_nothing_of_a_credential))
