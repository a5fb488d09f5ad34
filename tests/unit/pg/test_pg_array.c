#include "common/pg.h"
#include "tests/unit/test.h"

#include <errno.h>

static void test_empty(void)
{
    struct mr_pg_array MR_CLEANUP(mr_pg_array_deinit) a;
    mr_pg_array_init(&a, MR_OID_INT4);
    int n = 0;
    const char *bytes = mr_pg_array_finish(&a, &n);
    CHECK_INT(n, 12);
    CHECK(memcmp(bytes, "\0\0\0\0\0\0\0\0\0\0\0\x17", 12) == 0);
}

static void test_items_and_nulls(void)
{
    struct mr_pg_array MR_CLEANUP(mr_pg_array_deinit) a;
    mr_pg_array_init(&a, MR_OID_TEXT);
    CHECK_INT(mr_pg_array_text(&a, "ab", 2), 0);
    CHECK_INT(mr_pg_array_text(&a, NULL, 0), 0);
    CHECK_INT(mr_pg_array_text(&a, "", 0), 0);
    int n = 0;
    const char *bytes = mr_pg_array_finish(&a, &n);
    static const char want[] = "\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\3\0\0\0\1"
                               "\0\0\0\2ab\xff\xff\xff\xff\0\0\0";
    CHECK_INT(n, sizeof(want));
    CHECK(memcmp(bytes, want, sizeof(want)) == 0);
}

static void test_first_item_null_and_reset(void)
{
    struct mr_pg_array MR_CLEANUP(mr_pg_array_deinit) a;
    mr_pg_array_init(&a, MR_OID_INT8);
    CHECK_INT(mr_pg_array_null(&a), 0);
    int n = 0;
    CHECK(mr_pg_array_finish(&a, &n));
    CHECK_INT(n, 24);
    mr_pg_array_reset(&a);
    CHECK_INT(mr_pg_array_int8(&a, -2), 0);
    const char *bytes = mr_pg_array_finish(&a, &n);
    CHECK_INT(n, 32);
    CHECK_INT(bytes[7], 0); /* no nulls any more */
    CHECK(memcmp(bytes + 20, "\0\0\0\x8\xff\xff\xff\xff\xff\xff\xff\xfe", 12) == 0);
}

static void test_maximum(void)
{
    struct mr_pg_array MR_CLEANUP(mr_pg_array_deinit) a;
    mr_pg_array_init(&a, MR_OID_TEXT);
    mr_buf_init(&a.buf, 64);
    char text[64] = {0};
    CHECK_INT(mr_pg_array_text(&a, text, 20), 0);
    CHECK_INT(mr_pg_array_text(&a, text, 40), -EMSGSIZE);
    CHECK_INT(mr_pg_array_text(&a, text, (size_t)1 << 40), -EMSGSIZE);
    CHECK_INT(a.count, 1);
}

TEST_MAIN(TEST(test_empty), TEST(test_items_and_nulls), TEST(test_first_item_null_and_reset),
    TEST(test_maximum))
