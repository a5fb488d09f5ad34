#include "common/buf.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

static void appends_and_stays_terminated(void)
{
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(1000);
    CHECK_INT(mr_buf_put(&buf, "abc", 3), 0);
    CHECK_STR(buf.data, "abc");
    CHECK_INT(mr_buf_puts(&buf, "def"), 0);
    CHECK_INT(mr_buf_putc(&buf, 'g'), 0);
    CHECK_INT(mr_buf_printf(&buf, "-%d-%s", 42, "x"), 0);
    CHECK_STR(buf.data, "abcdefg-42-x");
    CHECK_INT(buf.len, strlen("abcdefg-42-x"));
    mr_buf_reset(&buf);
    CHECK_STR(buf.data, "");
    CHECK_INT(buf.len, 0);
}

static void keeps_its_maximum(void)
{
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(5);
    CHECK_INT(mr_buf_put(&buf, "1234", 4), 0);
    CHECK_INT(mr_buf_put(&buf, "56", 2), -EMSGSIZE);
    CHECK_STR(buf.data, "1234");
    CHECK_INT(mr_buf_printf(&buf, "%s", "56"), -EMSGSIZE);
    CHECK_STR(buf.data, "1234");
    CHECK_INT(mr_buf_putc(&buf, '5'), 0);
    CHECK_INT(mr_buf_putc(&buf, '6'), -EMSGSIZE);
    CHECK_STR(buf.data, "12345");
    CHECK(!mr_buf_reserve(&buf, 1));
    CHECK_INT(mr_buf_put(&buf, "", 0), 0);
}

static void refuses_sizes_that_overflow(void)
{
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(SIZE_MAX - 1);
    CHECK_INT(mr_buf_put(&buf, "ab", 2), 0);
    CHECK(!mr_buf_reserve(&buf, SIZE_MAX));
    CHECK(!mr_buf_reserve(&buf, SIZE_MAX - 2));
    CHECK_INT(buf.len, 2);
    struct mr_buf endless = MR_BUF_INIT(SIZE_MAX); /* leaves no room for the NUL */
    CHECK_INT(mr_buf_putc(&endless, 'x'), -EMSGSIZE);
}

static void reserves_room(void)
{
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(100);
    char *to = mr_buf_reserve(&buf, 3);
    CHECK(to);
    memcpy(to, "xyz", 3);
    buf.len += 3;
    CHECK_STR(buf.data, "xyz");
}

static void hands_over_its_memory(void)
{
    struct mr_buf buf = MR_BUF_INIT(100);
    size_t n = 7;
    char *empty = mr_buf_steal(&buf, &n);
    CHECK_STR(empty, "");
    CHECK_INT(n, 0);
    CHECK_INT(mr_buf_puts(&buf, "hello"), 0);
    char *text = mr_buf_steal(&buf, &n);
    CHECK_STR(text, "hello");
    CHECK_INT(n, 5);
    CHECK(!buf.data);
    CHECK_INT(buf.max, 100);
    free(empty);
    free(text);
}

static void write_file(const char *path, size_t n)
{
    FILE *f = fopen(path, "w");
    CHECK(f);
    for (size_t i = 0; i < n; i++)
        fputc('a' + (int)(i % 26), f);
    fclose(f);
}

static void reads_files_up_to_the_maximum(void)
{
    struct mr_err err;
    write_file("f", 100000);
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(100000);
    CHECK_INT(mr_buf_read_file(&buf, "f", &err), 0);
    CHECK_INT(buf.len, 100000);
    CHECK_INT(buf.data[27], 'b');

    struct mr_buf tight MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(99999);
    CHECK_INT(mr_buf_puts(&tight, "x"), 0);
    CHECK_INT(mr_buf_read_file(&tight, "f", &err), -EMSGSIZE);
    CHECK(strstr(err.msg, "f: larger than the limit"));
    CHECK_STR(tight.data, "x");
}

static void names_the_file_it_cannot_read(void)
{
    struct mr_err err;
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(10);
    CHECK_INT(mr_buf_read_file(&buf, "absent", &err), -ENOENT);
    CHECK_STR(err.msg, "absent: cannot open: No such file or directory");
    CHECK_INT(mr_buf_read_file(&buf, ".", &err), -EISDIR);
    CHECK(strstr(err.msg, ".: cannot read"));
}

static void reads_a_pipe(void)
{
    int fds[2];
    struct mr_err err;
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(write(fds[1], "piped", 5), 5);
    close(fds[1]);
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(5);
    CHECK_INT(mr_buf_read_fd(&buf, fds[0], "stdin", &err), 0);
    CHECK_STR(buf.data, "piped");
    close(fds[0]);
}

TEST_MAIN(TEST(appends_and_stays_terminated), TEST(keeps_its_maximum),
    TEST(refuses_sizes_that_overflow), TEST(reserves_room), TEST(hands_over_its_memory),
    TEST(reads_files_up_to_the_maximum), TEST(names_the_file_it_cannot_read), TEST(reads_a_pipe))
