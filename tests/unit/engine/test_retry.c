#include "common/clock.h"
#include "tests/unit/test.h"
#include "worker/engine/retry.h"

static struct mr_config *config; /* of an empty file: the defaults */

static struct mr_random load(void)
{
    FILE *file = fopen("empty.cfg", "we");
    CHECK(file && fclose(file) == 0);
    CHECK(mr_config_load("empty.cfg", &config, NULL) == 0);
    return mr_random_system();
}

#define CHECK_WAIT(ms, at_least) CHECK((ms) >= (at_least) && (ms) <= (at_least) + (at_least) / 4)

static void each_class_has_its_tries(void)
{
    static const struct {
        enum mr_class class;
        int tries;
    } rules[] = {{MR_CLASS_RATE_LIMITED, 5}, {MR_CLASS_OVERLOADED, 4}, {MR_CLASS_NETWORK, 3},
        {MR_CLASS_AMBIGUOUS, 3}, {MR_CLASS_SERVER, 4}, {MR_CLASS_BAD_OUTPUT, 2}, {MR_CLASS_AUTH, 1},
        {MR_CLASS_QUOTA, 1}, {MR_CLASS_INVALID, 1}, {MR_CLASS_REFUSED, 1}, {MR_CLASS_INTERNAL, 1}};
    struct mr_random random = load();
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        int tries = 1;
        int64_t ms;
        while (mr_retry_delay(config, rules[i].class, tries, -1, &random, &ms))
            tries++;
        CHECK_INT(tries, rules[i].tries);
    }
}

static void waits_grow_to_a_maximum(void)
{
    struct mr_random random = load();
    int64_t ms;
    CHECK(mr_retry_delay(config, MR_CLASS_RATE_LIMITED, 1, -1, &random, &ms));
    CHECK_WAIT(ms, 1000);
    CHECK(mr_retry_delay(config, MR_CLASS_RATE_LIMITED, 4, -1, &random, &ms));
    CHECK_WAIT(ms, 8000);
    CHECK(mr_retry_delay(config, MR_CLASS_OVERLOADED, 3, -1, &random, &ms));
    CHECK_WAIT(ms, 4500);
    CHECK(mr_retry_delay(config, MR_CLASS_NETWORK, 2, -1, &random, &ms));
    CHECK_WAIT(ms, 1000);
}

static void the_provider_knows_best(void)
{
    struct mr_random random = load();
    int64_t ms;
    CHECK(mr_retry_delay(config, MR_CLASS_RATE_LIMITED, 1, 120000, &random, &ms));
    CHECK_INT(ms, 120000);
    /* but a Retry-After of nothing does not make us hammer it */
    CHECK(mr_retry_delay(config, MR_CLASS_RATE_LIMITED, 1, 0, &random, &ms));
    CHECK_WAIT(ms, 1000);
}

static void jitter_is_a_quarter_at_most(void)
{
    struct mr_random random = load();
    for (int i = 0; i < 1000; i++) {
        int64_t ms;
        CHECK(mr_retry_delay(config, MR_CLASS_RATE_LIMITED, 2, -1, &random, &ms));
        CHECK(ms >= 2000 && ms <= 2500);
    }
}

TEST_MAIN(TEST(each_class_has_its_tries), TEST(waits_grow_to_a_maximum),
    TEST(the_provider_knows_best), TEST(jitter_is_a_quarter_at_most))
