/* What millrace prices check says of a table. */
#include "producer/price_check.h"
#include "tests/unit/test.h"

#define DAY INT64_C(86400000)
#define NOW (1000 * DAY)

static struct mr_provider provider = {.name = (char[]){"acme"}};

static void check_models(const struct mr_price *items, size_t n, size_t fail, size_t ok)
{
    struct mr_model model = {
        .alias = (char[]){"a"}, .provider = &provider, .model = (char[]){"m-1"}};
    struct mr_model both[2] = {model, model};
    struct mr_config config = {.models = both, .nmodels = 2};
    struct mr_prices prices = {.items = (struct mr_price *)(uintptr_t)items, .count = n};
    struct mr_findings findings = {0};
    mr_price_check_models(&findings, &prices, &config, NOW);
    CHECK_INT(mr_findings_count(&findings, MR_LEVEL_FAIL), fail);
    CHECK_INT(mr_findings_count(&findings, MR_LEVEL_OK), ok);
    mr_findings_deinit(&findings);
}

static void missing_and_ending(void)
{
    const struct mr_price base = {.provider = "acme", .model = "m-*", .input = 1, .output = 1};
    struct mr_price other = base, ends = base, later = base, tier = base;
    snprintf(other.model, sizeof(other.model), "n-*");
    ends.to_ms = NOW + 29 * DAY;
    later.to_ms = NOW + 31 * DAY;
    tier.above_tokens = 1000;
    tier.to_ms = NOW + DAY;
    check_models(&base, 1, 0, 0);
    check_models(&other, 1, 1, 0);
    check_models(&ends, 1, 1, 0);
    check_models(&later, 1, 0, 0);
    check_models((struct mr_price[]){base, tier}, 2, 1, 0); /* long prompts become cheaper */
    later.from_ms = ends.to_ms;
    later.to_ms = 0;
    check_models((struct mr_price[]){ends, later}, 2, 0, 1);
    ends.to_ms = NOW - DAY; /* over already */
    check_models(&ends, 1, 1, 0);
}

static void check_rows(const struct mr_price *a, const struct mr_price *b, size_t warnings)
{
    struct mr_price items[] = {*a, *b};
    struct mr_prices prices = {.items = items, .count = 2};
    struct mr_findings findings = {0};
    mr_price_check_rows(&findings, &prices, NOW);
    CHECK_INT(findings.count, warnings);
    CHECK_INT(mr_findings_count(&findings, MR_LEVEL_WARN), warnings);
    mr_findings_deinit(&findings);
}

static void rows_against_each_other(void)
{
    const struct mr_price base = {.provider = "acme", .model = "m", .input = 10, .output = 1};
    struct mr_price later = base, ended = base, tier = base, other = base;
    later.from_ms = NOW - 10 * DAY;
    check_rows(&base, &later, 0); /* taken over from: no overlap */
    ended.to_ms = NOW + 5 * DAY;
    check_rows(&ended, &later, 1);
    ended.to_ms = later.from_ms;
    check_rows(&ended, &later, 0);
    tier.above_tokens = 100;
    tier.input = 5;
    check_rows(&tier, &later, 1);
    tier.from_ms = later.from_ms;
    check_rows(&tier, &later, 0); /* meant so */
    other.cached = 11;
    snprintf(other.model, sizeof(other.model), "x");
    check_rows(&base, &other, 1);
}

TEST_MAIN(TEST(missing_and_ending), TEST(rows_against_each_other))
