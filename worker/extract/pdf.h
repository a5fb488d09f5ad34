/* PDF by pdftotext, in a sandboxed process of its own that reads a memory file and writes a pipe.
 */
#pragma once

#include "worker/extract/extract.h"
#include "worker/extract/sandbox.h"

#include <sys/types.h>

struct mr_pdf {
    pid_t pid;
    int out, err; /* pipes to read from */
};

/* Starts it; call before mr_sandbox_lock. program: a path, or NULL for the system's. 0, or an
 * mr_extract_exit with why. */
int mr_pdf_start(const struct mr_source *source, const char *program,
    const struct mr_limits *limits, struct mr_pdf *ret, struct mr_err *why) MR_CHECK;

/* Reads what it says until it ends; works inside the sandbox. */
int mr_pdf_read(struct mr_pdf *pdf, struct mr_found *found, struct mr_err *why) MR_CHECK;
