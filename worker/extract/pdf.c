#include "worker/extract/pdf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMPLAINTS_MAX 16384
#define HEAD_MAX 16384 /* bytes the title and other metadata may take before the text */
#define EXIT_NO_SANDBOX 90
#define EXIT_NO_EXEC 91

static int internal(struct mr_err *why, const char *what)
{
    return mr_err_set(
        why, MR_EXTRACT_INTERNAL, MR_CLASS_INTERNAL, "cannot run pdftotext: %s", what);
}

/* The document as a file that needs no file system. */
static int document_fd(const struct mr_source *source)
{
    int fd = memfd_create("document", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    for (size_t at = 0; at < source->n;) {
        ssize_t n = write(fd, source->bytes + at, source->n - at);
        if (n <= 0) {
            close(fd);
            return -1;
        }
        at += (size_t)n;
    }
    return lseek(fd, 0, SEEK_SET) == 0 ? fd : -1;
}

static int program_fd(const char *program)
{
    static const char *const places[] = {"/usr/bin/pdftotext", "/usr/local/bin/pdftotext"};
    if (program)
        return open(program, O_PATH | O_CLOEXEC);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        int fd = open(places[i], O_PATH | O_CLOEXEC);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

/* In the child: never returns. */
static void run(const struct mr_limits *limits, int in, int out, int err, int exe)
{
    static char *const argv[] = {(char *)"pdftotext", (char *)"-htmlmeta", (char *)"-enc",
        (char *)"UTF-8", (char *)"-eol", (char *)"unix", (char *)"-", (char *)"-", NULL};
    static char *const envp[] = {NULL};
    if (dup2(in, 0) != 0 || dup2(out, 1) != 1 || dup2(err, 2) != 2 ||
        dup3(exe, MR_SANDBOX_EXE, O_CLOEXEC) != MR_SANDBOX_EXE ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || mr_sandbox_lock_exec(limits, NULL) != 0)
        _exit(EXIT_NO_SANDBOX);
    execveat(MR_SANDBOX_EXE, "", argv, envp, AT_EMPTY_PATH);
    _exit(EXIT_NO_EXEC);
}

int mr_pdf_start(const struct mr_source *source, const char *program,
    const struct mr_limits *limits, struct mr_pdf *ret, struct mr_err *why)
{
    int out[2], err[2];
    int exe = program_fd(program);
    if (exe < 0)
        return internal(why, "it is not installed (package poppler-utils)");
    int in = document_fd(source);
    if (in < 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
        return internal(why, strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        return internal(why, strerror(errno));
    if (pid == 0)
        run(limits, in, out[1], err[1], exe);
    close(in);
    close(exe);
    close(out[1]);
    close(err[1]);
    *ret = (struct mr_pdf){.pid = pid, .out = out[0], .err = err[0]};
    return 0;
}

/* ---- reading ---- */

/* One read into buf. Returns whether more may come. */
static bool drain(int fd, struct mr_buf *buf)
{
    char *at = mr_buf_reserve(buf, 1);
    if (!at)
        return false; /* full: pdftotext will meet a closed pipe */
    size_t room = buf->cap - buf->len - 1;
    if (room > buf->max - buf->len)
        room = buf->max - buf->len;
    ssize_t n = read(fd, at, room);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    buf->len += (size_t)n;
    buf->data[buf->len] = '\0';
    return true;
}

static void collect(struct mr_pdf *pdf, struct mr_buf *text, struct mr_buf *complaints)
{
    struct pollfd fds[2] = {{.fd = pdf->out, .events = POLLIN}, {.fd = pdf->err, .events = POLLIN}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        struct mr_buf *const bufs[2] = {text, complaints};
        for (int i = 0; i < 2; i++)
            if (fds[i].fd >= 0 && fds[i].revents && !drain(fds[i].fd, bufs[i])) {
                close(fds[i].fd);
                fds[i].fd = -1;
            }
    }
}

static int read_status(int status, const char *complaints, bool full, struct mr_err *why)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (full && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE)
        return 0; /* we have had enough */
    if (strstr(complaints, "Incorrect password"))
        return mr_err_set(
            why, MR_EXTRACT_PASSWORD, MR_CLASS_INVALID, "the PDF is protected by a password");
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_SANDBOX)
        return internal(why, "no sandbox for it");
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_EXEC)
        return internal(why, "it cannot be executed");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
        return mr_err_set(
            why, MR_EXTRACT_PASSWORD, MR_CLASS_INVALID, "the PDF forbids copying its text");
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
        return mr_err_set(why, MR_EXTRACT_TIMEOUT, MR_CLASS_INVALID,
            "the PDF takes too long to read (it may be made to)");
    if (strstr(complaints, "Out of memory") || strstr(complaints, "bad_alloc"))
        return mr_err_set(
            why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "the PDF needs more memory than allowed");
    if (WIFSIGNALED(status))
        return mr_err_set(why, MR_EXTRACT_DAMAGED, MR_CLASS_INVALID,
            "the PDF is damaged: reading it crashed (signal %d)", WTERMSIG(status));
    return mr_err_set(why, MR_EXTRACT_DAMAGED, MR_CLASS_INVALID, "the PDF is damaged");
}

/* pdftotext -htmlmeta escapes the five XML characters. */
static size_t unescape(char *text, size_t n)
{
    static const struct {
        const char *name;
        char c;
    } names[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''}};
    size_t used = 0;
    for (size_t i = 0; i < n;) {
        size_t len = 1;
        char c = text[i];
        for (size_t k = 0; c == '&' && k < sizeof(names) / sizeof(names[0]); k++) {
            size_t name_len = strlen(names[k].name);
            if (n - i >= name_len && memcmp(text + i, names[k].name, name_len) == 0) {
                c = names[k].c;
                len = name_len;
                break;
            }
        }
        text[used++] = c;
        i += len;
    }
    return used;
}

