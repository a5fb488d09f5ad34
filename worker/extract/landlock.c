#include "worker/extract/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_AND_RUN                                                                               \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Everything version 1 knows; what later versions add (renaming across, truncating, device ioctls)
 * needs a descriptor open for more than reading, or a system call seccomp forbids. */
#define EVERYTHING ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

static int fail(struct mr_err *err, const char *what)
{
    int code = -errno;
    return mr_err_set(
        err, code, MR_CLASS_INTERNAL, "no sandbox: Landlock: %s: %s", what, strerror(-code));
}

/* A rule set's descriptor, or -1 where the kernel has no Landlock. */
static int new_rules(void)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = EVERYTHING};
    return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
}

static int enforce(int rules, struct mr_err *err)
{
    long rc = syscall(SYS_landlock_restrict_self, rules, 0);
    if (rc != 0)
        return fail(err, "restricting");
    close(rules);
    return 0;
}

int mr_landlock_nothing(struct mr_err *err)
{
    int rules = new_rules();
    return rules < 0 ? 0 : enforce(rules, err);
}

static int allow(int rules, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr attr = {.allowed_access = access, .parent_fd = fd};
    return (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &attr, 0);
}

int mr_landlock_programs(int exe, struct mr_err *err)
{
    static const struct {
        const char *path;
        uint64_t access;
    } paths[] = {
        {"/usr", READ_AND_RUN},
        {"/lib", READ_AND_RUN},
        {"/lib64", READ_AND_RUN},
        {"/etc/ld.so.cache", LANDLOCK_ACCESS_FS_READ_FILE},
        {"/etc/fonts", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR},
        {"/etc/localtime", LANDLOCK_ACCESS_FS_READ_FILE},
    };
    int rules = new_rules();
    if (rules < 0)
        return 0;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        int fd = open(paths[i].path, O_PATH | O_CLOEXEC);
        if (fd < 0)
            continue;
        int rc = allow(rules, fd, paths[i].access);
        close(fd);
        if (rc != 0)
            return fail(err, paths[i].path);
    }
    if (allow(rules, exe, LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE) != 0)
        return fail(err, "pdftotext");
    return enforce(rules, err);
}
