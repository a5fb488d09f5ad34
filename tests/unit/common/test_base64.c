#include "common/base64.h"
#include "tests/unit/test.h"

#include <errno.h>

static void knows_the_vectors_of_rfc4648(void)
{
    static const char *const cases[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
        {"\xff\xfe\xfd", "//79"}, {"\xfb\xef\xbe", "++++"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(100);
        CHECK_INT(mr_buf_puts(&buf, "x"), 0);
        CHECK_INT(mr_base64_encode(cases[i][0], strlen(cases[i][0]), &buf), 0);
        CHECK_STR(buf.data + 1, cases[i][1]);
        char *bytes;
        size_t n;
        CHECK_INT(mr_base64_decode(cases[i][1], strlen(cases[i][1]), &bytes, &n), 0);
        CHECK_INT(n, strlen(cases[i][0]));
        CHECK_STR(bytes, cases[i][0]);
        free(bytes);
    }
}

static void refuses_anything_else(void)
{
    static const char *const bad[] = {"Z", "Zg",
        "Zg=", "Zg===", "====", "=Zg=", "Zg==Zg==", "Z===", "Zm9v\n", "Zm 9", "Zm9-", "Zm9_",
        "Zm\xc3\xa9", "Zm=v", "Zm9vZ=g="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *bytes = NULL;
        size_t n;
        CHECK_INT(mr_base64_decode(bad[i], strlen(bad[i]), &bytes, &n), -EINVAL);
        CHECK(!bytes);
    }
}

static void keeps_the_buffers_maximum(void)
{
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(7);
    CHECK_INT(mr_base64_encode("foobar", 6, &buf), -EMSGSIZE);
    CHECK_INT(buf.len, 0);
    CHECK_INT(mr_base64_encode("foo", 3, &buf), 0);
    CHECK_STR(buf.data, "Zm9v");
}

TEST_MAIN(TEST(knows_the_vectors_of_rfc4648), TEST(refuses_anything_else),
    TEST(keeps_the_buffers_maximum))
