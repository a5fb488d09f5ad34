#include "worker/io/extract_short.h"
#include "worker/extract/plain.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define TITLE_MAX 300

/* The lower-case extension of a file name: at most size-1 letters and digits, else "". */
static void take_ext(const char *name, char *ret, size_t size)
{
    const char *dot = name ? strrchr(name, '.') : NULL;
    size_t n = dot ? strlen(dot + 1) : 0;
    ret[0] = '\0';
    if (n == 0 || n >= size)
        return;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)dot[1 + i]))
            return;
    for (size_t i = 0; i <= n; i++)
        ret[i] = (char)tolower((unsigned char)dot[1 + i]);
}

void mr_hints_read(struct mr_hints *ret, const char *name, const char *declared)
{
    static const char key[] = "charset=";
    *ret = (struct mr_hints){.ext = ""};
    take_ext(name, ret->ext, sizeof(ret->ext));
    if (!declared)
        return;
    size_t n = strcspn(declared, "; \t");
    const char *charset = strcasestr(declared + n, key);
    snprintf(ret->type, sizeof(ret->type), "%.*s", (int)(n < 127 ? n : 127), declared);
    if (!charset)
        return;
    charset += sizeof(key) - 1;
    charset += *charset == '"';
    n = strcspn(charset, "\"; \t");
    snprintf(ret->charset, sizeof(ret->charset), "%.*s", (int)(n < 40 ? n : 40), charset);
}

const char *mr_short_type(const struct mr_hints *hints, const char *bytes, size_t n)
{
    const char *type = mr_plain_type(hints->type, hints->ext);
    if (!type || strcmp(type, "text/html") == 0)
        return NULL;
    if (hints->charset[0] && strcasecmp(hints->charset, "utf-8") != 0)
        return NULL;
    return mr_plain_is_utf8(bytes, n) && !mr_plain_looks_html(bytes, n) ? type : NULL;
}

const char *mr_short_text_type(const struct mr_hints *hints)
{
    const char *type = mr_plain_type(hints->type, hints->ext);
    return type && strcmp(type, "text/markdown") == 0 ? type : "text/plain";
}

static json_t *make_output(const struct mr_text *text, const char *media_type, size_t bytes)
{
    const char *heading;
    size_t n;
    json_t *title = NULL;
    if (strcmp(media_type, "text/markdown") == 0 &&
        mr_plain_heading(text->out.data, text->out.len, &heading, &n) && n <= TITLE_MAX)
        title = json_stringn(heading, n);
    return json_pack("{s:o, s:s, s:s, s:o, s:n, s:I, s:b}", "text",
        json_stringn_nocheck(text->out.data, text->out.len), "media_type", media_type, "charset",
        "utf-8", "title", title ? title : json_null(), "pages", "bytes", (json_int_t)bytes,
        "truncated", (int)text->truncated);
}

void mr_short_read(const char *bytes, size_t n, const char *media_type, int64_t max_text,
    struct mr_extract_result *ret)
{
    struct mr_text text MR_CLEANUP(mr_text_deinit);
    mr_text_init(&text, (size_t)max_text);
    bool taken = mr_text_plain(&text, bytes, n) >= 0;
    mr_text_finish(&text);
    ret->rc = -1;
    if (taken && mr_text_blank(&text)) {
        mr_err_set(&ret->err, 0, MR_CLASS_INVALID, "the document holds no text");
        return;
    }
    ret->output = taken ? make_output(&text, media_type, n) : NULL;
    if (ret->output)
        ret->rc = 0;
    else
        mr_err_set(&ret->err, 0, MR_CLASS_INTERNAL, "no memory for the document");
}
