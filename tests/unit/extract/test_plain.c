#include "common/json.h"
#include "tests/unit/test.h"
#include "worker/extract/plain.h"
#include "worker/extract/text.h"

static void check_plain(const char *in, size_t n, const char *out)
{
    struct mr_text text;
    mr_text_init(&text, 1000);
    CHECK_INT(mr_text_plain(&text, in, n), 0);
    CHECK_STR(text.out.data ? text.out.data : "", out);
    mr_text_deinit(&text);
}

#define PLAIN(in, out) check_plain(in, sizeof(in) - 1, out)

static void test_plain(void)
{
    PLAIN("", "");
    PLAIN("a\r\nb\rc\nd", "a\nb\nc\nd");
    PLAIN("a\r\r\n\r", "a\n\n\n");
    PLAIN("\xef\xbb\xbf\xef\xbb\xbfx", "x");
    PLAIN("a\0b\x01"
          "c\x7f"
          "d\x1b",
        "abcd");
    PLAIN("a\fb", "a\n\nb");
    PLAIN("a \t b", "a \t b");
    PLAIN("\xc3\xa4\xff\xe2\x82\xac", "\xc3\xa4\xef\xbf\xbd\xe2\x82\xac");
    PLAIN("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd");
    PLAIN("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    PLAIN("a\xc2\x85"
          "b\xe2\x80\xa8"
          "c",
        "a\nb\nc");
    PLAIN("a\xc2\x90"
          "b\xef\xbf\xbf",
        "ab");
    PLAIN("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
}

static void test_words(void)
{
    struct mr_text text;
    mr_text_init(&text, 1000);
    mr_text_break(&text, 2);
    CHECK_INT(mr_text_words(&text, "  one \n", 7), 0);
    CHECK_INT(mr_text_words(&text, "two", 3), 0);
    CHECK_INT(mr_text_words(&text, "three", 5), 0);
    mr_text_break(&text, 1);
    mr_text_break(&text, 2);
    CHECK_INT(mr_text_words(&text,
                  " a\xc2\xa0\xe3\x80\x80"
                  "b\xc2\xad"
                  "c ",
                  11),
        0);
    CHECK_INT(mr_text_tab(&text), 0);
    CHECK_INT(mr_text_words(&text, " d ", 3), 0);
    mr_text_break(&text, 2);
    mr_text_finish(&text);
    CHECK_STR(text.out.data, "one twothree\n\na bc\td");
    mr_text_deinit(&text);
}

static void test_maximum(void)
{
    for (size_t max = 0; max < 12; max++) {
        struct mr_text text;
        mr_text_init(&text, max);
        int rc = mr_text_words(&text,
            "a\xc3\xb6 \xe2\x82\xac"
            "b",
            8);
        CHECK_INT(rc, max < 8 ? MR_TEXT_FULL : 0);
        CHECK_INT(text.truncated, max < 8);
        CHECK(text.out.len <= max);
        CHECK(mr_utf8_valid(text.out.data ? text.out.data : "", text.out.len));
        mr_text_deinit(&text);
    }
}

/* Whatever goes in, what comes out is clean. */
static void test_noise(void)
{
    unsigned state = 7;
    for (int round = 0; round < 2000; round++) {
        char noise[64];
        for (size_t i = 0; i < sizeof(noise); i++) {
            state = state * 1103515245u + 12345u;
            noise[i] = (char)(state >> 16);
        }
        struct mr_text text;
        mr_text_init(&text, 100);
        int rc = round % 2 ? mr_text_plain(&text, noise, sizeof(noise))
                           : mr_text_words(&text, noise, sizeof(noise));
        CHECK(rc >= 0);
        CHECK(mr_utf8_valid(text.out.data ? text.out.data : "", text.out.len));
        for (size_t i = 0; i < text.out.len; i++) {
            unsigned char c = (unsigned char)text.out.data[i];
            CHECK((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t');
        }
        mr_text_deinit(&text);
    }
}

static void test_types(void)
{
    CHECK_STR(mr_plain_type("text/plain", ""), "text/plain");
    CHECK_STR(mr_plain_type("text/plain", "md"), "text/markdown");
    CHECK_STR(mr_plain_type("", "txt"), "text/plain");
    CHECK_STR(mr_plain_type("text/html", "txt"), "text/html");
    CHECK(!mr_plain_type("text/plain", "pdf"));
    CHECK(!mr_plain_type("application/pdf", "pdf"));
    CHECK(!mr_plain_type("", ""));
    CHECK(mr_plain_looks_html(" \n<!DOCTYPE HTML PUBLIC>", 24));
    CHECK(mr_plain_looks_html("<!-- x --><?xml version='1.0'?><html lang=x>", 44));
    CHECK(!mr_plain_looks_html("<p>no page", 10));
    CHECK(!mr_plain_looks_html("<!-- ", 5));
    CHECK(!mr_plain_looks_html("", 0));
}

TEST_MAIN(
    TEST(test_plain), TEST(test_words), TEST(test_maximum), TEST(test_noise), TEST(test_types))
