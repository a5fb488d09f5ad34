/* What a document is by its first bytes; comparing them is all that happens before the sandbox. */
#pragma once

#include "worker/extract/extract.h"

enum mr_format { MR_FORMAT_TEXT, MR_FORMAT_PDF, MR_FORMAT_ZIP, MR_FORMAT_OTHER };

/* OTHER: *ret_exit and why say what it is and why it cannot be read. */
enum mr_format mr_detect(const struct mr_source *source, int *ret_exit, struct mr_err *why);

/* TEXT that turned out to be binary although its sender called it a PDF or Word file: says so. */
void mr_detect_explain(const struct mr_source *source, struct mr_err *why);
