#include "common/json.h"
#include "tests/unit/test.h"

#include <errno.h>

static int parse(const char *text, size_t n, unsigned depth, struct mr_err *err)
{
    json_t *value MR_CLEANUP(mr_json_decrefp) = NULL;
    int r = mr_json_parse(text, n, depth, &value, err);
    CHECK(r == 0 ? value != NULL : value == NULL);
    return r;
}

static void accepts_json(void)
{
    static const char *const good[] = {"0", "\"x\"", "null", " [1,2] \n", "{\"a\":{\"b\":[]}}",
        "\"\\\"[[[[[[[[\\\\\"", "\"\xc3\xa9\"", "[1e3,-0.5,9223372036854775807]"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK_INT(parse(good[i], strlen(good[i]), 3, NULL), 0);
}

static void refuses_what_is_not(void)
{
    static const char *const bad[] = {"", " \n\t", "{", "[1,]", "{\"a\":1}x", "{\"a\":1}{}", "nul",
        "'a'", "\"a", "{\"a\":1,\"a\":2}", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\\u0000\"",
        "{\"a\\u0000b\":1}", "\"a\nb\"", "99999999999999999999", "NaN", "\xef\xbb\xbf{}",
        "\"\\ud800\"", "]", "[\"\\\"]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mr_err err;
        CHECK_INT(parse(bad[i], strlen(bad[i]), 3, &err), -EINVAL);
        CHECK_INT(err.class, MR_CLASS_INVALID);
    }
    CHECK_INT(parse("{}\0", 3, 3, NULL), -EINVAL);
    CHECK_INT(parse("\0", 1, 3, NULL), -EINVAL);
    CHECK_INT(parse("\"a\0b\"", 5, 3, NULL), -EINVAL);
}

static void says_where_and_quotes_nothing(void)
{
    struct mr_err err;
    const char *text = "{\"a\":\n  topsecret}";
    CHECK_INT(parse(text, strlen(text), 3, &err), -EINVAL);
    CHECK(strstr(err.msg, "line 2"));
    CHECK(!strstr(err.msg, "topsecret"));
}

static void counts_depth(void)
{
    struct mr_err err;
    CHECK_INT(parse("1", 1, 0, &err), 0);
    CHECK_INT(parse("[]", 2, 0, &err), -EINVAL);
    CHECK_INT(parse("[{}]", 4, 2, &err), 0);
    CHECK_INT(parse("[\n[{}]]", 7, 2, &err), -EINVAL);
    CHECK_STR(err.msg, "JSON nested deeper than 2 levels at line 2 column 2");
    CHECK_INT(parse("[[],[],[]]", 10, 2, &err), 0);
}

static void a_million_brackets_cost_nothing(void)
{
    size_t n = 1000000;
    char *deep = malloc(n);
    CHECK(deep);
    memset(deep, '[', n);
    CHECK_INT(parse(deep, n, 8, NULL), -EINVAL);
    memset(deep, '\\', n);
    deep[0] = '"';
    CHECK_INT(parse(deep, n, 8, NULL), -EINVAL);
    free(deep);
}

static void dumps(void)
{
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(20);
    json_t *value MR_CLEANUP(mr_json_decrefp) = json_pack("{s:[i,s]}", "a", 1, "\xc3\xa9");
    CHECK_INT(mr_buf_puts(&buf, "x="), 0);
    CHECK_INT(mr_json_dump(value, &buf), 0);
    CHECK_STR(buf.data, "x={\"a\":[1,\"\xc3\xa9\"]}");
    CHECK_INT(mr_json_dump(value, &buf), -EMSGSIZE);
    CHECK_STR(buf.data, "x={\"a\":[1,\"\xc3\xa9\"]}");
}

static void cuts_utf8_between_characters(void)
{
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"; /* a, e acute, euro, a face */
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (size_t max = 0; max < 12; max++)
        CHECK_INT(mr_utf8_prefix(text, 10, max), want[max]);
    CHECK_INT(mr_utf8_prefix_chars(text, 10, 2), 3);
    CHECK_INT(mr_utf8_prefix_chars(text, 10, 99), 10);
    CHECK_INT(mr_utf8_prefix_chars(text, 9, 99), 6);
    CHECK_INT(mr_utf8_prefix("0123456789abcdefgh\xff", 19, 19), 18);
}

static void knows_valid_utf8(void)
{
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80",
        "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82",
        "a\xff", "\xc3("};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!mr_utf8_valid(bad[i], strlen(bad[i])));
    CHECK(mr_utf8_valid("", 0));
    CHECK(mr_utf8_valid("a\0b", 3));
    CHECK(mr_utf8_valid("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10));
}

TEST_MAIN(TEST(accepts_json), TEST(refuses_what_is_not), TEST(says_where_and_quotes_nothing),
    TEST(counts_depth), TEST(a_million_brackets_cost_nothing), TEST(dumps),
    TEST(cuts_utf8_between_characters), TEST(knows_valid_utf8))