/* Takes the wrapping off: a head with the title (escaped), then <pre>, the text as it is, with a
 * form feed behind every page, and a tail. */
static int unwrap(struct mr_buf *raw, bool full, struct mr_found *found)
{
    static const char tail[] = "</pre>\n</body>\n</html>\n";
    char *text = raw->data ? raw->data : (char *)"";
    size_t n = raw->len, look = n < HEAD_MAX ? n : HEAD_MAX;
    char *pre = memmem(text, look, "<pre>\n", 6);
    if (pre) {
        char *title = memmem(text, (size_t)(pre - text), "<title>", 7);
        char *end = title ? memmem(title, (size_t)(pre - title), "</title>", 8) : NULL;
        if (end)
            mr_found_title(found, title + 7, unescape(title + 7, (size_t)(end - title - 7)));
        n -= (size_t)(pre + 6 - text);
        text = pre + 6;
    }
    if (n >= sizeof(tail) - 1 && memcmp(text + n - (sizeof(tail) - 1), tail, sizeof(tail) - 1) == 0)
        n -= sizeof(tail) - 1;
    found->pages = full ? -1 : 0;
    for (size_t at = 0; !full && at < n; at++)
        found->pages += text[at] == '\f';
    int rc = 0;
    while (n > 0 && rc == 0) {
        const char *end = memchr(text, '\f', n);
        size_t page = end ? (size_t)(end - text) : n;
        mr_text_finish(&found->text);
        mr_text_break(&found->text, 2);
        rc = mr_text_plain(&found->text, text, page);
        page += end != NULL;
        text += page;
        n -= page;
    }
    found->text.truncated |= full;
    return rc < 0 ? rc : 0;
}

int mr_pdf_read(struct mr_pdf *pdf, struct mr_found *found, struct mr_err *why)
{
    struct mr_buf text MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(found->text.out.max + HEAD_MAX);
    struct mr_buf complaints MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(COMPLAINTS_MAX);
    found->media_type = "application/pdf";
    found->charset = "utf-8";
    collect(pdf, &text, &complaints);
    int status = 0;
    while (waitpid(pdf->pid, &status, 0) < 0)
        if (errno != EINTR)
            return internal(why, "it was not there any more");
    bool full = text.len == text.max;
    int rc = read_status(status, complaints.data ? complaints.data : "", full, why);
    if (rc != 0)
        return rc;
    if (unwrap(&text, full, found) != 0)
        return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "no memory for the text");
    if (mr_text_blank(&found->text) && found->pages > 0)
        return mr_err_set(why, MR_EXTRACT_NO_TEXT, MR_CLASS_INVALID,
            "the PDF has %d page%s but no text on %s: it seems to be scanned", found->pages,
            found->pages == 1 ? "" : "s", found->pages == 1 ? "it" : "them");
    return 0;
}
