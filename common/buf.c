#include "common/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUF_FIRST 64    /* bytes of the first allocation */
#define BUF_READ 65536u /* bytes asked of one read() */

void mr_buf_init(struct mr_buf *buf, size_t max)
{
    *buf = MR_BUF_INIT(max);
}

void mr_buf_deinit(struct mr_buf *buf)
{
    free(buf->data);
    *buf = MR_BUF_INIT(buf->max);
}

void mr_buf_reset(struct mr_buf *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

/* Makes room for n more bytes and a NUL. */
static int make_room(struct mr_buf *buf, size_t n)
{
    if (n > buf->max - buf->len || buf->max == SIZE_MAX)
        return -EMSGSIZE;
    size_t need = buf->len + n + 1;
    if (need <= buf->cap)
        return 0;
    size_t cap = buf->cap ? buf->cap : BUF_FIRST;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > buf->max + 1)
        cap = buf->max + 1;
    char *data = realloc(buf->data, cap);
    if (!data)
        return -ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return 0;
}

int mr_buf_put(struct mr_buf *buf, const void *bytes, size_t n)
{
    int r = make_room(buf, n);
    if (r < 0)
        return r;
    if (n > 0)
        memcpy(buf->data + buf->len, bytes, n);
    buf->len += n;
    buf->data[buf->len] = '\0';
    return 0;
}

int mr_buf_puts(struct mr_buf *buf, const char *s)
{
    return mr_buf_put(buf, s, strlen(s));
}

int mr_buf_putc(struct mr_buf *buf, char c)
{
    return mr_buf_put(buf, &c, 1);
}

int mr_buf_printf(struct mr_buf *buf, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    int r = n < 0 ? -EINVAL : make_room(buf, (size_t)n);
    if (r == 0) {
        vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
    return r;
}

char *mr_buf_reserve(struct mr_buf *buf, size_t n)
{
    if (make_room(buf, n) < 0)
        return NULL;
    buf->data[buf->len + n] = '\0';
    return buf->data + buf->len;
}

char *mr_buf_steal(struct mr_buf *buf, size_t *ret_len)
{
    if (make_room(buf, 0) < 0)
        return NULL;
    char *data = buf->data;
    data[buf->len] = '\0';
    if (ret_len)
        *ret_len = buf->len;
    *buf = MR_BUF_INIT(buf->max);
    return data;
}

/* Appends what one read() gives. Returns bytes read, 0 at the end of the file, negative errno. */
static ssize_t read_some(struct mr_buf *buf, int fd)
{
    size_t room = buf->max - buf->len;
    char probe;
    if (room == 0) { /* full: a further byte would be too much */
        ssize_t n = read(fd, &probe, 1);
        return n < 0 ? -errno : n > 0 ? -EMSGSIZE : 0;
    }
    size_t want = room < BUF_READ ? room : BUF_READ;
    char *to = mr_buf_reserve(buf, want);
    if (!to)
        return -ENOMEM;
    ssize_t n = read(fd, to, want);
    int saved = errno;
    if (n > 0)
        buf->len += (size_t)n;
    buf->data[buf->len] = '\0';
    return n < 0 ? -saved : n;
}

int mr_buf_read_fd(struct mr_buf *buf, int fd, const char *name, struct mr_err *err)
{
    size_t start = buf->len;
    for (;;) {
        ssize_t n = read_some(buf, fd);
        if (n == 0)
            return 0;
        if (n == -EINTR)
            continue;
        if (n < 0) {
            buf->len = start;
            if (buf->data)
                buf->data[start] = '\0';
            if (n == -EMSGSIZE)
                return mr_err_set(err, -EMSGSIZE, MR_CLASS_INVALID,
                    "%s: larger than the limit of %zu bytes", name, buf->max - start);
            return mr_err_set(
                err, (int)n, MR_CLASS_INVALID, "%s: cannot read: %s", name, strerror((int)-n));
        }
    }
}

int mr_buf_read_file(struct mr_buf *buf, const char *path, struct mr_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        int r = -errno;
        return mr_err_set(err, r, MR_CLASS_INVALID, "%s: cannot open: %s", path, strerror(-r));
    }
    int r = mr_buf_read_fd(buf, fd, path, err);
    close(fd);
    return r;
}
