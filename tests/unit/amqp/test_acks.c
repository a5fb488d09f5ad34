#include "tests/unit/test.h"
#include "worker/io/acks.h"

struct sent {
    char text[512];
    int fail;
};

static int record(void *ctx, uint64_t tag, bool multiple, bool requeue)
{
    struct sent *sent = ctx;
    size_t n = strlen(sent->text);
    snprintf(sent->text + n, sizeof(sent->text) - n, "%s%llu%s ", requeue ? "-" : "",
        (unsigned long long)tag, multiple ? "*" : "");
    return sent->fail;
}

static void check_flush(struct mr_acks *acks, const char *expected)
{
    struct sent sent = {0};
    CHECK_INT(mr_acks_flush(acks, record, &sent), 0);
    CHECK_STR(sent.text, expected);
}

static void fill(struct mr_acks *acks, uint64_t first, uint64_t last)
{
    for (uint64_t tag = first; tag <= last; tag++)
        CHECK_INT(mr_acks_add(acks, tag), 0);
}

static void prefix_is_one_frame(void)
{
    struct mr_acks acks = {0};
    fill(&acks, 1, 300);
    check_flush(&acks, "");
    for (uint64_t tag = 200; tag >= 1; tag--)
        mr_acks_want(&acks, tag, false);
    check_flush(&acks, "200* ");
    CHECK_INT(acks.count, 100);
    mr_acks_want(&acks, 201, false);
    check_flush(&acks, "201 ");
    mr_acks_deinit(&acks);
}

static void never_acks_what_is_held(void)
{
    struct mr_acks acks = {0};
    fill(&acks, 1, 6);
    mr_acks_want(&acks, 2, false);
    mr_acks_want(&acks, 3, false);
    mr_acks_want(&acks, 5, true);
    check_flush(&acks, "2 3 -5 ");
    mr_acks_want(&acks, 1, false);
    mr_acks_want(&acks, 4, false);
    check_flush(&acks, "4* "); /* 2, 3 are settled: only 1 and 4 are meant */
    mr_acks_want(&acks, 6, true);
    check_flush(&acks, "-6 ");
    CHECK_INT(acks.count, 0);
    mr_acks_deinit(&acks);
}

static void ignores_strangers(void)
{
    struct mr_acks acks = {0};
    mr_acks_want(&acks, 7, false);
    fill(&acks, 10, 11);
    mr_acks_want(&acks, 9, false);
    mr_acks_want(&acks, 12, true);
    mr_acks_want(&acks, 10, false);
    mr_acks_want(&acks, 10, true); /* twice: the first counts */
    check_flush(&acks, "10 ");
    mr_acks_want(&acks, 10, false);
    check_flush(&acks, "");
    mr_acks_clear(&acks);
    mr_acks_want(&acks, 11, false);
    check_flush(&acks, "");
    mr_acks_deinit(&acks);
}

static void stops_on_failure(void)
{
    struct mr_acks acks = {0};
    struct sent sent = {.fail = -5};
    fill(&acks, 1, 3);
    mr_acks_want(&acks, 2, false);
    mr_acks_want(&acks, 3, false);
    CHECK_INT(mr_acks_flush(&acks, record, &sent), -5);
    CHECK_STR(sent.text, "2 ");
    mr_acks_deinit(&acks);
}

TEST_MAIN(TEST(prefix_is_one_frame), TEST(never_acks_what_is_held), TEST(ignores_strangers),
    TEST(stops_on_failure))
