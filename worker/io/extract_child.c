#include "worker/io/extract_child.h"
#include "common/json.h"
#include "worker/extract/extract.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REASON_MAX 1024
#define CHUNK 65536

struct mr_child {
    uv_process_t process;
    uv_pipe_t out, err;
    uv_timer_t timer;
    struct mr_buf said, reason;
    char chunk[CHUNK];
    int64_t max_text;
    int64_t status;
    int signal, open; /* handles */
    bool timed_out, too_much;
    mr_child_done *done;
    void *ctx;
};

/* ---- the result ---- */

static const struct {
    int code;
    enum mr_class class;
} classes[] = {
    {MR_EXTRACT_EMPTY, MR_CLASS_INVALID},
    {MR_EXTRACT_UNSUPPORTED, MR_CLASS_INVALID},
    {MR_EXTRACT_TOO_LARGE, MR_CLASS_INVALID},
    {MR_EXTRACT_PASSWORD, MR_CLASS_INVALID},
    {MR_EXTRACT_NO_TEXT, MR_CLASS_INVALID},
    {MR_EXTRACT_DAMAGED, MR_CLASS_INVALID},
    {MR_EXTRACT_BOMB, MR_CLASS_INVALID},
    {MR_EXTRACT_MEMORY, MR_CLASS_INVALID},
    {MR_EXTRACT_TIMEOUT, MR_CLASS_INVALID},
};

static int refuse_output(struct mr_err *err)
{
    return mr_err_set(err, -1, MR_CLASS_INTERNAL, "millrace-extract said something unintelligible");
}

int mr_child_read_output(
    const char *bytes, size_t n, int64_t max_text, json_t **ret, struct mr_err *err)
{
    json_t *output = NULL;
    const char *text, *media_type, *charset, *title = NULL;
    json_t *title_value, *pages;
    json_int_t size;
    int truncated;
    if (mr_json_parse(bytes, n, 1, &output, NULL) != 0)
        return refuse_output(err);
    int rc = json_unpack(output, "{s:s, s:s, s:s, s:o, s:o, s:I, s:b !}", "text", &text,
        "media_type", &media_type, "charset", &charset, "title", &title_value, "pages", &pages,
        "bytes", &size, "truncated", &truncated);
    if (rc == 0 && json_is_string(title_value))
        title = json_string_value(title_value);
    if (rc != 0 || (!title && !json_is_null(title_value)) ||
        (!json_is_integer(pages) && !json_is_null(pages)) || strlen(media_type) > 128 ||
        strlen(charset) > 40 || (title && strlen(title) > 1024) ||
        strlen(text) > (size_t)max_text) {
        json_decref(output);
        return refuse_output(err);
    }
    *ret = output;
    return 0;
}

static int read_death(const struct mr_child *child, struct mr_err *err)
{
    if (child->timed_out)
        return mr_err_set(
            err, -1, MR_CLASS_INVALID, "the document takes too long to read (it may be made to)");
    if (child->too_much)
        return refuse_output(err);
    switch (child->signal) {
    case SIGXCPU:
        return mr_err_set(
            err, -1, MR_CLASS_INVALID, "the document takes too long to read (it may be made to)");
    case SIGSYS:
        return mr_err_set(err, -1, MR_CLASS_INVALID,
            "reading the document was stopped by the sandbox: it made the parser misbehave");
    case SIGKILL:
        return mr_err_set(err, -1, MR_CLASS_INTERNAL, "millrace-extract was killed from outside");
    case SIGABRT:
        return mr_err_set(err, -1, MR_CLASS_INVALID,
            "the document needs more memory than allowed, or is made to crash its parser");
    default:
        return mr_err_set(err, -1, MR_CLASS_INVALID,
            "the document is damaged: reading it crashed (signal %d)", child->signal);
    }
}

static int read_exit(const struct mr_child *child, struct mr_err *err)
{
    enum mr_class class = MR_CLASS_INTERNAL;
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (classes[i].code == child->status)
            class = classes[i].class;
    if (child->reason.len == 0)
        return mr_err_set(
            err, -1, class, "millrace-extract ended with code %lld", (long long)child->status);
    size_t n = strcspn(child->reason.data, "\r\n");
    n = mr_utf8_prefix(child->reason.data, n, n);
    return mr_err_set(err, -1, class, "%.*s", (int)n, child->reason.data);
}

static void read_result(struct mr_child *child, struct mr_child_result *result)
{
    if (child->signal != 0 || child->timed_out || child->too_much)
        result->rc = read_death(child, &result->err);
    else if (child->status != 0)
        result->rc = read_exit(child, &result->err);
    else
        result->rc = mr_child_read_output(child->said.data ? child->said.data : "", child->said.len,
            child->max_text, &result->output, &result->err);
}

/* ---- handles ---- */

