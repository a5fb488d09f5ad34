#include "common/err.h"
#include "common/json.h"
#include "tests/unit/test.h"

static void every_class_has_a_name(void)
{
    for (int i = 0; i < MR_CLASS_COUNT; i++)
        CHECK_INT(mr_class_parse(mr_class_name((enum mr_class)i)), i);
    CHECK_STR(mr_class_name(MR_CLASS_RATE_LIMITED), "rate_limited");
    CHECK_STR(mr_class_name(MR_CLASS_COUNT), "unknown");
    CHECK_INT(mr_class_parse("nonsense"), MR_CLASS_COUNT);
}

static void sets_and_prefixes(void)
{
    struct mr_err err;
    CHECK_INT(mr_err_set(&err, -5, MR_CLASS_INVALID, "a %d", 1), -5);
    CHECK_STR(err.msg, "a 1");
    CHECK_INT(err.class, MR_CLASS_INVALID);
    CHECK_INT(mr_err_prefix(&err, -6, "file %s", "x"), -6);
    CHECK_STR(err.msg, "file x: a 1");
    mr_err_set(&err, -1, MR_CLASS_SERVER, "again: %s", err.msg);
    CHECK_STR(err.msg, "again: file x: a 1");
    CHECK_INT(mr_err_set(NULL, -7, MR_CLASS_INVALID, "x"), -7);
    CHECK_INT(mr_err_prefix(NULL, -7, "x"), -7);
}

static void messages_are_one_line_of_utf8(void)
{
    struct mr_err err;
    mr_err_set(&err, -1, MR_CLASS_INVALID, "a\nb\x1b[0m\xff%s", "\xc3\xa9");
    CHECK_STR(err.msg, "a?b?[0m?\xc3\xa9");
}

static void long_messages_are_cut_between_characters(void)
{
    char text[2 * MR_ERR_MAX];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof(text); i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4);
        struct mr_err err;
        mr_err_set(&err, -1, MR_CLASS_INVALID, "%s", text);
        CHECK(strlen(err.msg) >= MR_ERR_MAX - 4);
        CHECK(mr_utf8_valid(err.msg, strlen(err.msg)));
        CHECK(!strchr(err.msg, '?'));
        mr_err_prefix(&err, -1, "%s", text);
        CHECK(mr_utf8_valid(err.msg, strlen(err.msg)));
        CHECK(!strchr(err.msg, '?'));
    }
}

TEST_MAIN(TEST(every_class_has_a_name), TEST(sets_and_prefixes),
    TEST(messages_are_one_line_of_utf8), TEST(long_messages_are_cut_between_characters))
