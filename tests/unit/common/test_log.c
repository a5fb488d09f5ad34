#include "common/buf.h"
#include "common/json.h"
#include "common/log.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <unistd.h>

static struct mr_log open_log(void)
{
    int fd = open("log", O_RDWR | O_CREAT | O_CLOEXEC | O_TRUNC, 0600);
    CHECK(fd >= 0);
    return (struct mr_log){.fd = fd, .level = MR_INFO, .program = "test"};
}

/* The one line in the log, parsed. The caller owns it. */
static json_t *line_of(const struct mr_log *log, size_t *ret_len)
{
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(1 << 20);
    CHECK_INT(lseek(log->fd, 0, SEEK_SET), 0);
    CHECK_INT(mr_buf_read_fd(&buf, log->fd, "log", NULL), 0);
    CHECK(buf.len > 0 && buf.data[buf.len - 1] == '\n');
    CHECK(!memchr(buf.data, '\n', buf.len - 1));
    *ret_len = buf.len;
    json_t *value = NULL;
    CHECK_INT(mr_json_parse(buf.data, buf.len, 1, &value, NULL), 0);
    return value;
}

static const char *str(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

static void writes_typed_fields(void)
{
    struct mr_log log = open_log();
    size_t len;
    mr_log(&log, MR_DEBUG, "not.shown");
    mr_log(&log, MR_WARN, "job.done", MR_STR("job", "j1"), MR_STR("left", NULL),
        MR_INT("cost", INT64_MIN), MR_BOOL("degraded", true), MR_BOOL("last", false));
    json_t *line MR_CLEANUP(mr_json_decrefp) = line_of(&log, &len);
    CHECK_STR(str(line, "level"), "warn");
    CHECK_STR(str(line, "program"), "test");
    CHECK_STR(str(line, "event"), "job.done");
    CHECK_STR(str(line, "job"), "j1");
    CHECK_INT(strlen(str(line, "ts")), 24);
    CHECK(!json_object_get(line, "left"));
    CHECK_INT(json_integer_value(json_object_get(line, "cost")), INT64_MIN);
    CHECK(json_is_true(json_object_get(line, "degraded")));
    CHECK(json_is_false(json_object_get(line, "last")));
}

static void escapes_hostile_text(void)
{
    struct mr_log log = open_log();
    size_t len;
    mr_log(&log, MR_INFO, "x", MR_STR("s", "a\"b\\c\nd\x1b[31m\xff\xc2\x9b\x7f\xc3\xa9"));
    char raw[512];
    ssize_t n = pread(log.fd, raw, sizeof(raw) - 1, 0);
    CHECK(n > 0);
    raw[n] = '\0';
    CHECK(strstr(raw, "a\\\"b\\\\c\\u000ad\\u001b[31m\\ufffd\\u009b\\u007f\xc3\xa9\"}"));
    json_t *line MR_CLEANUP(mr_json_decrefp) = line_of(&log, &len);
    CHECK_STR(str(line, "s"), "a\"b\\c\nd\x1b[31m\xef\xbf\xbd\xc2\x9b\x7f\xc3\xa9");
}

static void cuts_the_longest_string(void)
{
    static char huge[100001], big[5001];
    for (size_t i = 0; i + 3 <= 99999; i += 3)
        memcpy(huge + i, "\xe2\x82\xac", 3);
    memset(big, '\n', 5000);
    struct mr_log log = open_log();
    size_t len;
    mr_log(&log, MR_ERROR, "x", MR_STR("a", "short"), MR_STR("huge", huge), MR_STR("z", "end"));
    json_t *line MR_CLEANUP(mr_json_decrefp) = line_of(&log, &len);
    CHECK(len <= 8192 && len > 8000);
    CHECK_STR(str(line, "a"), "short");
    CHECK_STR(str(line, "z"), "end");
    CHECK(strlen(str(line, "huge")) > 7900);

    struct mr_log two = open_log();
    mr_log(&two, MR_ERROR, "x", MR_STR("big", big), MR_STR("huge", huge), MR_STR("more", big));
    json_t *both MR_CLEANUP(mr_json_decrefp) = line_of(&two, &len);
    CHECK(both && len <= 8192);
}

static void knows_levels(void)
{
    CHECK_INT(mr_level_parse("debug"), MR_DEBUG);
    CHECK_INT(mr_level_parse("error"), MR_ERROR);
    CHECK_INT(mr_level_parse("loud"), -1);
}

TEST_MAIN(TEST(writes_typed_fields), TEST(escapes_hostile_text), TEST(cuts_the_longest_string),
    TEST(knows_levels))
