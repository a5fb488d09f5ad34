#include "producer/input.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void put_file(const char *name, const char *text, size_t n)
{
    FILE *f = fopen(name, "w");
    CHECK(f && fwrite(text, 1, n, f) == n && fclose(f) == 0);
}

/* Opens, reads everything up to max, closes. */
static int read_all(const char *path, size_t max, struct mr_buf *buf, struct mr_err *err)
{
    struct mr_input input;
    int r = mr_input_open(path, NULL, NULL, &input, err);
    if (r < 0)
        return r;
    *buf = MR_BUF_INIT(max);
    r = mr_input_all(&input, buf, err);
    mr_input_close(&input);
    return r;
}

static void reads_documents_up_to_the_limit(void)
{
    struct mr_buf buf;
    struct mr_err err;
    put_file("five", "12345", 5);
    CHECK_INT(read_all("five", 5, &buf, &err), 0);
    CHECK_INT(buf.len, 5);
    mr_buf_deinit(&buf);
    CHECK_INT(read_all("five", 4, &buf, &err), -EMSGSIZE);
    mr_buf_deinit(&buf);
    put_file("empty", "", 0);
    CHECK_INT(read_all("empty", 4, &buf, &err), -ENODATA);
    CHECK(strstr(err.msg, "is empty"));
    mr_buf_deinit(&buf);
    CHECK_INT(read_all(".", 4, &buf, &err), -EISDIR);
    CHECK_INT(read_all("missing", 4, &buf, &err), -ENOENT);
}

static void refuses_a_huge_file_unread(void)
{
    struct mr_buf buf;
    struct mr_err err;
    put_file("huge", "", 0);
    CHECK_INT(truncate("huge", 2ll << 30), 0);
    CHECK_INT(read_all("huge", 1 << 20, &buf, &err), -EMSGSIZE);
    CHECK(buf.cap == 0);
    mr_buf_deinit(&buf);
}

static void refuses_a_pipe_that_never_ends(void)
{
    struct mr_buf buf;
    struct mr_err err;
    CHECK_INT(read_all("/dev/zero", 100000, &buf, &err), -EMSGSIZE);
    CHECK(buf.len <= 100000);
    mr_buf_deinit(&buf);
}

static void check_line(struct mr_input *input, const char *want, int64_t number)
{
    struct mr_err err;
    const char *line;
    size_t n;
    CHECK_INT(mr_input_line(input, 10, &line, &n, &err), 1);
    CHECK_INT(n, strlen(want));
    CHECK(memcmp(line, want, n) == 0);
    CHECK_INT(input->line, number);
}

static void reads_lines(void)
{
    struct mr_input input;
    struct mr_err err;
    const char *line;
    size_t n;
    static const char text[] = "one\r\n\n1234567890\n12345678901\nlast";
    put_file("lines", text, sizeof(text) - 1);
    CHECK_INT(mr_input_open("lines", NULL, NULL, &input, &err), 0);
    check_line(&input, "one", 1);
    check_line(&input, "", 2);
    check_line(&input, "1234567890", 3);
    CHECK_INT(mr_input_line(&input, 10, &line, &n, &err), -EMSGSIZE);
    CHECK_INT(input.line, 4);
    check_line(&input, "last", 5);
    CHECK_INT(mr_input_line(&input, 10, &line, &n, &err), 0);
    mr_input_close(&input);
}

static void skips_a_byte_order_mark(void)
{
    struct mr_input input;
    struct mr_err err;
    static const char text[] = "\xef\xbb\xbf{}\n\xef\xbb\xbf{}\n";
    put_file("marked", text, sizeof(text) - 1);
    CHECK_INT(mr_input_open("marked", NULL, NULL, &input, &err), 0);
    check_line(&input, "{}", 1);
    check_line(&input, "\xef\xbb\xbf{}", 2);
    mr_input_close(&input);
}

static void skips_a_line_of_many_chunks(void)
{
    struct mr_input input;
    struct mr_err err;
    const char *line;
    size_t n, size = 3 << 20;
    char *text = malloc(size + 4);
    memset(text, 'x', size);
    memcpy(text + size, "\nok", 3);
    put_file("long", text, size + 3);
    free(text);
    CHECK_INT(mr_input_open("long", NULL, NULL, &input, &err), 0);
    CHECK_INT(mr_input_line(&input, 1000, &line, &n, &err), -EMSGSIZE);
    CHECK(input.buf.cap < 1 << 20);
    CHECK_INT(mr_input_line(&input, 1000, &line, &n, &err), 1);
    CHECK(n == 2 && memcmp(line, "ok", 2) == 0);
    CHECK_INT(input.line, 2);
    mr_input_close(&input);
}

static void guesses_media_types(void)
{
    CHECK_STR(mr_input_media_type("a.txt", "x", 1), "text/plain");
    CHECK_STR(mr_input_media_type("a.txt", "%PDF-1.4", 8), "application/pdf");
    CHECK_STR(mr_input_media_type("a.PDF", "junk", 4), "application/pdf");
    CHECK_STR(mr_input_media_type("A.HTML", "x", 1), "text/html");
    CHECK_STR(mr_input_media_type(NULL, " \n<!DOCTYPE HTML>", 17), "text/html");
    CHECK_STR(mr_input_media_type("README", "words", 5), "text/plain");
    CHECK_STR(mr_input_media_type("blob", "\xff\xfe", 2), "application/octet-stream");
    CHECK_STR(mr_input_media_type("blob", "a\0b", 3), "application/octet-stream");
}

TEST_MAIN(TEST(reads_documents_up_to_the_limit), TEST(refuses_a_huge_file_unread),
    TEST(refuses_a_pipe_that_never_ends), TEST(reads_lines), TEST(skips_a_byte_order_mark),
    TEST(skips_a_line_of_many_chunks), TEST(guesses_media_types))
