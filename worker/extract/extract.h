/* millrace-extract: one document in on stdin, its text out as JSON on stdout, in a process that can
 * do nothing else. Not one byte is parsed before the sandbox is shut (sandbox.h).
 *
 *   millrace-extract [--ext pdf] [--type application/pdf] [--charset latin1]
 *                    [--max-bytes N] [--max-text N] [--memory-mb N] [--cpu-s N] [--pdftotext PATH]
 *
 * ext, type and charset are hints of the sender; the content decides. Exit 0 with
 *   {"text":"...","media_type":"application/pdf","charset":"utf-8","title":"..."|null,
 *    "pages":3|null,"bytes":12345,"truncated":false}
 * where text is UTF-8 without U+0000 or other control characters than tab and newline; or one of
 * the codes below with one line of reason on stderr; or death by signal: SIGSYS (a forbidden system
 * call), SIGXCPU (the CPU limit), SIGKILL (the parent's patience). */
#pragma once

#include "common/err.h"
#include "worker/extract/text.h"

#include <stdint.h>

enum mr_extract_exit {
    MR_EXTRACT_OK = 0,
    MR_EXTRACT_EMPTY = 10,       /* no bytes, or nothing but white space */
    MR_EXTRACT_UNSUPPORTED = 11, /* a known format we do not read, or binary data */
    MR_EXTRACT_TOO_LARGE = 12,   /* more bytes than --max-bytes */
    MR_EXTRACT_PASSWORD = 13,    /* encrypted */
    MR_EXTRACT_NO_TEXT = 14,     /* pages, but only pictures on them */
    MR_EXTRACT_DAMAGED = 15,     /* the format's rules are broken */
    MR_EXTRACT_BOMB = 16,        /* expands beyond reason */
    MR_EXTRACT_MEMORY = 17,      /* needs more memory than it may have */
    MR_EXTRACT_TIMEOUT = 18,     /* needs more processor time than it may have */
    MR_EXTRACT_USAGE = 64,       /* bad command line */
    MR_EXTRACT_INTERNAL = 70,    /* no sandbox, no pdftotext: not the document's fault */
};

/* The document and what its sender says of it. */
struct mr_source {
    const char *bytes;
    size_t n;
    const char *ext;     /* lower case without dot, or "" */
    const char *type;    /* media type without parameters, or "" */
    const char *charset; /* or "" */
};

/* What was found. Strings are static or owned as said. */
struct mr_found {
    struct mr_text text;
    const char *media_type; /* static */
    const char *charset;    /* static: of the document as it came */
    char *title;            /* owned UTF-8, or NULL */
    int pages;              /* -1 unknown */
};

/* Each reader returns an mr_extract_exit and, unless that is 0, the reason in why. */
struct mr_charsets;
int mr_plain_read(const struct mr_source *source, struct mr_charsets *charsets,
    struct mr_found *found, struct mr_err *why) MR_CHECK; /* text, Markdown, HTML */
int mr_html_read(const char *utf8, size_t n, struct mr_found *found, struct mr_err *why) MR_CHECK;
int mr_office_read(const struct mr_source *source, struct mr_found *found,
    struct mr_err *why) MR_CHECK; /* DOCX and ODT: anything that begins like a ZIP archive */

/* Sets found->title from UTF-8 bytes: one trimmed line of at most 300 bytes. Empty: no title. */
void mr_found_title(struct mr_found *found, const char *utf8, size_t n);
