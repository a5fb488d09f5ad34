#include "worker/extract/charset.h"
#include "worker/extract/detect.h"
#include "worker/extract/extract.h"
#include "worker/extract/pdf.h"
#include "worker/extract/sandbox.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
/* The leak check at exit needs what the sandbox forbids. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

struct options {
    struct mr_source hints;
    int64_t max_bytes, max_text;
    struct mr_limits limits;
    const char *pdftotext;
};

/* Writes the reason and leaves. */
static int say(int code, const struct mr_err *why)
{
    char line[MR_ERR_MAX + 1];
    int n = snprintf(line, sizeof(line), "%s\n", why->msg);
    if (n > 0 && write(2, line, (size_t)n) < 0)
        return MR_EXTRACT_INTERNAL;
    return code;
}

static bool number(const char *text, int64_t max, int64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end || value < 1 || value > max)
        return false;
    *ret = value;
    return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {{"ext", 1, NULL, 'e'}, {"type", 1, NULL, 't'},
        {"charset", 1, NULL, 'c'}, {"max-bytes", 1, NULL, 'b'}, {"max-text", 1, NULL, 'x'},
        {"memory-mb", 1, NULL, 'm'}, {"cpu-s", 1, NULL, 's'}, {"pdftotext", 1, NULL, 'p'},
        {NULL, 0, NULL, 0}};
    int64_t value;
    int c;
    bool good = true;
    while (good && (c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'e':
            options->hints.ext = optarg;
            break;
        case 't':
            options->hints.type = optarg;
            break;
        case 'c':
            options->hints.charset = optarg;
            break;
        case 'p':
            options->pdftotext = optarg;
            break;
        case 'b':
            good = number(optarg, INT64_C(4) << 30, &options->max_bytes);
            break;
        case 'x':
            good = number(optarg, INT64_C(1) << 30, &options->max_text);
            break;
        case 'm':
            good = number(optarg, 1 << 20, &value);
            options->limits.memory_mb = good ? (int)value : 0;
            break;
        case 's':
            good = number(optarg, 86400, &value);
            options->limits.cpu_s = good ? (int)value : 0;
            break;
        default:
            good = false;
        }
    }
    return good && optind == argc;
}

static int too_large(int64_t max, struct mr_err *why)
{
    return mr_err_set(why, MR_EXTRACT_TOO_LARGE, MR_CLASS_INVALID,
        "the document is larger than %lld bytes", (long long)max);
}

static int read_input(int64_t max, struct mr_buf *buf, struct mr_err *why)
{
    struct stat stat;
    if (fstat(0, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size > max)
        return too_large(max, why);
    mr_buf_init(buf, (size_t)max + 1);
    struct mr_err err;
    int rc = mr_buf_read_fd(buf, 0, "the document", &err);
    if (rc == -EMSGSIZE || (int64_t)buf->len > max)
        return too_large(max, why);
    if (rc != 0)
        return mr_err_set(why, MR_EXTRACT_INTERNAL, MR_CLASS_INTERNAL, "%s", err.msg);
    if (buf->len == 0)
        return mr_err_set(why, MR_EXTRACT_EMPTY, MR_CLASS_INVALID, "the document is empty");
    return 0;
}

/* Decides what it is, prepares what must be had from outside, shuts the sandbox, and reads. */
static int extract(const struct options *options, const struct mr_source *source,
    struct mr_found *found, struct mr_err *why)
{
    int rc = 0;
    struct mr_pdf pdf;
    struct mr_charsets *charsets = NULL;
    enum mr_format format = mr_detect(source, &rc, why);
    if (format == MR_FORMAT_OTHER)
        return rc;
    if (format == MR_FORMAT_PDF) {
        rc = mr_pdf_start(source, options->pdftotext, &options->limits, &pdf, why);
        if (rc != 0)
            return rc;
    } else if (format == MR_FORMAT_TEXT && mr_charset_needs_converters(source->bytes, source->n)) {
        charsets = mr_charsets_open();
    }
    xmlInitParser();
    json_object_seed(0);
    if (mr_sandbox_lock(&options->limits, why) != 0)
        return MR_EXTRACT_INTERNAL;
    switch (format) {
    case MR_FORMAT_PDF:
        return mr_pdf_read(&pdf, found, why);
    case MR_FORMAT_ZIP:
        return mr_office_read(source, found, why);
    default:
        rc = mr_plain_read(source, charsets, found, why);
        mr_charsets_free(charsets);
        if (rc == MR_EXTRACT_UNSUPPORTED)
            mr_detect_explain(source, why);
        return rc;
    }
}

static int write_all(const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t written = write(1, bytes, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        bytes += written;
        n -= (size_t)written;
    }
    return 0;
}

static int write_found(const struct mr_found *found, size_t bytes, struct mr_err *why)
{
    const struct mr_buf *text = &found->text.out;
    json_t *output =
        json_pack("{s:s%, s:s, s:s, s:s?, s:o, s:I, s:b}", "text", text->data ? text->data : "",
            (int)text->len, "media_type", found->media_type, "charset", found->charset, "title",
            found->title, "pages", found->pages < 0 ? json_null() : json_integer(found->pages),
            "bytes", (json_int_t)bytes, "truncated", (int)found->text.truncated);
    char *dump = output ? json_dumps(output, JSON_COMPACT) : NULL;
    json_decref(output);
    if (!dump)
        return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID,
            "the document needs more memory than allowed");
    int rc = write_all(dump, strlen(dump));
    free(dump);
    return rc == 0 ? 0
                   : mr_err_set(why, MR_EXTRACT_INTERNAL, MR_CLASS_INTERNAL, "cannot write: %s",
                         strerror(errno));
}

int main(int argc, char **argv)
{
    struct mr_err why = {0};
    struct options options = {.hints = {.ext = "", .type = "", .charset = ""},
        .max_bytes = 64 << 20,
        .max_text = 4 << 20,
        .limits = {.memory_mb = 512, .cpu_s = 60}};
    if (mr_sandbox_begin(&why) != 0)
        return say(MR_EXTRACT_INTERNAL, &why);
    if (!parse(argc, argv, &options)) {
        mr_err_set(&why, 0, MR_CLASS_INTERNAL, "bad command line");
        return say(MR_EXTRACT_USAGE, &why);
    }
    struct mr_buf input;
    int rc = read_input(options.max_bytes, &input, &why);
    if (rc != 0)
        return say(rc, &why);
    struct mr_source source = options.hints;
    source.bytes = input.data;
    source.n = input.len;
    struct mr_found found = {.pages = -1, .charset = "utf-8"};
    mr_text_init(&found.text, (size_t)options.max_text);
    rc = extract(&options, &source, &found, &why);
    if (rc == 0) {
        mr_text_finish(&found.text);
        if (mr_text_blank(&found.text))
            rc = mr_err_set(&why, MR_EXTRACT_EMPTY, MR_CLASS_INVALID, "the document holds no text");
    }
    if (rc == 0)
        rc = write_found(&found, source.n, &why);
    mr_text_deinit(&found.text);
    free(found.title);
    mr_buf_deinit(&input);
    return rc == 0 ? 0 : say(rc, &why);
}