static void on_closed(uv_handle_t *handle)
{
    struct mr_child *child = handle->data;
    if (--child->open > 0)
        return;
    struct mr_child_result result = {.rc = -1};
    read_result(child, &result);
    mr_buf_deinit(&child->said);
    mr_buf_deinit(&child->reason);
    child->done(child->ctx, &result);
    free(child);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

/* The time limit guards the pipes too: a process may end while something still holds them. */
static void close_timer_when_last(struct mr_child *child)
{
    if (uv_is_closing((uv_handle_t *)&child->process) &&
        uv_is_closing((uv_handle_t *)&child->out) && uv_is_closing((uv_handle_t *)&child->err))
        close_handle((uv_handle_t *)&child->timer);
}

/* With everything it started: it leads a session of its own. */
void mr_child_kill(struct mr_child *child)
{
    if (!uv_is_closing((uv_handle_t *)&child->process))
        kill(-child->process.pid, SIGKILL);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    struct mr_child *child = process->data;
    child->status = status;
    child->signal = signal;
    close_handle((uv_handle_t *)process);
    close_timer_when_last(child);
}

static void on_timeout(uv_timer_t *timer)
{
    struct mr_child *child = timer->data;
    child->timed_out = true;
    mr_child_kill(child);
    close_handle((uv_handle_t *)&child->out);
    close_handle((uv_handle_t *)&child->err);
    close_timer_when_last(child);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct mr_child *child = handle->data;
    *ret = uv_buf_init(child->chunk, sizeof(child->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct mr_child *child = stream->data;
    bool is_out = stream == (uv_stream_t *)&child->out;
    if (n >= 0) {
        if (mr_buf_put(is_out ? &child->said : &child->reason, buf->base, (size_t)n) == 0)
            return;
        child->too_much = true;
        mr_child_kill(child);
    }
    close_handle((uv_handle_t *)stream);
    close_timer_when_last(child);
}

/* ---- starting ---- */

static int document_fd(const struct mr_child_spec *spec)
{
    int fd = memfd_create("document", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < spec->n;) {
        ssize_t n = write(fd, spec->bytes + at, spec->n - at);
        if (n <= 0) {
            int code = n < 0 ? errno : EIO;
            close(fd);
            return -code;
        }
        at += (size_t)n;
    }
    if (lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -EIO;
}

/* Hints come from outside: only what a name is made of may reach a command line. */
static const char *clean(const char *hint)
{
    for (const char *p = hint; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("/+.-_:", *p))
            return "";
    return strlen(hint) < 128 ? hint : "";
}

struct arguments {
    char text[7][192];
    char *argv[9];
};

static void fill_arguments(struct arguments *a, const struct mr_child_spec *spec)
{
    int64_t cpu_s = (spec->timeout_ms + 999) / 1000;
    snprintf(a->text[0], sizeof(a->text[0]), "--max-bytes=%lld", (long long)spec->max_bytes);
    snprintf(a->text[1], sizeof(a->text[1]), "--max-text=%lld", (long long)spec->max_text);
    snprintf(a->text[2], sizeof(a->text[2]), "--memory-mb=%d", spec->memory_mb);
    snprintf(a->text[3], sizeof(a->text[3]), "--cpu-s=%lld", (long long)cpu_s);
    snprintf(a->text[4], sizeof(a->text[4]), "--ext=%s", clean(spec->ext));
    snprintf(a->text[5], sizeof(a->text[5]), "--type=%s", clean(spec->type));
    snprintf(a->text[6], sizeof(a->text[6]), "--charset=%s", clean(spec->charset));
    a->argv[0] = (char *)"millrace-extract";
    for (int i = 0; i < 7; i++)
        a->argv[i + 1] = a->text[i];
    a->argv[8] = NULL;
}

static int spawn(uv_loop_t *loop, struct mr_child *child, const struct mr_child_spec *spec)
{
    struct arguments arguments;
    char *env[] = {NULL};
    int fd = document_fd(spec);
    if (fd < 0)
        return fd;
    fill_arguments(&arguments, spec);
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_INHERIT_FD, .data.fd = fd},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&child->out},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&child->err},
    };
    uv_process_options_t options = {
        .exit_cb = on_exit_status,
        .file = spec->program,
        .args = arguments.argv,
        .env = env,
        .cwd = "/",
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };
    int rc = uv_spawn(loop, &child->process, &options);
    close(fd);
    return rc;
}

/* The process was never there. */
static void on_stillborn_closed(uv_handle_t *handle)
{
    struct mr_child *child = handle->data;
    if (--child->open == 0)
        free(child);
}

int mr_child_new(uv_loop_t *loop, const struct mr_child_spec *spec, mr_child_done *done, void *ctx,
    struct mr_child **ret, struct mr_err *err)
{
    struct mr_child *child = calloc(1, sizeof(*child));
    if (!child)
        return mr_err_set(err, -1, MR_CLASS_INTERNAL, "no memory for millrace-extract");
    child->done = done;
    child->ctx = ctx;
    child->max_text = spec->max_text;
    /* Every character of the text may be escaped in JSON. */
    child->said = MR_BUF_INIT(2 * (size_t)spec->max_text + CHUNK);
    child->reason = MR_BUF_INIT(REASON_MAX);
    uv_pipe_init(loop, &child->out, 0);
    uv_pipe_init(loop, &child->err, 0);
    uv_timer_init(loop, &child->timer);
    child->open = 4;
    child->process.data = child->out.data = child->err.data = child->timer.data = child;
    int rc = spawn(loop, child, spec);
    if (rc != 0) {
        /* uv_spawn initialises the process handle even when it fails. */
        if (child->process.type != UV_PROCESS)
            child->open = 3;
        else
            uv_close((uv_handle_t *)&child->process, on_stillborn_closed);
        uv_close((uv_handle_t *)&child->out, on_stillborn_closed);
        uv_close((uv_handle_t *)&child->err, on_stillborn_closed);
        uv_close((uv_handle_t *)&child->timer, on_stillborn_closed);
        return mr_err_set(
            err, -1, MR_CLASS_INTERNAL, "cannot start %s: %s", spec->program, uv_strerror(rc));
    }
    uv_read_start((uv_stream_t *)&child->out, on_alloc, on_read);
    uv_read_start((uv_stream_t *)&child->err, on_alloc, on_read);
    uv_timer_start(&child->timer, on_timeout, (uint64_t)spec->timeout_ms, 0);
    *ret = child;
    return 0;
}
