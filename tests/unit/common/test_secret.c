#include "common/secret.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_file(const char *path, const char *text, size_t n, mode_t mode)
{
    FILE *f = fopen(path, "w");
    CHECK(f);
    CHECK_INT(fwrite(text, 1, n, f), n);
    fclose(f);
    CHECK_INT(chmod(path, mode), 0);
}

static int load(const char *path, char *ret_text, size_t size, struct mr_err *err)
{
    struct mr_secret *secret = NULL;
    int r = mr_secret_from_file(path, &secret, err);
    CHECK(r == 0 ? secret != NULL : secret == NULL);
    if (r == 0)
        snprintf(ret_text, size, "%s", mr_secret_reveal(secret));
    mr_secret_free(secret);
    return r;
}

static void reads_the_first_line(void)
{
    struct mr_err err;
    char text[64];
    write_file("a", "sk-123\nsecond", 13, 0600);
    CHECK_INT(load("a", text, sizeof(text), &err), 0);
    CHECK_STR(text, "sk-123");
    write_file("b", "sk-456\r\n", 8, 0400);
    CHECK_INT(load("b", text, sizeof(text), &err), 0);
    CHECK_STR(text, "sk-456");
    write_file("c", "no newline", 10, 0600);
    CHECK_INT(load("c", text, sizeof(text), &err), 0);
    CHECK_STR(text, "no newline");
}

static void refuses_files_others_can_read(void)
{
    static const mode_t open_modes[] = {0644, 0640, 0604, 0620, 0602, 0601};
    struct mr_err err;
    char text[64];
    for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
        write_file("a", "sk-123", 6, open_modes[i]);
        CHECK_INT(load("a", text, sizeof(text), &err), -EACCES);
        CHECK(strstr(err.msg, "chmod 600 a"));
        CHECK(!strstr(err.msg, "sk-123"));
    }
    write_file("r", "sk-123", 6, 0444); /* root's read-only ones are container secrets */
    CHECK_INT(load("r", text, sizeof(text), &err), geteuid() == 0 ? 0 : -EACCES);
}

static void refuses_a_strangers_file(void)
{
    struct mr_err err;
    char text[64];
    if (geteuid() != 0)
        return; /* only root can give a file away */
    write_file("a", "sk-123", 6, 0600);
    CHECK_INT(chown("a", 12345, 12345), 0);
    CHECK_INT(load("a", text, sizeof(text), &err), -EACCES);
    CHECK(strstr(err.msg, "belongs to another user (uid 12345)"));
}

/* With a /run of its own, which only root can have. */
static void takes_what_a_container_engine_mounts(void)
{
    struct mr_err err;
    char text[64];
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/run", "tmpfs", 0, NULL) != 0)
        return;
    CHECK_INT(mkdir("/run/secrets", 0755), 0);
    write_file("/run/secrets/a", "sk-123", 6, 0444);
    CHECK_INT(chown("/run/secrets/a", 12345, 12345), 0);
    CHECK_INT(load("/run/secrets/a", text, sizeof(text), &err), 0);
    CHECK_INT(chmod("/run/secrets/a", 0464), 0); /* who may write it may not be who made it */
    CHECK_INT(load("/run/secrets/a", text, sizeof(text), &err), -EACCES);
    write_file("/run/a", "sk-123", 6, 0644);
    CHECK_INT(load("/run/secrets/../a", text, sizeof(text), &err), -EACCES);
}

static void refuses_odd_files(void)
{
    struct mr_err err;
    char text[64];
    static char big[65537];
    CHECK_INT(load("absent", text, sizeof(text), &err), -ENOENT);
    CHECK_INT(load(".", text, sizeof(text), &err), -EACCES);
    CHECK_INT(mkfifo("fifo", 0600), 0);
    CHECK_INT(load("fifo", text, sizeof(text), &err), -EACCES);
    write_file("empty", "", 0, 0600);
    CHECK_INT(load("empty", text, sizeof(text), &err), -EINVAL);
    write_file("blank", "\nx", 2, 0600);
    CHECK_INT(load("blank", text, sizeof(text), &err), -EINVAL);
    write_file("nul", "a\0b", 3, 0600);
    CHECK_INT(load("nul", text, sizeof(text), &err), -EINVAL);
    write_file("split", "a\rb", 3, 0600);
    CHECK_INT(load("split", text, sizeof(text), &err), -EINVAL);
    memset(big, 'x', sizeof(big));
    write_file("big", big, sizeof(big), 0600);
    CHECK_INT(load("big", text, sizeof(text), &err), -EACCES);
    write_file("max", big, sizeof(big) - 1, 0600);
    CHECK_INT(load("max", text, sizeof(text), &err), 0);
}

static void reads_a_variable(void)
{
    struct mr_err err;
    struct mr_secret *secret = NULL;
    CHECK_INT(mr_secret_from_env("MR_TEST_ABSENT", &secret, &err), -ENOENT);
    CHECK(strstr(err.msg, "MR_TEST_ABSENT"));
    setenv("MR_TEST_KEY", "", 1);
    CHECK_INT(mr_secret_from_env("MR_TEST_KEY", &secret, &err), -ENOENT);
    setenv("MR_TEST_KEY", "sk-789\n", 1);
    CHECK_INT(mr_secret_from_env("MR_TEST_KEY", &secret, &err), 0);
    CHECK_STR(mr_secret_reveal(secret), "sk-789");
    CHECK(!mr_secret_free(secret));
}

static void takes_one_source(void)
{
    struct mr_err err;
    struct mr_secret *secret = NULL;
    setenv("MR_TEST_KEY", "from-env", 1);
    write_file("f", "from-file", 9, 0600);
    CHECK_INT(mr_secret_load("f", "MR_TEST_KEY", &secret, &err), -EINVAL);
    CHECK_INT(mr_secret_load(NULL, "MR_TEST_KEY", &secret, &err), 0);
    CHECK_STR(mr_secret_reveal(secret), "from-env");
    mr_secret_free(secret);
    CHECK_INT(mr_secret_load("f", NULL, &secret, &err), 0);
    CHECK_STR(mr_secret_reveal(secret), "from-file");
    mr_secret_free(secret);
    CHECK_INT(mr_secret_load(NULL, NULL, &secret, &err), 0);
    CHECK(!secret);
    CHECK(!mr_secret_free(NULL));
}

TEST_MAIN(TEST(reads_the_first_line), TEST(refuses_files_others_can_read),
    TEST(refuses_a_strangers_file), TEST(takes_what_a_container_engine_mounts),
    TEST(refuses_odd_files), TEST(reads_a_variable), TEST(takes_one_source))
