#include "common/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MAX 65536 /* bytes of a secret file */

struct mr_secret {
    size_t size; /* of text, to be wiped */
    char text[];
};

static struct mr_secret *alloc(size_t size)
{
    struct mr_secret *secret = calloc(1, sizeof(*secret) + size + 1);
    if (secret)
        secret->size = size + 1;
    return secret;
}

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "no memory for a secret");
}

/* Where container engines mount secrets, each for the one container that may see it. Owner and mode
 * are those of some file outside, whose folder keeps others out. */
static bool is_mounted(const char *path, const struct stat *st)
{
    static const char folder[] = "/run/secrets/";
    bool there = strncmp(path, folder, sizeof(folder) - 1) == 0 && !strstr(path, "/../");
    return there && (st->st_mode & 022) == 0;
}

static int check_file(int fd, const char *path, struct mr_err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        int r = -errno;
        return mr_err_set(err, r, MR_CLASS_INVALID, "%s: %s", path, strerror(-r));
    }
    if (!S_ISREG(st.st_mode))
        return mr_err_set(err, -EACCES, MR_CLASS_INVALID, "%s: not a regular file", path);
    if (st.st_size > SECRET_MAX)
        return mr_err_set(
            err, -EACCES, MR_CLASS_INVALID, "%s: larger than %d bytes", path, SECRET_MAX);
    if (is_mounted(path, &st))
        return 0;
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return mr_err_set(err, -EACCES, MR_CLASS_INVALID,
            "%s: belongs to another user (uid %u): chown it to uid %u", path, (unsigned)st.st_uid,
            (unsigned)geteuid());
    bool closed = (st.st_mode & 077) == 0;
    bool given = st.st_uid == 0 && (st.st_mode & 0222) == 0; /* by root, as container secrets are */
    if (!closed && !given)
        return mr_err_set(err, -EACCES, MR_CLASS_INVALID,
            "%s: others may access it (mode %04o): chmod 600 %s", path,
            (unsigned)(st.st_mode & 07777), path);
    return 0;
}

/* Cuts behind the first line and refuses what could not stand in a header. */
static int first_line(struct mr_secret *secret, size_t n, const char *name, struct mr_err *err)
{
    char *text = secret->text;
    char *end = memchr(text, '\n', n);
    if (end)
        n = (size_t)(end - text);
    if (n > 0 && text[n - 1] == '\r')
        n--;
    if (n == 0)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "%s: the secret is empty", name);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return mr_err_set(
                err, -EINVAL, MR_CLASS_INVALID, "%s: control character in the secret", name);
    explicit_bzero(text + n, secret->size - n);
    return 0;
}

static int read_all(int fd, char *to, size_t max, size_t *ret_n)
{
    size_t n = 0;
    while (n < max) {
        ssize_t got = read(fd, to + n, max - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return 0;
}

int mr_secret_from_file(const char *path, struct mr_secret **ret, struct mr_err *err)
{
    /* NONBLOCK: a FIFO in its place must not hang us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int r = -errno;
        return mr_err_set(err, r, MR_CLASS_INVALID, "%s: cannot open: %s", path, strerror(-r));
    }
    int r = check_file(fd, path, err);
    struct mr_secret *secret = r < 0 ? NULL : alloc(SECRET_MAX);
    if (r == 0 && !secret)
        r = no_memory(err);
    if (r == 0) {
        size_t n = 0;
        r = read_all(fd, secret->text, SECRET_MAX, &n);
        if (r < 0)
            mr_err_set(err, r, MR_CLASS_INVALID, "%s: cannot read: %s", path, strerror(-r));
        else
            r = first_line(secret, n, path, err);
    }
    close(fd);
    if (r < 0) {
        mr_secret_free(secret);
        return r;
    }
    *ret = secret;
    return 0;
}

int mr_secret_from_env(const char *name, struct mr_secret **ret, struct mr_err *err)
{
    const char *value = getenv(name);
    if (!value || !*value)
        return mr_err_set(err, -ENOENT, MR_CLASS_INVALID,
            "the environment variable %s is not set or empty", name);
    size_t n = strlen(value);
    struct mr_secret *secret = alloc(n);
    if (!secret)
        return no_memory(err);
    memcpy(secret->text, value, n);
    int r = first_line(secret, n, name, err);
    if (r < 0) {
        mr_secret_free(secret);
        return r;
    }
    *ret = secret;
    return 0;
}

int mr_secret_load(const char *file, const char *env, struct mr_secret **ret, struct mr_err *err)
{
    if (file && env)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "a secret comes from a file (%s) or from an environment variable (%s), not from both",
            file, env);
    if (file)
        return mr_secret_from_file(file, ret, err);
    if (env)
        return mr_secret_from_env(env, ret, err);
    *ret = NULL;
    return 0;
}

const char *mr_secret_reveal(const struct mr_secret *secret)
{
    return secret->text;
}

struct mr_secret *mr_secret_free(struct mr_secret *secret)
{
    if (secret)
        explicit_bzero(secret->text, secret->size);
    free(secret);
    return NULL;
}
