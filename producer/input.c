#include "producer/input.h"
#include "common/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (128u << 10)

int mr_input_open(
    const char *path, mr_input_wait *wait, void *ctx, struct mr_input *ret, struct mr_err *err)
{
    struct mr_input input = {.name = path, .wait = wait, .ctx = ctx, .size = -1};
    struct stat st;
    bool is_stdin = strcmp(path, "-") == 0;
    if (is_stdin)
        input.name = "standard input";
    if (!*path)
        return mr_err_set(err, -ENOENT, MR_CLASS_INVALID, "a file's name is empty");
    input.fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                        : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (input.fd < 0 || fstat(input.fd, &st) < 0) {
        int code = -errno;
        if (input.fd >= 0)
            close(input.fd);
        return mr_err_set(
            err, code, MR_CLASS_INVALID, "%s: cannot be read: %s", input.name, strerror(-code));
    }
    if (S_ISDIR(st.st_mode)) {
        close(input.fd);
        return mr_err_set(err, -EISDIR, MR_CLASS_INVALID,
            "%s: is a directory; name the files in it, e.g. %s/*", input.name, input.name);
    }
    if (S_ISREG(st.st_mode))
        input.size = st.st_size;
    *ret = input;
    return 0;
}

void mr_input_close(struct mr_input *input)
{
    close(input->fd);
    mr_buf_deinit(&input->buf);
}

/* Reads once into buf: bytes read, 0 at the end, negative with err. */
static ssize_t fill(struct mr_input *input, struct mr_buf *buf, size_t n, struct mr_err *err)
{
    char *to = mr_buf_reserve(buf, n);
    if (!to)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "%s: out of memory", input->name);
    for (;;) {
        int r = input->wait ? input->wait(input->ctx, input->fd) : 0;
        if (r < 0)
            return mr_err_set(err, r, MR_CLASS_INTERNAL, "%s: not read to its end", input->name);
        ssize_t got = read(input->fd, to, n);
        if (got >= 0) {
            buf->len += (size_t)got;
            buf->data[buf->len] = '\0';
            input->bytes += got;
            return got;
        }
        if (errno != EINTR && errno != EAGAIN)
            return mr_err_set(err, -errno, MR_CLASS_INVALID, "%s: cannot be read: %s", input->name,
                strerror(errno));
    }
}

int mr_input_all(struct mr_input *input, struct mr_buf *buf, struct mr_err *err)
{
    if (input->size > 0 && (uint64_t)input->size > buf->max)
        return mr_err_set(err, -EMSGSIZE, MR_CLASS_INVALID, "%s: %lld bytes are too many",
            input->name, (long long)input->size);
    for (;;) {
        size_t room = buf->max - buf->len;
        if (room == 0) { /* full: one byte more would be too many */
            struct mr_buf probe = MR_BUF_INIT(1);
            ssize_t got = fill(input, &probe, 1, err);
            mr_buf_deinit(&probe);
            if (got > 0)
                return mr_err_set(err, -EMSGSIZE, MR_CLASS_INVALID,
                    "%s: more than %zu bytes are too many", input->name, buf->max);
            return (int)got;
        }
        ssize_t got = fill(input, buf, room < CHUNK ? room : CHUNK, err);
        if (got < 0)
            return (int)got;
        if (got == 0)
            break;
    }
    if (buf->len == 0)
        return mr_err_set(err, -ENODATA, MR_CLASS_INVALID, "%s: is empty", input->name);
    return 0;
}

/* Drops what was handed out and reads more. */
static ssize_t refill(struct mr_input *input, size_t max, struct mr_err *err)
{
    struct mr_buf *buf = &input->buf;
    buf->max = max + 2 * CHUNK;
    if (input->pos > 0) {
        memmove(buf->data, buf->data + input->pos, buf->len - input->pos);
        buf->len -= input->pos;
        input->pos = 0;
    }
    ssize_t got = fill(input, buf, CHUNK, err);
    if (got == 0)
        input->eof = true;
    return got;
}

/* Skips the rest of a line that is too long. */
static int skip_line(struct mr_input *input, size_t max, struct mr_err *err)
{
    for (;;) {
        char *start = input->buf.data + input->pos;
        char *end = memchr(start, '\n', input->buf.len - input->pos);
        if (end) {
            input->pos = (size_t)(end + 1 - input->buf.data);
            break;
        }
        input->pos = input->buf.len;
        ssize_t got = refill(input, max, err);
        if (got < 0)
            return (int)got;
        if (got == 0)
            break;
    }
    return mr_err_set(err, -EMSGSIZE, MR_CLASS_INVALID, "the line is longer than %zu bytes", max);
}

/* The bytes of a byte order mark that begin this text. */
static size_t mark(const char *text, size_t n)
{
    return n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

int mr_input_line(
    struct mr_input *input, size_t max, const char **ret_line, size_t *ret_n, struct mr_err *err)
{
    size_t scanned = 0; /* bytes of this line known to hold no newline */
    for (;;) {
        size_t have = input->buf.len - input->pos;
        char *start = have ? input->buf.data + input->pos : NULL;
        char *end = have > scanned ? memchr(start + scanned, '\n', have - scanned) : NULL;
        if (end || (input->eof && have)) {
            *ret_n = end ? (size_t)(end - start) : have;
            input->pos += *ret_n + (end != NULL);
            if (input->line++ == 0) {
                size_t skip = mark(start, *ret_n);
                start += skip;
                *ret_n -= skip;
            }
            if (*ret_n > max)
                return mr_err_set(
                    err, -EMSGSIZE, MR_CLASS_INVALID, "the line is longer than %zu bytes", max);
            if (*ret_n && start[*ret_n - 1] == '\r')
                --*ret_n;
            *ret_line = start;
            return 1;
        }
        if (input->eof)
            return 0;
        scanned = have;
        if (have > max) {
            input->line++;
            return skip_line(input, max, err);
        }
        ssize_t got = refill(input, max, err);
        if (got < 0)
            return (int)got;
    }
}

/* ---- media types ---- */

struct media {
    const char *ending, *type;
};

static const struct media media_types[] = {
    {".csv", "text/csv"},
    {".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {".htm", "text/html"},
    {".html", "text/html"},
    {".json", "application/json"},
    {".markdown", "text/markdown"},
    {".md", "text/markdown"},
    {".odt", "application/vnd.oasis.opendocument.text"},
    {".pdf", "application/pdf"},
    {".text", "text/plain"},
    {".txt", "text/plain"},
    {".xhtml", "application/xhtml+xml"},
    {".xml", "application/xml"},
};

static bool begins(const char *bytes, size_t n, const char *with)
{
    size_t len = strlen(with);
    return n >= len && strncasecmp(bytes, with, len) == 0;
}

const char *mr_input_media_type(const char *name, const char *bytes, size_t n)
{
    if (begins(bytes, n, "%PDF-"))
        return "application/pdf";
    const char *dot = name ? strrchr(name, '.') : NULL;
    for (size_t i = 0; dot && i < sizeof(media_types) / sizeof(media_types[0]); i++)
        if (strcasecmp(dot, media_types[i].ending) == 0)
            return media_types[i].type;
    size_t blank = 0;
    while (blank < n && strchr(" \t\r\n", bytes[blank]) && bytes[blank])
        blank++;
    if (begins(bytes + blank, n - blank, "<!doctype html") ||
        begins(bytes + blank, n - blank, "<html"))
        return "text/html";
    return mr_utf8_valid(bytes, n) && !memchr(bytes, 0, n) ? "text/plain"
                                                           : "application/octet-stream";
}
