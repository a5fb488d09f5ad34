/* Text, Markdown and HTML once their charset is known, and what all readers share. */
#include "worker/extract/charset.h"
#include "worker/extract/plain.h"

#include <stdlib.h>
#include <string.h>

#define TITLE_MAX 300

void mr_found_title(struct mr_found *found, const char *utf8, size_t n)
{
    struct mr_text line;
    mr_text_init(&line, TITLE_MAX);
    if (n > 0 && mr_text_words(&line, utf8, n) >= 0)
        mr_text_finish(&line);
    free(found->title);
    found->title = line.out.len > 0 ? mr_buf_steal(&line.out, NULL) : NULL;
    mr_text_deinit(&line);
}

int mr_plain_read(const struct mr_source *source, struct mr_charsets *charsets,
    struct mr_found *found, struct mr_err *why)
{
    struct mr_buf utf8 MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(source->n * 4 + 65536);
    const char *bytes = NULL;
    size_t n = 0;
    int rc = mr_charset_to_utf8(charsets, source, &utf8, &bytes, &n, &found->charset, why);
    if (rc != 0)
        return rc;
    const char *type = mr_plain_type(source->type, source->ext);
    if (mr_plain_looks_html(bytes, n) || (type && strcmp(type, "text/html") == 0))
        return mr_html_read(bytes, n, found, why);
    found->media_type = type ? type : "text/plain";
    if (mr_text_plain(&found->text, bytes, n) < 0)
        return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "no memory for the text");
    const char *heading;
    size_t heading_n;
    if (strcmp(found->media_type, "text/markdown") == 0 &&
        mr_plain_heading(bytes, n, &heading, &heading_n))
        mr_found_title(found, heading, heading_n);
    return 0;
}
