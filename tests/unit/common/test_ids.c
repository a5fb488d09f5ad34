#include "common/ids.h"
#include "tests/unit/test.h"

#include <errno.h>

static void version_7_carries_the_time(void)
{
    struct mr_clock clock = mr_clock_system();
    struct mr_random random = mr_random_system();
    int64_t before = mr_wall_ms(&clock);
    struct mr_uuid id = mr_uuid7(&clock, &random), other = mr_uuid7(&clock, &random);
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    CHECK(ms >= before && ms <= mr_wall_ms(&clock));
    CHECK_INT(id.bytes[6] >> 4, 7);
    CHECK_INT(id.bytes[8] >> 6, 2);
    CHECK(!mr_uuid_equal(&id, &other));
}

static void version_8_depends_on_the_bytes_only(void)
{
    struct mr_uuid a = mr_uuid_of_bytes("abc", 3), b = mr_uuid_of_bytes("abc", 3);
    struct mr_uuid c = mr_uuid_of_bytes("abd", 3), none = mr_uuid_of_bytes("", 0);
    CHECK(mr_uuid_equal(&a, &b));
    CHECK(!mr_uuid_equal(&a, &c));
    CHECK(!mr_uuid_equal(&a, &none));
    char text[MR_UUID_LEN];
    mr_uuid_format(&a, text);
    CHECK_STR(text, "ba7816bf-8f01-8fea-8141-40de5dae2223");
}

static void formats_and_parses(void)
{
    struct mr_uuid id;
    char text[MR_UUID_LEN];
    CHECK_INT(mr_uuid_parse("019357AB-cdef-7123-89ab-0123456789AB", &id), 0);
    mr_uuid_format(&id, text);
    CHECK_STR(text, "019357ab-cdef-7123-89ab-0123456789ab");
}

static void refuses_other_text(void)
{
    static const char *const bad[] = {"", "019357ab", "019357abcdef712389ab0123456789ab",
        "019357ab-cdef-7123-89ab-0123456789a", "019357ab-cdef-7123-89ab-0123456789abc",
        "{019357ab-cdef-7123-89ab-0123456789ab}", "019357ag-cdef-7123-89ab-0123456789ab",
        "019357ab+cdef-7123-89ab-0123456789ab", " 19357ab-cdef-7123-89ab-0123456789ab"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mr_uuid id = {{7}};
        CHECK_INT(mr_uuid_parse(bad[i], &id), -EINVAL);
        CHECK_INT(id.bytes[0], 7);
    }
}

static void checks_names(void)
{
    struct mr_err err;
    char longest[MR_NAME_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[MR_NAME_MAX] = '\0';
    CHECK_INT(mr_name_check("tenant", "acme", &err), 0);
    CHECK_INT(mr_name_check("tenant", "0.A_b-c", &err), 0);
    CHECK_INT(mr_name_check("tenant", longest, &err), 0);
    longest[MR_NAME_MAX] = 'a';
    longest[MR_NAME_MAX + 1] = '\0';
    CHECK_INT(mr_name_check("tenant", longest, &err), -EINVAL);
    CHECK_STR(err.msg, "tenant: longer than 64 characters");
    CHECK_INT(mr_name_check("pipeline", "", &err), -EINVAL);
    CHECK_STR(err.msg, "pipeline: must not be empty");
    CHECK_INT(mr_name_check("tenant", "a\"b", &err), -EINVAL);
    CHECK(strstr(err.msg, "tenant: '\"' at position 2 is not allowed"));
    CHECK_INT(mr_name_check("tenant", "a\nb", &err), -EINVAL);
    CHECK(strstr(err.msg, "tenant: byte 0x0a at position 2"));
    CHECK_INT(mr_name_check("tenant", ".hidden", &err), -EINVAL);
    CHECK_INT(mr_name_check("tenant", "caf\xc3\xa9", &err), -EINVAL);
}

TEST_MAIN(TEST(version_7_carries_the_time), TEST(version_8_depends_on_the_bytes_only),
    TEST(formats_and_parses), TEST(refuses_other_text), TEST(checks_names))
